"""What is done to a trace before it is sent: functions from a trace to a trace, each of which adds what it did.

A session is kept, moved or left out as one; a request that is of no session is one of its own. Rows stay in the order
in which they came. `length_s` is the time that a trace covers: it may be longer than the time of its last request.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.replaying import Window
from loadcell.traces.model import Change, Ragged, Trace
from loadcell.traces.shape import bin_s

Floats = NDArray[np.float64]
Rows = NDArray[np.integer[Any]]

_COLUMNS = ("t_s", "input_tokens", "output_tokens", "delay_s", "prefix_tokens")
_MOST_ROWS = 10_000_000


class Timed(NamedTuple):
    """A trace and the time that it covers; None without times."""

    trace: Trace
    length_s: float | None


def timed(trace: Trace) -> Timed:
    """A trace with the time that it covers as a whole: each of its n arrivals has the mean gap to itself, so it is
    n / (n - 1) times that of the last one."""
    if trace.t_s is None:
        return Timed(trace, None)
    count, last = int(np.count_nonzero(~np.isnan(trace.t_s))), float(np.nanmax(trace.t_s))
    return Timed(trace, last * count / (count - 1) if count > 1 else last)


def units(trace: Trace) -> NDArray[np.int64]:
    """What each row is kept or left out with: its session, or itself; numbers from 0."""
    if trace.session is None:
        return np.arange(len(trace))
    return np.unique(trace.session, return_inverse=True)[1].reshape(-1)


def turns(trace: Trace) -> NDArray[np.int32]:
    """Place of each row on the longest way from a first request of its session, from 0."""
    turn = np.zeros(len(trace), np.int32)
    return _along(trace, turn, np.ones(len(trace), np.int32))


def starts_s(trace: Trace) -> Floats:
    """When each row would be sent if replies took no time: its stamp, else that of the last that it waits for and its
    delay."""
    assert trace.t_s is not None
    delay = np.zeros(len(trace)) if trace.delay_s is None else np.nan_to_num(trace.delay_s)
    known = np.where(np.isnan(trace.t_s), -np.inf, trace.t_s)
    return _along(trace, known, delay)


def _along(trace: Trace, values: NDArray[Any], steps: NDArray[Any]) -> NDArray[Any]:
    """Values of the rows that wait for others: the most of these and their own step, along every way."""
    if trace.waits is None or not len(trace.waits.values):
        return values
    waiting = np.flatnonzero(trace.waits.counts)
    firsts = (trace.waits.ends - trace.waits.counts)[waiting]
    for _ in range(len(waiting) + 1):
        latest = np.maximum.reduceat(values[trace.waits.values], firsts) + steps[waiting]
        if np.array_equal(latest, values[waiting]):
            return values
        values[waiting] = latest
    raise UsageError(f"{trace.name}: its requests wait for each other in a circle")


def taken(trace: Trace, rows: Rows, *changes: Change) -> Trace:
    """The trace of these rows alone, in this order; what they wait for must be among them."""
    place = np.full(len(trace), -1, np.int64)
    place[rows] = np.arange(len(rows))
    waits = None if trace.waits is None else trace.waits.take(rows)
    if waits is not None:
        waits = Ragged(place[waits.values], waits.ends)
    session = None if trace.session is None else _numbered(trace.session[rows])
    columns: dict[str, Any] = {
        name: None if (values := getattr(trace, name)) is None else values[rows] for name in _COLUMNS
    }
    return replace(
        trace,
        **columns,
        session=session,
        waits=waits,
        blocks=None if trace.blocks is None else trace.blocks.take(rows),
        changes=(*trace.changes, *changes),
    )


def _numbered(sessions: NDArray[np.int32]) -> NDArray[np.int32]:
    """Numbers from 0 in the order of first appearance."""
    _, first, which = np.unique(sessions, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[which.reshape(-1)]


def _with(trace: Trace, change: Change, **columns: Any) -> Trace:
    return replace(trace, changes=(*trace.changes, change), **columns)


# --- times -----------------------------------------------------------------------------------------------------------


def spread(whole: Timed, rng: np.random.Generator) -> Timed:
    """Requests spread evenly over the steps that their stamps were rounded down to, in their order; a trace with fine
    stamps stays as it is."""
    trace = whole.trace
    step = bin_s(trace)
    if trace.t_s is None or step is None:
        return whole
    known = np.flatnonzero(~np.isnan(trace.t_s))
    t_s = trace.t_s[known]
    stamps, which = np.unique(t_s, return_inverse=True)
    widths = np.minimum(np.diff(stamps, append=stamps[-1] + step), step)
    drawn = rng.random(len(t_s))
    order = np.lexsort((drawn, which))  # of each stamp the draws, smallest first, for its rows in their order
    place = np.argsort(which, kind="stable")
    out = trace.t_s.copy()
    out[known[place]] = stamps[which[order]] + widths[which[order]] * drawn[order]
    says = phrase(
        "{:,} of {:,} requests of the trace were spread evenly over steps of {:.3g} s, to which its stamps are rounded",
        len(known), len(trace), step,
    )  # fmt: skip
    length_s = None if whole.length_s is None else max(whole.length_s, float(stamps[-1]) + step)
    return Timed(_with(trace, Change("spread", len(known), says), t_s=out), length_s)


def window(whole: Timed, part: Window, text: str) -> Timed:
    """The sessions whose first request is within a part of the trace, whole; times start with that part."""
    trace = whole.trace
    if trace.t_s is None or whole.length_s is None:
        raise UsageError(f"trace.window {text}: {trace.name} has no times; leave the window out")
    first = first_s(trace)
    if part.start_s is None:
        assert part.length_s is not None
        times = np.sort(first)
        counts = np.searchsorted(times, times + part.length_s) - np.arange(len(times))
        start_s = float(times[np.argmax(counts)])
    else:
        start_s = part.start_s
    length_s = whole.length_s - start_s if part.length_s is None else part.length_s
    rows = np.flatnonzero((first >= start_s) & (first < start_s + length_s))
    if not len(rows):
        raise UsageError(
            f"trace.window {text}: nothing of {trace.name} is in it; the trace lasts for {whole.length_s:,.0f} s"
        )
    says = phrase(
        "{:,} of {:,} requests of the trace are replayed: its window {}, from {:.4g} to {:.4g} s",
        len(rows), len(trace), text, start_s, start_s + length_s,
    )  # fmt: skip
    cut = taken(trace, rows, Change("window", len(trace) - len(rows), says))
    assert cut.t_s is not None
    return Timed(replace(cut, t_s=cut.t_s - start_s), length_s)


def first_s(trace: Trace) -> Floats:
    """Of each row when the first request of its session came."""
    assert trace.t_s is not None
    unit = units(trace)
    first = np.full(int(unit.max(initial=-1)) + 1, np.inf)
    np.fmin.at(first, unit, trace.t_s)
    return first[unit]


def faster(whole: Timed, speed: float) -> Timed:
    """Time that passes `speed` times as fast: stamps and waits alike."""
    if speed == 1:
        return whole
    trace = whole.trace
    says = phrase("time passes {:g} times as fast as in the trace, waits within sessions included", speed)
    delay_s = None if trace.delay_s is None else trace.delay_s / speed
    t_s = None if trace.t_s is None else trace.t_s / speed
    sped = _with(trace, Change("speed", len(trace), says), t_s=t_s, delay_s=delay_s)
    return Timed(sped, None if whole.length_s is None else whole.length_s / speed)


# --- how much --------------------------------------------------------------------------------------------------------


def scaled(whole: Timed, factor: float, rng: np.random.Generator, *, share_copies: bool = False) -> Timed:
    """As many sessions as `factor` times those of the trace.

    Below 1 each is kept with that probability, so what is over-dispersed stays so: an index of dispersion D becomes
    1 + factor * (D - 1) (thinning; Cox and Isham, Point Processes, 1980, section 4.3). Above 1, whole copies and at
    last a thinned one are added, each shifted by a time of its own and wrapped around within the trace; blocks of a
    copy are others than those of the trace, but with `share_copies`. The same draws thin for every factor, so a smaller
    one keeps a part of what a larger one keeps.
    """
    trace, length_s = whole
    if factor == 1:
        return whole
    if length_s is None or trace.t_s is None:
        raise UsageError(f"{trace.name} has no times: a scale or a rate has no meaning for it; leave it out")
    if factor > 1 and not length_s:
        raise UsageError(f"{trace.name} covers no time over which copies could be moved: leave its scale out")
    if factor * len(trace) > _MOST_ROWS:
        raise UsageError(
            f"{factor:.4g} times the {len(trace):,} requests of {trace.name} are more than the {_MOST_ROWS:,} that one "
            "run may plan: give a smaller scale"
        )
    unit = units(trace)
    count, of = int(unit.max()) + 1, "sessions" if trace.session is not None else "requests"
    drawn = rng.random(count)
    kept = np.flatnonzero(drawn[unit] < factor % 1)
    if factor < 1:
        if not len(kept):
            raise UsageError(f"a scale of {factor:.3g} leaves nothing of the {count} {of} of {trace.name}")
        here = len(np.unique(unit[kept]))
        key = phrase("{:,} of {:,} requests of the trace were kept: a scale of {:.4g}")
        if trace.session is not None:
            key = phrase("{:,} of {:,} sessions of the trace were kept, {:,} requests in all: a scale of {:.4g}")
        values = (here, count, *([len(kept)] if trace.session is not None else []), factor)
        return Timed(taken(trace, kept, Change("thin", len(trace) - len(kept), phrase(key, *values))), length_s)
    copies = [_copy(trace, np.arange(len(trace)), 0.0, length_s)]
    offsets = rng.random(int(factor))
    for number in range(1, int(factor) + 1):
        rows = np.arange(len(trace)) if number < int(factor) else kept
        if len(rows):
            copies.append(_copy(trace, rows, float(offsets[number - 1]) * length_s, length_s))
    added = sum(len(one) for one in copies[1:])
    key = phrase("{:,} requests were added to the {:,} of the trace, a scale of {:.4g}: copies of it at other times")
    if trace.blocks is not None and not share_copies:
        key = phrase(
            "{:,} requests were added to the {:,} of the trace, a scale of {:.4g}: copies of it at other times, with "
            "text of their own"
        )
    says = phrase(key, added, len(trace), factor)
    return Timed(_superposed(trace, copies, Change("superpose", added, says), share_copies), length_s)


def _copy(trace: Trace, rows: Rows, offset_s: float, length_s: float) -> Trace:
    """These rows, each session moved by so much and wrapped around by its first request."""
    assert trace.t_s is not None
    if not offset_s:
        return taken(trace, rows)
    first = first_s(trace)[rows]
    copy = taken(trace, rows)
    return replace(copy, t_s=trace.t_s[rows] - first + (first + offset_s) % length_s)


def _superposed(trace: Trace, copies: list[Trace], change: Change, share_copies: bool) -> Trace:
    """One trace of several, in the order of their times."""
    sizes = np.array([len(one) for one in copies])
    before = np.cumsum(sizes) - sizes

    def column(name: str) -> Any:
        return None if getattr(trace, name) is None else np.concatenate([getattr(one, name) for one in copies])

    session = None
    if trace.session is not None:
        counts = [int(one.session.max()) + 1 for one in copies if one.session is not None]
        shifts = np.cumsum(counts) - counts
        session = np.concatenate(
            [one.session + shift for one, shift in zip(copies, shifts, strict=True) if one.session is not None]
        ).astype(np.int32)
    waits = None
    if trace.waits is not None:
        waits = _in_a_row([one.waits for one in copies if one.waits is not None], before)
    blocks = None
    if trace.blocks is not None:
        highest = int(trace.blocks.values.max(initial=-1)) + 1
        step = 0 if share_copies else highest
        blocks = _in_a_row([one.blocks for one in copies if one.blocks is not None], np.arange(len(copies)) * step)
    together = replace(
        trace,
        **{name: column(name) for name in _COLUMNS},
        session=session,
        waits=waits,
        blocks=blocks,
    )
    return taken(together, np.argsort(_order_s(together), kind="stable"), change)


def _order_s(trace: Trace) -> Floats:
    """As `starts_s`, but of a session no row before one that stands before it."""
    starts = starts_s(trace)
    if trace.waits is None or trace.session is None:
        return starts
    order = np.lexsort((np.arange(len(trace)), trace.session))
    lift = trace.session[order] * (float(starts.max(initial=0.0)) + 1.0)
    out = np.empty(len(trace))
    out[order] = np.maximum.accumulate(starts[order] + lift) - lift
    return np.where(trace.waits.counts > 0, out, starts)


def _in_a_row(lists: list[Ragged], shifts: NDArray[np.int64]) -> Ragged:
    """Lists one after another, with the values of each shifted."""
    values = [one.values + shift for one, shift in zip(lists, shifts.tolist(), strict=True)]
    lengths = np.concatenate([one.counts for one in lists])
    return Ragged(np.concatenate(values), np.cumsum(lengths))


# --- what is too long ------------------------------------------------------------------------------------------------


def capped(trace: Trace, most: int, of: str, how: str) -> Trace:
    """Requests with at most so many tokens; `of` is input or output. Longer ones are clipped, dropped with their
    session, or refused (`how`)."""
    tokens = trace.input_tokens if of == "input" else trace.output_tokens
    long = np.flatnonzero(tokens > most)
    if not len(long):
        return trace
    if how == "refuse":
        raise UsageError(
            f"{len(long):,} of {len(trace):,} requests of {trace.name} have more than {most:,} {of} tokens, at most "
            f"{int(tokens.max()):,}: give a larger --max-{of}-tokens, or --trace-too-long clip or drop"
        )
    if how == "drop":
        unit = units(trace)
        rows = np.flatnonzero(~np.isin(unit, unit[long]))
        if not len(rows):
            raise UsageError(f"nothing of {trace.name} is left with at most {most:,} {of} tokens")
        key = _DROPPED[of] if trace.session is None else _DROPPED_SESSIONS[of]
        values = (len(long), len(trace), most, *([] if trace.session is None else [len(trace) - len(rows)]))
        return taken(trace, rows, Change("drop", len(trace) - len(rows), phrase(key, *values)))
    less = int((tokens[long].astype(np.int64) - most).sum())
    change = Change("clip", len(long), phrase(_CLIPPED[of], len(long), len(trace), most, less))
    shorter = np.minimum(tokens, np.int32(most))
    if of == "output":
        return _with(trace, change, output_tokens=shorter)
    return clipped(trace, shorter, change)


def clipped(trace: Trace, tokens: NDArray[np.int32], change: Change) -> Trace:
    """The trace with prompts of so many tokens, none of them more than they have."""
    return _with(trace, change, input_tokens=tokens, blocks=_cut_blocks(trace, tokens))


_CLIPPED = {
    "input": phrase("{:,} of {:,} prompts of the trace were clipped to {:,} tokens: {:,} tokens less"),
    "output": phrase("{:,} of {:,} outputs of the trace were clipped to {:,} tokens: {:,} tokens less"),
}
_DROPPED = {
    "input": phrase("{:,} of {:,} requests of the trace were left out: their prompts have more than {:,} tokens"),
    "output": phrase("{:,} of {:,} requests of the trace were left out: their outputs have more than {:,} tokens"),
}
_DROPPED_SESSIONS = {
    "input": phrase(
        "{:,} of {:,} requests of the trace have prompts of more than {:,} tokens: left out with their sessions, {:,} "
        "requests in all"
    ),
    "output": phrase(
        "{:,} of {:,} requests of the trace have outputs of more than {:,} tokens: left out with their sessions, {:,} "
        "requests in all"
    ),
}


def _cut_blocks(trace: Trace, tokens: NDArray[np.int32]) -> Ragged | None:
    """The blocks that so many tokens of each prompt are in."""
    if trace.blocks is None or not trace.block_tokens:
        return trace.blocks
    counts = trace.blocks.counts
    kept = np.minimum(counts, -(-tokens.astype(np.int64) // trace.block_tokens))
    place = np.arange(len(trace.blocks.values)) - np.repeat(trace.blocks.ends - counts, counts)
    return Ragged(trace.blocks.values[place < np.repeat(kept, counts)], np.cumsum(kept))
