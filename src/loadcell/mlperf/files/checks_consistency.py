"""Whether a performance log agrees with itself, and with its summary: what an edit by hand leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from loadcell.mlperf import early_stopping
from loadcell.mlperf.files.checks_performance import missing, run_span_ns
from loadcell.mlperf.files.loadgen_logs import Detail, Summary
from loadcell.mlperf.findings import failed, judged
from loadcell.mlperf.model import LOADGEN_SCENARIO, Finding, Rules
from loadcell.mlperf.score import PERCENTILES

ROUNDED = 1e-5
"""Relative room for two figures of six significant digits."""
_PRODUCTS = 2.5e-5
"""The same for products of two, on both sides."""
_LATE = 0.1
"""How late the last query may have been issued, as a share of the time before it."""
_ADVICE = "figures of one run fit together: take the log as LoadGen wrote it"
BLOCKS = {
    "latency": ("result_{}_latency_ns", "result_{}_percentile_latency_ns"),
    "ttft": ("result_first_token_{}_latency_ns", "result_first_token_{}_percentile_latency_ns"),
    "tpot": ("result_time_to_output_token_{}", "result_time_per_output_token_{}_percentile_ns"),
    "query": ("result_{}_query_latency_ns", "result_{}_percentile_per_query_latency_ns"),
}
"""Keys of a latency's extremes and mean, and of its percentiles."""


def check_consistency(detail: Detail, summary: Summary | None, rules: Rules | None) -> Iterator[Finding]:
    """Order of percentiles, accounts of queries and tokens, the summary's figures, the discarded queries."""
    yield from _order(detail)
    yield from _accounts(detail)
    yield from _tokens(detail, rules)
    yield from _streams(detail, rules)
    if summary is not None:
        yield from check_summary(detail, summary)


def _order(detail: Detail) -> Iterator[Finding]:
    """Extremes around the percentiles, the percentiles rising, the mean between the extremes."""
    for of, (extreme, percentile) in BLOCKS.items():
        keys = [extreme.format("min"), *(percentile.format(p) for p in PERCENTILES), extreme.format("max")]
        values = [detail.number(key) for key in keys]
        if all(value is None for value in values):
            continue  # this scenario has no such block; what must be there is asked for elsewhere
        known = [(key, value) for key, value in zip(keys, values, strict=True) if value is not None]
        for key, value in zip(keys, values, strict=True):
            if value is None:
                yield missing("percentile-order", detail, key)
        wrong = [(a, b) for a, b in pairwise(known) if a[1] > b[1]]
        says = "; ".join(f"{a} {x:.0f} is above {b} {y:.0f}" for (a, x), (b, y) in wrong)
        yield judged(f"{of}-order", not wrong, says or f"{of}: percentiles in order", detail.path, _ADVICE)
        mean, low, high = detail.number(extreme.format("mean")), values[0], values[-1]
        if mean is None:
            yield missing("percentile-order", detail, extreme.format("mean"))
        elif low is not None and high is not None and not low <= mean <= high:
            says = f"mean {of} {mean:.0f} is not between {low:.0f} and {high:.0f}"
            yield failed(f"{of}-order", says, detail.path, _ADVICE)


def _accounts(detail: Detail) -> Iterator[Finding]:
    """Queries done are those generated; rates, times and stamps agree."""
    scenario = detail.text("effective_scenario")
    done, planned = detail.integer("result_query_count"), detail.integer("generated_query_count")
    if done is not None and planned is not None:
        ok = done == planned if scenario in ("Server", "Offline") else done <= planned
        yield judged("query-count", ok, f"{done:,} queries done of {planned:,} generated", detail.path, _ADVICE)
    span, window = run_span_ns(detail), window_ns(detail)
    if span is not None and window is not None:
        says = f"{window / 1e9:,.1f} s by its rate, {span / 1e9:,.1f} s between power_begin and power_end"
        yield judged("run-span", window <= span * 1.01 + 1e7, says, detail.path, _ADVICE)
    if scenario == "Offline":
        samples = detail.integer("generated_samples_per_query")
        rate, slowest = detail.number("result_samples_per_second"), detail.number("result_max_latency_ns")
        if samples is not None and rate is not None and slowest is not None:
            yield _near("samples-rate", samples, rate * slowest / 1e9, "samples", "rate x longest latency", detail)


def window_ns(detail: Detail) -> float | None:
    """LoadGen's window of throughput: completion of the last-issued query, in ns, from (n - 1) / rate."""
    if detail.text("effective_scenario") == "Offline":
        return detail.number("result_max_latency_ns")
    n, rate = detail.integer("result_query_count"), detail.number("result_completed_samples_per_sec")
    return None if n is None or not rate or n < 2 else (n - 1) / rate * 1e9


def _near(rule: str, a: float, b: float, what: str, by: str, detail: Detail) -> Finding:
    says = f"{a:,.0f} {what}, {b:,.0f} by {by}"
    return judged(rule, abs(a - b) <= _PRODUCTS * max(abs(a), abs(b)) + 1, says, detail.path, _ADVICE)


def _tokens(detail: Detail, rules: Rules | None) -> Iterator[Finding]:
    """Output tokens come three ways: by LoadGen's window, by the scheduled time, by the sum of the latencies."""
    window = window_ns(detail)
    key = (
        "result_tokens_per_second"
        if detail.text("effective_scenario") == "Offline"
        else "result_completed_tokens_per_second"
    )
    rate = detail.number(key)
    if rate is None or window is None:
        return
    tokens = rate * window / 1e9
    n, mean = detail.integer("result_query_count"), detail.number("result_mean_latency_ns")
    per_ns = detail.number("result_token_throughput")
    if n is not None and mean is not None and per_ns:
        yield _near("token-count", tokens, per_ns * n * mean, "tokens", "result_token_throughput", detail)
    overhead = detail.number("result_token_throughput_with_loadgen_overhead")
    scheduled = detail.number("result_scheduled_samples_per_sec")
    if overhead is not None and scheduled and n is not None and n > 1:
        # It is over the time of the last issue, which may be late, never early.
        other = overhead * (n - 1) / scheduled
        says = f"{tokens:,.0f} tokens, {other:,.0f} by result_token_throughput_with_loadgen_overhead"
        ok = tokens * (1 - _LATE) <= other <= tokens * (1 + _PRODUCTS) + 1
        yield judged("token-count", ok, says, detail.path, _ADVICE)
    samples = detail.integer("generated_samples_per_query") if n == 1 else n
    if rules is not None and samples:
        low, high = rules.min_output_tokens or 0, rules.max_output_tokens
        each = tokens / samples
        # A reply may end with tokens beyond the maximum that the client was asked for (end of text): 1 % of room.
        ok = low * 0.99 <= each and (high is None or each <= high * 1.01 + 2)
        says = f"{each:,.1f} tokens a sample, between {low} and {high or 'any number'}"
        yield judged("output-length", ok, says, detail.path, "the replies are longer or shorter than the rules allow")


def _streams(detail: Detail, rules: Rules | None) -> Iterator[Finding]:
    """Single- and multistream: how many of the slowest queries early stopping may leave out."""
    n, text = detail.integer("result_query_count"), detail.text("early_stopping_ttft_result")
    text = text or detail.text("early_stopping_result") or ""
    if rules is None or rules.scenario not in ("singlestream", "multistream") or n is None or rules.percentile is None:
        return
    _, found, rest = text.partition("Would discard ")
    over = early_stopping.allowed_over(rules.percentile, n)
    if found and over is not None and rest.split()[:1]:
        says = f"the log discards {rest.split()[0]} queries of {n:,}, p{rules.percentile * 100:g} allows {over - 1}"
        yield judged("early-stopping-discards", rest.split()[0] == str(over - 1), says, detail.path, _ADVICE)


SUMMARY_LINES = {
    "SUT name": "sut_name",
    "Scenario": "effective_scenario",
    "Mode": "effective_test_mode",
    "Result is": "result_validity",
    "Performance constraints satisfied": "result_perf_constraints_met",
    "Min duration satisfied": "result_min_duration_met",
    "Min queries satisfied": "result_min_queries_met",
    "Early stopping satisfied": "early_stopping_met",
    "Completed samples per second": "result_completed_samples_per_sec",
    "Completed tokens per second": "result_completed_tokens_per_second",
    "Scheduled samples per second": "result_scheduled_samples_per_sec",
    "Samples per second": "result_samples_per_second",
    "Tokens per second": "result_tokens_per_second",
    "90.0th percentile latency (ns)": "result_90.00_percentile_latency_ns",
    "90.0th first token percentile latency (ns)": "result_first_token_90.00_percentile_latency_ns",
    "QPS w/ loadgen overhead": "result_qps_with_loadgen_overhead",
    "QPS w/o loadgen overhead": "result_qps_without_loadgen_overhead",
    **{f"{x} latency (ns)": f"result_{x.lower()}_latency_ns" for x in ("Min", "Max", "Mean")},
    **{f"{p} percentile latency (ns)": f"result_{p}_percentile_latency_ns" for p in PERCENTILES},
    **{f"{x} First Token latency (ns)": f"result_first_token_{x.lower()}_latency_ns" for x in ("Min", "Max", "Mean")},
    **{
        f"{p} percentile first token latency (ns)": f"result_first_token_{p}_percentile_latency_ns" for p in PERCENTILES
    },
    **{
        f"{x} Time {word} Output Token (ns)": f"result_time_to_output_token_{x.lower()}"
        for x in ("Min", "Max", "Mean")
        for word in ("to", "per")
    },
    **{
        f"{p} percentile time to output token (ns)": f"result_time_per_output_token_{p}_percentile_ns"
        for p in PERCENTILES
    },
}
"""Lines of the summary and the key of the detail log that says the same."""
PARAMETERS = {
    "samples_per_query": "effective_samples_per_query",
    "target_qps": "effective_target_qps",
    "min_duration (ms)": "effective_min_duration_ms",
    "min_query_count": "effective_min_query_count",
    "qsl_rng_seed": "effective_qsl_rng_seed",
    "sample_index_rng_seed": "effective_sample_index_rng_seed",
    "schedule_rng_seed": "effective_schedule_rng_seed",
    "performance_sample_count": "effective_performance_sample_count",
}


_OF_QUERIES = {
    "99.0th percentile latency (ns)": "result_99.00_percentile_per_query_latency_ns",
    **{f"{x} latency (ns)": f"result_{x.lower()}_query_latency_ns" for x in ("Min", "Max", "Mean")},
    **{f"{p} percentile latency (ns)": f"result_{p}_percentile_per_query_latency_ns" for p in PERCENTILES},
}
"""What the same lines are of in MultiStream."""


def summary_lines(scenario: object) -> dict[str, str]:
    """Lines of the summary and their keys in a scenario, as LoadGen names it."""
    return SUMMARY_LINES | _OF_QUERIES if scenario == "MultiStream" else SUMMARY_LINES


def check_summary(detail: Detail, summary: Summary) -> Iterator[Finding]:
    """Every line of the summary that the detail log has too says the same."""
    wrong, compared = [], 0
    known = summary_lines(detail.values.get("effective_scenario"))
    for table, lines in ((known, summary.figures), (PARAMETERS, summary.parameters)):
        for label, key in table.items():
            if label not in lines or key not in detail.values:
                continue
            compared += 1
            if not _same(lines[label], detail.values[key]):
                wrong.append(f"{label}: {lines[label]}, but {key} is {detail.values[key]}")
    says = "; ".join(wrong) if wrong else f"{compared} lines say what {detail.path.name} says"
    yield judged("summary-agrees", not wrong, says, summary.path, "take both logs from the same run")
    name = summary.figures.get("Scenario")
    if summary.banner and name is not None and name not in LOADGEN_SCENARIO.values():
        yield failed("summary-agrees", f"unknown scenario {name!r:.40}", summary.path)


def _same(printed: str, value: object) -> bool:
    """Whether a printed line is this value: integers exactly, others after the summary's rounding."""
    if isinstance(value, bool):
        return printed.lower() == ("yes" if value else "no")
    if isinstance(value, int) and printed.lstrip("-").isdigit():
        return int(printed) == value
    if isinstance(value, int | float):
        try:
            number = float(printed)
        except ValueError:
            return False
        return abs(number - value) <= max(ROUNDED * abs(value), 0.0051)
    return value is None or printed == value
