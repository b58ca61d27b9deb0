"""Load processes forked from this one, which has loaded the libraries: to start one anew costs 0.2 s of CPU."""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

_TASKS, _FILES = Path("/proc/self/task"), Path("/proc/self/fd")
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def can_fork() -> bool:
    """Whether a fork cuts nothing in two: there is no other thread. On Linux alone: those of macOS do not bear it."""
    return sys.platform == "linux" and len(list(_TASKS.iterdir())) == 1


class Child:
    """What a crew needs of `subprocess.Popen`: a child of this process, and its pipes."""

    def __init__(self, pid: int, stdin: int, stdout: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin, self.stdout = os.fdopen(stdin, "wb", 0), os.fdopen(stdout, "rb")

    def poll(self) -> int | None:
        """Its exit status, as Popen tells it, if it has ended."""
        return self._ended(os.WNOHANG)

    def wait(self) -> int:
        """The same, once it has."""
        code = self._ended(0)
        assert code is not None
        return code

    def kill(self) -> None:
        """End it now, if it goes on."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _ended(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


class Forked(Child):
    """A child that does `work`, with no file but those it is given.

    It is the leader of a process group of its own: Ctrl-C on the terminal is not for it.
    """

    def __init__(self, work: Callable[[], int], pass_fds: Sequence[int]) -> None:
        (child_in, ours_in), (ours_out, child_out) = os.pipe(), os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            pid = os.fork()
        except OSError:
            for fd in (child_in, ours_in, ours_out, child_out):
                os.close(fd)
            raise
        if not pid:
            _be(work, child_in, child_out, pass_fds)
        with suppress(ProcessLookupError, PermissionError):  # the child does it too: whoever is first
            os.setpgid(pid, pid)
        os.close(child_in)
        os.close(child_out)
        super().__init__(pid, ours_in, ours_out)


def _be(work: Callable[[], int], stdin: int, stdout: int, pass_fds: Sequence[int]) -> None:
    """The child: it never comes back."""
    status = 1
    try:
        gc.freeze()  # what was here is not looked through, and so not copied
        os.setpgid(0, 0)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        _close_all_but({0, 1, 2, *pass_fds})
        sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
        status = work()
        sys.stdout.flush()
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        os._exit(status)  # nothing of the parent is torn down here


def _close_all_but(kept: set[int]) -> None:
    for fd in [int(file.name) for file in _FILES.iterdir()]:
        if fd not in kept:
            with suppress(OSError):  # that of the listing is gone
                os.close(fd)
