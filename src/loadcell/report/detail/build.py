"""From a recording and its Result to the Detail."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from loadcell.metrics.behaved import came
from loadcell.metrics.imported import placed
from loadcell.metrics.latency import tpot_ns
from loadcell.metrics.model import Result
from loadcell.metrics.result import build_result
from loadcell.metrics.rows import Floats
from loadcell.metrics.window import anchors, window_of
from loadcell.phrases import phrase
from loadcell.recording.read import Recording
from loadcell.report.detail import ecdf
from loadcell.report.detail.dots import dots
from loadcell.report.detail.events import Watch, lags_ns, watch_alone
from loadcell.report.detail.levels import levels
from loadcell.report.detail.model import POINTS, Detail, Ecdf, Stalls
from loadcell.report.detail.parts import parts
from loadcell.report.detail.steps import Steps
from loadcell.report.detail.timeline import timeline
from loadcell.spec import Slo

_TITLES = {"ttft_ms": "TTFT", "itl_ms": "ITL", "tpot_ms": "TPOT", "e2e_ms": "E2E", "first_audio_ms": "First audio"}


def build_both(
    recording: Recording, slo: Slo | None = None, window_s: tuple[float, float] | None = None
) -> tuple[Result, Detail]:
    """`build_result` and `build_detail` at once, which takes much less time than one after the other."""
    watch = Watch(recording)
    result = build_result(recording, slo, window_s, listener=watch)
    return result, _detail(recording, result, watch)


def build_detail(recording: Recording, result: Result) -> Detail:
    """The Detail of a recording; `result` is its Result, under whatever window."""
    return _detail(recording, result, watch_alone(recording, result))


def _detail(recording: Recording, result: Result, watch: Watch) -> Detail:
    rows, ok, loop, steps = watch.rows, watch.ok, watch.loop, watch.steps
    anchor = anchors(rows, loop)
    members = window_of(result, recording.spec.load).members(rows, anchor)
    since = rows.planned if loop == "open" else rows.send_start
    figures = {"ttft_ms": rows.first_any - since, "tpot_ms": tpot_ns(rows), "e2e_ms": rows.last - since}
    drawn, thinned = dots(rows, anchor, members, figures)
    drawn_too = figures | {"first_audio_ms": rows.first_audio - since}
    first = came(rows, members)  # of those who left after it too
    made = {name: ecdf.of_values(values[first if name == "ttft_ms" else ok]) for name, values in drawn_too.items()}
    made["itl_ms"] = ecdf.of_histogram(watch.gaps, watch.shortest, watch.as_short)
    distributions = {name: found for name in _TITLES if name in result.latency and (found := made[name]) is not None}
    course, by_level = None, []
    if steps is not None:
        over_time = {name: figures[name] for name in ("ttft_ms", "e2e_ms")}
        course = timeline(watch, steps, over_time, _tokens(watch, steps))
        by_level = levels(watch.fine, watch.by_level, watch.shortest, watch.gaps.max)
    timed = placed(recording.imported)
    return Detail(
        ecdf=distributions,
        anchor="response" if loop == "open" else "service",
        timeline=course if timed else None,
        dots=drawn,
        levels=by_level if timed else [],
        stalls=_stalls(recording, watch) if timed and "itl_ms" in result.latency else None,
        parts=parts(rows, ok, loop, figures["e2e_ms"], float(watch.stalled.total_ns)),
        missing=[*_missing(watch, distributions, {name: _TITLES[name] for name in result.latency if name in _TITLES})],
        thinned=[*thinned, *_thinned(distributions)],
    )


def _stalls(recording: Recording, watch: Watch) -> Stalls | None:
    if not watch.gaps.n:
        return None
    rows, streamed = watch.rows, watch.ok & watch.rows.streamed
    time_ns = float(np.nansum((rows.last - rows.first_any)[streamed]))
    return watch.stalled.told(watch.gaps.n, time_ns, lags_ns(recording, {one.part for one in watch.stalled.worst}))


def _tokens(watch: Watch, steps: Steps) -> Floats | None:
    """Output tokens of each step; those of a reply that was not streamed count when its body was complete.

    None where events are missing from the recording: nobody knows when their tokens came.
    """
    rows = watch.rows
    if _lost(watch) > 0:
        return None
    whole = ~rows.streamed & ~np.isnan(rows.last) & ~np.isnan(rows.output_tokens)
    place = steps.place(rows.last[whole])
    return watch.tokens + np.bincount(place, weights=rows.output_tokens[whole], minlength=steps.count)


def _lost(watch: Watch) -> int:
    """Events that the requests say they received and the recording does not hold."""
    return int(np.nansum(watch.rows.output_chunks[watch.rows.streamed])) - watch.read


def _missing(watch: Watch, distributions: dict[str, Ecdf], titles: dict[str, str]) -> Iterator[str]:
    """What could not be made, in words, of the latencies with these titles."""
    rows, count = watch.rows, int(np.count_nonzero(watch.ok))
    if not len(rows):
        yield phrase("no request ended: there is nothing to draw")
        return
    if not count:
        yield phrase("no ok request in the window: there are no latencies to draw")
    for name, title in titles.items():
        if count and name not in distributions:
            yield phrase("no ok request of the window shows its {}", title)
        elif count and name != "itl_ms" and (hidden := count - distributions[name].n):
            yield phrase("{:,} of {:,} ok requests of the window do not show their {}", hidden, count, title)
    if timeless := int(np.count_nonzero(np.isnan(anchors(rows, watch.loop)))):
        yield phrase("{:,} requests have no time at all: they are not drawn", timeless)
    if endless := int(np.count_nonzero(np.isnan(rows.end[rows.sent]))):
        yield phrase("{:,} requests do not say when they ended: they are not counted in flight", endless)
    if (lost := _lost(watch)) > 0:
        yield phrase(
            "{:,} received events are missing: no tokens/s over time, and the gaps are those of the others", lost
        )


def _thinned(distributions: dict[str, Ecdf]) -> Iterator[str]:
    """What was thinned or binned, in words."""
    some = [_TITLES[name] for name, e in distributions.items() if not e.exact and name != "itl_ms"]
    if some:
        yield phrase(
            "the distributions of {} are drawn by {} points at most: the smallest and the largest value are among them",
            ", ".join(some),
            POINTS,
        )
    if "itl_ms" in distributions:
        yield phrase(
            "ITL is counted in bins: known to 0.002 % in its distribution, to 1 % over time and by concurrency"
        )
