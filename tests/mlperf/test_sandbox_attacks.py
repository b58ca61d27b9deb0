"""What a hostile program tries in the sandbox: system calls, memory of many processes, and staying behind."""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from loadcell.mlperf.accuracy import sandbox
from loadcell.mlperf.accuracy.calls import CALLS, JUDGED, MACHINES, call_filter
from loadcell.mlperf.accuracy.sandbox import Answer, Limits, NotIsolated, Program, check_isolation, running

pytestmark = pytest.mark.usefixtures("processes")

QUICK = Limits(wall_s=5.0, memory_mb=512, output_bytes=100_000)
AT = MACHINES[platform.machine()][0] if platform.machine() in MACHINES else 0


@pytest.fixture(scope="module", autouse=True)
def isolation() -> None:
    try:
        check_isolation()
    except NotIsolated as why:
        pytest.skip(str(why))


def tried(code: str, *, isolated: bool = True, limits: Limits = QUICK) -> Answer:
    with running(Program(code, "stdin"), isolated=isolated, limits=limits) as ask:
        return ask("")


def called(*calls: str, before: str = "") -> list[str]:
    """What each system call answers: its error's name, or "done"."""
    lines = "".join(f"tell(libc.syscall({call}))\n" for call in calls)
    code = (
        "import ctypes, errno, os, mmap\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "def tell(found):\n    print(errno.errorcode[ctypes.get_errno()] if found == -1 else 'done')\n"
    )
    answer = tried(code + before + lines)
    assert answer.status == "ok", answer
    return answer.output.split()


def of(name: str, *arguments: object) -> str:
    number = (CALLS | JUDGED)[name][AT]
    return ", ".join(map(str, (number, *arguments)))


def test_every_refused_call_is_refused() -> None:
    names = [name for name, numbers in CALLS.items() if numbers[AT] is not None]
    assert called(*(of(name, 0, 0, 0, 0, 0) for name in names)) == ["EPERM"] * len(names)


def test_no_new_namespace_by_any_call() -> None:
    new_user, new_net = 0x10000000, 0x40000000
    calls = [of("clone", new_user | 17, 0, 0, 0, 0), of("clone", new_net | 17, 0, 0, 0, 0), of("unshare", new_user)]
    assert called(*calls, of("clone3", "bytes(88)", 88)) == ["EPERM", "EPERM", "EPERM", "ENOSYS"]


def test_sockets_reach_no_other_family() -> None:
    """Of AF_VSOCK, AF_NETLINK, AF_PACKET and AF_ALG none; a UNIX socket between two processes of its own is."""
    families = {16: 3, 17: 3, 38: 5, 40: 1}
    sockets = [of("socket", family, kind, 0) for family, kind in families.items()]
    assert called(*sockets, of("socketpair", 40, 1, 0, "ctypes.create_string_buffer(8)")) == ["EAFNOSUPPORT"] * 5
    assert tried("import socket\na, b = socket.socketpair()\na.send(b'x')\nprint(b.recv(1))").output == "b'x'\n"


def test_no_memory_that_outlives_its_process() -> None:
    """SysV segments, memfds and shared anonymous pages would be counted by no limit."""
    code = "import os, mmap\n{}\nprint('made')"
    for made in ("mmap.mmap(-1, 4096)", "os.memfd_create('x')", "open('/dev/zero')"):
        assert tried(code.format(made)).status == "failed", made
    assert tried(code.format("mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)")).output == "made\n"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="calls of 32 bits are x86-64's")
def test_calls_of_another_machine_kill() -> None:
    """`int 0x80` reaches the calls of 32 bits, whose numbers are others: 310 is unshare there."""
    code = (
        "import ctypes\nfrom mmap import *\npage = mmap(-1, 4096, flags=MAP_PRIVATE | MAP_ANONYMOUS, "
        "prot=PROT_READ | PROT_WRITE | PROT_EXEC)\npage.write(bytes.fromhex('31dbb836010000cd80c3'))\n"
        "address = ctypes.addressof(ctypes.c_char.from_buffer(page))\nprint('start', flush=True)\n"
        "print(ctypes.CFUNCTYPE(ctypes.c_int)(address)())"
    )
    answer = tried(code)
    assert answer == Answer("failed", "start\n")
    assert called(of("unshare", 0).replace(str(CALLS["unshare"][AT]), str(0x40000000 + 272))) == ["ENOSYS"]


def test_threads_and_programs_of_its_own_run() -> None:
    """The filter is in the way of no ordinary program."""
    code = (
        "import subprocess, sys, threading\nseen = []\n"
        "thread = threading.Thread(target=lambda: seen.append(1))\nthread.start()\nthread.join()\n"
        "print(seen, subprocess.run([sys.executable, '-c', 'print(2)'], capture_output=True, text=True).stdout)"
    )
    assert tried(code) == Answer("ok", "[1] 2\n\n")


HOARD = (
    "import os, threading, time\n"
    "def hoard():\n    held = bytearray(os.urandom(1 << 20) * {mib})\n    time.sleep({rest})\n"
    "def child():\n    if os.fork() == 0:\n        hoard()\n"
)


@pytest.mark.parametrize("isolated", [True, False])
@pytest.mark.parametrize(
    "spread",
    [
        "for i in range(8):\n    child()\n",
        "for i in range(8):\n    thread = threading.Thread(target=child)\n    thread.start()\n    thread.join()\n",
        "for i in range(8):\n    if os.fork():\n        hoard()\n        os._exit(0)\n",
    ],
    ids=["children", "children of threads", "a chain"],
)
def test_memory_is_bounded_for_all_processes_together(spread: str, isolated: bool) -> None:
    """None of eight processes reaches the limit of one, all together pass it."""
    limits = Limits(wall_s=30.0, memory_mb=512)
    small = tried(HOARD.format(mib=5, rest=0.5) + spread + "os._exit(0)", isolated=isolated, limits=limits)
    assert small.status == "ok"
    assert (
        tried(HOARD.format(mib=200, rest=60) + spread + "hoard()", isolated=isolated, limits=limits).status == "memory"
    )


def test_after_too_much_memory_the_next_test_runs_alone() -> None:
    code = HOARD.format(mib=200, rest=60) + (
        "if input() == 'hoard':\n    for i in range(8):\n        child()\n    hoard()\n"
        "try:\n    os.kill(-1, 0)\n    print('others')\nexcept ProcessLookupError:\n    print('alone')\n"
    )
    with running(Program(code, "stdin"), limits=Limits(wall_s=30.0, memory_mb=512)) as ask:
        assert [ask("hoard").status, ask("look").output] == ["memory", "alone\n"]


def test_where_memory_cannot_be_seen_fewer_processes_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cell = tmp_path / "cell.py"
    cell.write_text(Path(sandbox._CELL).read_text().replace('/children").split()', '/childless").split()'))
    monkeypatch.setattr(sandbox, "_CELL", cell)
    code = "import os, time\nfor i in range(9):\n    if os.fork() == 0:\n        time.sleep(9)\n        os._exit(0)"
    assert tried(code).status == "failed"
    assert tried(code.replace("range(9)", "range(2)")).status == "ok"


def test_a_machine_without_a_filter_grades_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(NotIsolated, match="no filter of system calls is known for riscv64, only for x86_64 and aarch"):
        tried("")
    monkeypatch.undo()
    cell = tmp_path / "cell.py"
    cell.write_text(Path(sandbox._CELL).read_text().replace("libc.prctl(SET_SECCOMP, 2,", "libc.prctl(SET_SECCOMP, 7,"))
    monkeypatch.setattr(sandbox, "_CELL", cell)
    with pytest.raises(NotIsolated, match="filter of system calls: Invalid argument"):
        tried("")


ENDLESS = (
    "from loadcell.mlperf.accuracy.sandbox import Limits, Program, running\n"
    "code = 'import os, time\\nif os.fork() == 0:\\n    os.setsid()\\nprint(1, flush=True)\\ntime.sleep(90)'\n"
    "with running(Program(code, 'stdin'), isolated={isolated}, limits=Limits(wall_s={wall_s})) as ask:\n"
    "    print('asking', flush=True)\n    ask('')\n"
)


@pytest.mark.parametrize(("isolated", "wall_s"), [(True, 80.0), (False, 2.0)])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_whoever_grades_is_killed_and_nothing_stays(
    tmp_path: Path, isolated: bool, wall_s: float, end: signal.Signals
) -> None:
    """Isolated, all end at once; unisolated, with the test's time. No folder stays, nor a process."""
    code = ENDLESS.format(isolated=isolated, wall_s=wall_s)
    known = set(_cells())
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ | {"TMPDIR": str(tmp_path)}
    ) as grading:
        assert grading.stdout is not None and grading.stdout.readline() == b"asking\n"
        assert _within(20, lambda: len(set(_cells()) - known) >= 3)  # the cell, the program, its child
        assert (list(tmp_path.iterdir()) == []) is isolated
        grading.send_signal(end)
    assert _within(20, lambda: not set(_cells()) - known)
    assert list(tmp_path.iterdir()) == []


def test_grading_leaves_no_file() -> None:
    folder = Path(tempfile.gettempdir())
    before = set(folder.glob("loadcell-*"))
    assert tried("open('/tmp/x', 'w').write('x')\nopen('y', 'w').write('y')").status == "ok"
    assert set(folder.glob("loadcell-*")) <= before


@pytest.mark.parametrize(
    ("place", "file"),
    [(0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), (1, "/usr/include/asm-generic/unistd.h")],
)
def test_the_numbers_are_the_kernel_s(place: int, file: str) -> None:
    if not Path(file).exists():
        pytest.skip(f"{file} is not here")
    defined = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", Path(file).read_text())
    known = {name: int(number) for name, number in defined}
    ours = {name: numbers[place] for name, numbers in (CALLS | JUDGED).items()}
    assert {name: known.get(name) for name in ours if name in known or ours[name] is None} == {
        name: number for name, number in ours.items() if name in known or number is None
    }


def test_every_machine_has_a_filter_that_ends() -> None:
    for machine in MACHINES:
        steps = call_filter(machine)
        assert len(steps) % 8 == 0 and 100 < len(steps) // 8 < 4096


def _cells() -> list[int]:
    """Processes in which programs run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            if b"accuracy/cell.py" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
