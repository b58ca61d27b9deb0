"""The fields of a Spec that follow from the rules of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from loadcell.errors import UsageError
from loadcell.mlperf.model import Rules, Scenario
from loadcell.spec import LoadGen, Slo, Spec, with_fields

_TIMEOUT_S, _TIMEOUT_TOKEN_S = 600.0, 0.15
"""A request may wait for all others, and be answered slowly: 10 min and 0.15 s a token that it may have."""
_LOADGEN_SCENARIO = {"interactive": "server"}


def spec_by_rules(rules: Rules, spec: Spec, prompts: Path, given: Collection[str] = ()) -> Spec:
    """The Spec but for its load and traffic: decoding, limits and data of `rules`, the rest as in `spec`."""
    if len(spec.dealt) > 1:
        raise UsageError("a benchmark is run on one endpoint and one model: leave classes.also and classes.models out")
    usual: dict[str, Any] = {"endpoint.ignore_eos": False, "load.timeout_s": default_timeout_s(rules)}
    if rules.max_output_tokens is not None:
        usual["workload.output_tokens"] = str(rules.max_output_tokens)
    fields = {path: value for path, value in usual.items() if path not in given}
    fields |= {"endpoint.extra_body": {**rules.sampling, **spec.endpoint.extra_body}, "workload.prompts": str(prompts)}
    return msgspec.structs.replace(with_fields(spec, fields), slo=limits(rules), loadgen=LoadGen())


def loadgen_of(rules: Rules) -> LoadGen:
    """LoadGen's traffic by the rules."""
    return LoadGen(
        scenario=kind(rules.scenario),
        qsl_seed=rules.seeds.qsl,
        sample_index_seed=rules.seeds.sample_index,
        schedule_seed=rules.seeds.schedule,
        equal_issue=rules.equal_issue,
        min_queries=rules.min_queries,
        min_duration_s=rules.min_duration_s,
    )


def limits(rules: Rules) -> Slo:
    """The limits of the rules as an SLO, so that a general report shows them too."""
    return Slo(ttft_ms=rules.ttft_ms, tpot_ms=rules.tpot_ms, e2e_ms=rules.latency_ms)


def default_timeout_s(rules: Rules) -> float:
    """The longest time that a request may take, unless a person says otherwise."""
    return _TIMEOUT_S + _TIMEOUT_TOKEN_S * (rules.max_output_tokens or 0)


def expected_tokens(rules: Rules) -> float | None:
    """Output tokens that a request is expected to have: the reference's mean, else the most that it may have."""
    means = [gate.reference for gate in rules.gates if gate.metric == "TOKENS_PER_SAMPLE"]
    most = rules.max_output_tokens
    return min([*means, most or math.inf]) if means else most


def kind(scenario: Scenario) -> Any:
    """LoadGen's scenario."""
    return _LOADGEN_SCENARIO.get(scenario, scenario)


def check_given(given: Collection[str], free: Collection[str], of: str) -> None:
    """UsageError where a person set what the rules of `of` say: a field of the load that is not `free`."""
    for path in sorted(given):
        if path.partition(".")[0] in ("load", "workload", "loadgen", "slo") and path not in free:
            raise UsageError(f"{path} is what the rules of the {of} say: leave it out")


def chosen_tokens(spec: Spec, given: Collection[str]) -> int | None:
    """Output tokens at most that a person set in place of the rules'; UsageError if it is no number."""
    if "workload.output_tokens" not in given:
        return None
    text = spec.workload.output_tokens
    if text is None or not text.isdecimal():
        raise UsageError(f"workload.output_tokens {text!r}: the outputs of a benchmark have a maximum; write a number")
    return int(text)
