"""Runs one command to its end or to its time limit, and leaves none of its processes behind.

A process of its own, of the standard library alone: `python supervise.py REPORT TIMEOUT_S CORES PROGRAM [ARGUMENT...]`,
CORES as in 1,2 or -. Where the system can (Linux), what the command's processes leave behind becomes a child of this
one, so that all CPU time is counted and nothing survives. It ends them, too, when its standard input closes: whoever
started it has gone.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER (linux/prctl.h)."""
_LINGER_S = 2.0
"""For helpers of the command to end by themselves after it, and again after they were asked to."""


def main(report: str, timeout: str, cores: str, command: list[str]) -> None:
    """Write REPORT: status, wall and CPU time, whether it ran out of time, how many processes it had left behind."""
    _adopt()
    if cores != "-":
        os.sched_setaffinity(0, set(map(int, cores.split(","))))
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    started_ns = time.monotonic_ns()
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        Path(report).write_text(json.dumps({"error": error.strerror or str(error)}), encoding="utf-8")
        return
    limit = time.monotonic() + float(timeout)
    why = None
    while (status := _reap(child.pid)) is None:
        ready, _, _ = select.select([ended, 0], [], [], max(0.0, limit - time.monotonic()))
        if ended in ready:
            os.read(ended, 4096)
        elif not ready or 0 in ready:
            why = "left" if ready else "timeout"
            break
    wall_s = (time.monotonic_ns() - started_ns) / 1e9
    left = _end(child.pid, 0.0 if why else _LINGER_S)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {
        "status": status,
        "timed_out": why == "timeout",
        "wall_s": wall_s,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "started_ns": started_ns,
        "left": 0 if why else left,
    }
    Path(report).write_text(json.dumps(found), encoding="utf-8")


def _adopt() -> None:
    """Become the parent of all orphans below; where there is no such thing, the process group must do."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def _reap(pid: int) -> int | None:
    """Take the ended children; the exit status of the command, negative for a signal, once it is among them."""
    found = None
    with suppress(ChildProcessError):
        while True:
            gone, status = os.waitpid(-1, os.WNOHANG)
            if not gone:
                break
            if gone == pid:
                found = os.waitstatus_to_exitcode(status)
    return found


def _end(group: int, patience_s: float) -> int:
    """End what is left of the command: by itself, asked to, then by force; how many did not end by themselves."""
    left = 0
    for step, kill in enumerate((None, signal.SIGTERM, signal.SIGKILL)):
        there = _children()
        if step == 1:
            left = len(there)
        if kill is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, kill)
            for pid in there:
                with suppress(ProcessLookupError):
                    os.kill(pid, kill)
        until = time.monotonic() + (_LINGER_S if kill else patience_s)
        while not _alone(group) and time.monotonic() < until:
            if kill is signal.SIGKILL:  # those that it orphaned have become ours meanwhile
                for pid in _children():
                    with suppress(ProcessLookupError):
                        os.kill(pid, kill)
            time.sleep(0.02)
    return left


def _alone(group: int) -> bool:
    """Whether no child is left, nor, as far as can be seen, any process of the group."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return True
    return False


def _children() -> list[int]:
    """Of this process, ended ones among them; empty where the system has no /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(stat.parent.name))
    return found


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
