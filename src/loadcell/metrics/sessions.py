"""The figures of sessions: times, rates, what became of their turns, and the critical path of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from loadcell.metrics.concurrency import InFlight
from loadcell.metrics.interval import batch_slots, rate_interval, summarise_array
from loadcell.metrics.model import Latency, Path, Sessions, Summary, Turn, UnsentTurns
from loadcell.metrics.rows import Floats, Ids, Mask, Rows
from loadcell.metrics.session_plan import Lives, Plan, lives, turns_of
from loadcell.metrics.steady import summary_with_caveat
from loadcell.metrics.survival import summarise_censored
from loadcell.metrics.throughput import input_tokens
from loadcell.metrics.window import Span
from loadcell.phrases import phrase

_MS = 1e6
_EACH = 10
"""Turns up to which each has figures of its own."""
_ROUNDS = 3.0
"""Times nine of ten sessions that the sending must last."""
_BATCHES = 20
Latencies = Callable[[Mask, int], dict[str, Latency]]
"""Latencies of the requests of a mask that have them, and of so many that failed beside them."""


@dataclass(frozen=True)
class Paths:
    """The critical path of each session, in ns; NaN of those that are not whole."""

    calls: Floats
    delays: Floats
    late: Floats
    length: Floats
    every: Floats
    """Time in all of its calls."""

    @property
    def time(self) -> Floats:
        """From its first request to its last token."""
        return self.calls + self.delays + self.late


def sessions(
    plan: Plan | None,
    rows: Rows,
    members: Mask,
    span: Span,
    full: Span,
    until: float,
    settled: float,
    figures: Latencies,
    why: str | None,
) -> Sessions | None:
    """The figures of sessions; None without any. `span` is the window, `full` that of rates, `until` when the load
    ended, `settled` how long sessions take, `why` the caveat of all figures."""
    if plan is None:
        return None
    of, took = lives(plan, until), critical_paths(plan)
    inside = span.holds(of.start) & ~_warm(plan, of, span)
    ended = of.whole & full.holds(of.end)
    length, slots = full.length_s, batch_slots(of.end[ended], full.start, full.end)
    per_batch = np.bincount(slots, minlength=_BATCHES).astype(np.float64)
    count = int(np.count_nonzero(ended))
    planned = np.bincount(plan.session, minlength=plan.several)[of.begun]
    time, busy, censored = _times(plan, of, took, inside, why)
    return Sessions(
        tasks=_branches(plan),
        begun=int(of.start.size),
        whole=int(np.count_nonzero(of.whole)),
        failed=int(np.count_nonzero(of.failed)),
        abandoned=int(np.count_nonzero(of.abandoned)),
        unfinished=int(np.count_nonzero(~(of.whole | of.failed | of.abandoned))),
        unsent_turns=_unsent(plan, of),
        turns=float(planned.mean()) if planned.size else None,
        deepest=int(plan.turn.max(initial=-1)) + 1,
        from_s=span.start / 1e9,
        settled=_ROUNDS * settled <= until,
        sessions_per_s=None if length is None else count / length,
        sessions_interval=None if length is None else rate_interval(per_batch, length, count),
        in_progress=in_progress(of, full),
        time=time,
        busy=busy,
        censored=censored,
        path=_path(took, of, inside & ~plan.any(plan.slow)[of.begun]),
        by_turn=list(_by_turn(plan, rows, members, figures)),
    )


def in_progress(of: Lives, full: Span) -> float | None:
    """Mean over time of the sessions that had begun and not ended, think time included."""
    if full.length_s is None or not of.start.size:
        return None
    return float(InFlight(of.start, of.end).means(np.array([full.start, full.end]))[0])


def _warm(plan: Plan, of: Lives, span: Span) -> Mask:
    """Sessions whose first request is one of the warm-up."""
    first = np.full(plan.several, np.iinfo(np.int64).max)
    np.minimum.at(first, plan.session, plan.request)
    warm: Mask = (first < span.first_request)[of.begun]
    return warm


def _branches(plan: Plan) -> bool:
    return any(one.size and int(np.bincount(one).max()) > 1 for one in (plan.child, plan.parent))


# --- turns that were not sent ----------------------------------------------------------------------------------------


def _unsent(plan: Plan, of: Lives) -> UnsentTurns:
    """A turn that waits, however far, for one that failed or was given up was not sent for that; the others for the
    end of the load."""
    unsent = (plan.row < 0) & of.begun[plan.session]
    failed, left = (_behind(plan, mask) & unsent for mask in (plan.failed, plan.abandoned))
    return UnsentTurns(
        after_failure=int(np.count_nonzero(failed)),
        after_abandoned=int(np.count_nonzero(left & ~failed)),
        at_end=int(np.count_nonzero(unsent & ~failed & ~left)),
    )


def _behind(plan: Plan, ended: Mask) -> Mask:
    """Those of a mask, and all that waits for them, however far."""
    found = ended.copy()
    while (held := found[plan.parent] & ~found[plan.child]).any():
        found[plan.child[held]] = True
    return found


# --- times -----------------------------------------------------------------------------------------------------------


def _times(
    plan: Plan, of: Lives, took: Paths, inside: Mask, why: str | None
) -> tuple[Summary | None, Summary | None, int]:
    """Summaries of the time per session, and without its delays, in ms; and of how many of them it is known from below
    alone. What a client reads slowly takes its own time, so a session is seen until such a turn is sent."""
    if not inside.any():
        return None, None, 0
    order = np.flatnonzero(inside)[np.argsort(of.start[inside], kind="stable")]
    slow = plan.least(np.where(plan.slow, plan.sent, np.nan))[of.begun][order]
    whole = of.whole[order] & np.isnan(slow)
    known = np.where(whole, took.time[of.begun][order], (np.fmin(slow, of.end[order]) - of.start[order]))
    censored = int(np.count_nonzero(~whole))
    failed = int(np.count_nonzero(of.failed[order]))
    time = summary_with_caveat(summarise_censored(known, whole, _MS, failed), why)
    if censored:
        return time, None, censored
    busy = (took.calls + took.late)[of.begun][order]
    return time, summary_with_caveat(summarise_array(busy, _MS), why), 0


def critical_paths(plan: Plan) -> Paths:
    """From the last reply of each whole session back to its first request, by the call that ended last of those waited
    for. Calls, delays and the client's lateness on it add up to the time of the session."""
    several = plan.several
    whole = ~plan.any(~plan.ok)
    last_parent = _last_parents(plan)
    calls, delays, late, length = (np.zeros(several) for _ in range(4))
    start = plan.least(plan.begin)
    at = _last_rows(plan)
    at = at[whole[plan.session[at]]]
    ends = plan.last[at]
    while at.size:
        of, before = plan.session[at], last_parent[at]
        calls[of] += ends - plan.sent[at]
        late[of] += plan.sent[at] - plan.begin[at]
        delays[of] += plan.begin[at] - np.where(before < 0, start[of], plan.end[before])
        length[of] += 1
        at = before[before >= 0]
        ends = plan.end[at]
    every = np.zeros(several)
    np.add.at(every, plan.session, np.nan_to_num(plan.end - plan.sent))
    none = np.where(whole, 0.0, np.nan)
    return Paths(calls + none, delays + none, late + none, length + none, every + none)


def _last_parents(plan: Plan) -> Ids:
    """Of each row the one that ended last of those that it waits for; -1 for none."""
    found = np.full(plan.request.size, -1, np.int64)
    order = np.lexsort((plan.end[plan.parent], plan.child))
    found[plan.child[order]] = plan.parent[order]  # the last of several stays
    return found


def _last_rows(plan: Plan) -> Ids:
    """The row of each session whose last token came last."""
    order = np.lexsort((np.nan_to_num(plan.last, nan=-1.0), plan.session))
    return order[np.flatnonzero(np.diff(plan.session[order], append=-1))]


def _path(took: Paths, of: Lives, inside: Mask) -> Path | None:
    chosen = np.flatnonzero(of.begun)[inside & of.whole]
    total = float(took.time[chosen].sum()) if chosen.size else 0.0
    if total <= 0:
        return None
    calls, delays, late = (float(one[chosen].sum()) for one in (took.calls, took.delays, took.late))
    return Path(
        calls=calls / total,
        delays=delays / total,
        late=late / total,
        length=float(took.length[chosen].mean()),
        parallel=float(took.every[chosen].sum()) / calls if calls else 1.0,
    )


# --- by turn ---------------------------------------------------------------------------------------------------------


def turn_groups(deepest: int) -> list[tuple[int, int]]:
    """(first, last) of the turns that stand together: each for itself up to 10, else 0, 1, 2 to 3, 4 to 7 and so on."""
    if deepest <= _EACH:
        return [(turn, turn) for turn in range(deepest)]
    edges = [0, 1]
    while edges[-1] < deepest:
        edges.append(2 * edges[-1])
    return [(low, min(high, deepest) - 1) for low, high in pairwise(edges)]


def _by_turn(plan: Plan, rows: Rows, members: Mask, figures: Latencies) -> Iterator[Turn]:
    turn = turns_of(plan, len(rows))
    prompts = input_tokens(rows)
    for first, last in turn_groups(int(plan.turn.max(initial=-1)) + 1):
        group = members & (turn >= first) & (turn <= last)
        ok, failed = group & rows.ok, int(np.count_nonzero(group & rows.failed))
        if not group.any():
            continue
        told = ok & ~np.isnan(rows.cached_tokens) & (rows.prompt_tokens > 0)
        known = prompts[ok & ~np.isnan(prompts)]
        yield Turn(
            first=first,
            last=last,
            requests=int(np.count_nonzero(ok)),
            failed=failed,
            latency=figures(group, failed),
            input_tokens=float(known.mean()) if known.size else None,
            cached_share=float(rows.cached_tokens[told].sum() / rows.prompt_tokens[told].sum()) if told.any() else None,
        )


def session_notes(found: Sessions | None) -> Iterator[str]:
    """What a reader of the figures of sessions must know."""
    if found is None:
        return
    if found.unsent_turns.after_failure:
        yield phrase(
            "{:,} turns were not sent, for one that they wait for had failed: they are in no window and no share",
            found.unsent_turns.after_failure,
        )
    if found.unsent_turns.after_abandoned:
        yield phrase(
            "{:,} turns were not sent, for their users had given up one that they wait for: they are in no window and "
            "no share",
            found.unsent_turns.after_abandoned,
        )
    if found.unsent_turns.at_end:
        yield phrase(
            "{:,} turns of {:,} sessions were not sent before the load ended",
            found.unsent_turns.at_end,
            found.unfinished,
        )
    if not found.settled:
        yield phrase(
            "the sending lasted less than three times as long as nine of ten sessions: late turns are fewer in it, and "
            "sessions/s lower, than in a longer run"
        )
