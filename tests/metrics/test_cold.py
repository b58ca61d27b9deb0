"""Few requests, early: found where they are, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import MS, build, ok_request

from loadcell.metrics import Result, build_result
from loadcell.metrics.checks_window import cold_says
from loadcell.metrics.warmup import find_warmup
from loadcell.recording.read import Recording

Make = Callable[..., Recording]


def slower(row: dict[str, Any], by_ms: float) -> dict[str, Any]:
    moved = ("first_any_ns", "first_answer_ns", "last_ns", "end_ns")
    return row | {name: row[name] + round(by_ms * MS) for name in moved}


def result_of(make: Make, cold: set[int], *, n: int = 400, users: int = 10, by_ms: float = 3000, **more: Any) -> Result:
    """Users who send in turn, every 25 ms: TTFT is 50 ms, of `cold` requests more."""
    rows = [ok_request(i, start_ms=25 * i) for i in range(n)]
    rows = [slower(row, by_ms + i) if i in cold else row for i, row in enumerate(rows)]
    return build_result(make(rows, load={"concurrency": users}, **more))


def check(result: Result) -> Any:
    return next((one for one in result.verdict.checks if one.name == "cold_start"), None)


def test_ten_cold_requests_outside_of_the_window_are_told(make: Make) -> None:
    result = result_of(make, set(range(10)))
    cold = result.steady.cold_start
    assert result.methodology.window.start_s >= 0.225 and cold is not None
    assert (cold.metric, cold.slow, cold.of_first, cold.in_window) == ("ttft_ms", 10, 10, 0)
    assert (cold.least_ms, cold.most_ms, cold.later_most_ms) == (3050, 3059, 50)
    assert result.latency["ttft_ms"].service.max == 50
    assert result.whole_run is not None and result.whole_run.latency["ttft_ms"].service.max == 3059
    assert check(result).word == "VALID" and "outside of the window: TTFT of 10 of the first 10" in check(result).says


def test_in_the_window_they_make_it_suspect(make: Make) -> None:
    rows = [slower(ok_request(i, start_ms=25 * i), 3000 if i in (0, 3) else 0) for i in range(400)]
    result = build_result(make(rows, load={"concurrency": 10, "warmup_s": 0.0}))
    cold = result.steady.cold_start
    assert cold is not None and (cold.slow, cold.of_first, cold.in_window) == (2, 4, 2)
    assert check(result).word == "SUSPECT" and "--warmup" in check(result).advice
    assert cold_says(cold) == (
        "few requests, early: TTFT of 2 of the first 4 was 3,050 ms to 3,050 ms, later 50 ms at most"
    )


@pytest.mark.parametrize("cold", [set(), {200}, {0, 200}, set(range(100))], ids=str)
def test_what_is_not_few_and_early_is_none(make: Make, cold: set[int]) -> None:
    assert result_of(make, cold).steady.cold_start is None


@pytest.mark.usefixtures("thorough")
def test_a_long_tail_is_no_cold_start(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    found = 0
    for run in range(20):
        rows = [slower(ok_request(i, start_ms=25 * i), float(ms)) for i, ms in enumerate(rng.lognormal(4, 0.8, 200))]
        result = build_result(build(tmp_path / f"run{run}", rows, load={"concurrency": 10}))
        found += result.steady.cold_start is not None
    assert found <= 1


# --- a warm-up of TTFT alone ----------------------------------------------------------------------------------------


def test_a_warm_up_that_ttft_alone_shows_is_cut(make: Make) -> None:
    """The first 60 of 400 prefills are three times as slow; the pace after the first token is the same."""
    rng = np.random.default_rng(1)
    rows = [
        slower(ok_request(i, start_ms=25 * i), (100 if i < 60 else 0) + float(rng.normal(0, 2))) for i in range(400)
    ]
    result = build_result(make(rows, load={"concurrency": 1}))
    assert "TTFT of its requests lies" in result.steady.says
    assert result.methodology.window.start_s == pytest.approx(1.5, abs=0.13)
    assert result.latency["ttft_ms"].service.mean == pytest.approx(50, rel=0.02)


def test_a_queue_that_grows_is_no_warm_up(make: Make) -> None:
    rows = [slower(ok_request(i, start_ms=25 * i, planned_ns=25 * i * MS), 3.0 * i) for i in range(400)]
    result = build_result(make(rows, planned=[25.0 * i for i in range(400)], loop="open", load={"rate": 40.0}))
    assert "TPOT and TTFT show no warm-up" in result.steady.says and result.methodology.window.start_s == 0


@pytest.mark.parametrize("load", [0.5, 0.9])
def test_waiting_times_of_a_queue_are_rarely_taken_for_a_warm_up(load: float) -> None:
    """M/M/1, started empty or in its steady state: at most one run in fifty loses its start by its TTFT."""
    rng, cut = np.random.default_rng(1), 0
    for run in range(100):
        wait, n = np.zeros(300), 300
        wait[0] = 0 if run % 2 else rng.exponential(1 / (1 - load))
        come, serve = rng.exponential(1 / load, n), rng.exponential(1, n)
        for i in range(1, n):
            wait[i] = max(0.0, wait[i - 1] + serve[i - 1] - come[i])
        found = find_warmup(wait + 0.3 * serve + 0.05, n // 2)
        cut += found.cut > 0 and found.shift > 0 and not found.unsettled
    assert cut <= 2
