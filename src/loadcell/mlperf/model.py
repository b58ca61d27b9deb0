"""The nouns of the MLPerf room: the rules of a benchmark, what a run scored, what a rule found, the outcome.

Times are integer nanoseconds, limits milliseconds, spans of rules seconds, as their names say. Missing is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.spec import Seeds, Spec

Doc = msgspec.Meta
FORMAT = 1
"""Version of mlperf.json and outcome.json."""
Scenario = Literal["offline", "server", "interactive", "singlestream", "multistream"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
"""As people type them. Interactive is LoadGen's Server with tighter limits."""
OFFICIAL: dict[Scenario, str] = {
    "offline": "Offline",
    "server": "Server",
    "interactive": "Interactive",
    "singlestream": "SingleStream",
    "multistream": "MultiStream",
}
"""As folders name them."""
LOADGEN_SCENARIO: dict[Scenario, str] = {**OFFICIAL, "interactive": "Server"}
"""As LoadGen calls them."""
Of = Literal["ttft", "tpot", "latency"]
TITLES: dict[Of, str] = {"ttft": "TTFT", "tpot": "TPOT", "latency": "latency"}
"""What limits are of."""
MS = 1_000_000
UNVERIFIED = "not verified by MLCommons"
"""Stands beside every score."""
FOOTNOTE = (
    "Unverified: this score was not reviewed by MLCommons Association and is no MLPerf result. MLPerf is a trademark "
    "of MLCommons Association. Method and software differ from those of published results."
)


# --- rules: what a round asks ---------------------------------------------------------------------------------------


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One bound of the accuracy gate."""

    metric: Annotated[str, Doc(description="as the checker names it: ROUGE1, exact_match, TOKENS_PER_SAMPLE, ...")]
    op: Literal[">=", "<="]
    reference: float
    factor: float
    threshold: Annotated[float, Doc(description="reference times factor")]

    def holds(self, score: float, threshold: float | None = None) -> bool:
        """Whether a score keeps to the bound, or to that of a part of the data set."""
        bound = self.threshold if threshold is None else threshold
        return score >= bound if self.op == ">=" else score <= bound


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one benchmark in one scenario of one round, as its checker enforces them."""

    round: Annotated[str, Doc(description="as in v6.1")]
    benchmark: Annotated[str, Doc(description="as in llama3.1-8b")]
    scenario: Scenario
    task: str
    model: Annotated[str, Doc(description="model of the closed division")]
    dataset: str
    suites: Annotated[dict[str, str], Doc(description="suite (datacenter, edge) to how far it asks for the scenario")]
    seeds: Seeds
    dataset_size: int
    performance_sample_count: int
    accuracy_sample_count: int
    equal_issue: Annotated[bool, Doc(description="whole passes: every sample is sent equally often")]
    min_duration_s: float
    min_queries: Annotated[int, Doc(description="queries at least; what early stopping needs comes on top")]
    samples_per_query: int = 1
    offline_min_samples: int | None = None
    token_latencies: Annotated[bool, Doc(description="limits on TTFT and TPOT instead of on the whole latency")]
    percentile: Annotated[float | None, Doc(description="share that the limits hold at; null in offline")] = None
    ttft_ms: float | None = None
    tpot_ms: float | None = None
    latency_ms: float | None = None
    max_input_tokens: int | None = None
    min_output_tokens: int | None = None
    max_output_tokens: int | None = None
    max_output_tokens_accuracy: int | None = None
    sampling: Annotated[dict[str, Any], Doc(description="request fields of the decoding, as in temperature")] = {}
    max_cached_share: Annotated[
        float | None, Doc(description="prompt tokens from a cache of other queries at most; null: reuse is allowed")
    ] = None
    result_key: Annotated[str, Doc(description="key of the headline in LoadGen's detail log")]
    unit: str
    inferred_tokens_per_sample: Annotated[
        float | None, Doc(description="tokens/s are completed samples/s times this; null: tokens are counted")
    ] = None
    gates: list[Gate] = []
    compliance_tests: list[str] = []
    notes: Annotated[list[str], Doc(description="where sources disagree, and what was chosen, in words")] = []


# --- queries: what a run did, as LoadGen would see it ----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Queries:
    """One row a sample, in issue order; times in ns since the start of the load.

    `query` numbers the queries (of 1 sample, of 8 in multistream). A failed row has ok False; its end is the end of the
    attempt. `first_ns` is NaN where no first token was seen, `tokens` NaN where the count is unknown.
    """

    query: NDArray[np.int64]
    sample: NDArray[np.int64]
    scheduled_ns: NDArray[np.int64]
    issued_ns: NDArray[np.int64]
    first_ns: NDArray[np.float64]
    end_ns: NDArray[np.int64]
    tokens: NDArray[np.float64]
    ok: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.query)


# --- score ----------------------------------------------------------------------------------------------------------


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of one latency as LoadGen defines them: percentile p is sorted[floor(n p)], the mean is truncated."""

    n: int
    min_ns: int
    max_ns: int
    mean_ns: int
    percentiles_ns: Annotated[dict[str, int], Doc(description="by 50.00, 90.00, 95.00, 97.00, 99.00, 99.90")]


class EarlyStopping(msgspec.Struct, frozen=True, kw_only=True):
    """What the queries of a run prove about one percentile, with a confidence of 99 %."""

    of: Of
    percentile: float
    limit_ns: Annotated[int | None, Doc(description="null: an estimate is asked for instead of an answer")]
    n: int
    over: Annotated[int | None, Doc(description="samples beyond the limit")]
    needed: Annotated[int, Doc(description="samples that would prove the limit with so many beyond it")]
    met: bool
    more: Annotated[int, Doc(description="samples still needed if all of them are in time; 0 when met")]
    estimate_ns: Annotated[int | None, Doc(description="single- and multistream: bound of the percentile")] = None
    discarded: int | None = None


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one performance run. Both windows of throughput have names of their own."""

    queries: int
    samples: int
    failed: int
    tokens: Annotated[int | None, Doc(description="output tokens of completed samples; null if any is unknown")]
    latency: Block | None
    query_latency: Annotated[
        Block | None, Doc(description="multistream: of queries, each as slow as its slowest sample")
    ] = None
    ttft: Block | None
    tpot: Annotated[Block | None, Doc(description="replies of one token have none, and their token counts")]
    last_scheduled_ns: int | None
    last_issued_ns: Annotated[int | None, Doc(description="when the last query was sent")] = None
    last_issued_done_ns: Annotated[int | None, Doc(description="completion of the query that was issued last")]
    end_ns: Annotated[int | None, Doc(description="last completion of any query")]
    tokens_per_s_loadgen: Annotated[float | None, Doc(description="all tokens / completion of the last-issued query")]
    tokens_per_s_run: Annotated[float | None, Doc(description="all tokens / last completion of any query")]
    samples_per_s_loadgen: Annotated[float | None, Doc(description="(n - 1) / completion of the last-issued query")]
    samples_per_s_run: Annotated[float | None, Doc(description="n / last completion of any query")]
    scheduled_samples_per_s: Annotated[float | None, Doc(description="(n - 1) / last scheduled time; server only")]
    early_stopping: list[EarlyStopping] = []
    headline: Annotated[float | None, Doc(description="the figure that the scenario is compared by")]
    headline_name: Annotated[str, Doc(description="field or words that say which figure it is")]
    headline_unit: str


# --- findings and outcome -------------------------------------------------------------------------------------------


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule found, in a run or in a folder."""

    rule: Annotated[str, Doc(description="short name; the official one where there is one")]
    ok: Annotated[bool | None, Doc(description="null: could not be judged; counts as failed where the rule must hold")]
    says: Annotated[str, Doc(description="the finding in words, with both figures")]
    advice: Annotated[str | None, Doc(description="what to change")] = None
    where: Annotated[str | None, Doc(description="file or folder that it is about")] = None


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """mlperf.json: what a run is to do; a resumed run must have the same. `rules` are those that it is judged by."""

    format: int = FORMAT
    loadcell: str
    rules: Rules
    quick: Annotated[bool, Doc(description="smaller than the rules ask; not comparable with anything")] = False
    shortened: Annotated[list[str], Doc(description="in what it is smaller, in words")] = []
    target_qps: Annotated[float | None, Doc(description="server, interactive: samples per second asked for")] = None
    expected_qps: Annotated[float | None, Doc(description="offline, streams: guess that sizes the run")] = None
    find_peak: Annotated[bool, Doc(description="the rate is searched for; target_qps is null until it is found")] = (
        False
    )
    peak_bounds: Annotated[
        tuple[float, float] | None, Doc(description="lowest and highest rate that the search may try")
    ] = None
    history: Annotated[list[str], Doc(description="runs that this one replaced, with the reason, in words")] = []
    samples: Annotated[int, Doc(description="samples of the data set that are used")]
    queries: Annotated[int | None, Doc(description="queries planned; null where a time ends the run")]
    dataset: Annotated[str, Doc(description="name or file of the data set")]
    dataset_path: Annotated[str | None, Doc(description="file that was read; null: part of Loadcell")] = None
    dataset_sha256: str
    look_alike: Annotated[bool, Doc(description="invented samples, good for trying out alone")] = False
    eta_s: Annotated[float | None, Doc(description="expected time of the load")] = None
    spec: Annotated[Spec, Doc(description="of the performance run, secrets removed")]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """outcome.json: what a performance run is worth by the rules."""

    format: int = FORMAT
    loadcell: str
    verified: Literal[False] = False
    footnote: str = FOOTNOTE
    plan: RunPlan
    state: Annotated[str, Doc(description="of the recording: complete, interrupted, broken")]
    verdict: Literal["VALID", "INVALID"]
    score: Score
    findings: Annotated[list[Finding], Doc(description="every rule, failed ones first")]
    instrument: Annotated[str, Doc(description="verdict of the recording's own audit: VALID, SUSPECT, INVALID")]
    instrument_reasons: list[str] = []
    started_at: str


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """accuracy.json: what the replies of an accuracy pass are worth by the benchmark's own metric."""

    format: int = FORMAT
    loadcell: str
    verified: Literal[False] = False
    footnote: str = FOOTNOTE
    round: str
    benchmark: str
    scenario: Scenario
    look_alike: bool
    samples: Annotated[int, Doc(description="samples of the data set")]
    scored: int
    empty: Annotated[int, Doc(description="replies without text; they count as wrong")]
    missing: Annotated[int, Doc(description="samples without a reply")]
    scores: Annotated[dict[str, float | None], Doc(description="by metric as the checker names it; null: unknown")]
    subsets: dict[str, float] = {}
    tokens_per_sample: float | None = None
    passed: bool
    findings: list[Finding]


# --- what the genuine LoadGen ran ------------------------------------------------------------------------------------


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """How late something was done, in microseconds."""

    p50_us: float
    p99_us: float
    max_us: float


class Driven(msgspec.Struct, frozen=True, kw_only=True):
    """loadcell.json: what lies beside the logs of the genuine LoadGen, and what we saw of the same run ourselves."""

    format: int = FORMAT
    loadcell: str
    loadgen: Annotated[str, Doc(description="version of the package mlcommons-loadgen that made the load")]
    verified: Literal[False] = False
    footnote: str = FOOTNOTE
    mode: Literal["performance", "accuracy"]
    plan: RunPlan
    settings: Annotated[dict[str, Any], Doc(description="LoadGen's settings, as they were set")]
    started_at: str
    state: Annotated[str, Doc(description="complete, interrupted, died (LoadGen's process) or gave-up (the endpoint)")]
    verdict: Annotated[
        Literal["VALID", "INVALID"], Doc(description="INVALID too where LoadGen does not see it: failed requests")
    ]
    findings: list[Finding]
    score: Annotated[Score | None, Doc(description="the same run by our own stamps, at the sockets")]
    delays: Annotated[
        dict[str, Delay],
        Doc(description="send after issue; LoadGen told after the first token, or the end, came; issue after schedule"),
    ]
    failures: Annotated[dict[str, int], Doc(description="requests that failed, by kind; LoadGen takes them for done")]
    errors: Annotated[dict[str, str], Doc(description="by kind, what the first of them said")]
    token_sources: Annotated[dict[str, int], Doc(description="where token counts come from: usage, stream, ids, ...")]
    id_sources: Annotated[
        dict[str, int],
        Doc(description="accuracy: whose token ids LoadGen got: server, or tokenizer (inexact, from the text)"),
    ]
    tokenizer: str
    endpoint: Annotated[list[str], Doc(description="what was noticed before the load")]
