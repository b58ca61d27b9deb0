"""Which requests of a stage are judged, and how near each came to its limits: from the stage's recording."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from loadcell.load.steer import Outcome, grade
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.recording.read import Recording
from loadcell.search.margins import Company, company, read_margin
from loadcell.search.model import Ask, Margin
from loadcell.spec import Slo, parse_arrivals
from loadcell.workload.arrivals import planned_ns

_LAW, _LAW_SEED = 100_000, 1
"""Requests of another schedule of the same kind, which tell how many are beside each in the long run."""
_TOUCHED = 0.02
"""A stall touches a request if it may have moved one of its figures by this share of its limit."""
_CUT_MOST = 0.2
"""Where stalls touch a larger share of the requests, none is cut out: what is left would not be what was asked for."""


class Judged(NamedTuple):
    """The requests of a stage that are judged, in the order of the plan (of their sends, in a closed loop)."""

    codes: npt.NDArray[np.uint8]
    """Graded outcomes."""
    margins: Floats
    """The worst figure over its limit; infinite for what failed or was never sent."""
    times_s: Floats
    """When each was to be sent."""
    members: Mask
    """The rows among them."""
    unsent: int
    """How many of them were never sent."""
    cut_out: int
    """Requests left out, for the client stood still while they were in the air."""


def judged_of(recording: Recording, rows: Rows, margins: dict[str, Floats], slo: Slo, ask: Ask) -> Judged:
    """What is judged of a stage: planned after the warm-up, and before the first request without an outcome."""
    worst = np.maximum.reduce([np.zeros(len(rows)), *margins.values()])
    worst = np.where(rows.ok, worst, np.inf)
    open_loop = recording.manifest.loop == "open"
    anchor = rows.planned if open_loop else rows.send_start
    end_ns = _end_ns(recording, rows)
    if ask.phase == "floor":
        members = rows.counted & (rows.request >= recording.spec.load.warmup_requests) & (anchor < end_ns)
    else:
        members = rows.counted & (anchor >= (ask.warmup_s or 0.0) * 1e9) & (anchor < end_ns)
    touched = _touched(recording, rows, slo, anchor)
    out = members & touched
    cut = int(np.count_nonzero(out))
    if cut > _CUT_MOST * np.count_nonzero(members):
        out, cut = np.zeros_like(out), 0
    if rows.slow.any():  # their times are their own, not the server's
        out |= members & rows.slow
    if not open_loop or ask.phase == "floor":
        members = members & ~out
        return Judged(_grades(worst, rows.ok, members), worst[members], anchor[members] / 1e9, members, 0, cut)
    schedule = recording.schedule(("request", "planned_ns"))
    schedule["planned_ns"] = schedule["planned_ns"].astype(np.float64)
    schedule["planned_ns"][rows.request] = rows.planned  # of turns of sessions the plan has none
    due = (schedule["planned_ns"] >= (ask.warmup_s or 0.0) * 1e9) & (schedule["planned_ns"] < end_ns)
    due &= ~np.isin(schedule["request"], rows.request[out])
    members = members & ~out
    wanted, times = schedule["request"][due], schedule["planned_ns"][due] / 1e9
    places = np.searchsorted(wanted, rows.request[members])
    codes, figures = np.full(wanted.size, Outcome.FAILED, np.uint8), np.full(wanted.size, np.inf)
    codes[places], figures[places] = _grades(worst, rows.ok, members), worst[members]
    unsent = int(wanted.size - np.count_nonzero(members))
    return Judged(codes, figures, times, members, unsent, cut)


def margin_of(recording: Recording, rows: Rows, judged: Judged, target: float) -> Margin | None:
    """The reading of a stage; None where it has too few requests."""
    ok = judged.members & rows.ok
    anchor = rows.planned if recording.manifest.loop == "open" else rows.send_start
    spans_s = (rows.end[ok] - anchor[ok]) / 1e9
    if not spans_s.size or not (usual_s := float(np.nanmean(spans_s))) > 0:
        return None
    order = np.argsort(judged.times_s, kind="stable")
    with np.errstate(divide="ignore"):
        logs = np.log(judged.margins[order])
    times = judged.times_s[order]
    around = _company(recording, usual_s, times) if recording.manifest.loop == "open" else None
    found = read_margin(logs, times, usual_s, target, around)
    return None if found is None else Margin(value=round(found.value, 6), error=round(found.error, 6))


def _company(recording: Recording, usual_s: float, times_s: Floats) -> Company | None:
    """The requests beside each that is judged, by the plan, and beside those of a long plan of the same kind."""
    load = recording.spec.load
    if load.rate is None:
        return None
    workload = recording.spec.workload
    length = "input_audio_s" if workload.hears else "output_tokens" if workload.generates else "input_tokens"
    schedule = recording.schedule(("planned_ns", length))
    planned, least = schedule["planned_ns"] / 1e9, 1e-3 if workload.hears else 1.0
    tokens = np.maximum(schedule[length].astype(np.float64), least)
    spans = usual_s * tokens / tokens.mean()
    beside = company(planned, spans)[np.searchsorted(planned, times_s)]
    others = planned_ns(parse_arrivals(load.arrivals), load.rate, seed=_LAW_SEED, requests=_LAW) / 1e9
    law = company(others, np.random.default_rng(_LAW_SEED).choice(spans, others.size))
    return Company(beside, law[_LAW // 100 : -_LAW // 100])


def _grades(worst: Floats, ok: Mask, members: Mask) -> npt.NDArray[np.uint8]:
    codes = np.array([grade(margin) for margin in worst[members].tolist()], np.uint8)
    codes[~ok[members]] = Outcome.FAILED
    return codes


def _end_ns(recording: Recording, rows: Rows) -> float:
    """The time up to which every planned request has an outcome."""
    end = recording.manifest.window_end_ns
    until = math.inf if end is None else float(end)
    if recording.manifest.state == "complete":
        return until
    return min(until, _first_unknown_ns(recording, rows))


def _first_unknown_ns(recording: Recording, rows: Rows) -> float:
    """When the first request was to be sent that an interruption left without an outcome."""
    ended = rows.ok | rows.failed | rows.abandoned if rows.abandoned.any() else rows.ok | rows.failed
    known = rows.request[ended]
    if recording.manifest.loop != "open":
        cut = rows.send_start[rows.cancelled]
        last = rows.send_start[ended]
        return float(np.nanmin(cut)) if cut.size else float(np.nanmax(last)) + 1 if last.size else 0.0
    schedule = recording.schedule(("request", "planned_ns"))
    unknown = ~np.isin(schedule["request"], known)
    return float(np.nanmin(schedule["planned_ns"][unknown].astype(np.float64), initial=math.inf))


def _touched(recording: Recording, rows: Rows, slo: Slo, anchor: Floats) -> Mask:
    """Rows of which a noted stall of their worker may have moved a figure by a share of its limit that matters."""
    touched = np.zeros(len(rows), bool)
    for audit in recording.audits:
        stalls = audit.get("stalls")
        mine = rows.worker == audit.get("worker", -1)
        if not stalls or not mine.any():
            continue
        until = _stalled_until(np.array(stalls, np.float64).reshape(-1, 2))
        begin = until(np.fmax(anchor, 0.0))
        waited, held = until(rows.first_any) - begin, until(rows.last) - begin
        later = np.maximum(rows.output_tokens - 1, 1)
        moved = {"ttft_ms": waited, "tpot_ms": (held - waited) / later, "e2e_ms": held,
                 "first_audio_ms": until(rows.first_audio) - begin}  # fmt: skip
        for name, ns in moved.items():
            limit_ms = getattr(slo, name)
            if limit_ms is not None:
                touched |= mine & (ns > _TOUCHED * limit_ms * 1e6)
    return touched


class _Stalled(NamedTuple):
    """Time spent in stalls up to a time; stalls that overlap count once."""

    ends: Floats
    lengths: Floats

    def __call__(self, at: Floats) -> Floats:
        sums = np.concatenate(([0.0], np.cumsum(self.lengths)))
        place = np.searchsorted(self.ends, at)
        inside = np.zeros_like(at)
        last = np.minimum(place, self.ends.size - 1)
        begins = self.ends[last] - self.lengths[last]
        inside = np.where(place < self.ends.size, np.clip(at - begins, 0.0, self.lengths[last]), 0.0)
        found: Floats = np.where(np.isnan(at), np.nan, sums[place] + inside)
        return found


def _stalled_until(stalls: Floats) -> _Stalled:
    """From rows of begin and length."""
    merged: list[list[float]] = []
    for begin, length in sorted(stalls.tolist()):
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], begin + length)
        else:
            merged.append([begin, begin + length])
    spans = np.array(merged)
    return _Stalled(spans[:, 1], spans[:, 1] - spans[:, 0])
