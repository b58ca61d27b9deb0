"""The files of the MLPerf Endpoints client: config.yaml, result_summary.json, accuracy_results.json, point.yaml.

Latencies are ns, throughputs per second. Every field has a default: what is missing or of another type is a finding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from loadcell.mlperf.files.reading import read_json, read_yaml, typed
from loadcell.mlperf.model import Finding

T = TypeVar("T")


class Stats(msgspec.Struct, kw_only=True, frozen=True):
    """Statistics of one figure; percentiles by their decimal text, as in 99.9."""

    total: float | None = None
    min: float | None = None
    max: float | None = None
    median: float | None = None
    avg: float | None = None
    std_dev: float | None = None
    percentiles: dict[str, float | None] = {}
    early_stopping_percentiles: dict[str, float | None] = {}
    histogram: dict[str, Any] | None = None


class LoadPattern(msgspec.Struct, kw_only=True, frozen=True):
    """How requests arrive."""

    type: str | None = None
    target_qps: float | None = None
    target_concurrency: int | None = None
    use_legacy_loadgen_qps_metrics: bool | None = None


class RunConfig(msgspec.Struct, kw_only=True, frozen=True):
    """run_config of a summary: what the client says that it did."""

    load_pattern: LoadPattern | None = None
    warmup: dict[str, Any] | None = None
    scheduler_random_seed: int | None = None
    dataloader_random_seed: int | None = None


class ResultSummary(msgspec.Struct, kw_only=True):
    """result_summary.json."""

    version: str | None = None
    n_samples_issued: int | None = None
    n_samples_completed: int | None = None
    n_samples_failed: int | None = None
    duration_ns: float | None = None
    state: str | None = None
    complete: bool | None = None
    ttft: Stats | None = None
    tpot: Stats | None = None
    latency: Stats | None = None
    output_sequence_lengths: Stats | None = None
    legacy_loadgen_window_duration_ns: float | None = None
    qps: float | None = None
    tps: float | None = None
    run_config: RunConfig | None = None
    generator: str | None = None
    """Of our own exports alone: who wrote it."""


_SUMMARY_NEEDED = (
    "n_samples_issued", "n_samples_completed", "n_samples_failed", "duration_ns", "state", "complete", "latency", "qps",
    "run_config",
)  # fmt: skip


class Runtime(msgspec.Struct, kw_only=True, frozen=True):
    """settings.runtime of config.yaml."""

    min_duration_ms: float | None = None
    max_duration_ms: float | None = None
    n_samples_to_issue: int | None = None
    scheduler_random_seed: int | None = None
    dataloader_random_seed: int | None = None


class Settings(msgspec.Struct, kw_only=True, frozen=True):
    """settings of config.yaml."""

    load_pattern: LoadPattern | None = None
    runtime: Runtime | None = None


class ModelParams(msgspec.Struct, kw_only=True, frozen=True):
    """model_params of config.yaml."""

    name: str | None = None
    streaming: str | bool | None = None


class Config(msgspec.Struct, kw_only=True):
    """config.yaml, as far as it is read."""

    type: str | None = None
    version: str | float | None = None
    model_params: ModelParams | None = None
    settings: Settings | None = None
    generator: str | None = None
    loadcell: dict[str, Any] = {}
    """Of our own exports alone: round, benchmark, scenario."""


class ResponseCounts(msgspec.Struct, kw_only=True, frozen=True):
    """How many replies were asked for, scored, empty, missing."""

    issued: int | None = None
    scored: int | None = None
    empty: int | None = None
    missing: int | None = None


class AccuracyScore(msgspec.Struct, kw_only=True, frozen=True):
    """The score of one data set: a number, or several by name."""

    dataset_name: str | None = None
    score: float | dict[str, float | None] | None = None
    unit_samples: int | None = None
    num_repeats: int | None = None
    total_samples: int | None = None
    complete: bool | None = None
    breakdown: dict[str, Any] | None = None
    response_counts: ResponseCounts | None = None
    output_sequence_lengths: Stats | None = None


class AccuracyResults(msgspec.Struct, kw_only=True):
    """accuracy_results.json."""

    average_accuracy: float | None = None
    accuracy_scores: list[AccuracyScore] = []


class PointYaml(msgspec.Struct, kw_only=True):
    """point.yaml of a curve; free maps are read where they are used."""

    concurrency: int | None = None
    region: str | None = None
    dataset: Any = None
    runtime_settings: dict[str, Any] | None = None
    warmup: dict[str, Any] | None = None
    offline: Any = None
    steady_state: dict[str, Any] | None = None
    division: str | None = None
    max_supported_concurrency: int | None = None
    c_min_override: int | None = None
    model_name: str | None = None
    dataset_name: str | None = None
    dataset_type: str | None = None
    seed_set: Any = None
    target_cohort: str | None = None


_POINT_NEEDED = (
    "concurrency", "region", "runtime_settings", "steady_state", "division", "max_supported_concurrency", "model_name",
    "dataset_name", "seed_set", "target_cohort",
)  # fmt: skip


def read_summary(path: Path, problems: list[Finding]) -> ResultSummary:
    """result_summary.json; its empty self if it cannot be read, with findings."""
    value = read_json(path, problems)
    return typed(ResultSummary, value, path, problems, needed=_needed(_SUMMARY_NEEDED, value))


def read_config(path: Path, problems: list[Finding]) -> Config:
    """config.yaml."""
    value = read_yaml(path, problems)
    return typed(Config, value, path, problems, needed=_needed(("type", "model_params", "settings"), value))


def read_accuracy(path: Path, problems: list[Finding]) -> AccuracyResults:
    """accuracy_results.json; entries that are none are findings of their own."""
    value = read_json(path, problems)
    return typed(AccuracyResults, value, path, problems, needed=_needed(("accuracy_scores",), value))


def read_point(path: Path, problems: list[Finding]) -> PointYaml:
    """point.yaml."""
    value = read_yaml(path, problems)
    return typed(PointYaml, value, path, problems, needed=_needed(_POINT_NEEDED, value))


def _needed(names: tuple[str, ...], value: Any) -> tuple[str, ...]:
    """All of them, or none where the file could not be read at all, which was told."""
    return () if value is None else names
