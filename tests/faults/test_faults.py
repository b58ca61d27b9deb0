"""What goes wrong with the instrument or the server shows in the recording and in the verdict."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_client import Start
from fault_runs import ENGINE, run_with, worker_with, workers

from loadcell.compiled import CHOICE
from loadcell.load.host import allowed_cores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="faults and what shows them are Linux's")


def test_a_worker_that_is_stopped_for_200_ms(start: Start, tmp_path: Path) -> None:
    def stop() -> None:
        (pid,) = workers()
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.2)
        os.kill(pid, signal.SIGCONT)

    ran = run_with(start(*ENGINE), tmp_path / "run", {1.0: stop})
    # Of a stop inside a poll, the part shows that is beyond the poll's own patience.
    assert any(140 < length < 1000 for length in ran.stalls_ms())
    assert ran.result.verdict.word != "VALID"
    assert ran.word("stall") == "NOTED"
    assert ran.reason("stood still"), ran.result.verdict.reasons


GARBAGE = """
import ctypes, gc, threading
from loadcell.load.audit import Audit

hold, begin = ctypes.PyDLL(None).usleep, Audit.begin  # PyDLL keeps the interpreter lock

def collect_after_a_second(audit, t0_ns):
    begin(audit, t0_ns)
    gc.callbacks.append(lambda phase, _: phase == "start" and hold(2_000_000))
    threading.Timer(1.0, gc.collect).start()

Audit.begin = collect_after_a_second
"""


def test_a_garbage_collection_of_two_seconds(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker_with(monkeypatch, GARBAGE)
    ran = run_with(start(*ENGINE), tmp_path / "run", duration_s=4.0)
    (audit,) = ran.audits
    assert audit["gc_pauses"] == 1
    assert 2e9 < audit["gc_pause_max_ns"] < 4e9
    assert max(ran.stalls_ms()) > 2000
    assert ran.result.verdict.word == "INVALID"
    assert ran.word("stall") == "NOTED"
    assert "garbage collection" in ran.reason("stood still")


def test_busy_neighbours_on_the_core_of_the_worker(start: Start, tmp_path: Path) -> None:
    cores = allowed_cores()
    if len(cores) < 2:
        pytest.skip("takes two cores")
    engine = start(*ENGINE, "--cpu", str(cores[0]))
    spin = f"import os\nos.sched_setaffinity(0, {{{cores[-1]}}})\nwhile True: pass"
    neighbours = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(2)]
    try:
        ran = run_with(engine, tmp_path / "run", concurrency=32)
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()
    (audit,) = ran.audits
    assert audit["cpu"] == cores[-1]
    if audit["core_wait_ns"] is not None:
        assert audit["core_wait_ns"] > 0.05 * audit["load_ns"]
    assert ran.result.verdict.word != "VALID"
    assert ran.reason("waited for a core", "put aside")


CLOCK = """
from time import monotonic_ns
from loadcell.core import native, reader
from loadcell.load import worker

time_ns, offset, run, turn = reader.time_ns, reader.clock_offset, worker.Worker.run, native.NativeReader.turn
began = monotonic_ns()

def moved():
    return 100_000 if 1e9 < monotonic_ns() - began < 2e9 else 0

def begin(self, t0_ns):
    global began
    began = t0_ns
    run(self, t0_ns)

def skewed(self, until_ns, *, wait):
    self._of.skew = moved()
    return turn(self, until_ns, wait=wait)

reader.time_ns, reader.clock_offset = lambda: time_ns() + moved(), lambda: offset() + moved()
worker.Worker.run, native.NativeReader.turn = begin, skewed
"""


@pytest.mark.parametrize("form", ["auto", "no"])
def test_a_wall_clock_that_is_stepped_twice(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """0.1 ms ahead for a second: enough to be a step, and a stamp that is moved by so much still looks like one."""
    monkeypatch.setenv(CHOICE, form)
    worker_with(monkeypatch, CLOCK)
    ran = run_with(start(*ENGINE), tmp_path / "run")
    (audit,) = ran.audits
    assert audit["clock_steps"] == 2
    assert ran.result.verdict.word != "VALID"
    assert ran.word("clock_steps") == "SUSPECT"
    assert "2 times" in ran.reason("stepped")


def test_a_server_that_is_gone_for_a_second(start: Start, tmp_path: Path) -> None:
    engine = start(*ENGINE)

    def kill() -> None:
        engine.process.kill()
        engine.process.wait()

    ran = run_with(engine, tmp_path / "run", {1.0: kill, 2.0: lambda: start(*ENGINE, "--port", str(engine.port))})
    assert ran.manifest.state == "complete"
    kinds = {failure.kind: failure.count for failure in ran.result.errors}
    assert kinds["connect"] >= 8
    assert kinds.keys() & {"reset", "cut"}
    assert any("nothing listens there" in (failure.sample or "") for failure in ran.result.errors)
    assert ran.result.instrument.connections.no_ports == 0
    assert ran.result.verdict.word != "VALID"
    inside = ran.result.counts.window
    assert ran.word("failures") == ("INVALID" if inside.failed > inside.planned / 2 else "SUSPECT")
    assert ran.reason("requests failed")


def test_a_worker_of_two_that_is_killed(start: Start, tmp_path: Path) -> None:
    ran = run_with(start(*ENGINE), tmp_path / "run", {1.0: lambda: os.kill(workers()[0], signal.SIGKILL)}, workers=2)
    assert ran.manifest.state == "broken"
    dead, alive = sorted(ran.audits, key=lambda audit: audit["died"] is None)
    assert dead["died"] == "signal 9 (SIGKILL)"
    assert dead.keys() == {"worker", "issued", "beyond", "died"}, "what a dead worker cannot tell is missing, not 0"
    assert alive["reads"] > 0
    assert ran.result.verdict.word == "INVALID"
    assert "SIGKILL" in ran.result.verdict.reasons[0]
