"""What went on beside the load: the server's own series, its GPUs, this machine, in one vocabulary.

A look that brought nothing is null, never 0: where one of several replicas is silent, so is their sum, for nobody knows
whether it is gone or only its page is. Which name means what stands in `vocabulary.py`, who counts in `choice.py`, how
values are laid on time in `overtime.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from loadcell.metrics.choice import Chosen, choose
from loadcell.metrics.energy import energy
from loadcell.metrics.looks import Part, Seen, nearest, read_seen
from loadcell.metrics.model import Observed, Series, Throughput, Watched
from loadcell.metrics.overtime import UNSEEN, Stretch, gain_inside, gains, mean
from loadcell.metrics.rows import Floats, Ids, Mask
from loadcell.metrics.vocabulary import FULLEST, QUANTITIES, Quantity
from loadcell.metrics.window import Span
from loadcell.phrases import joined, phrase
from loadcell.recording.read import Recording

MOST_POINTS = 400
"""Of a series in the Result; the recording has them all."""
NEARLY_FULL = 0.9
"""Share of this machine's CPU above which it may hold up the load that it makes."""
_HIT_SHARE = "prefix_cache_hit_share"
_CLOSE = 0.75
"""Looks of two sources are at one time if they lie within this part of the interval."""

Curve = tuple[Floats, Floats]
"""Times, ns since the start of the load, and values; NaN where nobody told."""


def observe(recording: Recording, span: Span, extent: float, rates: Throughput) -> Observed | None:
    """All that was watched, over the window `span` of a run that ended at `extent` ns; None if nothing was."""
    sources = read_seen(recording)
    if not sources:
        return None
    stretch = Stretch(span.start, span.end, extent, recording.spec.observe.every_s * 1e9)
    chosen, seen = choose(sources), {source.index: source for source in sources}
    counted = {name: parts for name, parts in chosen.parts.items() if QUANTITIES[name].shown}
    curves = {name: _curve(QUANTITIES[name], parts, seen, stretch) for name, parts in counted.items()}
    series = {name: _series(name, curves[name], parts, seen, stretch) for name, parts in counted.items()}
    series |= _fullest(counted, seen, stretch) | _hit_share(curves, series, counted, seen, stretch)
    restarts = _restarts(counted, seen)
    notes = [
        *(phrase("{}: {}", source.name, note) for source in sources for note in source.notes),
        *chosen.notes,
        *(_restart_says(name, times) for name, times in restarts.items()),
        *_unseen(series),
        *_nearly_full(curves.get("cpu_share"), stretch),
    ]
    counters, powers = (chosen.parts.get(name, []) for name in ("gpu_energy_joules", "gpu_power_watts"))
    return Observed(
        sources=[_watched(source, chosen, stretch) for source in sources],
        series={name: series[name] for name in QUANTITIES if name in series},
        energy=energy(counters, powers, seen, stretch, rates, recording.spec.endpoint.gpus),
        restarted=list(restarts),
        notes=notes,
    )


# --- values over time ------------------------------------------------------------------------------------------------


def _curve(about: Quantity, parts: Sequence[Part], seen: Mapping[int, Seen], stretch: Stretch) -> Curve:
    """All parts as one, at the looks of the source that was looked at most: a gauge's value, a counter's rate."""
    lead = max((seen[part.source] for part in parts), key=lambda source: source.t.size)
    known = np.ones(lead.t.size, dtype=bool)
    values, told = [], []
    for part in parts:
        source = seen[part.source]
        look, close = _at(source, lead.t, stretch)
        there = part.told[look]
        known &= close & (there if about.of == "gpu" else True)  # a GPU does not go as replicas do
        if about.kind == "counter":
            values.append(_rate(part, source)[look])
            there = np.ones_like(there)
        else:
            values.append(part.values[look])
        told.append(there & close)
    return lead.t, np.where(known, _together(about, np.array(values), np.array(told)), np.nan)


def _at(source: Seen, t: Floats, stretch: Stretch) -> tuple[Ids, Mask]:
    """The look of a source that is nearest to each time, and whether it was then, and answered."""
    look = nearest(source.t, t)
    return look, source.answered[look] & (np.abs(source.t[look] - t) <= _CLOSE * stretch.every)


def _together(about: Quantity, values: Floats, told: Mask) -> Floats:
    """One value of those that are told at each time; NaN if none is, or if one that is told is no number."""
    count = told.sum(axis=0)
    if about.over == "max":
        found = np.where(told, values, -np.inf).max(axis=0)
    else:
        found = np.where(told, values, 0.0).sum(axis=0)
    if about.over == "mean":
        found = found / np.maximum(count, 1)
    return np.where((count > 0) & ~(told & np.isnan(values)).any(axis=0), found, np.nan)


def _gains(part: Part, source: Seen) -> tuple[Floats, Floats]:
    """Times of a source's answers, and what a counter gained since the answer before."""
    t, born = source.t[source.answered], source.born[source.answered]
    gained = gains(part.values[source.answered], part.told[source.answered])
    gained[1:][np.diff(born) > 0] = np.nan
    return t, gained


def _rate(part: Part, source: Seen) -> Floats:
    """Gain a second since the answer before, at each look."""
    t, gained = _gains(part, source)
    rates = np.full(source.t.size, np.nan)
    if t.size > 1:
        rates[np.flatnonzero(source.answered)[1:]] = gained[1:] / (np.diff(t) / 1e9)
    return rates


# --- as series -------------------------------------------------------------------------------------------------------


def _series(name: str, curve: Curve, parts: Sequence[Part], seen: Mapping[int, Seen], stretch: Stretch) -> Series:
    """A gauge with its mean; a counter with what it gained, and its rate."""
    about, sources = QUANTITIES[name], list(dict.fromkeys(seen[part.source].name for part in parts))
    if about.kind == "gauge":
        return _published(about, sources, curve, mean(*curve, stretch), None, stretch)
    gained = [gain_inside(*_gains(part, seen[part.source]), stretch) for part in parts]
    known = [gain for gain in gained if gain is not None]
    total = float(sum(known)) if len(known) == len(gained) else None
    rate = total / (stretch.length / 1e9) if total is not None else None
    return _published(about, sources, curve, rate, total, stretch)


def _published(
    about: Quantity, sources: list[str], curve: Curve, average: float | None, gained: float | None, stretch: Stretch
) -> Series:
    t, values = curve
    inside = values[stretch.holds(t) & np.isfinite(values)]
    shown = thinned(values)
    counter = about.kind == "counter"
    return Series(
        title=about.title,
        unit=f"{about.unit}/s" if counter else about.unit,
        kind="rate" if counter else "gauge",
        sources=sources,
        mean=average,
        min=float(inside.min()) if inside.size else None,
        max=float(inside.max()) if inside.size else None,
        gained=gained,
        t_s=[round(float(at) / 1e9, 3) for at in t[shown]],
        values=[float(f"{value:.6g}") if np.isfinite(value) else None for value in values[shown].tolist()],
    )


def thinned(values: Floats, most: int = MOST_POINTS) -> Ids:
    """Which of `values` to keep: of equal stretches the least, the greatest and one that is missing."""
    if values.size <= most:
        return np.arange(values.size)
    kept: set[int] = set()
    for stretch in np.array_split(np.arange(values.size), most // 3):
        some = values[stretch]
        missing = np.flatnonzero(np.isnan(some))
        kept.update(int(stretch[k]) for k in missing[:1])
        if missing.size < some.size:
            kept.update(int(stretch[k]) for k in (np.nanargmin(some), np.nanargmax(some)))
    return np.array(sorted(kept), dtype=np.int64)


def _fullest(counted: Mapping[str, Sequence[Part]], seen: Mapping[int, Seen], stretch: Stretch) -> dict[str, Series]:
    each, fullest = FULLEST
    parts = counted.get(each, ())
    if len(parts) < 2:
        return {}
    return {fullest: _series(fullest, _curve(QUANTITIES[fullest], parts, seen, stretch), parts, seen, stretch)}


def _hit_share(
    curves: Mapping[str, Curve],
    series: Mapping[str, Series],
    counted: Mapping[str, Sequence[Part]],
    seen: Mapping[int, Seen],
    stretch: Stretch,
) -> dict[str, Series]:
    """Hits over queries, where the same sources count both: over the window, and between looks."""
    hits, queries = "prefix_cache_hits", "prefix_cache_queries"
    if hits not in counted or queries not in counted:
        return {}
    if {part.source for part in counted[hits]} != {part.source for part in counted[queries]}:
        return {}
    (t, part), (_, whole) = curves[hits], curves[queries]
    share = np.divide(part, whole, out=np.full(t.size, np.nan), where=whole > 0)
    gained, asked = series[hits].gained, series[queries].gained
    average = gained / asked if gained is not None and asked else None
    sources = series[hits].sources
    return {_HIT_SHARE: _published(QUANTITIES[_HIT_SHARE], sources, (t, share), average, None, stretch)}


# --- what to know of it ----------------------------------------------------------------------------------------------


def _watched(source: Seen, chosen: Chosen, stretch: Stretch) -> Watched:
    answers = source.t[source.answered]
    gap = np.diff([0.0, *np.clip(answers, 0.0, stretch.extent), stretch.extent]).max() if answers.size else None
    longest = None if gap is None else float(gap) / 1e9
    return Watched(
        name=source.name,
        kind=source.kind,
        engine=source.engine,
        looks=int(source.t.size),
        failed=int(np.count_nonzero(~source.answered)),
        longest_gap_s=longest,
        says=_says(source, chosen.twins.get(source.index), longest),
    )


def _says(source: Seen, twin: Seen | None, longest: float | None) -> str | None:
    """What is wrong with a source, in words; None if nothing is."""
    failed, looks = int(np.count_nonzero(~source.answered)), source.t.size
    if not looks:
        return phrase("never asked: the run ended before")
    if longest is None:
        return phrase("never answered: {}", source.error)
    found = []
    if twin is not None:
        found.append(phrase("the same server as {}: counted once", twin.name))
    if failed:
        found.append(
            phrase("{:,} of {:,} looks failed, {:.3g} s without an answer: {}", failed, looks, longest, source.error)
        )
    if source.engine is None:
        found.append(phrase("none of its names is known here"))
    return joined("; ", found) or None


def _restarts(counted: Mapping[str, Sequence[Part]], seen: Mapping[int, Seen]) -> dict[str, int]:
    """How often the counters of a source started anew, by its name; sources whose counters never did are not there."""
    went_back: dict[str, int] = {}
    for name, parts in counted.items():
        for part in parts if QUANTITIES[name].kind == "counter" else ():
            times = int(np.isnan(_gains(part, seen[part.source])[1][1:]).sum())
            if times:
                source = seen[part.source].name
                went_back[source] = max(times, went_back.get(source, 0))
    return went_back


def _restart_says(name: str, times: int) -> str:
    often = phrase("once") if times == 1 else phrase("{} times", times)
    return phrase(
        "{}: counters went down, away or were no numbers {}: did it start anew? What they gained then is not known",
        name,
        often,
    )


def _unseen(series: Mapping[str, Series]) -> Iterator[str]:
    """Of what lies on no counter: a share of two counters is also missing where nothing was counted."""
    if any(one.mean is None for name, one in series.items() if one.kind == "gauge" and name != _HIT_SHARE):
        yield phrase("where a mean is missing, more than {:g} % of the window was not seen", UNSEEN * 100)


def _nearly_full(curve: Curve | None, stretch: Stretch) -> Iterator[str]:
    if curve is None:
        return
    t, values = curve
    inside = values[stretch.holds(t) & np.isfinite(values)]
    full = int(np.count_nonzero(inside > NEARLY_FULL))
    if full:
        yield phrase(
            "this machine's CPU was more than {:g} % busy at {:,} of {:,} looks: "
            "what the client measured then may be its own",
            NEARLY_FULL * 100,
            full,
            inside.size,
        )
