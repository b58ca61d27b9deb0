"""Gates: bounds on a difference that fail a build, as in ttft.p99>+5%.

    METRIC.STAT OP SIGN NUMBER UNIT

OP is one of > >= < <=; the sign agrees with it (> with +, < with -). UNIT is % (of the baseline's figure), points (of
a share), or the figure's own unit (ms, tokens/s, requests/s). A gate fires when the difference lies beyond the bound
and is shown: its 95 % interval excludes no change, and it reaches the A/A noise where that is known. Gates are chosen
before the comparison, so they are not corrected for the number of other figures. A gate on a figure that a side does
not have fails too. Where a figure has too few samples, or the end of its interval that matters is open, the gate is
inconclusive and says what would do: it fails only where gates are strict.

A gate fires by the 95 % interval around no change, not around the bound: of two equal things it fires in at most 2.5 %
of comparisons (less, for the difference must exceed the bound as well); of things that differ by less than the bound,
as often as noise takes the estimate beyond it. With k gates the chance that one of them fires is up to k times that.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from loadcell.compare.measures import MEASURES, Measure
from loadcell.compare.model import Change, Gate, Pair
from loadcell.errors import UsageError, nearest
from loadcell.phrases import phrase

_FORM = re.compile(
    r"\s*([a-z][a-z0-9_]*\.\w+)\s*(>=|<=|>|<)\s*([+-]?)\s*(\d+(?:\.\d+)?)\s*(%|points?|ms|tokens/s|requests/s|)\s*"
)
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_EXAMPLE = "write it as in ttft.p99>+5%, itl.p50>+2ms or output_tokens_per_s.mean<-3%"


class Bound(NamedTuple):
    """A gate, read."""

    expression: str
    measure: Measure
    beyond: str
    bound: float
    """With its sign; relative, of a share, or in the unit of the measure."""
    unit: str


def parse_gate(text: str) -> Bound:
    """The bound that `text` names; UsageError says what is wrong with it."""
    match = _FORM.fullmatch(text)
    if not match:
        raise UsageError(f"--fail-if {text!r} is not a gate: {_EXAMPLE}")
    key, beyond, sign, number, unit = match.groups()
    unit = "points" if unit == "point" else unit
    if key not in MEASURES:
        raise UsageError(
            f"--fail-if {text!r}: there is no {key}{nearest(key, MEASURES)}; there are: {', '.join(MEASURES)}"
        )
    measure = MEASURES[key]
    units = ("%", measure.unit) if measure.relative else ("points",)
    if unit not in units:
        raise UsageError(
            f"--fail-if {text!r}: {key} takes {' or '.join(units)}, not {unit or 'a bare number'}: "
            f"write it as in {key}{beyond}{sign or '+-'[beyond[0] == '<']}{number}{units[0]}"
        )
    if sign != {">": "+", "<": "-"}[beyond[0]]:
        raise UsageError(
            f"--fail-if {text!r}: give the bound its sign, + after > and - after <: a gate bounds how much worse "
            f"(or better) it may get; {_EXAMPLE}"
        )
    bound = float(f"{sign}{number}") / (1 if unit not in ("%", "points") else 100)
    return Bound(text.strip(), measure, beyond, bound, unit)


def judge_gates(bounds: Sequence[Bound], pairs: Sequence[Pair], *, strict: bool = False) -> list[Gate]:
    """Every gate on every pair; with `strict` what is inconclusive fails."""
    gates = [_judge(bound, pair) for pair in pairs for bound in bounds]
    if not strict:
        return gates
    return [
        msgspec.structs.replace(g, fired=True, says=phrase("inconclusive: {}", g.says)) if g.inconclusive else g
        for g in gates
    ]


def _shown_beyond(bound: Bound, change: Change, value: float | None) -> bool:
    """Whether the end of the interval that is known shows a difference, and that lies beyond the bound."""
    end = change.low if bound.beyond[0] == ">" else change.high
    if value is None or end is None or not _OPERATORS[bound.beyond](value, bound.bound):
        return False
    return end > 0 if bound.beyond[0] == ">" else end < 0


def _judge(bound: Bound, pair: Pair) -> Gate:
    found = [c for c in pair.changes if (c.metric, c.stat) == (bound.measure.metric, bound.measure.stat)]

    def gate(judged: bool, fired: bool, says: str) -> Gate:
        return Gate(expression=bound.expression, side=pair.name, judged=judged, fired=fired, says=says)

    if not found:
        why = phrase("not comparable") if pair.comparable == "not comparable" else phrase("a side has no such figure")
        return gate(False, True, phrase("cannot be judged: {}", why))
    change = found[0]
    value = change.relative if bound.unit == "%" else change.difference
    if change.short and not _shown_beyond(bound, change, value):
        return msgspec.structs.replace(gate(False, False, change.says), inconclusive=True)
    if value is None or (change.low is None and change.high is None):
        return gate(False, True, phrase("cannot be judged: {}", change.says))
    if not _OPERATORS[bound.beyond](value, bound.bound):
        far = change.high if bound.beyond[0] == ">" else change.low
        assert far is not None  # else it is short of samples
        if bound.unit not in ("%", "points"):
            far *= change.a or 0.0
        open_ = _OPERATORS[bound.beyond](far, bound.bound)
        keeps = phrase("the difference keeps to the bound")
        if open_:
            keeps = phrase("the difference keeps to the bound, but the data do not exclude one beyond it")
        return gate(True, False, keeps)
    if (change.low is None or change.low <= 0) and (change.high is None or change.high >= 0):
        return gate(True, False, phrase("beyond the bound, but not shown: {}", change.says or "too little data"))
    if change.noise is not None and abs(change.relative if bound.measure.relative else value) < change.noise:  # type: ignore[arg-type]
        return gate(True, False, phrase("beyond the bound, but within the A/A noise"))
    return gate(True, True, phrase("the difference is beyond the bound, and shown"))
