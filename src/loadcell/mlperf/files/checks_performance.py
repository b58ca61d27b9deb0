"""The rules of a round for a performance run of LoadGen, on its two logs. A key that is missing fails its rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from loadcell.mlperf import early_stopping
from loadcell.mlperf.evidence import Evidence, Told, judge_evidence, judge_seeds
from loadcell.mlperf.files.loadgen_logs import OURS, Detail, Summary
from loadcell.mlperf.findings import failed, judged, noted
from loadcell.mlperf.model import LOADGEN_SCENARIO, MS, TITLES, Finding, Of, Rules, Scenario
from loadcell.workload.loadgen import Seeds

_UNMET = re.compile("unsuccessful|not met|Only processed")
_SEED, SEED_NAMES = "effective_{}_rng_seed", ("qsl", "sample_index", "schedule")
_WHOLE = "take the whole log, as LoadGen wrote it"
_P99: dict[Of, str] = {
    "ttft": "result_first_token_99.00_percentile_latency_ns",
    "tpot": "result_time_per_output_token_99.00_percentile_ns",
    "latency": "result_99.00_percentile_latency_ns",
}


def missing(rule: str, detail: Detail, key: str) -> Finding:
    """A rule that cannot be judged for want of a key."""
    return failed(rule, f"{_gone(detail, key)}: not judged", detail.path, _WHOLE)


def _gone(detail: Detail, key: str) -> str:
    there = key in detail.values
    return f"{key} is {detail.values[key]!r:.60}" if there else f"{key} is missing in {detail.path.name}"


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
        used = {_SEED.format(name): (detail.integer(_SEED.format(name)), getattr(seeds, name)) for name in SEED_NAMES}
        yield judge_seeds(used, "the round", path, "use the LoadGen of the round, or name the round")


def seeds_in(detail: Detail) -> Seeds | None:
    """The seeds that a run used; None if one is missing."""
    found = [detail.integer(_SEED.format(name)) for name in SEED_NAMES]
    qsl, sample_index, schedule = found
    if qsl is None or sample_index is None or schedule is None:
        return None
    return Seeds(qsl=qsl, sample_index=sample_index, schedule=schedule)


def check_performance(detail: Detail, summary: Summary | None, rules: Rules) -> Iterator[Finding]:
    """Every rule for one performance run, judged by the limits of `rules`, whatever scenario LoadGen thought it ran."""
    yield from check_common(detail, rules.seeds, rules.scenario, "PerformanceOnly")
    yield from _validity(detail)
    yield from check_errors(detail, summary)
    yield from judge_evidence(_evidence(detail, rules))
    yield from _early_stopping(detail, rules)
    yield from _limits_used(detail, rules)


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


def _evidence(detail: Detail, rules: Rules) -> Evidence:
    """A LoadGen's run as the rules for all runs see it."""

    def told(rule: str, key: str, words: str = "", cure: str | None = None, *, unit: float = 1) -> Told:
        value = detail.number(key)
        return _untold(rule, detail, key) if value is None else Told(rule, value / unit, words, cure)

    samples, least_ms = rules.performance_sample_count, rules.min_duration_s * 1000
    cure = f"set performance_sample_count_override = {samples}"
    found = [
        told("performance-sample-count", "effective_performance_sample_count", cure=cure),
        _passes(detail),
        told(
            "min-duration", "effective_min_duration_ms", "effective_min_duration_ms is",
            f"set min_duration = {least_ms:g}", unit=1000,
        ),
        _took(detail, rules),
    ]  # fmt: skip
    if rules.scenario == "offline":
        floor = rules.offline_min_samples or min(24576, samples)
        sent = told("offline-samples", "generated_samples_per_query", cure=f"set min_query_count = {floor}")
        found.append(sent._replace(limit=floor))
    else:
        found.append(_queries(detail))
    if rules.scenario in ("server", "interactive"):
        found += [told(f"{of}-limit", key, f"{TITLES[of]} at p99", unit=MS) for of, key in _P99.items()]
    return Evidence(rules=rules, told=found, where=detail.path, untold=False)


def _passes(detail: Detail) -> Told:
    key = "effective_sample_concatenate_permutation"
    if (whole := detail.truth(key)) is None:
        return _untold("equal-issue", detail, key)
    cure = "set sample_concatenate_permutation = 1"
    return Told("equal-issue", whole, f"whole passes over the samples: {whole}", cure)


def _untold(rule: str, detail: Detail, key: str) -> Told:
    return Told(rule, None, f"{_gone(detail, key)}: not judged", _WHOLE)


def _queries(detail: Detail) -> Told:
    """Queries against what LoadGen was asked for; what it says of that itself stands in result-valid."""
    keys = ("effective_min_query_count", "result_query_count")
    gone = [key for key in keys if detail.integer(key) is None]
    gone += ["result_min_queries_met"] if detail.truth("result_min_queries_met") is None else []
    if gone:
        return _untold("min-query-count", detail, gone[0])
    asked, done = map(detail.integer, keys)
    return Told("min-query-count", done, "queries", "let the run end by itself", asked)


def _took(detail: Detail, rules: Rules) -> Told:
    """How long it took: by what was generated, by the one query of Offline, else by the stamps around the run."""
    key = {"server": "generated_query_duration", "interactive": "generated_query_duration"}.get(rules.scenario)
    key = "result_max_latency_ns" if rules.scenario == "offline" else key
    took_ns = run_span_ns(detail) if key is None else detail.number(key)
    if took_ns is None:
        return _untold("min-duration", detail, key or "power_begin")
    return Told("min-duration", took_ns / 1e9, f"{key or 'power_end - power_begin'} is")


def run_span_ns(detail: Detail) -> float | None:
    """Time between the stamps power_begin and power_end, in ns; None if there are none."""
    ends = [detail.text(key) for key in ("power_begin", "power_end")]
    try:
        begin, end = (datetime.strptime(text or "", "%m-%d-%Y %H:%M:%S.%f") for text in ends)
    except ValueError:
        return None
    return (end - begin).total_seconds() * 1e9


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


def _limits_used(detail: Detail, rules: Rules) -> Iterator[Finding]:
    """The limits that LoadGen itself was told: by looser ones early stopping proves nothing."""
    limits = {"ttft": rules.ttft_ms, "tpot": rules.tpot_ms, "latency": rules.latency_ms}
    for of, limit_ms in limits.items():
        if limit_ms is None or rules.scenario not in ("server", "interactive"):
            continue
        key = "requested_server_target_latency_ns" if of == "latency" else f"requested_server_{of}_latency"
        if (told := detail.number(key)) is None:
            yield missing("limits-used", detail, key)
        else:
            says = f"LoadGen judged {of} by {told / MS:g} ms, the limit is {limit_ms:g} ms"
            advice = "run with the limits of the round: early stopping was judged by looser ones"
            yield judged("limits-used", told <= limit_ms * MS, says, detail.path, advice)
