"""An INVALID result without its headline figures."""

from __future__ import annotations

from typing import Any

import msgspec

from loadcell.metrics.model import Result, Throughput, Word


def word_of(result: Result) -> Word:
    """The word that a result goes by: that of its verdict, INVALID if anything outside the audit spoils it."""
    return "INVALID" if result.invalid else result.verdict.word


def reasons_of(result: Result) -> list[str]:
    """Why it goes by that word, each reason once: what spoils it, then what its verdict says besides."""
    said = result.verdict.reasons
    return [*(why for why in result.invalid if not any(reason.startswith(why) for reason in said)), *said]


def withhold(result: Result) -> Result:
    """The result without the figures that people quote: latencies, rates, goodput, and what is made of them.

    Counts, audit, verdict and methodology stay: they say what went wrong. `withheld` says that this was done.
    """
    observed = result.observed and msgspec.structs.replace(result.observed, energy=None)  # it is per token and request
    none: dict[str, Any] = dict.fromkeys(Throughput.__struct_fields__) | {"user_tokens_per_s": {}}
    return msgspec.structs.replace(
        result,
        withheld=True,
        latency={},
        throughput=Throughput(**none),
        goodput=None,
        whole_run=None,
        run_rates=None,
        server=[],
        bottleneck=None,
        where_ttft=None,
        token_gap=None,
        observed=observed,
    )
