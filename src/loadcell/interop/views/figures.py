"""Figures of what was seen, by the rules of a tool. Times in seconds, NaN where a request does not show one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from loadcell.interop.views.definitions import Definition, Dist, Rules
from loadcell.interop.views.seen import Floats, Mask, Seen
from loadcell.kinds import KIND_ANSWER
from loadcell.recording.tables import LEAST_LATER
from loadcell.spec import Slo

_NS = 1e9
SCALE = {"s": 1.0, "ms": 1e3, "ns": 1e9, "tokens": 1.0, "tokens/s": 1.0}
"""Of a unit, over seconds or as it is."""


# --- of requests -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Taken:
    """The requests that a tool counts as successes, by its rules."""

    seen: Seen
    rules: Rules
    tool: str = ""

    @property
    def own(self) -> bool:
        """Whether the tool made this load itself."""
        return self.seen.made_by == self.tool

    @cached_property
    def members(self) -> Mask:
        """Which these are: ours, and the failures that it does not notice."""
        found: Mask = (self.seen.ok | self.unnoticed) & ~self.dropped
        return found

    @cached_property
    def dropped(self) -> Mask:
        """Replies too short for it."""
        found: Mask = self.tokens < self.rules.least
        return found

    @cached_property
    def unnoticed(self) -> Mask:
        """Failures by our rules that are none by its."""
        came = ~np.isnan(self.seen.first_any)
        heard, empty = (self.seen.failed_by(kinds) for kinds in (self.rules.takes, self.rules.takes_empty))
        found: Mask = np.where(came, heard, empty)
        return found

    @property
    def start(self) -> Floats:
        """Where its clock starts, ns."""
        seen = self.seen
        called = np.where(np.isnan(seen.connect), seen.sent, seen.connect)
        if self.rules.start == "due":
            return np.where(np.isnan(seen.due), seen.sent, seen.due)
        return {"send": seen.sent, "call": called, "fresh": called}[self.rules.start]

    @property
    def first(self) -> Floats:
        """Its first event, ns; of a load of its own what it took for it."""
        seen = self.seen
        if self.own and self.rules.first == "answer":
            return np.where(np.isnan(seen.answer), seen.first_any, seen.answer)
        return {"output": seen.first_any, "choices": seen.first_choice, "answer": seen.answer}[self.rules.first]

    @property
    def end(self) -> Floats:
        """Where its clock ends, ns."""
        return {"output": self.seen.last, "choices": self.seen.last_choice, "stream": self.seen.end}[self.rules.end]

    @cached_property
    def tokens(self) -> Floats:
        """Output tokens of each request; NaN where nothing tells them."""
        seen = self.seen
        count = np.full(len(seen), np.nan)
        sources: dict[str, Callable[[], Floats]] = {
            "ours": lambda: seen.ours, "usage": lambda: seen.usage, "text": lambda: seen.text,
            "asked": lambda: seen.asked, "events": lambda: seen.chunks, "choices": self.chosen_events,
        }  # fmt: skip
        # Of a load that another tool made its own count stands where nobody told better; what it itself wrote is it.
        known = [source for source in self.rules.tokens if seen.made_by is None or source in ("usage", "text")]
        for source in ["ours"] if self.own else known:
            count = np.where(np.isnan(count), sources[source](), count)
        count = np.where(np.isnan(count), seen.ours, count)
        count = np.where(np.isnan(count) & self.unnoticed, seen.chunks, count)
        if self.rules.first == "answer" and not self.own:
            count = np.round(count * self.visible)
        if self.unseen.any():  # nothing came, and it counts all the same: what was asked for, one, or none
            nothing = np.ones(len(seen)) if "choices" in self.rules.tokens else np.zeros(len(seen))
            count = np.where(self.unseen, seen.asked if "asked" in self.rules.tokens else nothing, count)
        return count

    @property
    def unseen(self) -> Mask:
        """Its successes that brought no output."""
        found: Mask = self.unnoticed & np.isnan(self.seen.first_any)
        return found

    @cached_property
    def visible(self) -> Floats:
        """Share of visible text in the output of each, by events: who does not look at reasoning counts no more."""
        events, size = self.seen.events, len(self.seen)
        output = np.bincount(events.place[events.of_output()], minlength=size)
        answer = np.bincount(events.place[(events.kind & KIND_ANSWER) > 0], minlength=size)
        return np.where(output > 0, answer / np.maximum(1, output), 1.0)

    def chosen_events(self) -> Floats:
        """How many these are, by request; NaN without any."""
        chosen = self._chosen()
        number = np.bincount(self.seen.events.place[chosen], minlength=len(self.seen)).astype(np.float64)
        return np.where(number > 0, number, np.nan)

    def _chosen(self) -> Mask:
        """Events that it takes for tokens."""
        events = self.seen.events
        if self.rules.gaps == "answer":
            found: Mask = (events.kind & KIND_ANSWER) > 0
            return found
        return events.of_choices() if self.rules.gaps == "choices" else events.of_output()

    def gaps(self) -> Floats:
        """Times between these in each of its requests, s, pooled."""
        events = self.seen.events
        keep = self._chosen() & self.members[events.place] if events.place.size else np.zeros(0, bool)
        place, t = events.place[keep], events.t[keep]
        same = np.diff(place) == 0
        found: Floats = np.diff(t)[same] / _NS
        return found


def _after(values: Floats, n: Floats, least: float = 2.0) -> Floats:
    """`values` over n - 1, where there are so many tokens."""
    return values / np.where(n >= least, n - 1, np.nan)


def _token_gaps(taken: Taken) -> Floats:
    """Gaps where each token of an event has its stamp: those of events, and none between tokens of one."""
    gaps = taken.gaps()
    within = np.nansum(np.maximum(0, taken.tokens - taken.chosen_events())[taken.members])
    return np.concatenate([gaps, np.zeros(int(within))])


def _ours_paced(taken: Taken) -> Floats:
    later = taken.seen.later
    return (taken.seen.pace_end - taken.seen.first_any) / _NS / np.where(later >= LEAST_LATER, later, np.nan)


def _whole(taken: Taken) -> Floats:
    n = taken.tokens
    return (taken.end - taken.start) / _NS / np.where(n >= 1, n, np.nan)


def _lines(taken: Taken) -> Floats:
    """From the start to the last event that it takes for a token, over all with a choice."""
    events = taken.seen.events
    number = np.bincount(events.place[events.of_choices()], minlength=len(taken.seen)).astype(np.float64)
    if taken.own:
        number = np.where(number > 0, number, taken.seen.chunks)
    return (taken.seen.last - taken.start) / _NS / np.where(number > 0, number, np.nan)


def _rest(taken: Taken) -> Floats:
    return (taken.end - taken.first) / _NS


def _apart(taken: Taken) -> Floats:
    return _after((taken.seen.last - taken.first) / _NS, taken.tokens)


def _ttft(taken: Taken) -> Floats:
    found = (taken.first - taken.start) / _NS
    return np.where(taken.unseen, 0.0, found) if taken.rules.zero_ttft else found


def _from_start(taken: Taken) -> Floats:
    return (taken.seen.last - taken.start) / _NS / np.where(taken.tokens >= 1, taken.tokens, np.nan)


def _some(seconds: Floats) -> Floats:
    """Times to divide by: none where nothing passed."""
    return np.where(seconds > 0, seconds, np.nan)


FORMULAS: dict[str, Callable[[Taken], Floats]] = {
    "ttft": _ttft,
    "ttft_of_several": lambda t: np.where(t.tokens > 1, _ttft(t), np.nan),
    "e2e": lambda t: (t.end - t.start) / _NS,
    "rest": _rest,
    "after_first": lambda t: _after(_rest(t), t.tokens),
    "after_first_1ms": lambda t: _after(np.where(_rest(t) >= 1e-3, _rest(t), np.nan), t.tokens),
    "whole_ns_after_first": lambda t: np.floor(_after(_rest(t) * _NS, t.tokens)) / _NS,
    "apart": _apart,
    "from_start": _from_start,
    "over_all": lambda t: (t.seen.last - t.first) / _NS / np.where(t.tokens >= 1, t.tokens, np.nan),
    "whole": _whole,
    "lines": _lines,
    "paced": _ours_paced,
    "per_apart": lambda t: 1 / _some(_apart(t)),
    "per_whole": lambda t: t.tokens / _some((t.end - t.start) / _NS),
    "per_after_first": lambda t: 1 / _after(np.where(_rest(t) >= 1e-3, _rest(t), np.nan), t.tokens),
    "prompt_per_ttft": lambda t: _prompt(t.seen) / _some(_ttft(t)),
    "tokens": lambda t: t.tokens,
    "prompt": lambda t: _prompt(t.seen),
    "planned_input": lambda t: t.seen.planned_input,
}
"""One value a request."""
POOLED: dict[str, Callable[[Taken], Floats]] = {"gaps": Taken.gaps, "token_gaps": _token_gaps}
"""All gaps of all requests together."""


def _prompt(seen: Seen) -> Floats:
    return np.where(np.isnan(seen.prompt), seen.planned_input, seen.prompt)


def samples(seen: Seen, rules: Rules, tool: str = "") -> tuple[Floats, Floats | None]:
    """The values of a distribution and, where they weigh differently, their weights."""
    taken = Taken(seen, rules, tool)
    if rules.formula in POOLED:
        return POOLED[rules.formula](taken), None
    values = FORMULAS[rules.formula](taken)
    known = taken.members & ~np.isnan(values)
    weights = None
    if rules.weighted:
        weights = (taken.tokens - (rules.formula == "apart"))[known]
    return values[known], weights


# --- of the run ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Totals:
    """Single figures of a run by a tool's rules; None where they cannot be told."""

    taken: Taken
    definition: Definition
    slo: Slo | None = None

    @cached_property
    def window_s(self) -> float | None:
        """The time that it divides by: as it told it, where it made this load; else as it would have measured it."""
        seen = self.taken.seen
        if self.taken.own and seen.window_s is not None:
            return seen.window_s
        return self._window(seen) if seen.placed else None

    def _window(self, seen: Seen) -> float | None:
        members, window = self.taken.members, self.definition.window
        attempts = ~np.isnan(seen.end) & ~np.isnan(self.taken.start)
        started = 0.0 if seen.made_by is None else _least(self.taken.start, attempts)
        if not members.any():
            return None
        if window == "valid":
            return _span(_least(seen.sent, members), _most(seen.last, members))
        if window == "attempts":
            return _span(_least(self.taken.start, attempts), _most(seen.end, attempts))
        if window == "last_issued":
            order = np.where(members, self.taken.start, -np.inf)
            return _span(_least(self.taken.start, members), float(seen.end[int(np.argmax(order))]))
        return _span(started, _most(seen.end, attempts))

    @property
    def successes_s(self) -> float | None:
        """From the first start of a success to the last end of one."""
        members = self.taken.members
        return _span(_least(self.taken.start, members), _most(self.taken.seen.end, members))

    @cached_property
    def completed(self) -> float:
        return float(np.count_nonzero(self.taken.members))

    @property
    def failed(self) -> float:
        return float(np.count_nonzero(self.taken.seen.failed & ~self.taken.members))

    @property
    def failed_by_us(self) -> float:
        return float(np.count_nonzero(self.taken.seen.failed))

    @property
    def started(self) -> float:
        return float(len(self.taken.seen))

    @property
    def output(self) -> float | None:
        return _sum(self.taken.tokens[self.taken.members])

    @property
    def input(self) -> float | None:
        seen = self.taken.seen
        return _sum((seen.planned_input if self.definition.local_input else _prompt(seen))[self.taken.members])

    def per_s(self, amount: float | None) -> float | None:
        return None if amount is None or not self.window_s else amount / self.window_s

    @property
    def e2e(self) -> Floats:
        found = FORMULAS["e2e"](self.taken)[self.taken.members]
        return found[~np.isnan(found)]

    def good(self) -> float | None:
        """Requests within every limit by the tool's own figures; None without limits, or where one is not shown."""
        if self.slo is None or not any((self.slo.ttft_ms, self.slo.tpot_ms, self.slo.e2e_ms)):
            return None
        ttft, tpot = (FORMULAS[formula](self.taken) for formula in self.definition.good)
        figures = {
            "ttft_ms": ttft,
            "tpot_ms": tpot if self.definition.strict else np.where(self.taken.tokens <= 1, 0.0, tpot),
            "e2e_ms": FORMULAS["e2e"](self.taken),
        }
        good = self.taken.members.copy()
        for name, values in figures.items():
            limit = getattr(self.slo, name)
            if limit is not None:
                good &= values * 1e3 <= limit
        return float(np.count_nonzero(good))

    def most_events(self) -> float | None:
        """Events of the fullest whole second since the first start."""
        seen, first = self.taken.seen, self._first_second()
        keep = self.taken._chosen() & self.taken.members[seen.events.place] if seen.events.place.size else None
        if first is None or keep is None or not keep.any():
            return None
        return float(np.bincount(((seen.events.t[keep] - first) / _NS).astype(np.int64)).max())

    def most_touching(self) -> float | None:
        """Requests that touch the most touched whole second."""
        first, members = self._first_second(), self.taken.members & ~np.isnan(self.taken.end - self.taken.start)
        if first is None or not members.any():
            return None
        begin = ((self.taken.start[members] - first) / _NS).astype(np.int64)
        end = ((self.taken.end[members] - first) / _NS).astype(np.int64)
        change = np.bincount(begin, minlength=end.max() + 2) - np.bincount(end + 1, minlength=end.max() + 2)
        return float(np.cumsum(change).max())

    def _first_second(self) -> float | None:
        starts = self.taken.start[self.taken.members]
        known = starts[~np.isnan(starts)]
        return float(known.min()) if known.size and self.taken.seen.placed else None


def _share(part: float | None, whole: float) -> float | None:
    return None if part is None or not whole else part / whole


SCALARS: Mapping[str, tuple[Callable[[Totals], float | None], str, str | None]] = {
    "window_s": (lambda t: t.window_s, "s", None),
    "valid_s": (lambda t: t._window(t.taken.seen) if t.taken.seen.placed else None, "s", None),
    "completed": (lambda t: t.completed, "requests", "ok"),
    "failed": (lambda t: t.failed, "requests", "failed"),
    "failed_by_us": (lambda t: t.failed_by_us, "requests", "failed"),
    "failed_share": (lambda t: _share(t.failed, t.started), "", None),
    "started": (lambda t: t.started, "requests", "planned"),
    "input": (lambda t: t.input, "tokens", None),
    "output": (lambda t: t.output, "tokens", None),
    "requests_per_s": (lambda t: t.per_s(t.completed), "requests/s", "requests_per_s"),
    "requests_per_min": (lambda t: t.per_s(t.completed * 60), "requests/min", None),
    "samples_per_s": (lambda t: t.per_s(t.completed - 1), "requests/s", "requests_per_s"),
    "output_per_s": (lambda t: t.per_s(t.output), "tokens/s", "output_tokens_per_s"),
    "input_per_s": (lambda t: t.per_s(t.input), "tokens/s", "input_tokens_per_s"),
    "total_per_s": (lambda t: t.per_s(_sum([t.input, t.output])), "tokens/s", "total_tokens_per_s"),
    "concurrency": (lambda t: t.per_s(float(t.e2e.sum())), "requests", None),
    "most_events": (Totals.most_events, "events", None),
    "most_touching": (Totals.most_touching, "requests", None),
    "goodput_per_s": (lambda t: t.per_s(t.good()), "requests/s", "goodput_per_s"),
    "goodput_of_successes": (lambda t: _share(t.good(), t.successes_s or 0), "requests/s", "goodput_per_s"),
    "good_of_sent": (lambda t: _share(t.good(), t.started), "", "attainment"),
    "good_of_ended": (lambda t: _share(t.good(), t.completed + t.failed), "", "attainment"),
    "good_percent": (lambda t: _share(t.good(), t.completed / 100), "%", None),
}
"""Of `Definition.scalars`: how it is computed, its unit, and which of ours it is."""


def rules_of(definition: Definition, api: str, dist: Dist | None = None) -> Rules:
    """The rules of a tool where it speaks this API, and of one of its distributions."""
    changes = dict(definition.api.get(api, {}))
    if dist is not None:
        changes |= {**dist.changes, "formula": dist.formula}
    return definition.rules._replace(**changes)  # type: ignore[arg-type]


def _sum(values: Floats | list[float | None]) -> float | None:
    """None where one is missing: a sum without it would be too small."""
    numbers = np.array(values, dtype=np.float64)
    return None if np.isnan(numbers).any() else float(numbers.sum())


def _span(begin: float, end: float) -> float | None:
    return (end - begin) / _NS if end > begin else None


def _least(values: Floats, chosen: Mask) -> float:
    found = values[chosen]
    return float(np.nanmin(found)) if (~np.isnan(found)).any() else np.nan


def _most(values: Floats, chosen: Mask) -> float:
    found = values[chosen]
    return float(np.nanmax(found)) if (~np.isnan(found)).any() else np.nan
