"""What a result says of a rate that was meant to vary: no alarm over the plan, one over a server that falls behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loadcell.metrics.steady import Finding, _queue, _queues
from loadcell.metrics.varying import held, varies
from loadcell.metrics.window import Span
from loadcell.spec import Load
from loadcell.workload.schedule import lay_out

SERIES = Load(rate=30.0, rate_series="10@60s,50@60s,50..10@30s", duration_s=150.0)
RUNS = 60


def judged(load: Load, seed: int, servers_a_s: float | None) -> Finding:
    """What is said of the queue before a server that ends so many a second, or of one that slows with what it has."""
    planned = lay_out(load, seed=seed, mean_output_tokens=1).planned_ns
    assert planned is not None and load.duration_s is not None
    starts, rng = planned / 1e9, np.random.default_rng(seed)
    if servers_a_s is None:
        stays = rng.gamma(4, 0.25, len(starts))
        beside = np.arange(len(starts)) - np.searchsorted(np.sort(starts + stays), starts)
        ends = starts + stays * (1 + 0.02 * beside)
    else:
        ends, free = np.empty(len(starts)), 0.0
        for place, start in enumerate(starts.tolist()):
            free = max(free, start) + 1 / servers_a_s
            ends[place] = free + 1.0
    whole = load.duration_s * 1e9
    span, parts = Span(0.0, whole, "", "found", whole), held(load, whole)
    if parts is None:
        return _queue(starts * 1e9, ends * 1e9, span)
    return _queues(starts * 1e9, ends * 1e9, span, parts)


@pytest.mark.parametrize("load", [SERIES, Load(rate=20.0, arrivals="bursts:10s,20s", duration_s=120.0)])
def test_a_server_that_keeps_up_is_not_called_unstable(load: Load) -> None:
    found = [judged(load, seed, None)[0] for seed in range(RUNS)]
    assert found.count(False) <= 1 and found.count(True) >= RUNS // 2


def test_a_step_that_the_server_cannot_carry_is_found_and_named() -> None:
    found = [judged(SERIES, seed, 40.0) for seed in range(RUNS)]
    assert sum(stable is False for stable, *_ in found) >= 0.95 * RUNS
    stable, growth, says = found[0]
    assert stable is False and growth.value == pytest.approx(10, abs=3)
    assert says.startswith("at 50 requests/s (60 to 120 s) the queue grows by")


def test_nothing_is_told_where_the_rate_never_holds_still() -> None:
    stable, growth, says = judged(Load(rate=30.0, rate_series="10..50@100s", duration_s=100.0), 1, None)
    assert stable is None and growth.value is None and "no part of it held still" in says


def test_the_parts_are_those_of_the_plan() -> None:
    load: dict[str, Any] = {"rate": 60.0, "rate_series": "10@60s,50@60s,50..10@30s", "duration_s": 200.0}
    parts = held(Load(**load), 200e9)
    assert parts is not None
    assert [(one.start_ns / 1e9, one.end_ns / 1e9, one.rate) for one in parts] == [
        (0, 60, 20), (60, 120, 100), (150, 200, 20),
    ]  # fmt: skip
    assert held(Load(rate=5.0), 1e9) is None
    assert [varies(one) for one in (SERIES, Load(arrivals="bursts:1s,1s"), Load(arrivals="gamma:9"))] == [
        True, True, False,
    ]  # fmt: skip
