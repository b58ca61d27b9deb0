"""The traffic of a log, made again from its own seeds and settings: an edited seed, count, rate or sample shows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from loadcell.errors import UsageError
from loadcell.mlperf.files.accuracy_log import AccuracyLog
from loadcell.mlperf.files.checks_consistency import ROUNDED
from loadcell.mlperf.files.checks_performance import missing, seeds_in
from loadcell.mlperf.files.loadgen_logs import Detail
from loadcell.mlperf.findings import failed, judged, noted
from loadcell.mlperf.model import Finding, Scenario
from loadcell.mlperf.settings import kind
from loadcell.workload import loadgen
from loadcell.workload.loadgen import Seeds

_EDITED = "the log was edited, is of another run, or of a LoadGen build with another C++ library"
_SWITCHES = ("effective_performance_issue_unique", "effective_performance_issue_same")


def check_traffic(detail: Detail) -> Iterator[Finding]:
    """The loaded set, the queries and the generated duration of a performance run."""
    seeds = seeds_in(detail)
    if seeds is None:
        yield missing("generated-traffic", detail, "effective_qsl_rng_seed (or another seed)")
        return
    yield from check_loaded_set(detail, seeds)
    n = detail.integer("effective_performance_sample_count")
    if n is None or any(detail.truth(switch) for switch in _SWITCHES):
        return  # a compliance test sends other samples; a missing count was told
    try:
        match detail.text("effective_scenario"):
            case "Server":
                yield from _server(detail, seeds, n)
            case "Offline":
                yield from _offline(detail, n)
            case "SingleStream":
                yield from _single_stream(detail, n)
    except UsageError as error:
        yield failed("generated-traffic", f"such traffic cannot be: {error}", detail.path, _EDITED)


def check_loaded_set(detail: Detail, seeds: Seeds) -> Iterator[Finding]:
    """The samples that were loaded, in their order."""
    logged, key = detail.integers("loaded_qsl_set"), "loaded_qsl_set"
    if logged is None:
        yield missing("loaded-set", detail, key)
        return
    if detail.text("effective_scenario") == "MultiStream":  # the set goes on from its start: a query has neighbours
        around = loadgen.SAMPLES_PER_QUERY - 1
        if logged[-around:] != logged[:around] or len(logged) <= around:
            says = f"loaded_qsl_set does not end with its first {around} samples"
            yield failed("loaded-set", says, detail.path, _EDITED)
            return
        logged = logged[:-around]
    n, total = len(logged), detail.integer("qsl_reported_total_count")
    told = detail.integer("effective_performance_sample_count")
    if told is not None and n != min(told, total or told):
        says = f"{n:,} samples in loaded_qsl_set, {told:,} by effective_performance_sample_count"
        yield failed("loaded-set", says, detail.path, _EDITED)
    if not n:
        return
    wanted = loadgen.loaded_set(seeds.qsl, n)
    if total is not None and n < total <= 10**7 and logged != wanted.tolist():  # as LoadGen of before 2026
        wanted = loadgen.loaded_set(seeds.qsl, n, dataset_size=total)
    wrong = np.flatnonzero(np.array(logged, object) != wanted.astype(object))
    says = f"loaded_qsl_set is that of its seed over {n:,} samples"
    if len(wrong):
        at = int(wrong[0])
        says = f"loaded_qsl_set is not that of its seed: {len(wrong):,} of {n:,} samples differ, the first at {at} is "
        says += f"{logged[at]}, not {wanted[at]}"
    yield judged("loaded-set", not len(wrong), says, detail.path, _EDITED)


def _server(detail: Detail, seeds: Seeds, n: int) -> Iterator[Finding]:
    rate, least = detail.number("effective_target_qps"), detail.integer("effective_min_query_count")
    duration_ms, equal = (
        detail.number("effective_min_duration_ms"),
        detail.truth("effective_sample_concatenate_permutation"),
    )
    if rate is None or least is None or duration_ms is None or equal is None:
        keys = ("effective_target_qps", "effective_min_query_count", "effective_min_duration_ms")
        gone = [key for key in keys if detail.number(key) is None] or ["effective_sample_concatenate_permutation"]
        yield missing("generated-traffic", detail, gone[0])
        return
    wanted = loadgen.server_traffic(
        seeds, n, rate, min_queries=least, min_duration_s=duration_ms / 1000, equal_issue=equal
    )
    assert wanted.scheduled_ns is not None and wanted.duration_ns is not None  # a server's traffic has both
    count, duration = len(wanted.samples), wanted.duration_ns
    logged_count, logged = detail.integer("generated_query_count"), detail.integer("generated_query_duration")
    if logged_count is None or logged is None:
        key = "generated_query_count" if logged_count is None else "generated_query_duration"
        yield missing("generated-traffic", detail, key)
        return
    says = f"{logged_count:,} queries in {logged:,} ns generated; seeds and settings give {count:,} in {duration:,} ns"
    exact = (logged_count, logged) == (count, duration)
    near = abs(logged - duration) <= ROUNDED * duration and len(f"{rate:.15g}".replace(".", "").lstrip("0")) >= 6
    if near and not exact:  # the rate itself was rounded to six digits in the log
        yield noted("generated-traffic", f"{says}: equal but for the rounding of the rate {rate:g}", detail.path)
    else:
        yield judged("generated-traffic", exact, says, detail.path, _EDITED)
    scheduled = detail.number("result_scheduled_samples_per_sec")
    if scheduled is not None and exact and wanted.scheduled_ns[-1] > 0:
        rate_s = (count - 1) / (int(wanted.scheduled_ns[-1]) / 1e9)
        says = f"{scheduled:g} scheduled samples/s, the schedule has {rate_s:.6g}"
        yield judged("generated-traffic", abs(scheduled - rate_s) <= ROUNDED * rate_s, says, detail.path, _EDITED)


def _offline(detail: Detail, n: int) -> Iterator[Finding]:
    asked, logged = detail.integer("effective_samples_per_query"), detail.integer("generated_samples_per_query")
    if asked is None or logged is None:
        key = "effective_samples_per_query" if asked is None else "generated_samples_per_query"
        yield missing("generated-traffic", detail, key)
        return
    equal = detail.truth("effective_sample_concatenate_permutation")
    wanted = loadgen.whole_passes(asked, n) if equal and n > 0 else asked
    says = f"{logged:,} samples generated for {asked:,} asked for over {n:,}, {wanted:,} expected"
    yield judged("generated-traffic", logged == wanted, says, detail.path, _EDITED)
    least, rate = detail.integer("requested_min_query_count"), detail.number("effective_target_qps")
    duration_ms = detail.number("effective_min_duration_ms")
    if least is not None and rate is not None and duration_ms is not None:
        sized = max(least, int(1.1 * duration_ms / 1000 * rate))
        if abs(asked - sized) > ROUNDED * sized + 1:
            says = f"{asked:,} samples were asked for, {rate:g} samples/s over {duration_ms / 1000:g} s give {sized:,}"
            yield noted("generated-traffic", says, detail.path)


def _single_stream(detail: Detail, n: int) -> Iterator[Finding]:
    logged = detail.integer("generated_query_count")
    if logged is None:
        yield missing("generated-traffic", detail, "generated_query_count")
    elif detail.truth("effective_sample_concatenate_permutation") and n > 0:
        says = f"{logged:,} queries generated over {n:,} samples in whole passes"
        yield judged("generated-traffic", logged % n == 0 and logged > 0, says, detail.path, _EDITED)


def check_accuracy_traffic(detail: Detail, log: AccuracyLog, scenario: Scenario | None) -> Iterator[Finding]:
    """Which sample each reply of an accuracy run belongs to: seq_id k is the k-th sample of that mode's order."""
    seeds, n = seeds_in(detail), detail.integer("qsl_reported_total_count")
    if seeds is None or n is None:
        yield missing("accuracy-order", detail, "qsl_reported_total_count (or a seed)")
        return
    yield from check_loaded_set(detail, seeds)
    held = detail.integer("effective_performance_sample_count")
    if scenario is None or not log.replies or n < 1 or n > 10**7 or (held is not None and held < n):
        return  # loaded in more than one part: another order
    equal = detail.truth("effective_sample_concatenate_permutation")
    order = loadgen.accuracy_traffic(seeds, n, kind(scenario), equal_issue=equal is not False).samples
    wrong = [r for r in log.replies if not 0 <= r.sequence < len(order) or order[r.sequence] != r.sample]
    says = f"{len(log.replies):,} replies in {log.path.name} are of the samples that LoadGen sent"
    if wrong:
        says = f"{len(wrong):,} of {len(log.replies):,} replies are not of the sample that LoadGen sent, the first is "
        says += f"seq_id {wrong[0].sequence} with qsl_idx {wrong[0].sample}"
    yield judged("accuracy-order", not wrong, says, log.path, _EDITED)
