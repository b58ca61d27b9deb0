"""The requests of a recording as files of other tools tell them: one by one, of the whole run.

Times are seconds since the start of the load, NaN where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from loadcell.interop.views.definitions import TOOLS
from loadcell.interop.views.figures import FORMULAS, Taken, Totals, rules_of
from loadcell.interop.views.seen import see
from loadcell.metrics.rows import Floats, Ids, Mask
from loadcell.recording.read import Recording, read_columns
from loadcell.spec import Slo

Texts = npt.NDArray[np.object_]
_TIMES = ("planned_ns", "ready_ns", "first_byte_ns", "first_any_ns", "first_answer_ns", "last_ns", "end_ns")
_COUNTS = ("input_tokens", "prompt_tokens", "cached_tokens", "reasoning_tokens", "usage_tokens", "http_status")
_WORDS = ("status", "error_kind", "error", "token_source")


@dataclass(frozen=True)
class Calls:
    """Columns of the counted requests, in the order of the schedule."""

    request: Ids
    due: Floats
    """When it was to be sent: planned, or as soon as it could be."""
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
    reasoning: Floats
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


def read_calls(recording: Recording) -> Calls:
    """The counted requests of a recording; those beyond the end of the load are no part of it."""
    table = recording.requests(("request", "worker", "counted", *_TIMES, *_COUNTS, *_WORDS))
    kept = table["counted"].astype(bool)
    table = {name: column[kept] for name, column in table.items()}
    times = {name.removesuffix("_ns"): table[name].astype(np.float64) / 1e9 for name in _TIMES}
    counts = {name: table[name].astype(np.float64) for name in _COUNTS}
    request = table["request"].astype(np.int64)
    plan = recording.schedule(("request", "session", "turn"))
    places = np.searchsorted(plan["request"], request)
    numbered = {name: np.nan_to_num(plan[name].astype(np.float64)[places], nan=-1) for name in ("session", "turn")}
    return Calls(
        request=request,
        due=np.where(np.isnan(times["planned"]), times["ready"], times["planned"]),
        byte=times["first_byte"],
        first=times["first_any"],
        answer=times["first_answer"],
        last=times["last"],
        end=times["end"],
        worker=np.nan_to_num(table["worker"].astype(np.float64), nan=0).astype(np.int64),
        input=np.where(np.isnan(counts["prompt_tokens"]), counts["input_tokens"], counts["prompt_tokens"]),
        prompt=counts["prompt_tokens"],
        cached=counts["cached_tokens"],
        reasoning=counts["reasoning_tokens"],
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
class By:
    """A recording by the definitions of a tool (`interop.views`), the rows of `calls` and `taken` the same.

    What the tool would not have noticed stays a failure here: a file that goes on into dashboards must not say that
    such a request succeeded. Where nobody counted tokens our own count stands in, never what was asked for.
    """

    calls: Calls
    taken: Taken
    totals: Totals

    def values(self, formula: str, **changes: Any) -> Floats:
        """One value a request by a formula of `views.figures`, as it is for all of them."""
        return FORMULAS[formula](replace(self.taken, rules=self.taken.rules._replace(**changes)))

    def stamps(self) -> list[Floats]:
        """Times of the events that the tool takes for output, s, of each request."""
        events = self.taken.seen.events
        chosen = events.of_choices() if self.taken.rules.gaps == "choices" else events.of_output()
        order = np.argsort(events.place[chosen], kind="stable")
        bounds = np.searchsorted(events.place[chosen][order], np.arange(len(self.calls) + 1))
        times = events.t[chosen][order] / 1e9
        return [times[begin:end] for begin, end in pairwise(bounds)]


def by_tool(recording: Recording, tool: str, slo: Slo | None = None) -> By:
    """The requests of a recording, and their figures by a tool of `views.definitions`, under its spec's limits or
    others."""
    definition, api = TOOLS[tool], recording.spec.endpoint.api
    rules = rules_of(definition, api if isinstance(api, str) else "template")
    counted = tuple(source for source in rules.tokens if source not in ("asked", "one"))
    rules = rules._replace(takes=frozenset(), takes_empty=frozenset(), tokens=counted)
    taken = Taken(see(recording), rules, tool)
    totals = Totals(taken, definition, recording.spec.slo if slo is None else slo)
    return By(read_calls(recording), taken, totals)


def texts_of(recording: Recording, calls: Calls) -> Texts | None:
    """The output of each call, thoughts first; None where the recording keeps no texts."""
    files = sorted(recording.path.glob("text-*.parquet"))
    if not files:
        return None
    found = np.full(len(calls), "", dtype=object)
    for file in files:
        part = read_columns(file, ("request", "reasoning", "content"))
        for request, *said in zip(*part.values(), strict=True):
            place = int(np.searchsorted(calls.request, request))
            if place < len(calls) and calls.request[place] == request:
                found[place] = "".join(text for text in said if text)
    return found


def number(value: float | None) -> float | None:
    """A number for JSON: None where it is missing."""
    return None if value is None or np.isnan(value) else float(value)


def whole(value: float | None) -> int | None:
    """A count for JSON: None where it is missing."""
    return None if value is None or np.isnan(value) else int(value)


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
