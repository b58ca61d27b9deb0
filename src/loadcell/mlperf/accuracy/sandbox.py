"""Programs that a model wrote, run where they can do no harm.

Isolated (Linux): a process in user, mount, process, network and IPC namespaces of its own; of root's, it is nobody's.
It sees Python's installation and the system's libraries, read-only, and an empty folder in memory of 64 MB; no
network, no socket of another program, no other process, no keys; it has no privileges and cannot get any. A filter
refuses system calls (`calls`). Memory (of each process, and 50 times a second of all together), processor time,
processes, open files, sizes of files and output are limited, and the wall clock ends everything. Nothing of it stays,
however this process ends. Not confined: what it uses within those limits, buffers of its sockets and pipes, what it
reads of Python's installation and /usr, and faults of the kernel. Unisolated: the same limits but for the number of
processes; it may read and write what you may, and reach the network.
A reply that is written to cheat its grader is not looked for: the tests of "script" run in the program's own process.
Whether isolation holds on this machine is tried before the first program runs (`check_isolation`).
"""

from __future__ import annotations

import functools
import json
import os
import platform
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from loadcell.errors import UsageError
from loadcell.mlperf.accuracy.calls import CALLS, MACHINES, call_filter

Status = Literal["ok", "failed", "time", "output", "memory"]
_CELL = Path(__file__).with_name("cell.py")
_LIBRARIES = ("/usr", "/lib", "/lib32", "/lib64")
_MOUNT_POINT = "/proc"
"""A folder that is there anyway: in the mounts of the cell, its root takes its place."""
_GRACE_S = 5.0


@dataclass(frozen=True)
class Limits:
    """What one program may use; a test that wants more counts as wrong."""

    wall_s: float = 6.0
    memory_mb: int = 2048
    files_mb: int = 64
    processes: int = 32
    output_bytes: int = 4 << 20


LIMITS = Limits()


@dataclass(frozen=True)
class Program:
    """Code, and how it is tried.

    "stdin": as a script that reads a test's input. "call": its function, with a JSON value a line of the input.
    "script": with the input as further code after it; its output is then a token that the code cannot know before.
    """

    code: str
    kind: Literal["stdin", "call", "script"]
    function: str | None = None


@dataclass(frozen=True)
class Answer:
    status: Status
    output: str


class NotIsolated(UsageError):
    """This machine cannot isolate a program."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"programs of replies cannot be isolated here: {why}. Score the replies on a Linux machine with user "
            "namespaces, or, if these programs may do all that you may, give --run-code=unisolated"
        )


@contextmanager
def running(program: Program, *, isolated: bool = True, limits: Limits = LIMITS) -> Iterator[Callable[[str], Answer]]:
    """A cell with `program`: call what it yields with an input, each in a process of its own, one after another.

    NotIsolated if isolation is wanted and cannot be had.
    """
    with nullcontext(_MOUNT_POINT) if isolated else tempfile.TemporaryDirectory(prefix="loadcell-cell-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(_CELL)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, cwd="/", env={"OPENBLAS_NUM_THREADS": "1"}, start_new_session=True,
        )  # fmt: skip
        try:
            job = {
                "isolate": isolated, "root": os.path.realpath(folder), "binds": _binds(), "code": program.code,
                "kind": program.kind, "function": program.function, "processes": limits.processes,
                "memory_mb": limits.memory_mb, "files_mb": limits.files_mb, "output_bytes": limits.output_bytes,
                **(_filter() if isolated else {}),
            }  # fmt: skip
            first = _exchange(process, job, time.monotonic() + 2 * _GRACE_S, limits)
            if "refused" in first or not first:
                raise NotIsolated(str(first.get("refused", "the cell died")))

            def ask(text: str) -> Answer:
                token = secrets.token_hex(16)
                test = {"input": text, "token": token, "wall_s": limits.wall_s}
                found = _exchange(process, test, time.monotonic() + limits.wall_s + _GRACE_S, limits)
                if not found:
                    return Answer("failed" if process.poll() is not None else "time", "")
                if program.kind == "script" and found["output"] != token:
                    return Answer(found["status"] if found["status"] != "ok" else "failed", "")
                return Answer(found["status"], found["output"])

            yield ask
        finally:
            _end(process)


def _filter() -> dict[str, Any]:
    """The filter of system calls for this machine."""
    machine = platform.machine()
    if machine not in MACHINES:
        raise NotIsolated(f"no filter of system calls is known for {machine}, only for {' and '.join(MACHINES)}")
    return {"filter": call_filter(machine).hex(), "keyctl": CALLS["keyctl"][MACHINES[machine][0]]}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the cell's session; process 1 of a namespace takes all others with it."""
    with suppress(ProcessLookupError):  # it ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _binds() -> list[str]:
    """What of this machine a program sees: this Python and the system's libraries, none inside another."""
    wanted = [*_LIBRARIES, sys.base_prefix, sys.prefix, sys.base_exec_prefix]
    found: list[str] = []
    for path in sorted({os.path.normpath(path) for path in wanted if Path(path).exists()}):
        if not any(path.startswith(f"{other}/") for other in found if not Path(other).is_symlink()):
            found.append(path)
    return found


def _exchange(
    process: subprocess.Popen[bytes], line: dict[str, Any], deadline: float, limits: Limits
) -> dict[str, Any]:
    """Send a line and read one, not much longer than `limits` and before `deadline`; empty if none came."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(line).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return {}
    answer = bytearray()
    while not answer.endswith(b"\n") and len(answer) < 7 * limits.output_bytes:  # JSON may write six bytes for one
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            return {}
        piece = os.read(process.stdout.fileno(), 1 << 16)
        if not piece:
            return {}
        answer += piece
    found: dict[str, Any] = json.loads(answer)
    return found


# --- does it hold? ---------------------------------------------------------------------------------------------------

_TRIES = """
import ctypes, os, socket, sys
port, outside = int(input()), input()
held = []
try:
    socket.create_connection(("127.0.0.1", port), timeout=1).close()
except OSError:
    held.append("network")
try:
    open(outside).read()
except OSError:
    held.append("reading")
try:
    open(os.path.join(os.path.dirname(outside), "new"), "w")
except OSError:
    held.append("writing")
if not os.access(os.__file__, os.W_OK):
    held.append("python")
if os.getuid() != 0 and len(os.listdir("/proc") if os.path.isdir("/proc") else []) == 0:
    held.append("processes")
libc = ctypes.CDLL(None)
if libc.unshare(0) == -1:
    held.append("namespaces")
if libc.shmget(0, 4096, 0o1600) == -1:
    held.append("shared memory")
try:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()
except OSError:
    held.append("other sockets")
children = 0
try:
    while children < 200:
        if os.fork() == 0:
            import time
            time.sleep(60)
            os._exit(0)
        children += 1
except OSError:
    held.append("number of processes")
print(",".join(held))
"""
_MUST_HOLD = (
    "network", "reading", "writing", "python", "processes", "namespaces", "shared memory", "other sockets",
    "number of processes",
)  # fmt: skip


@functools.cache
def check_isolation() -> None:
    """Try on this machine what a hostile program might; NotIsolated says what would not be held."""
    bait = socket.create_server(("127.0.0.1", 0))
    with bait, tempfile.TemporaryDirectory(prefix="loadcell-outside-") as folder:
        secret = Path(folder) / "secret"
        secret.write_text("outside")
        with running(Program(_TRIES, "stdin"), limits=LIMITS) as ask:
            answer = ask(f"{bait.getsockname()[1]}\n{secret}\n")
        held = answer.output.strip().split(",") if answer.status == "ok" else []
        loose = [what for what in _MUST_HOLD if what not in held]
        if answer.status != "ok":
            raise NotIsolated(f"a trial of it {'took too long' if answer.status == 'time' else 'failed'}")
        if loose:
            raise NotIsolated(f"a trial of it could do without limits: {', '.join(loose)}")
