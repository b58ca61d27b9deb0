"""A whole run against an engine that decodes speculatively: its own truth, its counters and the Parquet files agree."""

from __future__ import annotations

import statistics
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import plain_figures as plain
import pytest
from contract_runs import Run
from engine_client import start_engine

pytestmark = pytest.mark.usefixtures("alone")

TELLS = {"stream_options": {"include_usage": True, "continuous_usage_stats": True}}


@pytest.mark.parametrize("extra", [TELLS, {}], ids=["told", "not told"])
def test_the_figures_are_those_of_the_engine(run: Run, tmp_path: Path, extra: dict[str, Any]) -> None:
    flags = ("--ttft", "20ms", "--itl", "10ms", "--slots", "8", "--draft-tokens", "3", "--acceptance", "0.7")
    with ExitStack() as stack:
        engine = start_engine(stack, *flags, "--request-metrics")
        url = f"http://127.0.0.1:{engine.port}"
        ran = run(url, concurrency=4, requests=40, output_tokens="60", keep_load=False, extra_body=extra)
        truth = {record["seq"]: record for record in engine.truth()}
    counted = [record for record in truth.values() if record["completion_tokens"] == 60][-40:]
    sizes = [n for record in counted for _, n in sorted(Counter(record["tokens_ns"]).items())]
    found, itl = ran.result.tokens_per_chunk, ran.result.itl_by_token
    assert found is not None and itl is not None and found.several
    assert found.chunks == len(sizes) and found.mean == pytest.approx(statistics.fmean(sizes))

    # By its replies, over the requests that count; by its counters, over all that came between two looks at its page.
    replies, page = ran.result.speculation
    columns = {name: sum(row[name] for row in ran.rows) for name in ("draft_steps", "draft_tokens", "accepted_tokens")}
    held = sum(n - 1 for record in counted for n in Counter(record["tokens_ns"]).values())
    assert columns["accepted_tokens"] == held
    for one in (replies, page):
        assert (one.steps, one.draft_tokens, one.accepted_tokens) == tuple(columns.values())
        assert one.acceptance_rate == pytest.approx(held / columns["draft_tokens"])
        assert one.acceptance_length == pytest.approx(1 + held / columns["draft_steps"])
    assert (replies.source, replies.requests, page.source) == ("its replies", 40, "vLLM Prometheus")
    assert len(page.by_position) == 3 and sum(page.by_position) == pytest.approx(held / columns["draft_steps"])
    assert page.acceptance_rate == pytest.approx((0.7 + 0.7**2 + 0.7**3) / 3, abs=0.06)

    shares = [
        (now - before) / n / 1e6
        for record in counted
        for (before, _), (now, n) in pairwise(sorted(Counter(record["tokens_ns"]).items()))
        for _ in range(n)
    ]
    assert itl.tokens == pytest.approx(len(shares), rel=1e-3)
    assert itl.mean_ms == pytest.approx(statistics.fmean(shares), rel=0.02)
    if not extra:
        assert found.told_share == 0 and found.max is None and itl.assumed_share == 1
        return
    assert itl.assumed_share == 0
    assert (found.max, found.several_share) == (max(sizes), pytest.approx(sum(n > 1 for n in sizes) / len(sizes)))
    rows = plain.replies_of(plain.read(ran.folder, "requests"), plain.read(ran.folder, "chunks"))
    for name, value in plain.tokens_per_chunk(rows).items():
        assert getattr(found, name) == pytest.approx(value), name
    for name, value in plain.itl_by_token(rows).items():
        assert getattr(itl, name) == pytest.approx(value, rel=2e-5), name
