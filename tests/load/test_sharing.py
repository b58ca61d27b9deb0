"""What a load takes from a server beside it, by the counts of the system."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loadcell.load.sharing import Sharing, pressure_ns, thread_waits, with_children
from loadcell.metrics.sharing import CPU, PRESSURE, WAITED, taken

pytestmark = pytest.mark.usefixtures("alone")

linux = pytest.mark.skipif(sys.platform != "linux", reason="the counts are Linux's")


def threads(folder: Path, pid: int, counts: dict[int, str]) -> None:
    for thread, text in counts.items():
        task = folder / str(pid) / "task" / str(thread)
        task.mkdir(parents=True)
        (task / "schedstat").write_text(text)


def test_run_delay_of_threads(tmp_path: Path) -> None:
    threads(tmp_path, 7, {7: "100 30 5\n", 8: "10 4 1\n", 9: "0 0 0\n"})
    assert thread_waits({7, 99}, tmp_path) == {(7, 7): 30, (7, 8): 4}, "of a kernel that keeps no count, nothing"


def test_pressure(tmp_path: Path) -> None:
    file = tmp_path / "cpu"
    assert pressure_ns(file) is None
    file.write_text("some avg10=1.00 avg60=0.00 avg300=0.00 total=1234\nfull avg10=0 avg60=0 avg300=0 total=9\n")
    assert pressure_ns(file) == 1_234_000
    file.write_text("")
    assert pressure_ns(file) is None


@linux
def test_a_server_is_all_the_processes_that_it_started() -> None:
    nested = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(30)'])"
    with subprocess.Popen([sys.executable, "-c", nested]) as child:
        try:
            until = time.monotonic() + 20
            while len(family := with_children({child.pid})) < 2 and time.monotonic() < until:
                time.sleep(0.05)
            assert child.pid in family and len(family) == 2
            assert family < with_children({os.getpid()})
        finally:
            for pid in family - {child.pid}:
                os.kill(pid, 9)
            child.kill()


@linux
def test_a_server_that_waits_for_a_core_is_seen_to() -> None:
    """A process that listens and spins on the one core that this one spins on waits for half of the time."""
    listens = (
        "import os, socket, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\n"
        "s = socket.create_server(('127.0.0.1', 0))\n"
        "print(s.getsockname()[1], flush=True)\nwhile True: pass"
    )
    mine = os.sched_getaffinity(0)
    core = min(mine)
    with subprocess.Popen([sys.executable, "-c", listens, str(core)], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            sharing = Sharing((socket.AF_INET, ("127.0.0.1", int(server.stdout.readline()))))
            os.sched_setaffinity(0, {core})
            sharing.begin()
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                sharing.look()
            sharing.end()
        finally:
            os.sched_setaffinity(0, mine)
            server.kill()
    told = sharing.told
    assert told is not None
    assert told["server_wait_ns"] > 0.25 * told["load_ns"]
    assert 0 < told["parent_cpu_ns"] <= told["load_ns"], "on one core, and others are there too"


def host(**counts: int | None) -> dict[str, object]:
    return {"sharing": {"load_ns": 1000, "parent_cpu_ns": 10} | counts}


@pytest.mark.parametrize(
    ("waited", "pressure", "spent", "share", "by"),
    [
        (5, 70, 3e-8, 0.005, WAITED), (50, 20, 3e-8, 0.02, PRESSURE), (50, 70, 3e-8, 0.04, CPU),
        (None, 20, None, 0.02, PRESSURE), (None, None, 3e-8, 0.04, CPU),
    ],
)  # fmt: skip
def test_the_least_bound_counts(
    waited: int | None, pressure: int | None, spent: float | None, share: float, by: str
) -> None:
    found = taken(host(server_wait_ns=waited, pressure_ns=pressure), [{"cpu_s": spent}])
    assert found is not None and found.share == pytest.approx(share) and found.by == by


def test_nothing_is_told_where_nothing_is_known() -> None:
    assert taken({}, [{"cpu_s": 1.0}]) is None
    assert taken({"sharing": None}, []) is None
    assert taken(host(server_wait_ns=None, pressure_ns=None), [{"cpu_s": None}]) is None
    assert taken(host(server_wait_ns=None, pressure_ns=None), []) is None
