"""Audio and images a second, and RTF: against renewal theory, over simulated loads of known truth."""

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
BASE_MS, EACH_MS, MOST = 40.0, 20.0, 5
"""A request takes 40 ms and 20 ms for each of its units, on average; it has 1 to 5 of them, equally often."""
MEAN_MS = BASE_MS + EACH_MS * (1 + MOST) / 2
UNIT_S = 0.5
"""A unit of audio lasts so long; a unit of a picture is one."""


def row(request: int, start_ms: float, took_ms: float, units: int, api: str, **more: Any) -> dict[str, Any]:
    start, end = round(start_ms * MS), round((start_ms + took_ms) * MS)
    audio = {"audio_ns": round(units * UNIT_S * 1e9), "first_audio_ns": start + round(took_ms / 4 * MS), "results": 1}
    return {
        "request": request, "worker": 0, "connection": 0, "status": "ok", "send_start_ns": start, "ready_ns": start,
        "send_end_ns": start + 1000, "last_ns": end, "end_ns": end, "input_tokens": 20, "inputs": 1,
        "output_chunks": 2 if api == "speech" else 1, **(audio if api == "speech" else {"results": units}),
    } | more  # fmt: skip


def events(of: dict[str, Any]) -> list[dict[str, Any]]:
    stamps = [of["last_ns"]] if of.get("first_audio_ns") is None else [of["first_audio_ns"], of["last_ns"]]
    return [{"request": of["request"], "read": i, "t_ns": t, "lag_ns": 20_000, "kind": 1, "bytes": 900}
            for i, t in enumerate(stamps)]  # fmt: skip


def result_of(make: Make, rows: list[dict[str, Any]], api: str, **settings: Any) -> Result:
    came = [event for one in rows for event in events(one)]
    return build_result(make(rows, events=came, endpoint={"api": api}, **settings))


def closed(make: Make, seed: int, api: str, *, users: int = 8, seconds: float = 20.0) -> Result:
    """Users whose requests take as long as what they make, and some noise: each sends as its last reply ends."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for user in range(users):
        now = 20.0 * user
        while now < seconds * 1e3 + 500:
            units = int(rng.integers(1, MOST, endpoint=True))
            took = (BASE_MS + EACH_MS * units) * rng.gamma(25, 1 / 25)
            rows.append(row(0, now, took, units, api, counted=now <= seconds * 1e3))
            now += took
    rows.sort(key=lambda one: one["send_start_ns"])
    rows = [one | {"request": i} for i, one in enumerate(rows)]
    return result_of(
        make, rows, api, load={"concurrency": users, "duration_s": seconds}, window_end_ns=round(seconds * 1e9),
        closed_for_a_time=True, effective={"model": "m", "ramp_s": 0.16},
    )  # fmt: skip


@pytest.mark.parametrize("api", ["speech", "images"])
def test_a_closed_loop_makes_as_much_as_renewal_theory_says(make: Make, api: str) -> None:
    """Users x E[made] / E[life] a second (the renewal reward theorem); the interval holds it as often as it says."""
    each, runs = (UNIT_S if api == "speech" else 1.0) * (1 + MOST) / 2, 30
    truth = 8 * each / MEAN_MS * 1e3
    found = [closed(make, seed, api) for seed in range(runs)]
    rates = [one.throughput for one in found]
    made = [(r.audio_s_per_s, r.audio_s_interval) if api == "speech" else (r.images_per_s, r.images_interval)
            for r in rates]  # fmt: skip
    values = np.array([value for value, _ in made], float)
    assert values.mean() == pytest.approx(truth, rel=3 * values.std() / np.sqrt(runs) / truth + 1e-3)
    held = sum(one is not None and one.low <= truth <= one.high for _, one in made)
    assert held >= 26, "of 95 %, less than 26 of 30 come once in a hundred times"
    assert {r.inputs_per_s for r in rates} == {r.output_tokens_per_s for r in rates} == {None}
    if api == "images":
        assert {r.audio_s_per_s for r in rates} == {None}
        return
    lengths = np.arange(1, MOST + 1)
    factor = float(np.mean((BASE_MS + EACH_MS * lengths) / (lengths * UNIT_S * 1e3)))
    factors = np.array([one.latency["rtf"].service.mean for one in found], float)
    assert factors.mean() == pytest.approx(factor, rel=4 * factors.std() / np.sqrt(runs) / factor)
    firsts = np.array([one.latency["first_audio_ms"].service.mean for one in found], float)
    assert firsts.mean() == pytest.approx(MEAN_MS / 4, rel=0.01)


def test_response_times_of_audio_begin_at_the_planned_time(make: Make) -> None:
    rows = [
        row(i, 20.0 * i, 10.0, 1, "speech", planned_ns=round((20 * i - 5) * MS), ready_ns=None) for i in range(1, 200)
    ]
    rows = [one | {"request": i} for i, one in enumerate(rows)]
    planned = [20.0 * i - 5 for i in range(1, 200)]
    found = result_of(make, rows, "speech", loop="open", planned=planned, load={"rate": 50.0}).latency
    for name, service, late in (("first_audio_ms", 2.5, 5), ("rtf", 10 / 500, 5 / 500)):
        response = found[name].response
        assert found[name].service.p50.value == pytest.approx(service) and response is not None
        assert response.p50.value == pytest.approx(service + late)


def test_what_is_not_known_is_missing_and_a_few_of_many_leave_a_rate(make: Make) -> None:
    rows = [row(i, 10.0 * i, 10.0, 2, "speech") for i in range(400)]
    untold = [one | {"audio_ns": None} if i % 10 == 0 else one for i, one in enumerate(rows)]
    found = result_of(make, untold, "speech")
    assert found.throughput.audio_s_per_s is None and found.throughput.requests_per_s is not None
    assert found.latency["rtf"].service.n == 360 and found.latency["first_audio_ms"].service.n == 400
    failed = {"status": "failed", "error_kind": "cut", "error": "x", "last_ns": None, "audio_ns": None}
    found = result_of(make, [one | failed if i % 2 else one for i, one in enumerate(rows)], "speech")
    assert found.throughput.audio_s_per_s == pytest.approx(2 * UNIT_S * (found.throughput.requests_per_s or 0))
    chat = build_result(make([one | {"audio_ns": None} for one in rows], events=[e for r in rows for e in events(r)]))
    assert not {"rtf", "first_audio_ms"} & set(chat.latency) and chat.throughput.images_per_s is None
