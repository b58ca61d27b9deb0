"""What a person writes of users who do not just wait, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from loadcell.behaviour import (
    Cancel,
    Patience,
    SlowReaders,
    parse_cancel,
    parse_patience,
    parse_slow_readers,
)
from loadcell.errors import UsageError
from loadcell.spec import Spec, build_spec


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("5%@2s", Cancel(0.05, 2.0, None)),
        ("0.1@300ms", Cancel(0.1, 0.3, None)),
        ("10%@20t", Cancel(0.1, None, 20)),
        ("100%@tokens:7", Cancel(1.0, None, 7)),
    ],
)
def test_cancellations(text: str, found: Cancel) -> None:
    assert parse_cancel(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10s", Patience("fixed", (10.0,))),
        ("lognormal:8s,0.5", Patience("lognormal", (8.0, 0.5))),
        ("exponential:800ms", Patience("exponential", (0.8,))),
        ("uniform:2s,20s", Patience("uniform", (2.0, 20.0))),
    ],
)
def test_laws_of_patience(text: str, found: Patience) -> None:
    assert parse_patience(text) == found


def test_slow_readers() -> None:
    assert parse_slow_readers("5%@200B/s") == SlowReaders(0.05, 200.0, None)
    assert parse_slow_readers("5%@2KiB/s") == SlowReaders(0.05, 2048.0, None)
    assert parse_slow_readers("5%@4t/s") == SlowReaders(0.05, None, 4.0)


def spec_of(**behaviour: Any) -> Spec:
    return build_spec({"endpoint": {"url": "http://localhost:1"}, "behaviour": behaviour})


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        ({"cancel": ["5%"]}, "names no share of requests"),
        ({"cancel": ["0%@2s"]}, "names no share of requests"),
        ({"cancel": ["5%@2"]}, "is not a time above 0 with its unit"),
        ({"cancel": ["5%@0t"]}, "write 1 or more"),
        ({"cancel": ["60%@2s", "60%@3s"]}, "gives up 120% of the requests"),
        ({"patience": "lognorm:8s,0.5"}, "did you mean lognormal?"),
        ({"patience": "lognormal:8s"}, "is no law of patience: write"),
        ({"patience": "lognormal:8s,-1"}, "is not a sigma"),
        ({"patience": "uniform:9s,2s"}, "ends before it begins"),
        ({"patience": "10"}, "is not a time above 0 with its unit"),
        ({"slow_readers": "5%@fast"}, "is not a rate of reading"),
        ({"slow_readers": "5%@0B/s"}, "is not a rate of reading"),
    ],
)
def test_what_cannot_be_is_said(behaviour: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match="behaviour") as refused:
        spec_of(**behaviour)
    assert says in str(refused.value)


def test_what_needs_a_stream_and_connections_of_its_own() -> None:
    def with_endpoint(behaviour: dict[str, Any], **endpoint: Any) -> None:
        build_spec({"endpoint": {"url": "http://localhost:1", **endpoint}, "behaviour": behaviour})

    with_endpoint({"cancel": ["5%@2s"]}, stream=False)
    with pytest.raises(UsageError, match="needs streamed text"):
        with_endpoint({"cancel": ["5%@2t"]}, stream=False)
    with pytest.raises(UsageError, match="needs streamed text"):
        with_endpoint({"patience": "2s"}, stream=False)
    with_endpoint({"patience": "2s"}, http="2")
    with pytest.raises(UsageError, match="leave out --http 2"):
        with_endpoint({"slow_readers": "5%@4t/s"}, http="2")


def test_by_default_users_wait() -> None:
    assert not build_spec({"endpoint": {"url": "http://localhost:1"}}).behaviour.any


def test_a_slow_reader_keeps_no_connection_of_its_session() -> None:
    asked: dict[str, Any] = {"endpoint": {"url": "http://h:1"}, "load": {"concurrency": 1, "requests": 9},
             "behaviour": {"slow_readers": "5%@4t/s"}}  # fmt: skip
    build_spec(asked | {"sessions": {"turns": "3", "sticky": "header:X-Session-Id"}})
    with pytest.raises(UsageError, match="write --sticky header:NAME"):
        build_spec(asked | {"sessions": {"turns": "3", "sticky": "connection"}})
