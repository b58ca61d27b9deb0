"""The rules of a round for a performance run of LoadGen, on its two logs. A key that is missing fails its rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from loadcell.mlperf import early_stopping
from loadcell.mlperf.files.loadgen_logs import OURS, Detail, Summary
from loadcell.mlperf.findings import failed, judged, noted
from loadcell.mlperf.model import LOADGEN_SCENARIO, MS, Finding, Rules, Scenario
from loadcell.workload.loadgen import Seeds

_UNMET = re.compile("unsuccessful|not met|Only processed")
_P99 = {
    "ttft": "result_first_token_99.00_percentile_latency_ns",
    "tpot": "result_time_per_output_token_99.00_percentile_ns",
    "latency": "result_99.00_percentile_latency_ns",
}


def missing(rule: str, detail: Detail, key: str) -> Finding:
    """A rule that cannot be judged for want of a key."""
    there = key in detail.values
    says = f"{key} is {detail.values[key]!r:.60}" if there else f"{key} is missing in {detail.path.name}"
    return failed(rule, f"{says}: not judged", detail.path, "take the whole log, as LoadGen wrote it")


def check_common(detail: Detail, seeds: Seeds | None, scenario: Scenario | None, mode: str) -> Iterator[Finding]:
    """What holds for performance and accuracy runs: generator, mode, scenario, seeds, errors."""
    path = detail.path
    version = detail.text("loadgen_version")
    if detail.marker == OURS:
        says = "written by Loadcell, not by LoadGen: no submission can be made of it"
        yield noted("load-generator", says, path)
        if detail.truth("loadcell_quick") or detail.truth("loadcell_look_alike"):
            yield noted("quick", "smaller than the rules ask, or of invented samples: not comparable", path)
    elif version is None:
        yield missing("load-generator", detail, "loadgen_version")
    else:
        yield judged("load-generator", True, f"LoadGen {version}", path)
    found = detail.text("effective_test_mode")
    ok = found in (mode, "SubmissionRun")
    yield judged("test-mode", ok, f"mode {found or 'missing'}, asked for: {mode}", path, f"run it in {mode}")
    if scenario is not None:
        name, found = LOADGEN_SCENARIO[scenario], detail.text("effective_scenario")
        says = f"the log says {found or 'no scenario'}; {scenario} is {name} in LoadGen"
        yield judged("scenario", found == name, says, path, "put the log in the folder of its scenario")
    if seeds is not None:
        yield from _seeds(detail, seeds)


def seeds_in(detail: Detail) -> Seeds | None:
    """The seeds that a run used; None if one is missing."""
    found = [detail.integer(f"effective_{name}_rng_seed") for name in ("qsl", "sample_index", "schedule")]
    qsl, sample_index, schedule = found
    if qsl is None or sample_index is None or schedule is None:
        return None
    return Seeds(qsl=qsl, sample_index=sample_index, schedule=schedule)


def _seeds(detail: Detail, seeds: Seeds) -> Iterator[Finding]:
    for name in ("qsl", "sample_index", "schedule"):
        key, want = f"effective_{name}_rng_seed", getattr(seeds, name)
        found = detail.integer(key)
        if found is None:
            yield missing("seeds", detail, key)
        else:
            says = f"{key} is {found}, the round's is {want}"
            yield judged("seeds", found == want, says, detail.path, "use the LoadGen of the round, or name the round")


def check_performance(detail: Detail, summary: Summary | None, rules: Rules) -> Iterator[Finding]:
    """Every rule for one performance run, judged by the limits of `rules`, whatever scenario LoadGen thought it ran."""
    yield from check_common(detail, rules.seeds, rules.scenario, "PerformanceOnly")
    yield from _validity(detail)
    yield from check_errors(detail, summary)
    yield from _counts(detail, rules)
    yield from _duration(detail, rules)
    yield from _early_stopping(detail, rules)
    yield from _limits(detail, rules)


def _validity(detail: Detail) -> Iterator[Finding]:
    word = detail.text("result_validity")
    if word is None:
        last = f"the log ends with {detail.last_key}, before its results" if detail.last_key else "the log is empty"
        yield failed("result-valid", f"result_validity is missing: {last}", detail.path, "take the whole log")
        return
    why = detail.text("result_invalid_reason") or ""
    says = f"the log calls the run {word}" + (f": {' '.join(why.split())}" if why.strip() else "")
    yield judged("result-valid", word == "VALID", says, detail.path, "run again after what the reason says")
    for key in ("result_perf_constraints_met", "result_min_duration_met", "result_min_queries_met"):
        if detail.truth(key) is False:
            yield failed("result-valid", f"{key} is false", detail.path)


def check_errors(detail: Detail, summary: Summary | None) -> Iterator[Finding]:
    """No error in the log, nor counted by it, nor by the summary. Older logs do not count: the summary must say it."""
    counted, listed = detail.integer("num_errors"), len(detail.errors)
    said = None if summary is None else summary.errors
    counts = [count for count in (counted, said) if count is not None]
    if not counts:
        yield missing("errors", detail, "num_errors")
        return
    worst = max(listed, *counts)
    first = f"; the first: {detail.errors[0]:.120}" if detail.errors else ""
    says = f"{worst} error{'' if worst == 1 else 's'} in the run{first}"
    yield judged("errors", worst == 0, says, detail.path, "every error counts: find its cause and run again")


def _counts(detail: Detail, rules: Rules) -> Iterator[Finding]:
    path, key = detail.path, "effective_performance_sample_count"
    if (count := detail.integer(key)) is None:
        yield missing("performance-sample-count", detail, key)
    else:
        says = f"{count:,} samples loaded, at least {rules.performance_sample_count:,} asked for"
        advice = f"set performance_sample_count_override = {rules.performance_sample_count}"
        yield judged("performance-sample-count", count >= rules.performance_sample_count, says, path, advice)
    if rules.equal_issue:
        key = "effective_sample_concatenate_permutation"
        if (equal := detail.truth(key)) is None:
            yield missing("equal-issue", detail, key)
        else:
            advice = "set sample_concatenate_permutation = 1"
            yield judged("equal-issue", equal, f"whole passes over the samples: {equal}", path, advice)
    if rules.scenario == "offline":
        yield from _offline_samples(detail, rules)
    elif (asked := detail.integer("effective_min_query_count")) is None:
        yield missing("min-queries", detail, "effective_min_query_count")
    elif (done := detail.integer("result_query_count")) is None:
        yield missing("min-queries", detail, "result_query_count")
    else:
        ok = done >= asked and detail.truth("result_min_queries_met") is True
        says = f"{done:,} queries, at least {asked:,} asked of LoadGen"
        yield judged("min-queries", ok, says, path, "let the run end by itself")


def _offline_samples(detail: Detail, rules: Rules) -> Iterator[Finding]:
    floor = rules.offline_min_samples or min(24576, rules.performance_sample_count)
    key = "generated_samples_per_query"
    if (samples := detail.integer(key)) is None:
        yield missing("offline-samples", detail, key)
        return
    says = f"{samples:,} samples in the query, at least {floor:,} asked for"
    yield judged("offline-samples", samples >= floor, says, detail.path, f"set min_query_count = {floor}")


def run_span_ns(detail: Detail) -> float | None:
    """Time between the stamps power_begin and power_end, in ns; None if there are none."""
    ends = [detail.text(key) for key in ("power_begin", "power_end")]
    try:
        begin, end = (datetime.strptime(text or "", "%m-%d-%Y %H:%M:%S.%f") for text in ends)
    except ValueError:
        return None
    return (end - begin).total_seconds() * 1e9


def _duration(detail: Detail, rules: Rules) -> Iterator[Finding]:
    """Both what LoadGen was told and what it did; a log cannot be long by its word alone."""
    path, least = detail.path, rules.min_duration_s
    if (told := detail.number("effective_min_duration_ms")) is None:
        yield missing("min-duration", detail, "effective_min_duration_ms")
    else:
        says = f"a minimum duration of {told / 1000:g} s was set, {least:g} s are asked for"
        advice = f"set min_duration = {least * 1000:g}"
        yield judged("min-duration", told >= least * 1000, says, path, advice)
    keys = {"server": "generated_query_duration", "interactive": "generated_query_duration"}
    key = keys.get(rules.scenario, "result_max_latency_ns")
    took = detail.number(key) if rules.scenario in (*keys, "offline") else run_span_ns(detail)
    name = key if rules.scenario in (*keys, "offline") else "power_end - power_begin"
    if took is None:
        yield missing("min-duration", detail, "power_begin" if name.startswith("power") else key)
        return
    says = f"the run took {took / 1e9:,.1f} s by {name}, at least {least:g} s are asked for"
    yield judged("min-duration", took >= least * 1e9, says, path, "run longer")


def _early_stopping(detail: Detail, rules: Rules) -> Iterator[Finding]:
    path, met = detail.path, detail.truth("early_stopping_met")
    if met is None:
        yield missing("early-stopping", detail, "early_stopping_met")
        return
    texts = [detail.text(f"early_stopping_{of}result") for of in ("", "ttft_", "tpot_")]
    why = " ".join(" ".join(text.split()) for text in texts if text and _UNMET.search(text))
    says = f"early stopping {'met' if met else 'not met'}{f': {why}' if why else ''}"
    yield judged("early-stopping", met, says, path, "more queries, or fewer late ones: lower the rate")
    n, percentile = detail.integer("result_query_count"), rules.percentile
    if percentile is None or n is None:
        return
    streams = rules.scenario in ("singlestream", "multistream")
    least = early_stopping.least_samples(percentile, 1 if streams else 0)
    says = f"{n:,} queries, p{percentile * 100:g} needs at least {least:,} to be proven"
    yield judged("early-stopping", n >= least or not met, says, path, f"send at least {least} queries")


def _limits(detail: Detail, rules: Rules) -> Iterator[Finding]:
    """The percentile strictly below the limit, and the limits that LoadGen itself was told."""
    if rules.scenario not in ("server", "interactive"):
        return
    for of, limit_ms in (("ttft", rules.ttft_ms), ("tpot", rules.tpot_ms), ("latency", rules.latency_ms)):
        if limit_ms is None:
            continue
        if (found := detail.number(_P99[of])) is None:
            yield missing(f"{of}-limit", detail, _P99[of])
        else:
            says = f"p99 {of} {found / MS:,.3f} ms, must be below {limit_ms:g} ms in {rules.scenario}"
            ok = 0 <= found < limit_ms * MS
            yield judged(f"{of}-limit", ok, says, detail.path, "lower the rate, or report it in another scenario")
        key = "requested_server_target_latency_ns" if of == "latency" else f"requested_server_{of}_latency"
        if (told := detail.number(key)) is None:
            yield missing("limits-used", detail, key)
        else:
            says = f"LoadGen judged {of} by {told / MS:g} ms, the limit is {limit_ms:g} ms"
            advice = "run with the limits of the round: early stopping was judged by looser ones"
            yield judged("limits-used", told <= limit_ms * MS, says, detail.path, advice)
