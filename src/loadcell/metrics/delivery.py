"""What was delivered against what was planned: arrivals, connections and tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from loadcell.kinds import TOKENIZER_TOLERANCE
from loadcell.metrics.events import EventTotals
from loadcell.metrics.interval import spread_ms
from loadcell.metrics.model import Arrivals, Connections, TokenClosure
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.metrics.window import Span

_LEAST_BINS = 10
"""Bins of a dispersion: with fewer, its noise is larger than what it is to show."""


def arrivals(rows: Rows, members: Mask, span: Span, loop: str) -> Arrivals:
    """The sent process against the saved plan, over the window's requests that were sent."""
    chosen, span = members & rows.sent, _of_sending(rows, span)
    if loop != "open" or not chosen.any() or span.length_s is None:
        return Arrivals(**dict.fromkeys(Arrivals.__struct_fields__))
    planned, sent = np.sort(rows.planned[chosen]), np.sort(rows.send_start[chosen])
    return Arrivals(
        planned_rate=planned.size / span.length_s,
        sent_rate=float(np.count_nonzero(span.holds(rows.send_start) & rows.counted)) / span.length_s,
        planned_gap_cv=_gap_cv(planned),
        sent_gap_cv=_gap_cv(sent),
        planned_dispersion_1s=_dispersion(planned, span, 1.0),
        sent_dispersion_1s=_dispersion(sent, span, 1.0),
        planned_dispersion_10s=_dispersion(planned, span, 10.0),
        sent_dispersion_10s=_dispersion(sent, span, 10.0),
        ks_distance=ks_distance(np.diff(planned), np.diff(sent)),
    )


def _of_sending(rows: Rows, span: Span) -> Span:
    """The window up to a mean gap after the last planned request: in a longer one, a plan kept late looks kept."""
    planned = rows.planned[rows.counted & ~np.isnan(rows.planned)]
    if planned.size < 2:
        return span
    last = float(planned.max())
    return replace(span, end=min(span.end, last + (last - float(planned.min())) / (planned.size - 1)))


def _gap_cv(times: Floats) -> float | None:
    gaps = np.diff(times)
    return float(gaps.std() / gaps.mean()) if gaps.size > 1 and gaps.mean() else None


def _dispersion(times: Floats, span: Span, bin_s: float) -> float | None:
    """Index of dispersion: variance over mean of the arrivals in bins; 1 for a Poisson process."""
    bins = int((span.end - span.start) / (bin_s * 1e9))
    if bins < _LEAST_BINS:
        return None
    counts, _ = np.histogram(times, bins=bins, range=(span.start, span.start + bins * bin_s * 1e9))
    return float(counts.var(ddof=1) / counts.mean()) if counts.any() else None


def ks_distance(a: Floats, b: Floats) -> float | None:
    """Largest distance of two empirical distribution functions (Kolmogorov and Smirnov)."""
    if not a.size or not b.size:
        return None
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate((a, b))
    below_a, below_b = np.searchsorted(a, both, side="right") / a.size, np.searchsorted(b, both, side="right") / b.size
    return float(np.abs(below_a - below_b).max())


def connections(audits: list[dict[str, Any]], rows: Rows, members: Mask) -> Connections:
    """How the window's requests travelled; failures to connect are of the whole run."""
    fresh, used = members & ~np.isnan(rows.conn_start), members & rows.sent
    rtts = [audit["min_rtt_ns"] for audit in audits if audit.get("min_rtt_ns") is not None]

    def total(name: str) -> int | None:
        values = [audit.get(name) for audit in audits]
        return sum(v for v in values if v is not None) if values and None not in values else None

    return Connections(
        new=int(np.count_nonzero(fresh)),
        reused=int(np.count_nonzero(used & ~fresh)),
        tcp=spread_ms((rows.conn_tcp - rows.conn_start)[fresh]),
        tls=spread_ms((rows.conn_tls - rows.conn_tcp)[fresh]),
        resets=sum(rows.failures.get(kind, (0, None))[0] for kind in ("reset", "cut")),
        failed=total("connect_failures"),
        no_ports=total("no_ports"),
        no_descriptors=total("no_descriptors"),
        min_rtt_ms=float(np.median(rtts)) / 1e6 if rtts else None,
        closed_by_server=_sum(total("closed_by_server"), total("idle_closed")),
        closed_after_failure=total("closed_after_failure"),
    )


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


def token_closure(
    rows: Rows, ok: Mask, events: EventTotals, template_tokens: int | None, by_tokenizer: Mask
) -> TokenClosure:
    """Output tokens in the stream against usage and against what was asked, over the ok requests of the window.

    `template_tokens` are those that the chat template has in every prompt, if known: a cache holds them by right, and
    what prompts share by plan.
    What another tokenizer than the server's counted (`by_tokenizer`) is short or long only beyond what it may be off.
    """
    slack = np.where(by_tokenizer, TOKENIZER_TOLERANCE, 1.0)
    known = ok & ~np.isnan(rows.output_tokens) & ~np.isnan(rows.asked_tokens)
    told = ok & ~np.isnan(rows.prompt_tokens) & (rows.input_tokens > 0)
    if rows.later.size:  # what later turns hold follows from the replies, and from a template for each message
        told &= ~rows.later
    by_plan = np.nan_to_num(rows.shared) if len(rows.shared) else 0.0
    cached = ok & ~np.isnan(rows.cached_tokens) & (rows.prompt_tokens > 0)

    def share(mask: Mask, among: Mask) -> float | None:
        return float(np.count_nonzero(mask & among)) / int(np.count_nonzero(among)) if among.any() else None

    def ratio(above: Floats, below: Floats, among: Mask) -> float | None:
        return float(above[among].sum() / below[among].sum()) if among.any() else None

    return TokenClosure(
        compared=events.closed_requests,
        difference_share=events.closed_difference / events.closed_tokens if events.closed_tokens else None,
        short_share=share(rows.output_tokens * slack < rows.asked_tokens, known),
        long_share=share(rows.output_tokens > rows.asked_tokens * slack, known),
        prompt_ratio=ratio(rows.prompt_tokens, rows.input_tokens, told),
        cached_share=ratio(rows.cached_tokens, rows.prompt_tokens, cached),
        cached_beyond_share=None
        if template_tokens is None
        else ratio(np.maximum(rows.cached_tokens - template_tokens - by_plan, 0.0), rows.prompt_tokens, cached),
    )
