"""What a person sees while a load runs: one live line on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from loadcell.load import Progress
from loadcell.load.fleet import Watch

_PLAIN_EVERY_S = 10.0
_STAGES = {
    "check": "asking the endpoint",
    "prepare": "making the schedule",
    "start": "connecting",
    "finish": "writing the recording",
}


@contextmanager
def show_progress() -> Iterator[Watch]:
    """A function that shows progress on standard error."""
    terminal = sys.stderr.isatty()
    last = 0.0
    stage = ""

    def watch(now: Progress) -> None:
        nonlocal last, stage
        moment = time.monotonic()
        if now.stage == stage and moment - last < (0.2 if terminal else _PLAIN_EVERY_S):
            return
        # Elsewhere than on a terminal, short runs stay silent and long ones say a line every ten seconds.
        if terminal:
            sys.stderr.write(f"\r\x1b[K{progress_line(now)}")
            sys.stderr.flush()
        elif now.stage == "load" and stage == "load":
            sys.stderr.write(progress_line(now) + "\n")
        last, stage = moment, now.stage

    try:
        yield watch
    finally:
        if terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def say(*lines: str) -> None:
    """Lines on standard error, in place of the live line if there is one."""
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    sys.stderr.write(clear + "".join(f"{line}\n" for line in lines))
    sys.stderr.flush()


def progress_line(now: Progress) -> str:
    """One line of at most 79 columns."""
    if now.stage != "load":
        return f"{_STAGES[now.stage]} …"
    shares = [now.elapsed_s / now.duration_s] if now.duration_s else []
    if now.planned:
        shares.append((now.ok + now.failed) / now.planned)
    share = min(1.0, max(shares)) if shares else 0.0
    left_s = now.elapsed_s / share - now.elapsed_s if share > 0.01 else None
    parts = [
        f"{now.elapsed_s:.0f} s",
        f"{share:.0%}" if shares else "",
        f"{now.ok:,} ok",
        f"{now.failed:,} failed" if now.failed else "",
        f"{now.in_flight:,} in flight",
        f"{now.events / now.elapsed_s:,.0f} events/s" if now.elapsed_s > 0.5 else "",
        f"{left_s:.0f} s left" if left_s is not None else "",
    ]
    return " · ".join(filter(None, parts))[:79]
