"""A load that is ended by one who watches it: the end is exact, the accounts close, and the verdict blames nobody."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_runs import short_spec
from scripted import HANG, Received, Step, clean, json_reply, serve

from loadcell.load import run_load
from loadcell.load.steer import AT_LIMIT, Outcome, Steer, Stop, View
from loadcell.load.steering import first_pending_ns
from loadcell.metrics import Result, build_result
from loadcell.recording.read import Recording, open_recording

pytestmark = pytest.mark.usefixtures("alone")

MS = 1_000_000


def stop_at(seconds: float, *, cancel: bool, then: Callable[[View], None] = lambda _: None) -> Steer:
    def steer(view: View) -> Stop | None:
        if view.now_ns < seconds * 1e9:
            return None
        then(view)
        return Stop("decided", "it was enough", cancel, first_pending_ns(view) if cancel else None)

    return steer


def steered(url: str, folder: Path, steer: Steer, **fields: Any) -> tuple[Recording, Result]:
    """Run a load under a steer; whatever happens, the accounts close and the recording has nothing after the end."""
    run_load(short_spec(url, every_s=0, **fields), folder, lambda _: None, steer=steer)
    recording = open_recording(folder)
    result = build_result(recording)
    counts = result.counts.run
    assert counts.planned == counts.ok + counts.failed + counts.cancelled + counts.unsent
    assert result.invalid == []
    if recording.manifest.stopped is not None and recording.manifest.loop == "open":
        planned = recording.requests(("planned_ns",))["planned_ns"]
        assert planned.max() < recording.manifest.stopped.at_ns
        if result.run.state == "complete":
            schedule = recording.schedule(("planned_ns",))["planned_ns"]
            assert counts.planned == planned.size == np.count_nonzero(schedule < recording.manifest.stopped.at_ns)
    return recording, result


def words_of(result: Result, *checks: str) -> set[str | None]:
    return {check.word for check in result.verdict.checks if check.name in checks}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_in_the_air_is_awaited(tmp_path: Path, workers: int) -> None:
    with serve(lambda _: clean(4, ttft_s=0.4)) as server:
        recording, result = steered(
            server.url, tmp_path / "run", stop_at(1.0, cancel=False), rate=60, duration_s=20, workers=workers
        )
    counts, stopped = result.counts.run, result.run.stopped
    assert stopped is not None
    assert (stopped.kind, stopped.reason, stopped.cancelled) == ("decided", "it was enough", False)
    assert 1.0 <= stopped.at_s < 3.0
    assert (counts.planned, counts.failed, counts.cancelled, counts.unsent) == (counts.ok, 0, 0, 0)
    assert result.run.state == "complete"
    assert recording.manifest.window_end_ns == stopped.at_s * 1e9
    assert len(server.load) == counts.planned > 30
    assert words_of(result, "unsent", "arrivals", "accounting") == {"VALID"}


def some(number: int) -> Callable[[Received], list[Step]]:
    """A server that answers so many requests and then keeps silent."""
    return lambda request: clean() if request.number < number else [HANG]


def test_what_is_given_up_ends_the_window(tmp_path: Path) -> None:
    with serve(some(30)) as server:
        recording, result = steered(
            server.url, tmp_path / "run", stop_at(1.0, cancel=True), rate=60, duration_s=20, workers=2, ttft_ms=500
        )
    counts, inside = result.counts.run, result.counts.window
    assert (counts.ok, counts.unsent, counts.failed) == (30, 0, 0)
    assert counts.cancelled > 10
    assert (inside.planned, inside.ok) == (30, 30), "it ends before the first request that was given up"
    planned = recording.schedule(("planned_ns",))["planned_ns"]
    assert recording.manifest.window_end_ns == planned[30]
    assert result.goodput is not None and result.goodput.good == 30
    assert words_of(result, "unsent", "arrivals", "accounting") == {"VALID"}
    assert result.run.stopped is not None and result.run.stopped.cancelled


def test_a_request_given_up_inside_the_window_is_a_miss(tmp_path: Path) -> None:
    """Where the one who stops knows that the pending ones are overdue, its window may hold them."""

    def steer(view: View) -> Stop | None:
        return Stop("decided", "overdue", True, 1_000 * MS) if view.now_ns > 1_300 * MS else None

    with serve(some(30)) as server:
        _, result = steered(server.url, tmp_path / "run", steer, rate=60, duration_s=20, ttft_ms=200)
    inside = result.counts.window
    assert inside.cancelled > 0 and inside.ok == 30
    assert result.goodput is not None
    assert (result.goodput.good, result.goodput.planned) == (30, 30 + inside.cancelled)


def test_what_waits_in_the_client_is_given_up_too(tmp_path: Path) -> None:
    """A cap on the requests in flight keeps many from being sent: they were planned, so they are accounted for."""
    with serve(some(0)) as server:
        recording, result = steered(
            server.url, tmp_path / "run", stop_at(0.8, cancel=True), rate=60, concurrency=2, duration_s=20
        )
    counts = result.counts.run
    assert (counts.ok, counts.unsent, counts.planned) == (0, 0, counts.cancelled)
    assert len(server.load) == 2
    assert np.count_nonzero(np.isnan(recording.requests(("send_start_ns",))["send_start_ns"])) == counts.planned - 2


@pytest.mark.parametrize("limit", [{"duration_s": 20}, {"requests": 5000}])
def test_a_closed_loop_ends_its_users(tmp_path: Path, limit: dict[str, int]) -> None:
    with serve(lambda _: clean(4, ttft_s=0.05)) as server:
        _, result = steered(
            server.url, tmp_path / "run", stop_at(1.0, cancel=False), concurrency=4, workers=2, ramp_s=0.1, **limit
        )
    counts = result.counts.run
    assert counts.planned == counts.ok == len(server.load) > 20
    assert result.run.state == "complete"
    assert result.run.stopped is not None
    assert result.methodology.window.end_s == pytest.approx(result.run.stopped.at_s)
    assert words_of(result, "unsent", "accounting") == {"VALID"}
    (users,) = [check.value for check in result.verdict.checks if check.name == "concurrency"]
    assert users is not None and users > 0.9  # of 55 ms a reply, what is left is what a slow machine takes between two


def test_users_that_have_not_begun_are_not_waited_for(tmp_path: Path) -> None:
    with serve() as server:
        _, result = steered(
            server.url, tmp_path / "run", stop_at(0.5, cancel=False), concurrency=4, ramp_s=60, requests=1000
        )
    assert result.run.duration_s is not None and result.run.duration_s < 20


def test_an_end_of_what_has_been_sent_already_is_none(tmp_path: Path) -> None:
    """All is sent and only awaited: nothing is ended before its time, and nothing says so."""
    with serve(lambda _: clean(4, ttft_s=1.0)) as server:
        recording, result = steered(server.url, tmp_path / "run", stop_at(0.5, cancel=False), rate=100, requests=20)
    assert result.run.stopped is None and recording.manifest.window_end_ns is None
    assert result.counts.run.ok == 20


def test_what_is_awaited_may_be_given_up(tmp_path: Path) -> None:
    with serve(some(15)) as server:
        _, result = steered(server.url, tmp_path / "run", stop_at(1.0, cancel=True), rate=100, requests=20)
    counts = result.counts.run
    assert (counts.planned, counts.ok, counts.cancelled) == (20, 15, 5)
    assert result.counts.window.planned == 15


def test_ctrl_c_while_the_rest_is_awaited(tmp_path: Path) -> None:
    def interrupt(_: View) -> None:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()

    with serve(some(30)) as server:
        steer = stop_at(1.0, cancel=False, then=interrupt)
        _, result = steered(server.url, tmp_path / "run", steer, rate=60, duration_s=20, workers=2)
    assert result.run.state == "interrupted"
    assert result.run.stopped is not None
    counts = result.counts.run
    assert (counts.ok, counts.unsent) == (30, 0)
    assert counts.cancelled > 10


def test_the_outcomes_are_those_of_the_rows(tmp_path: Path) -> None:
    views: list[View] = []

    def script(request: Received) -> list[Step]:
        if request.number % 3 == 0:
            return [json_reply({"error": {"message": "no"}}, 500)]
        return clean(3, ttft_s=0.0 if request.number % 3 == 1 else 0.4)

    def steer(view: View) -> Stop | None:
        views.append(view)
        return None

    with serve(script) as server:
        recording, result = steered(server.url, tmp_path / "run", steer, rate=30, requests=60, ttft_ms=200, workers=2)
    times = [view.now_ns for view in views]
    assert 4 < len(times) < 60 and times == sorted(times)
    assert all(0 <= view.in_system <= 60 and view.ended <= view.issued for view in views)
    assert all((np.diff([view.outcomes[i] > 0 for view in views]) >= 0).all() for i in range(60)), "it stays"
    table = recording.requests(("request", "status", "planned_ns", "first_any_ns", "end_ns"))
    response = table["first_any_ns"] - table["planned_ns"]
    known = table["end_ns"] < times[-1] - 200 * MS
    said = views[-1].outcomes[table["request"].astype(int)]
    is_ok, quick = table["status"] == "ok", response <= 200 * MS
    expected = np.where(is_ok, np.where(quick, "met", "missed"), "failed")
    graded = [said == Outcome.FAILED, said > AT_LIMIT, said > Outcome.PENDING]
    words = np.select(graded, ["failed", "missed", "met"], "")
    assert (words[known] == expected[known]).all()
    assert set(Counter(expected.tolist())) == {"met", "missed", "failed"}
    assert result.run.stopped is None


def test_a_steer_that_fails_ends_the_run(tmp_path: Path) -> None:
    def steer(_: View) -> Stop | None:
        raise ZeroDivisionError

    with serve() as server, pytest.raises(ZeroDivisionError):
        run_load(short_spec(server.url, rate=20, duration_s=20), tmp_path / "run", lambda _: None, steer=steer)
    assert open_recording(tmp_path / "run").manifest.state != "running"
