"""The rules that are not of one benchmark: MLPerf Endpoints, the folder of a submission, speculative decoding."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

Doc = msgspec.Meta


class SeedSet(msgspec.Struct, frozen=True, kw_only=True):
    """Seeds of MLPerf Endpoints, good for their publication cohort and the next ones."""

    id: str
    cohort: Annotated[str, Doc(description="as in 2026-10-C1")]
    scheduler_rng_seed: int
    sample_index_rng_seed: int
    model_seed: int


class Tolerances(msgspec.Struct, frozen=True, kw_only=True):
    """How far stored figures may be off."""

    stored_vs_derived_relative: float
    offline_tps_vs_c_max: Annotated[float, Doc(description="dedicated Offline tokens/s over those at C_max, at least")]


class EndpointsRules(msgspec.Struct, frozen=True, kw_only=True):
    """MLPerf Endpoints v1.0, as its checker enforces it. Fields are named as in its own tables."""

    points_min_with_dedicated_offline: int
    points_min_elected_or_agentic: int
    points_max: int
    ultra_low_max_concurrency: int
    accuracy_points: dict[str, int]
    min_duration_s: Annotated[dict[str, int], Doc(description="by concurrency<=32, above, agentic_above")]
    min_trend_super_passes: int
    steady_status: list[str]
    steady_verdict: list[str]
    min_query_count: Annotated[dict[str, int], Doc(description="completed queries at least, by data set")]
    allowed_models: list[str]
    accuracy_gates: dict[str, dict[str, Any]]
    seed_sets: list[SeedSet]
    seed_set_window_cohorts: int
    tolerances: Tolerances

    def min_duration_at(self, concurrency: int, *, agentic: bool = False) -> int:
        """Steady time at least at a point, in s."""
        if concurrency <= self.ultra_low_max_concurrency:
            return self.min_duration_s["concurrency<=32"]
        return self.min_duration_s["agentic_above" if agentic else "above"]


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Folders of a submission, below DIVISION/SUBMITTER/. {sys}, {model}, {scenario}, {test} stand for their names."""

    rounds: list[str]
    divisions: list[str]
    system: str
    performance: str
    accuracy: str
    measurements: str
    measurements_json: Annotated[str, Doc(description="file in measurements; * stands for anything")]
    measurement_files: list[str]
    compliance: str
    source: Annotated[str, Doc(description="folder of the code")]
    optional: list[str]


class SystemFields(msgspec.Struct, frozen=True, kw_only=True):
    """Keys of a system's JSON."""

    required: list[str]
    non_empty: list[str]
    network_division_extra: list[str]
    status: Annotated[list[str], Doc(description="values that `status` may have")]


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """Files that folders of a submission hold, and what is in them."""

    system_json: SystemFields
    measurements_json: dict[str, list[str]]
    measurement_files: list[str]
    max_file_mib: int
    max_accuracy_log_bytes: int


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What a submission of one round holds."""

    layout: Layout
    files: Files


class EndpointsSubmission(msgspec.Struct, frozen=True, kw_only=True):
    """How v6.1 reads the output of the Endpoints client in place of LoadGen's logs."""

    allowed_models: list[str]
    seed_keys: Annotated[dict[str, str], Doc(description="key of config.yaml to the seed that it must equal")]
