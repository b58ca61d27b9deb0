"""Callables of known timing, which note their own truth, and short loads of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random
from threading import Lock
from time import monotonic_ns
from typing import Any

import loadcell
from loadcell.recording.read import Recording, open_recording
from loadcell.report.notebook import ShownResult

SHORT = {"concurrency": 2, "ramp_s": 0, "input_tokens": 8, "output_tokens": 4, "timeout_s": 5}


class Timed:
    """An engine of steps of random lengths, the same for a seed. `truth` has of each prompt when its call began and
    when each of its pieces was there, monotonic ns: when its sleep was to end, or, awaited, when it went on."""

    def __init__(self, seed: int = 0, *, first_s: float = 0.02, step_s: float = 0.004, usage: bool = True) -> None:
        self._random, self._lock = Random(seed), Lock()
        self._first_s, self._step_s, self._usage = first_s, step_s, usage
        self.truth: dict[str, list[int]] = {}

    def _plan(self, prompt: str, tokens: int) -> tuple[list[int], list[float]]:
        with self._lock:
            first, *later = (self._random.uniform(0.5, 1.5) for _ in range(tokens))
        times = self.truth[prompt] = [monotonic_ns()]
        return times, [first * self._first_s, *(step * self._step_s for step in later)]

    def _last(self, prompt: str, tokens: int) -> loadcell.Piece:
        return loadcell.Piece(prompt_tokens=len(prompt.split()), output_tokens=tokens, finish="length")

    def stream(self, prompt: str, max_tokens: int) -> Iterator[str | loadcell.Piece]:
        times, steps = self._plan(prompt, max_tokens)
        for step in steps:
            times.append(monotonic_ns() + round(step * 1e9))
            time.sleep(step)
            yield " word"
        if self._usage:
            yield self._last(prompt, max_tokens)

    async def astream(self, prompt: str, max_tokens: int) -> AsyncIterator[str | loadcell.Piece]:
        times, steps = self._plan(prompt, max_tokens)
        for step in steps:
            await asyncio.sleep(step)
            times.append(monotonic_ns())
            yield " word"
        if self._usage:
            yield self._last(prompt, max_tokens)


def load(fn: Any, folder: Path, **asked: Any) -> tuple[ShownResult, Recording]:
    """A load of few short calls, and what holds for every one."""
    given = {**SHORT, "requests": 8, **asked}
    if "rate" in asked:
        given |= {"concurrency": asked.get("concurrency")}
    if "duration_s" in asked:
        given |= {"requests": asked.get("requests")}
    result = loadcell.run(fn, output=folder, **given)
    recording = open_recording(folder)
    counts = result.counts.run
    assert counts.planned == counts.ok + counts.failed + counts.cancelled + counts.unsent
    assert not result.invalid
    assert result.methodology.clock == "user"
    assert result.methodology.spec.endpoint.api == "callable"
    return result, recording


def column(recording: Recording, name: str) -> list[Any]:
    """A column of the requests, in the order of the schedule."""
    values: list[Any] = recording.requests((name,))[name].tolist()
    return values
