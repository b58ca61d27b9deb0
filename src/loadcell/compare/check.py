"""A check: gates that answer PASS, FAIL or INCONCLUSIVE, and the requests that an answer takes.

A gate `ttft.p99>+5%` bounds a regression. Its difference d (a log ratio; of shares a difference) is tested from both
sides of the bound, each test one-sided at 2.5 % by Student's t:

    FAIL          d <= bound is rejected: the data show a difference beyond the bound
    PASS          d >= bound is rejected: the data exclude one (a test of non-inferiority)
    INCONCLUSIVE  neither

Several gates: FAIL is corrected for their number (Holm 1979), so that 2.5 % bounds the chance that any of them fails
wrongly. All of them pass together by an intersection-union test, which needs no correction (Berger 1982).

How many requests: a pilot tells the variance, and nothing else of it is used (an external pilot: Browne 1995, Statistics
in Medicine 14:1933, whose upper 80 % bound of the variance is taken). The number is that for which both tests have a
power of 95 %: of PASS where nothing differs, of FAIL where the difference is twice the bound. A percentile of the tail
has few samples in a pilot: the variance of the next lower percentile, carried over as that of a lognormal, bounds it
from below. The number is fixed before the data, there is one look at it. Who asks for fewer, or ends early, looks
before: then a gate answers at a chance of one in a million only (Haybittle 1971, Peto 1976), so that going on with the
number asked for is wrong no more often than to have begun with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec

from loadcell import __version__
from loadcell.compare.effect import RUNS_LEAST, holm
from loadcell.compare.gates import Bound
from loadcell.compare.measures import MEASURES
from loadcell.compare.model import Change, Comparison, Noise, Pair, Side
from loadcell.compare.pairs import least_pairs
from loadcell.metrics.interval import PERMILLE
from loadcell.phrases import Phrase, phrase

Doc = msgspec.Meta
FORMAT = 1
"""Version of the JSON of a Check."""
Word = Literal["PASS", "FAIL", "INCONCLUSIVE"]
ALPHA, BETA, EARLY = 0.025, 0.05, 1e-6
_SURE = 0.8
"""The chance with which the variance is not more than what is planned with."""
COUPLES, PILOT_COUPLES = (40, 120), (24, 40)
"""The fewest and the most turns a side: of what is judged, and of a pilot. Two are a block; 60 are told apart at most."""
_PILOT = {"p95": 400, "p99": 1000}
_PILOT_REQUESTS = 300
_BELOW = {"p99": "p95", "p95": "p90"}
_NEARLY = 0.9
"""Of the requests that are needed: turns that are left out as INVALID may make so many fewer."""
_LEAST_GUARD = 0.01
"""Beyond so many more failures a check does not pass, whatever its gates are about."""
GUARD = "failed.share>+1points"


class CheckGate(msgspec.Struct, frozen=True, kw_only=True):
    """What one gate answers."""

    expression: str
    asked: Annotated[bool, Doc(description="false: the guard against failures, which stands beside every check")]
    word: Word
    title: str
    unit: Annotated[str, Doc(description="% of the baseline, or points of a share: of the three that follow, as shares")]
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


class Seen(NamedTuple):
    """A difference as a gate sees it: on the scale of the tests, turned so that more is towards the bound."""

    effect: float
    bound: float
    below: float
    """Standard error towards smaller values, `above` towards larger; inf where that end is open."""
    above: float
    freedom: float | None


def seen(bound: Bound, change: Change, noise: float = 0.0, noise_freedom: float | None = None) -> Seen | None:
    """The difference of a gate; None where it has no interval at all.

    `noise` is the standard deviation of the difference between runs of the same thing, on the scale of the tests.
    """
    value = change.relative if bound.measure.relative else change.difference
    if value is None or (change.low is None and change.high is None):
        return None
    limit = scaled_bound(bound, change)
    if limit is None:
        return None
    scale = math.log1p if bound.measure.relative else float
    at = scale(value)
    ends = (math.inf if end is None else abs(scale(end) - at) for end in (change.low, change.high))
    below, above = (end / _quantile(0.025, change.freedom) for end in ends)
    freedom = change.freedom
    if noise > 0:
        freedom = noise_freedom if freedom is None else min(freedom, noise_freedom or freedom)
        below, above = math.hypot(below, noise), math.hypot(above, noise)
    if bound.beyond[0] == "<":
        return Seen(-at, -limit, above, below, freedom)
    return Seen(at, limit, below, above, freedom)


def scaled_bound(bound: Bound, change: Change) -> float | None:
    """The bound on the scale of the tests; None where a figure of 0 gives its unit no scale."""
    if not bound.measure.relative:
        return bound.bound
    share = bound.bound if bound.unit == "%" else bound.bound / change.a if change.a else None
    return None if share is None or share <= -1 else math.log1p(share)


def words_of(all_seen: Sequence[Seen | None], *, early: bool = False) -> list[Word]:
    """What each gate answers; `early`: before as many requests as were found to be needed."""
    level = EARLY if early else ALPHA
    beyond = [None if s is None else _tail((s.effect - s.bound) / _some(s.below), s.freedom) for s in all_seen]
    fails = [p is not None and p <= level for p in holm(beyond)]
    within = [None if s is None else _tail((s.bound - s.effect) / _some(s.above), s.freedom) for s in all_seen]
    passes = [p is not None and p <= level for p in within]
    return ["FAIL" if f else "PASS" if p else "INCONCLUSIVE" for f, p in zip(fails, passes, strict=True)]


def _some(error: float) -> float:
    return max(error, 1e-12)


def _tail(t: float, freedom: float | None) -> float:
    from scipy.special import ndtr, stdtr

    return float(ndtr(-t) if freedom is None else stdtr(freedom, -t))


def _quantile(tail: float, freedom: float | None) -> float:
    from scipy.special import ndtri, stdtrit

    return float(-ndtri(tail) if freedom is None else stdtrit(freedom, 1 - tail))


# --- how many requests -----------------------------------------------------------------------------------------------


def pilot(bounds: Sequence[Bound], turn: int) -> tuple[int, int]:
    """(requests of a turn, turns a side) that tell how many requests are needed."""
    return layout(max(_PILOT.get(bound.measure.stat, _PILOT_REQUESTS) for bound in bounds), turn, PILOT_COUPLES)


def layout(requests: int, turn: int, couples: tuple[int, int] = COUPLES) -> tuple[int, int]:
    """(requests of a turn, turns a side) for at least so many requests a side: not too few turns, and not too many."""
    least, most = couples
    length = max(turn, -(-requests // most))
    return length, max(least, 2 * -(-requests // (2 * length)))


def planned(bounds: Sequence[Bound], changes: Sequence[Change], ran: int) -> int | None:
    """Requests a side for an answer of every gate, by what `ran` of them told of the variance; None if they did not."""
    found = [needed(bound, changes, ran, len(bounds)) for bound in bounds]
    known = [n for n in found if n is not None]
    return max(known) if len(known) == len(found) and known else None


def needed(
    bound: Bound, changes: Sequence[Change], ran: int, gates: int = 1, distance: float | None = None
) -> int | None:
    """Requests a side for an answer of one gate of so many. `distance` of the truth from the bound, on the scale of the
    tests; else both no difference and one of twice the bound are to be told."""
    by_key = {f"{c.metric}.{c.stat}": c for c in changes}
    own, stat = by_key.get(bound.measure.key), bound.measure.stat
    if own is None:
        return None
    if not bound.measure.relative:
        return _of_share(bound, own, gates)
    limit = scaled_bound(bound, own)
    lower = by_key.get(f"{bound.measure.metric}.{_BELOW.get(stat, '')}")
    spreads = [_variance(own), None if lower is None else _carried(lower, stat)]
    known = [v for v in spreads if v is not None]
    if limit is None or not known:
        return None
    away = distance or margin(bound, limit)
    n = max(known) * ran * (_reach(gates, COUPLES[0] / 2 - 1) / away) ** 2  # of the fewest blocks there may be
    return max(math.ceil(n), least_pairs(stat) if stat in PERMILLE else 0)


def margin(bound: Bound, limit: float) -> float:
    """From the bound to no difference or to twice the bound, whichever is nearer, on the scale of the tests."""
    if not bound.measure.relative:
        return abs(limit)
    share = math.expm1(limit)
    twice = math.log1p(2 * share) - limit if 2 * share > -1 else -math.inf
    return min(abs(limit), abs(twice))


def _reach(gates: int, freedom: float) -> float:
    """Standard errors between the bound and a truth that is to be told from it."""
    return _quantile(ALPHA / gates, freedom) + _quantile(BETA / gates, freedom)


def _variance(change: Change) -> float | None:
    """The upper bound of the squared standard error."""
    if change.low is None or change.high is None:
        return None
    half = (math.log1p(change.high) - math.log1p(change.low)) / 2
    sure = 1.0
    if change.freedom is not None:
        from scipy.special import chdtri

        sure = change.freedom / float(chdtri(change.freedom, _SURE))
    return sure * (half / _quantile(0.025, change.freedom)) ** 2


def _carried(lower: Change, stat: str) -> float | None:
    """The variance of a percentile by that of a lower one, if logarithms are normal."""
    found = _variance(lower)
    return None if found is None else found * _per_sample(stat) / _per_sample(lower.stat)


def _per_sample(stat: str) -> float:
    """p (1 - p) / density squared: the variance of a normal percentile, of one sample."""
    from scipy.special import ndtri

    p = PERMILLE[stat] / 1000
    density = math.exp(-(float(ndtri(p)) ** 2) / 2) / math.sqrt(2 * math.pi)
    return p * (1 - p) / density**2


def _of_share(bound: Bound, change: Change, gates: int) -> int:
    """Requests a side for a bound on shares: where none fails Wilson's interval must end below the bound."""
    share = ((change.a or 0.0) + (change.b or 0.0)) / 2
    at, normal = abs(bound.bound), _quantile(ALPHA / gates, None) + _quantile(BETA / gates, None)
    z = _quantile(ALPHA / gates, None)
    return math.ceil(1.1 * max(z * z * (1 - at) / at, 2 * share * (1 - share) * (normal / at) ** 2))


# --- the answer ------------------------------------------------------------------------------------------------------


class Failures(NamedTuple):
    """Requests that failed and that were planned, of all turns or runs, those left out as INVALID too."""

    a: int
    of_a: int
    b: int
    of_b: int


def check_turns(
    found: Comparison, bounds: Sequence[Bound], failures: Failures, *, announced: int | None, noise: Noise | None
) -> Check:
    """The answer of a duel; `announced` requests a side were said to be needed before it."""
    assert found.duel is not None
    (pair,) = found.pairs
    ran = found.duel.turn * found.duel.couples
    spreads = {} if noise is None else _of_noise(noise, 1, 1)
    needs = announced if announced is not None else planned(bounds, pair.changes, ran)
    early = needs is None or ran < _NEARLY * needs
    gates = _gates(bounds, pair, spreads, early=early)
    gates = [
        gate if gate.word != "INCONCLUSIVE" else _asks(gate, bound, pair, ran, len(bounds), spreads, early=early)
        for gate, bound in zip(gates, bounds, strict=True)
    ]
    notes = [phrase("restarts, and what else differs from one start of a server to the next, are not in it: {}", where)
             for where in [phrase("A and B were measured as they ran")] if noise is None]  # fmt: skip
    return _check(found, [*gates, *_guard(bounds, failures)], "turns", ran, announced, notes)


def check_runs(found: Comparison, bounds: Sequence[Bound], failures: Failures) -> Check:
    """The answer of runs against earlier ones: only repeats, or the A/A noise of repeats, tell what restarts change."""
    (pair,) = found.pairs
    sides = [len(side.runs) for side in found.sides]
    counts = sides if max(sides) >= RUNS_LEAST else [1, 1]
    spreads = {} if found.noise is None else _of_noise(found.noise, *counts)
    gates = _gates(bounds, pair, spreads, early=False)
    backed = max(sides) >= RUNS_LEAST or found.noise is not None
    shown = []
    for gate, bound in zip(gates, bounds, strict=True):
        if not backed and gate.difference is not None:
            alone = phrase(
                "single runs cannot see what differs between restarts: give --noise REPEATS, or {} repeats a side",
                RUNS_LEAST,
            )
            gate = msgspec.structs.replace(
                gate, word="INCONCLUSIVE", says=alone, needs=RUNS_LEAST, needs_what="runs"
            )
        elif gate.word == "INCONCLUSIVE":
            gate = _asks_runs(gate, bound, pair, min(counts), spreads)
        shown.append(gate)
    notes = [phrase("a server that goes on running between repeats shows no restart: restart it before each")]
    return _check(found, [*shown, *_guard(bounds, failures)], "runs", sides[1], None, notes if backed else [])


def void_check(sides: Sequence[Side], bounds: Sequence[Bound], failures: Failures, why: str) -> Check:
    """The answer where no figure can be trusted: that of the guard, if more failed; else none."""
    gates = [
        CheckGate(
            expression=bound.expression, asked=True, word="INCONCLUSIVE", title=bound.measure.title, unit=_unit(bound),
            difference=None, low=None, high=None, bound=None, says=why,
        )
        for bound in bounds
    ]  # fmt: skip
    every = [*gates, *_guard((), failures)]
    return Check(
        word=_overall(every), gates=every, by="turns", sides=list(sides), ran=0, announced=None, needs=None,
        needs_what="requests", notes=[],
    )  # fmt: skip


def _check(
    found: Comparison, gates: list[CheckGate], by: str, ran: int, announced: int | None, notes: Sequence[str]
) -> Check:
    (pair,) = found.pairs
    asks = [gate for gate in gates if gate.word == "INCONCLUSIVE" and gate.needs is not None]
    most = max(asks, key=lambda gate: (gate.needs_what == "runs", gate.needs or 0), default=None)
    return Check(
        word=_overall(gates),
        gates=gates,
        by=by,
        sides=found.sides,
        ran=ran,
        announced=announced,
        needs=None if most is None else most.needs,
        needs_what="requests" if most is None else most.needs_what,
        notes=[*pair.forbids, *pair.care, *notes],
    )


def _overall(gates: Sequence[CheckGate]) -> Word:
    words = {gate.word for gate in gates}
    return "FAIL" if "FAIL" in words else "INCONCLUSIVE" if "INCONCLUSIVE" in words else "PASS"


def _gates(
    bounds: Sequence[Bound], pair: Pair, spreads: Mapping[str, tuple[float, float]], *, early: bool
) -> list[CheckGate]:
    by_key = {f"{c.metric}.{c.stat}": c for c in pair.changes}
    changes = [by_key.get(bound.measure.key) for bound in bounds]
    views = [
        None if change is None else seen(bound, change, *spreads.get(bound.measure.key, (0.0, None)))
        for bound, change in zip(bounds, changes, strict=True)
    ]
    words = words_of(views, early=early)
    return [_gate(*one) for one in zip(bounds, changes, views, words, strict=True)]


def _gate(bound: Bound, change: Change | None, view: Seen | None, word: Word) -> CheckGate:
    if change is None:
        says = phrase("cannot be judged: {}", phrase("a side has no such figure"))
    elif view is None:
        says = phrase("cannot be judged: {}", change.says) if change.says else phrase("too little data")
    else:
        says = {
            "PASS": phrase("a difference beyond the bound is excluded"),
            "FAIL": phrase("a difference beyond the bound is shown"),
            "INCONCLUSIVE": phrase("a difference beyond the bound is neither shown nor excluded"),
        }[word]
    relative = bound.measure.relative
    low, high, limit = None, None, None
    if view is not None:
        back = math.expm1 if relative else float
        turn = -1 if bound.beyond[0] == "<" else 1
        t = _quantile(0.025, view.freedom)
        ends = sorted(turn * (view.effect + t * side) for side in (-view.below, view.above))
        low, high = (back(end) if math.isfinite(end) else None for end in ends)
        limit = back(turn * view.bound)
    return CheckGate(
        expression=bound.expression,
        asked=True,
        word=word if view is not None else "INCONCLUSIVE",
        title=bound.measure.title,
        unit=_unit(bound),
        difference=None if change is None else change.relative if relative else change.difference,
        low=low,
        high=high,
        bound=limit,
        says=says,
    )


def _unit(bound: Bound) -> str:
    return "%" if bound.measure.relative else "points"


def _asks(
    gate: CheckGate, bound: Bound, pair: Pair, ran: int, gates: int, spreads: Mapping[str, tuple[float, float]],
    *, early: bool,
) -> CheckGate:  # fmt: skip
    """The gate with the requests a side that would give an answer."""
    n = needed(bound, pair.changes, ran, gates)
    if n is None:
        return gate
    view = None if gate.difference is None or gate.bound is None else gate
    spread, freedom = spreads.get(bound.measure.key, (0.0, 1.0))
    if view is not None and spread and bound.measure.relative:
        away = margin(bound, math.log1p(gate.bound or 0.0))
        if spread * (_quantile(ALPHA, freedom) + _quantile(BETA, freedom)) > away:
            says = phrase("the A/A noise alone is as wide as the bound: no number of requests would tell")
            return msgspec.structs.replace(gate, says=says)
    if not early and view is not None and bound.measure.relative:  # it lies nearer to the bound than was planned for
        off = abs(math.log1p(gate.difference or 0.0) - math.log1p(gate.bound or 0.0))
        least = margin(bound, math.log1p(gate.bound or 0.0)) / 4
        n = max(math.ceil(1.5 * ran), needed(bound, pair.changes, ran, gates, max(off, least)) or 0)
    else:
        n = max(n, ran + 1)
    return msgspec.structs.replace(gate, needs=rounded(n), needs_what="requests")


def rounded(n: int) -> int:
    """Up to two digits."""
    unit = int(10 ** max(0, len(str(n)) - 2))
    return -(-n // unit) * unit


def _asks_runs(
    gate: CheckGate, bound: Bound, pair: Pair, runs: int, spreads: Mapping[str, tuple[float, float]]
) -> CheckGate:
    """The gate with the repeats a side that would give an answer."""
    change = next((c for c in pair.changes if f"{c.metric}.{c.stat}" == bound.measure.key), None)
    view = None if change is None else seen(bound, change, *spreads.get(bound.measure.key, (0.0, None)))
    if view is None or not math.isfinite(view.above):
        return gate
    limit = view.bound if bound.beyond[0] == ">" else -view.bound
    away = margin(bound, limit)
    variance, n = view.above**2 * runs, max(RUNS_LEAST, runs + 1)
    while n < 1000 and math.sqrt(variance / n) * _reach(1, 2 * n - 2) > away:
        n += 1
    return msgspec.structs.replace(gate, needs=n, needs_what="runs")


def _of_noise(noise: Noise, of_first: int, of_second: int) -> dict[str, tuple[float, float]]:
    """By measure: standard deviation of the difference between means of so many runs, and its degrees of freedom."""
    wide, found = math.sqrt(1 / of_first + 1 / of_second), {}
    for floor in noise.floors:
        key = f"{floor.metric}.{floor.stat}"
        if floor.deviation is not None:
            spread = math.log1p(floor.deviation) if MEASURES[key].relative else floor.deviation
            found[key] = (spread * wide, float(len(noise.runs) - 1))
    return found


def _guard(bounds: Sequence[Bound], failures: Failures) -> list[CheckGate]:
    """The guard against failures, unless a gate is about them: a side that fails is not slow, for what fails is in no
    latency."""
    if any(bound.measure.metric == "failed" for bound in bounds) or not (failures.of_a and failures.of_b):
        return []
    from loadcell.compare.effect import within_runs
    from loadcell.compare.figures import Figure
    from loadcell.metrics.interval import wilson

    sides = []
    for failed, planned_of in ((failures.a, failures.of_a), (failures.b, failures.of_b)):
        share = wilson(failed, planned_of)
        sides.append(Figure(share.value, planned_of, share.low, share.high))
    effect = within_runs(*sides, relative=False)
    low, high = effect.low or 0.0, effect.high or 0.0
    more = effect.effect > 0
    word: Word = "FAIL" if low > _LEAST_GUARD else "INCONCLUSIVE" if more and high > _LEAST_GUARD else "PASS"
    counts = phrase("{} of {} requests of B failed, {} of {} of A", failures.b, failures.of_b, failures.a, failures.of_a)
    share = (failures.a + failures.b) / (failures.of_a + failures.of_b)
    n = math.ceil(2 * share * (1 - share) * (_quantile(ALPHA, None) + _quantile(BETA, None)) ** 2 / _LEAST_GUARD**2)
    return [
        CheckGate(
            expression=GUARD, asked=False, word=word, title=MEASURES["failed.share"].title, unit="points",
            difference=effect.effect, low=low, high=high, bound=_LEAST_GUARD, says=counts,
            needs=rounded(max(n, 400, failures.of_b + 1)) if word == "INCONCLUSIVE" else None,
        )
    ]  # fmt: skip
