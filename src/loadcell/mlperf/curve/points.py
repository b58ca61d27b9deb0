"""The benchmarks that have a curve, and the Spec of a point."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from loadcell.errors import UsageError
from loadcell.mlperf.curve.model import PlannedPoint
from loadcell.mlperf.model import Rules
from loadcell.mlperf.rules.forms import SeedSet
from loadcell.mlperf.settings import chosen_tokens, spec_by_rules
from loadcell.spec import LoadGen, Slo, Spec, checked, with_fields

_RAMP_A_USER_S, _RAMP_SHARE = 0.01, 0.005
"""Users start so far apart, within this share of the least time of a point: their first replies are no burst."""


class Benchmark(msgspec.Struct, frozen=True):
    """A model of Endpoints that one of our data sets fits."""

    model: str
    dataset: str
    """By the name that its least number of queries is listed under, if it is."""
    mean_output: float
    """Output tokens of a request in published runs: sizes the expected time alone."""


BENCHMARKS = {
    "llama3.1-8b": Benchmark("llama3_1-8b", "cnn_dailymail", 128),
    "gpt-oss-120b": Benchmark("gpt-oss-120b", "mlperf_gpt_oss_performance", 1311),
    "deepseek-r1": Benchmark("deepseek-r1", "mlperf_deepseek_r1", 3750),
}
"""By the name of MLPerf Inference, whose data sets they share."""


def benchmark_of(rules: Rules) -> Benchmark:
    """The benchmark as Endpoints knows it; UsageError if it does not."""
    found = BENCHMARKS.get(rules.benchmark)
    if found is None:
        raise UsageError(
            f"{rules.benchmark} has no curve: MLPerf Endpoints has {', '.join(BENCHMARKS)}, and agentic models, whose "
            "tools Loadcell does not run"
        )
    return found


def base_spec(rules: Rules, spec: Spec, prompts: Path, seeds: SeedSet, given: Collection[str]) -> Spec:
    """The Spec of a point but for its size; `prompts` is the file of the requests, `spec` the endpoint and wishes.

    The order is that of the official client: a new permutation a pass, from the sample-index seed.
    """
    chosen = chosen_tokens(spec, given)
    made = spec_by_rules(rules, spec, prompts, given)
    if chosen is not None:
        made = with_fields(made, {"workload.output_tokens": str(chosen)})
    traffic = LoadGen(
        scenario="endpoints",
        sample_index_seed=seeds.sample_index_rng_seed,
        schedule_seed=seeds.scheduler_rng_seed,
        equal_issue=True,
    )
    return msgspec.structs.replace(made, slo=Slo(), loadgen=traffic)


def expected_output(rules: Rules, chosen: int | None) -> float:
    """Output tokens that a request is expected to have."""
    mean = benchmark_of(rules).mean_output
    return min(mean, chosen or rules.max_output_tokens or mean)


def point_spec(spec: Spec, planned: PlannedPoint, requests: int) -> Spec:
    """The Spec of one point: a fixed concurrency and whole passes; Offline all at once."""
    changes: dict[str, Any] = {"concurrency": min(planned.concurrency, requests), "requests": requests}
    changes |= {"rate": None, "duration_s": None, "warmup_s": None, "warmup_requests": 0}
    if planned.offline == "dedicated":
        changes["ramp_s"] = 0.0
    elif spec.load.ramp_s is None:
        changes["ramp_s"] = min(_RAMP_A_USER_S * planned.concurrency, _RAMP_SHARE * planned.min_duration_s)
    return checked(msgspec.structs.replace(spec, load=msgspec.structs.replace(spec.load, **changes)))
