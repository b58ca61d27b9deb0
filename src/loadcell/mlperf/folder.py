"""The folder of an MLPerf-style run.

mlperf/tuesday/mlperf.json      the RunPlan
mlperf/tuesday/prompts.jsonl    what is sent, a sample a line
mlperf/tuesday/probe/           a recording of a few requests that sized the run; no result
mlperf/tuesday/peak/            a sweep: the search for the rate, if one was asked for
mlperf/tuesday/performance/     the recording of the performance run
mlperf/tuesday/performance.cut-1/   one that was cut off, too short or at too high a rate, set aside
mlperf/tuesday/outcome.json     what it is worth by the rules
mlperf/tuesday/accuracy/, accuracy.json   the same of an accuracy pass
"""

from __future__ import annotations

from typing import Any

import msgspec

from loadcell.mlperf.model import FORMAT, RunPlan
from loadcell.recording.campaign import Campaign

PROMPTS, OUTCOME, SCORED = "prompts.jsonl", "outcome.json", "accuracy.json"
PROBE, PEAK, PERFORMANCE, ACCURACY = "probe", "peak", "performance", "accuracy"
_SIZED = (
    ("load", "requests"), ("load", "concurrency"), ("load", "min_requests"), ("load", "rate"),
    ("loadgen", "min_queries"), ("workload", "prompts"),
)  # fmt: skip
"""Fields of the Spec that a probe or a search sized, or that name the folder."""


def _asked(plan: RunPlan) -> dict[str, Any]:
    """What a person asks for; what a probe or a search found does not count."""
    tree = msgspec.to_builtins(plan)
    rate = {} if plan.find_peak else {"target_qps": plan.target_qps}
    fields = {name: tree[name] for name in ("find_peak", "peak_bounds", "samples", "dataset_sha256", "look_alike")}
    sections = {
        section: {key: value for key, value in values.items() if (section, key) not in _SIZED}
        for section, values in tree["spec"].items()
    }
    return {**tree["rules"], **rate, **fields, **sections}


RUN = Campaign(
    noun="an MLPerf-style run",
    part="a part",
    command="loadcell mlperf run",
    place="mlperf",
    file="mlperf.json",
    form=RunPlan,
    newest=FORMAT,
    asked=_asked,
    prepared=(PROMPTS, PROBE),
)
