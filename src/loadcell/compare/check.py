"""A check: gates that answer PASS, FAIL or INCONCLUSIVE.

A gate `ttft.p99>+5%` bounds a regression. Its difference d (a log ratio; of shares a difference) is tested from both
sides of the bound, each test one-sided at 2.5 % by Student's t:

    FAIL          d <= bound is rejected: the data show a difference beyond the bound
    PASS          d >= bound is rejected: the data exclude one (a test of non-inferiority)
    INCONCLUSIVE  neither

Several gates: FAIL is corrected for their number (Holm 1979), so that 2.5 % bounds the chance that any of them fails
wrongly. All of them pass together by an intersection-union test, which needs no correction (Berger 1982).

The number of requests (`needed.py`) is fixed before the data, and there is one look at them. Who asks for fewer, or
ends early, looks before: then a gate answers at a chance of one in a million only (after Haybittle 1971 and Peto 1976),
so that going on with the number asked for is wrong no more often than to have begun with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from loadcell import __version__
from loadcell.compare.effect import RUNS_LEAST, holm, within_runs
from loadcell.compare.figures import Figure
from loadcell.compare.gates import Bound
from loadcell.compare.measures import MEASURES
from loadcell.compare.model import Change, Comparison, Noise, Pair, Side
from loadcell.compare.needed import (
    ALPHA,
    Seen,
    margin,
    needed,
    of_share,
    planned,
    quantile,
    repeats,
    rounded,
    seen,
)
from loadcell.compare.sides import Opened
from loadcell.metrics.interval import wilson
from loadcell.phrases import Phrase, joined, phrase
from loadcell.recording.read import open_recording

Doc = msgspec.Meta
FORMAT = 1
"""Version of the JSON of a Check."""
Word = Literal["PASS", "FAIL", "INCONCLUSIVE"]
EARLY = 1e-6
"""The chance of a wrong answer of a gate that looks before it has the requests that it needs."""
_NEARLY = 0.9
"""Of the requests that are needed: turns that are left out as INVALID may make so many fewer."""
_LEAST_GUARD = 0.01
"""Beyond so many more failures a check does not pass, whatever its gates are about."""
Noises = Mapping[str, tuple[float, float]]
"""By measure: standard deviation of the difference between runs of the same thing, and its degrees of freedom."""


class CheckGate(msgspec.Struct, frozen=True, kw_only=True):
    """What one gate answers."""

    expression: str
    asked: Annotated[bool, Doc(description="false: the guard against failures, which stands beside every check")]
    word: Word
    title: str
    unit: Annotated[str, Doc(description="% of the baseline, or points of a share; both are told as shares of 1")]
    difference: Annotated[float | None, Doc(description="B against A")]
    low: Annotated[float | None, Doc(description="95 % interval of the difference")]
    high: float | None
    bound: Annotated[float | None, Doc(description="the bound on the same scale")]
    needs: Annotated[int | None, Doc(description="requests or runs a side that would give an answer")] = None
    needs_what: str = "requests"
    says: str


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What a check answers."""

    format: int = FORMAT
    loadcell: str = __version__
    word: Word
    gates: list[CheckGate]
    by: Annotated[str, Doc(description="turns (both ends were reached) or runs (of an earlier recording)")]
    sides: list[Side]
    ran: Annotated[int, Doc(description="requests a side (turns), or runs of B")]
    announced: Annotated[int | None, Doc(description="requests a side that were announced as needed before the load")]
    needs: Annotated[int | None, Doc(description="the most that an inconclusive gate needs")]
    needs_what: str
    notes: list[str]
    phrases: dict[str, Phrase] = {}


def words_of(views: Sequence[Seen | None], early: Sequence[bool] = ()) -> list[Word]:
    """What each gate answers; `early`: which of them look before as many requests as were found to be needed."""
    levels = [EARLY if one else ALPHA for one in early or [False] * len(views)]
    beyond = [None if v is None else _tail((v.effect - v.bound) / max(v.below, _TINY), v.freedom) for v in views]
    within = [None if v is None else _tail((v.bound - v.effect) / max(v.above, _TINY), v.freedom) for v in views]
    fails = [p is not None and p <= level for p, level in zip(holm(beyond), levels, strict=True)]
    passes = [p is not None and p <= level for p, level in zip(within, levels, strict=True)]
    return ["FAIL" if f else "PASS" if p else "INCONCLUSIVE" for f, p in zip(fails, passes, strict=True)]


_TINY = 1e-12


def _tail(t: float, freedom: float | None) -> float:
    from scipy.special import ndtr, stdtr

    return float(ndtr(-t) if freedom is None else stdtr(freedom, -t))


# --- the answer ------------------------------------------------------------------------------------------------------


class Failures(NamedTuple):
    """Requests that failed and that were recorded, of all turns or runs, those left out as INVALID too."""

    a: int
    of_a: int
    b: int
    of_b: int


def failures_of(a: Sequence[Path], b: Sequence[Path]) -> Failures:
    """Those of the recordings of both sides, whatever these are worth."""
    counts = []
    for side in (a, b):
        statuses = [status for path in side for status in open_recording(path).requests(("status",))["status"]]
        counts += [statuses.count("failed"), len(statuses)]
    return Failures(*counts)


def failures_told(a: Opened, b: Opened) -> Failures:
    """Those that the results of both sides tell."""
    counts = [[run.result.counts.run for run in side.runs] for side in (a, b)]
    return Failures(*(n for side in counts for n in (sum(c.failed for c in side), sum(c.planned for c in side))))


def check_turns(
    found: Comparison,
    bounds: Sequence[Bound],
    failures: Failures,
    *,
    announced: Sequence[int | None] | None,
    noise: Noise | None,
) -> Check:
    """The answer of a duel; so many requests a side each gate was found to need before it, if that was asked."""
    assert found.duel is not None
    (pair,) = found.pairs
    ran, spreads = found.duel.turn * found.duel.couples, _of_noise(noise, 1, 1)
    needs = planned(bounds, pair.changes, ran) if announced is None else announced
    early = [n is None or ran < _NEARLY * n for n in needs]
    lost = found.duel.planned / found.duel.couples  # as many turns will be left out again
    gates = [
        gate if gate.word != "INCONCLUSIVE" else _asks(gate, bound, view, pair, ran, lost, len(bounds), spreads, soon)
        for (bound, view, gate), soon in zip(_gates(bounds, pair, spreads, early), early, strict=True)
    ]
    notes = [] if noise is not None else [phrase("both servers as they ran: what a restart changes is not in it")]
    return _check(found, [*gates, *_guard(bounds, failures)], "turns", ran, most(announced or ()), notes)


def most(needs: Sequence[int | None]) -> int | None:
    """The requests that are enough for every gate of which that is known."""
    return max((n for n in needs if n is not None), default=None)


def check_runs(found: Comparison, bounds: Sequence[Bound], failures: Failures) -> Check:
    """The answer of runs against earlier ones: only repeats, or the A/A noise of repeats, tell what restarts change."""
    (pair,) = found.pairs
    sides = [len(side.runs) for side in found.sides]
    counts = sides if max(sides) >= RUNS_LEAST else [1, 1]
    spreads = _of_noise(found.noise, *counts)
    backed = max(sides) >= RUNS_LEAST or found.noise is not None
    gates = []
    for bound, view, gate in _gates(bounds, pair, spreads):
        if not backed:
            alone = phrase("single runs cannot see what differs between restarts: repeats can, or --noise REPEATS")
            says = alone if view is not None else joined("; ", [gate.says, alone])
            more = {"says": says, "needs": RUNS_LEAST, "needs_what": "runs"}
            gate = msgspec.structs.replace(gate, word="INCONCLUSIVE", **more)
        elif view is not None and gate.word == "INCONCLUSIVE" and math.isfinite(view.above):
            n = repeats(view, min(counts), margin(bound, _turned(view.bound, bound)))
            gate = msgspec.structs.replace(gate, needs=n, needs_what="runs")
        gates.append(gate)
    notes = [phrase("a server that goes on running between repeats shows no restart: restart it before each")]
    return _check(found, [*gates, *_guard(bounds, failures)], "runs", sides[1], None, notes if backed else [])


def void_check(bounds: Sequence[Bound], failures: Failures, why: str) -> Check:
    """The answer where no figure can be trusted: that of the guard, if more failed; else none."""
    gates = [*(_gate(bound, None, None, "INCONCLUSIVE", why) for bound in bounds), *_guard((), failures)]
    return Check(
        word=_overall(gates), gates=gates, by="turns", sides=[], ran=0, announced=None, needs=None,
        needs_what="requests", notes=[],
    )  # fmt: skip


def _check(
    found: Comparison, gates: list[CheckGate], by: str, ran: int, announced: int | None, notes: Sequence[str]
) -> Check:
    (pair,) = found.pairs
    asks = [gate for gate in gates if gate.word == "INCONCLUSIVE" and gate.needs is not None]
    last = max(asks, key=lambda gate: (gate.needs_what == "runs", gate.needs or 0), default=None)
    return Check(
        word=_overall(gates),
        gates=gates,
        by=by,
        sides=found.sides,
        ran=ran,
        announced=announced,
        needs=None if last is None else last.needs,
        needs_what="requests" if last is None else last.needs_what,
        notes=[*pair.forbids, *pair.care, *notes],
    )


def _overall(gates: Sequence[CheckGate]) -> Word:
    words = {gate.word for gate in gates}
    return "FAIL" if "FAIL" in words else "INCONCLUSIVE" if "INCONCLUSIVE" in words else "PASS"


# --- its gates -------------------------------------------------------------------------------------------------------


def _gates(
    bounds: Sequence[Bound], pair: Pair, spreads: Noises, early: Sequence[bool] = ()
) -> Iterator[tuple[Bound, Seen | None, CheckGate]]:
    by_key = {f"{c.metric}.{c.stat}": c for c in pair.changes}
    changes = [by_key.get(bound.measure.key) for bound in bounds]
    views = [
        None if change is None else seen(bound, change, spreads.get(bound.measure.key))
        for bound, change in zip(bounds, changes, strict=True)
    ]
    for bound, change, view, word in zip(bounds, changes, views, words_of(views, early), strict=True):
        yield bound, view, _gate(bound, change, view, word)


def _gate(bound: Bound, change: Change | None, view: Seen | None, word: Word, why: str = "") -> CheckGate:
    if view is None:
        absent = phrase("not comparable, or a side has no such figure") if change is None else change.says
        says = why or phrase("cannot be judged: {}", absent or phrase("too little data"))
    else:
        says = {
            "PASS": phrase("a difference beyond the bound is excluded"),
            "FAIL": phrase("a difference beyond the bound is shown"),
            "INCONCLUSIVE": phrase("a difference beyond the bound is neither shown nor excluded"),
        }[word]
    relative = bound.measure.relative
    low, high, limit = None, None, None
    if view is not None:
        back, t = math.expm1 if relative else float, quantile(0.025, view.freedom)
        ends = sorted(_turned(view.effect + t * error, bound) for error in (-view.below, view.above))
        low, high = (back(end) if math.isfinite(end) else None for end in ends)
        limit = back(_turned(view.bound, bound))
    return CheckGate(
        expression=bound.expression,
        asked=True,
        word=word,
        title=bound.measure.title,
        unit="%" if relative else "points",
        difference=None if change is None else change.relative if relative else change.difference,
        low=low,
        high=high,
        bound=limit,
        says=says,
    )


def _turned(value: float, bound: Bound) -> float:
    """To and from the direction in which more is towards the bound."""
    return -value if bound.beyond[0] == "<" else value


def _asks(
    gate: CheckGate,
    bound: Bound,
    view: Seen | None,
    pair: Pair,
    ran: int,
    lost: float,
    gates: int,
    spreads: Noises,
    early: bool,
) -> CheckGate:
    """The gate with the requests a side that would give an answer."""
    spread = spreads.get(bound.measure.key, (0.0, 0.0))[0]
    off = (
        math.inf if early or view is None else abs(view.effect - view.bound)
    )  # nearer than was planned for, as it seems
    n = needed(bound, pair.changes, ran, gates, off, spread)
    if n is None and spread and view is not None:
        wide = phrase("the A/A noise is as wide as the bound: more requests would not tell")
        return msgspec.structs.replace(gate, says=wide)
    if n is None:
        return gate
    return msgspec.structs.replace(gate, needs=rounded(math.ceil(lost * max(n, ran + 1 if early else 1.5 * ran))))


def _of_noise(noise: Noise | None, of_first: int, of_second: int) -> Noises:
    """What repeats tell of the difference between means of so many runs a side."""
    wide, found = math.sqrt(1 / of_first + 1 / of_second), {}
    for floor in [] if noise is None else noise.floors:
        key = f"{floor.metric}.{floor.stat}"
        if floor.deviation is not None and noise is not None:
            spread = math.log1p(floor.deviation) if MEASURES[key].relative else floor.deviation
            found[key] = (spread * wide, float(len(noise.runs) - 1))
    return found


def _guard(bounds: Sequence[Bound], failures: Failures) -> list[CheckGate]:
    """The guard against failures: what fails is in no latency, so a side that fails looks fast.

    A gate that bounds more failures takes its place, but where all turns show more than that bound: the gate is about
    those that are compared, and a turn may be left out for what failed in it.
    """
    own = [b.bound for b in bounds if b.measure.metric == "failed" and b.beyond[0] == ">"]
    limit = max(own, default=_LEAST_GUARD)
    if not (failures.of_a and failures.of_b):
        return []
    both = ((failures.a, failures.of_a), (failures.b, failures.of_b))
    a, b = (Figure(share.value, of, share.low, share.high) for share, of in ((wilson(n, of), of) for n, of in both))
    effect = within_runs(a, b, relative=False)
    low, high = effect.low or 0.0, effect.high or 0.0
    open_ = effect.effect > 0 and high > limit
    word: Word = "FAIL" if low > limit else "INCONCLUSIVE" if open_ else "PASS"
    if own and word != "FAIL":
        return []
    share = (failures.a + failures.b) / (failures.of_a + failures.of_b)
    needs = rounded(max(of_share(share, limit), failures.of_b + 1)) if word == "INCONCLUSIVE" else None
    expression = f"failed.share>+{100 * limit:g}points"
    says = phrase("{} of {} requests of B failed, {} of {} of A", *both[1], *both[0])
    return [
        CheckGate(
            expression=expression, asked=False, word=word, title=MEASURES["failed.share"].title, unit="points",
            difference=effect.effect, low=low, high=high, bound=limit, says=says, needs=needs,
        )
    ]  # fmt: skip
