"""The error budget: whatever the true times were, within what a recording allows, the true figures lie inside it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import made
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from made import MS, events_of, ok_request

from loadcell.kinds import KIND_ANSWER, KIND_DONE, KIND_REASONING
from loadcell.metrics import Result, build_result
from loadcell.metrics.model import Budget, Summary
from loadcell.recording.read import Recording

pytestmark = pytest.mark.usefixtures("thorough")

Make = Callable[..., Recording]
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}
BIN = 2**-15
"""Gaps are known to one part in 65,536."""


def rank(values: Any, p: float) -> float:
    ordered = sorted(values)
    return float(ordered[math.ceil(round(p * 1000) * len(ordered) / 1000) - 1])


def inside(value: float, budget: Budget | None, rel: float = 1e-9) -> bool:
    assert budget is not None
    return budget.low * (1 - rel) - 1e-9 <= value <= budget.high * (1 + rel) + 1e-9


def figures_ms(values_ns: list[float]) -> dict[str, float]:
    values = [value / MS for value in values_ns]
    sd = {"sd": float(np.std(values, ddof=1))} if len(values) > 1 else {}
    return {"mean": float(np.mean(values)), "max": max(values), **sd} | {
        n: rank(values, p) for n, p in PERCENTILES.items()
    }


def budget_of(summary: Summary, name: str) -> Budget | None:
    found: Budget | None = (
        getattr(summary, f"{name}_budget") if name in ("mean", "max", "sd") else getattr(summary, name).budget
    )
    return found


class Truth(msgspec.Struct):
    """One request as it was, and what of it a client could record: all ns."""

    sent: int
    events: list[int]
    start: int
    end: int
    stamps: list[int]
    polls: list[int | None]
    reads: list[int]
    planned: int


def perturbed(rng: np.random.Generator, index: int, kernel: bool) -> Truth:
    """True times, and stamps that are off by what a recording allows."""
    start = (index + 1) * 40 * MS + int(rng.integers(0, 5 * MS))
    sent = start + int(rng.integers(0, 3 * MS))
    end = sent + int(rng.integers(0, 2 * MS))
    n = int(rng.integers(2, 12))
    events = (sent + int(rng.integers(2 * MS, 20 * MS)) + np.cumsum(rng.integers(0, 6 * MS, n))).tolist()
    events[0] = max(events[0], end)  # the reply to a request that is not all sent is not of these tests
    events = np.maximum.accumulate(events).tolist()
    stamps: list[int] = []
    polls: list[int | None] = []
    reads: list[int] = []
    at = 0
    while at < n:
        size = min(n - at, int(rng.choice([1, 1, 2, 4])))
        group = events[at : at + size]
        before = max(stamps[-1] if stamps else start, 0)
        poll = int(rng.integers(min(before, group[0]) - 3 * MS, group[0] + 1))
        read = group[-1] + (0 if kernel else int(rng.integers(0, MS)))
        for k in range(size):
            stamps.append(read)
            polls.append(poll if k < size - 1 or not kernel else None)
            reads.append(len(set(reads)) if k == 0 else reads[-1])
        if not kernel and at + size < n:  # a clock reading after this read is no later than the next thing that comes
            events[at + size :] = np.maximum(events[at + size :], read).tolist()
        at += size
    return Truth(sent, events, start, end, stamps, polls, reads, start - int(rng.integers(0, 4 * MS)))


def recorded(truths: list[Truth], folder: Path, *, kernel: bool, loop: str, slo: dict[str, Any]) -> Recording:
    rows, events = [], []
    for i, one in enumerate(truths):
        n = len(one.events)
        rows.append(
            ok_request(
                i, tokens=n, send_start_ns=one.start, send_end_ns=one.end, first_any_ns=one.stamps[0],
                first_answer_ns=one.stamps[0], last_ns=one.stamps[-1], end_ns=one.stamps[-1],
                ready_ns=None if loop == "open" else one.start - MS // 2,
                planned_ns=one.planned if loop == "open" else None,
            )
        )  # fmt: skip
        events += [
            {"request": i, "read": one.reads[k], "t_ns": one.stamps[k], "lag_ns": 10 if kernel else None,
             "kind": KIND_ANSWER, "tokens": 1, "poll_ns": one.polls[k]}
            for k in range(n)
        ]  # fmt: skip
    planned = [one.planned / MS for one in truths] if loop == "open" else None
    return made.build(
        folder, rows, events=events, planned=planned, loop=loop, slo=slo, clock="kernel" if kernel else "user"
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32), st.booleans(), st.sampled_from(["open", "closed"]))
@example(339, False, "open")  # the only reply may have come into the window, and by its stamps none did
def test_the_truth_lies_inside(seed: int, kernel: bool, loop: str) -> None:
    rng = np.random.default_rng(seed)
    truths = [perturbed(rng, i, kernel) for i in range(int(rng.integers(1, 40)))]
    limits = {"ttft_ms": 12.0, "e2e_ms": 40.0}
    with tempfile.TemporaryDirectory() as folder:
        recording = recorded(truths, Path(folder) / "run", kernel=kernel, loop=loop, slo=limits)
        result = build_result(recording, window_s=(0.0, 100.0))
        middle = build_result(recording, window_s=(0.035, 0.04 * (len(truths) + 0.7)))  # through replies
    true = {
        "ttft_ms": [one.events[0] - one.sent for one in truths],
        "e2e_ms": [one.events[-1] - one.sent for one in truths],
        "tpot_ms": [(one.events[-1] - one.events[0]) / (len(one.events) - 1) for one in truths],
        "itl_ms": [float(gap) for one in truths for gap in np.diff(one.events)],
    }
    for metric, values in true.items():
        summary = result.latency[metric].service
        for name, value in figures_ms([float(value) for value in values]).items():
            found = summary.mean if name in ("mean", "sd", "max") else getattr(summary, name).value
            if found is None or (name == "sd" and metric == "itl_ms"):
                continue
            assert inside(value, budget_of(summary, name), BIN), (metric, name, value, budget_of(summary, name))
    if loop == "open":
        response = result.latency["ttft_ms"].response
        assert response is not None
        late = figures_ms([float(one.events[0] - one.planned) for one in truths])
        assert all(inside(value, budget_of(response, name), BIN) for name, value in late.items())
    good = result.goodput
    assert good is not None
    from_ = [one.planned if loop == "open" else one.sent for one in truths]
    kept = sum(
        one.events[0] - begin <= limits["ttft_ms"] * MS and one.events[-1] - begin <= limits["e2e_ms"] * MS
        for one, begin in zip(truths, from_, strict=True)
    )
    assert inside(kept / len(truths), good.attainment_budget)
    window, rates = middle.methodology.window, middle.throughput
    length = window.end_s - window.start_s
    tokens = sum(window.start_s <= at / 1e9 <= window.end_s for one in truths for at in one.events)
    assert rates.output_tokens_budget is not None
    assert rates.output_tokens_budget.low <= tokens / length * (1 + 1e-9)
    if loop == "open":
        assert tokens / length <= rates.output_tokens_budget.high * (1 + 1e-9)


def test_what_a_recording_holds_gives_the_budgets_by_hand(tmp_path: Path) -> None:
    """From the Parquet files alone, by loops."""
    rng = np.random.default_rng(7)
    truths = [perturbed(rng, i, kernel=True) for i in range(400)]
    result = build_result(recorded(truths, tmp_path / "run", kernel=True, loop="closed", slo={}))
    table = duckdb.connect()
    rows = table.execute(
        f"select request, send_start_ns, send_end_ns from '{tmp_path}/run/requests-*.parquet' order by request"
    ).fetchall()
    ttft_low, e2e_low, short, long, moved = [], [], [], [], 0
    for request, start, end in rows:
        events = table.execute(
            f"select t_ns, poll_ns from '{tmp_path}/run/chunks-*.parquet' where request = {request}"
        ).fetchall()
        earliest = []
        for t, poll in events:
            floor = earliest[-1] if earliest else start
            earliest.append(t if poll is None else min(t, max(poll, floor)))
        moved += sum(e < t for e, (t, _) in zip(earliest, events, strict=True))
        ttft_low.append(max(0, earliest[0] - end))
        e2e_low.append(max(0, earliest[-1] - end))
        for k in range(1, len(events)):
            short.append(max(0, earliest[k] - events[k - 1][0]))
            long.append(events[k][0] - earliest[k - 1])
    assert moved > 100
    for metric, low in (("ttft_ms", ttft_low), ("e2e_ms", e2e_low)):
        summary = result.latency[metric].service
        for name, p in PERCENTILES.items():
            found = budget_of(summary, name)
            assert found is not None and found.low == pytest.approx(rank(low, p) / MS)
    itl = result.latency["itl_ms"].service
    for name, p in PERCENTILES.items():
        found = budget_of(itl, name)
        if found is not None:
            assert found.low == pytest.approx(rank(short, p) / MS, rel=BIN, abs=1e-6), name
            assert found.high == pytest.approx(rank(long, p) / MS, rel=BIN, abs=1e-6), name
    assert itl.p50.budget is not None and itl.p50.budget.low < itl.p50.budget.high


def test_without_shared_reads_only_the_send_is_left_open(make: Make) -> None:
    rows = [ok_request(i, start_ms=10 * i, send_end_ns=10 * i * MS + 250_000) for i in range(400)]
    result = build_result(make(rows))
    ttft, itl = result.latency["ttft_ms"].service, result.latency["itl_ms"].service
    assert ttft.p50.budget == Budget(low=49.75, high=50.0)
    assert (ttft.mean_budget, ttft.max_budget) == (Budget(low=49.75, high=50.0),) * 2
    assert itl.p50.budget == itl.mean_budget == itl.max_budget == Budget(low=20.0, high=20.0)
    assert result.latency["tpot_ms"].service.p99.budget == Budget(low=20.0, high=20.0)
    rate = result.throughput.user_tokens_per_s["p50"]
    assert rate.budget == Budget(low=50.0, high=50.0)


def test_the_clients_own_time_is_what_a_closed_loop_may_have_lost(make: Make) -> None:
    """A user that takes 10 ms of a cycle of 260 ms to send again."""
    rows = [
        ok_request(i, start_ms=260 * i, ready_ns=max(0, 260 * i - 10) * MS, send_end_ns=260 * i * MS, tokens=10)
        for i in range(1, 100)
    ]
    result = build_result(make(rows, planned=100))
    rates = result.throughput
    assert rates.requests_per_s is not None and rates.requests_budget is not None
    assert rates.requests_budget.low == pytest.approx(rates.requests_per_s, rel=1e-3)
    assert rates.requests_budget.high == pytest.approx(rates.requests_per_s * 260 / 250, rel=1e-3)
    (check,) = [check for check in result.verdict.checks if check.name == "rates_budget"]
    assert (check.word, check.value) == ("SUSPECT", pytest.approx(0.04, rel=0.02))


def test_an_open_loop_loses_no_rate_by_its_lateness(make: Make) -> None:
    rows = [ok_request(i, start_ms=10 * i + 9, planned_ns=10 * i * MS, ready_ns=None) for i in range(400)]
    result = build_result(make(rows, loop="open", planned=[10.0 * i for i in range(400)]))
    rates = result.throughput
    assert rates.output_tokens_budget == Budget(low=rates.output_tokens_per_s, high=rates.output_tokens_per_s)


def old(make: Make, **lag: Any) -> Result:
    """A recording of format 4: five requests of which the last three events came in one read, 30 ms after the one
    before, with the end of the stream behind them."""
    rows = [ok_request(i, start_ms=1000 * i, tokens=5) for i in range(5)]
    events: list[dict[str, Any]] = []
    for row in rows:
        own = events_of(row, **lag)
        for event in own[2:]:
            event |= {"read": 3, "t_ns": own[4]["t_ns"]}
        events += [*own, {**own[4], "kind": KIND_DONE}]
    return build_result(make(rows, events=events, format=4))


def test_older_recordings_are_bounded_by_the_read_before(make: Make) -> None:
    """Events at 50, 70 and three at 130 ms; the second was read 20 us after it came."""
    result = old(make)
    e2e = result.latency["e2e_ms"].service
    assert e2e.mean == 130.0 and e2e.mean_budget is not None
    assert e2e.mean_budget.low == pytest.approx(70.02 - 0.001)
    assert result.latency["ttft_ms"].service.mean_budget == Budget(low=49.999, high=50.0)
    assert result.verdict.word == "INVALID" and "E2E mean of 130 ms" in " ".join(result.verdict.reasons)


def test_older_recordings_without_kernel_stamps_have_no_budget(make: Make) -> None:
    result = old(make, lag_ns=None)
    assert result.latency["ttft_ms"].service.mean_budget is None
    assert any("does not bound its times" in why for why in result.verdict.reasons)


def test_the_first_answer_may_be_early_where_the_first_event_is_not(make: Make) -> None:
    rows = [ok_request(i, start_ms=1000 * i, tokens=3, first_answer_ns=(1000 * i + 90) * MS) for i in range(5)]
    events = []
    for row in rows:
        own = events_of(row)
        own[0]["kind"] = KIND_REASONING
        own[1] |= {"t_ns": own[2]["t_ns"], "read": own[2]["read"], "poll_ns": own[2]["t_ns"] - 7 * MS}
        events += own
    result = build_result(make(rows, events=events))
    assert result.latency["ttfa_ms"].service.mean_budget == Budget(low=pytest.approx(82.999), high=90.0)
    assert result.latency["ttft_ms"].service.mean_budget == Budget(low=pytest.approx(49.999), high=50.0)
