"""Inputs a second of an API that generates nothing: against renewal theory, over simulated loads of known truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from made import MS

from loadcell.metrics import Result, build_result
from loadcell.recording.read import Recording

pytestmark = pytest.mark.usefixtures("thorough")

Make = Callable[..., Recording]
MOST, BASE_MS, EACH_MS = 9, 20.0, 5.0
"""A request has 1 to 9 inputs, and takes 20 ms and 5 ms an input, on average."""
MEAN_INPUTS = (1 + MOST) / 2
MEAN_MS = BASE_MS + EACH_MS * MEAN_INPUTS


def row(request: int, start_ms: float, took_ms: float, inputs: int, **more: Any) -> dict[str, Any]:
    start, end = round(start_ms * MS), round((start_ms + took_ms) * MS)
    return {
        "request": request, "worker": 0, "connection": 0, "status": "ok", "send_start_ns": start, "ready_ns": start,
        "send_end_ns": start + 1000, "last_ns": end, "end_ns": end, "input_tokens": 20 * inputs,
        "prompt_tokens": 20 * inputs, "inputs": inputs, "results": inputs, "output_chunks": 1,
    } | more  # fmt: skip


def event(of: dict[str, Any]) -> dict[str, Any]:
    return {"request": of["request"], "read": 1, "t_ns": of["last_ns"], "lag_ns": 20_000, "kind": 1, "bytes": 900}


def result_of(make: Make, rows: list[dict[str, Any]], **settings: Any) -> Result:
    return build_result(make(rows, events=list(map(event, rows)), endpoint={"api": "embeddings"}, **settings))


def closed(make: Make, seed: int, *, users: int = 8, seconds: float = 20.0) -> Result:
    """Users whose requests take as long as their inputs, and some noise: each sends as its last reply ends."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for user in range(users):
        now = 20.0 * user
        while now < seconds * 1e3 + 500:
            inputs = int(rng.integers(1, MOST, endpoint=True))
            took = (BASE_MS + EACH_MS * inputs) * rng.gamma(25, 1 / 25)
            rows.append(row(0, now, took, inputs, counted=now <= seconds * 1e3))
            now += took
    rows.sort(key=lambda one: one["send_start_ns"])
    rows = [one | {"request": i} for i, one in enumerate(rows)]
    return result_of(
        make, rows, load={"concurrency": users, "duration_s": seconds}, window_end_ns=round(seconds * 1e9),
        closed_for_a_time=True, effective={"model": "m", "ramp_s": 0.16},
    )  # fmt: skip


def test_a_closed_loop_does_as_many_inputs_as_renewal_theory_says(make: Make) -> None:
    """Users x E[inputs] / E[life] a second (the renewal reward theorem); the interval holds it as often as it says."""
    truth, runs = 8 * MEAN_INPUTS / MEAN_MS * 1e3, 30
    found = [closed(make, seed).throughput for seed in range(runs)]
    values = np.array([rates.inputs_per_s for rates in found], float)
    assert values.mean() == pytest.approx(truth, rel=3 * values.std() / np.sqrt(runs) / truth + 1e-3)
    intervals = [rates.inputs_interval for rates in found]
    held = sum(one is not None and one.low <= truth <= one.high for one in intervals)
    assert held >= 26, "of 95 %, less than 26 of 30 come once in a hundred times"
    wide = np.array([one.high - one.low for one in intervals if one is not None])
    assert wide.mean() < 8 * values.std(), "and is no wider than it need be"
    requests = np.array([rates.requests_per_s for rates in found], float)
    assert requests.mean() == pytest.approx(8 / MEAN_MS * 1e3, rel=0.01)


def test_an_open_loop_does_the_inputs_that_arrive(make: Make) -> None:
    rate, seconds, runs = 40.0, 20.0, 12
    values = []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        planned = np.cumsum(rng.exponential(1e3 / rate, int(rate * seconds))).tolist()
        inputs = rng.integers(1, MOST, len(planned), endpoint=True).tolist()
        rows = [
            row(i, t, BASE_MS + EACH_MS * n, n, planned_ns=round(t * MS), ready_ns=None)
            for i, (t, n) in enumerate(zip(planned, inputs, strict=True))
        ]
        result = result_of(make, rows, loop="open", planned=planned, load={"rate": rate})
        assert result.throughput.inputs_interval is not None
        values.append(result.throughput.inputs_per_s)
    found = np.array(values, float)
    assert found.mean() == pytest.approx(rate * MEAN_INPUTS, rel=4 * found.std() / np.sqrt(runs) / found.mean())


def test_failed_requests_do_no_inputs_and_one_of_chat_has_none(make: Make) -> None:
    rows = [row(i, 10.0 * i, 10.0, 4) for i in range(100)]
    for one in rows[::2]:
        one |= {"status": "failed", "error_kind": "results", "error": "x", "last_ns": None}
    result = build_result(make(rows, events=[event(one) for one in rows[1::2]], endpoint={"api": "embeddings"}))
    assert result.throughput.inputs_per_s == pytest.approx(4 * (result.throughput.requests_per_s or 0))
    assert result.throughput.inputs_per_s == pytest.approx(200, rel=0.05)
    plain = [one | {"inputs": None, "status": "ok", "last_ns": one["end_ns"]} for one in rows]
    assert build_result(make(plain, events=list(map(event, plain)))).throughput.inputs_per_s is None
