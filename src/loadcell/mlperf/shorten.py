"""In what a run is smaller than the rules ask, on purpose: the rules as they are applied, and words for each change."""

from __future__ import annotations

from typing import Any

import msgspec

from loadcell.mlperf.early_stopping import least_samples
from loadcell.mlperf.model import Rules
from loadcell.mlperf.settings import chosen_tokens
from loadcell.mlperf.wish import Wish
from loadcell.spec import Spec

QUICK_SAMPLES, QUICK_DURATION_S = 64, 10.0
"""Of a run with --quick: samples of the data set at most, and its minimum duration."""


def shorten(rules: Rules, samples: int, spec: Spec, wish: Wish) -> tuple[Rules, list[str]]:
    """The rules as they are applied to a run over `samples` samples, and in what they are smaller, in words.

    A person may set the fields of `spec.loadgen` and the output tokens; without them --quick chooses.
    """
    said: list[str] = []
    changes: dict[str, Any] = {}

    def put(name: str, value: float, words: str) -> None:
        before = getattr(rules, name)
        if before is not None and value != before:
            changes[name] = value
            if value < before:
                said.append(words.format(_count(value), _count(before)))

    n = min(samples, rules.performance_sample_count, QUICK_SAMPLES if wish.quick else samples)
    put("performance_sample_count", n, "{} samples instead of {}")
    if rules.scenario == "offline" and rules.offline_min_samples is not None:
        put("offline_min_samples", min(rules.offline_min_samples, n), "at least {} samples sent instead of {}")
    else:
        put("min_queries", _least_queries(rules, n, spec, wish), "at least {} queries instead of {}")
    if "loadgen.min_duration_s" in wish.given or wish.quick:
        given = spec.loadgen.min_duration_s if "loadgen.min_duration_s" in wish.given else QUICK_DURATION_S
        put("min_duration_s", given, "{} s at least instead of {} s")
    if (most := chosen_tokens(spec, wish.given)) is not None:
        put("max_output_tokens", most, "{} output tokens at most instead of {}")
    seeds = {
        name: getattr(spec.loadgen, f"{name}_seed")
        for name in ("qsl", "sample_index", "schedule")
        if f"loadgen.{name}_seed" in wish.given
    }
    if seeds:
        changes["seeds"] = msgspec.structs.replace(rules.seeds, **seeds)
        said.append("seeds of its own instead of the round's")
    if "loadgen.equal_issue" in wish.given and spec.loadgen.equal_issue != rules.equal_issue:
        changes["equal_issue"] = spec.loadgen.equal_issue
        said.append("samples sent unequally often" if rules.equal_issue else "whole passes, which are not asked for")
    return msgspec.structs.replace(rules, **changes), said


def _least_queries(rules: Rules, n: int, spec: Spec, wish: Wish) -> int:
    """Queries at least: a person's, else the rules' (where less is sent, one pass), and what early stopping needs."""
    if "loadgen.min_queries" in wish.given:
        return spec.loadgen.min_queries
    smaller = wish.quick or n < rules.performance_sample_count
    asked = min(rules.min_queries, n) if smaller else rules.min_queries
    return max(asked, needed_queries(rules))


def needed_queries(rules: Rules) -> int:
    """Queries with which early stopping can prove anything: all in time; for an estimate one late is needed."""
    if rules.percentile is None:
        return 1
    return least_samples(rules.percentile, 1 if rules.scenario in ("singlestream", "multistream") else 0)


def _count(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"
