"""What holds between every recording, its Result and its Detail."""

from __future__ import annotations

import itertools
import math
from typing import Any

import msgspec
import numpy as np
import pytest

from loadcell.metrics import Result, Summary
from loadcell.metrics.rows import read_rows
from loadcell.recording.read import Recording
from loadcell.report.detail import Detail, Ecdf

BINNED = 2e-5
"""Of what is counted in bins of one part in 65,536."""


def check_laws(recording: Recording, result: Result, detail: Detail) -> None:
    """Assert every law."""
    check_finite(msgspec.to_builtins(detail))
    assert detail.anchor == ("response" if recording.manifest.loop == "open" else "service")
    for name, ecdf in detail.ecdf.items():
        check_ecdf(ecdf)
        if name in result.latency:
            check_same(ecdf, summary_of(result, name), BINNED if name == "itl_ms" else 1e-12)
    for name in {"ttft_ms", "tpot_ms", "e2e_ms", "itl_ms"} - set(detail.ecdf):
        assert name not in result.latency or summary_of(result, name).n == 0
    check_parts(result, detail)
    check_timeline(recording, result, detail)
    check_dots(recording, result, detail)
    check_stalls(detail)
    check_levels(detail)


def check_finite(value: Any) -> None:
    """No NaN and no infinity anywhere: JSON has neither."""
    if isinstance(value, float):
        assert math.isfinite(value)
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            check_finite(item)


def summary_of(result: Result, name: str) -> Summary:
    """Response time in an open loop, service time in a closed one."""
    latency = result.latency[name]
    return latency.response or latency.service


def check_ecdf(ecdf: Ecdf) -> None:
    """Ascending to all samples, and not too long."""
    assert len(ecdf.x_ms) == len(ecdf.share) <= 401
    assert np.all(np.diff(ecdf.x_ms) > 0) and np.all(np.diff(ecdf.share) > 0)
    assert ecdf.share[-1] == 1 and ecdf.share[0] >= 1 / ecdf.n


def check_same(ecdf: Ecdf, summary: Summary, rel: float) -> None:
    """The same samples as the Result's: their number, their extreme, and where their percentiles lie."""
    assert ecdf.n == summary.n
    assert ecdf.x_ms[-1] == pytest.approx(summary.max, rel=1e-12)
    for name, share in {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}.items():
        told = getattr(summary, name).value
        if told is not None:
            rank = -(-round(share * 1000) * ecdf.n // 1000)
            drawn = ecdf.x_ms[int(np.searchsorted(ecdf.share, rank / ecdf.n * (1 - 1e-12)))]
            assert drawn == pytest.approx(told, rel=rel, abs=1e-6), name


def check_parts(result: Result, detail: Detail) -> None:
    """The parts add up to the mean E2E."""
    if detail.parts:
        assert sum(part.share for part in detail.parts) == pytest.approx(1)
        if "e2e_ms" in result.latency:
            mean = summary_of(result, "e2e_ms").mean
            assert sum(part.mean_ms for part in detail.parts) == pytest.approx(mean)


def check_timeline(recording: Recording, result: Result, detail: Detail) -> None:
    """Its counts add up to the requests of the whole run, its gaps to theirs, its extremes to theirs."""
    line, rows = detail.timeline, read_rows(recording)
    if line is None:
        return
    steps = len(line.t_s)
    assert steps <= 240 and line.t_s == pytest.approx(np.arange(steps) * line.step_s)
    for values in (line.output_tokens_per_s, line.arrivals_per_s, line.ok_per_s, line.failed, line.in_flight):
        assert len(values) == steps
    assert sum(line.arrivals_per_s) * line.step_s == pytest.approx(np.count_nonzero(rows.sent), rel=1e-6)
    assert sum(line.ok_per_s) * line.step_s == pytest.approx(np.count_nonzero(rows.ok), rel=1e-6)
    assert sum(line.failed) == np.count_nonzero(rows.failed)
    every = result.latency if result.whole_run is None else result.whole_run.latency
    for name, course in line.latency.items():
        assert {len(course.n), len(course.min_ms), len(course.p50_ms), len(course.p99_ms), len(course.max_ms)} == {
            steps
        }
        for n, *ordered in zip(course.n, course.min_ms, course.p50_ms, course.p99_ms, course.max_ms, strict=True):
            known = [x for x in ordered if x is not None]
            assert len(known) == (0 if n == 0 else 3 if n < 100 else 4)
            assert known == sorted(known)
        if name in every and result.steady.method != "chosen":
            summary = every[name].response or every[name].service
            assert sum(course.n) == summary.n
            assert max((x for x in course.max_ms if x is not None), default=None) == pytest.approx(summary.max)


def check_dots(recording: Recording, result: Result, detail: Detail) -> None:
    """As many as it says, those of the window marked as such."""
    if detail.dots is None:
        assert not len(read_rows(recording))
        return
    dots = detail.dots
    assert len({len(getattr(dots, name)) for name in dots.__struct_fields__ if name != "of"}) == 1
    assert dots.request == sorted(dots.request)
    if dots.of <= 2000:
        inside = [status for status, inside in zip(dots.status, dots.inside, strict=True) if inside]
        assert inside.count("ok") == result.counts.window.ok
        assert len(dots.request) == dots.of and not any(dots.extreme)
    else:
        assert len(dots.request) <= 2000 and detail.thinned


def check_stalls(detail: Detail) -> None:
    """As many gaps as the distribution has, worst first."""
    stalls = detail.stalls
    assert (stalls is None) == ("itl_ms" not in detail.ecdf)
    if stalls is not None:
        gaps = [one.gap_ms for one in stalls.worst]
        assert stalls.gaps == detail.ecdf["itl_ms"].n
        assert len(gaps) == min(20, stalls.stalls) and gaps == sorted(gaps, reverse=True)
        assert all(gap >= stalls.threshold_ms >= 100 for gap in gaps)
        assert stalls.requests <= min(stalls.stalls, stalls.of)
        assert (stalls.stalls > 0) == (stalls.requests > 0) == (detail.ecdf["itl_ms"].x_ms[-1] >= stalls.threshold_ms)
        assert ("stalls" in [part.name for part in detail.parts]) == (stalls.stalls > 0) or not detail.parts


def check_levels(detail: Detail) -> None:
    """Rising, apart from each other, and all gaps together."""
    levels = detail.levels
    assert len(levels) <= 12 and len(levels) != 1
    for level in levels:
        assert level.low <= level.concurrency <= level.high
    for one, other in itertools.pairwise(levels):
        assert one.high <= other.low
    if levels:
        assert sum(level.n for level in levels) == detail.ecdf["itl_ms"].n
