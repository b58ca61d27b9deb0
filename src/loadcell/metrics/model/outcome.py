"""What a run achieved: rates, goodput, concurrency, replies."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from loadcell.metrics.model.course import CountsOf
from loadcell.metrics.model.estimates import Budget, Estimate, Interval, Latency, Share

Doc = msgspec.Meta


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
    told: Annotated[
        list[str] | None,
        Doc(description="imported: rates above that are another tool's figures, by its definitions; null of our own"),
    ] = None


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
    max: Annotated[int | None, Doc(description="null: imported, without a common clock")]
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
        Doc(
            description="the same without the chat template's tokens in each prompt, and without those that prompts "
            "share by plan; null where the template's are not known"
        ),
    ] = None
