"""The requests of a recording as files of other tools tell them: one by one, of the whole run.

Times are seconds since the start of the load, NaN where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from loadcell.metrics.rows import Floats, Ids, Mask
from loadcell.recording.read import Recording

Texts = npt.NDArray[np.object_]
_TIMES = (
    "planned_ns", "ready_ns", "conn_start_ns", "send_start_ns", "first_byte_ns", "first_any_ns",
    "first_answer_ns", "last_ns", "end_ns",
)  # fmt: skip
_COUNTS = (
    "input_tokens", "prompt_tokens", "cached_tokens", "asked_tokens", "reasoning_tokens", "usage_tokens",
    "output_tokens", "http_status",
)  # fmt: skip
_WORDS = ("status", "error_kind", "error", "token_source")


@dataclass(frozen=True)
class Calls:
    """Columns of the counted requests, in the order of the schedule."""

    request: Ids
    start: Floats
    """When the client began with it: its own connection if it opened one, else its first byte. That is where peers that
    keep connections start; 0 where the recording has no send times."""
    header: Floats
    """Its first byte was given to the kernel, on a connection that stood."""
    planned: Floats
    ready: Floats
    byte: Floats
    """The status line came."""
    first: Floats
    answer: Floats
    last: Floats
    end: Floats
    worker: Ids
    input: Floats
    """Prompt tokens by the server's usage, else as planned."""
    prompt: Floats
    cached: Floats
    asked: Floats
    reasoning: Floats
    output: Floats
    """Output tokens by the server's usage, else as they are known."""
    usage: Floats
    http: Floats
    status: Texts
    kind: Texts
    error: Texts
    source: Texts
    session: Ids
    """-1 where there is none."""
    turn: Ids

    def __len__(self) -> int:
        return int(self.request.size)

    @property
    def ok(self) -> Mask:
        """Those that succeeded."""
        return self.of("ok")

    def of(self, *words: str) -> Mask:
        """Those of one of these states."""
        found: Mask = np.isin(self.status, words)
        return found

    def why(self, i: int) -> str:
        """What went wrong with one, in words; empty of one that is ok."""
        if self.status[i] == "ok":
            return ""
        return str(self.error[i] or self.kind[i] or self.status[i])

    @property
    def begin(self) -> float:
        """Start of the first that was sent."""
        return float(np.nanmin(self.start, initial=np.inf))


def read_calls(recording: Recording) -> Calls:
    """The counted requests of a recording; those beyond the end of the load are no part of it."""
    table = recording.requests(("request", "worker", "counted", *_TIMES, *_COUNTS, *_WORDS))
    kept = table["counted"].astype(bool)
    table = {name: column[kept] for name, column in table.items()}
    times = {name.removesuffix("_ns"): table[name].astype(np.float64) / 1e9 for name in _TIMES}
    counts = {name: table[name].astype(np.float64) for name in _COUNTS}
    start = np.where(np.isnan(times["conn_start"]), times["send_start"], times["conn_start"])
    if recording.imported is not None and not recording.imported.placed:
        start = np.where(np.isnan(start), 0.0, start)
    request = table["request"].astype(np.int64)
    plan = recording.schedule(("request", "session", "turn"))
    places = np.searchsorted(plan["request"], request)
    numbered = {name: np.nan_to_num(plan[name].astype(np.float64)[places], nan=-1) for name in ("session", "turn")}
    return Calls(
        request=request,
        start=start,
        header=np.where(np.isnan(times["send_start"]), start, times["send_start"]),
        planned=times["planned"],
        ready=times["ready"],
        byte=times["first_byte"],
        first=times["first_any"],
        answer=times["first_answer"],
        last=times["last"],
        end=times["end"],
        worker=np.nan_to_num(table["worker"].astype(np.float64), nan=0).astype(np.int64),
        input=np.where(np.isnan(counts["prompt_tokens"]), counts["input_tokens"], counts["prompt_tokens"]),
        prompt=counts["prompt_tokens"],
        cached=counts["cached_tokens"],
        asked=counts["asked_tokens"],
        reasoning=counts["reasoning_tokens"],
        output=np.where(np.isnan(counts["usage_tokens"]), counts["output_tokens"], counts["usage_tokens"]),
        usage=counts["usage_tokens"],
        http=counts["http_status"],
        status=table["status"],
        kind=table["error_kind"],
        error=table["error"],
        source=table["token_source"],
        session=numbered["session"].astype(np.int64),
        turn=numbered["turn"].astype(np.int64),
    )


@dataclass(frozen=True)
class Heard:
    """Times of the events of each reply that a tool takes for output: those of call i are `times[at[i]:at[i + 1]]`."""

    times: Floats
    at: Ids

    @property
    def count(self) -> Ids:
        """How many, of each."""
        return np.diff(self.at)

    @property
    def first(self) -> Floats:
        """The first of each; NaN without any."""
        return self._at(self.at[:-1])

    @property
    def last(self) -> Floats:
        """The last of each; NaN without any."""
        return self._at(self.at[1:] - 1)

    def _at(self, places: Ids) -> Floats:
        found = np.full(places.size, np.nan)
        some = self.count > 0
        found[some] = self.times[places[some]]
        return found

    def of(self, i: int) -> Floats:
        """Those of one call."""
        return self.times[self.at[i] : self.at[i + 1]]

    def gaps(self, chosen: Mask) -> Floats:
        """Times between them, of the chosen calls, in their order."""
        owner = np.repeat(np.arange(chosen.size), self.count)
        inside = (owner[1:] == owner[:-1]) & chosen[owner[1:]]
        found: Floats = np.diff(self.times)[inside]
        return found


def hear(recording: Recording, calls: Calls, kinds: int) -> Heard:
    """The events of any of `kinds`, a bit set of `loadcell.kinds`."""
    owners, times = [np.empty(0, np.int64)], [np.empty(0)]
    for part in recording.chunks(("request", "t_ns", "kind"), output_only=False):
        mine = (part["kind"].astype(np.int64) & kinds) > 0
        owners.append(part["request"][mine].astype(np.int64))
        times.append(part["t_ns"][mine].astype(np.float64) / 1e9)
    request, at = np.concatenate(owners), np.concatenate(times)
    known = np.isin(request, calls.request)
    place = np.searchsorted(calls.request, request[known])
    order = np.argsort(place, kind="stable")  # events of one request are in order within their part
    bounds = np.searchsorted(place[order], np.arange(len(calls) + 1))
    return Heard(times=at[known][order], at=bounds)


def texts_of(recording: Recording, calls: Calls) -> Texts | None:
    """The output of each call, thoughts first; None where the recording keeps no texts."""
    files = sorted(recording.path.glob("text-*.parquet"))
    if not files:
        return None
    from loadcell.recording.read import read_columns

    found = np.full(len(calls), "", dtype=object)
    for file in files:
        part = read_columns(file, ("request", "reasoning", "content"))
        for request, *said in zip(*part.values(), strict=True):
            place = int(np.searchsorted(calls.request, request))
            if place < len(calls) and calls.request[place] == request:
                found[place] = "".join(text for text in said if text)
    return found


def number(value: float) -> float | None:
    """A number for JSON: None where it is missing."""
    return None if np.isnan(value) else float(value)


def whole(value: float) -> int | None:
    """A count for JSON: None where it is missing."""
    return None if np.isnan(value) else int(value)


def each(values: Floats) -> Iterator[float | None]:
    """Numbers for JSON."""
    return map(number, values.tolist())


def lacking(recording: Recording, calls: Calls) -> Iterator[str]:
    """What no file of another tool tells of this recording: requests that have no row, or lie beyond the end."""
    planned = recording.manifest.planned
    if planned is not None and planned > len(calls):
        yield f"{planned - len(calls):,} of {planned:,} planned requests were never sent or lost: they are in no figure"
    beyond = int((~recording.requests(("counted",))["counted"].astype(bool)).sum())
    if beyond:
        yield f"{beyond:,} requests beyond the end, which kept the load on, are left out"
    given_up = int(calls.of("cancelled", "abandoned").sum())
    if given_up:
        yield f"{given_up:,} requests were given up: they count as neither good nor bad where the format can say so"


def effective(recording: Recording, name: str) -> Any:
    """A setting as it was in the run; None where nobody said."""
    return recording.manifest.effective.get(name)
