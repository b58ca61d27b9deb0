"""Points of an MLPerf Endpoints curve, from the folders r<C> of a submission to what the curve's checks read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import msgspec

from loadcell.mlperf.curve.model import CurvePoint, Stated, Status, Steady, UsedSeeds, Warmup, Window, Word
from loadcell.mlperf.files.checks_endpoints import scores_of
from loadcell.mlperf.files.endpoints import (
    AccuracyResults,
    PointYaml,
    ResultSummary,
    read_accuracy,
    read_point,
    read_summary,
)
from loadcell.mlperf.files.layout import ACCURACY_RESULT, POINT, RESULT
from loadcell.mlperf.files.reading import dug
from loadcell.mlperf.findings import failed
from loadcell.mlperf.model import Finding
from loadcell.mlperf.rules import endpoints_rules

_FOLDER = re.compile(r"r(\d+)$")


def read_curve_point(folder: Path, problems: list[Finding]) -> tuple[CurvePoint, ResultSummary | None]:
    """One point, and its summary if there is one; what is wrong with its files goes to `problems`."""
    point = read_point(folder / POINT, problems)
    summary = read_summary(folder / RESULT, problems) if (folder / RESULT).is_file() else None
    accuracy = read_accuracy(folder / ACCURACY_RESULT, problems) if (folder / ACCURACY_RESULT).is_file() else None
    model = folder.resolve().parent.name
    passed, samples = _accuracy(accuracy, model)
    pattern = dug(point.runtime_settings, "load_pattern")
    pattern = dug(pattern, "type") if isinstance(pattern, dict) else pattern
    named = _FOLDER.match(folder.resolve().name)
    settings = point.runtime_settings
    steady = _steady(point, folder / POINT, problems)
    return CurvePoint(
        where=str(folder),
        concurrency=point.concurrency,
        region=point.region,
        c_max=point.max_supported_concurrency,
        c_min_override=point.c_min_override,
        offline=_offline(point.offline),
        agentic=pattern == "agentic_inference",
        load_pattern=_text(pattern),
        model=model,
        dataset=point.dataset_name,
        min_duration_s=_scaled(dug(settings, "min_duration_ms"), 1e-3),
        issue_span_s=None if steady is None or steady.window is None else steady.window.duration_s,
        steady=steady,
        warmup=_warmup(point, summary),
        seeds=_seeds(point),
        target_cohort=point.target_cohort,
        accuracy_passed=passed,
        accuracy_samples=samples,
        has_summary=summary is not None,
        dirname_concurrency=int(named[1]) if named else None,
        **_figures(summary),
    ), summary


def _figures(summary: ResultSummary | None) -> dict[str, Any]:
    """The figures of a summary: those that count, and those that it states beside them."""
    if summary is None:
        return {}
    tpot = None if summary.tpot is None else _scaled(summary.tpot.percentiles.get("90.0"), 1e-6)
    lengths = summary.output_sequence_lengths
    total = None if lengths is None or lengths.total is None else int(lengths.total)
    return {
        "duration_s": _scaled(summary.duration_ns, 1e-9),
        "issued": summary.n_samples_issued,
        "completed": summary.n_samples_completed,
        "failed": summary.n_samples_failed,
        "output_tokens": total,
        "system_tps": summary.tps,
        "tpot_p90_ms": tpot,
        "ttft_p90_ms": None if summary.ttft is None else _scaled(summary.ttft.percentiles.get("90.0"), 1e-6),
        "tps_per_user": 1000 / tpot if tpot else None,
        "stated": Stated(system_tps=summary.tps),
    }


def _scaled(value: Any, factor: float) -> float | None:
    return value * factor if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    return value if type(value) is int else None


def _offline(value: Any) -> Any:
    """dedicated or elected, as text or as the type in a map; None for anything else."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("type", "mode", "kind") if key in value), None)
    return value if value in ("dedicated", "elected") else None


def _steady(point: PointYaml, path: Path, problems: list[Finding]) -> Steady | None:
    told = point.steady_state
    if told is None:
        return None
    status, verdict = told.get("status"), told.get("verdict")
    if verdict is None or verdict not in get_args(Word) or status not in (None, *get_args(Status)):
        says = f"{path.name}: steady_state is {status!r:.40}, {verdict!r:.40}; status is one of "
        says += f"{', '.join(get_args(Status))}; verdict one of {', '.join(get_args(Word))}"
        problems.append(failed("steady-state-valid", says, path))
        return None
    window = None
    if isinstance(told.get("window"), dict):
        try:
            window = msgspec.convert(told["window"], Window)
        except msgspec.ValidationError as error:
            problems.append(failed("file-fields", f"{path.name}: steady_state.window: {error}", path))
    return Steady(status=status, verdict=verdict, super_passes=0.0, window=window)


def _warmup(point: PointYaml, summary: ResultSummary | None) -> Warmup | None:
    told = point.warmup
    if told is None:
        return None
    salt = dug(summary.run_config.warmup, "salt") if summary and summary.run_config else None
    return Warmup(
        duration_s=_scaled(told.get("duration_s"), 1.0),
        requests_issued=_whole(told.get("requests_issued")),
        requests_completed=_whole(told.get("requests_completed")),
        data_source=_text(told.get("data_source")),
        salted=salt if isinstance(salt, bool) else None,
    )


def _seeds(point: PointYaml) -> UsedSeeds:
    name = point.seed_set
    runtime = dug(point.runtime_settings, "runtime")
    return UsedSeeds(
        id=_text(name.get("id") if isinstance(name, dict) else name),
        scheduler_rng_seed=_whole(dug(runtime, "scheduler_rng_seed")),
        sample_index_rng_seed=_whole(dug(runtime, "sample_index_rng_seed")),
        model_seed=_whole(dug(runtime, "model_seed")),
    )


def _accuracy(found: AccuracyResults | None, model: str) -> tuple[bool | None, int | None]:
    """Whether the gate of the model holds, and over how many samples; None where there was no accuracy run."""
    gates = endpoints_rules().accuracy_gates.get(model)
    if found is None or not found.accuracy_scores or gates is None:
        return None, None
    lone = "exact_match" if "exact_match_min" in gates else "rouge1"
    scores = {name.lower(): value for name, value in scores_of(found, lone).items()}
    samples = sum(each.total_samples or 0 for each in found.accuracy_scores)
    return all(_holds(gate, bound, scores) for gate, bound in gates.items() if gate != "samples"), samples


def _holds(gate: str, bound: Any, scores: dict[str, float]) -> bool:
    name, _, kind = gate.rpartition("_")
    value = scores.get(name)
    if value is None:
        return False
    return bool(bound[0] <= value <= bound[1]) if kind == "range" else bool(value >= bound)
