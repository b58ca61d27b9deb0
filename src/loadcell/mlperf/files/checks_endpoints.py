"""The rules for output of the MLPerf Endpoints client in place of LoadGen's logs (v6.1)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from loadcell.mlperf import early_stopping
from loadcell.mlperf import rules as known
from loadcell.mlperf.evidence import Evidence, Told, judge_evidence, judge_seeds
from loadcell.mlperf.files.checks_accuracy import check_gates
from loadcell.mlperf.files.endpoints import AccuracyResults, Config, ResultSummary, Stats
from loadcell.mlperf.findings import failed, held, judged, noted
from loadcell.mlperf.model import MS, TITLES, Finding, Of, Rules
from loadcell.workload.loadgen import Seeds

FIELDS: tuple[Of, ...] = ("ttft", "tpot", "latency")
_EDITED = "figures of one run fit together: take the file as the client wrote it"
NEAR = 1e-6
"""Relative room for figures that come from each other in double arithmetic."""


def check_summary(summary: ResultSummary, path: Path, rules: Rules | None) -> Iterator[Finding]:
    """result_summary.json: counts, state, order, windows, and with `rules` the limits and least numbers."""
    yield from _own(summary, path)
    yield from _counts(summary, path)
    for name in FIELDS:
        stats = getattr(summary, name)
        if stats is not None:
            yield from _block(name, stats, summary.n_samples_completed, path)
    yield from _rates(summary, path)
    if rules is not None:
        told = list(_evidence(summary, rules))
        yield from judge_evidence(Evidence(rules=rules, told=told, where=path, untold=False))


def _own(summary: ResultSummary, path: Path) -> Iterator[Finding]:
    if summary.generator is not None:
        says = f"written by {summary.generator}, not by the MLPerf Endpoints client: no submission can be made of it"
        yield noted("load-generator", says, path)


def _counts(summary: ResultSummary, path: Path) -> Iterator[Finding]:
    issued, completed, lost = summary.n_samples_issued, summary.n_samples_completed, summary.n_samples_failed
    if summary.state is not None or summary.complete is not None:
        ok = summary.state == "complete" and summary.complete is not False
        says = f"state {summary.state}, complete {summary.complete}"
        yield judged("run-complete", ok, says, path, "let the run end by itself")
    if lost is not None:
        yield judged("errors", lost == 0, f"{lost:,} samples failed", path, "every failed sample counts: run again")
    if issued is None or completed is None or lost is None:
        return
    # The client counts what failed as completed too.
    ok = completed + lost == issued or (completed == issued and lost <= completed)
    says = f"{completed:,} completed and {lost:,} failed of {issued:,} issued"
    yield judged("metric-consistency-accounting", ok and min(issued, completed, lost) >= 0, says, path, _EDITED)


def _block(name: str, stats: Stats, n: int | None, path: Path) -> Iterator[Finding]:
    """Percentiles rise and lie between the extremes; early stopping's estimates are no lower, and there when proven."""
    known_p = [(key, value) for key, value in _sorted(stats.percentiles) if value is not None]
    ends = [("min", stats.min), *known_p, ("max", stats.max)]
    series = [(key, value) for key, value in ends if value is not None]
    wrong = [(a, b) for a, b in pairwise(series) if a[1] > b[1] * (1 + 1e-12)]
    says = "; ".join(f"{a} {x:,.0f} is above {b} {y:,.0f}" for (a, x), (b, y) in wrong)
    yield judged(f"{name}-order", not wrong, says or f"{name}: percentiles in order", path, _EDITED)
    if stats.avg is not None and stats.min is not None and stats.max is not None:
        low, high = stats.min * (1 - 1e-12), stats.max * (1 + 1e-12)
        if not low <= stats.avg <= high:
            yield failed(f"{name}-order", f"{name} avg {stats.avg:,.0f} is outside min and max", path, _EDITED)
        # A figure that not every sample has, as TPOT, is an average over fewer.
        if n and stats.total is not None and name != "tpot" and abs(stats.total / n - stats.avg) > NEAR * stats.avg:
            says = f"{name}: total / {n:,} is {stats.total / n:,.0f}, avg {stats.avg:,.0f}"
            yield failed(f"{name}-order", says, path, _EDITED)
    yield from _estimates(name, stats, n, path)


def _sorted(percentiles: dict[str, float | None]) -> list[tuple[str, float | None]]:
    """By number; keys that are none stand last and are told of elsewhere."""
    numbered = [(float(key), key) for key in percentiles if key.replace(".", "", 1).isdigit()]
    return [(key, percentiles[key]) for _, key in sorted(numbered)]


def _estimates(name: str, stats: Stats, n: int | None, path: Path) -> Iterator[Finding]:
    wrong = []
    for key, bound in _sorted(stats.early_stopping_percentiles):
        plain = stats.percentiles.get(key)
        if bound is not None and plain is not None and bound < plain * (1 - 1e-12):
            wrong.append(f"p{key} {bound:,.0f} is below the plain percentile {plain:,.0f}")
        if n is None or not 50 <= float(key) < 100 or name == "tpot":
            continue
        least = early_stopping.least_samples(float(key) / 100, 1)
        if bound is not None and n < least:
            wrong.append(f"p{key} has an estimate from {n:,} samples; it takes {least:,}")
        elif bound is None and n >= least:
            wrong.append(f"p{key} has no estimate from {n:,} samples; {least:,} are enough")
    yield judged(f"{name}-early-stopping", not wrong, "; ".join(wrong) or f"{name}: estimates in order", path, _EDITED)


def window_ns(summary: ResultSummary) -> float | None:
    """The window that qps and tps are over: LoadGen's where it is given, else the full run."""
    legacy = summary.legacy_loadgen_window_duration_ns
    return summary.duration_ns if legacy is None else legacy


def _rates(summary: ResultSummary, path: Path) -> Iterator[Finding]:
    window, legacy = window_ns(summary), summary.legacy_loadgen_window_duration_ns
    if legacy is not None and summary.duration_ns is not None:
        says = f"LoadGen's window {legacy / 1e9:,.1f} s, the run {summary.duration_ns / 1e9:,.1f} s"
        yield judged("window", 0 < legacy <= summary.duration_ns * (1 + NEAR), says, path, _EDITED)
    if window is None or window <= 0:
        return
    done, lengths = summary.n_samples_completed, summary.output_sequence_lengths
    if done is not None and summary.qps is not None:
        counted = done - 1 if legacy is not None else done
        yield _close("metric-consistency-qps", "qps", summary.qps, counted / window * 1e9, path)
    if summary.tps is not None and lengths is not None and lengths.total is not None:
        yield _close("metric-consistency-system-tps", "tps", summary.tps, lengths.total / window * 1e9, path)
    if lengths is not None and lengths.total is not None and lengths.avg is not None and done:
        yield _close("metric-consistency-output-tokens", "tokens a sample", lengths.avg, lengths.total / done, path)


def _close(rule: str, what: str, stated: float, derived: float, path: Path) -> Finding:
    says = f"{what} {stated:,.6g}, {derived:,.6g} by counts and window"
    return judged(rule, abs(stated - derived) <= NEAR * max(abs(stated), abs(derived)), says, path, _EDITED)


def _evidence(summary: ResultSummary, rules: Rules) -> Iterator[Told]:
    """What the summary tells the rules for all runs; a percentile counts by its estimate, and without one not."""
    n, lengths = summary.n_samples_completed, summary.output_sequence_lengths
    if rules.scenario in ("server", "interactive") and rules.percentile is not None:
        for of in FIELDS:
            stats: Stats | None = getattr(summary, of)
            bound = None if stats is None else stats.early_stopping_percentiles.get(f"{rules.percentile * 100:.1f}")
            title = f"{TITLES[of]} at p{rules.percentile * 100:g}"
            if bound is None:
                says = f"{title} has no early-stopping estimate ({n or 0:,} samples): nothing is proven"
                least = early_stopping.least_samples(rules.percentile, 1)
                yield Told(f"{of}-limit", None, says, f"complete at least {least} samples")
            else:
                yield Told(f"{of}-limit", bound / MS, f"{title} by early stopping")
    if summary.n_samples_issued is not None:
        floor = rules.performance_sample_count
        floor = rules.offline_min_samples or floor if rules.scenario == "offline" else floor
        cure = "send the whole data set at least once"
        yield Told("min-query-count", summary.n_samples_issued, "samples issued", cure, floor)
    if summary.duration_ns is not None:
        yield Told("min-duration", summary.duration_ns / 1e9, "the run took")
    if lengths is not None and lengths.avg is not None:
        yield Told("output-length", lengths.avg, "")


def check_config(
    config: Config, summary: ResultSummary, path: Path, rules: Rules | None, seeds: Seeds
) -> Iterator[Finding]:
    """config.yaml: seeds, load pattern, streaming, duration; what the summary repeats of it must be the same."""
    runtime = config.settings.runtime if config.settings else None
    pattern = config.settings.load_pattern if config.settings else None
    done = summary.run_config
    used = {}
    for key, name in known.endpoints_submission().seed_keys.items():
        field = key.rpartition(".")[2]
        found, ran = getattr(runtime, field, None), getattr(done, field, None)
        used[field] = (found, getattr(seeds, name.removesuffix("_rng_seed")))
        if ran is not None and found is not None and ran != found:
            yield failed("seed-runtime-match", f"{field}: {found} in {path.name}, {ran} in the summary", path, _EDITED)
    yield judge_seeds(used, "the round", path)
    ran_pattern = done.load_pattern if done else None
    for field in ("type", "target_qps", "target_concurrency"):
        asked, ran = getattr(pattern, field, None), getattr(ran_pattern, field, None)
        if asked is not None and ran is not None and asked != ran:
            says = f"load_pattern.{field}: {asked} in {path.name}, {ran} in the summary"
            yield failed("load-pattern", says, path, _EDITED)
    if rules is None:
        return
    yield from _pattern(config, rules, path)
    least_ms = getattr(runtime, "min_duration_ms", None)
    told = [
        Told("min-duration", None, "min_duration_ms is missing", "set it")
        if least_ms is None
        else Told("min-duration", least_ms / 1000, "min_duration_ms is", "set it")
    ]
    streaming = config.model_params.streaming if config.model_params else None
    on = streaming is True or (isinstance(streaming, str) and streaming.lower() in ("on", "true", "yes"))
    told.append(Told("streaming", on, f"streaming {streaming}", "token latencies need model_params.streaming: on"))
    yield from judge_evidence(Evidence(rules=rules, told=told, where=path, untold=False))


_PATTERNS = {"server": ("poisson",), "interactive": ("poisson",), "offline": ("max_throughput", "burst", "offline")}
_TYPES = {"server": ("online",), "interactive": ("online",), "offline": ("offline",), "singlestream": ("online",)}


def _pattern(config: Config, rules: Rules, path: Path) -> Iterator[Finding]:
    pattern = config.settings.load_pattern if config.settings else None
    kind = None if pattern is None else pattern.type
    if (wanted := _PATTERNS.get(rules.scenario)) is not None:
        says = f"load pattern {kind or 'missing'} in {rules.scenario}, {' or '.join(wanted)} expected"
        yield judged("load-pattern", kind in wanted, says, path, f"use load_pattern.type: {wanted[0]}")
    if (types := _TYPES.get(rules.scenario)) is not None:
        says = f"type {config.type or 'missing'} in {rules.scenario}, {' or '.join(types)} expected"
        yield judged("benchmark-type-consistency", config.type in types, says, path, f"use type: {types[0]}")


def check_accuracy(found: AccuracyResults, path: Path, rules: Rules | None) -> Iterator[Finding]:
    """accuracy_results.json: complete, all scored, and above the gate."""
    if not found.accuracy_scores:
        yield failed("accuracy-gate", f"{path.name} holds no scores", path, "run the accuracy pass")
        return
    scored = 0
    for score in found.accuracy_scores:
        name, counts = score.dataset_name or "a data set", score.response_counts
        if score.complete is not True:
            yield failed("accuracy-complete", f"{name}: complete is {score.complete}", path, "run it to its end")
        if counts is not None:
            ok = counts.issued == counts.scored and not counts.missing
            says = f"{name}: {counts.scored} scored of {counts.issued} issued, {counts.missing} missing"
            yield judged("accuracy-complete", ok, says, path, "every sample is answered and scored")
            if counts.empty:
                yield noted("accuracy-complete", f"{name}: {counts.empty:,} replies are empty", path)
        scored += score.total_samples or 0
    if rules is None:
        return
    says = f"{scored:,} samples scored of {rules.accuracy_sample_count:,}"
    ok = scored >= rules.accuracy_sample_count
    yield judged("accuracy-sample-count", ok, says, path, "score the whole data set")
    scores = scores_of(found, rules.gates[0].metric if rules.gates else None)
    lengths = [each.output_sequence_lengths for each in found.accuracy_scores]
    if len(lengths) == 1 and lengths[0] is not None and lengths[0].avg is not None:
        scores.setdefault("TOKENS_PER_SAMPLE", lengths[0].avg)
    yield from check_gates(rules, scores, path)


def scores_of(found: AccuracyResults, lone: str | None) -> dict[str, float]:
    """The scores by name. One figure alone, or the mean of several, is that of the metric `lone`."""
    scores: dict[str, float] = {}
    for each in found.accuracy_scores:
        if isinstance(each.score, dict):
            scores |= {name: value for name, value in each.score.items() if value is not None}
    numbers = [each.score for each in found.accuracy_scores if isinstance(each.score, float | int)]
    figure = numbers[0] if len(numbers) == 1 else found.average_accuracy if numbers else None
    if figure is not None and lone is not None:
        scores.setdefault(lone, figure)
    return scores


def check_allowed(rules: Rules, path: Path) -> Finding:
    """Whether the round takes the client's output for this benchmark at all."""
    allowed = known.endpoints_submission().allowed_models
    if rules.round == "v6.1" and rules.benchmark in allowed:
        return held("model-name-valid", f"{rules.benchmark} may come from the Endpoints client in {rules.round}", path)
    says = f"{rules.benchmark} in {rules.round} needs LoadGen's logs; v6.1 takes the client's for {', '.join(allowed)}"
    return failed("model-name-valid", says, path, "run it with LoadGen, or as another benchmark")
