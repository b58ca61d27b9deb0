"""Replies of known timing, and the server's own stamps of what it sent: the truth that a Result is held against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from time import monotonic_ns
from typing import Any

import pytest
from scripted import (
    CLOSE,
    DONE,
    HANG,
    LAST_CHUNK,
    RESET,
    SSE_HEAD,
    Received,
    Script,
    Step,
    chunked,
    delta,
    event,
    token,
    usage_event,
)

ENDS = (CLOSE, RESET, HANG)


class Output(bytes):
    """Bytes on the wire that bring output: the server stamps their send."""


def output(data: bytes) -> Output:
    """An event, or several, as one chunk that brings output."""
    return Output(chunked(data))


def sse(*pieces: Step) -> list[Step]:
    """Steps of an event stream, as `scripted.stream` makes them, that keep their `Output`."""
    steps: list[Step] = [SSE_HEAD % b""]
    steps += [chunked(piece) if type(piece) is bytes else piece for piece in pieces]
    return steps if steps[-1] in ENDS else [*steps, LAST_CHUNK]


def tokens(count: int, first_s: float, gap_s: float, data: bytes | None = None) -> list[Step]:
    """One-token events with pauses before them."""
    one = output(event(token()) if data is None else data)
    return [step for number in range(count) for step in (gap_s if number else first_s, one)]


def reply(count: int = 4, first_s: float = 0.01, gap_s: float = 0.002, tail_s: float = 0.0) -> list[Step]:
    """A whole chat stream: tokens, `tail_s` of nothing, then finish reason, usage and end mark."""
    end = event(delta(finish="stop")) + event(usage_event(count)) + DONE
    return sse(*tokens(count, first_s, gap_s), *([tail_s] if tail_s else []), end)


@dataclass
class Seen:
    """What the server did to one request, on CLOCK_MONOTONIC. Each send of output lies between its two stamps."""

    arrival_ns: int
    before_ns: list[int] = field(default_factory=list)
    after_ns: list[int] = field(default_factory=list)


class Witness:
    """The server's own stamps, by request, and how many it served at a time."""

    def __init__(self) -> None:
        self.seen: dict[int, Seen] = {}
        self.active = 0
        self.most_active = 0

    def __call__(self, script: Script) -> Script:
        """The script, watched. Requests before the load are not."""

        def watched(request: Received) -> Iterator[Step]:
            seen = self.seen[request.number] = Seen(monotonic_ns())
            self.active += 1
            self.most_active = max(self.most_active, self.active)
            steps = list(script(request))
            for place, step in enumerate(steps):
                if place == len(steps) - 1:
                    self.active -= 1  # before the client can know
                if isinstance(step, Output):
                    seen.before_ns.append(monotonic_ns())
                    yield step
                    seen.after_ns.append(monotonic_ns())
                else:
                    yield step

        return lambda request: watched(request) if request.number >= 0 else script(request)

    def t0_ns(self, rows: list[dict[str, Any]]) -> int:
        """Start of the load: no request can have come before it was sent, and the quickest came at once."""
        return min(self.seen[row["request"]].arrival_ns - row["send_start_ns"] for row in rows)

    def bounds_ms(self, rows: list[dict[str, Any]], t0_ns: int) -> dict[str, tuple[float, float]]:
        """Between what the means of TTFT, E2E and the spread (first to last output) over `rows` must lie."""
        ends: dict[str, list[tuple[int, int]]] = {"ttft": [], "e2e": [], "spread": []}
        for row in rows:
            seen, sent = self.seen[row["request"]], t0_ns + row["send_start_ns"]
            ends["ttft"].append((seen.before_ns[0] - sent, seen.after_ns[0] - sent))
            ends["e2e"].append((seen.before_ns[-1] - sent, seen.after_ns[-1] - sent))
            ends["spread"].append((seen.before_ns[-1] - seen.after_ns[0], seen.after_ns[-1] - seen.before_ns[0]))
        return {name: (fmean(a for a, _ in of) / 1e6, fmean(b for _, b in of) / 1e6) for name, of in ends.items()}


def lies_in(value: float | None, bounds: tuple[float, float], slack: float) -> bool:
    """Whether a figure lies between its bounds, within the slack of a stamp."""
    return value is not None and bounds[0] - slack <= value <= bounds[1] + slack


def fault(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Let every process that is started from now on run `code` first: the load's workers."""
    (folder / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
