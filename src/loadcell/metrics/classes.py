"""The figures of each class of a run (endpoint, model), and of each address: those of the whole, of a part of the rows.

Every request has one class, so that the classes' counts add up to the whole's, and their rates do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec
import numpy as np

from loadcell.errors import RecordingError
from loadcell.metrics.accounting import Accounts, Unrecorded, window_counts
from loadcell.metrics.behaved import came, timed
from loadcell.metrics.budget import attainment_budget, with_budgets
from loadcell.metrics.events import EventTotals, Received
from loadcell.metrics.glossary import latencies_of, made_of
from loadcell.metrics.goodput import goodput
from loadcell.metrics.interval import summarise_array
from loadcell.metrics.latency import latencies
from loadcell.metrics.model import CountsOf, Delivered, Goodput, Group
from loadcell.metrics.rows import Ids, Mask, Rows
from loadcell.metrics.session_plan import waiting
from loadcell.metrics.steady import with_caveat
from loadcell.metrics.stream import goodput_without_pace, rates_without_pace, without_pace
from loadcell.metrics.throughput import throughput
from loadcell.metrics.varying import is_scripted, without_intervals
from loadcell.metrics.window import Span
from loadcell.recording.forms import ClassForm
from loadcell.recording.read import Recording
from loadcell.spec import LIMITED, Slo


def told_classes(recording: Recording, rows: Rows) -> list[ClassForm]:
    """What a recording tells of its classes; empty where there is one. RecordingError if its rows are of others."""
    told: list[ClassForm] = recording.manifest.effective.get("classes") or []
    wanted, most = len(recording.spec.dealt), int(rows.kind.max(initial=0))
    if len(told) != (wanted if wanted > 1 else 0) or most >= wanted or int(rows.kind.min(initial=0)) < 0:
        raise RecordingError(
            f"{recording.path / 'recording.json'} is damaged: it does not tell of the classes of its requests"
        )
    return told


@dataclass(frozen=True)
class Parts:
    """What the figures of a part of a run follow from, beside the rows: those of the whole."""

    recording: Recording
    members: Mask
    span: Span
    """Of the window."""
    full: Span
    """Of the rates."""
    accounts: Accounts
    missing: Unrecorded
    events: EventTotals
    stream: Delivered | None
    why: str | None
    """The caveat of all figures; None without."""
    partial: bool
    """Whether events are missing: then nobody knows when output tokens came."""


def classes(parts: Parts, rows: Rows, told: Sequence[ClassForm], slos: Sequence[Slo]) -> list[Group]:
    """The figures of each class under its own SLO; empty where there is one."""
    lost = _unrecorded(parts, rows, len(told)) if told else []
    names = _errors(parts.recording) if told else None
    return [
        _group(
            parts,
            rows,
            rows.kind == number,
            slos[number % len(slos)],
            lost[number],
            parts.events.of_class[number],
            names,
            name=one["name"],
            endpoint=one["endpoint"],
            model=one["model"],
            share=one["share"],
        )
        for number, one in enumerate(told)
    ]


def judged_by_class(good: Goodput | None, groups: Sequence[Group]) -> Goodput | None:
    """The goodput of all, which is not judged where that of a class cannot be: a collected stream shows no pace."""
    if good is None or all(group.goodput is None or group.goodput.good is not None for group in groups):
        return good
    none = msgspec.structs.replace(good.attainment, value=None, low=None, high=None)
    return msgspec.structs.replace(good, good=None, goodput_per_s=None, attainment=none, attainment_budget=None)


def addresses(parts: Parts, rows: Rows, told: Sequence[ClassForm]) -> list[Group]:
    """The figures of each address of an endpoint that has several; requests that got no connection are in none."""
    if len(parts.recording.manifest.effective.get("connections_by_address") or ()) < 2:
        return []
    address = parts.recording.requests(("address",))["address"]
    urls = [one["endpoint"] for one in told] or [parts.recording.spec.dealt[0].endpoint]
    places = np.array([urls.index(url) for url in urls])[rows.kind]
    found = sorted({(place, where) for place, where in zip(places.tolist(), address, strict=True) if where is not None})
    several = {place for place, n in Counter(place for place, _ in found).items() if n > 1}
    names = _errors(parts.recording)
    nothing = _Lost(0, 0, 0, 0)
    return [
        _group(
            parts, rows, (places == place) & (address == where), Slo(), nothing, None, names,
            name=str(where), endpoint=urls[place],
        )
        for place, where in found
        if place in several
    ]  # fmt: skip


class _Lost(NamedTuple):
    """Planned requests of a class without a row, of the run and of the window."""

    lost: int
    unsent: int
    window_lost: int
    window_unsent: int


def _unrecorded(parts: Parts, rows: Rows, several: int) -> list[_Lost]:
    """Of each class. A lost request had been started, so they are taken to be the first that have no row."""
    accounts, span = parts.accounts, parts.span
    lost, unsent = accounts.lost, max(0, accounts.counts.unsent)
    if not lost + unsent:
        return [_Lost(0, 0, 0, 0)] * several
    schedule = parts.recording.schedule(("request", "planned_ns", "class"))
    missing = ~np.isin(schedule["request"], rows.request)
    planned = schedule["planned_ns"].astype(np.float64)[missing]
    order = np.argsort(planned, kind="stable")[: lost + unsent]
    kinds, planned = schedule["class"].astype(np.int64)[missing][order], planned[order]
    timed = ~np.isin(schedule["request"][missing][order], waiting(parts.recording))  # others are in no window
    is_lost = np.arange(kinds.size) < lost
    inside = span.holds(planned) if parts.missing.planned.size else np.full(kinds.size, not span.chosen)
    inside &= timed

    def count(wanted: Mask) -> Ids:
        return np.bincount(kinds[wanted], minlength=several)

    each = (is_lost, ~is_lost, is_lost & inside, ~is_lost & inside)
    return [_Lost(*map(int, one)) for one in zip(*map(count, each), strict=True)]


def _only(rows: Rows, chosen: Mask) -> Rows:
    """The rows with the chosen ones alone counted."""
    masks = {name: getattr(rows, name) & chosen for name in ("counted", "ok", "failed", "cancelled", "abandoned")}
    return replace(rows, **masks)


def _errors(recording: Recording) -> Any:
    return recording.requests(("error_kind",))["error_kind"]


def _group(
    parts: Parts,
    every: Rows,
    chosen: Mask,
    slo: Slo,
    lost: _Lost,
    tokens: Any,
    errors: Any,
    *,
    name: str,
    endpoint: str,
    model: str | None = None,
    share: float | None = None,
) -> Group:
    recording, early, rows, beyond = parts.recording, parts.events.early, _only(every, chosen), chosen & ~every.counted
    loop = recording.manifest.loop
    members = parts.members & rows.counted
    ok, window = members & rows.ok, window_counts(rows, members, lost.window_lost, lost.window_unsent)
    run = window_counts(rows, rows.counted, lost.lost, lost.unsent)
    own, judged = timed(rows), members & ~rows.slow
    timely, first = members & own.ok, came(rows, members)
    none = summarise_array(np.empty(0), 1.0)
    latency = latencies(rows, timely, loop, none, window.failed, first)
    latency = with_budgets(latency, rows, timely, early, Received(), loop, first)
    latency = {field: latency[field] for field in LIMITED if field in latencies_of(recording.spec)}
    received = Received(tokens=np.zeros_like(parts.events.tokens) if tokens is None else tokens)
    rates = throughput(rows, ok, parts.full, received, none, made_of(recording.spec))
    if is_scripted(recording.spec.load, loop, recording.manifest.effective):
        rates = without_intervals(rates)
    if tokens is None or parts.partial:
        rates = msgspec.structs.replace(
            rates, output_tokens_per_s=None, output_tokens_interval=None, total_tokens_per_s=None
        )
    rates = msgspec.structs.replace(rates, failed_tokens_per_s=None, user_tokens_per_s={})
    due = window_counts(rows, judged, lost.window_lost, lost.window_unsent)
    good = goodput_without_pace(goodput(own, judged, due, parts.full, slo, loop), parts.stream)
    return Group(
        name=name,
        endpoint=endpoint,
        model=model,
        share=share,
        counts=CountsOf(
            run=run,
            window=window,
            beyond=int(np.count_nonzero(beyond)),
            beyond_failed=sum(kind is not None for kind in errors[beyond]),
        ),
        failures=dict(Counter(str(kind) for kind in errors[rows.failed]).most_common()),
        latency=without_pace(with_caveat(latency, parts.why), parts.stream),
        throughput=rates_without_pace(rates, parts.stream),
        goodput=good and attainment_budget(good, own, judged, slo, early, loop),
    )
