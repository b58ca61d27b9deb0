from __future__ import annotations

import pytest

from loadcell.compare import Change, Pair, parse_gate
from loadcell.compare.gates import judge_gates
from loadcell.compare.measures import MEASURES
from loadcell.errors import UsageError


def pair(*, relative: float, low: float | None, high: float | None, noise: float | None = None) -> Pair:
    """TTFT p99 of 100 ms on side A."""
    change = Change(
        metric="ttft", stat="p99", title="TTFT p99", unit="ms", a=100.0, b=100 * (1 + relative),
        difference=100 * relative, relative=relative, low=low, high=high, p=None, p_holm=None, noise=noise,
        finding="too little data", says="", needs=None, needs_what="requests", method="",
    )  # fmt: skip
    return Pair(name="B", comparable="comparable", forbids=[], care=[], notes=[], changes=[change])


def outcome(text: str, of: Pair) -> tuple[bool, bool]:
    (gate,) = judge_gates([parse_gate(text)], [of])
    return gate.judged, gate.fired


@pytest.mark.parametrize(
    ("text", "relative", "low", "high", "fired"),
    [
        ("ttft.p99>+5%", 0.10, 0.02, 0.18, True),
        ("ttft.p99 > +5 %", 0.10, 0.02, 0.18, True),
        ("ttft.p99>+5%", 0.10, -0.02, 0.22, False),  # beyond the bound, but not shown
        ("ttft.p99>+5%", 0.04, 0.02, 0.06, False),  # shown, but within the bound
        ("ttft.p99>+5%", -0.10, -0.18, -0.02, False),
        ("ttft.p99>+10%", 0.10, 0.02, 0.18, False),
        ("ttft.p99>=+10%", 0.10, 0.02, 0.18, True),
        ("ttft.p99<-5%", -0.10, -0.18, -0.02, True),
        ("ttft.p99>+9ms", 0.10, 0.02, 0.18, True),
        ("ttft.p99>+11ms", 0.10, 0.02, 0.18, False),
    ],
)
def test_a_gate_fires_beyond_its_bound_where_that_is_shown(
    text: str, relative: float, low: float, high: float, fired: bool
) -> None:
    assert outcome(text, pair(relative=relative, low=low, high=high)) == (True, fired)


def test_within_the_noise_nothing_is_shown() -> None:
    assert outcome("ttft.p99>+5%", pair(relative=0.1, low=0.02, high=0.18, noise=0.12)) == (True, False)
    assert outcome("ttft.p99>+5%", pair(relative=0.1, low=0.02, high=0.18, noise=0.08)) == (True, True)


def test_a_gate_that_cannot_be_judged_fails() -> None:
    assert outcome("ttft.p99>+5%", pair(relative=0.0, low=None, high=None)) == (False, True)
    assert outcome("slo_attainment.share<-1points", pair(relative=0.0, low=-1, high=1)) == (False, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ttft.p99", "is not a gate"),
        ("ttft.p99>+5", "takes % or ms, not a bare number"),
        ("ttft.p99>+5tokens/s", "takes % or ms"),
        ("failed.share>+1%", r"takes points, not %: write it as in failed\.share>\+1points"),
        ("ttft.p99>5%", "sign"),
        ("ttft.p99>-5%", "sign"),
        ("ttft.p99<+5%", "sign"),
        ("ttft.p98>+5%", r"there is no ttft\.p98 \(did you mean ttft\.p9"),
        ("ttft.p99==+5%", "is not a gate"),
        ("", "is not a gate"),
    ],
)
def test_what_is_no_gate(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_gate(text)


def test_one_point_may_be_written_so() -> None:
    assert parse_gate("failed.share>+1point").bound == parse_gate("failed.share>+1 points").bound == 0.01


@pytest.mark.parametrize("key", MEASURES)
def test_there_is_a_gate_for_each_figure_that_is_compared(key: str) -> None:
    """Those of E2E were no gates, for the digit in their name."""
    measure = MEASURES[key]
    assert parse_gate(f"{key}>+1{'%' if measure.relative else 'points'}").measure == measure
