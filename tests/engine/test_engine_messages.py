"""The engine's messages API against its reference (Anthropic, version 2023-06-01)."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest
from engine_client import FAST, Engine, Reply, Start

pytestmark = pytest.mark.usefixtures("alone")

MS = 1_000_000
VERSION = {"anthropic-version": "2023-06-01"}


def ask(engine: Engine, max_tokens: int | None = 4, request_id: str = "", **fields: Any) -> Reply:
    body = {"messages": [{"role": "user", "content": "three short words"}], "max_tokens": max_tokens, "stream": True}
    headers = VERSION | ({"X-Request-Id": request_id} if request_id else {})
    return engine.ask("POST", "/v1/messages", json.dumps(body | fields).encode(), headers)


def events(reply: Reply, eol: str = "\n") -> list[tuple[str, dict[str, Any]]]:
    """(name, data) of each event."""
    *parts, rest = reply.body.decode().split(2 * eol)
    assert rest == ""
    pairs = [part.split(eol) for part in parts]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in pairs]


@pytest.mark.parametrize(("flags", "eol"), [((), "\n"), (("--crlf",), "\r\n")])
def test_a_stream_has_an_event_a_token_between_those_of_its_message(
    start: Start, flags: tuple[str, ...], eol: str
) -> None:
    engine = start(*FAST, *flags)
    found = events(ask(engine, 5, "me"), eol)
    assert all(name == data["type"] for name, data in found)
    names = ["message_start", "content_block_start", "ping", *["content_block_delta"] * 5, "content_block_stop"]
    assert [name for name, _ in found] == [*names, "message_delta", "message_stop"]
    message = found[0][1]["message"]
    assert (message["id"], message["content"], message["stop_reason"]) == ("msg_me", [], None)
    assert message["usage"]["input_tokens"] == 3
    deltas = [data["delta"] for name, data in found if name == "content_block_delta"]
    assert all(delta["type"] == "text_delta" and len(delta["text"]) == 5 for delta in deltas)
    assert found[-2][1] == {
        "type": "message_delta", "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
        "usage": {"output_tokens": 5},
    }  # fmt: skip
    truth = engine.truth_of("me")
    assert (truth["outcome"], truth["prompt_tokens"], len(truth["tokens_ns"])) == ("ok", 3, 5)
    steps = [b - a for a, b in zip(truth["tokens_ns"], truth["tokens_ns"][1:], strict=False)]
    assert sum(steps) / len(steps) == pytest.approx(MS, rel=0.5)


def test_several_tokens_may_come_in_an_event(start: Start) -> None:
    found = events(ask(start(*FAST, "--tokens-per-chunk", "3"), 5))
    texts = [data["delta"]["text"] for name, data in found if name == "content_block_delta"]
    assert [len(text.split()) for text in texts] == [3, 2]


def test_what_is_not_streamed_is_one_message(fast: Engine) -> None:
    reply = ask(fast, 3, "whole-message", stream=False).json()
    assert (reply["type"], reply["role"], reply["stop_reason"]) == ("message", "assistant", "max_tokens")
    (block,) = reply["content"]
    assert (block["type"], len(block["text"].split())) == ("text", 3)
    assert reply["usage"] == {"input_tokens": 3, "output_tokens": 3}


def test_the_system_and_parts_are_of_the_prompt(fast: Engine) -> None:
    parts = [{"type": "text", "text": "two words"}]
    found = events(ask(fast, 1, system=parts, messages=[{"role": "user", "content": parts}]))
    assert found[0][1]["message"]["usage"]["input_tokens"] == 4


@pytest.mark.parametrize(
    ("fields", "status", "kind", "words"),
    [
        ({"max_tokens": None}, 400, "invalid_request_error", "max_tokens: Field required"),
        ({"max_tokens": 0}, 400, "invalid_request_error", "max_tokens must be at least 1"),
        ({"messages": []}, 400, "invalid_request_error", "at least one message"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "invalid_request_error", "user or assistant"),
        ({"model": "other"}, 404, "not_found_error", "does not exist"),
        ({"messages": 5}, 400, "invalid_request_error", "cannot be read"),
    ],
)
def test_refusals_have_the_form_of_the_api(
    fast: Engine, fields: dict[str, Any], status: int, kind: str, words: str
) -> None:
    reply = ask(fast, **fields)
    assert (reply.status, reply.json()["type"], reply.json()["error"]["type"]) == (status, "error", kind)
    assert words in reply.json()["error"]["message"]


def test_the_version_must_be_named(fast: Engine) -> None:
    reply = fast.ask("POST", "/v1/messages", b"{}")
    assert (reply.status, reply.json()["error"]["message"]) == (400, "anthropic-version: header is required")


@pytest.mark.parametrize("header", [{"x-api-key": "secret"}, {"authorization": "Bearer secret"}])
def test_a_key_is_taken_either_way(start: Start, header: dict[str, str]) -> None:
    engine = start(*FAST, "--api-key", "secret")
    body = b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": 1}'
    assert engine.ask("POST", "/v1/messages", body, VERSION | header).status == 200
    refused = engine.ask("POST", "/v1/messages", body, VERSION | {"x-api-key": "other"})
    assert (refused.status, refused.json()["error"]["type"]) == (401, "authentication_error")


def test_troubles_are_told_as_the_api_tells_them(start: Start) -> None:
    *_, (name, error) = events(ask(start(*FAST, "--stream-error-rate", "1"), 4))
    assert (name, error["type"], error["error"]["type"]) == ("error", "error", "api_error")
    limited = ask(start(*FAST, "--reject-rate", "1"))
    assert (limited.status, limited.json()["error"]["type"]) == (429, "rate_limit_error")
    assert limited.headers["retry-after"] == "1"
    whole = ask(start(*FAST, "--stream-error-rate", "1"), 4, stream=False)
    assert (whole.status, whole.json()["error"]["type"]) == (500, "api_error")
    with pytest.raises(http.client.IncompleteRead):
        ask(start(*FAST, "--cut-rate", "1"), 4)


def test_usage_and_end_may_be_kept_back(start: Start) -> None:
    found = events(ask(start(*FAST, "--no-usage", "--no-done"), 2))
    assert "usage" not in found[0][1]["message"]
    assert found[-1] == ("message_delta", {"type": "message_delta", "delta": found[-1][1]["delta"]})
