"""The Comparison: what differs between runs, how sure that is, and whether they may be compared at all."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from loadcell.phrases import Phrase
from loadcell.published_schema import json_schema

Doc = msgspec.Meta
FORMAT = 2
"""Version of the Comparison's JSON. 2 added pairs of requests."""
Finding = Literal["better", "worse", "no difference shown", "too little data"]


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is compared."""

    name: Annotated[str, Doc(description="A is the baseline")]
    path: str
    kind: Annotated[str, Doc(description="recording, repeats, result (a saved one) or turns (of a duel)")]
    runs: Annotated[list[str], Doc(description="ids of its runs")]
    verdict: Annotated[str, Doc(description="the worst of its runs")]
    requests: Annotated[int, Doc(description="ok requests in the window, all runs")]
    fingerprint: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The difference of one figure, B less A."""

    metric: str
    stat: str
    title: str
    unit: str
    a: float | None
    b: float | None
    difference: Annotated[float | None, Doc(description="B - A, in the unit")]
    relative: Annotated[float | None, Doc(description="B / A - 1; null for shares")]
    low: Annotated[float | None, Doc(description="95 % interval of `relative` (of `difference` for shares)")]
    high: float | None
    p: Annotated[float | None, Doc(description="two-sided p-value of no difference")]
    p_holm: Annotated[float | None, Doc(description="corrected for all tests of this comparison (Holm)")]
    noise: Annotated[float | None, Doc(description="A/A noise floor, on the scale of `low`")]
    finding: Finding
    says: Annotated[str, Doc(description="the finding in words")]
    needs: Annotated[int | None, Doc(description="requests (or runs) a side that would show the minimum effect")]
    needs_what: Annotated[str, Doc(description="requests or runs")]
    short: Annotated[
        bool, Doc(description="a side has too few samples for this figure or for an end of its interval")
    ] = False
    method: Annotated[str, Doc(description="what the interval rests on")]
    paired: Annotated[bool, Doc(description="by pairs of requests: `a` and `b` are over these alone")] = False
    freedom: Annotated[float | None, Doc(description="degrees of freedom, where the interval is Student's t")] = None
    gain: Annotated[
        float | None, Doc(description="how many times wider the interval without pairs is; null where not known")
    ] = None


class Pairing(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the requests of two sides were compared one with another."""

    requests: Annotated[int, Doc(description="pairs of requests, all runs; 0 where there are none")]
    gain: Annotated[float | None, Doc(description="the greatest gain of a change; null where not known")]
    says: Annotated[str, Doc(description="in words: what pairs gain, or why there are none")]


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """The baseline against one other side."""

    name: Annotated[str, Doc(description="the other side")]
    comparable: Literal["comparable", "comparable with care", "not comparable"]
    forbids: Annotated[list[str], Doc(description="differences that forbid a comparison")]
    care: Annotated[list[str], Doc(description="differences to have in mind")]
    notes: list[str]
    pairing: Annotated[Pairing | None, Doc(description="null where nothing was compared")] = None
    changes: Annotated[list[Change], Doc(description="empty if not comparable, unless forced")]


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """The A/A noise of one figure."""

    metric: str
    stat: str
    title: str
    unit: str
    mean: Annotated[float | None, Doc(description="over the runs; geometric but for shares")]
    deviation: Annotated[float | None, Doc(description="standard deviation between runs, as a share of the mean")]
    floor: Annotated[
        float | None, Doc(description="95th percentile of the relative difference of two runs (shares: difference)")
    ]


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """The A/A noise floor: how far two runs of the same thing differ."""

    runs: list[str]
    floors: list[Floor]
    notes: list[str]


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One bound on a difference."""

    expression: str
    side: str
    judged: Annotated[
        bool, Doc(description="false: inconclusive, or a side has no such figure at all, and then the gate fails")
    ]
    inconclusive: Annotated[
        bool, Doc(description="too few samples to tell; fails with --strict-gates only, `says` what would do")
    ] = False
    fired: bool
    says: str


class DuelShown(msgspec.Struct, frozen=True, kw_only=True):
    """The turns that a comparison rests on."""

    folder: str
    turn: Annotated[int, Doc(description="requests of a turn")]
    couples: Annotated[int, Doc(description="turns a side that are compared")]
    planned: Annotated[int, Doc(description="turns a side that were planned")]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Sides against the first of them."""

    format: int = FORMAT
    loadcell: str
    min_effect: Annotated[float, Doc(description="the least relative difference that matters")]
    min_points: Annotated[float, Doc(description="the least difference of shares that matters")]
    forced: bool
    sides: list[Side]
    pairs: list[Pair]
    noise: Noise | None
    gates: list[Gate]
    duel: Annotated[DuelShown | None, Doc(description="null where whole runs are compared")] = None
    phrases: Annotated[
        dict[str, Phrase], Doc(description="of each sentence above with values: its key and those, for other languages")
    ] = {}


def comparison_schema() -> dict[str, Any]:
    """JSON Schema of the Comparison."""
    return json_schema(Comparison, "comparison", FORMAT)
