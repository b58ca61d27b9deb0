"""What a person asks for beside the benchmark, and whether it can be had."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from loadcell.errors import UsageError
from loadcell.mlperf.model import Scenario
from loadcell.mlperf.settings import check_given, kind

LONGEST_S = 24 * 3600.0
"""A load that is foreseen to take longer is refused unless a person says that it may."""
_FREE = {
    "load.timeout_s", "load.connect_timeout_s", "load.stop_when_saturated", "workload.tokenizer",
    "workload.output_tokens", "loadgen.qsl_seed", "loadgen.sample_index_seed", "loadgen.schedule_seed",
    "loadgen.equal_issue", "loadgen.min_queries", "loadgen.min_duration_s",
}  # fmt: skip
"""Fields of load, workload and loadgen that a person may set; the rules say the others."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a person asks for beside the benchmark."""

    target_qps: float | None = None
    expected_qps: float | None = None
    find_peak: bool = False
    peak_bounds: tuple[float, float] | None = None
    """Lowest and highest rate that the search may try."""
    quick: bool = False
    concurrency: int | None = None
    """Offline: connections at once."""
    longest_s: float = LONGEST_S
    given: Collection[str] = ()
    """Fields of the Spec that a person set, by dotted path."""


@dataclass(frozen=True)
class Probed:
    """What a few requests before the run showed; sizes the run, and is no result."""

    requests_per_s: float
    """At the concurrency of the probe."""
    latency_s: float
    """Median of one request."""


def check_wish(scenario: Scenario, wish: Wish) -> None:
    """UsageError where flags do not go with the scenario, or set what the rules say."""
    check_given(wish.given, _FREE, "benchmark")
    server = kind(scenario) == "server"
    for flag, value in (("--target-qps", wish.target_qps), ("--expected-qps", wish.expected_qps)):
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UsageError(f"{flag} is {value:g}: it must be more than 0")
    if wish.concurrency is not None and wish.concurrency < 1:
        raise UsageError(f"--concurrency is {wish.concurrency}: it must be 1 or more")
    if server and wish.target_qps is None and not wish.find_peak:
        raise UsageError(f"{scenario} sends at a rate: give it, as in --target-qps 12, or let --find-peak find it")
    if server and wish.expected_qps is not None:
        raise UsageError(f"--expected-qps sizes offline and single-stream runs: {scenario} takes --target-qps")
    if wish.concurrency is not None and scenario != "offline":
        raise UsageError(f"--concurrency is for offline: {scenario} says itself how many requests are under way")
    if not server and wish.find_peak:
        raise UsageError(f"--find-peak is for server and interactive: {scenario} has no rate to find")
    if not server and wish.target_qps is not None:
        raise UsageError(f"--target-qps is for server and interactive: size {scenario} by --expected-qps")
