"""What a person sees while a load runs: a block of figures on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from loadcell.cli.liveview import Line, block, log_line
from loadcell.grammar import one
from loadcell.load import Progress
from loadcell.load.fleet import Watch

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

    from loadcell.cli.terminal import Terminal
    from loadcell.search.model import Ask, Plan, Stage

_EVERY_S = 1 / 3
_MAKING_S = 3.0
"""A file gets a line this often while the requests are being made."""
_ERASE_LINE = "\r\x1b[K"


@dataclass
class _Shown:
    """What stands on the terminal at the moment: nothing, one line, or the block of a load."""

    line: bool = False
    live: Live | None = None


_shown = _Shown()


def _clear() -> None:
    """Leave nothing behind of what is shown."""
    live, line = _shown.live, _shown.line
    _shown.live, _shown.line = None, False
    if live is not None:
        live.stop()
    if line:
        sys.stderr.write(_ERASE_LINE)
        sys.stderr.flush()


def _show(now: Progress, head: Sequence[str]) -> None:
    """Draw over what was drawn before."""
    if now.stage != "load":
        if _shown.live is not None:
            _clear()
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        sys.stderr.write(f"{_ERASE_LINE}{log_line(now, head, columns - 1)}")
        sys.stderr.flush()
        _shown.line = True
        return
    if _shown.live is None:
        from rich.live import Live

        _clear()
        # Drawn by this thread alone: another one would take the core at any time.
        _shown.live = Live(
            console=_console(), auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False,
            vertical_overflow="crop",
        )  # fmt: skip
        _shown.live.start()
    _shown.live.update(_text(block(now, head, _shown.live.console.width)), refresh=True)


def _console() -> Terminal:
    from loadcell.cli.terminal import Terminal

    return Terminal(stderr=True, force_terminal=True, highlight=False, markup=False, emoji=False)


def _load_libraries(terminal: bool) -> None:
    """What drawing needs, while the workers connect: nothing is to be imported beside a load."""
    for name in ("loadcell.metrics.limits", "loadcell.report.text", *(("rich.live",) if terminal else ())):
        importlib.import_module(name)


def _text(lines: Sequence[Line]) -> Text:
    from rich.text import Text

    text = Text(no_wrap=True, overflow="crop", end="")
    for number, line in enumerate(lines):
        text.append("\n" if number else "")
        for words, style in line:
            text.append(words, style)
    return text


@contextmanager
def show_progress(head: Callable[[], Sequence[str]] = lambda: ()) -> Iterator[Watch]:
    """A function that shows progress on standard error; `head` tells what stands before it.

    A terminal gets a block of figures, three times a second, of which nothing stays. A file gets a line after 5 s, then
    every 10 s, and after 5 minutes every 30 s; short runs stay silent. A server that is waited for is told at once;
    while requests are being made, there is a line every 3 s.
    """
    terminal = _drawable()
    last, said, stage = 0.0, 0, ""

    def watch(now: Progress) -> None:
        nonlocal last, said, stage
        if now.stage != stage:
            stage, said, last = now.stage, 0, 0.0
            if stage == "start":
                _load_libraries(terminal)
        if terminal:
            if time.monotonic() - last >= _EVERY_S:
                last = time.monotonic()
                _show(now, head())
        elif (due := _lines(now)) > said:
            said = due
            sys.stderr.write(log_line(now, head()) + "\n")
            sys.stderr.flush()

    try:
        yield watch
    finally:
        _clear()


def _lines(now: Progress) -> int:
    """How many lines a log has of a stage by now."""
    if now.stage == "load" or now.says:
        return lines_due(now.elapsed_s) + bool(now.says)
    return 0 if now.making is None else int(now.elapsed_s / _MAKING_S)


def lines_due(elapsed_s: float) -> int:
    """How many lines a log has of a load by now: at 5 s, at 10, 20, ... 300 s, then every 30 s."""
    if elapsed_s < 10:
        return int(elapsed_s >= 5)
    return 1 + int(min(elapsed_s, 300) // 10) + int(max(elapsed_s - 300, 0) // 30)


def _drawable() -> bool:
    """Whether standard error is a terminal that can move its cursor and show our characters."""
    encoding = (sys.stderr.encoding or "").lower().replace("-", "")
    return sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown") and encoding == "utf8"


def say(*lines: str) -> None:
    """Lines on standard error, in place of what is shown there of a load."""
    _clear()
    sys.stderr.write("".join(f"{one(line)}\n" for line in lines))
    sys.stderr.flush()


class SweepView:
    """What is shown while a sweep runs: the load of its stage, and a plain line on `out` for each that ended."""

    def __init__(self, plan: Plan, out: TextIO) -> None:
        self.plan, self.out = plan, out
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
        say()  # what is shown of the load goes first
        self.out.write(stage_line(self.plan.axis, stage) + "\n")
        self.out.flush()

    def head(self) -> list[str]:
        """Stage, load, and of a grid the time that is left: what stands before the figures of the load."""
        ask = self.ask
        if ask is None:
            return []
        from loadcell.report.lines import ask_label
        from loadcell.report.text import plain
        from loadcell.search.model import load_words

        many = len(self.plan.stages) if self.plan.mode == "grid" else 0
        load = ask_label(ask) if ask.level is None else load_words(self.plan, ask.level)
        parts = [f"stage {ask.number}{f'/{many}' if many else ''}", plain(load, 24)]
        parts += [] if ask.phase == "grid" else [ask.phase]
        if many:
            each_s = sum(self.took_s) / len(self.took_s) if self.took_s else self.plan.stage_s or 0.0
            left_s = each_s * (many - self.ended) - (time.monotonic() - self.asked_s)
            parts.append(f"all in {max(left_s, 0) / 60:.0f} min" if left_s >= 120 else f"all in {max(left_s, 0):.0f} s")
        return parts
