"""No work for the fastest conceivable server before the first send: requests are made ahead of their use."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from contract_runs import Ran, Run, run_once, short_spec
from scripted import Received, Scripted, Step, clean, serve

from loadcell.cli.liveview import log_line
from loadcell.load import Progress, feeder, fleet, head
from loadcell.load.progress import Making

pytestmark = pytest.mark.usefixtures("alone")

SLOW = "import sys, time\nimport loadcell.load.feeder as f\nmake = f.make\n"
MB = 1_000_000
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def sent_to(server: Scripted) -> dict[int, bytes]:
    """The body of each request, as the server got it."""
    return {request.number: request.body for request in server.load}


@pytest.fixture
def few_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the first sends need is made before the load."""
    monkeypatch.setattr(head, "_LEAST_BYTES", 0)
    monkeypatch.setattr(head, "_LONGEST_NS", 0)
    monkeypatch.setattr(head, "first_rows", lambda _, users, *more: users)


def made_by(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """A feeder whose `make` is another."""
    monkeypatch.setattr(feeder, "COMMAND", (sys.executable, "-c", SLOW + code + "\nf.make = slow\nsys.exit(f.main())"))


# --- the example -----------------------------------------------------------------------------------------------------


def held(pid: int) -> int:
    """Bytes on the disk of the nameless files that a process holds."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if "(deleted)" in str(entry.readlink()):
                seen = entry.stat()
                found[seen.st_ino] = seen.st_blocks * 512
        except OSError:  # closed meanwhile
            continue
    return sum(found.values())


@LINUX
def test_long_prompts_and_short_replies_begin_at_once(tmp_path: Path) -> None:
    """32,000 tokens in, 1 out, 8 users, 10 s: 13,342 rows, of which a server of 0.5 s takes 160: 30 MB, not 2.5 GB."""
    seen: list[int] = []
    process: subprocess.Popen[bytes] | None = None

    def script(request: Received) -> list[Step]:
        assert process is not None
        request.body = b""
        seen.append(held(process.pid))
        return clean(1, 0.5)

    folder = tmp_path / "run"
    words = ["--concurrency", "8", "--duration", "10s", "--input-tokens", "32000", "--output-tokens", "1"]
    with serve(script, probe=lambda _: clean(1, 0.5)) as server:
        command = [sys.executable, "-m", "loadcell", "run", server.url, *words, "--output", str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        limit = time.monotonic() + 60
        while len(seen) < 24 and process.poll() is None and time.monotonic() < limit:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    rows = json.loads((folder / "recording.json").read_bytes())["effective"]["rows"]
    assert rows == 13_342 and len(seen) >= 24
    assert max(seen) < 120 * MB


@LINUX
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left_of_a_run_that_was_ended_while_it_prepared(tmp_path: Path, sign: signal.Signals) -> None:
    """An open loop whose first 20 s are 2,000 long prompts: no folder, no file, no process, no traceback."""
    folder = tmp_path / "run"
    words = ["--rate", "100", "--duration", "60s", "--input-tokens", "32000", "--output", str(folder)]
    with serve() as server:
        command = [sys.executable, "-m", "loadcell", "run", server.url, *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        limit = time.monotonic() + 60
        while held(process.pid) < 3 * MB and process.poll() is None and time.monotonic() < limit:
            time.sleep(0.02)
        workers = psutil.Process(process.pid).children()
        assert workers and folder.exists()
        process.send_signal(sign)
        said = process.communicate(timeout=60)[0]
        while (folder.exists() or alive(workers)) and time.monotonic() < limit:
            time.sleep(0.02)
        assert server.load == []
    assert list(tmp_path.iterdir()) == [] and not alive(workers)
    assert b"Traceback" not in said and b"Error" not in said


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


# --- who makes a request changes nothing -----------------------------------------------------------------------------


def test_the_same_requests_whoever_makes_them(run: Run, request: pytest.FixtureRequest) -> None:
    """All before the load by one worker; most of them while it runs, for two: equal bytes, equal hashes."""
    fields = {"requests": 30, "concurrency": 4, "salt": "same", "input_tokens": "uniform:20,60"}
    with serve() as server:
        before = run(server.url, **fields)
        first = sent_to(server)
    request.getfixturevalue("few_before")
    with serve() as server:
        while_ = run(server.url, **fields, workers=2)
        second = sent_to(server)
    assert before.result.instrument.feeding is None
    made = while_.result.instrument.feeding
    assert made is not None and made.made == 26 and made.cpu_s > 0 and made.bytes > 26 * 100
    assert while_.statuses == before.statuses == ["ok"] * 30
    assert second == first and len(set(first.values())) == 30
    assert while_.manifest.bodies_hash == before.manifest.bodies_hash
    assert while_.manifest.schedule_hash == before.manifest.schedule_hash


@pytest.mark.usefixtures("few_before")
def test_lines_of_a_file_take_the_same_way(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"line {i}"}) + "\n" for i in range(7)))
    with serve() as server:
        ran = run(server.url, prompts=str(file), requests=40, concurrency=4)
        said = {request.number: request.json()["messages"][0]["content"] for request in server.load}
    assert said == {row: f"line {row % 7}" for row in range(40)}
    assert ran.result.instrument.feeding is not None


@pytest.mark.usefixtures("few_before")
def test_an_open_loop_is_fed_by_its_plan(run: Run) -> None:
    with serve() as server:
        ran = run(server.url, rate=40.0, requests=40)
        assert sorted(request.number for request in server.load) == list(range(40))
    assert ran.statuses == ["ok"] * 40


# --- too slow, and dead ----------------------------------------------------------------------------------------------

WAIT_S = 1.0


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_before: None) -> Ran:
    """2 users whose third request is made a second after the load began."""
    made_by(
        monkeypatch,
        "def slow(feed, live):\n    while not live.t0_ns: time.sleep(0.01)\n"
        f"    time.sleep({WAIT_S})\n    make(feed, live)",
    )
    with serve() as server:
        return run_once(server.url, tmp_path / "late", requests=12, concurrency=2)


def test_a_request_that_was_not_made_in_time_is_late_and_counted(late: Ran) -> None:
    assert late.statuses == ["ok"] * 12
    made = late.result.instrument.feeding
    assert made is not None and made.late is not None and 2 <= made.late <= 12
    assert made.wait_s is not None and made.wait_s > WAIT_S - 0.5
    waited = [row["send_start_ns"] - row["ready_ns"] for row in late.rows]
    assert max(waited) > (WAIT_S - 0.5) * 1e9 and min(waited[:2]) < (WAIT_S - 0.5) * 1e9
    (check,) = [check for check in late.result.verdict.checks if check.name == "requests_made"]
    assert check.word == "SUSPECT" and "they were not made yet when they were due" in check.says
    assert check.value == made.late / 12
    # Users stood still for want of requests: that is what is said of them, not that the run was too short.
    (level,) = [check for check in late.result.verdict.checks if check.name == "concurrency"]
    assert level.word in ("SUSPECT", "INVALID") and level.advice is not None
    assert level.advice.startswith("users waited for their requests to be made")


@pytest.mark.usefixtures("few_before")
def test_a_maker_that_dies_ends_the_run_and_says_why(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_by(
        monkeypatch,
        "def slow(feed, live):\n    while not live.t0_ns: time.sleep(0.01)\n"
        "    raise OSError(28, 'No space left on device')",
    )
    with serve() as server:
        ran = run(server.url, requests=12, concurrency=2)
    assert ran.manifest.state == "broken"
    assert "the request bodies could not be made: No space left on device" in ran.manifest.invalid
    assert ran.result.verdict.word == "INVALID"


# --- the making is shown ---------------------------------------------------------------------------------------------


def test_a_long_making_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open loop of 20 requests of 2,000 tokens: count, size and time left are told."""
    monkeypatch.setattr(head, "_TELL_NS", 0)
    seen: list[Progress] = []
    with serve() as server:
        spec = short_spec(server.url, rate=100.0, requests=20, input_tokens="2000")
        fleet.run_load(spec, tmp_path / "run", seen.append)
    told = [now.making for now in seen if now.making is not None]
    assert told and all(now.stage == "prepare" for now in seen if now.making)
    assert [now.rows for now in told] == sorted(now.rows for now in told)
    assert told[-1].rows >= 19 and all(now.of == 20 for now in told)
    assert all(7_000 * now.rows < now.bytes < 16_000 * now.rows for now in told[1:])
    assert log_line(Progress("prepare", making=Making(1240, 3200, 236_000_000, 5.2))) == (
        "making the schedule ..., 1,240 of 3,200 requests (236 MB), 5 s left"
    )
