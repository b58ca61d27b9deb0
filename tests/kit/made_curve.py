"""Points of a curve that keep every rule, to be changed."""

from __future__ import annotations

from typing import Any

import msgspec

from loadcell.mlperf.curve.model import (
    CurvePoint,
    Figures,
    PlannedPoint,
    PointRun,
    Stated,
    Steady,
    Trend,
    UsedSeeds,
    Warmup,
    Window,
)
from loadcell.mlperf.curve.regions import region_of, regions_of
from loadcell.mlperf.rules import endpoints_rules

SET = endpoints_rules().seed_sets[0]
STEADY = Steady(
    status="windowable",
    verdict="STEADY STATE",
    super_passes=6,
    window=Window(super_pass_start=1, super_pass_end=6, super_pass_size=13368, n_samples=66840, duration_s=1300),
    trends=[Trend(metric="tpot_p90_ms", gating=True, state="Plateau", values=[])],
)


def point(concurrency: int, **fields: Any) -> CurvePoint:
    return CurvePoint(
        **{
            "where": f"r{concurrency}",
            "concurrency": concurrency,
            "region": region_of(regions_of(256, 2), concurrency),
            "c_max": 256,
            "offline": "elected" if concurrency == 256 else None,
            "load_pattern": "concurrency",
            "model": "llama3_1-8b",
            "dataset": "cnn_dailymail",
            "dataset_size": 13368,
            "issue_span_s": 1300.0,
            "duration_s": 1310.0,
            "issued": 80208,
            "completed": 80208,
            "failed": 0,
            "output_tokens": 80208 * 128,
            "system_tps": 80208 * 128 / 1310,
            "tps_per_user": 100.0,
            "tpot_p90_ms": 10.0,
            "ttft_p90_ms": 200.0,
            "steady": STEADY,
            "steady_basis": "window",
            "stated": Stated(
                duration_s=1310.0, output_tokens=80208 * 128, system_tps=80208 * 128 / 1310, tpot_p90_ms=10.0,
                tps_per_user=100.0,
            ),
            "warmup": Warmup(duration_s=0, requests_issued=0),
            "seeds": UsedSeeds(
                id=SET.id, scheduler_rng_seed=SET.scheduler_rng_seed, sample_index_rng_seed=SET.sample_index_rng_seed,
                model_seed=SET.model_seed,
            ),
            "target_cohort": SET.cohort,
            "accuracy_passed": True,
            "accuracy_samples": 13368,
            "has_summary": True,
            "dirname_concurrency": concurrency,
        }
        | fields
    )  # fmt: skip


def changed(value: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(value, **fields)


def run_of(user: float | None, total: float | None, verdict: str = "STEADY STATE") -> PointRun:
    figures = Figures(
        duration_s=1, issued=1, completed=1, failed=0, output_tokens=1, system_tps=total, tps_per_user=user,
        tpot_p50_ms=None, tpot_p90_ms=None, ttft_p50_ms=None, ttft_p90_ms=None, tpot_samples=1,
    )  # fmt: skip
    planned = PlannedPoint(folder="r2", concurrency=2, region="low_latency", min_duration_s=1)
    one = point(2, system_tps=total, tps_per_user=user, steady=changed(STEADY, verdict=verdict))
    return PointRun(planned=planned, point=one, run=figures, window=None, state="complete", instrument="VALID")
