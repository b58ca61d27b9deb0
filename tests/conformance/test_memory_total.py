"""Memory is bounded over all replies of a worker together, and the largest gives way first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from contract_runs import Run
from scripted import SSE_HEAD, Received, Step, chunked, clean, event, serve, token

from loadcell.errors import UsageError
from loadcell.spec import parse_size_mb

BUDGET_MB = 60.0
MOST_BYTES = 450e6
"""A worker with its libraries takes about 130 MB; six endless replies without a bound took 1.75 GB."""


def endless(data: bytes) -> Iterator[Step]:
    yield SSE_HEAD % b""
    while True:
        yield chunked(data)


FLOODS = {
    "tokens": event(token()) * 400,
    "comments": b": " + b"x" * 60_000,
    "one event": b"data: " + b"x" * 30_000,
    "small reads": event(token("y" * 900)),
    "no output": event({"choices": []}) * 1000,
}


@pytest.mark.parametrize("name", FLOODS)
def test_endless_replies_share_one_bound(run: Run, name: str) -> None:
    """Six at a time, and a seventh user whose replies are as they should be."""

    def script(request: Received) -> Any:
        return endless(FLOODS[name]) if request.number < 6 else clean(20, gap_s=0.02)

    with serve(script) as server:
        ran = run(server.url, requests=12, concurrency=7, timeout_s=90, memory_mb=BUDGET_MB)
    assert ran.statuses == ["failed"] * 6 + ["ok"] * 6
    assert set(ran.kinds()) == {"too_large"}
    said = [row["error"] for row in ran.rows[:6]]
    if name != "one event" and name != "comments":  # these have a bound of their own, which may come first
        assert any("--memory" in words and f"{int(BUDGET_MB * 1e6) >> 20} MiB" in words for words in said), said
    audit = json.loads((ran.folder / "audit-0.json").read_bytes())
    assert audit["memory_peak_bytes"] < MOST_BYTES and audit["died"] is None


@pytest.mark.parametrize(("text", "mb"), [("512", 512), ("512MB", 512), ("2 GB", 2000), ("1gib", 1073.741824)])
def test_a_size(text: str, mb: float) -> None:
    assert parse_size_mb(text) == mb


@pytest.mark.parametrize("text", ["", "much", "1TB", "-1"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="512MB"):
        parse_size_mb(text)
