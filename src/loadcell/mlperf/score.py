"""What a performance run scored: LoadGen's figures, from per-query times alone.

Percentile p of n sorted values is element floor(n p), means are truncated, TPOT is whole nanoseconds a sample. What
LoadGen gets wrong is not repeated; the tests list it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.mlperf.early_stopping import answer, estimate
from loadcell.mlperf.model import Block, EarlyStopping, Of, Queries, Rules, Score

Times = NDArray[np.int64]
PERCENTILES = {"50.00": 0.5, "90.00": 0.9, "95.00": 0.95, "97.00": 0.97, "99.00": 0.99, "99.90": 0.999}
"""Those that LoadGen prints, by its names."""


class Latencies(NamedTuple):
    """Latencies in ns from the scheduled time, of what completed and has them. A query is as slow as its slowest
    sample. `tpot` is (latency - ttft) // (tokens - 1); replies of one token have none."""

    latency: Times
    query: Times
    ttft: Times
    tpot: Times
    untold_ttft: int
    """Completed samples whose first token was not seen."""
    untold_tpot: int
    """Completed samples whose TPOT is not known, for want of a token count or of a first token."""


def latencies(queries: Queries, samples_per_query: int = 1) -> Latencies:
    """The latencies of the queries that completed; one that was not sent whole is none."""
    ok = queries.ok
    latency = queries.end_ns - queries.scheduled_ns
    seen = ok & ~np.isnan(queries.first_ns)
    ttft = np.zeros_like(latency)
    ttft[seen] = queries.first_ns[seen].astype(np.int64) - queries.scheduled_ns[seen]
    spaced = seen & (queries.tokens > 1)
    gaps = np.where(spaced, queries.tokens, 2).astype(np.int64) - 1
    tpot = (latency - ttft) // gaps
    return Latencies(
        latency=latency[ok],
        query=_query_latencies(queries, samples_per_query),
        ttft=ttft[seen],
        tpot=tpot[spaced],
        untold_ttft=int((ok & ~seen).sum()),
        untold_tpot=int((ok & (np.isnan(queries.tokens) | (~seen & (queries.tokens > 1)))).sum()),
    )


def _query_latencies(queries: Queries, samples_per_query: int) -> Times:
    """Of the queries whose samples all completed, in issue order."""
    if not len(queries):
        return np.empty(0, np.int64)
    first = np.flatnonzero(np.diff(queries.query, prepend=queries.query[0] - 1))
    whole = np.diff(first, append=len(queries)) >= samples_per_query
    slowest: Times = np.maximum.reduceat(queries.end_ns, first) - np.minimum.reduceat(queries.scheduled_ns, first)
    return slowest[np.logical_and.reduceat(queries.ok, first) & whole]


def block(values: Times) -> Block | None:
    """The statistics of one latency as LoadGen defines them; None without any value."""
    n = len(values)
    if not n:
        return None
    ordered = np.sort(values)
    return Block(
        n=n,
        min_ns=int(ordered[0]),
        max_ns=int(ordered[-1]),
        mean_ns=_truncated_mean(ordered),
        percentiles_ns={name: int(ordered[int(n * p)]) for name, p in PERCENTILES.items()},
    )


def _truncated_mean(values: Times) -> int:
    total = (int((values >> 20).sum()) << 20) + int((values & 0xFFFFF).sum())  # long runs overflow 64 bits
    return total // len(values)


def score(queries: Queries, rules: Rules) -> Score:
    """The figures of a run by `rules`: a pure function of both.

    What failed is counted, has no part in any latency or token count, and lies beyond every limit. Without anything
    that completed the figures are None. UsageError where the rules cannot be, or name a headline that is not known.
    """
    _check(rules)
    found = latencies(queries, rules.samples_per_query)
    ok = queries.ok
    done = int(ok.sum())
    failed = len(queries) - done
    counted = queries.tokens[ok]
    tokens = int(counted.sum()) if done and not np.isnan(counted).any() else None
    last = len(queries) - 1
    scheduled = int(queries.scheduled_ns.max()) if done else None
    last_done = int(queries.end_ns[queries.query == queries.query[last]].max()) if done else None
    end = int(queries.end_ns.max()) if done else None
    server = rules.scenario in ("server", "interactive")
    unnamed = Score(
        queries=len(np.unique(queries.query)),
        samples=len(queries),
        failed=failed,
        tokens=tokens,
        latency=block(found.latency),
        query_latency=block(found.query) if rules.scenario == "multistream" else None,
        ttft=block(found.ttft) if rules.scenario != "offline" else None,
        tpot=block(found.tpot) if rules.scenario != "offline" else None,
        last_scheduled_ns=scheduled,
        last_issued_ns=int(queries.issued_ns[last]) if done else None,
        last_issued_done_ns=last_done,
        end_ns=end,
        tokens_per_s_loadgen=_per_s(tokens, last_done),
        tokens_per_s_run=_per_s(tokens, end),
        samples_per_s_loadgen=_per_s(done - 1, last_done),
        samples_per_s_run=_per_s(done, end),
        scheduled_samples_per_s=_per_s(done - 1, scheduled) if server else None,
        early_stopping=_early_stopping(found, rules, failed, len(queries)),
        headline=None,
        headline_name=headline_name(rules),
        headline_unit=rules.unit,
    )
    return msgspec.structs.replace(unnamed, headline=_HEADLINES[rules.result_key].of(unnamed, rules))


def _check(rules: Rules) -> None:
    """UsageError where rules that somebody edited cannot be."""
    if rules.percentile is not None and not 0 < rules.percentile < 1:
        raise UsageError(f"the rules name the percentile {rules.percentile:g}: it is a share between 0 and 1, as 0.99")
    if rules.samples_per_query < 1:
        raise UsageError(f"the rules name {rules.samples_per_query} samples a query: there is one at least")


def _per_s(count: int | None, time_ns: int | None) -> float | None:
    return None if count is None or not time_ns or time_ns < 0 else count / (time_ns / 1e9)


# --- early stopping --------------------------------------------------------------------------------------------------


class _Proof(NamedTuple):
    """A latency about which something is to be proved: its values, and how many samples should have one but do not."""

    of: Of
    limit_ms: float | None
    values: Times
    without: int


def _early_stopping(found: Latencies, rules: Rules, failed: int, samples: int) -> list[EarlyStopping]:
    if rules.percentile is None or not samples or rules.scenario == "offline":
        return []
    if rules.scenario in ("singlestream", "multistream"):
        whole = found.query if rules.scenario == "multistream" else found.latency
        lost = samples // rules.samples_per_query - len(whole)
        return [estimate(_with_failures(whole, lost), rules.percentile, "latency")]
    proofs = [
        _Proof("ttft", rules.ttft_ms, found.ttft, failed + found.untold_ttft),
        _Proof("tpot", rules.tpot_ms, found.tpot, failed + found.untold_tpot),
        _Proof("latency", rules.latency_ms, found.latency, failed),
    ]
    return [
        answer(_with_failures(proof.values, proof.without), limit_ns(proof.limit_ms), rules.percentile, proof.of)
        for proof in proofs
        if proof.limit_ms is not None and len(proof.values)
    ]


def _with_failures(values: Times, count: int) -> NDArray[np.float64]:
    """The values, and `count` that lie beyond every limit."""
    return np.concatenate([values.astype(np.float64), np.full(count, np.inf)])


def limit_ns(limit_ms: float) -> int:
    """A limit in whole nanoseconds."""
    return round(limit_ms * 1e6)


# --- headline --------------------------------------------------------------------------------------------------------


class _Headline(NamedTuple):
    name: str
    of: Callable[[Score, Rules], float | None]


def _bound_ms(score: Score, rules: Rules) -> float | None:
    bounds = [proof.estimate_ns / 1e6 for proof in score.early_stopping if proof.estimate_ns is not None]
    return bounds[0] if bounds else None


def _times(rate: float | None, factor: float | None) -> float | None:
    return None if rate is None or factor is None else rate * factor


_WINDOW, _LONGEST = "completed {} in LoadGen's window", "{} over the longest latency"
_INFERRED = "tokens/s (inferred from samples)"
_HEADLINES: dict[str, _Headline] = {
    "result_completed_tokens_per_second": _Headline(
        _WINDOW.format("tokens/s"), lambda score, rules: score.tokens_per_s_loadgen
    ),
    "result_completed_samples_per_sec": _Headline(
        _WINDOW.format("samples/s"), lambda score, rules: score.samples_per_s_loadgen
    ),
    "result_inferred_completed_tokens_per_second": _Headline(
        _WINDOW.format(_INFERRED),
        lambda score, rules: _times(score.samples_per_s_loadgen, rules.inferred_tokens_per_sample),
    ),
    "result_tokens_per_second": _Headline(_LONGEST.format("tokens/s"), lambda score, rules: score.tokens_per_s_run),
    "result_samples_per_second": _Headline(_LONGEST.format("samples/s"), lambda score, rules: score.samples_per_s_run),
    "result_inferred_tokens_per_second": _Headline(
        _LONGEST.format(_INFERRED),
        lambda score, rules: _times(score.samples_per_s_run, rules.inferred_tokens_per_sample),
    ),
    "early_stopping_latency_ss": _Headline("early-stopping bound of the latency's p90", _bound_ms),
    "early_stopping_latency_ms": _Headline("early-stopping bound of the query latency's p99", _bound_ms),
    "result_90.00_percentile_latency_ns": _Headline(
        "p90 of the latency",
        lambda score, rules: None if score.latency is None else score.latency.percentiles_ns["90.00"] / 1e6,
    ),
    "result_mean_latency_ns": _Headline(
        "mean latency", lambda score, rules: None if score.latency is None else score.latency.mean_ns / 1e6
    ),
}
"""By the key of LoadGen's detail log that a benchmark is compared by."""


def headline_name(rules: Rules) -> str:
    """Which figure a benchmark is compared by, in words; UsageError if its rules name one that is not known."""
    if rules.result_key not in _HEADLINES:
        raise UsageError(
            f"the rules of {rules.round} {rules.benchmark} {rules.scenario} name the headline {rules.result_key!r}; "
            f"known are: {', '.join(_HEADLINES)}"
        )
    return _HEADLINES[rules.result_key].name
