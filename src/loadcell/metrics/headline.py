"""The word that a result goes by, and why; and a result that an older version saved."""

from __future__ import annotations

import msgspec

from loadcell.metrics.glossary import LATENCIES, latencies_of
from loadcell.metrics.interval import PERMILLE
from loadcell.metrics.model import Estimate, Latency, Result, Summary, Word

_LEFT_OUT = "the version that saved this result left out the figures of an INVALID run"


def word_of(result: Result) -> Word:
    """The word that a result goes by: that of its verdict, INVALID if anything outside the audit spoils it."""
    return "INVALID" if result.invalid else result.verdict.word


def reasons_of(result: Result) -> list[str]:
    """Why it goes by that word, each reason once: what spoils it, then what its verdict says besides."""
    said = result.verdict.reasons
    return [*(why for why in result.invalid if not any(reason.startswith(why) for reason in said)), *said]


def as_now(result: Result) -> Result:
    """A saved result with every latency and rate by name: older versions left those of an INVALID run out."""
    if not result.withheld:
        return result
    none = Estimate(withheld=_LEFT_OUT)
    empty = Summary(n=0, mean=None, max=None, p50=none, p90=none, p95=none, p99=none, p99_9=none)
    response = empty if result.methodology.loop == "open" else None
    latency = {
        name: Latency(title=metric.title, unit=metric.unit, service=empty, response=of)
        for name in latencies_of(result.methodology.spec)
        for metric in (LATENCIES[name],)
        for of in (None if name in ("itl_ms", "tpot_ms") else response,)
    }
    rates = msgspec.structs.replace(result.throughput, user_tokens_per_s=dict.fromkeys(PERMILLE, none))
    return msgspec.structs.replace(result, latency=latency, throughput=rates)
