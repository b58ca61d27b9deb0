"""Load processes that are forked from one which has loaded the libraries: to start one anew is most of a short load.

Only for loads in a test's own process, and only on Linux; a `loadcell` that a test starts starts its own, as ever. Run
as a script with the number of a socket, this is the process that is forked.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loadcell.load.forked import Child

_PR_SET_CHILD_SUBREAPER = 36
_LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)
_WORDS = 1 << 18
"""Bytes of a message at most."""


class Mother:
    """The process that is forked; it starts with the first load."""

    def __init__(self) -> None:
        self.ours: socket.socket | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()

    def bear(self, message: dict[str, Any], files: Sequence[int]) -> int:
        """The pid of a new child of this process."""
        with self.lock, _adopting():
            ours = self.ours = self.ours or self._start()
            socket.send_fds(ours, [json.dumps(message).encode()], files)
            return int(ours.recv(32))

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], start_new_session=True, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
        return ours

    def end(self) -> None:
        """It ends as its socket does."""
        if self.ours is not None and self.process is not None:
            self.ours.close()
            self.process.wait()


@contextmanager
def _adopting() -> Iterator[None]:
    """A process whose parent ends is ours meanwhile, so that we can wait for it as for one of our own."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


class Forked(Child):
    """Borne by the mother, with the arguments of `subprocess.Popen`."""

    def __init__(
        self, mother: Mother, args: Sequence[str], *, pass_fds: Sequence[int], env: Mapping[str, str], **_: object
    ) -> None:
        read, write = os.pipe(), os.pipe()
        message = {
            "args": list(args[2:]), "env": dict(env), "cwd": str(Path.cwd()), "cores": list(os.sched_getaffinity(0)),
            "limits": [resource.getrlimit(limit) for limit in _LIMITS], "files": [0, 1, 2, *pass_fds],
        }  # fmt: skip
        try:
            pid = mother.bear(message, [read[0], write[1], 2, *pass_fds])
        finally:
            os.close(read[0])
            os.close(write[1])
        super().__init__(pid, read[1], write[0])


# --- in the process that is forked -----------------------------------------------------------------------------------


def _serve(calls: socket.socket) -> int:
    """Fork for each message; in the child, do what a load process does."""
    from loadcell.load import process

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        message, files, _, _ = socket.recv_fds(calls, _WORDS, 64)
        if not message:
            return 0
        pid_read, pid_write = os.pipe()
        between = os.fork()
        if not between:
            child = os.fork()
            if child:
                os.write(pid_write, str(child).encode())
                os._exit(0)
            _become(json.loads(message), files)
            return process.main()
        os.waitpid(between, 0)  # from here on the child is that of who asked
        calls.send(os.read(pid_read, 32))
        for fd in (pid_read, pid_write, *files):
            os.close(fd)


def _become(told: dict[str, Any], files: list[int]) -> None:
    """The files, limits and surroundings that a process started by who asked would have."""
    os.setpgid(0, 0)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    beyond = max(told["files"] + files) + 1
    for place, fd in enumerate(files):
        os.dup2(fd, beyond + place)
    os.closerange(3, beyond)
    for place, fd in enumerate(told["files"]):
        os.dup2(beyond + place, fd)
    os.closerange(beyond, beyond + len(files))
    for limit, values in zip(_LIMITS, told["limits"], strict=True):
        resource.setrlimit(limit, values)
    os.sched_setaffinity(0, told["cores"])
    os.chdir(told["cwd"])
    os.environ.clear()
    os.environ.update(told["env"])
    sys.argv = told["args"]


if __name__ == "__main__":
    sys.exit(_serve(socket.socket(fileno=int(sys.argv[1]))))
