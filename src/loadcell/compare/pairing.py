"""Which requests of two sides are pairs: where both schedules ask for the same lengths, request i and request i."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadcell.compare.effect import RUNS_LEAST, Effect, by_student, scaled
from loadcell.compare.figures import latencies_ns, members_of
from loadcell.compare.measures import MEASURES
from loadcell.compare.pairs import LEAST_PAIRS, Paired, least_pairs, paired_effect, time_blocks, values_of
from loadcell.compare.sides import Loaded
from loadcell.metrics.behaved import timed
from loadcell.metrics.rows import Floats, Ids, Mask, Rows
from loadcell.phrases import phrase

_FIXED = phrase("every request asks for the same lengths, so that pairs would gain little")


@dataclass(frozen=True)
class Told:
    """What pairs tell of one figure."""

    a: float
    b: float
    effect: Effect


@dataclass(frozen=True)
class Pairs:
    """The pairs of two sides, run by run; without any, `why` says why."""

    runs: Sequence[Mapping[str, Paired]]
    """Latencies of the same requests, by metric."""
    n: int
    why: str = ""


def pair_runs(a: Sequence[Loaded], b: Sequence[Loaded]) -> Pairs:
    """The pairs of two sides: run k and run k where both have enough runs to be compared between runs, else the first.

    Runs are paired as a whole or not at all.
    """
    if max(len(a), len(b)) >= RUNS_LEAST:
        if len(a) != len(b):
            return Pairs([], 0, phrase("the sides have different numbers of runs"))
    else:
        a, b = a[:1], b[:1]
    found = [_pair(one, other) for one, other in zip(a, b, strict=True)]
    why = next((one for one in found if isinstance(one, str)), "")
    runs = [] if why else [one for one in found if not isinstance(one, str)]
    return Pairs(runs, sum(one["e2e"].n for one in runs), why)


def _pair(a: Loaded, b: Loaded) -> dict[str, Paired] | str:
    """Latencies in ms of the requests that ended well in the windows of both; why there are none, else."""
    if a.rows is None or b.rows is None or a.recording is None or b.recording is None:
        return phrase("a saved result does not hold its requests")
    if a.recording.imported is not None or b.recording.imported is not None:
        return phrase("whether an imported run and another sent the same requests is not known")
    if a.recording.manifest.loop != b.recording.manifest.loop:
        return phrase("one is an open loop, the other a closed one")
    one, other, says = align(a.rows, b.rows)
    if says:
        return says
    kept = _good(a)[one] & _good(b)[other]
    one, other = one[kept], other[kept]
    if one.size < LEAST_PAIRS:
        return phrase("{} requests ended well in both windows, {} are needed", one.size, LEAST_PAIRS)
    order = np.argsort(_ranks(a.rows, one) + _ranks(b.rows, other), kind="stable")
    one, other = one[order], other[order]
    first, second = (latencies_ns(run.rows, run.recording.manifest.loop) for run in (a, b))  # type: ignore[arg-type, union-attr]
    return {name: in_time(first[name][one], second[name][other]) for name in first}


def align(a: Rows, b: Rows, *, fixed: bool = False) -> tuple[Ids, Ids, str]:
    """Places of the same requests in both, and why they are no pairs where they are none.

    With `fixed`, lengths may all be equal. Lengths of prompts that were planned in each server's own tokens are the
    same where one follows from the other in a straight line.
    """
    _, one, other = np.intersect1d(a.request, b.request, assume_unique=True, return_indices=True)
    for what, first, second in (
        ("output", a.asked_tokens[one], b.asked_tokens[other]),
        ("input", a.input_tokens[one], b.input_tokens[other]),
    ):
        apart = np.flatnonzero(~_same(first, second if what == "output" else _on_the_line(first, second)))
        if apart.size:
            i = apart[0]
            return (
                one,
                other,
                phrase(
                    "the schedules ask for other lengths: request {} for {:.0f} and {:.0f} {} tokens",
                    a.request[one[i]],
                    first[i],
                    second[i],
                    what,
                ),
            )
    if not fixed and not any(varied(values[one]) for values in (a.asked_tokens, a.input_tokens)):
        return one, other, _FIXED
    return one, other, ""


def _on_the_line(first: Floats, second: Floats) -> Floats:
    """`first` where `second` follows from it in a straight line that rises, to a token; else `second`."""
    known = ~(np.isnan(first) | np.isnan(second))
    if np.array_equal(first, second, equal_nan=True) or not known.any() or not varied(first[known]):
        return second
    slope, offset = np.polyfit(first[known], second[known], 1)
    near = np.abs(slope * first + offset - second) <= 1.0
    return np.where(near, first, second) if slope > 0 else second


def _same(first: Floats, second: Floats) -> Mask:
    same: Mask = (first == second) | (np.isnan(first) & np.isnan(second))
    return same


def varied(lengths: Floats) -> bool:
    """Whether lengths are not all the same."""
    known = lengths[~np.isnan(lengths)]
    return bool(known.size) and bool(known.min() < known.max())


def _good(run: Loaded) -> Mask:
    """Requests that the run's figures rest on: those of slow readers take times of their own."""
    assert run.rows is not None and run.recording is not None
    return timed(run.rows).ok & members_of(run.result, run.recording, run.rows)


def _ranks(rows: Rows, places: Ids) -> Ids:
    """Place of each request in the order of the sends."""
    return np.argsort(np.argsort(rows.send_start[places], kind="stable"), kind="stable").astype(np.int64)


def in_time(a_ns: Floats, b_ns: Floats, block: Ids | None = None, *, chained: bool = True) -> Paired:
    """Pairs in the order of time that both sides know, in ms; in blocks of time unless blocks are given."""
    known = ~(np.isnan(a_ns) | np.isnan(b_ns))
    count = int(np.count_nonzero(known))
    blocks = time_blocks(count) if block is None else np.unique(block[known], return_inverse=True)[1].astype(np.int64)
    return Paired(a_ns[known] / 1e6, b_ns[known] / 1e6, blocks, chained)


def told_by_pairs(pairs: Pairs) -> dict[str, Told]:
    """What pairs tell, by measure; a measure that needs more pairs than there are is absent."""
    found = {}
    for key, measure in MEASURES.items():
        runs = [run[measure.metric] for run in pairs.runs if measure.metric in run]
        if not runs or min(run.n for run in runs) < least_pairs(measure.stat):
            continue
        values = [values_of(run, measure.stat) for run in runs]
        if len(runs) == 1:
            found[key] = Told(*values[0], paired_effect(runs[0], measure.stat))
            continue
        logs = scaled(np.array(values), True)
        a, b = np.exp(logs.mean(axis=0)).tolist()
        found[key] = Told(a, b, _between_runs((logs[:, 1] - logs[:, 0]).tolist()))
    return found


def _between_runs(effects: Sequence[float]) -> Effect:
    """The mean effect of runs that are pairs themselves."""
    runs, deviation = len(effects), statistics.stdev(effects)
    method = phrase("pairs of runs, {} of them", runs)
    return by_student(statistics.fmean(effects), deviation / math.sqrt(runs), runs, deviation**2, "runs", method)
