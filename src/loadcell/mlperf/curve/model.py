"""The nouns of a curve over concurrency: what is declared, a point, its steady state, the curve. Plain data.

Times are seconds or milliseconds, as the names say. What nobody told or measured is None, never 0.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from loadcell.mlperf.model import FOOTNOTE, Finding
from loadcell.spec import Spec

Doc = msgspec.Meta
FORMAT = 1
"""Version of plan.json, point.json and curve.json."""
Region = Literal["low_latency", "low_concurrency", "med_concurrency", "high_concurrency", "margin", "outside"]
"""low_latency is also called ultra low; outside is beyond the margin."""
Offline = Literal["dedicated", "elected"]
Status = Literal["windowable", "insufficient_duration", "insufficient_passes", "partial_dataset"]
Word = Literal["STEADY STATE", "drifting_up", "drifting_down", "anomaly", "not found"]
Gating = Literal["Plateau", "Drifting Up", "Drifting Down"]


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A run of super-passes; both ends are counted from 0, the second is the first that is not of it."""

    super_pass_start: int
    super_pass_end: int
    super_pass_size: int
    n_samples: int
    duration_s: Annotated[
        float, Doc(description="from the issue of its first request to the issue of the next after it")
    ]


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """One figure over the super-passes: how it spreads and where it goes."""

    metric: Annotated[str, Doc(description="tpot_p50_ms, tpot_p90_ms or ttft_p90_ms")]
    gating: bool
    state: Annotated[Gating | None, Doc(description="null: too few super-passes, or it neither holds still nor drifts")]
    values: Annotated[list[float | None], Doc(description="one a super-pass")]
    variation: Annotated[
        float | None, Doc(description="coefficient of variation in the window, the noise of each value taken out")
    ] = None
    drift: Annotated[
        float | None, Doc(description="Theil-Sen slope over the whole window, as a share of the median")
    ] = None
    p_value: Annotated[float | None, Doc(description="Mann-Kendall, two sides: chance of such a trend by noise")] = None
    low: Annotated[float | None, Doc(description="least value of a super-pass")] = None
    high: Annotated[float | None, Doc(description="greatest value of a super-pass")] = None


class Steady(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a point held still, and where: what its official figures are taken from."""

    status: Annotated[
        Status | None, Doc(description="null where there were super-passes enough, but no plateau among them")
    ]
    verdict: Word
    super_passes: Annotated[float, Doc(description="requests over the size of a super-pass")]
    window: Annotated[Window | None, Doc(description="first plateau; null where there is none")]
    trends: list[Trend] = []
    says: Annotated[str, Doc(description="in words, with figures")] = ""

    @property
    def basis(self) -> Literal["window", "run"]:
        """What the official figures are of."""
        return "window" if self.status == "windowable" else "run"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a point over some of its requests."""

    duration_s: Annotated[float, Doc(description="whole run: first issue to last completion; window: issue times")]
    issued: int
    completed: int
    failed: int
    output_tokens: Annotated[int | None, Doc(description="of completed requests; null if any is unknown")]
    system_tps: Annotated[float | None, Doc(description="output tokens / duration")]
    tps_per_user: Annotated[float | None, Doc(description="1000 / p90 TPOT in ms")]
    tpot_p50_ms: float | None
    tpot_p90_ms: float | None
    ttft_p50_ms: float | None
    ttft_p90_ms: Annotated[float | None, Doc(description="from the issue to the first output of any kind")]
    tpot_samples: Annotated[
        int, Doc(description="requests that have a TPOT: streamed, with tokens after the first chunk")
    ]


class UsedSeeds(msgspec.Struct, frozen=True, kw_only=True):
    """Published seeds; null where unknown."""

    id: str | None = None
    scheduler_rng_seed: int | None = None
    sample_index_rng_seed: int | None = None
    model_seed: int | None = None


class Warmup(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent before a point was measured; null where the file does not tell."""

    duration_s: float | None = None
    requests_issued: int | None = None
    requests_completed: int | None = None
    data_source: str | None = None
    salted: bool | None = None


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """Figures that a file claims, to be compared with what follows from its counts; null where it does not."""

    duration_s: float | None = None
    output_tokens: float | None = None
    system_tps: float | None = None
    tpot_p90_ms: float | None = None
    tps_per_user: float | None = None


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a curve, of our own runs or of files. Every rule says what it cannot judge for want of a field."""

    where: Annotated[str | None, Doc(description="folder of the point")] = None
    concurrency: int | None = None
    region: Annotated[str | None, Doc(description="as the file states it, or as computed")] = None
    c_max: int | None = None
    c_min_override: int | None = None
    offline: Annotated[Offline | None, Doc(description="what this point is to the Offline requirement")] = None
    agentic: bool = False
    load_pattern: str | None = None
    model: str | None = None
    dataset: str | None = None
    dataset_size: int | None = None
    min_duration_s: Annotated[float | None, Doc(description="as configured")] = None
    issue_span_s: Annotated[float | None, Doc(description="from the first to the last issue")] = None
    duration_s: Annotated[float | None, Doc(description="first issue to last completion")] = None
    issued: int | None = None
    completed: int | None = None
    failed: int | None = None
    output_tokens: int | None = None
    system_tps: Annotated[float | None, Doc(description="of the official basis")] = None
    tps_per_user: float | None = None
    tpot_p90_ms: float | None = None
    ttft_p90_ms: float | None = None
    steady: Steady | None = None
    steady_basis: Annotated[Literal["window", "run"] | None, Doc(description="what the figures were taken from")] = None
    stated: Stated | None = None
    warmup: Warmup | None = None
    seeds: UsedSeeds | None = None
    target_cohort: str | None = None
    accuracy_passed: Annotated[bool | None, Doc(description="null: no accuracy run at this point")] = None
    accuracy_samples: int | None = None
    has_summary: Annotated[bool | None, Doc(description="files: result_summary.json is there")] = None
    dirname_concurrency: Annotated[int | None, Doc(description="files: C of the folder r<C>")] = None


class Regions(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds, both inclusive; a start above its end is an empty region."""

    c_max: int
    c_min: int
    low_latency: tuple[int, int]
    low_concurrency: tuple[int, int]
    med_concurrency: tuple[int, int]
    high_concurrency: tuple[int, int]
    margin: tuple[int, int]


class PeakStage(msgspec.Struct, frozen=True, kw_only=True):
    """A short closed loop of the search for C_max, or a probe of the rate."""

    concurrency: int
    requests_per_s: float | None
    system_tps: float | None
    low: Annotated[float | None, Doc(description="95 % interval of system_tps")] = None
    high: float | None = None
    failed_share: float | None = None


class Peak(msgspec.Struct, frozen=True, kw_only=True):
    """How C_max was come by."""

    c_max: int
    found: Annotated[int | None, Doc(description="concurrency of the highest throughput; null where C_max was given")]
    stages: list[PeakStage] = []
    says: Annotated[list[str], Doc(description="how, what it rests on and what may be wrong with it")] = []


class PlannedPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A point that is to be run."""

    folder: str
    concurrency: int
    region: Region
    offline: Offline | None = None
    min_duration_s: float
    eta_s: Annotated[float | None, Doc(description="expected time; null where no rate is known")] = None
    requests: Annotated[int | None, Doc(description="whole passes over the data set, by the expected rate")] = None


class CurvePlan(msgspec.Struct, frozen=True, kw_only=True):
    """plan.json: what a curve is to be. Written once; a resumed one must have the same."""

    format: int = FORMAT
    loadcell: str
    round: str
    benchmark: str
    model: str
    dataset: str
    dataset_size: Annotated[int, Doc(description="samples of the official data set")]
    dataset_sha256: str
    look_alike: bool
    samples: Annotated[int, Doc(description="samples of the data set that are used: one pass")]
    quick: bool
    shortened: Annotated[list[str], Doc(description="in what it is smaller than the rules ask, in words")] = []
    peak: Peak
    c_min_override: int | None = None
    offline: Offline
    regions: Regions
    points: list[PlannedPoint]
    uncovered: Annotated[list[str], Doc(description="regions that no point can be in, and why")] = []
    seeds: UsedSeeds
    target_cohort: str | None = None
    max_output_tokens: int | None = None
    spec: Annotated[Spec, Doc(description="of the points, secrets removed")]


class PointRun(msgspec.Struct, frozen=True, kw_only=True):
    """point.json: a point that was run."""

    format: int = FORMAT
    planned: PlannedPoint
    point: CurvePoint
    run: Annotated[Figures, Doc(description="the whole run")]
    window: Annotated[Figures | None, Doc(description="the steady window; null where there is none")]
    state: Annotated[str, Doc(description="of the recording: complete, interrupted, broken")]
    instrument: Annotated[str, Doc(description="verdict of the recording's own audit")]
    instrument_reasons: list[str] = []
    started_at: str = ""
    notes: list[str] = []


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """curve.json: the points, what the rules find, and which points none dominates."""

    format: int = FORMAT
    loadcell: str
    verified: Literal[False] = False
    footnote: str = FOOTNOTE
    plan: CurvePlan
    points: list[PointRun]
    steps: Annotated[
        list[int], Doc(description="positions of the points that none beats in both figures, by rising tps_per_user")
    ]
    findings: list[Finding]
    complete: Annotated[bool, Doc(description="every planned point was run")]
