"""What the rules must know of a run beside its figures: plain facts of its recording and its Result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadcell.metrics import Result
from loadcell.mlperf.model import Queries
from loadcell.recording.read import Recording
from loadcell.spec import LoadGen


@dataclass(frozen=True, kw_only=True)
class Facts:
    """How a run went and how it was asked for. Missing is None."""

    state: str
    """complete, interrupted, broken or running (it never said that it ended)."""
    planned: int
    """Samples that were to be sent; in a closed loop that a time ends, those that were."""
    recorded: int
    cancelled: int
    instrument: str
    """VALID, SUSPECT or INVALID: what the recording's own audit says."""
    instrument_reasons: list[str]
    errors: list[str]
    """Kinds of failures with their number, in words."""
    error_advice: str | None
    distinct_samples: int
    fewest_sends: int
    """How often the least sent of these was sent, and the most sent."""
    most_sends: int
    shortest_output: int | None
    """Output tokens of completed samples; None without any that is known."""
    longest_output: int | None
    mean_output: float | None
    cached_share: float | None
    """Prompt tokens that the server took from a cache; None: it does not tell."""
    loadgen: LoadGen
    sampling: Mapping[str, Any]
    """Further fields of the request body, as sent."""
    ignore_eos: bool
    stream: bool
    model: str


def facts_of(recording: Recording, result: Result, queries: Queries) -> Facts:
    """The facts of a performance run; `result` and `queries` are of the same recording."""
    sends = np.unique(queries.sample, return_counts=True)[1]
    outputs = queries.tokens[queries.ok & ~np.isnan(queries.tokens)]
    counts, spec = result.counts.run, recording.spec
    return Facts(
        state=recording.manifest.state,
        planned=counts.planned,
        recorded=len(queries),
        cancelled=counts.cancelled,
        instrument=result.verdict.word,
        instrument_reasons=result.verdict.reasons,
        errors=[f"{failure.kind} {failure.count:,}" for failure in result.errors],
        error_advice=next((failure.advice for failure in result.errors if failure.advice), None),
        distinct_samples=len(sends),
        fewest_sends=int(sends.min(initial=len(queries))),
        most_sends=int(sends.max(initial=0)),
        shortest_output=int(outputs.min()) if len(outputs) else None,
        longest_output=int(outputs.max()) if len(outputs) else None,
        mean_output=float(outputs.mean()) if len(outputs) else None,
        cached_share=result.instrument.tokens.cached_share,
        loadgen=spec.loadgen,
        sampling=spec.endpoint.extra_body,
        ignore_eos=recording.manifest.effective.get("ignore_eos") is True,
        stream=spec.endpoint.stream,
        model=str(recording.manifest.effective.get("model", "")),
    )
