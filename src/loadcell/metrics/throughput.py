"""Rates inside the window."""

from __future__ import annotations

import numpy as np

from loadcell.metrics.dependence import BATCHES
from loadcell.metrics.events import Received
from loadcell.metrics.interval import batch_slots, rate_interval
from loadcell.metrics.latency import user_rates
from loadcell.metrics.model import Interval, Summary, Throughput
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.metrics.window import Span


def input_tokens(rows: Rows) -> Floats:
    """Prompt tokens by the server, else as planned."""
    return np.where(np.isnan(rows.prompt_tokens), rows.input_tokens, rows.prompt_tokens)


def throughput(rows: Rows, ok: Mask, span: Span, events: Received, tpot: Summary) -> Throughput:
    """Requests that ended, tokens received and prompts processed inside the window, over its length."""
    length = span.length_s

    def batched(chosen: Mask, times: Floats, amounts: Floats) -> Floats:
        slots = batch_slots(times[chosen], span.start, span.end)
        return np.bincount(slots, weights=amounts[chosen], minlength=BATCHES).astype(np.float64)

    ended = rows.ok & span.holds(rows.end)
    requests = batched(ended, rows.end, np.ones(len(rows)))
    # No stamped events: all tokens at the read that completed the body.
    whole = ~rows.streamed & span.holds(rows.last) & ~np.isnan(rows.output_tokens)
    output = events.tokens + batched(whole, rows.last, rows.output_tokens)
    prefilled = span.holds(np.where(rows.streamed, rows.first_any, rows.last))

    def rate(amount: float) -> float | None:
        return None if length is None or not len(rows) else amount / length

    def interval(amounts: Floats) -> Interval | None:
        return None if length is None else rate_interval(amounts, length, int(np.count_nonzero(ended)))

    return Throughput(
        requests_per_s=rate(float(requests.sum())),
        requests_interval=interval(requests),
        output_tokens_per_s=(outputs := rate(float(output.sum()))),
        output_tokens_interval=interval(output),
        input_tokens_per_s=(inputs := rate(float(np.nansum(input_tokens(rows)[prefilled])))),
        total_tokens_per_s=None if outputs is None or inputs is None else outputs + inputs,
        chunks_per_token=_chunks_per_token(rows, ok & rows.streamed),
        user_tokens_per_s=user_rates(tpot),
    )


def _chunks_per_token(rows: Rows, chosen: Mask) -> float | None:
    both = chosen & ~np.isnan(rows.output_chunks) & ~np.isnan(rows.output_tokens)
    tokens = float(rows.output_tokens[both].sum())
    return float(rows.output_chunks[both].sum()) / tokens if tokens else None
