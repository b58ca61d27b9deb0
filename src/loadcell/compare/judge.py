"""From the figures of two sides to plain words: better, worse, no difference shown, too little data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from loadcell.compare.effect import RUNS_LEAST, Effect, between_runs, holm, needed, scaled, unscaled, within_runs
from loadcell.compare.figures import ABSENT, Figure
from loadcell.compare.measures import MEASURES, SHARES_FINER, Measure
from loadcell.compare.model import Change, Finding
from loadcell.compare.pairing import Told
from loadcell.metrics.interval import ALPHA, wilson
from loadcell.phrases import phrase

Runs = Sequence[Mapping[str, Figure]]
"""The figures of each run of a side."""


class Noises(NamedTuple):
    """The A/A spread of one measure, on its scale."""

    deviation: float
    runs: int

    def floor(self, of_first: int = 1, of_second: int = 1) -> float:
        """95th percentile of the difference between the means of so many runs a side."""
        from scipy.special import stdtrit

        t = float(stdtrit(self.runs - 1, 1 - ALPHA / 2))
        return t * self.deviation * math.sqrt(1 / of_first + 1 / of_second)


class Sides(NamedTuple):
    """What is known of the figures of two sides."""

    name: str
    """Of the second."""
    a: Runs
    b: Runs
    by_pairs: Mapping[str, Told] = {}
    """Figures that pairs of requests tell, by measure: they come before those of the sides apart."""


@dataclass(frozen=True)
class _Test:
    """One measure of one pair, before the correction for their number."""

    measure: Measure
    a: float | None
    b: float | None
    effect: Effect | None
    why: str | None
    """Why there is no effect."""
    floor: float | None
    paired: bool = False
    unpaired: Effect | None = None
    """Where pairs tell the effect: what the sides apart tell."""
    few: bool = False
    """There is no effect because a side has too few samples."""


def judge(pairs: Sequence[Sides], min_effect: float, noise: Mapping[str, Noises] | None = None) -> list[list[Change]]:
    """The changes of each pair of sides.

    The p-values are corrected over all measures of all pairs. `min_effect` is a relative difference.
    """
    tests = [[_told(m, sides, (noise or {}).get(m.key)) for m in MEASURES.values()] for sides in pairs]
    kept = [[t for t in of_pair if t.why not in ABSENT] for of_pair in tests]
    flat = [t for of_pair in kept for t in of_pair]
    corrected = iter(holm([None if t.effect is None else t.effect.p for t in flat]))
    count = sum(t.effect is not None and t.effect.p is not None for t in flat)
    return [[_change(t, next(corrected), min_effect, count) for t in of_pair] for of_pair in kept]


def _told(measure: Measure, sides: Sides, noise: Noises | None) -> _Test:
    apart = _test(measure, sides.name, sides.a, sides.b, noise)
    told = sides.by_pairs.get(measure.key)
    if told is None:
        return apart
    return _Test(measure, told.a, told.b, told.effect, None, apart.floor, paired=True, unpaired=apart.effect)


def _gain(test: _Test) -> float | None:
    """How many times wider the interval is without pairs."""
    if test.unpaired is None or test.effect is None:
        return None
    wide, narrow = _width(test.unpaired), _width(test.effect)
    return wide / narrow if math.isfinite(wide) and narrow > 0 else None


def _test(measure: Measure, name: str, a: Runs, b: Runs, noise: Noises | None) -> _Test:
    by_runs = max(len(a), len(b)) >= RUNS_LEAST
    one, other = ([run[measure.key] for run in (side if by_runs else side[:1])] for side in (a, b))
    why = _missing("A", one) or _missing(name, other)
    floor = None if noise is None else noise.floor(len(one), len(other))
    means = [_mean([f.value for f in side], measure.relative) for side in (one, other)]
    if why is not None:
        few = all(f.value is not None or f.few for f in (*one, *other))
        return _Test(measure, means[0], means[1], None, why, floor, few=few)
    if by_runs:
        first, second = ([f.value for f in side if f.value is not None] for side in (one, other))
        effect = between_runs(first, second, measure.relative)
        if not measure.relative:  # a few shares may be equal by chance, above all at 0 and 1
            effect = max(effect, within_runs(_pooled(one), _pooled(other), relative=False), key=_width)
    else:
        effect = within_runs(one[0], other[0], measure.relative)
    return _Test(measure, means[0], means[1], effect, None, floor)


def _pooled(side: Sequence[Figure]) -> Figure:
    """The share of the requests of all runs."""
    n = sum(f.n for f in side)
    share = wilson(round(sum((f.value or 0.0) * f.n for f in side)), n)
    return Figure(share.value, n, share.low, share.high)


def _width(effect: Effect) -> float:
    return math.inf if effect.low is None or effect.high is None else effect.high - effect.low


def _missing(name: str, side: Sequence[Figure]) -> str | None:
    found = [(i, f.why) for i, f in enumerate(side, 1) if f.value is None]
    if not found:
        return None
    if found[0][1] in ABSENT:
        return found[0][1]
    if len(side) > 1:
        return phrase("not estimable in {}, run {}: {}", name, *found[0])
    return phrase("not estimable in {}: {}", name, found[0][1])


def _mean(values: Sequence[float | None], relative: bool) -> float | None:
    known = [v for v in values if v is not None]
    if len(known) < len(values) or not known:
        return None
    if len(known) == 1:
        return known[0]
    mean = float(scaled(known, relative).mean())  # type: ignore[arg-type]
    return math.exp(mean) if relative else mean


def _change(test: _Test, p_holm: float | None, min_effect: float, tests: int) -> Change:
    measure, effect = test.measure, test.effect
    margin = math.log1p(min_effect) if measure.relative else min_effect / SHARES_FINER
    needs = None if effect is None or effect.open else needed(effect, margin, tests)
    finding, says = _find(test, p_holm, margin, needs, min_effect)
    known = test.a is not None and test.b is not None
    return Change(
        metric=measure.metric,
        stat=measure.stat,
        title=measure.title,
        unit=measure.unit,
        a=test.a,
        b=test.b,
        difference=test.b - test.a if known else None,  # type: ignore[operator]
        relative=None if effect is None or not measure.relative or not test.a else unscaled(effect.effect, True),
        low=None if effect is None else unscaled(effect.low, measure.relative),
        high=None if effect is None else unscaled(effect.high, measure.relative),
        p=None if effect is None else effect.p,
        p_holm=p_holm,
        noise=unscaled(test.floor, measure.relative),
        finding=finding,
        says=says,
        needs=needs if finding == "too little data" else None,
        needs_what="requests" if effect is None else effect.per,
        method="" if effect is None else effect.method,
        paired=test.paired,
        freedom=None if effect is None else effect.freedom,
        gain=_gain(test),
        short=test.few if effect is None else effect.open is not None,
    )


def _find(
    test: _Test, p_holm: float | None, margin: float, needs: int | None, min_effect: float
) -> tuple[Finding, str]:
    """The finding and its words. Equivalence comes first: what is shown to be smaller than matters is no difference."""
    effect, measure = test.effect, test.measure
    least = _least(measure, min_effect)
    if effect is None:
        return "too little data", test.why or ""
    if effect.open and effect.low is None and (effect.high is None or effect.high >= 0):
        return "too little data", effect.open
    if effect.open and effect.high is None and (effect.low is None or effect.low <= 0):
        return "too little data", effect.open
    if (effect.low is None and effect.high is None) or p_holm is None:
        return "too little data", phrase("no interval: its samples (or a saved result) give none")
    low, high = -math.inf if effect.low is None else effect.low, math.inf if effect.high is None else effect.high
    if -margin < low and high < margin:
        there = low > 0 or high < 0
        return "no difference shown", phrase("there is one, but it is smaller than {}", least) if there else ""
    if p_holm <= ALPHA:
        if test.floor is not None and abs(effect.effect) < test.floor:
            return "too little data", phrase("within the A/A noise: more runs, not more requests, would tell")
        return ("better" if effect.effect * measure.sign > 0 else "worse"), ""
    if effect.open:  # an end is missing: more samples give it, and no width tells how many more
        return "too little data", effect.open
    if needs is None:
        return "too little data", ""
    if effect.per == "runs":
        return "too little data", phrase("{} needs about {:,} runs a side", least, needs)
    return "too little data", phrase("{} needs about {:,} requests a side", least, round_up(needs))


def _least(measure: Measure, min_effect: float) -> str:
    return f"{min_effect * 100:g} %" if measure.relative else points(min_effect / SHARES_FINER)


def points(share: float) -> str:
    """A difference of shares in words."""
    return phrase("{:g} points", share * 100)


def round_up(n: int) -> int:
    """Up to two significant digits."""
    unit = int(10 ** max(0, len(str(n)) - 2))
    return -(-n // unit) * unit
