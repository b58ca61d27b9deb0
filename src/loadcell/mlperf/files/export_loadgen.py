"""An export in the layout of LoadGen's logs: the same folders and keys, but lines that are marked as Loadcell's.

It never holds LoadGen's version or the sums of its files, figures are not rounded, and it is no submission.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from loadcell.mlperf.accuracy.replies import recorded_replies, settle
from loadcell.mlperf.files.accuracy_log import ACCURACY_LOG, ACCURACY_TEXT
from loadcell.mlperf.files.checks_consistency import BLOCKS, PARAMETERS, summary_lines
from loadcell.mlperf.files.exported import GENERATOR, Run
from loadcell.mlperf.files.loadgen_logs import DETAIL, OURS, SUMMARY
from loadcell.mlperf.model import FOOTNOTE, LOADGEN_SCENARIO, UNVERIFIED, Block, EarlyStopping
from loadcell.mlperf.settings import kind
from loadcell.workload import loadgen
from loadcell.workload.loadgen import Seeds

_OLD = re.compile(r"Time to |\dth percentile")
"""Labels of LoadGen that another one says as well."""
_ENCODING = "UTF-8 text, not token ids"


def export_loadgen(run: Run, folder: Path) -> list[Path]:
    """Write performance/run_1 and, if there was a pass, accuracy/; returns what was written."""
    performance = folder / "performance" / "run_1"
    written = _logs(performance, _settings(run, "PerformanceOnly") | _planned(run) | _results(run))
    if run.accuracy is not None:
        accuracy = folder / "accuracy"
        written += _logs(accuracy, _settings(run, "AccuracyOnly") | _accuracy_counts(run))
        written += _replies(run, accuracy)
    return written


def _logs(folder: Path, values: Mapping[str, Any]) -> list[Path]:
    folder.mkdir(parents=True)
    detail, summary = folder / DETAIL, folder / SUMMARY
    known = {key: value for key, value in values.items() if value is not None}
    detail.write_bytes(b"".join(_line(key, value) for key, value in known.items()))
    summary.write_text(_summary(known), encoding="utf-8")
    return [detail, summary]


def _line(key: str, value: Any) -> bytes:
    about = {"is_error": False, "is_warning": False}
    record = {"key": key, "value": value, "time_ms": 0.0, "namespace": "loadcell", "event_type": "POINT_IN_TIME"}
    return f"{OURS} ".encode() + msgspec.json.encode(record | {"metadata": about}) + b"\n"


def _summary(values: Mapping[str, Any]) -> str:
    """The lines for people, those of LoadGen's that are known, by its labels."""
    rule = "=" * 48
    lines = [
        rule,
        f"Loadcell: MLPerf-style run, {UNVERIFIED}",
        rule,
        f"Generator : {GENERATOR}",
        *_rows(summary_lines(values.get("effective_scenario")), values),
    ]
    lines += ["", rule, "Test Parameters Used", rule, *_rows(PARAMETERS, values), "", "No warnings encountered.", ""]
    errors = values.get("num_errors", 0)
    return "\n".join([*lines, f"{errors or 'No'} errors encountered.", "", FOOTNOTE, ""])


def _rows(table: Mapping[str, str], values: Mapping[str, Any]) -> Iterable[str]:
    """A line a key; where a label has an older form, the newer one."""
    labels = {key: label for label, key in table.items() if key in values and not _OLD.search(label)}
    return [f"{label} : {_printed(values[key])}" for key, label in labels.items()]


def _printed(value: Any) -> str:
    return ("Yes" if value else "NO") if isinstance(value, bool) else str(value)


# --- values ----------------------------------------------------------------------------------------------------------


def _seeds(run: Run) -> Seeds:
    spec = run.recording.spec.loadgen
    return Seeds(qsl=spec.qsl_seed, sample_index=spec.sample_index_seed, schedule=spec.schedule_seed)


def _settings(run: Run, mode: str) -> dict[str, Any]:
    """Who wrote it, and what was asked for."""
    plan, spec, rules = run.plan, run.recording.spec, run.plan.rules
    seeds, scenario = _seeds(run), LOADGEN_SCENARIO[run.plan.rules.scenario]
    performance = mode == "PerformanceOnly"
    samples = plan.samples if performance or run.accuracy is None else run.accuracy.samples
    loaded = loadgen.loaded_set(seeds.qsl, samples).tolist()
    if scenario == "MultiStream":
        loaded += loaded[: loadgen.SAMPLES_PER_QUERY - 1]
    limits = {
        "requested_server_ttft_latency": rules.ttft_ms,
        "requested_server_tpot_latency": rules.tpot_ms,
        "requested_server_target_latency_ns": rules.latency_ms,
    }
    return {
        "generator": GENERATOR,
        "verified": False,
        "footnote": FOOTNOTE,
        "loadcell_round": rules.round,
        "loadcell_benchmark": rules.benchmark,
        "loadcell_scenario": rules.scenario,
        "loadcell_quick": plan.quick,
        "loadcell_shortened": plan.shortened,
        "loadcell_look_alike": plan.look_alike,
        "loadcell_dataset": f"{plan.dataset}, sha256 {plan.dataset_sha256}",
        "test_datetime": run.outcome.started_at,
        "sut_name": str(run.recording.manifest.effective.get("model") or "unknown model"),
        "qsl_reported_total_count": samples,
        "qsl_reported_performance_count": samples,
        **{key: round(value * 1e6) for key, value in limits.items() if value is not None},
        "effective_scenario": scenario,
        "effective_test_mode": mode,
        "effective_samples_per_query": run.outcome.score.samples if scenario == "Offline" else rules.samples_per_query,
        "effective_target_qps": spec.load.rate or plan.expected_qps,
        "effective_min_duration_ms": round(spec.loadgen.min_duration_s * 1000),
        "effective_min_query_count": 1 if scenario == "Offline" else spec.loadgen.min_queries,
        "effective_qsl_rng_seed": seeds.qsl,
        "effective_sample_index_rng_seed": seeds.sample_index,
        "effective_schedule_rng_seed": seeds.schedule,
        "effective_performance_sample_count": samples,
        "effective_sample_concatenate_permutation": spec.loadgen.equal_issue,
        "loaded_qsl_set": loaded,
    }


def _planned(run: Run) -> dict[str, Any]:
    """Queries as they were generated: with their time where it is known before the run."""
    plan, spec, score = run.plan, run.recording.spec, run.outcome.score
    scenario, equal = plan.rules.scenario, spec.loadgen.equal_issue
    if scenario == "offline":
        return {"generated_query_count": 1, "generated_samples_per_query": score.samples}
    if scenario in ("server", "interactive"):
        traffic = loadgen.traffic_of(spec.loadgen, plan.samples, rate=spec.load.rate, rows=0)
        return {
            "generated_query_count": len(traffic.samples),
            "generated_samples_per_query": 1,
            "generated_query_duration": traffic.duration_ns,
        }
    # A closed loop goes on as long as the time asks for: in whole passes where that is the rule.
    count = max(spec.loadgen.min_queries, score.queries)
    whole = scenario == "singlestream" and equal
    return {
        "generated_query_count": loadgen.whole_passes(count, plan.samples) if whole else count,
        "generated_samples_per_query": plan.rules.samples_per_query,
    }


def _results(run: Run) -> dict[str, Any]:
    score, found = run.outcome.score, run.outcome
    held = {finding.rule: finding.ok is not False for finding in sorted(found.findings, key=lambda f: f.ok is False)}
    offline = run.plan.rules.scenario == "offline"
    server = run.plan.rules.scenario in ("server", "interactive")
    limits = [held[f"{of}-limit"] for of in ("ttft", "tpot", "latency") if f"{of}-limit" in held]
    return {
        **_stamps(run),
        "result_validity": found.verdict,
        "result_invalid_reason": "; ".join(f.says for f in found.findings if f.ok is False) or None,
        "result_perf_constraints_met": all(limits) if server else None,
        "result_min_duration_met": held.get("min-duration"),
        "result_min_queries_met": held.get("min-query-count"),
        "early_stopping_met": all(test.met for test in score.early_stopping),
        **_proofs(score.early_stopping),
        "result_query_count": score.queries,
        "result_scheduled_samples_per_sec": score.scheduled_samples_per_s,
        "result_completed_samples_per_sec": score.samples_per_s_loadgen if not offline else None,
        "result_samples_per_second": score.samples_per_s_run if offline else None,
        "result_tokens_per_second": score.tokens_per_s_run if offline else None,
        "result_completed_tokens_per_second": None if offline else score.tokens_per_s_loadgen,
        "loadcell_samples_per_second_full_run": score.samples_per_s_run,
        "loadcell_tokens_per_second_full_run": score.tokens_per_s_run,
        "loadcell_output_tokens": score.tokens,
        **_block("latency", score.latency),
        **_block("query", score.query_latency),
        **_block("ttft", score.ttft),
        **_block("tpot", score.tpot),
        "num_errors": score.failed,
    }


def _stamps(run: Run) -> dict[str, str]:
    """Begin and end of the load, under the names that LoadGen has for them; no power was measured."""
    if run.outcome.score.end_ns is None:
        return {}
    begin = datetime.fromisoformat(run.outcome.started_at)
    end = begin + timedelta(microseconds=run.outcome.score.end_ns / 1000)
    form = "%m-%d-%Y %H:%M:%S.%f"
    return {"power_begin": begin.strftime(form)[:-3], "power_end": end.strftime(form)[:-3]}


def _proofs(tests: Iterable[EarlyStopping]) -> dict[str, str]:
    """What each test of early stopping says, in our own words."""
    found = {}
    for test in tests:
        name = "early_stopping_result" if test.of == "latency" else f"early_stopping_{test.of}_result"
        if test.limit_ns is None:
            words = f"estimate {test.estimate_ns} ns, {test.discarded} highest of {test.n} left out"
        else:
            words = f"{'met' if test.met else 'not met'}: {test.over} of {test.n} over {test.limit_ns} ns"
            words += "" if test.met else f", {test.more} more needed if all are in time"
        found[name] = words
        if test.limit_ns is None and test.estimate_ns is not None:
            found["loadcell_early_stopping_estimate_ns"] = str(test.estimate_ns)
    return found


def _block(of: str, block: Block | None) -> dict[str, int]:
    if block is None:
        return {}
    extreme, percentile = BLOCKS[of]
    ends = {"min": block.min_ns, "max": block.max_ns, "mean": block.mean_ns}
    return {extreme.format(name): value for name, value in ends.items()} | {
        percentile.format(name): value for name, value in block.percentiles_ns.items()
    }


# --- accuracy --------------------------------------------------------------------------------------------------------


def _accuracy_counts(run: Run) -> dict[str, Any]:
    assert run.accuracy is not None
    n, offline = run.accuracy.samples, run.plan.rules.scenario == "offline"
    return {
        "effective_samples_per_query": n if offline else run.plan.rules.samples_per_query,
        "generated_query_count": 1 if offline else n,
        "generated_samples_per_query": n if offline else run.plan.rules.samples_per_query,
        "num_errors": run.accuracy.missing,
    }


def _replies(run: Run, folder: Path) -> list[Path]:
    """The replies in LoadGen's order of accuracy mode, and the scores with the hash of the log."""
    assert run.accuracy is not None
    log, text = folder / ACCURACY_LOG, folder / ACCURACY_TEXT
    n, scenario = run.accuracy.samples, run.plan.rules.scenario
    equal = run.recording.spec.loadgen.equal_issue
    order = loadgen.accuracy_traffic(_seeds(run), n, kind(scenario), equal_issue=equal).samples.tolist()
    replies = settle(recorded_replies(run.folder), n).by_sample if run.has_replies else {}
    entries = [
        {"seq_id": place, "qsl_idx": sample, "data": replies[sample].text.encode().hex().upper(), "encoding": _ENCODING}
        | ({} if replies[sample].tokens is None else {"token_count": replies[sample].tokens})
        for place, sample in enumerate(order)
        if sample in replies
    ]
    log.write_bytes(b"[\n" + b",\n".join(msgspec.json.encode(entry) for entry in entries) + b"\n]\n")
    names = {"TOKENS_PER_SAMPLE": "tokens_per_sample"}
    scores = {names.get(name, name.lower()): value for name, value in run.accuracy.scores.items() if value is not None}
    if run.accuracy.tokens_per_sample is not None:
        scores.setdefault("tokens_per_sample", run.accuracy.tokens_per_sample)
    digest = hashlib.sha256(log.read_bytes()).hexdigest()
    head = f"{GENERATOR}: MLPerf-style accuracy, {UNVERIFIED}\n{FOOTNOTE}\n\n"
    line = msgspec.json.encode(scores | {"num-samples": run.accuracy.scored}).decode()
    text.write_text(f"{head}{line}\n\nhash={digest}\n", encoding="utf-8")
    return [log, text]
