"""What a person sees while a load runs: one live line on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from loadcell.load import Progress
from loadcell.load.fleet import Watch

if TYPE_CHECKING:
    from loadcell.search.model import Ask, Plan, Stage

_PLAIN_EVERY_S = 10.0
_STAGES = {
    "check": "asking the endpoint",
    "prepare": "making the schedule",
    "start": "connecting",
    "finish": "writing the recording",
}


@contextmanager
def show_progress(head: Callable[[], str] = lambda: "") -> Iterator[Watch]:
    """A function that shows progress on standard error; `head` tells what stands before it on the line."""
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
            sys.stderr.write(f"\r\x1b[K{progress_line(now, head())}")
            sys.stderr.flush()
        elif now.stage == "load" and stage == "load":
            sys.stderr.write(progress_line(now, head()) + "\n")
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


def progress_line(now: Progress, head: str = "") -> str:
    """One line of at most 79 columns."""
    if now.stage != "load":
        return f"{head}{_STAGES[now.stage]} …"[:79]
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
    shown = [part for part in parts if part]
    while len(shown) > 1 and len(head) + len(" · ".join(shown)) > 79:
        shown.pop()
    return f"{head}{' · '.join(shown)}"[:79]


class SweepView:
    """What is shown while a sweep runs: a live line for its stage, and a plain one on `out` for each that ended."""

    def __init__(self, plan: Plan, out: TextIO, *, force: bool) -> None:
        self.plan, self.out, self.force = plan, out, force
        self.ask: Ask | None = None
        self.took_s: list[float] = []
        self.ended = 0
        self.asked_s = 0.0

    def on_ask(self, ask: Ask) -> None:
        """A stage is about to run."""
        self.ask, self.asked_s = ask, time.monotonic()

    def on_stage(self, stage: Stage) -> None:
        """A stage ended, or was kept of before."""
        from loadcell.report.sweep import stage_line

        self.ended += 1
        if self.ask is not None:
            self.took_s.append(time.monotonic() - self.asked_s)
        say()  # the live line goes first
        self.out.write(stage_line(self.plan.axis, stage, force=self.force) + "\n")
        self.out.flush()

    def head(self) -> str:
        """Stage, load, and of a grid the time that is left, for the live line."""
        ask = self.ask
        if ask is None:
            return ""
        from loadcell.report.lines import UNITS, ask_label
        from loadcell.report.text import plain

        many = len(self.plan.stages) if self.plan.mode == "grid" else 0
        unit = UNITS.get(str(self.plan.axis), "") if ask.level is not None else ""
        parts = [f"stage {ask.number}{f'/{many}' if many else ''}", plain(f"{ask_label(ask)} {unit}".strip(), 24)]
        parts += [] if ask.phase == "grid" else [ask.phase]
        if many:
            each_s = sum(self.took_s) / len(self.took_s) if self.took_s else self.plan.stage_s or 0.0
            left_s = each_s * (many - self.ended) - (time.monotonic() - self.asked_s)
            parts.append(f"all in {max(left_s, 0) / 60:.0f} min" if left_s >= 120 else f"all in {max(left_s, 0):.0f} s")
        return " · ".join(parts) + " · "
