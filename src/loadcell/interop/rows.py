"""The requests of a foreign run on their way into a recording: checked one by one, written in parts."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from loadcell.errors import UsageError
from loadcell.interop.model import Request, Run
from loadcell.interop.read import TOOLS, in_known_form
from loadcell.kinds import KIND_ANSWER, KIND_REASONING
from loadcell.phrases import phrase
from loadcell.recording.bursts import note_bursts
from loadcell.recording.database import open_database
from loadcell.recording.schema import MISSING, REQUESTS, SCHEDULE
from loadcell.recording.write import MISSING_INT, Columns, write_part
from loadcell.secrets import bare_words

_EVENTS_A_PART, _ROWS_A_PART = 500_000, 50_000
_SLACK_NS = 1_000
"""Sums of gaps may be off by so much: a sum of thousands of floats is not exact."""
_MOST_NS, _MOST_TOKENS = 2**53, 2**31 - 1
_STAMPS = {"planned_s": "planned_ns", "sent_s": "send_start_ns", "first_s": "first_any_ns",
           "answer_s": "first_answer_ns", "last_s": "last_ns", "end_s": "end_ns"}  # fmt: skip
_COUNTS = ("input_tokens", "prompt_tokens", "cached_tokens", "reasoning_tokens", "asked_tokens", "output_tokens",
           "http_status", "turn")  # fmt: skip
_TOLD = {
    "request", "worker", "status", "error_kind", "error", "output_chunks", "first_tokens", "token_source",
    "usage_tokens", "first_events", "last_events", "pace_end_ns", *_STAMPS.values(), *_COUNTS,
}  # fmt: skip
_PLANNED = {"request", "planned_ns", "input_tokens", "output_tokens", "session", "turn"}
"""Columns that a file of another tool can fill; the others are NULL."""
_NOT_TOLD = {"lag_ns": MISSING, "poll_ns": MISSING, "bytes": np.int32(MISSING_INT)}
"""Of an event, no tool tells these."""
_ORDER = (("sent_s", "first_s"), ("sent_s", "last_s"), ("sent_s", "end_s"), ("first_s", "answer_s"),
          ("answer_s", "last_s"), ("first_s", "last_s"), ("first_s", "end_s"), ("last_s", "end_s"))  # fmt: skip
"""Of each pair the first comes first."""
_WORDS = {
    "planned_s": phrase("planned time"), "sent_s": phrase("send"), "first_s": phrase("first output"),
    "answer_s": phrase("first answer"), "last_s": phrase("last output"), "end_s": phrase("end"),
}  # fmt: skip


class Rows:
    """Takes the requests of one run, one after the other, and writes them as the parts of a recording."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.folder = run, folder
        self.rows = 0
        self.filled: Counter[str] = Counter()
        """How many rows have each column."""
        self.ended_ns = 0
        self.lengths: dict[str, tuple[int, int]] = {}
        """Least and most of input_tokens and output_tokens."""
        self.status = {"ok": 0, "failed": 0, "cancelled": 0}
        self.ttft_s, self.e2e_s = array("d"), array("d")
        """Of each request that has both ends."""
        self.gaps, self.gaps_s = 0, 0.0
        """How many there are between events, and how long they are together."""
        self.schedule = Columns([column for column in SCHEDULE if column.name in _PLANNED])
        self._faults: dict[str, tuple[int, int, str]] = {}
        self._requests = Columns([column for column in REQUESTS if column.name in _TOLD])
        self._events: list[dict[str, npt.NDArray[Any]]] = []
        self._waiting = self._part = 0
        self._sessions: dict[str, int] = {}
        self._derived: set[str] = set()

    def take_all(self) -> None:
        """Every request of the run. UsageError names the file, the field and the row where most rows cannot be."""
        assert self.run.details is not None
        with open_database() as self._database:
            with in_known_form(self.run.files[0], TOOLS[self.run.tool].title):
                for request in self.run.details():
                    self._take(request)
            self._write()
        self._refuse_most()

    def notes(self) -> Iterator[str]:
        """What was left out of rows that cannot be."""
        for what, (count, row, says) in self._faults.items():
            key = phrase("{}: {:,} of {:,} requests, the first in row {} ({}): left out there")
            yield phrase(key, what, count, self.rows, row, says)

    def _take(self, request: Request) -> None:
        row, placed = self.rows, self.run.placed
        stamps = self._stamps(request)
        if not placed and stamps["sent_s"] is None and any(ns is not None for ns in stamps.values()):
            stamps["sent_s"] = 0
        events = self._chunks(request, stamps)
        self._fill(stamps, events, answered=request.status == "ok" or stamps["first_s"] is not None)
        counts = {name: self._count(name, getattr(request, name)) for name in _COUNTS}
        found: dict[str, Any] = {column: stamps[name] for name, column in _STAMPS.items()} | {
            name: counts[name] for name in _COUNTS if name != "turn"
        }
        tokens = None if events is None or request.chunk_tokens is None else events["tokens"]
        found |= {
            "request": row, "worker": 0, "status": request.status,
            "output_chunks": self._count("events", request.events) if events is None else events["t_ns"].size,
            "first_tokens": None if tokens is None or tokens[0] == MISSING_INT else int(tokens[0]),
            "token_source": None if counts["output_tokens"] is None else request.token_source or "unknown",
            "usage_tokens": counts["output_tokens"] if request.token_source == "usage" else None,
        }  # fmt: skip
        if request.status == "failed":
            words = None if request.error is None else bare_words(request.error).encode(errors="replace").decode()
            found |= {"error_kind": request.error_kind or "told", "error": words}
        self._requests.add(found)
        self._plan(row, request, found, counts["turn"])
        self._note(found, events, request)
        if self._waiting >= _EVENTS_A_PART or len(self._requests) >= _ROWS_A_PART:
            self._write()

    def _stamps(self, request: Request) -> dict[str, int | None]:
        """The times of a request in ns, without those that cannot be."""
        stamps = {name: self._ns(name, getattr(request, name)) for name in _STAMPS}
        for early, late in _ORDER:
            a, b = stamps[early], stamps[late]
            if early == "sent_s" and not self.run.placed:
                a = 0 if a is None else a
            if a is None or b is None or a <= b:
                continue
            if a - b <= _SLACK_NS:
                stamps[late] = a
                continue
            says = phrase("{} at {:.6g} s, {} at {:.6g} s", self._named(late), b / 1e9, self._named(early), a / 1e9)
            self._fault(phrase("{} before {}", _WORDS[late], _WORDS[early]), says)
            for name in ("first_s", "answer_s", "last_s"):
                stamps[name] = None
            if late == "end_s":
                stamps["end_s"] = None
        return stamps

    def _ns(self, name: str, value: float | None) -> int | None:
        if value is None:
            return None
        if not math.isfinite(value):
            self._fault(phrase("{} is no finite number", self._named(name)), str(value))
            return None
        ns = round(value * 1e9)
        if not 0 <= ns < _MOST_NS:
            self._fault(phrase("{} lies before the start, or beyond all times", self._named(name)), f"{value:g} s")
            return None
        return ns

    def _count(self, name: str, value: int | None) -> int | None:
        if value is None:
            return None
        if not (math.isfinite(value) and 0 <= value <= _MOST_TOKENS):
            self._fault(phrase("{} cannot be", self._named(name)), str(value))
            return None
        return int(value)

    def _chunks(self, request: Request, stamps: dict[str, int | None]) -> dict[str, npt.NDArray[Any]] | None:
        """The events of a request; None where there are none, or they contradict its first or last output."""
        if request.chunks_s is None or not len(request.chunks_s) or stamps["first_s"] is None:
            return None
        times, name = np.asarray(request.chunks_s, dtype=float), self._named("chunks_s")
        if not (np.abs(times) < _MOST_NS / 1e9).all():  # NaN is not
            self._fault(phrase("{} is no finite number", name), "")
            return None
        t_ns = np.rint(times * 1e9).astype(np.int64)
        first, last = stamps["first_s"], stamps["last_s"] if stamps["last_s"] is not None else stamps["end_s"]
        over = int(t_ns[-1]) - last if last is not None else 0
        if (np.diff(t_ns) < 0).any() or int(t_ns[0]) < first - _SLACK_NS or over > _SLACK_NS:
            says = "" if last is None else f"{t_ns[-1] / 1e9:.6g} s > {last / 1e9:.6g} s"
            self._fault(phrase("{}: events in no order, or beyond the last output", name), says)
            return None
        t_ns = np.clip(t_ns, first, last)  # within the slack
        tokens = None
        if request.chunk_tokens is not None:
            if len(request.chunk_tokens) != t_ns.size:
                says = f"{len(request.chunk_tokens)} != {t_ns.size}"
                self._fault(phrase("{}: as many tokens as events there must be", self._named("chunk_tokens")), says)
            else:
                tokens = np.asarray(request.chunk_tokens, dtype=np.int32)
        answer = stamps["answer_s"]
        kind = np.full(t_ns.size, KIND_ANSWER, dtype=np.uint8)
        if answer is not None:
            kind[t_ns < answer] = KIND_REASONING
        return {
            "request": np.full(t_ns.size, self.rows),
            "read": np.concatenate(([0], np.cumsum(np.diff(t_ns) > 0))).astype(np.int32),
            "t_ns": t_ns,
            "kind": kind,
            "tokens": np.full(t_ns.size, MISSING_INT, dtype=np.int32) if tokens is None else tokens,
        }

    def _fill(
        self, stamps: dict[str, int | None], events: dict[str, npt.NDArray[Any]] | None, *, answered: bool
    ) -> None:
        """The stamps that follow from others; `derived` names them."""
        if stamps["last_s"] is None and events is not None:
            stamps["last_s"] = int(events["t_ns"][-1])
            self._derive("last_ns", phrase("the last event"))
        for name, other in (("last_s", "end_s"), ("end_s", "last_s")):
            if stamps[name] is None and stamps[other] is not None and (answered or name == "end_s"):
                stamps[name] = stamps[other]
                self._derive(_STAMPS[name], _STAMPS[other])

    def _derive(self, column: str, of: str) -> None:
        if column not in self._derived:
            self._derived.add(column)
            if not any(each.startswith(f"{column}:") for each in self.run.derived):
                self.run.derived.append(phrase("{}: {}, the file tells no other", column, of))

    def _plan(self, row: int, request: Request, found: dict[str, Any], turn: int | None) -> None:
        session = None
        if request.session is not None:
            session = self._sessions.setdefault(request.session, len(self._sessions))
        asked = found["asked_tokens"]
        self.schedule.add(
            {"request": row, "planned_ns": found["planned_ns"], "input_tokens": found["input_tokens"],
             "output_tokens": asked, "session": session, "turn": turn}
        )  # fmt: skip

    def _note(self, found: dict[str, Any], events: dict[str, npt.NDArray[Any]] | None, request: Request) -> None:
        """Keep what is asked of all rows together."""
        self.rows += 1
        self.status[request.status] += 1
        self.filled.update(name for name, value in found.items() if value is not None)
        for name in ("input_tokens", "output_tokens"):
            if (value := found[name]) is not None and request.status == "ok":
                low, high = self.lengths.get(name, (value, value))
                self.lengths[name] = (min(low, value), max(high, value))
        self.ended_ns = max(self.ended_ns, *(found[column] or 0 for column in _STAMPS.values()))
        start, first, last = found["send_start_ns"], found["first_any_ns"], found["last_ns"]
        if request.status == "ok" and start is not None and last is not None:
            self.e2e_s.append((last - start) / 1e9)
            if first is not None:
                self.ttft_s.append((first - start) / 1e9)
        if events is not None:
            self.gaps += events["t_ns"].size - 1
            self.gaps_s += float(events["t_ns"][-1] - events["t_ns"][0]) / 1e9
            self.filled["chunks"] += 1
            self.filled["chunks.tokens"] += request.chunk_tokens is not None
            self._events.append(events)
            self._waiting += events["t_ns"].size

    def _write(self) -> None:
        """One part of each table."""
        if not len(self._requests):
            return
        tables: dict[str, dict[str, Any]] = {"requests": self._requests.clear()}
        if self._events:
            chunks = {name: np.concatenate([each[name] for each in self._events]) for name in self._events[0]}
            nobody_told = {name: np.full(chunks["t_ns"].size, missing) for name, missing in _NOT_TOLD.items()}
            tables["chunks"] = chunks | nobody_told
            note_bursts(tables["requests"], tables["chunks"])
        for table, data in tables.items():
            write_part(self.folder, table, data, worker=0, part=self._part, connection=self._database)
        self._events, self._waiting = [], 0
        self._part += 1

    def _named(self, name: str) -> str:
        return self.run.fields.get(name, name)

    def _fault(self, what: str, says: str) -> None:
        count, row, first = self._faults.get(what, (0, self.rows, says))
        self._faults[what] = (count + 1, row, first)

    def _refuse_most(self) -> None:
        """UsageError where more than half of the rows cannot be: it is the file that is wrong, or its unit."""
        for what, (count, row, says) in self._faults.items():
            if count * 2 > self.rows:
                files = ", ".join(map(str, self.run.files))
                raise UsageError(
                    f"{files}: {what} in {count:,} of {self.rows:,} requests, the first in row {row} ({says}): are "
                    "seconds taken for milliseconds, or is the file damaged?"
                )
