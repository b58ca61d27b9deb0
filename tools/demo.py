"""A demonstration: serve the embedded engine on a free port, load it for some seconds, show the result.

`make demo` runs it. The engine is stopped however this ends; Ctrl-C ends the load early and still shows its result.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import NoReturn

_LOADCELL = (sys.executable, "-m", "loadcell")
# A server of 64 slots whose step grows with the number of active streams, as batching does.
_ENGINE = (
    "serve", "--port", "0", "--slots", "64", "--ttft", "40ms", "--itl", "8ms", "--itl-per-active", "0.01ms",
    "--prefill-rate", "50000", "--jitter", "0.1",
)  # fmt: skip
# Enough requests after the warm-up for a p99 with an interval (299).
_LOAD = (
    "--rate", "60", "--duration", "7s", "--warmup", "1s", "--input-tokens", "lognormal:300,0.5",
    "--output-tokens", "uniform:16,96", "--slo", "ttft=60ms,tpot=12ms",
)  # fmt: skip
_ENDS = (signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the demonstration; returns the exit status of `loadcell run`."""
    for number in _ENDS:
        signal.signal(number, _leave)
    # A process group of its own: Ctrl-C is for the load, the engine must outlive it.
    engine = subprocess.Popen([*_LOADCELL, *_ENGINE, *_own_core()], stdout=subprocess.PIPE, text=True, process_group=0)
    try:
        assert engine.stdout
        ready = engine.stdout.readline().split()
        if ready[:2] != ["listening", "on"]:
            return engine.wait() or 1
        load = ("run", ready[2], *_LOAD)
        sys.stdout.write(f"The embedded engine serves at {ready[2]}. The load:\n\n  loadcell {' '.join(load)}\n\n")
        sys.stdout.flush()
        return _run([*_LOADCELL, *load])
    finally:
        engine.terminate()
        engine.wait()


def _own_core() -> tuple[str, ...]:
    """The first core for the engine, where there are two: a load leaves it alone then."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return ("--cpu", str(cores[0])) if len(cores) > 1 else ()


def _run(command: list[str]) -> int:
    """Run to the end; Ctrl-C reaches the child by itself, which ends cleanly."""
    child = subprocess.Popen(command)
    try:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()


def _leave(number: int, _: object) -> NoReturn:
    for end in _ENDS:  # make sends its own after that of the terminal
        signal.signal(end, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
