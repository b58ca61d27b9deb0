"""The rules for an accuracy run of LoadGen: the whole data set answered, the gate, the hash of what was cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from loadcell.mlperf.files.accuracy_log import AccuracyLog, AccuracyText
from loadcell.mlperf.files.checks_performance import check_common, check_errors, missing
from loadcell.mlperf.files.checks_traffic import check_accuracy_traffic
from loadcell.mlperf.files.loadgen_logs import Detail, Summary
from loadcell.mlperf.findings import failed, judged, noted
from loadcell.mlperf.model import Finding, Gate, Rules, Scenario
from loadcell.workload.loadgen import Seeds

_SAMPLES = ("gen_num", "num-samples", "num_samples", "total_samples")
"""How evaluators call the number of replies that they scored."""


def check_accuracy_log(
    detail: Detail,
    summary: Summary | None,
    log: AccuracyLog,
    text: AccuracyText,
    *,
    seeds: Seeds | None,
    scenario: Scenario | None,
    rules: Rules | None,
    max_log_bytes: int,
) -> Iterator[Finding]:
    """Everything about an accuracy run; without `rules`, what needs no benchmark."""
    yield from check_common(detail, seeds, scenario, "AccuracyOnly")
    # LoadGen counts no errors in this mode: the summary does.
    if detail.errors or summary is None or summary.errors is not None:
        yield from check_errors(detail, summary)
    yield from check_accuracy_traffic(detail, log, scenario)
    yield from _complete(detail, log, text, rules)
    yield from _hash(log, text, max_log_bytes)
    if rules is not None and text.scores:
        yield from check_gates(rules, text.scores, text.path)


def _complete(detail: Detail, log: AccuracyLog, text: AccuracyText, rules: Rules | None) -> Iterator[Finding]:
    """Every sample of the data set is answered and scored once."""
    total = detail.integer("qsl_reported_total_count")
    if total is None:
        yield missing("accuracy-complete", detail, "qsl_reported_total_count")
        return
    want = total if rules is None else rules.accuracy_sample_count
    says = f"a data set of {total:,} samples, {want:,} asked for"
    yield judged("accuracy-complete", total >= want, says, detail.path, "run over the whole data set")
    key = "generated_samples_per_query" if detail.text("effective_scenario") == "Offline" else "generated_query_count"
    if (sent := detail.integer(key)) is None:
        yield missing("accuracy-complete", detail, key)
    elif detail.text("effective_scenario") != "MultiStream":
        yield judged("accuracy-complete", sent >= want, f"{sent:,} samples sent of {want:,}", detail.path)
    scored = next((int(text.scores[name]) for name in _SAMPLES if name in text.scores), None)
    if scored is not None:
        yield judged("accuracy-complete", scored >= want, f"{scored:,} replies scored of {want:,}", text.path)
    if log.truncated or not log.replies:
        return
    answered = {reply.sample for reply in log.replies}
    twice = len(log.replies) - len(answered)
    says = f"{len(answered):,} of {want:,} samples answered in {log.path.name}" + (
        f", {twice:,} twice" if twice else ""
    )
    advice = "every sample is answered exactly once"
    yield judged("accuracy-complete", len(answered) >= want and not twice, says, log.path, advice)
    empty = sum(not reply.data for reply in log.replies)
    if empty:
        yield noted("accuracy-complete", f"{empty:,} replies are empty", log.path)


def _hash(log: AccuracyLog, text: AccuracyText, max_log_bytes: int) -> Iterator[Finding]:
    """The hash in accuracy.txt is that of the whole log; of a truncated one it can only be there."""
    if log.size is None:
        return
    if log.truncated or log.size <= max_log_bytes:
        ok = not log.truncated or log.size <= max_log_bytes
        says = f"{log.path.name} has {log.size:,} bytes, at most {max_log_bytes:,} in a submission"
        yield judged("accuracy-log-size", ok, says, log.path, "keep its first and last 4096 bytes")
    else:
        says = f"{log.path.name} is whole, {log.size:,} bytes: a submission keeps its first and last 4096 bytes"
        yield noted("accuracy-log-size", says, log.path)
    if text.sha256 is None:
        if log.truncated:
            advice = "append hash=SHA256 of the whole log to accuracy.txt"
            yield failed("accuracy-hash", f"{text.path.name} has no line hash=...", text.path, advice)
        return
    if len(text.sha256) != 64:
        says = f"the hash has {len(text.sha256)} digits; a SHA-256 has 64"
        yield failed("accuracy-hash", says, text.path)
    elif log.truncated:
        says = "the hash of the whole log is there; only the truncated log is, so it cannot be compared"
        yield noted("accuracy-hash", says, text.path)
    else:
        ok = log.sha256 == text.sha256
        says = f"the log's SHA-256 is {str(log.sha256)[:12]}..., {text.path.name} says {text.sha256[:12]}..."
        yield judged("accuracy-hash", ok, says, text.path, "score the log that is there")


def check_gates(rules: Rules, scores: Mapping[str, float], where: Path) -> Iterator[Finding]:
    """Every gate of the benchmark on the scores, whose names may be in any case; a missing one fails."""
    known = {name.lower().replace("_", "").replace("-", ""): value for name, value in scores.items()}
    if not rules.gates:
        yield noted("accuracy-gate", f"{rules.benchmark} has no gate in {rules.round}", where)
    for gate in rules.gates:
        value = known.get(gate.metric.lower().replace("_", "").replace("-", ""))
        if value is None:
            says = f"no score {gate.metric}, which must be {_bound(gate)}; there are: {', '.join(scores) or 'none'}"
            yield failed("accuracy-gate", says, where, "score with the benchmark's own metric")
        else:
            says = f"{gate.metric} {value:,.10g}, must be {_bound(gate)}"
            yield judged("accuracy-gate", gate.holds(value), says, where)


def _bound(gate: Gate) -> str:
    word = "at least" if gate.op == ">=" else "at most"
    return f"{word} {gate.threshold:,.10g} ({gate.factor:g} x {gate.reference:,.10g})"
