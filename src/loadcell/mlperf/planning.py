"""From the rules, a data set and what a person asks for to the RunPlan and the Spec of a performance run.

The `rules` of a RunPlan are those that the run is judged by: the round's, but for what was made smaller on purpose,
which stands in `RunPlan.shortened`. Nothing here speaks to an endpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadcell import __version__
from loadcell.errors import UsageError
from loadcell.mlperf.datasets import Dataset
from loadcell.mlperf.loads import LOADS, too_long
from loadcell.mlperf.model import Rules, RunPlan
from loadcell.mlperf.settings import kind, loadgen_of, spec_by_rules
from loadcell.mlperf.shorten import shorten
from loadcell.mlperf.wish import Probed, Wish, check_wish
from loadcell.spec import Spec, checked, redact, with_fields


@dataclass(frozen=True)
class Planned:
    plan: RunPlan
    spec: Spec
    notes: list[str]
    """What a person must know before the run begins, in words."""


def make_plan(
    rules: Rules, dataset: Dataset, spec: Spec, prompts: Path, wish: Wish, probed: Probed | None = None
) -> Planned:
    """The plan of a run by `rules`; `spec` holds the endpoint and what else a person set, `prompts` is where the
    requests' file will lie.

    Without `probed` the size and the time of a closed loop that nobody guessed are those of the rules' minimum.
    UsageError if the run cannot be, or would take too long.
    """
    check_wish(rules.scenario, wish)
    applied, shortened = shorten(rules, len(dataset.samples), spec, wish)
    made = spec_by_rules(applied, spec, prompts, wish.given)
    if dataset.api is not None and "endpoint.api" not in wish.given:
        made = with_fields(made, {"endpoint.api": dataset.api})
    plan = RunPlan(
        loadcell=__version__,
        rules=applied,
        quick=bool(shortened),
        shortened=shortened,
        find_peak=wish.find_peak,
        peak_bounds=wish.peak_bounds,
        samples=applied.performance_sample_count,
        queries=None,
        dataset=dataset.name,
        dataset_sha256=dataset.sha256,
        look_alike=dataset.look_alike,
        spec=redact(made),
    )
    return size(plan, made, wish, rate_of(plan, wish, probed))


def size(plan: RunPlan, spec: Spec, wish: Wish, rate: float | None) -> Planned:
    """The plan with its load for `rate` queries/s: the target, or a guess where a closed loop is to be sized.

    UsageError if the load cannot be, or would take too long.
    """
    server = kind(plan.rules.scenario) == "server"
    if server and rate is None:  # the peak is still to be found
        return Planned(msgspec.structs.replace(plan, spec=redact(spec)), spec, [])
    spec = msgspec.structs.replace(spec, loadgen=loadgen_of(plan.rules))
    made, queries, eta_s, notes = LOADS[kind(plan.rules.scenario)](plan.rules, spec, wish, rate)
    if eta_s is not None and eta_s > wish.longest_s:
        raise UsageError(too_long(plan.rules, eta_s, wish, rate))
    made = checked(made)
    target, expected = (rate, None) if server else (None, rate)
    changes = {"target_qps": target, "expected_qps": expected, "queries": queries, "eta_s": eta_s}
    plan = msgspec.structs.replace(plan, **changes, spec=redact(made))
    return Planned(plan, made, notes)


def rate_of(plan: RunPlan, wish: Wish, probed: Probed | None) -> float | None:
    """Queries per second that the run is sized by."""
    scenario = plan.rules.scenario
    if kind(scenario) == "server":
        return wish.target_qps
    if wish.expected_qps is not None or probed is None:
        return wish.expected_qps
    return probed.requests_per_s if scenario == "offline" else 1 / probed.latency_s
