"""Rates inside the window."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from loadcell.metrics.dependence import BATCHES, Z_975
from loadcell.metrics.events import Received
from loadcell.metrics.glossary import interval_of
from loadcell.metrics.interval import batch_slots, rate_interval
from loadcell.metrics.latency import user_rates
from loadcell.metrics.life import batched, deviation_of_lives, life_ends, requests_in
from loadcell.metrics.model import Interval, Summary, Throughput
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.metrics.window import Span


def input_tokens(rows: Rows) -> Floats:
    """Prompt tokens by the server, else as planned."""
    return np.where(np.isnan(rows.prompt_tokens), rows.input_tokens, rows.prompt_tokens)


_UNTOLD = 0.01
"""Share of ok requests without a count of their output from which on there is no rate of output tokens."""


def untold(rows: Rows) -> bool:
    """Whether so many replies do not say how many tokens they hold that the sum of the others is no rate."""
    ok = rows.ok & rows.sent
    return int(np.count_nonzero(ok & np.isnan(rows.output_tokens))) > _UNTOLD * int(np.count_nonzero(ok))


OF_RESULTS: dict[str, Callable[[Rows], Floats]] = {
    "inputs_per_s": lambda rows: rows.inputs,
    "images_per_s": lambda rows: rows.results,
    "audio_s_per_s": lambda rows: rows.audio / 1e9,
}
"""Rates of what APIs make that generate no text, and how much each request is."""


def made_by(rows: Rows, made: str) -> Floats:
    """How much each request makes of what a rate counts: inputs, images, or seconds of audio; 0 where it is unknown."""
    return np.nan_to_num(OF_RESULTS[made](rows)) if made in OF_RESULTS else np.zeros(len(rows))


def _unheard(rows: Rows, made: str) -> bool:
    """Whether so many replies do not say how long their sound lasts that the sum of the others is no rate."""
    ok = rows.ok & rows.sent
    told = int(np.count_nonzero(ok & ~np.isnan(rows.audio)))
    return made == "audio_s_per_s" and told < (1 - _UNTOLD) * int(np.count_nonzero(ok))


def throughput(rows: Rows, ok: Mask, span: Span, events: Received, tpot: Summary, made: str) -> Throughput:
    """Requests, output tokens and prompts inside the window, over its length; `span` is that of the rates, `made` the
    rate of what the API makes.

    Requests and their prompts count by the part of their life inside (life.py), output tokens by the stamps of their
    events; inputs, images and audio count as their requests do, so many each. All are of ok requests; what failed ones
    received is told beside them. Where requests count by their end, prompts do by their first output. Where more than 1
    % of the replies have no count, output tokens have no rate.
    """
    length = span.length_s
    requests = requests_in(rows, rows.ok & rows.sent, span)

    def at_once(chosen: Mask) -> Floats:
        """Output tokens of replies without stamped events: all at the read that completed the body."""
        whole = chosen & ~rows.streamed & span.holds(rows.last) & ~np.isnan(rows.output_tokens)
        slots = batch_slots(rows.last[whole], span.start, span.end)
        return np.bincount(slots, weights=rows.output_tokens[whole], minlength=BATCHES).astype(np.float64)

    bare = rows.ok & rows.bare & ~np.isnan(rows.output_tokens)  # imported: from first to last output, evenly
    evenly = batched(span, rows.first_any[bare], rows.last[bare], rows.output_tokens[bare])
    output = None if untold(rows) else events.tokens + at_once(rows.counted & ~rows.failed) + evenly
    prefilled = np.where(rows.streamed, rows.first_any, rows.last)
    prompts = rows.ok & rows.sent
    since, until = (prefilled, prefilled) if span.by_end else (rows.send_start, life_ends(rows))
    each_prompt = input_tokens(rows)[prompts]
    inputs = None if np.isnan(each_prompt).any() else batched(span, since[prompts], until[prompts], each_prompt)
    each = made_by(rows, made)
    pooled = requests_in(rows, prompts, span, each) if each.any() and not _unheard(rows, made) else None
    inside = int(np.count_nonzero(rows.ok & (rows.send_start <= span.end) & (rows.end >= span.start)))

    def rate(amount: float) -> float | None:
        return None if length is None or not len(rows) else amount / length

    def interval(amounts: Floats) -> Interval | None:
        return None if length is None else rate_interval(amounts, length, inside)

    per_s = rate(float(requests.sum()))
    pooled_per_s = None if pooled is None else rate(float(pooled.sum()))
    apart = rate(deviation_of_lives(rows, prompts, span, each))
    found: dict[str, Any] = {}
    if pooled is not None:
        found[made], found[interval_of(made)] = pooled_per_s, widened(interval(pooled), pooled_per_s, apart)
    return Throughput(
        **found,
        requests_per_s=per_s,
        requests_interval=widened(interval(requests), per_s, rate(deviation_of_lives(rows, prompts, span))),
        output_tokens_per_s=(outputs := None if output is None else rate(float(output.sum()))),
        output_tokens_interval=None if output is None else interval(output),
        input_tokens_per_s=(prompted := None if inputs is None else rate(float(inputs.sum()))),
        total_tokens_per_s=None if outputs is None or prompted is None else outputs + prompted,
        failed_tokens_per_s=rate(events.failed_tokens + float(at_once(rows.failed).sum())),
        from_s=None if length is None else span.start / 1e9,
        to_s=None if length is None else span.end / 1e9,
        requests_counted="by end" if span.by_end else "by life",
        chunks_per_token=_chunks_per_token(rows, ok & rows.streamed),
        user_tokens_per_s=user_rates(tpot),
    )


def widened(found: Interval | None, value: float | None, deviation: float | None) -> Interval | None:
    """The interval of a rate, at least as wide as its standard deviation asks for; None or NaN asks for nothing."""
    if found is None or value is None or deviation is None or math.isnan(deviation):
        return found
    half = Z_975 * deviation
    return Interval(low=min(found.low, max(0.0, value - half)), high=max(found.high, value + half))


def _chunks_per_token(rows: Rows, chosen: Mask) -> float | None:
    both = chosen & ~np.isnan(rows.output_chunks) & ~np.isnan(rows.output_tokens)
    tokens = float(rows.output_tokens[both].sum())
    return float(rows.output_chunks[both].sum()) / tokens if tokens else None
