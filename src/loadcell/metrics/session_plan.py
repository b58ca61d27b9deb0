"""Sessions as a recording has them: what was planned, what waited for what, and what became of each request."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loadcell.errors import RecordingError
from loadcell.metrics.rows import Floats, Ids, Mask, Rows
from loadcell.recording.read import Recording

_SETTLED = 0.9
"""Share of the first sessions that have ended when a load of sessions is taken to be settled."""


@dataclass(frozen=True)
class Plan:
    """Of each row of the schedule that belongs to a session, with the row of its request."""

    request: Ids
    session: Ids
    """From 0, without gaps."""
    turn: Ids
    row: Ids
    """Its row among the requests; -1 where it has none."""
    child: Ids
    parent: Ids
    """Places in these columns: each pair is a request that waits for another."""
    ok: Mask
    failed: Mask
    abandoned: Mask
    slow: Mask
    """Its client read slowly, as planned."""
    begin: Floats
    """When it could be sent: planned, or ready; NaN without a row."""
    sent: Floats
    last: Floats
    end: Floats
    counted: Mask
    """Has a row that counts."""

    @property
    def several(self) -> int:
        """Sessions."""
        return int(self.session.max(initial=-1)) + 1

    @property
    def waits(self) -> Mask:
        """Which wait for others."""
        waits = np.zeros(self.request.size, bool)
        waits[self.child] = True
        return waits

    def any(self, mask: Mask) -> Mask:
        """Which sessions have a row in a mask."""
        found: Mask = np.bincount(self.session[mask], minlength=self.several) > 0
        return found

    def least(self, values: Floats) -> Floats:
        """The least of each session; NaN without any."""
        return _extreme(values, self.session, self.several, np.inf)

    def most(self, values: Floats) -> Floats:
        """The greatest likewise."""
        return -_extreme(-values, self.session, self.several, np.inf)


def _extreme(values: Floats, session: Ids, several: int, none: float) -> Floats:
    found = np.full(several, none)
    known = ~np.isnan(values)
    np.minimum.at(found, session[known], values[known])
    return np.where(np.isinf(found), np.nan, found)


def read_plan(recording: Recording, rows: Rows) -> Plan | None:
    """None without sessions. RecordingError if requests of one wait for those of another."""
    if not rows.session.size:
        return None
    table = recording.schedule(("request", "session", "turn"))
    known = ~np.isnan(table["session"].astype(np.float64))
    request = table["request"][known].astype(np.int64)
    _, session = np.unique(table["session"][known], return_inverse=True)
    place = np.full(int(request.max()) + 1, -1, np.int64)
    place[request] = np.arange(request.size)
    waits = recording.waits()
    ends = [_placed(place, waits[name].astype(np.int64)) for name in ("request", "waits_for")]
    if any((one < 0).any() for one in ends) or (session[ends[0]] != session[ends[1]]).any():
        raise RecordingError(
            f"{recording.path / 'waits.parquet'} is damaged: a request waits for one of another session"
        )
    row = np.full(request.size, -1, np.int64)
    at = _placed(place, rows.request)
    row[at[at >= 0]] = np.flatnonzero(at >= 0)
    status = recording.requests(("status",))["status"]
    has = row >= 0

    def of(values: Floats) -> Floats:
        return np.where(has, values[row], np.nan)

    closed = recording.manifest.loop != "open"
    is_waiting = np.zeros(request.size, bool)
    is_waiting[ends[0]] = True
    begin = of(rows.ready) if closed else of(rows.planned)
    if closed:
        begin = np.where(is_waiting, begin, of(rows.send_start))
    return Plan(
        request=request,
        session=session.astype(np.int64),
        turn=np.nan_to_num(table["turn"][known].astype(np.float64)).astype(np.int64),
        row=row,
        child=ends[0],
        parent=ends[1],
        ok=has & (status == "ok")[row],
        failed=has & (status == "failed")[row],
        abandoned=has & (status == "abandoned")[row],
        slow=has & rows.slow[row],
        begin=begin,
        sent=of(rows.send_start),
        last=of(rows.last),
        end=of(rows.end),
        counted=has & rows.counted[row],
    )


def turns_of(plan: Plan | None, rows: int) -> Ids:
    """The turn of each row of the requests; -1 of those of no session."""
    turn = np.full(rows, -1, np.int64)
    if plan is not None:
        has = plan.row >= 0
        turn[plan.row[has]] = plan.turn[has]
    return turn


def _placed(place: Ids, requests: Ids) -> Ids:
    """Places of requests; -1 for those of no session."""
    found: Ids = np.where(requests < place.size, place[np.minimum(requests, place.size - 1)], -1)
    return found


def waiting(recording: Recording) -> Ids:
    """Requests that wait for others."""
    found: Ids = np.unique(recording.waits()["request"].astype(np.int64))
    return found


@dataclass(frozen=True)
class Lives:
    """Of each session that began."""

    start: Floats
    """When its first request could be sent; in a closed loop, was."""
    end: Floats
    """Of its last reply, or when it was given up, or of the load where that came first."""
    whole: Mask
    failed: Mask
    abandoned: Mask
    """Its user gave up one of its turns, and none failed."""
    begun: Mask
    """The sessions that these are, among all that were planned."""


def lives(plan: Plan, until: float) -> Lives:
    """`until` is when the load ended: sessions that were going on then are known up to it."""
    begun = plan.any(plan.counted)
    whole, failed = begun & ~plan.any(~plan.ok), begun & plan.any(plan.failed)
    start, last = plan.least(plan.begin), plan.most(_ended(plan))
    abandoned = begun & plan.any(plan.abandoned) & ~failed
    end = np.where(whole | failed | abandoned, last, np.fmax(last, until))
    return Lives(start[begun], end[begun], whole[begun], failed[begun], abandoned[begun], begun)


def _ended(plan: Plan) -> Floats:
    """When each was over: its last token had come, or its user had given it up."""
    return np.where(np.isnan(plan.last) | plan.abandoned, plan.end, plan.last)


def users_left_ns(plan: Plan) -> float:
    """When the first session ended after the last had begun: from then on a closed loop has a user without one."""
    starts, over = plan.least(plan.begin), ~plan.any(~plan.ok) | plan.any(plan.failed | plan.abandoned)
    ends = plan.most(_ended(plan))
    later = over & (ends > np.nanmax(starts, initial=-np.inf))
    return float(np.min(ends[later], initial=np.inf))


def settled_ns(plan: Plan | None, until: float) -> float:
    """How long nine of ten sessions take, of those that began in the first half of the sending; 0 without sessions.

    Before that, a load of sessions is not what it will be: their later turns are still to come.
    """
    if plan is None:
        return 0.0
    one = lives(plan, until)
    first = (one.start <= until / 2) & ~one.failed & ~one.abandoned
    took = (one.end - one.start)[first]
    return float(np.quantile(took, _SETTLED)) if took.size else 0.0
