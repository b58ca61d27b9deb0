"""The process that makes request bodies while a load runs: `python -m loadcell.load.feeder`.

It is told its feed on standard input, says one JSON line when it is ready, {"ready": true}, and goes on at the lowest
priority there is, always 20 s ahead of the load. A run whose bodies are all there before its start needs none.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.load.ahead import Pace, used_rows
from loadcell.load.bodies import Source
from loadcell.load.live import Live
from loadcell.load.spool import Spool
from loadcell.phrases import phrase

COMMAND = (sys.executable, "-m", "loadcell.load.feeder")
_REST_S = 0.1
_LOOK_ROWS, _LOOK_BYTES = 256, 1 << 20
"""Between two looks at what is wanted, so many bodies are made at most."""
_LOWEST_NICENESS = 19


@dataclass(frozen=True, eq=False)
class Feed:
    """What the feeder is told."""

    source: Source
    first: int
    """The first row that it is to make."""
    workers: int
    live_fd: int
    places_fd: int
    segments: list[int]
    planned_ns: NDArray[np.int64] | None
    """From when on each row may be sent, in order; None in a closed loop."""
    users: int
    """Rows that the users begin with."""
    suggested: int
    """Rows to be made before the load has shown its pace."""
    end_ns: int | None
    keep: bool
    """Whether bodies are needed after they were sent."""
    cores: list[int]
    """Cores that it may use, those of the workers left out; empty for any."""
    in_order: bool = True
    """Whether a worker sends its rows in their order."""


def start(files: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start the feeder, with the files that it is to have; it loads its libraries and waits for its feed."""
    return subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,  # Ctrl-C on the terminal is for the parent alone
        pass_fds=files,
    )


def tell(process: subprocess.Popen[bytes], feed: Feed) -> None:
    """Tell it its feed; it begins at once."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it died as it started: whoever waits for its word will see
        pickle.dump(feed, process.stdin)
        process.stdin.close()


def dismiss(process: subprocess.Popen[bytes]) -> None:
    """It is not needed."""
    with process:
        process.kill()


def said(process: subprocess.Popen[bytes]) -> str | None:
    """What is wrong with a feeder, by its next line; None where it says that it is ready."""
    assert process.stdout is not None
    line = process.stdout.readline()
    told = json.loads(line) if line else {"error": phrase("its process died ({})", process.wait())}
    return phrase("the request bodies could not be made: {}", told["error"]) if "error" in told else None


def main() -> int:
    """Make bodies until all are there, or until told to stop. Returns 1 where the disk does not take them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        feed: Feed = pickle.load(sys.stdin.buffer)
    except (EOFError, pickle.UnpicklingError):  # whoever started it was killed before it had told all
        return 0
    live = Live(feed.live_fd, feed.workers)
    _lower_priority(feed.cores)
    sys.stdout.write(json.dumps({"ready": True}) + "\n")
    sys.stdout.flush()
    try:
        make(feed, live)
    except (OSError, UsageError) as error:
        why = error.strerror if isinstance(error, OSError) else None
        sys.stdout.write(json.dumps({"error": why or str(error)}) + "\n")
        return 1
    return 0


def make(feed: Feed, live: Live) -> None:
    """Write bodies as they are wanted, and empty the files of those that were sent."""
    parent, began_ns = os.getppid(), time.process_time_ns()
    # Of a file's lines, those made before the load are sent again.
    spool = Spool(feed.segments, feed.places_fd, live, row=feed.first, keep_first=feed.source.shared)
    pace = Pace(feed.planned_ns, feed.users, feed.suggested, feed.end_ns)
    bodies = feed.source.bodies(feed.first)
    while spool.row < len(feed.source) and not live.stop and os.getppid() == parent:
        done, sent = used_rows(live, in_order=feed.in_order)
        wanted = pace.wanted(max(0, time.monotonic_ns() - live.t0_ns) if live.t0_ns else 0, sent)
        each = spool.bytes / max(1, spool.row - feed.first)
        spool.turn(0 if feed.keep else done, int(each * max(0, wanted - sent)))
        before, until = spool.bytes, min(wanted, spool.row + _LOOK_ROWS, len(feed.source))
        while spool.row < until and spool.bytes - before < _LOOK_BYTES:
            payload = next(bodies)
            spool.again(payload) if isinstance(payload, int) else spool.add(payload)
        spool.flush()
        live.feeder_cpu_ns = time.process_time_ns() - began_ns
        live.feeder_rows, live.feeder_bytes = spool.row - feed.first, spool.bytes
        if spool.row >= wanted:
            time.sleep(_REST_S)


def _lower_priority(cores: list[int]) -> None:
    """Give way to everything else on this machine."""
    os.setpriority(os.PRIO_PROCESS, 0, _LOWEST_NICENESS)
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox may refuse it; then the niceness has to do
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        if cores:
            os.sched_setaffinity(0, cores)


if __name__ == "__main__":
    sys.exit(main())
