"""The processes of a run: started, told their jobs, awaited, ended."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from loadcell.errors import EndpointError, RecordingError
from loadcell.load import feeder
from loadcell.load.feeder import Feed
from loadcell.load.forked import Forked, can_fork
from loadcell.load.job import Job
from loadcell.load.live import Live
from loadcell.phrases import phrase
from loadcell.secrets import scrub

WORKER_COMMAND = (sys.executable, "-m", "loadcell.load.process")
"""What starts a load process where it cannot be forked."""

Process = subprocess.Popen[bytes] | Forked


@dataclass
class Crew:
    """The processes of a run."""

    live: Live
    processes: list[Process] = field(default_factory=list)
    """The workers."""
    feeder: subprocess.Popen[bytes] | None = None
    """Makes bodies while the load runs; None where all are there before it."""
    feed: Feed | None = None

    def all(self) -> list[Process]:
        """The workers, and the feeder if there is one."""
        return self.processes if self.feeder is None else [*self.processes, self.feeder]

    def start(self, descriptors: Sequence[int], folder: Path) -> None:
        """Start the workers, with the libraries that are loaded here if they can be forked; each waits for its job."""
        begin = _fork if can_fork() else _spawn
        for _ in range(self.live.workers):
            try:
                process = begin(descriptors, folder)
            except OSError as error:
                raise RecordingError(
                    f"a load process could not be started: {error.strerror}; raise the limit of processes (ulimit -u, "
                    "pids.max of a container)"
                ) from None
            self.processes.append(process)

    def tell(self, jobs: Sequence[Job]) -> None:
        """Give the workers their jobs, and the feeder its feed."""
        for process, job in zip(self.processes, jobs, strict=True):
            assert process.stdin is not None
            try:
                process.stdin.write(msgspec.json.encode(job))
                process.stdin.close()
            except BrokenPipeError:
                raise RecordingError("a load process died as it started; its error stands above") from None
        if self.feeder is not None and self.feed is not None:
            feeder.tell(self.feeder, self.feed)

    def wait_ready(self, secrets: list[str]) -> None:
        """Wait until each worker has its connections, and the feeder its feed; an error says why one has not."""
        for process in self.processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            answer = json.loads(line) if line else {"error": phrase("a load process died as it started")}
            if "error" in answer:
                raise EndpointError(scrub(answer["error"], secrets))
        if self.feeder is not None and (why := feeder.said(self.feeder)) is not None:
            raise RecordingError(why)

    def await_end(self, most_s: float) -> None:
        """Wait until one of the workers ends that were not seen to have ended, which closes its output, or `most_s`."""
        with selectors.DefaultSelector() as ends:
            for process in self.processes:
                if process.returncode is None and process.stdout is not None:
                    ends.register(process.stdout, selectors.EVENT_READ)
            ends.select(most_s)

    def kill(self) -> None:
        """End those that still run, and take leave of all."""
        for process in self.all():
            process.kill()
        for process in self.all():
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    pipe.close()


def _fork(descriptors: Sequence[int], folder: Path) -> Process:
    from loadcell.load import process

    def work() -> int:
        sys.argv[1:] = [str(folder)]
        return process.main()

    return Forked(work, descriptors)


def _spawn(descriptors: Sequence[int], folder: Path) -> Process:
    return subprocess.Popen(
        (*WORKER_COMMAND, str(folder)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,  # Ctrl-C on the terminal is for the parent alone
        pass_fds=descriptors,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # NumPy would start a thread for every core
    )
