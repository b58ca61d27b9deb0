"""From the columns of a file to a Trace: what all formats have in common.

Rows that are broken stop it, or are left out and counted; requests without output are left out and counted; rows are
put in the order of their times, which begin at 0; and times in a unit that cannot be are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.phrases import joined, phrase
from loadcell.traces.model import Change, Ragged, Trace

_NAMED = 3
"""So many broken rows are named."""
_MOST_TOKENS = 2**31 - 1
_MOST_BLOCK = 2**62
_MOST_BLOCKS = 200_000_000
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Seconds of each unit of time."""
_EPOCHS = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"))
"""Times from which on a date can only be meant in that unit: 1e11 s are the year 5138, 1e11 ms 1973."""
_FAST = 1000.0
"""Requests a second on average that a trace hardly has: its unit is then doubted."""
_SLOW_S = 60.0
_LONG_S = 20 * 86_400.0
"""A mean gap and a span of whole numbers that are hardly in seconds."""
_ORDER = 0.5
"""Correlation of rows and times below which the column is doubted."""


@dataclass(kw_only=True)
class Draft:
    """What a reader found, row for row of the file; NaN where there is nothing, or nothing sensible."""

    name: str
    kind: str
    path: str
    input_tokens: NDArray[np.float64]
    output_tokens: NDArray[np.float64]
    t_s: NDArray[np.float64] | None = None
    """When each came, on any clock; those that wait for others need none."""
    time: str = "t"
    """What the column of times is called."""
    session: NDArray[np.int64] | None = None
    delay_s: NDArray[np.float64] | None = None
    waits: Ragged | None = None
    blocks: Ragged | None = None
    block_tokens: int = 0
    prefix_tokens: NDArray[np.float64] | None = None
    places: Callable[[Iterable[int]], list[int]] = lambda rows: [row + 1 for row in rows]
    """The lines in which rows stand."""
    broken: Mapping[int, str] = field(default_factory=dict)
    """Rows that the reader knows to be broken, and why."""
    by_session: bool = False
    """Whether the format has sessions one after another, so that rows behind a later one are no fault of the file."""
    keeps_zero: bool = False
    """Whether the times are from the trace's own beginning already, at which there need be no row."""
    checked: bool = True
    """Whether the unit of the times may be doubted."""
    unit: str = "s"
    """What the times were taken for, to say it."""
    changes: tuple[Change, ...] = ()
    source: str = ""

    def __len__(self) -> int:
        return len(self.input_tokens)


def settle(draft: Draft, *, skip_bad: bool) -> Trace:
    """The trace. UsageError for what is broken, empty, in no order or in a unit that cannot be."""
    if not len(draft):
        raise UsageError(f"{draft.path} holds no requests")
    if draft.blocks is not None and not 1 <= draft.block_tokens <= _MOST_TOKENS:
        raise UsageError(f"{draft.path} has blocks of {draft.block_tokens:,} tokens; one has 1 to {_MOST_TOKENS:,}")
    changes = list(draft.changes)
    start, depth = _starts(draft)
    bad = _faults(draft, start)
    if bad:
        if not skip_bad or len(bad) == len(draft):
            raise UsageError(_refusal(draft, bad, skip_bad))
        changes.append(_left_out(draft, bad))
    keep = np.ones(len(draft), bool)
    keep[list(bad)] = False
    silent = keep & (draft.output_tokens == 0)
    if n := int(silent.sum()):
        if n == int(keep.sum()):
            raise UsageError(f"no request of {draft.path} has an output: all {n:,} have 0 output tokens")
        words = phrase(
            "{:,} of {:,} requests of {} have no output: they failed, and were left out", n, len(draft), draft.name
        )
        changes.append(Change("drop", n, words))
        keep &= ~silent
    if start is not None and not draft.by_session:
        changes += _order(draft, start[keep])
    order = np.flatnonzero(keep)
    if start is not None:
        order = order[np.lexsort((depth[order], start[order]))]
    trace = _trace(draft, order, None if start is None else start[order])
    if trace.t_s is not None and draft.checked:
        _doubt_unit(draft, trace.t_s)
    trace, more = _fitted(trace)
    return replace(trace, changes=(*changes, *more))


def whole(values: NDArray[np.float64], least: int = 0) -> NDArray[np.bool_]:
    """Which are whole numbers of tokens."""
    with np.errstate(invalid="ignore"):
        good: NDArray[np.bool_] = (values >= least) & (values <= _MOST_TOKENS) & (np.floor(values) == values)
    return good


def seconds(times: NDArray[np.float64], unit: str) -> tuple[NDArray[np.float64], tuple[Change, ...]]:
    """Times as seconds. A date that can only be in another unit than it says is taken for that, and it is said."""
    finite = times[np.isfinite(times)]
    lowest = float(finite.min()) if len(finite) else 0.0
    meant = next((name for least, name in _EPOCHS if lowest >= least), unit)
    if meant == unit:
        return times * UNITS[unit], ()
    words = phrase("times were taken for {} since 1970: as {} they would be no dates", meant, unit)
    return times * UNITS[meant], (Change("unit", len(times), words),)


def block_lists(lists: Sequence[Sequence[int]]) -> Ragged:
    """Lists of blocks as columns; with numbers beyond 62 bits, or below 0, they are numbered in order of appearance."""
    ends = np.cumsum([len(each) for each in lists], dtype=np.int64)
    flat = [value for each in lists for value in each]
    if flat and not 0 <= min(flat) <= max(flat) < _MOST_BLOCK:
        known: dict[int, int] = {}
        flat = [known.setdefault(value, len(known)) for value in flat]
    return Ragged(np.array(flat, np.int64), ends)


def numbered(names: list[str | None]) -> NDArray[np.int64]:
    """Numbers for names in the order in which they appear; a row without one is by itself."""
    known: dict[str | tuple[int], int] = {}
    return np.array([known.setdefault(name if name else (i,), len(known)) for i, name in enumerate(names)], np.int64)


# --- what is broken --------------------------------------------------------------------------------------------------


def _faults(draft: Draft, start: NDArray[np.float64] | None) -> dict[int, str]:
    """Rows that are no requests, and why."""
    bad: dict[int, str] = {}
    for row in np.flatnonzero(~whole(draft.input_tokens, 1)).tolist():
        value = draft.input_tokens[row]
        bad[row] = phrase("no input tokens") if np.isnan(value) else phrase("{:g} input tokens", value)
    for row in np.flatnonzero(~whole(draft.output_tokens)).tolist():
        value = draft.output_tokens[row]
        bad.setdefault(row, phrase("no output tokens") if np.isnan(value) else phrase("{:g} output tokens", value))
    if start is not None:
        for row in np.flatnonzero(np.isnan(start)).tolist():
            bad.setdefault(row, phrase("no time"))
    if draft.delay_s is not None:
        with np.errstate(invalid="ignore"):
            for row in np.flatnonzero(draft.delay_s < 0).tolist():
                bad.setdefault(row, phrase("a delay of {:g} s", draft.delay_s[row]))
    bad.update(draft.broken)
    return dict(sorted(bad.items()))


def _named(draft: Draft, bad: Mapping[int, str]) -> list[str]:
    rows = list(bad)[:_NAMED]
    return [phrase("line {} ({})", line, bad[row]) for row, line in zip(rows, draft.places(rows), strict=True)]


def _refusal(draft: Draft, bad: Mapping[int, str], skip_bad: bool) -> str:
    named = ", ".join(_named(draft, bad)) + (", ..." if len(bad) > _NAMED else "")
    what = f"{len(bad):,} of {len(draft):,} rows of {draft.path} are broken: {named}"
    if len(bad) == len(draft):
        return f"{what}; none is left: is it of the format {draft.kind}?"
    return f"{what}; repair them, or leave them out by --skip-bad"


def _left_out(draft: Draft, bad: Mapping[int, str]) -> Change:
    named = joined(", ", _named(draft, bad))
    words = phrase(
        "{:,} of {:,} rows of {} are broken and were left out, the first: {}", len(bad), len(draft), draft.name, named
    )
    return Change("bad", len(bad), words)


# --- order and unit --------------------------------------------------------------------------------------------------


def _starts(draft: Draft) -> tuple[NDArray[np.float64] | None, NDArray[np.int64]]:
    """When each came, of those without a time that of the last which it waited for; NaN where nothing tells. And its
    place among those that have the same: who waits stands behind."""
    depth = np.zeros(len(draft), np.int64)
    if draft.t_s is None:
        return None, depth
    start = np.where(np.isfinite(draft.t_s), draft.t_s, np.nan)
    if draft.waits is None or np.isfinite(start[draft.waits.counts > 0]).all():
        return start, depth
    known = draft.waits.counts == 0
    left = np.flatnonzero(~known).tolist()
    while left:
        later = []
        for row in left:
            others = draft.waits.of(row)
            if not known[others].all():
                later.append(row)
                continue
            start[row] = start[others].max() if np.isnan(start[row]) else start[row]
            depth[row], known[row] = depth[others].max() + 1, True
        if len(later) == len(left):  # they wait for each other
            break
        left = later
    return start, depth


def _order(draft: Draft, start: NDArray[np.float64]) -> list[Change]:
    """Rows that stand behind a later one. UsageError where the times are in no order at all."""
    late = int((start < np.maximum.accumulate(start)).sum()) if len(start) else 0
    if not late:
        return []
    if len(start) >= 20:
        ranks = np.argsort(np.argsort(start, kind="stable"), kind="stable")
        if abs(float(np.corrcoef(ranks, np.arange(len(start)))[0, 1])) < _ORDER:
            raise UsageError(
                f"the times of {draft.path} are in no order ({late:,} of {len(start):,} rows are earlier than one "
                f"before them): is {draft.time} when requests came? If so, sort the file by it"
            )
    words = phrase("{:,} of {:,} rows of {} stood behind a later one: put in order", late, len(start), draft.name)
    return [Change("sort", late, words)]


def _doubt_unit(draft: Draft, t_s: NDArray[np.float64]) -> None:
    """UsageError for times that are hardly in the unit that they were taken for."""
    times = t_s[np.isfinite(t_s)]
    span, n = (float(np.ptp(times)), len(times)) if len(times) > 1 else (0.0, 0)
    if n < 20 or not span:
        return
    raw = times / UNITS[draft.unit]
    if n / span > _FAST:
        meant, seen = ("s" if draft.unit == "ms" else "ms" if draft.unit == "us" else ""), f"{n / span:,.0f} requests/s"
    elif draft.unit == "s" and span / n > _SLOW_S and span > _LONG_S and not (raw % 1).any():
        meant, seen = "ms", f"{n:,} requests in {span / 86_400:,.0f} days"
    else:
        return
    looks = f"they look like {meant}" if meant else "they hardly are"
    raise UsageError(
        f"{draft.time} of {draft.path} was taken for {draft.unit}, which makes {seen}: {looks}; "
        f"say the unit by --time-unit ({', '.join(UNITS)})"
    )


# --- rows to a trace -------------------------------------------------------------------------------------------------


def _trace(draft: Draft, order: NDArray[np.int64], t_s: NDArray[np.float64] | None) -> Trace:
    """The rows in this order. Who waited only for requests that were left out begins when they would have."""
    waits = None if draft.waits is None else _moved(draft.waits, order, len(draft))
    delay = None if draft.delay_s is None else draft.delay_s[order]
    if t_s is not None and not draft.keeps_zero:
        t_s = t_s - t_s.min()
    if waits is not None:
        waiting = waits.counts > 0
        delay = np.where(waiting, 0.0 if delay is None else np.nan_to_num(delay), np.nan)
        t_s = None if t_s is None else np.where(waiting, np.nan, t_s)
    session = draft.session
    return Trace(
        name=draft.name,
        kind=draft.kind,
        t_s=t_s,
        input_tokens=draft.input_tokens[order].astype(np.int32),
        output_tokens=draft.output_tokens[order].astype(np.int32),
        session=None if session is None else in_order(session[order]),
        delay_s=delay if waits is not None else None,
        waits=waits,
        blocks=None if draft.blocks is None else draft.blocks.take(order),
        block_tokens=draft.block_tokens if draft.blocks is not None else 0,
        prefix_tokens=None if draft.prefix_tokens is None else draft.prefix_tokens[order].astype(np.int32),
        source=draft.source,
    )


def in_order(values: NDArray[np.int64]) -> NDArray[np.int32]:
    """The same groups, numbered from 0 in the order of rows."""
    _, first, which = np.unique(values, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first), dtype=np.int32)
    return rank[which]


def _moved(waits: Ragged, order: NDArray[np.int64], rows: int) -> Ragged:
    """What rows wait for, by their new numbers. Who waited for one that is gone waits for what that waited for."""
    new = np.full(rows, -1, np.int64)
    new[order] = np.arange(len(order))
    lists: list[list[int]] = []
    known: dict[int, list[int]] = {}

    def of(row: int) -> list[int]:
        if row not in known:
            known[row] = []  # against a circle
            found: set[int] = set()
            for other in waits.of(row).tolist():
                found |= {int(new[other])} if new[other] >= 0 else set(of(other))
            known[row] = sorted(found)
        return known[row]

    if len(order) == rows or (new[waits.values] >= 0).all():
        taken = waits.take(order)
        return Ragged(new[taken.values], taken.ends)
    for row in order.tolist():
        lists.append(of(row))
    values = [value for each in lists for value in each]
    return Ragged(np.array(values, np.int64), np.cumsum([len(each) for each in lists], dtype=np.int64))


def _fitted(trace: Trace) -> tuple[Trace, list[Change]]:
    """Every prompt with as many blocks as its length takes: what is beyond is cut, what lacks is text of its own."""
    blocks = trace.blocks
    if blocks is None:
        return trace, []
    have = blocks.counts
    need = -(-trace.input_tokens.astype(np.int64) // trace.block_tokens)
    if not (odd := int((have != need).sum())):
        return trace, []
    if int(need.sum()) > _MOST_BLOCKS:
        raise UsageError(
            f"prompts of {trace.name} would take {int(need.sum()):,} blocks of {trace.block_tokens} tokens, and no "
            f"more than {_MOST_BLOCKS:,} are made: are their lengths in tokens?"
        )
    ends = np.cumsum(need)
    place = np.arange(int(ends[-1])) - np.repeat(ends - need, need)
    known = place < np.repeat(have, need)
    own = int(blocks.values.max(initial=-1)) + 1
    values = np.empty(int(ends[-1]), np.int64)
    values[known] = blocks.values[(np.repeat(blocks.ends - have, need) + place)[known]]
    values[~known] = own + np.arange(int((~known).sum()))
    words = phrase(
        "{:,} of {:,} prompts of {} have more or fewer blocks than their length takes: cut, or unshared ones added",
        odd, len(trace), trace.name,
    )  # fmt: skip
    return replace(trace, blocks=Ragged(values, ends)), [Change("blocks", odd, words)]
