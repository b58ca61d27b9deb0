"""What each tool means by its words: the table that `figures` computes by.

Sources are the tools' own code in the versions named, read in November 2026; most were seen running, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from loadcell.phrases import phrase

Start = Literal["due", "send", "call", "fresh"]
"""due: planned, or ready to go; send: first byte on a ready connection; call: before the HTTP library opens one if it
has to; fresh: the same, and it opens one for each request."""
First = Literal["output", "choices", "answer"]
"""First event with any output; with a choice, were it empty or a role alone; with visible text."""
End = Literal["output", "choices", "stream"]
"""Last event with output; with a choice, the finish event among them; end of the stream."""
Count = Literal["ours", "usage", "text", "asked", "events", "choices"]
"""Sources of output tokens, in the order in which a tool takes them."""
Percentile = Literal["rank", "linear", "lower", "floor", "step"]
"""rank: ours, ceil(p n); linear: between samples; lower: floor(p (n - 1)); floor: sorted[floor(n p)]; step: the first
value at which the weighted distribution reaches p."""
Window = Literal["load", "valid", "attempts", "last_issued"]
"""load: start of the load to the end of the last attempt; valid: first send to last output of successes; attempts: of
all; last_issued: start to the end of the request issued last."""


class Rules(NamedTuple):
    """How a request becomes numbers."""

    start: Start = "due"
    first: First = "output"
    end: End = "output"
    gaps: First = "output"
    """Events between which gaps are."""
    tokens: tuple[Count, ...] = ("ours",)
    percentile: Percentile = "rank"
    ddof: int = 1
    """Of the standard deviation: 1 of a sample, 0 of a population."""
    takes: frozenset[str] = frozenset()
    """Kinds of failures that count as successes if any output came."""
    takes_empty: frozenset[str] = frozenset()
    """Those that do without any output."""
    zero_ttft: bool = False
    """Whether such a one has a TTFT of 0."""
    least: int = 0
    """Tokens of a reply below which it is dropped."""
    weighted: bool = False
    """Whether a request weighs as much as it has tokens."""
    formula: str = ""


class Dist(NamedTuple):
    """A distribution in a tool's result."""

    stem: str
    """In its keys."""
    formula: str
    """One of `figures.FORMULAS`."""
    metric: str | None
    """Ours: of the glossary; None where there is none."""
    unit: str = "ms"
    stats: Mapping[str, str | float] | None = None
    """Words of its statistics, if not the tool's usual ones: mean, std, min, max, sum, count, or the percentile."""
    changes: Mapping[str, object] = {}
    """Rules that differ for this one."""


class Definition(NamedTuple):
    """One tool."""

    title: str
    version: str
    rules: Rules
    key: str
    """Of a statistic of a distribution, with {stem} and {stat}."""
    stats: Mapping[str, str | float]
    dists: tuple[Dist, ...]
    scalars: Mapping[str, str]
    """Single figures by key: what `figures.SCALARS` computes."""
    window: Window
    api: Mapping[str, Mapping[str, object]] = {}
    """Rules that differ for an API."""
    local_input: bool = False
    """Whether it counts prompts itself where the server tells how many tokens they have."""
    good: tuple[str, str] = ("ttft", "after_first")
    """Formulas of TTFT and of the time per token that its goodput goes by."""
    strict: bool = False
    """Whether a reply that does not show one of these is a miss; else one of a token has a time per token of 0."""
    notes: tuple[str, ...] = ()
    """What to know."""
    lacks: tuple[str, ...] = ()
    """What no recording can show of it, but those of its own loads."""


_CUT = frozenset({"cut", "gave_up"})
_SAID = _CUT | {"stream_error", "invalid_json", "empty"}
"""An error inside a 200 stream, and a stream that stops."""
_BROKEN = frozenset({"reset", "timeout", "protocol", "connect", "lost", "unknown", "http", "html"})


def _p(word: str, *percent: float) -> dict[str, str | float]:
    return {word.format(f"{p:g}"): p for p in percent}


_VLLM_STATS: dict[str, str | float] = {
    "mean": "mean", "median": 50.0, "std": "std", **_p("p{}", 25, 50, 75, 90, 95, 99, 99.9),
}  # fmt: skip
_AIPERF_STATS: dict[str, str | float] = {
    "avg": "mean", **_p("p{}", 1, 5, 10, 25, 50, 75, 90, 95, 99), "min": "min", "max": "max", "std": "std",
    "count": "count", "sum": "sum",
}  # fmt: skip
_GUIDE_STATS: dict[str, str | float] = {
    "mean": "mean", "median": 50.0, "std_dev": "std", "min": "min", "max": "max", "p001": 0.1, "p01": 1.0, "p05": 5.0,
    **_p("p{}", 10, 25, 50, 75, 90, 95, 99), "p999": 99.9,
}  # fmt: skip
_LLMPERF_STATS: dict[str, str | float] = {
    **_p("quantiles_p{}", 25, 50, 75, 90, 95, 99), "mean": "mean", "min": "min", "max": "max", "stddev": "std",
}  # fmt: skip
_INF_STATS: dict[str, str | float] = {
    "mean": "mean", "min": "min", "max": "max", **_p("p{}", 0.1, 1, 5, 10, 25), "median": 50.0,
    **_p("p{}", 75, 90, 95, 99, 99.9),
}  # fmt: skip
_GENAI_STATS: dict[str, str | float] = {
    "min": "min", "max": "max", "mean": "mean", "stddev": "std", "sum": "sum", **_p("p{}", 25, 50, 75, 90, 95, 99),
}  # fmt: skip
_MLPE_STATS: dict[str, str | float] = {
    "min": "min", "max": "max", "median": 50.0, "avg": "mean", "std_dev": "std",
    **{f"percentiles.{p}": float(p) for p in ("50.0", "90.0", "95.0", "99.0", "99.9")},
}  # fmt: skip
_LOADGEN_PERCENTILES: dict[str, str | float] = {f"{p:.2f}_percentile": p for p in (50.0, 90.0, 95.0, 97.0, 99.0, 99.9)}
_ENDS: dict[str, str | float] = {"min": "min", "max": "max", "mean": "mean"}

_VLLM_RULES = Rules(
    "call", "output", "output", "output", ("usage", "text", "ours"), "linear", 0, _CUT | {"stream_error"}
)
_VLLM_DISTS = (
    Dist("ttft", "ttft", "ttft"),
    Dist("tpot", "after_first", "tpot"),
    Dist("itl", "gaps", "itl"),
    Dist("e2el", "e2e", "e2e"),
)
_VLLM_SCALARS = {
    "duration": "window_s", "completed": "completed", "failed": "failed", "total_input_tokens": "input",
    "total_output_tokens": "output", "request_throughput": "requests_per_s", "request_goodput": "goodput_per_s",
    "output_throughput": "output_per_s", "total_token_throughput": "total_per_s",
    "max_output_tokens_per_s": "most_events", "max_concurrent_requests": "most_touching",
}  # fmt: skip
_CHOICES = {"first": "choices", "end": "choices", "gaps": "choices"}
_EMPTY = phrase("without a sample it writes 0; here nothing stands in its place")
_PEAK = phrase(
    "its peak of tokens counts events in whole seconds, its peak of requests all that touch one: neither is a peak of "
    "anything else"
)

TOOLS: dict[str, Definition] = {
    "vllm": Definition(
        title="vLLM bench serve",
        version="0.33.0",
        rules=_VLLM_RULES,
        key="{stat}_{stem}_ms",
        stats=_VLLM_STATS,
        dists=_VLLM_DISTS,
        scalars=_VLLM_SCALARS,
        window="load",
        api={"completions": _CHOICES},
        notes=(
            _EMPTY,
            _PEAK,
            phrase("up to 0.32 its chat route, too, took every event with a choice for a token, the finish event among "
                   "them, as its completions route does"),
        ),
    ),
    "vllm-rs": Definition(
        title="vLLM bench serve, Rust client",
        version="0.33.0",
        rules=_VLLM_RULES._replace(
            first="choices", end="choices", gaps="choices", tokens=("usage", "choices"), takes=_SAID,
            takes_empty=frozenset({"stream_error", "empty", "unknown"}), zero_ttft=True,
        ),
        key="{stat}_{stem}_ms",
        stats=_VLLM_STATS,
        dists=_VLLM_DISTS,
        scalars=_VLLM_SCALARS | {"input_throughput": "input_per_s"},
        window="load",
        local_input=True,
        notes=(
            _EMPTY,
            _PEAK,
            phrase("its completions route sends a request again that was reset, and starts its clock anew: hidden "
                   "retries are in no recording"),
        ),
    ),
    "sglang": Definition(
        title="SGLang bench serving",
        version="0.5.23",
        rules=Rules(
            "fresh", "output", "stream", "output", ("usage", "asked"), "linear", 0, _CUT | {"stream_error"},
            frozenset({"stream_error", "empty", "unknown"}), True,
        ),
        key="{stat}_{stem}_ms",
        stats={"mean": "mean", "median": 50.0, "std": "std", **_p("p{}", 90, 95, 99)},
        dists=(
            Dist("e2e_latency", "e2e", "e2e"), Dist("ttft", "ttft", "ttft"), Dist("tpot", "after_first", "tpot"),
            Dist("itl", "gaps", "itl"), Dist("itl", "gaps", "itl", stats={"max": "max"}),
        ),
        scalars={
            "duration": "window_s", "completed": "completed", "total_input_tokens": "input",
            "total_output_tokens": "output", "request_throughput": "requests_per_s", "input_throughput": "input_per_s",
            "output_throughput": "output_per_s", "total_throughput": "total_per_s", "concurrency": "concurrency",
            "max_output_tokens_per_s": "most_events", "max_concurrent_requests": "most_touching",
            "request_goodput": "goodput_per_s", "slo_attainment": "good_of_sent",
        },
        window="load",
        local_input=True,
        notes=(
            _EMPTY,
            _PEAK,
        ),
        lacks=(
            phrase("its duration goes on through its questions to the server after the load; they are in no recording"),
            phrase("where its server tells an accepted length it divides gaps by re-tokenised events; here they are "
                   "those of events"),
        ),
    ),
    "aiperf": Definition(
        title="AIPerf",
        version="0.13.0",
        rules=Rules("call", "output", "output", "output", ("text", "ours"), "linear", 0, _CUT | {"stream_error"}),
        key="{stem}.{stat}",
        stats=_AIPERF_STATS,
        dists=(
            Dist("time_to_first_token", "ttft", "ttft"),
            Dist("time_to_first_output_token", "ttft", "ttfa", changes={"first": "answer"}),
            Dist("request_latency", "e2e", "e2e"),
            Dist("inter_token_latency", "apart", "tpot"),
            Dist("inter_chunk_latency", "gaps", "itl"),
            Dist("output_token_throughput_per_user", "per_apart", None, "tokens/s"),
            Dist("e2e_output_token_throughput", "per_whole", None, "tokens/s"),
            Dist("output_sequence_length", "tokens", None, "tokens"),
            Dist("input_sequence_length", "planned_input", None, "tokens"),
        ),
        scalars={
            "request_throughput.avg": "requests_per_s", "request_count.avg": "completed",
            "output_token_throughput.avg": "output_per_s", "total_osl.avg": "output",
            "benchmark_duration.avg": "valid_s", "goodput.avg": "goodput_per_s",
            "good_request_fraction.avg": "good_of_ended",
        },
        window="valid",
        local_input=True,
        good=("ttft", "apart"),
        lacks=(
            phrase("it counts tokens with its own tokenizer; without the text of the replies ours stand in"),
            phrase("requests go from its clock to its workers before the clock of TTFT starts: that way is in none of "
                   "its latencies, and in no recording"),
        ),
    ),
    "guidellm": Definition(
        title="GuideLLM",
        version="0.8.1",
        rules=Rules("send", "output", "stream", "output", ("usage", "asked", "events"), "step", 0, _CUT),
        key="{stem}.{stat}",
        stats=_GUIDE_STATS,
        dists=(
            Dist("time_to_first_token_ms", "ttft", "ttft"),
            Dist("time_to_first_output_token_ms", "ttft", "ttfa", changes={"first": "answer"}),
            Dist("inter_token_latency_ms", "apart", "tpot", changes={"weighted": True}),
            Dist("time_per_output_token_ms", "from_start", "ntpot", changes={"weighted": True}),
            Dist("request_latency", "e2e", "e2e", "s"),
            Dist("output_token_count", "tokens", None, "tokens"),
            Dist("prompt_token_count", "prompt", None, "tokens"),
        ),
        scalars={
            "requests_per_second.mean": "requests_per_s",
            "output_tokens_per_second.mean": "output_per_s",
            "prompt_tokens_per_second.mean": "input_per_s",
            "tokens_per_second.mean": "total_per_s",
            "request_totals.successful": "completed", "request_totals.errored": "failed",
        },
        window="attempts",
        good=("ttft", "apart"),
        notes=(
            phrase("percentiles of its rates are of a course that it makes up between first and last token: they are "
                   "left out"),
            phrase("up to 0.7 its TTFT started at the call; up to 0.3 its TPOT was from first to last token, over all "
                   "tokens"),
        ),
    ),
    "llmperf": Definition(
        title="LLMPerf",
        version="0.1.0 (2024-12)",
        rules=Rules("fresh", "answer", "stream", "output", ("text", "ours"), "linear", 1, _CUT),
        key="results_{stem}_{stat}",
        stats=_LLMPERF_STATS,
        dists=(
            Dist("inter_token_latency_s", "lines", "tpot", "s"),
            Dist("ttft_s", "ttft", "ttft", "s"),
            Dist("end_to_end_latency_s", "e2e", "e2e", "s"),
            Dist("request_output_throughput_token_per_s", "per_whole", None, "tokens/s"),
            Dist("number_input_tokens", "planned_input", None, "tokens"),
            Dist("number_output_tokens", "tokens", None, "tokens"),
        ),
        scalars={
            "results_num_completed_requests": "completed", "results_number_errors": "failed",
            "results_error_rate": "failed_share", "results_mean_output_throughput_token_per_s": "output_per_s",
            "results_num_completed_requests_per_min": "requests_per_min",
            "results_num_requests_started": "started",
        },
        window="load",
        local_input=True,
        lacks=(
            phrase("it counts tokens with Llama 2's tokenizer, whatever the model, and one more for the mark of the "
                   "beginning; ours stand in"),
        ),
    ),
    "inference-perf": Definition(
        title="inference-perf",
        version="0.7.0",
        rules=Rules(
            "call", "answer", "stream", "answer", ("text", "ours"), "linear", 1, _CUT | {"stream_error"},
            frozenset({"stream_error", "empty", "unknown"}),
        ),
        key="successes.latency.{stem}.{stat}",
        stats=_INF_STATS,
        dists=(
            Dist("request_latency", "e2e", "e2e", "s"),
            Dist("normalized_time_per_output_token", "whole", "ntpot", "s"),
            Dist("time_per_output_token", "apart", "tpot", "s", changes={"end": "output"}),
            Dist("time_to_first_token", "ttft_of_several", "ttft", "s"),
            Dist("inter_token_latency", "token_gaps", "itl", "s"),
        ),
        scalars={
            "benchmark_time_seconds": "window_s", "successes.count": "completed", "failures.count": "failed",
            "successes.throughput.input_tokens_per_sec": "input_per_s",
            "successes.throughput.output_tokens_per_sec": "output_per_s",
            "successes.throughput.total_tokens_per_sec": "total_per_s",
            "successes.throughput.requests_per_sec": "requests_per_s",
            "successes.goodput_metrics.goodput_percentage": "good_percent",
            "successes.goodput_metrics.request_goodput": "goodput_of_successes",
        },
        window="attempts",
        good=("ttft_of_several", "apart"),
        strict=True,
        lacks=(
            phrase("it tokenises each reply before it stops the clock of its request latency: that time is in no "
                   "recording"),
        ),
        notes=(
            phrase("a reply of 0 tokens counts as 0 s in its NTPOT; here it has none"),
        ),
    ),
    "genai-bench": Definition(
        title="genai-bench",
        version="0.0.5",
        rules=Rules("fresh", "output", "stream", "output", ("usage", "text", "ours"), "linear", 0, _CUT, least=2),
        key="stats.{stem}.{stat}",
        stats=_GENAI_STATS,
        dists=(
            Dist("ttft", "ttft", "ttft"),
            Dist("tpot", "after_first_1ms", "tpot"),
            Dist("e2e_latency", "e2e", "e2e"),
            Dist("output_latency", "rest", None),
            Dist("output_inference_speed", "per_after_first", None, "tokens/s"),
            Dist("output_throughput", "per_after_first", None, "tokens/s"),
            Dist("input_throughput", "prompt_per_ttft", None, "tokens/s"),
            Dist("num_input_tokens", "prompt", None, "tokens"),
            Dist("num_output_tokens", "tokens", None, "tokens"),
        ),
        scalars={
            "run_duration": "window_s",
            "mean_output_throughput_tokens_per_s": "output_per_s",
            "mean_input_throughput_tokens_per_s": "input_per_s",
            "mean_total_tokens_throughput_tokens_per_s": "total_per_s",
            "requests_per_second": "requests_per_s",
            "num_completed_requests": "completed",
            "num_error_requests": "failed",
        },
        window="load",
        notes=(
            phrase("its duration ends at the next look of a loop that looks once a second; with a warm-up or cool-down "
                   "its tokens are cut and its duration is not"),
            phrase("its error rate is 0 whatever fails"),
        ),
    ),
    "mlperf": Definition(
        title="MLPerf LoadGen",
        version="6.0.17",
        rules=Rules("due", "output", "stream", "output", ("ours",), "floor", 0, _SAID | _BROKEN),
        key="{stem}",
        stats=_LOADGEN_PERCENTILES,
        dists=tuple(
            Dist(stem, formula, metric, "ns", stats)
            for formula, metric, stem, stats in (
                ("e2e", "e2e", "result_{stat}_latency_ns", _ENDS | _LOADGEN_PERCENTILES),
                ("ttft", "ttft", "result_first_token_{stat}_latency_ns", _ENDS | _LOADGEN_PERCENTILES),
                ("whole_ns_after_first", "tpot", "result_time_per_output_token_{stat}_ns", _LOADGEN_PERCENTILES),
                ("whole_ns_after_first", "tpot", "result_time_to_output_token_{stat}", _ENDS),
            )
        ),
        scalars={
            "result_query_count": "completed", "result_completed_samples_per_sec": "samples_per_s",
            "result_completed_tokens_per_second": "output_per_s",
        },
        window="last_issued",
        lacks=(
            phrase("it sees what its system under test reports, and when; here that is the first output and the end of "
                   "the stream"),
            phrase("these are the figures of its Server scenario; a run that counts takes loadcell mlperf run"),
        ),
    ),
    "endpoints": Definition(
        title="MLPerf Endpoints client",
        version="0.1.0",
        rules=Rules(
            "call", "output", "stream", "output", ("text", "ours"), "lower", 1, _SAID | _BROKEN, _SAID | _BROKEN
        ),
        key="{stem}.{stat}",
        stats=_MLPE_STATS,
        dists=(
            Dist("ttft", "ttft", "ttft", "ns"),
            Dist("tpot", "after_first", "tpot", "ns"),
            Dist("latency", "e2e", "e2e", "ns"),
            Dist("output_sequence_lengths", "tokens", None, "tokens"),
        ),
        scalars={
            "n_samples_completed": "completed", "n_samples_failed": "failed_by_us", "qps": "samples_per_s",
            "tps": "output_per_s",
        },
        window="last_issued",
        lacks=(
            phrase("its requests and events pass between processes before they are stamped: that time is in no "
                   "recording"),
        ),
        notes=(
            phrase("it counts failed requests as completed, and their time as latency"),
        ),
    ),
}  # fmt: skip
"""By the name that --as takes."""
_OLDER: dict[tuple[str, str], tuple[str, Mapping[str, str]]] = {
    ("guidellm", "report of 0.2"): ("0.2 to 0.3", {"time_per_output_token_ms": "over_all"}),
}
"""Of an imported run, by its tool and the form of its file: the versions that wrote it, and formulas that were others
then."""


def definition_of(tool: str, schema: str | None = None) -> Definition:
    """The definitions of a tool; of a run that it made itself those of the version that wrote the file."""
    one = TOOLS[tool]
    version, formulas = _OLDER.get((tool, schema or ""), (one.version, {}))
    dists = tuple(dist._replace(formula=formulas.get(dist.stem, dist.formula)) for dist in one.dists)
    return one._replace(version=version, dists=dists)
