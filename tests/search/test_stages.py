"""Stages against the embedded engine: what is written, what is kept, what goes on after trouble."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from short_stages import short_spec

from loadcell.errors import EndpointError, RecordingError, UsageError
from loadcell.load import Progress
from loadcell.recording.read import dump_json, open_recording, read_json, read_manifest
from loadcell.search import build_sweep, grid_of_flags, idle, plan_grid, read_stages, run_sweep
from loadcell.search import run as sweeping
from loadcell.search.folder import SWEEP, stage_name
from loadcell.search.grid import grid_of_tree
from loadcell.search.model import Ask, Plan, Stage, Sweep
from loadcell.search.stages import stage_spec
from loadcell.spec import Spec

SHORT_S = 0.4
"""Length of a stage."""


def plan_of(spec: Spec, rates: str = "20,30,40", stage_s: float = SHORT_S) -> Plan:
    return plan_grid(spec, grid_of_flags(rates, None), stage_s)[0]


def sweep(spec: Spec, plan: Plan, folder: Path, **options: Any) -> tuple[Sweep, list[Stage]]:
    told: list[Stage] = []
    return run_sweep(spec, plan, folder, lambda _: None, told.append, **options), told


def ask(number: int = 1, **fields: Any) -> Ask:
    return Ask(**{"number": number, "phase": "grid", "changes": {}, "level": None} | fields)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def done(url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sweep, list[Stage]]:
    """A sweep of three short stages."""
    folder = tmp_path_factory.mktemp("done") / "sweep"
    spec = short_spec(url)
    return folder, *sweep(spec, plan_of(spec), folder)


# --- what a stage is -------------------------------------------------------------------------------------------------


def test_a_stage_is_the_spec_with_its_changes() -> None:
    spec = short_spec("http://127.0.0.1:1")
    plan = plan_of(spec)
    asked = stage_spec(spec, plan, ask(3, changes={"load.rate": 7.0}, level=7.0))
    assert (asked.load.rate, asked.load.duration_s, asked.run.repetition, asked.run.seed) == (7, SHORT_S, 3, 0)
    assert stage_spec(spec, plan, ask(changes={"run.seed": 9, "load.duration_s": 5})).run.seed == 9
    assert stage_spec(spec, plan, ask(changes={"load.duration_s": 5})).load.duration_s == 5
    assert stage_spec(spec, plan, ask(warmup_s=0.1)).load.warmup_s == 0.1


def test_a_stage_that_runs_again_has_other_prompts_than_any_stage() -> None:
    """Neither those of the stage that was cut nor those of another one."""
    spec = short_spec("http://127.0.0.1:1")
    plan = plan_of(spec)
    seen = [stage_spec(spec, plan, ask(n), cuts).run.repetition for n in (1, 2, 500) for cuts in (0, 1, 2)]
    assert len(set(seen)) == len(seen)


def test_folders_say_what_is_in_them() -> None:
    spec = short_spec("http://127.0.0.1:1")
    plan = plan_of(spec)
    assert stage_name(plan, ask(3, level=12.5, changes={"load.rate": 12.5})) == "003-rate-12.5"
    assert stage_name(plan, ask(1, phase="floor", changes={"load.concurrency": 1})) == "001-floor"
    mixed = msgspec.structs.replace(plan, axis=None)
    changes = {"load.rate": 2.0, "workload.prompts": "../../etc/passwd", "endpoint.model": "a/b c"}
    found = stage_name(mixed, ask(1234, changes=changes))
    assert found.startswith("1234-rate-2.0-prompts-")
    assert "/" not in found
    assert len(found) <= 60


# --- a sweep ---------------------------------------------------------------------------------------------------------


def test_a_sweep_leaves_a_recording_a_stage_and_a_result(done: tuple[Path, Sweep, list[Stage]]) -> None:
    folder, found, told = done
    assert names(folder) == ["001-rate-20", "002-rate-30", "003-rate-40"]
    assert [stage.ask.level for stage in found.stages] == [20, 30, 40]
    assert told == found.stages == read_stages(folder)
    assert found.planned == 3
    assert found.found is None
    for stage in found.stages:
        assert stage.state == "complete"
        assert stage.point is not None
        assert stage.point.requests > 0
        assert stage.took_s is not None
        recording = open_recording(folder / stage.folder)
        assert recording.spec.load.rate == stage.ask.level
        assert recording.spec.run.repetition == stage.ask.number
        assert read_json(folder / stage.folder / "stage.json", Ask) == stage.ask
    assert found.took_s is not None
    assert found.took_s > sum(stage.took_s or 0 for stage in found.stages)


def test_the_result_is_a_function_of_the_folder(done: tuple[Path, Sweep, list[Stage]]) -> None:
    folder, found, _ = done
    assert build_sweep(folder) == found == build_sweep(folder)
    msgspec.json.decode(msgspec.json.encode(found), type=Sweep)


def test_stages_send_other_prompts_at_the_same_pattern(url: str, tmp_path: Path) -> None:
    spec = short_spec(url)
    spec = msgspec.structs.replace(spec, run=msgspec.structs.replace(spec.run, keep_text=True))
    grid = grid_of_tree({"stages": [{"load.rate": 30}, {"load.rate": 30, "load.timeout_s": 4}]}, "f")
    found, _ = sweep(spec, plan_grid(spec, grid, SHORT_S)[0], tmp_path / "s")
    first, second = (open_recording(tmp_path / "s" / stage.folder) for stage in found.stages)
    assert list(first.schedule(["planned_ns"])["planned_ns"]) == list(second.schedule(["planned_ns"])["planned_ns"])
    assert first.manifest.schedule_hash == second.manifest.schedule_hash
    assert first.manifest.bodies_hash != second.manifest.bodies_hash


def test_what_cannot_run_is_told_before_anything_does(tmp_path: Path) -> None:
    spec = short_spec("http://127.0.0.1:1")
    spec = msgspec.structs.replace(spec, run=msgspec.structs.replace(spec.run, workers=2))
    plan = plan_grid(spec, grid_of_flags(None, "4,1"), SHORT_S)[0]
    with pytest.raises(UsageError, match=r"stage 2 \(concurrency 1\): 2 workers cannot share 1 users"):
        sweep(spec, plan, tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.usefixtures("processes")
def test_nothing_is_left_where_the_first_stage_could_not_begin(tmp_path: Path) -> None:
    spec = short_spec("http://127.0.0.1:1")
    with pytest.raises(EndpointError, match="cannot connect"):
        sweep(spec, plan_of(spec), tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.usefixtures("alone")
def test_a_saturated_stage_ends_early_and_its_queue_is_gone_before_the_next(url: str, tmp_path: Path) -> None:
    """4 slots of 88 ms carry 45 requests/s: of 120 a queue of dozens is left when the stage is given up."""
    spec = short_spec(url)
    stages = [
        {"load.rate": 120, "workload.output_tokens": 40, "load.duration_s": 12},
        {"load.rate": 10, "workload.output_tokens": 8, "load.duration_s": 0.6},
    ]
    plan, _ = plan_grid(spec, grid_of_tree({"stages": stages}, "f"), SHORT_S)
    saturated, after = sweep(spec, plan, tmp_path / "s")[0].stages
    assert saturated.state == "complete"
    assert saturated.ended is not None
    assert saturated.took_s is not None
    assert saturated.took_s < 11
    assert after.ended is None
    assert after.point is not None
    first = after.point.ttft_ms["p50"].value
    assert first is not None
    assert first < 300  # not the second and more of a queue of dozens


def test_the_next_stage_waits_for_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until no more requests are there than before the sweep; not for ever."""
    spec, told = short_spec("http://127.0.0.1:1"), iter([5.0, 3.0, 1.0, 0.0])
    stage = Stage(ask=ask(), folder="", state="complete", ended="saturated", took_s=1, started_at="", point=None)
    waited: list[float] = []
    monkeypatch.setattr(idle.time, "sleep", waited.append)
    monkeypatch.setattr(idle, "requests_there", lambda _: next(told))
    assert idle.wait_idle(spec, 1.0, stage) is None
    assert len(waited) == 2
    monkeypatch.setattr(idle, "requests_there", lambda _: 5.0)
    monkeypatch.setattr(idle, "MOST_S", 0.0)
    note = idle.wait_idle(spec, 0.0, stage)
    assert note is not None
    assert "5 requests" in note


def test_without_a_page_a_stage_that_gave_up_requests_gets_a_pause(
    monkeypatch: pytest.MonkeyPatch, done: tuple[Path, Sweep, list[Stage]]
) -> None:
    spec, stage = short_spec("http://127.0.0.1:1"), done[1].stages[0]
    waited: list[float] = []
    monkeypatch.setattr(idle.time, "sleep", waited.append)
    assert idle.requests_there(spec) is None
    idle.wait_idle(spec, None, stage)
    idle.wait_idle(spec, None, msgspec.structs.replace(stage, ended="saturated"))
    assert waited == [0.0, 0.5]


def test_the_page_of_a_server_tells_of_its_requests(url: str) -> None:
    assert idle.requests_there(short_spec(url)) == 0.0


# --- going on --------------------------------------------------------------------------------------------------------


def cut(folder: Path, stage: str, state: str = "running") -> None:
    """Make a stage look as if its process had been killed."""
    manifest = read_manifest(folder / stage)
    manifest.state = state
    dump_json(folder / stage / "recording.json", manifest)


@pytest.fixture
def begun(done: tuple[Path, Sweep, list[Stage]], url: str, tmp_path: Path) -> tuple[Path, Spec, Plan]:
    """A sweep of three stages, of which the second was cut and the third never began."""
    folder, spec = tmp_path / "s", short_spec(url)
    shutil.copytree(done[0], folder)
    shutil.rmtree(folder / "003-rate-40")
    cut(folder, "002-rate-30")
    return folder, spec, plan_of(spec)


def test_whole_stages_are_kept_and_the_others_run(begun: tuple[Path, Spec, Plan]) -> None:
    folder, spec, plan = begun
    before = build_sweep(folder)
    assert [stage.state for stage in before.stages] == ["complete", "running"]
    assert any("stage 3 of 3 did not run" in finding for finding in before.findings)
    assert any("stage 2: the process was ended" in finding for finding in before.findings)
    first = (folder / "001-rate-20" / "recording.json").read_bytes()
    cut_id = read_manifest(folder / "002-rate-30").id
    found, told = sweep(spec, plan, folder, resume=True)
    assert names(folder) == ["001-rate-20", "002-rate-30", "002-rate-30.cut-1", "003-rate-40"]
    assert [stage.ask.number for stage in told] == [1, 2, 3]
    assert {stage.state for stage in found.stages} == {"complete"}
    assert (folder / "001-rate-20" / "recording.json").read_bytes() == first
    assert read_manifest(folder / "002-rate-30.cut-1").id == cut_id
    assert open_recording(folder / "002-rate-30").spec.run.repetition == 1002
    assert any("002-rate-30.cut-1" in finding for finding in found.findings)
    assert found == build_sweep(folder)


def test_a_finished_sweep_goes_on_with_nothing(done: tuple[Path, Sweep, list[Stage]], url: str) -> None:
    folder, found, _ = done
    spec = short_spec(url)
    again, told = sweep(spec, plan_of(spec), folder, resume=True)
    assert again == found
    assert told == found.stages


@pytest.mark.parametrize("broken", ["recording.json", "stage.json", "spec.json", "schedule.parquet"])
def test_a_damaged_stage_is_set_aside(begun: tuple[Path, Spec, Plan], broken: str) -> None:
    folder, _, plan = begun
    (folder / "001-rate-20" / broken).unlink()
    damaged = build_sweep(folder)
    assert not [stage for stage in damaged.stages if stage.ask.number == 1 and stage.point is not None]
    assert sweeping._kept(folder, plan) == []
    assert names(folder) == ["001-rate-20.cut-1", "002-rate-30.cut-1"]


def test_what_a_search_asked_for_after_a_stage_that_was_cut_goes_with_it(begun: tuple[Path, Spec, Plan]) -> None:
    """In a grid every stage stands for itself."""
    folder, _, plan = begun
    cut(folder, "002-rate-30", "complete")
    (folder / "001-rate-20" / "stage.json").write_text("{")
    assert [one.stage.ask.number for one in sweeping._kept(folder, plan)] == [2]
    (folder / "001-rate-20.cut-1").rename(folder / "001-rate-20")
    search = msgspec.structs.replace(plan, mode="search", stages=[])
    assert sweeping._kept(folder, search) == []
    assert names(folder) == ["001-rate-20.cut-1", "002-rate-30.cut-1"]


def test_another_plan_is_refused_by_what_differs(begun: tuple[Path, Spec, Plan], url: str) -> None:
    folder, spec, plan = begun
    slower = msgspec.structs.replace(spec, load=msgspec.structs.replace(spec.load, timeout_s=7))
    for other, words in (
        (plan_of(spec, "20,30,50"), "the stages .3 -> 3, from stage 3 on"),
        (plan_of(spec, "20,30,40", 1.0), "stage_s 0.4 -> 1"),
        (plan_of(slower, "20,30,40"), "load.timeout_s 20 -> 7"),
    ):
        with pytest.raises(UsageError, match=words):
            sweep(spec, other, folder, resume=True)
    assert names(folder) == ["001-rate-20", "002-rate-30"]
    newer = msgspec.structs.replace(plan, loadcell="9.9")
    assert SWEEP.keep(folder, newer) == plan


def test_a_folder_in_use_is_refused(begun: tuple[Path, Spec, Plan], tmp_path: Path) -> None:
    folder, spec, plan = begun
    with pytest.raises(RecordingError, match="--resume"):
        sweep(spec, plan, folder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    with pytest.raises(RecordingError, match="give --output a new folder"):
        sweep(spec, plan, tmp_path / "full")
    with pytest.raises(RecordingError, match="is not a sweep"):
        sweep(spec, plan, tmp_path / "full", resume=True)


def test_two_processes_do_not_share_a_sweep(begun: tuple[Path, Spec, Plan]) -> None:
    folder, spec, plan = begun
    with (
        SWEEP.own(folder, resume=True),
        pytest.raises(RecordingError, match="another process is at work"),
    ):
        sweep(spec, plan, folder, resume=True)


# --- trouble ---------------------------------------------------------------------------------------------------------

_KILLED = """
import sys
from pathlib import Path
from short_stages import short_spec
from test_stages import plan_of
from loadcell.search import run_sweep
spec = short_spec(sys.argv[1])
run_sweep(spec, plan_of(spec, "20,25,30", 0.8), Path(sys.argv[2]), lambda _: None, lambda _: None)
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_that_is_killed_goes_on(url: str, tmp_path: Path, sign: signal.Signals) -> None:
    """Killed, or interrupted by a person, in the load of its second stage."""
    folder = tmp_path / "s"
    words = [sys.executable, "-c", _KILLED, url, str(folder)]
    path = os.pathsep.join(sys.path)  # of the tests' kit, and of this file
    process = subprocess.Popen(words, process_group=0, env=os.environ | {"PYTHONPATH": path})
    try:
        limit_s = time.monotonic() + 60
        while not (folder / "002-rate-25" / "recording.json").exists():
            assert process.poll() is None
            assert time.monotonic() < limit_s
            time.sleep(0.02)
        time.sleep(0.3)  # its load has begun
        os.kill(process.pid, sign)
        process.wait(30)
    finally:
        process.kill()
        process.wait()
    state = {signal.SIGKILL: "running", signal.SIGINT: "interrupted"}[sign]
    left = build_sweep(folder)
    assert [stage.state for stage in left.stages] == ["complete", state]
    assert any("stage 3 of 3 did not run" in finding for finding in left.findings)
    if sign == signal.SIGINT:
        return
    spec = short_spec(url)
    found, _ = sweep(spec, plan_of(spec, "20,25,30", 0.8), folder, resume=True)
    assert [stage.state for stage in found.stages] == ["complete"] * 3
    assert names(folder) == ["001-rate-20", "002-rate-25", "002-rate-25.cut-1", "003-rate-30"]


@pytest.mark.usefixtures("processes")
def test_an_endpoint_that_dies_leaves_the_stages_before(tmp_path: Path) -> None:
    """The stage in which it died shows a dying server: it is set aside, and runs again."""
    folder = tmp_path / "s"
    server, url = start_server("0")
    spec = short_spec(url)
    plan = plan_of(spec, "20,30,40", 1.0)
    second = False

    def on_ask(asked: Ask) -> None:
        nonlocal second
        second = asked.number == 2

    def watch(now: Progress) -> None:
        if second and now.stage == "load" and now.elapsed_s > 0.4:
            server.kill()

    try:
        with pytest.raises(EndpointError) as caught:
            run_sweep(spec, plan, folder, watch, lambda _: None, on_ask=on_ask)
    finally:
        end(server)
    words = str(caught.value)
    assert "002-rate-30.cut-1" in words
    assert f"1 stage is kept in {folder}" in words
    assert f"loadcell sweep {folder} --resume" in words
    assert [stage.ask.number for stage in build_sweep(folder).stages] == [1]
    server, _ = start_server(url.rpartition(":")[2].strip("/"))
    try:
        found, _ = sweep(spec, plan, folder, resume=True)
    finally:
        end(server)
    assert [stage.ask.number for stage in found.stages] == [1, 2, 3]
    assert all(stage.point is not None and stage.point.failed_share == 0 for stage in found.stages)


@pytest.mark.usefixtures("processes")
def test_a_server_that_fails_every_request_ends_the_sweep(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    server, url = start_server("0", "--error-rate", "1")
    spec = short_spec(url)
    try:
        with pytest.raises(EndpointError, match="no request of stage 1 succeeded"):
            sweep(spec, plan_of(spec), folder)
    finally:
        end(server)
    assert names(folder) == ["001-rate-20"]


def start_server(port: str, *flags: str) -> tuple[subprocess.Popen[str], str]:
    """An engine that may die."""
    words = [sys.executable, "-m", "loadcell", "serve", "--port", port, "--slots", "4", "--ttft", "10ms", *flags]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, process_group=0)
    assert process.stdout is not None
    return process, process.stdout.readline().split()[2]


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
