"""A curve in the layout of MLPerf Endpoints v1.0: results/loadcell/MODEL/r<C>/. It is no submission, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.errors import RecordingError
from loadcell.mlperf.curve.folder import build_curve
from loadcell.mlperf.curve.metrics import Floats, Measured, measure
from loadcell.mlperf.curve.model import Curve, PointRun
from loadcell.mlperf.files.export_blocks import HEAD, Times, config, pattern, summary, write_yaml
from loadcell.mlperf.files.layout import CONFIG, POINT, RESULT
from loadcell.recording.read import dump_json, open_recording


def open_curve(folder: Path) -> Curve:
    """The curve in `folder`, judged again; RecordingError if no point of it was run."""
    curve = build_curve(folder)
    if not curve.points:
        raise RecordingError(f"{folder} has no whole point yet: loadcell mlperf curve {folder} --resume")
    return curve


def export_curve(curve: Curve, folder: Path, output: Path) -> list[Path]:
    """Write point.yaml, config.yaml and result_summary.json of every point; returns what was written."""
    written = []
    for one in curve.points:
        place = (
            output / "results" / "loadcell" / (one.point.model or curve.plan.benchmark) / f"r{one.point.concurrency}"
        )
        place.mkdir(parents=True)
        written += [place / POINT, place / CONFIG, place / RESULT]
        write_yaml(written[-3], _point(curve, one))
        write_yaml(written[-2], _config(curve, one))
        dump_json(written[-1], _summary(one, measure(open_recording(folder / one.planned.folder))))
    return written


def _point(curve: Curve, one: PointRun) -> dict[str, Any]:
    point, plan = one.point, curve.plan
    steady = point.steady
    gates = [] if steady is None else [trend.state for trend in steady.trends if trend.gating]
    return {
        **HEAD,
        "concurrency": point.concurrency,
        "region": point.region,
        "max_supported_concurrency": point.c_max,
        "c_min_override": point.c_min_override,
        "offline": point.offline,
        "division": "not submitted",
        "model_name": point.model,
        "dataset_name": point.dataset,
        "dataset": {"name": plan.dataset, "sha256": plan.dataset_sha256, "samples": plan.samples},
        "quick": plan.quick,
        "shortened": plan.shortened,
        "look_alike": plan.look_alike,
        "runtime_settings": {
            "load_pattern": point.load_pattern,
            "min_duration_ms": None if point.min_duration_s is None else round(point.min_duration_s * 1000),
            "stream_all_chunks": True,
            "runtime": _seeds(one),
        },
        "seed_set": None if point.seeds is None else point.seeds.id,
        "target_cohort": point.target_cohort,
        "warmup": None if point.warmup is None else msgspec.to_builtins(point.warmup) | {"data_source": "none"},
        "steady_state": None
        if steady is None
        else {
            "status": steady.status,
            "verdict": steady.verdict,
            "window": None if steady.window is None else msgspec.to_builtins(steady.window),
            "state": next((state for state in gates if state != "Plateau"), "Plateau" if gates else None),
            "basis": steady.basis,
        },
        "official": {"system_tps": point.system_tps, "tps_per_user": point.tps_per_user},
    }


def _seeds(one: PointRun) -> dict[str, int | None]:
    names = ("scheduler_rng_seed", "sample_index_rng_seed", "model_seed")
    return {name: getattr(one.point.seeds, name, None) for name in names}


def _pattern(one: PointRun) -> dict[str, Any]:
    return pattern(one.point.load_pattern, concurrency=one.point.concurrency)


def _config(curve: Curve, one: PointRun) -> dict[str, Any]:
    runtime = {"min_duration_ms": round(one.planned.min_duration_s * 1000), "n_samples_to_issue": one.planned.requests}
    return config("online", curve.plan.spec.endpoint.model, _pattern(one), runtime)


def _ns(values_ms: Floats) -> NDArray[np.int64]:
    """Those that are there, as whole nanoseconds."""
    return np.rint(values_ms[~np.isnan(values_ms)] * 1e6).astype(np.int64)


def _summary(one: PointRun, run: Measured) -> dict[str, Any]:
    """The whole run; what an official figure is taken from stands in point.yaml."""
    figures = one.run
    times = Times(
        ttft=_ns(run.ttft_ms),
        tpot=_ns(run.tpot_ms),
        latency=np.rint((run.end_s - run.issue_s)[run.ok] * 1e9).astype(np.int64),
        lengths=run.tokens[run.ok & ~np.isnan(run.tokens)].astype(np.int64),
    )
    return summary(
        "the moment a user is ready to send", times, _pattern(one), issued=figures.issued, failed=figures.failed,
        state=one.state, duration_ns=round(figures.duration_s * 1e9), qps=figures.completed / figures.duration_s,
        tps=None if figures.output_tokens is None else figures.output_tokens / figures.duration_s,
    )  # fmt: skip
