"""What requests carry a second, and the real-time factor: over simulated loads whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from made import MS

from loadcell.metrics import Result, build_result
from loadcell.recording.read import Recording

Make = Callable[..., Recording]
LEAST_S, MOST_S, BASE_MS, EACH_MS = 1.0, 9.0, 20.0, 5.0
"""Clips are 1 to 9 s long, and take 20 ms and 5 ms a second of theirs, on average."""
MEAN_S = (LEAST_S + MOST_S) / 2
MEAN_MS = BASE_MS + EACH_MS * MEAN_S
MEAN_RTF = (BASE_MS * np.log(MOST_S / LEAST_S) / (MOST_S - LEAST_S) + EACH_MS) / 1e3
"""E[20 / A + 5] ms, for A even between 1 and 9 s."""
thorough = pytest.mark.usefixtures("thorough")


def row(request: int, start_ms: float, took_ms: float, **more: Any) -> dict[str, Any]:
    start, end = round(start_ms * MS), round((start_ms + took_ms) * MS)
    return {
        "request": request, "worker": 0, "connection": 0, "status": "ok", "send_start_ns": start, "ready_ns": start,
        "send_end_ns": start + 1000, "last_ns": end, "end_ns": end, "output_chunks": 1, "output_tokens": 7,
        "token_source": "usage", "bytes_sent": 1000,
    } | more  # fmt: skip


def event(of: dict[str, Any]) -> dict[str, Any]:
    return {"request": of["request"], "read": 1, "t_ns": of["last_ns"], "lag_ns": 20_000, "kind": 1, "bytes": 900}


def heard(make: Make, rows: list[dict[str, Any]], seconds: list[float], **settings: Any) -> Result:
    carried = [{"input_audio_s": s, "input_tokens": None, "output_tokens": None} for s in seconds]
    events = [event(one) for one in rows if one["last_ns"] is not None]
    endpoint = {"api": "transcriptions", "stream": False}
    return build_result(make(rows, events=events, endpoint=endpoint, carried=carried, **settings))


def closed(make: Make, seed: int, *, users: int = 8, length_s: float = 20.0) -> Result:
    """Users whose requests take as long as their clips, and some noise: each sends as its last reply ends."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[dict[str, Any], float]] = []
    for user in range(users):
        now = 20.0 * user
        while now < length_s * 1e3 + 500:
            clip_s = rng.uniform(LEAST_S, MOST_S)
            took = (BASE_MS + EACH_MS * clip_s) * rng.gamma(25, 1 / 25)
            rows.append((row(0, now, took, counted=now <= length_s * 1e3), clip_s))
            now += took
    rows.sort(key=lambda one: one[0]["send_start_ns"])
    return heard(
        make, [one | {"request": i} for i, (one, _) in enumerate(rows)], [clip_s for _, clip_s in rows],
        load={"concurrency": users, "duration_s": length_s}, window_end_ns=round(length_s * 1e9),
        closed_for_a_time=True, effective={"model": "m", "ramp_s": 0.16},
    )  # fmt: skip


@thorough
def test_a_closed_loop_takes_as_much_audio_as_renewal_theory_says(make: Make) -> None:
    """Users x E[seconds] / E[life] a second (the renewal reward theorem); intervals hold truth as often as they say."""
    truth, runs = 8 * MEAN_S / MEAN_MS * 1e3, 30
    found = [result.input_media for result in (closed(make, seed) for seed in range(runs))]
    rates = [one.input_audio_s_per_s for one in found if one and one.input_audio_s_per_s]
    values = np.array([rate.value for rate in rates])
    assert values.size == runs
    assert values.mean() == pytest.approx(truth, rel=3 * values.std() / np.sqrt(runs) / truth + 1e-3)
    held = sum(rate.interval is not None and rate.interval.low <= truth <= rate.interval.high for rate in rates)
    assert held >= 26, "of 95 %, less than 26 of 30 come once in a hundred times"
    factors = [one.input_rtf.service for one in found if one and one.input_rtf]
    means = np.array([one.mean for one in factors], float)
    assert means.mean() == pytest.approx(MEAN_RTF, rel=0.01)
    within = [one.mean_interval for one in factors if one.mean_interval is not None]
    assert sum(one.low <= MEAN_RTF <= one.high for one in within) >= 26
    rng = np.random.default_rng(1)
    clips = rng.uniform(LEAST_S, MOST_S, 1_000_000)
    true = np.sort((BASE_MS / clips + EACH_MS) * rng.gamma(25, 1 / 25, clips.size)) / 1e3
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        estimates = [getattr(one, name) for one in factors]
        inside = sum(one.low <= true[int(share * true.size)] <= (one.high or np.inf) for one in estimates)
        assert inside >= 26, name


def test_images_a_second_are_those_of_the_requests(make: Make) -> None:
    rows = [row(i, 10.0 * i, 10.0, input_tokens=110, prompt_tokens=190) for i in range(100)]
    carried = [{"images": 1 + i % 3, "image_pixels": (1 + i % 3) * 250_000} for i in range(100)]
    result = build_result(make(rows, events=list(map(event, rows)), carried=carried, media={"images": "uniform:1,3"}))
    found = result.input_media
    assert found is not None and found.input_images_per_s is not None
    assert found.input_images == pytest.approx(1.99) and found.input_megapixels == pytest.approx(1.99 / 4)
    assert found.input_images_per_s.value == pytest.approx(found.input_images * 100, rel=0.02)
    assert found.input_images_per_s.interval is not None and found.input_images_per_s.budget is not None
    assert (found.input_audio_s, found.input_audio_s_per_s, found.input_rtf) == (None, None, None)
    assert (found.text_tokens, found.server_tokens, found.sent_bytes) == (110, 190, 1000)
    (check,) = [check for check in result.verdict.checks if check.name == "prompt_tokens"]
    assert check.word is None and "190 prompt tokens a request; 110 were planned as text" in check.says


def test_failed_requests_take_no_audio_and_have_no_factor(make: Make) -> None:
    rows = [row(i, 10.0 * i, 10.0) for i in range(100)]
    for one in rows[::2]:
        one |= {"status": "failed", "error_kind": "http", "error": "x", "last_ns": None}
    found = heard(make, rows, [4.0] * 100)
    media = found.input_media
    assert media is not None and media.input_audio_s_per_s is not None and media.input_rtf is not None
    assert media.input_audio_s_per_s.value == pytest.approx(4 * (found.throughput.requests_per_s or 0))
    assert media.input_rtf.service.n == 50 and media.input_rtf.service.failed == 50
    assert media.input_rtf.service.mean == pytest.approx(0.0025)
    assert found.throughput.input_tokens_per_s is None, "nobody planned or told any"
    assert found.methodology.prompt_token_source == {}


def test_an_open_loop_has_both_anchors_and_a_budget(make: Make) -> None:
    rows = [row(i, 10.0 * i + 1, 9.0, planned_ns=round(10 * i * MS), ready_ns=None) for i in range(100)]
    times = [10.0 * i for i in range(100)]
    factor = (heard(make, rows, [2.0] * 100, loop="open", planned=times).input_media or pytest.fail()).input_rtf
    assert factor is not None and factor.response is not None
    assert factor.service.p50.value == pytest.approx(0.0045) and factor.response.p50.value == pytest.approx(0.005)
    budget = factor.service.p50.budget
    assert budget is not None and budget.low <= 0.0045 <= budget.high and budget.low == pytest.approx(0.0045, rel=1e-3)


def test_a_run_without_media_says_nothing_of_them(make: Make) -> None:
    rows = [row(i, 10.0 * i, 10.0, input_tokens=110) for i in range(20)]
    assert build_result(make(rows, events=list(map(event, rows)))).input_media is None
