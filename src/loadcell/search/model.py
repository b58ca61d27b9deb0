"""A sweep: stages of rising load, what each showed, and what they say together. With a published JSON schema.

Latencies leave in milliseconds, spans in seconds. What could not be measured is null, never 0.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from loadcell.metrics.model import Energy, Estimate, Goodput, Interval, Share, Word
from loadcell.phrases import Phrase, phrase
from loadcell.spec import Spec

Doc = msgspec.Meta
FORMAT = 1
"""Version of the sweep's JSON."""
Axis = Literal["load.rate", "load.concurrency"]
"""Spec field that a sweep or a search varies: requests/s of an open loop, or users of a closed one."""
Ending = Literal["bracketed", "likely", "none holds", "all hold", "undecided", "unfinished"]
"""How a search ended."""
Answer = Literal["pass", "fail", "undecided"]
"""Of a stage of a search: the SLO's attainment is above, below, or too near to its target to tell in the time given."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """sweep.json: what a sweep is to do. Written once, before its first stage; a resumed sweep must have the same."""

    format: int = FORMAT
    loadcell: Annotated[str, Doc(description="version that began the sweep")]
    mode: Annotated[Literal["grid", "search"], Doc(description="stages given beforehand, or found one by one")]
    axis: Annotated[str | None, Doc(description="spec field that varies; null: several, or another than a load")]
    stages: Annotated[list[dict[str, Any]], Doc(description="grid: spec fields of each stage, by dotted path")] = []
    target: Annotated[float | None, Doc(description="search: share of requests that must keep to every limit")] = None
    lowest: Annotated[float | None, Doc(description="search: no load below this is tried")] = None
    highest: Annotated[float | None, Doc(description="search: no load above this is tried")] = None
    width: Annotated[float, Doc(description="search: highest fail over highest pass, less 1, at most")] = 0.05
    most_s: Annotated[
        float | None, Doc(description="search: seconds it may take, all stages together; null: until it is done")
    ] = None
    stage_s: Annotated[
        float | None,
        Doc(description="grid: length of a stage; search: longest; null: as long as the floor shows to be needed"),
    ]
    seed: int
    spec: Annotated[Spec, Doc(description="what stages vary, secrets removed")]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """stage.json: one stage as asked."""

    number: Annotated[int, Doc(description="from 1, in the order of the stages; names its folder")]
    phase: Annotated[
        Literal["grid", "floor", "ramp", "bisect", "measure", "confirm"],
        Doc(
            description="grid: given; floor: one user alone; ramp: rising quickly; bisect; measure: how near the "
            "requests come to their limit, beside where it is likely; confirm: a boundary again"
        ),
    ]
    changes: Annotated[dict[str, Any], Doc(description="spec fields by dotted path, as in load.rate")]
    level: Annotated[float | None, Doc(description="its load on the axis; null without an axis")]
    least_requests: Annotated[int, Doc(description="search: requests judged before any answer, warm-up left out")] = 0
    together: Annotated[
        float, Doc(description="search: requests that count as one at least: those in flight at once")
    ] = 1.0
    warmup_s: Annotated[float | None, Doc(description="seconds at the start that do not count; null: found later")] = (
        None
    )
    stops: Annotated[bool, Doc(description="end the stage once it is decided, or its queue grows")] = True


class Margin(msgspec.Struct, frozen=True, kw_only=True):
    """How near the requests of a stage came to their limit, at the share that is asked."""

    value: Annotated[float, Doc(description="natural logarithm of the worst figure over its limit; below 0: it holds")]
    error: Annotated[float, Doc(description="its standard error")]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage of a search says about the SLO."""

    answer: Answer
    judged: Annotated[int, Doc(description="requests judged in the order of their plan, warm-up left out")]
    missed: Annotated[int, Doc(description="of these: beyond a limit, failed, or overdue")]
    attainment: Share
    pass_evidence: Annotated[float, Doc(description="log10 of the evidence against an attainment below the target")]
    fail_evidence: Annotated[float, Doc(description="log10 of the evidence against an attainment above the target")]
    dependence: Annotated[float, Doc(description="requests that count as one, since misses come in runs (>= 1)")]
    stable: Annotated[bool | None, Doc(description="false: the queue grows; null: too little to tell")]
    binding: Annotated[str | None, Doc(description="limit missed most often: by its field, as ttft_ms, or failures")]
    margin: Annotated[Margin | None, Doc(description="null: too few requests, or a queue that grows")] = None
    cut_out: Annotated[int, Doc(description="requests left out, for a stall of the client lay in their time")] = 0
    sound: Annotated[bool, Doc(description="false: the client itself was in trouble, so the stage is run again")] = True
    says: Annotated[str, Doc(description="the finding in words")]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one stage; more stand in the result of its recording."""

    verdict: Word
    reasons: list[str]
    stable: bool | None
    requests: Annotated[int, Doc(description="planned in the window")]
    failed_share: float | None
    concurrency: Annotated[float | None, Doc(description="mean in flight")]
    requests_per_s: float | None
    output_tokens_per_s: float | None
    output_tokens_interval: Interval | None
    inputs_per_s: Annotated[float | None, Doc(description="of an API that generates nothing")] = None
    images_per_s: Annotated[float | None, Doc(description="of one that makes images")] = None
    audio_s_per_s: Annotated[float | None, Doc(description="seconds of audio, of one that makes audio")] = None
    tokens_per_s_per_gpu: Annotated[float | None, Doc(description="null where the number of GPUs is not given")]
    tokens_per_s_per_user: Annotated[float | None, Doc(description="1 / median TPOT")]
    ttft_ms: Annotated[dict[str, Estimate], Doc(description="p50, p90, p99; response time in an open loop")]
    tpot_ms: dict[str, Estimate]
    itl_ms: dict[str, Estimate]
    e2e_ms: dict[str, Estimate]
    first_audio_ms: Annotated[dict[str, Estimate], Doc(description="empty where the API makes no audio")] = {}
    e2e_mean_ms: Annotated[float | None, Doc(description="mean; there even where no percentile is estimable")] = None
    goodput: Goodput | None
    server: Annotated[dict[str, float | None], Doc(description="mean of each watched series over the window")] = {}
    energy: Energy | None = None


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One stage as asked, as it ended and what it showed."""

    ask: Ask
    folder: Annotated[str, Doc(description="its recording, relative to the sweep's folder")]
    state: Annotated[str, Doc(description="as a recording's: complete, interrupted, broken or running")]
    ended: Annotated[str | None, Doc(description="why it ended before its time, in words")]
    took_s: Annotated[float | None, Doc(description="its load, from the first send to the last reply")]
    started_at: str
    point: Annotated[Point | None, Doc(description="null where no figure can be had")]
    trial: Annotated[Trial | None, Doc(description="null in a grid")] = None


class End(msgspec.Struct, frozen=True, kw_only=True):
    """One end of the bracket."""

    level: float
    stages: Annotated[list[int], Doc(description="numbers of the stages at this load")]
    judged: int
    attainment: Annotated[Share, Doc(description="over all these stages")]
    goodput_per_s: float | None
    binding: Annotated[str | None, Doc(description="limit missed most often: by its field, as ttft_ms, or failures")]


class Stable(msgspec.Struct, frozen=True, kw_only=True):
    """The highest load whose queue stays bounded; not the same as the SLO's."""

    low: Annotated[float | None, Doc(description="highest load seen stable, no unstable one below")]
    high: Annotated[float | None, Doc(description="lowest load seen with a growing queue")]
    served_per_s: Annotated[float | None, Doc(description="requests/s completed while a queue stood: what it carries")]


class Likely(msgspec.Struct, frozen=True, kw_only=True):
    """Where the limit is, by how near the requests of all stages came to theirs."""

    level: Annotated[float | None, Doc(description="load at which the line of margins crosses the limit")]
    low: Annotated[float | None, Doc(description="the limit is likely not below")]
    high: Annotated[float | None, Doc(description="the limit is likely not above")]
    confidence: Annotated[float, Doc(description="of the interval from low to high")]
    stages: Annotated[list[int], Doc(description="numbers of the stages whose margins were fitted")]
    more_s: Annotated[
        float | None, Doc(description="further seconds that would make it as narrow as was asked; null: not known")
    ] = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a search."""

    word: Annotated[
        Ending,
        Doc(
            description="bracketed; likely between two loads as near as was asked; no load held the SLO; the highest "
            "allowed load held it; noise or instability kept "
            "the bracket wide; or the search did not end"
        ),
    ]
    target: float
    low: Annotated[End | None, Doc(description="highest load that holds the SLO with no failing one below")]
    high: Annotated[End | None, Doc(description="lowest load that does not hold it")]
    width: Annotated[float | None, Doc(description="high over low, less 1; of the likely one where that is narrower")]
    cliff: Annotated[
        bool, Doc(description="attainment collapses inside the bracket: no value between is to be read off")
    ]
    binding: Annotated[str | None, Doc(description="limit that breaks first: by its field, as ttft_ms, or failures")]
    stable: Stable
    floor_ms: Annotated[
        dict[str, float | None],
        Doc(description="medians of one user alone: ttft_ms, tpot_ms, e2e_ms (its mean where it has no median)"),
    ]
    findings: Annotated[
        list[str], Doc(description="what a reader must know, in words; instability of the server first")
    ]
    says: Annotated[str, Doc(description="the answer in words")]
    took_s: Annotated[float, Doc(description="time of the loads of all stages, summed")]
    likely: Annotated[Likely | None, Doc(description="null where no stage tells, or no load holds")] = None


class Knee(msgspec.Struct, frozen=True, kw_only=True):
    """Where a curve bends, by a named method. An illustration: it moves with the range of the sweep."""

    method: str
    curve: Annotated[str, Doc(description="what bends: figure against load")]
    level: float | None
    stage: int | None
    says: str


class Scalability(msgspec.Struct, frozen=True, kw_only=True):
    """Gunther's Universal Scalability Law X(N) = g N / (1 + s (N-1) + k N (N-1)), fitted. Explains, never decides."""

    figure: Annotated[str, Doc(description="X: output tokens/s or requests/s; N: mean requests in flight")]
    gamma: float | None
    sigma: Annotated[float | None, Doc(description="contention")]
    kappa: Annotated[float | None, Doc(description="coherency")]
    peak: Annotated[float | None, Doc(description="N at the peak: sqrt((1 - s) / k); null where there is none")]
    r_squared: float | None
    stages: Annotated[list[int], Doc(description="stages fitted")]
    says: str


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """What the stages say together."""

    pareto: Annotated[
        list[int], Doc(description="stages that none beats in both tokens/s a user and tokens/s (a GPU) in total")
    ]
    knees: list[Knee]
    scalability: Scalability | None


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep or a search: a pure function of its folder."""

    format: int = FORMAT
    loadcell: Annotated[str, Doc(description="version that computed this")]
    plan: Plan
    planned: Annotated[int | None, Doc(description="stages that a grid was to have; null in a search")]
    stages: list[Stage]
    found: Annotated[Found | None, Doc(description="null in a grid")]
    curves: Curves
    findings: Annotated[list[str], Doc(description="what a reader must know of the sweep as a whole, in words")]
    took_s: float | None
    imported: Annotated[str | None, Doc(description="the tool that measured these runs, if another than loadcell")] = (
        None
    )
    phrases: Annotated[
        dict[str, Phrase], Doc(description="of each sentence above with values: its key and those, for other languages")
    ] = {}


def load_figure(level: float) -> str:
    """A load without its unit: 4 digits, as in 41.23, 12.5 or 1,024."""
    return f"{level:,.4g}" if abs(level) < 9999.5 else f"{level:,.0f}"


def load_words(plan: Plan, level: float) -> str:
    """A load in words, as in "12.5 requests/s" or "1 user"; without a unit where several fields make it."""
    key = {"load.rate": phrase("{} requests/s"), "load.concurrency": phrase("{} users")}.get(str(plan.axis), "{}")
    return phrase(key, load_figure(level))


def sweep_schema() -> dict[str, Any]:
    """JSON Schema of the Sweep."""
    schema = msgspec.json.schema(Sweep)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Loadcell sweep", **schema}
