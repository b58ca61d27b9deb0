"""The Result: the metrics of one recording, with a published JSON schema.

Latencies leave in milliseconds, spans in seconds. What could not be measured is null, never 0.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from loadcell.metrics.model_chunks import ItlByToken, Speculation, TokensPerChunk
from loadcell.phrases import Phrase
from loadcell.spec import Spec

Doc = msgspec.Meta
FORMAT = 4
"""Version of the Result's JSON."""
Word = Literal["VALID", "SUSPECT", "INVALID"]
CheckWord = Literal["VALID", "SUSPECT", "INVALID", "NOTED"]


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What the instrument allows a figure to be: the figure once more with the earliest and the latest times that the
    recording allows, in the unit of the figure. Sampling is not in it: that is the interval's."""

    low: float
    high: float


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """One percentile with its 95 % interval."""

    value: Annotated[float | None, Doc(description="null below 1 / (1 - p) samples, where it would be the maximum")] = (
        None
    )
    low: Annotated[float | None, Doc(description="lower end of the interval; null if the samples give none")] = None
    high: Annotated[float | None, Doc(description="upper end of the interval; null if the samples give none")] = None
    open: Annotated[
        bool, Doc(description="the samples are worth too few for an upper end: `low` is a one-sided 95 % bound")
    ] = False
    needs: Annotated[
        int | None,
        Doc(description="effective samples that close an open interval; without a value, samples that give one"),
    ] = None
    effective: Annotated[
        float | None, Doc(description="independent samples that the samples are worth to this percentile")
    ] = None
    bound: Annotated[
        float | None,
        Doc(description="MLPerf's early-stopping estimate: upper bound at 99 %, were all samples independent"),
    ] = None
    withheld: Annotated[str | None, Doc(description="why no value is given although the samples would do")] = None
    caveat: Annotated[
        str | None, Doc(description="why the value is of this run alone and has no interval; null if it has no such")
    ] = None
    budget: Annotated[Budget | None, Doc(description="null: the recording does not bound its times")] = None


class WithFailures(msgspec.Struct, frozen=True, kw_only=True):
    """One percentile where every failed request counts as infinitely late."""

    value: Annotated[float | None, Doc(description="null where it is infinite")]
    infinite: Annotated[bool, Doc(description="so many failed that the percentile is one of them")]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution: percentiles are nearest-rank order statistics."""

    n: Annotated[int, Doc(description="samples")]
    effective: Annotated[
        float | None, Doc(description="independent samples that these are worth; each percentile has its own")
    ] = None
    mean: float | None
    mean_interval: Annotated[Interval | None, Doc(description="of the mean; null below 20 samples")] = None
    sd: Annotated[float | None, Doc(description="standard deviation of the samples; null below 2")] = None
    min: float | None = None
    p50: Estimate
    p90: Estimate
    p95: Estimate
    p99: Estimate
    p99_9: Annotated[Estimate, Doc(description="the 99.9th percentile")]
    max: float | None
    failed: Annotated[int, Doc(description="requests that failed and have no sample")] = 0
    with_failures: Annotated[
        dict[str, WithFailures], Doc(description="percentiles with failed requests as infinite; empty without any")
    ] = {}
    mean_budget: Annotated[Budget | None, Doc(description="as that of a percentile")] = None
    sd_budget: Annotated[Budget | None, Doc(description="of the standard deviation (n - 1 in the divisor)")] = None
    max_budget: Budget | None = None


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A 95 % interval."""

    low: float
    high: float


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """One latency metric from both anchors; a metric without an anchor (ITL, TPOT) stands under `service`."""

    title: str
    unit: str
    service: Annotated[Summary, Doc(description="from the actual send")]
    response: Annotated[Summary | None, Doc(description="from the planned time; null in a closed loop")] = None


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution of the instrument's own delays."""

    n: int
    min_ms: float | None
    p50_ms: float | None
    p99_ms: Annotated[float | None, Doc(description="null below 100 samples")]
    max_ms: float | None


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A proportion with its 95 % Wilson interval, of as many trials as the dependent ones are worth."""

    value: float | None
    low: float | None
    high: float | None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Which run this is and how it ended."""

    id: str
    started_at: str
    state: Annotated[str, Doc(description="complete, interrupted, broken, or running (it never said that it ended)")]
    duration_s: Annotated[float | None, Doc(description="from the start of the load to its end")]
    loadcell: Annotated[str, Doc(description="version that recorded the run")]
    stopped: Annotated[StoppedEarly | None, Doc(description="null if it was not ended before its time")] = None
    sealed: Annotated[
        bool, Doc(description="whether the recording has checksums; false: that it is as written cannot be told")
    ] = False


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the run that counts."""

    start_s: float
    end_s: float
    reason: str


class ColdStart(msgspec.Struct, frozen=True, kw_only=True):
    """Few requests at the start of the run that were far slower than any later one, in the window or outside."""

    metric: Annotated[str, Doc(description="ttft_ms, or e2e_ms of replies that are not streamed; service time")]
    slow: Annotated[int, Doc(description="slow requests")]
    of_first: Annotated[int, Doc(description="they are among so many first ones")]
    least_ms: float
    most_ms: float
    later_most_ms: Annotated[float, Doc(description="most of all requests after these")]
    in_window: Annotated[int, Doc(description="of the slow ones: those that the figures hold")]


class Steady(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the run settled, and where its warm-up and drain lie."""

    method: Annotated[str, Doc(description="asked, found (from the data), whole (too short to find one) or chosen")]
    warmup_s: Annotated[float, Doc(description="from the start of the load to the window")]
    drain_s: Annotated[float, Doc(description="from the window to the last reply")]
    stable: Annotated[
        bool | None, Doc(description="false: the queue grows, or users are missing; null: too little to tell")
    ]
    growth_per_s: Annotated[Estimate, Doc(description="requests in flight gained a second inside the window")]
    drained_share: Annotated[
        float | None,
        Doc(
            description="ok requests of the window that ended after the load did, beside fewer and fewer others; null "
            "where that is by design, or without any"
        ),
    ] = None
    loaded_e2e: Annotated[
        float | None,
        Doc(description="closed loop: how many median E2E the full load lasted after the ramp; null for a user alone"),
    ] = None
    littles_ratio: Annotated[
        float | None, Doc(description="mean in the system over requests/s x mean time in it: 1 by Little's law")
    ] = None
    in_step: Annotated[
        float | None,
        Doc(description="closed loop of one output length: how much users send together, 0 to 1; null: not so, or few"),
    ] = None
    cold_start: Annotated[ColdStart | None, Doc(description="null: no few requests were slow at first")] = None
    says: Annotated[str, Doc(description="the finding in words")]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a latency through the window, by the medians of its requests."""

    kind: Annotated[
        str | None, Doc(description="none, trend (from end to end) or step (at one time); null: too little to tell")
    ]
    at_s: Annotated[float | None, Doc(description="a step: when, since the start of the load")]
    before_ms: Annotated[float | None, Doc(description="median before the step, or of the first fifth")]
    after_ms: Annotated[float | None, Doc(description="median after the step, or of the last fifth")]
    share: Annotated[float | None, Doc(description="after over before, less 1")]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the planned requests: planned = ok + failed + cancelled + unsent."""

    planned: int
    ok: int
    failed: int
    cancelled: int
    unsent: int


class CountsOf(msgspec.Struct, frozen=True, kw_only=True):
    """The accounting of the whole run and of the window."""

    run: Counts
    window: Counts
    beyond: Annotated[
        int,
        Doc(description="requests sent beyond the end, to keep the load on until the last counted reply; not planned"),
    ] = 0
    beyond_failed: Annotated[int, Doc(description="of these: failed")] = 0


class Throughput(msgspec.Struct, frozen=True, kw_only=True):
    """Rates of the ok requests while the load was on; null where that has no length."""

    requests_per_s: float | None
    requests_interval: Annotated[
        Interval | None, Doc(description="of requests_per_s, by batch means; null below 40 requests")
    ] = None
    output_tokens_per_s: float | None
    output_tokens_interval: Annotated[Interval | None, Doc(description="of output_tokens_per_s, likewise")] = None
    input_tokens_per_s: float | None
    total_tokens_per_s: Annotated[
        float | None, Doc(description="input and output: what endpoints are sized and billed by")
    ] = None
    inputs_per_s: Annotated[
        float | None, Doc(description="texts embedded or documents ranked; null where the API generates")
    ] = None
    inputs_interval: Annotated[Interval | None, Doc(description="of inputs_per_s, as that of requests_per_s")] = None
    images_per_s: Annotated[float | None, Doc(description="images made; null where the API makes none")] = None
    images_interval: Annotated[Interval | None, Doc(description="of images_per_s, likewise")] = None
    audio_s_per_s: Annotated[
        float | None, Doc(description="seconds of audio made; null where the API makes none, or nothing tells how long")
    ] = None
    audio_s_interval: Annotated[Interval | None, Doc(description="of audio_s_per_s, likewise")] = None
    requests_budget: Annotated[Budget | None, Doc(description="of requests_per_s")] = None
    inputs_budget: Annotated[Budget | None, Doc(description="of inputs_per_s")] = None
    images_budget: Annotated[Budget | None, Doc(description="of images_per_s")] = None
    audio_s_budget: Annotated[Budget | None, Doc(description="of audio_s_per_s")] = None
    output_tokens_budget: Annotated[Budget | None, Doc(description="of output_tokens_per_s")] = None
    input_tokens_budget: Annotated[Budget | None, Doc(description="of input_tokens_per_s")] = None
    total_tokens_budget: Annotated[Budget | None, Doc(description="of total_tokens_per_s")] = None
    failed_tokens_per_s: Annotated[
        float | None, Doc(description="output tokens that failed requests received: in none of the rates above")
    ] = None
    from_s: Annotated[float | None, Doc(description="start of the rates: of the window, or of full load, if later")] = (
        None
    )
    to_s: Annotated[float | None, Doc(description="end of the rates, likewise: if earlier")] = None
    requests_counted: Annotated[
        Literal["by life", "by end"] | None,
        Doc(
            description="by life: each by the part of its life inside; by end: those that ended inside, where a queue "
            "grows or may do so, or requests were given up"
        ),
    ] = None
    chunks_per_token: Annotated[float | None, Doc(description="events with output over output tokens, ok requests")]
    user_tokens_per_s: Annotated[
        dict[str, Estimate], Doc(description="1 / TPOT; percentiles from the slow end: p99 is what 99 % reach")
    ]


class MediaRate(msgspec.Struct, frozen=True, kw_only=True):
    """A rate of what requests carry, counted as requests/s."""

    value: float
    interval: Annotated[Interval | None, Doc(description="by batch means; null below 40 requests")] = None
    budget: Budget | None = None


class InputMedia(msgspec.Struct, frozen=True, kw_only=True):
    """Images and audio that the ok requests of the window carried, on average a request; null: none."""

    input_images: float | None
    input_megapixels: Annotated[float | None, Doc(description="of all images of a request")]
    input_audio_s: Annotated[float | None, Doc(description="seconds of audio")]
    sent_bytes: Annotated[float | None, Doc(description="of the whole request, as it was sent")]
    text_tokens: Annotated[float | None, Doc(description="planned input tokens, of the text alone; null: no text")]
    server_tokens: Annotated[float | None, Doc(description="input tokens by the server's usage, media included")]
    input_images_per_s: MediaRate | None
    input_audio_s_per_s: Annotated[MediaRate | None, Doc(description="seconds of audio taken a second")]
    input_rtf: Annotated[
        Latency | None, Doc(description="E2E over seconds of audio, where the API takes audio alone")
    ] = None


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of the SLO."""

    limit_ms: float
    met: Annotated[int | None, Doc(description="requests that kept to it; null if it cannot be judged")]
    attainment: Share
    note: str | None = None


class Goodput(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that kept to every limit, over all planned requests of the window."""

    anchor: Annotated[str, Doc(description="response (open loop) or service (closed loop)")]
    planned: int
    good: int | None
    goodput_per_s: float | None
    attainment: Share
    attainment_budget: Annotated[Budget | None, Doc(description="of attainment's value")] = None
    limits: dict[str, Limit]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of one class (an endpoint with a model), or of one address, and their figures."""

    name: str
    endpoint: str
    model: Annotated[str | None, Doc(description="null where the path alone chooses it, and of an address")] = None
    share: Annotated[float | None, Doc(description="of all requests, as asked; null of an address")] = None
    counts: CountsOf
    failures: Annotated[dict[str, int], Doc(description="failed requests of the whole run by kind, lost ones left out")]
    latency: Annotated[dict[str, Latency], Doc(description="TTFT, TPOT and E2E, as those of all requests")]
    throughput: Annotated[Throughput, Doc(description="those of the classes add up to that of all; no rate of a user")]
    goodput: Annotated[Goodput | None, Doc(description="under the class's own SLO")] = None


class Concurrency(msgspec.Struct, frozen=True, kw_only=True):
    """Requests in flight."""

    asked: int | None
    mean: Annotated[float | None, Doc(description="time-weighted, while the load was on: between ramp and drain")]
    mean_from_s: float | None
    mean_to_s: float | None
    max: int
    series_step_s: float | None
    series: Annotated[list[float], Doc(description="time-weighted mean of each step, from 0")]


class WholeRun(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the whole run, warm-up and drain included."""

    latency: dict[str, Latency]
    throughput: Throughput


class RunRates(msgspec.Struct, frozen=True, kw_only=True):
    """Rates as vLLM, SGLang and AIPerf count them: ok requests over the time from the first send to the last reply."""

    seconds: Annotated[float | None, Doc(description="from the first send to the last reply; ramp and drain are in it")]
    requests_per_s: float | None
    output_tokens_per_s: float | None
    total_tokens_per_s: Annotated[float | None, Doc(description="prompts and outputs")]


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent against what was planned, inside the window; null in a closed loop, which plans no times."""

    planned_rate: Annotated[float | None, Doc(description="planned requests/s")]
    sent_rate: Annotated[float | None, Doc(description="requests/s that were sent")]
    planned_gap_cv: Annotated[float | None, Doc(description="coefficient of variation of the planned gaps")]
    sent_gap_cv: float | None
    planned_dispersion_1s: Annotated[float | None, Doc(description="variance over mean of arrivals in each second")]
    sent_dispersion_1s: float | None
    planned_dispersion_10s: float | None
    sent_dispersion_10s: float | None
    ks_distance: Annotated[float | None, Doc(description="largest difference of the two gap distributions (KS)")]


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the stream came as it was sent, in the window's replies of two tokens or more."""

    replies: int
    together_share: Annotated[
        float | None, Doc(description="events that came together with the one before, not by the client's lateness")
    ]
    at_once_share: Annotated[
        float | None, Doc(description="replies whose output came in one burst: in one read, or as fast as it was read")
    ]
    bursts_per_reply: Annotated[float | None, Doc(description="median of the bursts in which output came")] = None
    burst_events: Annotated[float | None, Doc(description="events of a burst; median of replies")] = None
    burst_apart_ms: Annotated[
        float | None, Doc(description="time between two bursts; median of replies, null where each came at once")
    ] = None
    itl: Annotated[str | None, Doc(description="why ITL cannot be measured; null: it can")] = None
    tpot: Annotated[str | None, Doc(description="why TPOT and the user's rate cannot be measured; null: they can")] = (
        None
    )


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """Requests whose output ended for one reason."""

    requests: int
    share: float


class Replies(msgspec.Struct, frozen=True, kw_only=True):
    """What the ok replies of the window say of themselves."""

    ended_by: Annotated[dict[str, Ended], Doc(description="by the server's finish reason; the most frequent first")]
    several_outputs: Annotated[int, Doc(description="replies of several outputs (choices); the first is measured")]
    other_fields: Annotated[
        dict[str, int], Doc(description="replies with text in fields that are not known to hold output, by field")
    ]
    first_fields: Annotated[dict[str, int], Doc(description="of these: replies whose first output came in such a one")]
    without_usage: Annotated[
        dict[str, int],
        Doc(description="replies without a usage of their output, by what counts it; empty in older recordings"),
    ]
    usage_apart: Annotated[
        int | None,
        Doc(description="replies whose usage neither events nor text bear out; null in older recordings"),
    ]
    usage_tokens: Annotated[float | None, Doc(description="mean output tokens of these by usage")]
    counted_tokens: Annotated[float | None, Doc(description="and as they are counted")]
    hidden: Annotated[int, Doc(description="replies whose usage counts reasoning that is not in the stream")]
    hidden_tokens: Annotated[float | None, Doc(description="mean tokens of that reasoning")]


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """How the requests of the window travelled."""

    new: Annotated[int, Doc(description="requests on a connection of their own opening")]
    reused: int
    tcp: Annotated[Spread, Doc(description="TCP connect")]
    tls: Annotated[Spread, Doc(description="TLS handshake")]
    resets: Annotated[int, Doc(description="requests whose connection was lost or cut")]
    failed: Annotated[int | None, Doc(description="connections that could not be opened, whole run")]
    no_ports: Annotated[int | None, Doc(description="of these: no local port was left")]
    no_descriptors: Annotated[int | None, Doc(description="of these: no file descriptor was left")]
    min_rtt_ms: Annotated[
        float | None,
        Doc(description="least round trip by the kernel, else of the TCP handshake; median of connections"),
    ]
    closed_by_server: Annotated[
        int | None, Doc(description="connections that the server ended, whole run; null in older recordings")
    ] = None
    closed_after_failure: Annotated[
        int | None, Doc(description="connections that were closed for their request had failed, whole run")
    ] = None


class TokenClosure(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens counted in the stream against the server's usage, and against what was asked; ok requests."""

    compared: Annotated[int, Doc(description="requests whose events tell their tokens and that have usage")]
    difference_share: Annotated[float | None, Doc(description="|counted - usage| over usage, those requests")]
    short_share: Annotated[float | None, Doc(description="requests with fewer output tokens than asked")]
    long_share: Annotated[float | None, Doc(description="requests with more output tokens than asked")]
    prompt_ratio: Annotated[float | None, Doc(description="prompt tokens by the server over those planned")]
    cached_share: Annotated[float | None, Doc(description="prompt tokens that the server took from a cache")]
    cached_beyond_share: Annotated[
        float | None,
        Doc(description="the same without the chat template's tokens in each prompt; null where these are not known"),
    ] = None


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine did to the instrument."""

    steal_share: Annotated[float | None, Doc(description="CPU time that the hypervisor took")]
    server: Annotated[
        str | None, Doc(description="elsewhere, other cores, same cores, or this machine (cores unknown)")
    ]
    declared: Annotated[bool, Doc(description="the spec says that the server shares this machine")]
    taken_share: Annotated[
        float | None, Doc(description="the most that the load can have taken of the time of a server on this machine")
    ] = None
    taken_by: Annotated[str | None, Doc(description="what bounds it, in words")] = None
    throttled_share: Annotated[
        float | None, Doc(description="periods in which the container's quota of CPU time was used up")
    ] = None
    throttled_s: Annotated[float | None, Doc(description="time for which its processes were put aside for that")] = None


class Feeding(msgspec.Struct, frozen=True, kw_only=True):
    """The requests that were made while the load ran, by a process of the lowest priority."""

    made: Annotated[int, Doc(description="requests that it made")]
    bytes: int
    cpu_s: float
    late: Annotated[int | None, Doc(description="requests of the whole run that were not made when they were due")]
    wait_s: Annotated[float | None, Doc(description="time in which a send waited for its request to be made")]


class ServerPart(msgspec.Struct, frozen=True, kw_only=True):
    """One part of TTFT."""

    mean_ms: float | None
    p50_ms: float | None
    p99_ms: float | None
    share: Annotated[float | None, Doc(description="its mean over the mean TTFT of these requests")]


class ServerSide(msgspec.Struct, frozen=True, kw_only=True):
    """Where TTFT went, by the server's own word."""

    source: Annotated[str, Doc(description="who tells: vLLM metrics, llama.cpp timings or Prometheus")]
    requests: Annotated[int, Doc(description="requests that it tells of")]
    ttft_ms: Annotated[float | None, Doc(description="mean TTFT of these requests at the client, from the send")]
    queue: ServerPart
    prefill: ServerPart
    unattributed: Annotated[ServerPart, Doc(description="TTFT less queue and prefill: front end, network and client")]
    own_ttft_ms: Annotated[
        float | None,
        Doc(description="mean TTFT by the server's own clock, over the same requests; null: untold, or of others too"),
    ] = None
    notes: list[str] = []


class WhereTtft(msgspec.Struct, frozen=True, kw_only=True):
    """Where TTFT went, by the source that tells most; the parts add up to the client's mean TTFT of these requests."""

    source: Annotated[str, Doc(description="who tells the server's parts")]
    requests: int
    ttft_ms: float
    parts: Annotated[
        dict[str, ServerPart],
        Doc(
            description="in order, of: queue, prefill, front_end, network_and_client; a name holds several where they "
            "cannot be told apart, joined by a plus sign"
        ),
    ]


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """What the server's page gained from before the load to after it, over the whole run."""

    restarted: Annotated[bool, Doc(description="its process began anew, or its counters went down or away")]
    pool_before: Annotated[float | None, Doc(description="size of its KV cache, in its own unit")]
    pool_after: float | None
    own_requests: Annotated[int, Doc(description="requests that this run sent, beyond its end too")]
    own_inputs: Annotated[int | None, Doc(description="their inputs, where the API generates nothing")] = None
    own_output_tokens: Annotated[float | None, Doc(description="their output tokens; null if not all are known")]
    gained: Annotated[
        dict[str, float | None], Doc(description="by quantity, in one vocabulary; null: not known, as after a restart")
    ]


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A source that was watched beside the load: did it answer?"""

    name: str
    kind: Annotated[str, Doc(description="prometheus, nvml or host")]
    engine: Annotated[str | None, Doc(description="whose names it speaks: vLLM, SGLang, DCGM, ...; null: unknown ones")]
    looks: Annotated[int, Doc(description="times that it was asked while the load ran")]
    failed: Annotated[int, Doc(description="of these: without a usable answer")]
    longest_gap_s: Annotated[float | None, Doc(description="longest time without an answer; null without any")]
    says: Annotated[str | None, Doc(description="what is wrong with it, in words; null: nothing")]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One quantity of the server or its machine over the run, over all replicas that told it."""

    title: str
    unit: str
    kind: Annotated[str, Doc(description="gauge, or rate: what a counter gained a second")]
    sources: Annotated[list[str], Doc(description="names of the sources that told it")]
    mean: Annotated[float | None, Doc(description="over the window, time-weighted; null where it cannot be known")]
    min: float | None
    max: float | None
    gained: Annotated[float | None, Doc(description="counters: increase over the window; null: unknown, or a gauge")]
    t_s: Annotated[list[float], Doc(description="seconds since the start of the load, at most 400 points")]
    values: Annotated[list[float | None], Doc(description="at these times; null where nobody told it")]


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """Electrical energy of the accelerators over the window, from their power or energy counters."""

    source: str
    gpus: int
    mean_watts: float | None
    joules: float | None
    joules_per_output_token: float | None
    joules_per_request: float | None
    valid: Annotated[bool, Doc(description="false: gaps, edges or other work make it no measurement; see `says`")]
    says: Annotated[str, Doc(description="how it was measured, or why it is not valid, in words")]


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What was watched beside the load, on the same clock."""

    sources: list[Watched]
    series: Annotated[dict[str, Series], Doc(description="by name, in one vocabulary for all engines")]
    energy: Annotated[Energy | None, Doc(description="null where no source tells power or energy")]
    restarted: Annotated[list[str], Doc(description="sources whose counters started anew while the load ran")] = []
    notes: list[str] = []


class StoppedEarly(msgspec.Struct, frozen=True, kw_only=True):
    """The run was ended before its time."""

    kind: Annotated[
        str,
        Doc(
            description="saturated (the queue grew beyond doubt), decided (a test had its answer) or failures (of more "
            "requests than load.max_failures, beyond doubt)"
        ),
    ]
    at_s: float
    reason: str
    cancelled: Annotated[bool, Doc(description="what was in flight was given up")]


class Bias(msgspec.Struct, frozen=True, kw_only=True):
    """Reported less true, as a share of the truth."""

    p50: float | None
    p99: float | None
    p50_ms: float | None
    p99_ms: float | None


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """The entry of this machine's self-test that is nearest to the load of this run."""

    measured_at: str
    streams: int
    tokens_per_s: float
    workers: int
    bias: Annotated[dict[str, Bias], Doc(description="by metric: ttft, itl, e2e")]
    cpu_us_per_token: float | None
    limits_tokens_per_s: Annotated[
        dict[str, float | None], Doc(description="highest load measured within 1 %, 2 %, 5 %; null: none")
    ]
    ratio: Annotated[float | None, Doc(description="this run's tokens/s over the entry's")]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit against its limits."""

    name: str
    word: Annotated[
        CheckWord | None,
        Doc(
            description="null: could not be judged; NOTED: a symptom beyond what is usual, which judges nothing but "
            "explains a figure whose budget is too wide"
        ),
    ]
    value: float | None
    unit: str
    limit: Annotated[float | None, Doc(description="VALID up to here (or down to here, for shares to be reached)")]
    invalid_beyond: float | None
    says: Annotated[str, Doc(description="the finding in words")]
    advice: Annotated[str | None, Doc(description="what to do next")] = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The worst of the checks."""

    word: Word
    reasons: Annotated[list[str], Doc(description="what is not VALID, worst first, with figure, limit and advice")]
    checks: list[Check]


class WorkerAudit(msgspec.Struct, frozen=True, kw_only=True):
    """What one load process says of itself; null where it does not say."""

    worker: int | None
    issued: int | None
    died: str | None
    cpu_s: float | None
    reads: int | None
    reads_without_stamp: int | None
    gc_pauses: int | None
    gc_pause_max_ms: float | None
    longest_turn_ms: Annotated[float | None, Doc(description="longest time between two looks at the sockets")]
    clock_steps: int | None
    connections_opened: int | None
    busy_share: Annotated[float | None, Doc(description="of the window spent reading and sending, parsing left out")]
    core_wait_share: Annotated[float | None, Doc(description="of the load spent ready to run but without a core")]
    switches_per_s: Annotated[float | None, Doc(description="involuntary context switches a second")]
    longest_stall_ms: Annotated[
        float | None, Doc(description="longest time in the window in which it did not look at its sockets")
    ]
    mixed_reads: Annotated[
        int | None, Doc(description="HTTP/2: reads that brought bytes of several requests; null in older recordings")
    ] = None


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """The instrument's own error."""

    clock: str
    read_lag: Spread
    send_lateness: Spread
    events: Annotated[int, Doc(description="events with output, of the window's requests")]
    merged_share: Annotated[float | None, Doc(description="events that came in the same read as the one before")]
    merged_by_client_share: Annotated[float | None, Doc(description="those read more than 1 ms late")]
    backward_stamps: Annotated[int, Doc(description="events stamped before the one they follow: gap taken as 0")]
    reads: int | None
    reads_without_stamp: int | None
    cpu_us_per_token: float | None
    on_time_share: Annotated[
        float | None, Doc(description="requests sent within 1 ms, or 1 % of the median TTFT, of their time")
    ]
    longest_stall_ms: Annotated[float | None, Doc(description="the worst worker's longest stall in the window")]
    arrivals: Arrivals
    connections: Connections
    tokens: TokenClosure
    host: Host
    workers: list[WorkerAudit]
    feeding: Annotated[
        Feeding | None, Doc(description="null where every request was made before the load, as in older recordings")
    ] = None


class Failing(msgspec.Struct, frozen=True, kw_only=True):
    """A change in what fails, over the whole run."""

    since_s: Annotated[float, Doc(description="when the first request failed, of those that tell of the change")]
    share: Annotated[float, Doc(description="of the requests that ended from then on, those that failed")]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of failure, over the whole run."""

    kind: str
    count: int
    sample: str | None
    advice: str | None


class Methodology(msgspec.Struct, frozen=True, kw_only=True):
    """How the figures came to be."""

    spec: Annotated[Spec, Doc(description="everything asked for, secrets removed")]
    effective: Annotated[dict[str, Any], Doc(description="settings after defaults and negotiation")]
    fingerprint: Annotated[str, Doc(description="hash of all that must be equal for two results to be compared")]
    loop: str
    seed: int
    workers: int
    schedule_hash: Annotated[str, Doc(description="over times and lengths of the planned requests")]
    bodies_hash: Annotated[
        str | None,
        Doc(
            description="over what the bytes of the planned requests follow from; null in recordings of older versions"
        ),
    ]
    tokenizer: str
    clock: str
    core: Annotated[
        str | None, Doc(description="C or Python: the form of the hot path; null in recordings of older versions")
    ] = None
    window: Window
    token_source: Annotated[dict[str, int], Doc(description="ok requests by the source of their output count")]
    prompt_token_source: Annotated[dict[str, int], Doc(description="requests by the source of their input count")]
    percentile: str
    interval: str
    environment: dict[str, Any]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The metrics of one recording: a pure function of it."""

    format: int = FORMAT
    loadcell: Annotated[str, Doc(description="version that computed the result")]
    run: Run
    verdict: Verdict
    withheld: Annotated[
        bool, Doc(description="in results of older versions: figures were left out, the run is INVALID")
    ] = False
    invalid: Annotated[list[str], Doc(description="reasons why no figure may be trusted, found outside the audit")]
    notes: Annotated[list[str], Doc(description="what a reader must know")]
    counts: CountsOf
    steady: Steady
    change: Annotated[
        dict[str, Change],
        Doc(description="whether ttft_ms and tpot_ms (or e2e_ms) changed through the window, by metric"),
    ] = {}
    replies: Annotated[Replies | None, Doc(description="null without an ok request")] = None
    delivered: Annotated[Delivered | None, Doc(description="null without a stream to judge")] = None
    latency: Annotated[dict[str, Latency], Doc(description="by metric, in milliseconds")]
    tokens_per_chunk: Annotated[TokensPerChunk | None, Doc(description="null without a stream")] = None
    itl_by_token: Annotated[
        ItlByToken | None,
        Doc(description="where events hold several tokens: each of the k of an event has a k-th of the gap before it"),
    ] = None
    speculation: Annotated[
        list[Speculation], Doc(description="speculative decoding by the server's word; empty where it tells nothing")
    ] = []
    throughput: Throughput
    goodput: Annotated[Goodput | None, Doc(description="null without an SLO")]
    classes: Annotated[list[Group], Doc(description="of each endpoint and model; empty where there is one")] = []
    addresses: Annotated[list[Group], Doc(description="of each address of an endpoint that has several")] = []
    whole_run: Annotated[WholeRun | None, Doc(description="null where the window is the whole run")]
    run_rates: Annotated[
        RunRates | None, Doc(description="the rates of the whole run by the definition of other tools, to compare with")
    ] = None
    input_media: Annotated[InputMedia | None, Doc(description="null where requests carry no images and no audio")] = (
        None
    )
    concurrency: Concurrency
    instrument: Instrument
    server: Annotated[list[ServerSide], Doc(description="where TTFT went, by each source on the server's side")]
    bottleneck: Annotated[str | None, Doc(description="what takes most of a reply's time, in one sentence")] = None
    where_ttft: Annotated[WhereTtft | None, Doc(description="null where no server tells")] = None
    counters: Annotated[Counters | None, Doc(description="null where the server has no page of counters")] = None
    observed: Annotated[Observed | None, Doc(description="null where nothing was watched while the load ran")] = None
    calibration: Annotated[Calibration | None, Doc(description="null without a self-test of this machine")]
    errors: list[Failure]
    failing: Annotated[Failing | None, Doc(description="null where failures did not become more at some time")] = None
    methodology: Methodology
    phrases: Annotated[
        dict[str, Phrase], Doc(description="of each sentence above with values: its key and those, for other languages")
    ] = {}


def result_schema() -> dict[str, Any]:
    """JSON Schema of the Result."""
    schema = msgspec.json.schema(Result)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Loadcell result", **schema}
