"""Which requests of a stage are judged: not those that a stall of the client touched, nor those that were not due."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made import MS, build, ok_request
from virtual import plan_of

from loadcell.metrics import build_result
from loadcell.recording.read import Recording
from loadcell.search.judged import _stalled_until
from loadcell.search.model import Ask, Trial
from loadcell.search.trial import trial_of
from loadcell.spec import Slo

ASK = Ask(number=2, phase="bisect", changes={}, level=10.0, warmup_s=0.0, least_requests=60, together=1.0)
EVERY_MS = 100.0
COUNT = 300


def rows(count: int, **more: int) -> list[dict[str, object]]:
    found = [ok_request(i, start_ms=i * EVERY_MS, planned_ns=round(i * EVERY_MS * MS)) for i in range(count)]
    return [row | more for row in found]


def recorded(folder: Path, requests: list[dict[str, object]], **more: object) -> Recording:
    planned = [i * EVERY_MS for i in range(COUNT)]
    load = {"rate": 10.0, "duration_s": COUNT * EVERY_MS / 1000}
    return build(folder / "r", requests, planned=planned, loop="open", load=load, slo={"ttft_ms": 60.0}, **more)  # type: ignore[arg-type]


def trial(recording: Recording) -> Trial:
    return trial_of(recording, build_result(recording), plan_of(0.95, 60.0), ASK)


def test_a_stage_that_was_interrupted_is_judged_on_what_was_due(tmp_path: Path) -> None:
    """Two thirds were never sent: they are no misses."""
    whole = rows(100)
    whole[98:] = [row | {"status": "cancelled"} for row in whole[98:]]
    found = trial(recorded(tmp_path, whole, state="interrupted"))
    assert (found.judged, found.missed, found.attainment.value) == (98, 0, 1.0)


def test_what_a_complete_stage_never_sent_is_missed(tmp_path: Path) -> None:
    found = trial(recorded(tmp_path, rows(290)))
    assert (found.judged, found.missed) == (300, 10)


def test_requests_that_a_stall_touched_are_cut_out(tmp_path: Path) -> None:
    """One of 62 ms, which made its requests late beyond the limit: the stage goes on without them."""
    whole = rows(COUNT)
    late = 100
    whole[late] |= {"first_any_ns": whole[late]["first_any_ns"] + 62 * MS}  # type: ignore[operator]
    stall = [round(late * EVERY_MS * MS) + 36 * MS, 62 * MS]
    found = trial(recorded(tmp_path, whole, audits=[{"stalls": [stall]}]))
    assert (found.judged, found.missed, found.cut_out) == (COUNT - 1, 0, 1)
    assert found.sound


def test_without_a_stall_of_the_client_a_late_request_is_the_servers(tmp_path: Path) -> None:
    whole = rows(COUNT)
    whole[100] |= {"first_any_ns": whole[100]["first_any_ns"] + 62 * MS}  # type: ignore[operator]
    found = trial(recorded(tmp_path, whole, audits=[{"stalls": []}]))
    assert (found.judged, found.missed, found.cut_out) == (COUNT, 1, 0)


def test_where_stalls_touch_too_many_nothing_is_cut_out(tmp_path: Path) -> None:
    stalls = [[round(i * EVERY_MS * MS), 30 * MS] for i in range(0, COUNT, 2)]
    found = trial(recorded(tmp_path, rows(COUNT), audits=[{"stalls": stalls}]))
    assert (found.judged, found.cut_out) == (COUNT, 0)


def test_the_reading_is_the_percentile_of_the_margins(tmp_path: Path) -> None:
    """By independent arithmetic: the logarithm of the 95th percentile of TTFT over its limit."""
    whole, rng = rows(COUNT), np.random.default_rng(1)
    firsts = rng.integers(30, 58, COUNT)
    for row, first in zip(whole, firsts.tolist(), strict=True):
        row["first_any_ns"] = row["planned_ns"] + first * MS  # type: ignore[operator]
    found = trial(recorded(tmp_path, whole))
    assert found.margin is not None
    assert found.margin.value == pytest.approx(float(np.log(np.sort(firsts)[284] / 60)), abs=3 * found.margin.error)


def test_time_in_stalls_up_to_a_time() -> None:
    until = _stalled_until(np.array([[10.0, 5.0], [12.0, 6.0], [30.0, 2.0]]))
    assert until(np.array([0.0, 10.0, 14.0, 18.0, 25.0, 31.0, 99.0])).tolist() == [0, 0, 4, 8, 8, 9, 10]


@pytest.mark.parametrize(("limit_ms", "sound"), [(60.0, True), (45.0, False)])
def test_a_stage_is_sound_where_it_is_known_who_kept_to_the_limits(
    tmp_path: Path, limit_ms: float, sound: bool
) -> None:
    """Every send took 40 ms: a TTFT of 50 ms may be 10. That it is within 60 ms is sure, that it misses 45 is not."""
    slow = [row | {"send_end_ns": row["send_start_ns"] + 40 * MS} for row in rows(COUNT)]  # type: ignore[operator]
    load = {"concurrency": 1, "duration_s": COUNT * EVERY_MS / 1000}  # of an open loop, response time holds the send
    recording = build(tmp_path / "r", slow, load=load, slo={"ttft_ms": limit_ms})
    result = build_result(recording, slo=Slo(ttft_ms=limit_ms))
    assert result.verdict.word == "INVALID"
    assert trial_of(recording, result, plan_of(0.95, limit_ms), ASK).sound is sound
