"""An export in the layout of the MLPerf Endpoints client's output. It names its generator, and is no submission.

Latencies count from the scheduled time and percentile p is element floor(n p), as in our own figures; the client's
count from the issue.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from loadcell.mlperf.files.export_blocks import HEAD, Times, config, pattern, summary, write_yaml
from loadcell.mlperf.files.exported import Run
from loadcell.mlperf.files.layout import ACCURACY_RESULT, CONFIG, RESULT
from loadcell.mlperf.model import Accuracy, Rules
from loadcell.mlperf.score import latencies
from loadcell.recording.read import dump_json

WindowName = Literal["loadgen", "run"]
_COUNTS = ("GEN_LEN", "TOKENS_PER_SAMPLE")
"""Scores that count output instead of grading it."""


def export_endpoints(run: Run, folder: Path, *, window: WindowName | None = None) -> list[Path]:
    """Write config.yaml, performance/, accuracy/ (if there was a pass) and measurements.json; returns what was written.

    `window` is what qps and tps are over: LoadGen's (default in server and interactive) or the full run.
    """
    server = run.plan.rules.scenario in ("server", "interactive")
    legacy = server if window is None else window == "loadgen"
    written = [folder / CONFIG, folder / "performance" / RESULT]
    written[1].parent.mkdir()
    write_yaml(written[0], _config(run))
    dump_json(written[1], _summary(run, legacy))
    if run.accuracy is not None:
        written.append(folder / "accuracy" / ACCURACY_RESULT)
        written[-1].parent.mkdir()
        dump_json(written[-1], _accuracy(run.accuracy, run.plan.rules))
    written.append(folder / "measurements.json")
    dump_json(written[-1], _measurements())
    return written


def _pattern(run: Run) -> dict[str, Any]:
    load, scenario = run.recording.spec.load, run.plan.rules.scenario
    if scenario in ("server", "interactive"):
        return pattern("poisson", qps=load.rate)
    return pattern("max_throughput") if scenario == "offline" else pattern("concurrency", concurrency=load.concurrency)


def _seeds(run: Run) -> dict[str, int]:
    loadgen = run.recording.spec.loadgen
    return {"scheduler_random_seed": loadgen.schedule_seed, "dataloader_random_seed": loadgen.sample_index_seed}


def _config(run: Run) -> dict[str, Any]:
    plan, spec = run.plan, run.recording.spec
    runtime = {
        "min_duration_ms": round(spec.loadgen.min_duration_s * 1000),
        "max_duration_ms": None,
        "n_samples_to_issue": plan.queries,
        **_seeds(run),
    }
    kind = "offline" if plan.rules.scenario == "offline" else "online"
    model = run.recording.manifest.effective.get("model")
    return config(kind, model, _pattern(run), runtime, streaming=spec.endpoint.stream) | {
        "datasets": [{"name": plan.dataset, "sha256": plan.dataset_sha256, "samples": plan.samples}],
        "loadcell": {
            "round": plan.rules.round,
            "benchmark": plan.rules.benchmark,
            "scenario": plan.rules.scenario,
            "quick": plan.quick,
            "shortened": plan.shortened,
            "look_alike": plan.look_alike,
            "traffic": "LoadGen's, which is not the Endpoints client's for the same seeds",
            "qsl_seed": spec.loadgen.qsl_seed,
        },
    }


def _summary(run: Run, legacy: bool) -> dict[str, Any]:
    score, queries = run.outcome.score, run.queries
    found = latencies(queries)
    lengths = queries.tokens[queries.ok & ~np.isnan(queries.tokens)].astype(np.int64)
    return summary(
        "the scheduled time", Times(found.ttft, found.tpot, found.latency, lengths), _pattern(run),
        issued=score.samples, failed=score.failed, state=run.outcome.state, duration_ns=score.end_ns,
        qps=score.samples_per_s_loadgen if legacy else score.samples_per_s_run,
        tps=score.tokens_per_s_loadgen if legacy else score.tokens_per_s_run,
        window_ns=score.last_issued_done_ns if legacy else None, legacy=legacy, seeds=_seeds(run),
    )  # fmt: skip


def _accuracy(found: Accuracy, rules: Rules) -> dict[str, Any]:
    """The scores: the grade alone where there is one, else all by name."""
    grades = {name: value for name, value in found.scores.items() if name not in _COUNTS}
    lone = next(iter(grades.values())) if len(grades) == 1 else None
    known = [value for value in grades.values() if value is not None]
    lengths = None if found.tokens_per_sample is None else {"avg": found.tokens_per_sample}
    first = rules.gates[0].metric if rules.gates else None
    return {
        **HEAD,
        "average_accuracy": found.scores.get(first) if first is not None else (known[0] if known else None),
        "accuracy_scores": [
            {
                "dataset_name": f"{rules.benchmark}{' (look-alike)' if found.look_alike else ''}",
                "dataset_type": "accuracy",
                "score": found.scores if lone is None else lone,
                "unit_samples": found.samples,
                "num_repeats": 1,
                "total_samples": found.scored,
                "complete": found.missing == 0,
                "breakdown": {
                    "subset_scores": found.subsets, "total_samples": found.scored, "complete": found.missing == 0,
                },
                "response_counts": {
                    "issued": found.samples, "scored": found.scored, "empty": found.empty, "missing": found.missing,
                },
                "output_sequence_lengths": lengths,
            }
        ],
        "passed": found.passed,
    }  # fmt: skip


def _measurements() -> dict[str, Any]:
    """What only those who made the model know is null."""
    names = (
        "input_data_types", "retraining", "starting_weights_filename", "weight_data_types", "weight_transformations",
    )  # fmt: skip
    return {**HEAD, **dict.fromkeys(names)}
