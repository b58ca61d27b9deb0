"""Looking at what goes on beside a load while it runs: from threads of the parent, on the load's own clock.

Each source has a thread, so that a slow one delays no other; the load's processes are left alone. Looks are paced by
absolute times; one that takes longer than it may counts as failed, and those that it overran are left out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadcell.errors import RecordingError
from loadcell.load.scrape import FETCH_ERRORS, reason
from loadcell.phrases import phrase, phrases
from loadcell.recording.exposition import Sample
from loadcell.recording.schema import LOOKS, SERIES, Source
from loadcell.recording.write import Columns, lower_priority, write_part, write_sources

LOOK_S = 2.0
"""The longest time that a look may take; less where looks come more often."""
_LAST_LOOK_S, _WAIT_S = 0.8, 1.0
"""Of the look after the load, and how long the end of the load waits for all looks in the air."""
_MOST_PHRASES = 100
"""Of the errors of a source: in more words than those stay in English."""
_PART_S = 10.0
"""What was seen is written this often: so much is lost in a crash."""

Look = Callable[[float], list[Sample]]
"""Brings what a source tells, in the seconds that it is given; raises one of FETCH_ERRORS if that is nothing."""


@dataclass(frozen=True)
class Watched:
    """A source and how it is read."""

    source: Source
    look: Look
    close: Callable[[], None] = lambda: None
    """Lets the source go, after the last look."""


@contextmanager
def observing(watched: list[Watched], folder: Path, t0_ns: int, every_s: float, notes: list[str]) -> Iterator[None]:
    """Look at all sources at once, every `every_s` and after the block, and record it in `folder`.

    `t0_ns` is the start of the load on the monotonic clock. Nothing that goes wrong here reaches the block: `notes`
    gets what a reader of the run must know. The end waits for a second at most; after an exception, not at all.
    """
    if not watched:
        yield
        return
    observer = _Observer(watched, folder, t0_ns, every_s)
    observer.begin()
    try:
        yield
    except BaseException:
        observer.end(wait_s=0.0)
        raise
    observer.end(wait_s=_WAIT_S)
    if observer.error:
        notes.append(phrase("what went on beside the load was recorded in part only: {}", observer.error))


class _Observer:
    """The threads that look, and what they saw since the last part was written."""

    def __init__(self, watched: list[Watched], folder: Path, t0_ns: int, every_s: float) -> None:
        self.error: str | None = None
        self._watched, self._folder, self._t0_ns, self._every_s = watched, folder, t0_ns, every_s
        self._looks, self._series = Columns(LOOKS), Columns(SERIES)
        self._in_air: dict[int, int] = {}
        """When the looks began that are not back, by source."""
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._closed = False
        """Whether it is too late to look, or to bring anything back."""
        self._part = 0
        self._threads = [
            threading.Thread(target=self._watch, args=(number,), name=f"observe-{number}", daemon=True)
            for number in range(len(watched))
        ]
        self._writer = threading.Thread(target=self._write_on, name="observe-write", daemon=True)

    def begin(self) -> None:
        self._describe()
        if self.error is None:
            for thread in (*self._threads, self._writer):
                thread.start()

    def end(self, wait_s: float) -> None:
        """Look once more and write what is left; with `wait_s` 0, only the latter."""
        self._closed = not wait_s or self.error is not None
        self._ending.set()
        limit_s = time.monotonic() + wait_s
        for thread in filter(threading.Thread.is_alive, self._threads):
            thread.join(max(0.0, limit_s - time.monotonic()))
        with self._lock:
            self._closed = True
            for number, start_ns in self._in_air.items() if wait_s else ():
                self._keep(
                    number, start_ns, time.monotonic_ns(), [], phrase("not back {:g} s after the load's end", wait_s)
                )
        if self._writer.is_alive():
            self._writer.join()
        self._write()
        self._describe()
        for watched, thread in zip(self._watched, self._threads, strict=True):
            if not thread.is_alive():
                watched.close()

    def _watch(self, number: int) -> None:
        """Look at one source until the end, and once more then."""
        lower_priority()
        limit_s, every_ns = min(self._every_s, LOOK_S), round(self._every_s * 1e9)
        due_ns = time.monotonic_ns()
        while not self._ending.wait(max(0, due_ns - time.monotonic_ns()) / 1e9):
            self._look(number, limit_s)
            due_ns += every_ns * max(1, -((due_ns - time.monotonic_ns()) // every_ns))
        self._look(number, min(limit_s, _LAST_LOOK_S))

    def _look(self, number: int, limit_s: float) -> None:
        samples, error = [], None
        with self._lock:
            if self._closed:
                return
            self._in_air[number] = start_ns = time.monotonic_ns()
        try:
            samples = self._watched[number].look(limit_s)
        except FETCH_ERRORS as problem:
            error = reason(problem, limit_s)
        end_ns = time.monotonic_ns()
        if error is None and end_ns - start_ns > limit_s * 1e9:
            samples, error = [], phrase("no answer within {:g} s", limit_s)
        with self._lock:
            del self._in_air[number]
            if not self._closed:
                self._keep(number, start_ns, end_ns, samples, error)

    def _keep(self, number: int, start_ns: int, end_ns: int, samples: list[Sample], error: str | None) -> None:
        start_ns, end_ns = start_ns - self._t0_ns, end_ns - self._t0_ns
        source = self._watched[number].source
        if error is not None and error not in source.phrases and len(source.phrases) < _MOST_PHRASES:
            source.phrases |= phrases([error])
        self._looks.add({"source": number, "start_ns": start_ns, "end_ns": end_ns, "error": error})
        many = len(samples)
        columns = (
            [number] * many,
            [(start_ns + end_ns) // 2] * many,
            *([sample[k] for sample in samples] for k in range(3)),
        )
        for name, values in zip(self._series.data, columns, strict=True):
            self._series.data[name].extend(values)

    def _write_on(self) -> None:
        lower_priority()
        while self.error is None and not self._ending.wait(_PART_S):
            self._write()

    def _write(self) -> None:
        """Write one part; values go first, so that no look is seen without what it brought."""
        with self._lock:
            tables = {"series": self._series.clear(), "looks": self._looks.clear()}
        try:
            for table, columns in tables.items():
                if self.error is None and columns["source"]:
                    write_part(self._folder, table, columns, part=self._part)
        except RecordingError as error:
            self._fail(error)
        self._part += 1

    def _describe(self) -> None:
        for watched in self._watched:
            watched.source.phrases |= phrases(watched.source.notes)
        try:
            write_sources(self._folder, [watched.source for watched in self._watched])
        except RecordingError as error:
            self._fail(error)

    def _fail(self, error: RecordingError) -> None:
        """The disk takes no more: stop looking, and leave the room to the load."""
        self.error = self.error or str(error)
        self._closed = True
        self._ending.set()
