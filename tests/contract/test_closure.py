"""Queue, prefill and the rest of TTFT, against an engine that knows its own truth."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from contract_runs import Run

pytestmark = pytest.mark.usefixtures("alone")

MS = 1e6


@contextmanager
def engine(*flags: str) -> Iterator[str]:
    command = [sys.executable, "-m", "loadcell", "serve", "--port", "0", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield process.stdout.readline().split()[2]
    finally:
        process.terminate()
        process.communicate(timeout=10)


def truth_of(url: str) -> list[dict[str, Any]]:
    """What the engine says of the load's requests, in the order of the schedule; the probe has no number."""
    with urllib.request.urlopen(f"{url}/truth", timeout=10) as reply:
        records = [json.loads(line) for line in reply]
    named = [record for record in records if record["id"] and record["id"].rpartition("-")[2].isdigit()]
    return sorted(named, key=lambda record: int(record["id"].rpartition("-")[2]))


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_queue_and_prefill_close_ttft(run: Run, api: str) -> None:
    flags = ("--slots", "2", "--ttft", "15ms", "--itl", "2ms", "--request-metrics")
    with engine(*flags) as url:
        ran = run(url, requests=30, concurrency=6, api=api)
        truth = truth_of(url)
    assert ran.statuses == ["ok"] * 30 and len(truth) == 30
    by_reply, by_page = ran.result.server
    assert (by_reply.source, by_reply.requests) == ("vLLM metrics", 30)
    assert (by_page.source, by_page.requests) == ("vLLM Prometheus", 30)
    queue = np.array([record["admitted_ns"] - record["arrival_ns"] for record in truth]) / MS
    prefill = np.array([record["tokens_ns"][0] - record["admitted_ns"] for record in truth]) / MS
    assert queue.mean() > 10, "two slots for six users: requests wait"
    for side in (by_reply, by_page):
        assert side.queue.mean_ms == pytest.approx(queue.mean(), abs=1)
        assert side.prefill.mean_ms == pytest.approx(prefill.mean(), abs=1)
        shares = [part.share or 0 for part in (side.queue, side.prefill, side.unattributed)]
        assert sum(shares) == pytest.approx(1)
        # What is left is the way from the send to the engine and from its first token to the read.
        sent, first = (np.array([row[name] for row in ran.rows], float) for name in ("send_start_ns", "first_any_ns"))
        assert side.ttft_ms == pytest.approx((first - sent).mean() / MS)
        assert side.unattributed.mean_ms == pytest.approx((first - sent).mean() / MS - (queue + prefill).mean(), abs=1)
    assert by_reply.queue.p50_ms == pytest.approx(np.sort(queue)[14], abs=1)
    decode = [record["tokens_ns"][-1] - record["tokens_ns"][0] for record in truth]
    assert [row["server_decode_ns"] for row in ran.rows] == pytest.approx(decode, abs=MS)


def test_a_whole_reply_tells_its_parts_too(run: Run) -> None:
    with engine("--ttft", "5ms", "--itl", "1ms", "--request-metrics") as url:
        ran = run(url, requests=4, stream=False)
    assert all(row["server_prefill_ns"] >= 5 * MS and row["server_queue_ns"] >= 0 for row in ran.rows)
    (side,) = ran.result.server
    assert (side.source, side.requests, side.ttft_ms) == ("vLLM Prometheus", 4, None)


def test_an_engine_that_is_not_asked_tells_by_its_page_alone(run: Run) -> None:
    with engine("--ttft", "5ms", "--itl", "1ms") as url:
        ran = run(url, requests=4)
    assert all(row["server_queue_ns"] is row["server_prefill_ns"] is None for row in ran.rows)
    assert [side.source for side in ran.result.server] == ["vLLM Prometheus"]
