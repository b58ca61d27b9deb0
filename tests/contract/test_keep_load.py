"""The load stays on beyond the end of a duration until the last counted reply has ended; nothing of it is counted."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_runs import Ran, Run, short_spec
from scripted import HANG, Received, Script, Step, clean, json_reply, serve
from test_endings import Start, stack, start, wait_for  # noqa: F401

import loadcell.load.ending
from loadcell.cli.main import main
from loadcell.metrics import build_result
from loadcell.recording.read import open_recording
from loadcell.spec import with_defaults
from loadcell.workload import plan

pytestmark = pytest.mark.usefixtures("alone")

MS = 1_000_000


def beyond(ran: Ran) -> list[dict[str, Any]]:
    return [row for row in ran.rows if not row["counted"]]


def counted(ran: Ran) -> list[dict[str, Any]]:
    return [row for row in ran.rows if row["counted"]]


def slow_one(number: int, slow_s: float, other: Script = lambda _: clean(4, ttft_s=0.1)) -> Script:
    """All but one request are answered soon."""
    return lambda request: clean(4, ttft_s=slow_s) if request.number == number else other(request)


def check_kept(ran: Ran, end_ns: int) -> None:
    """What holds for every run whose load was kept on: which requests are counted, and what is counted of them."""
    when = "planned_ns" if ran.manifest.loop == "open" else "ready_ns"
    assert all(row[when] < end_ns for row in counted(ran))
    assert all(row[when] >= end_ns for row in beyond(ran))
    counts = ran.result.counts
    assert counts.run.planned == len(counted(ran)) == counts.run.ok
    assert counts.beyond == len(beyond(ran)) > 0
    assert ran.result.invalid == [] and ran.manifest.state == "complete"
    assert ran.manifest.window_end_ns == end_ns


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("load", [{"concurrency": 8}, {"rate": 60.0}], ids=["closed", "open"])
def test_the_load_stays_on_until_the_last_counted_reply(run: Run, workers: int, load: dict[str, float]) -> None:
    with serve(slow_one(20, 1.2)) as server:
        ran = run(server.url, duration_s=1.0, workers=workers, **load)
    check_kept(ran, 1_000 * MS)
    last = max(row["end_ns"] for row in counted(ran))
    assert last > 1_200 * MS, "the slow one was sent before the end"
    assert {row["status"] for row in beyond(ran)} == {"ok", "cancelled"}
    assert all(row["send_start_ns"] < last + 150 * MS for row in beyond(ran))
    assert max(row["end_ns"] for row in beyond(ran)) < last + 250 * MS
    for share in (0.25, 0.5, 0.75):  # while the slow one is awaited, others are in flight
        at = 1e9 + share * (last - 1e9)
        assert sum(row["send_start_ns"] <= at < row["end_ns"] for row in ran.rows) >= 2
    assert ran.manifest.effective["keep_load"] is True


def test_failures_beyond_the_end_are_shown_and_not_counted(run: Run) -> None:
    """From the eighth on every request is refused, but the fourth is still awaited."""

    def script(request: Received) -> list[Step]:
        return clean(4, ttft_s=0.5) if request.number < 7 else [json_reply({"error": {"message": "full"}}, 503)]

    with serve(slow_one(3, 1.2, script)) as server:
        ran = run(server.url, concurrency=4, duration_s=0.8)
    counts = ran.result.counts
    assert counts.run.failed == 0 and ran.kinds() == {}
    assert counts.beyond_failed > 0
    assert {row["error_kind"] for row in beyond(ran) if row["status"] == "failed"} == {"http_503"}


def test_the_load_stays_on_for_one_more_run_length_at_most(run: Run) -> None:
    with serve(slow_one(5, 2.0)) as server:
        ran = run(server.url, concurrency=4, duration_s=0.5)
    check_kept(ran, 500 * MS)
    assert max(row["ready_ns"] for row in beyond(ran)) < 1_000 * MS
    assert max(row["end_ns"] for row in counted(ran)) > 1_900 * MS, "and the slow one is awaited all the same"


def test_one_that_never_ends_is_awaited_until_its_timeout(run: Run) -> None:
    with serve(slow_one(5, 0.1, lambda _: clean(4, ttft_s=0.1))) as server:
        hang = run(server.url, concurrency=2, duration_s=0.3, timeout_s=1)
    assert hang.result.counts.run.failed == 0
    with serve(lambda r: [HANG] if r.number == 2 else clean(4, ttft_s=0.1)) as server:
        ran = run(server.url, concurrency=2, duration_s=0.5, timeout_s=1)
    assert ran.kinds() == {"timeout": 1}
    assert ran.result.counts.beyond > 0 and ran.result.counts.beyond_failed == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"concurrency": 2, "requests": 6},
        {"concurrency": 2, "requests": 1000, "duration_s": 0.4},
        {"rate": 40.0, "requests": 10},
        {"concurrency": 2, "duration_s": 0.3, "min_requests": 4},
        {"concurrency": 2, "duration_s": 0.3, "lockstep": True},
        {"concurrency": 2, "duration_s": 0.4, "keep_load": False},
        {"rate": 40.0, "duration_s": 0.4, "keep_load": False},
    ],
    ids=str,
)
def test_nothing_is_sent_beyond_another_end(run: Run, fields: dict[str, Any]) -> None:
    with serve(slow_one(1, 0.8)) as server:
        ran = run(server.url, **fields)
    assert beyond(ran) == [] and ran.result.counts.beyond == 0
    assert len(server.load) == ran.result.counts.run.planned
    assert ran.manifest.effective["keep_load"] is False


@pytest.mark.parametrize("arrivals", ["poisson", "constant", "gamma:2"])
@pytest.mark.parametrize("ramp_s", [0.0, 5.0])
def test_an_open_loop_counts_the_same_schedule_whether_its_load_is_kept_on_or_not(arrivals: str, ramp_s: float) -> None:
    fields = {"rate": 30.0, "arrivals": arrivals, "duration_s": 20.0, "ramp_s": ramp_s, "output_tokens": "uniform:1,9"}
    kept, cut = (plan(with_defaults(short_spec("http://h:1", keep_load=keep, **fields))) for keep in (True, False))
    count = cut.schedule.planned
    assert count == kept.schedule.planned == len(cut.schedule) < len(kept.schedule)
    assert kept.schedule.hash == cut.schedule.hash
    assert cut.schedule.planned_ns is not None and kept.schedule.planned_ns is not None
    assert np.array_equal(kept.schedule.planned_ns[:count], cut.schedule.planned_ns)
    assert np.array_equal(kept.schedule.output_tokens[:count], cut.schedule.output_tokens)
    assert list(kept.prompts)[:count] == list(cut.prompts)
    assert kept.schedule.planned_ns[count] >= 20e9
    assert kept.schedule.planned_ns[-1] < 25e9, "a request takes 5 s at most, so no counted one ends later"


def test_an_interruption_beyond_the_end_keeps_everything_and_ends_at_once(start: Start) -> None:  # noqa: F811
    with serve(slow_one(3, 60.0)) as server:
        words = ("--concurrency", "4", "--duration", "1s", "--output-tokens", "4", "--workers", "1", "--ramp", "0s")
        command = start(server.url, *words)
        wait_for(lambda: len(server.load) > 34)  # 3 users, ten a second: the second is over
        wait_for(lambda: list(command.folder.glob("requests-*")) or len(server.load) > 44)
        command.process.send_signal(signal.SIGINT)
        code, _, errors = command.end()
    assert code == 130, errors
    recording = open_recording(command.folder)
    result = build_result(recording)
    counts = result.counts
    assert command.state() == "interrupted"
    assert counts.run.cancelled == 1 and counts.run.ok > 15 and counts.run.failed == 0
    assert counts.beyond > 0 and counts.run.planned + counts.beyond == len(server.load)
    assert result.invalid == []


def test_a_worker_that_dies_beyond_the_end_has_lost_counted_requests_only(start: Start) -> None:  # noqa: F811
    """The slow one is lost; what kept the load on beside it is not missed."""
    with serve(slow_one(3, 60.0)) as server:
        words = ("--rate", "20", "--duration", "1s", "--output-tokens", "4", "--workers", "1", "--arrivals", "constant")
        command = start(server.url, *words)
        wait_for(lambda: len(server.load) > 24)  # twenty are counted
        for pid in command.workers():
            os.kill(pid, signal.SIGKILL)
        command.end()
    result = command.result()
    assert command.state() == "broken"
    assert result.counts.run.planned == 20 and result.counts.run.unsent == 0
    assert not any("close" in reason for reason in result.invalid)


# --- a run without an end --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("load", [{"concurrency": 4}, {"rate": 40.0}], ids=["closed", "open"])
def test_a_run_without_an_end_ends_itself(
    run: Run, monkeypatch: pytest.MonkeyPatch, load: dict[str, float], keep: bool
) -> None:
    """Replies of 0.3 s, with half a second for 30 s: the run ends after 4 E2E, 1.2 s, at its ramp's end and on."""
    monkeypatch.setattr(loadcell.load.ending, "LEAST_DURATION_S", 0.5)
    with serve(lambda _: clean(4, ttft_s=0.3)) as server:
        ran = run(server.url, ramp_s=0.2, duration_most_s=8.0, keep_load=keep, **load)
    length_s = ran.manifest.effective["duration_s"]
    assert length_s == pytest.approx(0.2 + 4 * 0.306, abs=0.25)
    assert ran.manifest.state == "complete" and ran.manifest.stopped is None
    assert ran.recording.spec.load.duration_s is None and ran.recording.spec.load.duration_most_s == 8.0
    assert ran.manifest.window_end_ns == round(length_s * 1e9)
    counts = ran.result.counts
    assert counts.run.planned == counts.run.ok and counts.run.unsent == 0
    assert (counts.beyond > 0) is keep
    if keep:
        check_kept(ran, round(length_s * 1e9))
    assert len(server.load) == counts.run.planned + counts.beyond


def test_a_run_without_an_end_goes_on_to_its_bound_while_nothing_ends(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loadcell.load.ending, "LEAST_DURATION_S", 0.2)
    with serve(lambda _: clean(4, ttft_s=1.4)) as server:
        ran = run(server.url, concurrency=2, duration_most_s=1.0)
    assert ran.manifest.effective["duration_s"] == 1.0
    assert ran.result.counts.run.ok == 2


def test_failures_alone_do_not_keep_a_run_going(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loadcell.load.ending, "LEAST_DURATION_S", 0.6)
    with serve(lambda _: [json_reply({"error": {"message": "no"}}, 500)]) as server:
        ran = run(server.url, concurrency=2, duration_most_s=20.0)
    assert ran.manifest.effective["duration_s"] == pytest.approx(0.6, abs=0.2)


def test_a_run_that_has_no_more_requests_tells_how_long_it_was(run: Run) -> None:
    """Replies of one token are sooner than any of 2,000 can be: "300 s (ended by itself)" was said of 27 s."""
    with serve(lambda _: clean(1, ttft_s=0.0)) as server:
        ran = run(server.url, concurrency=2, duration_most_s=100.0, output_tokens="2000")
    assert any("the schedule ran out" in note for note in ran.manifest.notes)
    took_s = ran.manifest.ended_ns / 1e9
    assert took_s < 20
    assert ran.manifest.effective["duration_s"] == pytest.approx(took_s)
    assert ran.result.methodology.window.end_s <= took_s


def test_users_start_over_one_e2e_of_the_probe(run: Run) -> None:
    """0.2 s and three gaps of 50 ms: 0.35 s, a tenth of ten rounds. What is asked for stays: nothing."""
    with serve(probe=lambda _: clean(2, ttft_s=0.2, gap_s=0.05)) as server:
        ran = run(server.url, concurrency=4, requests=40, ramp_s=None)
    ramp_s = ran.manifest.effective["ramp_s"]
    assert ramp_s == pytest.approx(0.35, rel=0.3)
    assert ran.recording.spec.load.ramp_s is None
    ready = sorted(row["ready_ns"] / 1e9 for row in ran.rows if row["ready_ns"] % int(ramp_s / 4 * 1e9) < 4)
    assert ready[:4] == pytest.approx([0, ramp_s / 4, ramp_s / 2, ramp_s * 3 / 4], abs=1e-6)


def test_the_flag_ends_the_load_with_its_sending(tmp_path: Path) -> None:
    words = ("--duration", "0.5s", "--concurrency", "2", "--input-tokens", "8", "--output-tokens", "4", "--no-html")
    with serve(slow_one(3, 1.0)) as server:
        main(["run", server.url, *words, "--no-keep-load", "--output", str(tmp_path / "cut")])
        main(["run", server.url, *words, "--output", str(tmp_path / "kept")])
    cut, kept = (open_recording(tmp_path / name).requests(("counted",))["counted"] for name in ("cut", "kept"))
    assert cut.all() and not kept.all()
