"""What Ctrl-C does, and what stands for it where whoever started the process had it ignored."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


def ending_signal() -> signal.Signals:
    """Ctrl-C; termination where Ctrl-C is ignored, as in jobs that a shell script puts into the background."""
    return signal.SIGTERM if signal.getsignal(signal.SIGINT) == signal.SIG_IGN else signal.SIGINT


def answer_interrupts(*, told: bool) -> None:
    """Where Ctrl-C is ignored (nohup with &, many CI runners) let termination end a command as Ctrl-C would; say so."""
    if ending_signal() == signal.SIGINT:
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if told:
        sys.stderr.write(
            "loadcell: Ctrl-C is ignored, as whoever started this asked (background jobs are); to end it and keep what "
            f"is recorded: kill {os.getpid()}\n"
        )


@contextmanager
def left_at_once() -> Iterator[None]:
    """An interrupt ends the process without unwinding: a library interrupted while it is imported may abort it."""

    def leave(*_: object) -> NoReturn:
        os.write(2, b"loadcell: interrupted\n")
        os._exit(130)

    kind = ending_signal()
    before = signal.signal(kind, leave)
    try:
        yield
    finally:
        signal.signal(kind, before)


@contextmanager
def interrupts_later() -> Iterator[None]:
    """Answer an interrupt when the block has ended, as it would have been answered before."""
    taken: list[int] = []
    kind = ending_signal()
    before = signal.signal(kind, lambda number, _: taken.append(number))
    try:
        yield
    finally:
        signal.signal(kind, before)
    if taken and callable(before):
        before(taken[0], None)
