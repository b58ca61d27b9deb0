"""A run that was ended before its time: its window, its queue, its accounts and its words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from made import MS, ok_request
from rich.console import Console

from loadcell.metrics import Counts, Result, build_result
from loadcell.recording.read import Recording
from loadcell.recording.schema import Stopped
from loadcell.report.run import print_result

Make = Callable[..., Recording]
SATURATED = "saturated: the queue grew by 5 requests/s (95 % interval 4 to 6)"


def overloaded(make: Make, kind: str = "saturated", *, stay_ms: float = 20.0, **more: object) -> Recording:
    """10 requests/s for 12 s, of which 120 came before the stop; each stays `stay_ms` longer than the one before.

    What is not over at the stop was given up.
    """
    rows = []
    for i in range(120):
        start, end = i * 100.0, i * 100.0 + 200 + i * stay_ms
        row = ok_request(i, start_ms=start, planned_ns=round(start * MS), ready_ns=None)
        row |= {"last_ns": round(end * MS), "end_ns": round(end * MS), "first_any_ns": round((end - 100) * MS)}
        if end > 12_000:
            row |= {"status": "cancelled", "end_ns": 12_050 * MS, "first_any_ns": None, "last_ns": None}
        rows.append(row)
    first = next((row["planned_ns"] for row in rows if row["status"] == "cancelled"), 12_000 * MS)
    told = Stopped(kind=kind, at_ns=12_000 * MS, reason=SATURATED, cancelled=True)
    settings: dict[str, object] = {
        "loop": "open", "planned": [i * 100.0 for i in range(120)], "load": {"rate": 10.0, "duration_s": 60.0},
        "window_end_ns": first, "stopped": told, "ended_ns": 12_100 * MS,
    }  # fmt: skip
    return make(rows, **(settings | more))


def words(result: Result) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        print_result(result, console)
    return " ".join(captured.get().split())


def test_the_window_ends_before_the_first_that_was_given_up(make: Make) -> None:
    result = build_result(overloaded(make, stay_ms=20))
    assert result.counts.run == Counts(planned=120, ok=99, failed=0, cancelled=21, unsent=0)
    assert result.counts.window == Counts(planned=99, ok=99, failed=0, cancelled=0, unsent=0)
    assert result.methodology.window.end_s == pytest.approx(9.9, abs=1e-6)
    assert result.methodology.window.reason.endswith("to the first request that was given up")
    assert result.run.stopped is not None
    assert (result.run.stopped.kind, result.run.stopped.at_s, result.run.stopped.cancelled) == ("saturated", 12.0, True)
    checks = {check.name: check.word for check in result.verdict.checks}
    assert (checks["unsent"], checks["arrivals"], checks["accounting"]) == ("VALID", "VALID", "VALID")


def test_the_queue_is_known_up_to_the_stop(make: Make) -> None:
    """Even where almost nothing had ended, so that the window is nearly empty."""
    result = build_result(overloaded(make, stay_ms=300))
    assert result.counts.window.planned < 50
    assert result.steady.stable is False
    assert result.steady.growth_per_s.value is not None and result.steady.growth_per_s.value > 5
    assert result.latency["e2e_ms"].service.p99.value is None


def test_what_was_seen_while_it_ran_stands(make: Make) -> None:
    """The result has fewer looks: it does not take back that the queue grew."""
    steady = build_result(overloaded(make, stay_ms=1)).steady
    assert steady.stable is False
    assert steady.says.startswith("the queue grew by 5 requests/s (95 % interval 4 to 6)")
    assert steady.growth_per_s.value is not None and steady.growth_per_s.low is None


def test_a_decided_run_is_judged_by_its_own_queue(make: Make) -> None:
    assert build_result(overloaded(make, "decided", stay_ms=1)).steady.stable is not False


def test_the_console_says_that_it_ended_early(make: Make) -> None:
    assert f"Ended early after 12.0 s: {SATURATED}; what was in flight was given up" in words(
        build_result(overloaded(make))
    )


def test_members_that_were_given_up_are_misses(make: Make) -> None:
    result = build_result(overloaded(make, slo={"e2e_ms": 60_000.0}, window_end_ns=11_950 * MS))
    assert result.counts.window.cancelled == 21
    assert result.goodput is not None
    assert (result.goodput.good, result.goodput.planned) == (99, 120)


def test_an_awaited_end_counts_up_to_it(make: Make) -> None:
    told = Stopped(kind="decided", at_ns=12_000 * MS, reason="it was enough")
    rows = [ok_request(i, start_ms=i * 100, planned_ns=i * 100 * MS, ready_ns=None) for i in range(120)]
    result = build_result(
        make(rows, loop="open", planned=[i * 100.0 for i in range(120)], load={"rate": 10.0, "duration_s": 60.0},
             window_end_ns=12_000 * MS, stopped=told)
    )  # fmt: skip
    assert result.methodology.window.end_s == 12
    assert result.methodology.window.reason.endswith("to the early end of the sending")
    assert result.throughput.requests_per_s == pytest.approx(10, rel=0.05)
    assert "Ended early after 12.0 s: it was enough" in words(result)


def test_a_stop_before_anything_ended_has_an_empty_window(make: Make) -> None:
    result = build_result(overloaded(make, stay_ms=20, window_end_ns=0))
    assert result.counts.window.planned <= 1
    assert result.throughput.requests_per_s is None
    assert "Ended early" in words(result)
