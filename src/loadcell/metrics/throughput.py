"""Rates inside the window."""

from __future__ import annotations

import numpy as np

from loadcell.metrics.events import EventTotals
from loadcell.metrics.latency import user_rates
from loadcell.metrics.model import Summary, Throughput
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.metrics.window import Span


def input_tokens(rows: Rows) -> Floats:
    """Prompt tokens by the server, else as planned."""
    return np.where(np.isnan(rows.prompt_tokens), rows.input_tokens, rows.prompt_tokens)


def throughput(rows: Rows, ok: Mask, span: Span, events: EventTotals, tpot: Summary) -> Throughput:
    """Requests that ended, tokens received and prompts processed inside the window, over its length."""
    length = span.length_s
    whole = ~rows.streamed & span.holds(rows.last)  # no stamped events: all tokens at the read that completed the body
    output = events.tokens_in_window + float(np.nansum(rows.output_tokens[whole]))
    prefilled = span.holds(np.where(rows.streamed, rows.first_any, rows.last))

    def rate(amount: float) -> float | None:
        return None if length is None or not len(rows) else amount / length

    return Throughput(
        requests_per_s=rate(float(np.count_nonzero(rows.ok & span.holds(rows.end)))),
        output_tokens_per_s=rate(output),
        input_tokens_per_s=rate(float(np.nansum(input_tokens(rows)[prefilled]))),
        chunks_per_token=_chunks_per_token(rows, ok & rows.streamed),
        user_tokens_per_s=user_rates(tpot),
    )


def _chunks_per_token(rows: Rows, chosen: Mask) -> float | None:
    both = chosen & ~np.isnan(rows.output_chunks) & ~np.isnan(rows.output_tokens)
    tokens = float(rows.output_tokens[both].sum())
    return float(rows.output_chunks[both].sum()) / tokens if tokens else None
