"""Speculative decoding by the server's own word: how many tokens it guessed, and how many of them held.

Its replies tell of themselves (vLLM, SGLang, llama.cpp), its page of all that it served between two looks, its gauges
of the moments at which they were watched. What one does not tell is missing, never taken from another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from loadcell.metrics.looks import Part
from loadcell.metrics.model import Observed, Speculation
from loadcell.metrics.overtime import gains
from loadcell.metrics.rows import Mask, Rows
from loadcell.phrases import phrase

_POSITION = "position"


def speculation(
    rows: Rows, ok: Mask, parts: Mapping[str, Sequence[Part]], observed: Observed | None, *, restarted: bool = False
) -> list[Speculation]:
    """By each source that tells: replies of the `ok` requests, the pages before and after (`parts`), the gauges.
    `restarted`: whether the server began anew between the pages."""
    return [*_replies(rows, ok), *_page(parts, restarted=restarted), *_watched(observed)]


def _replies(rows: Rows, ok: Mask) -> Iterator[Speculation]:
    told = ok & ~np.isnan(rows.draft_tokens) & ~np.isnan(rows.accepted_tokens)
    if not told.any():
        return
    steps = rows.draft_steps[told]
    yield _counted(
        phrase("its replies"),
        None if np.isnan(steps).any() else int(steps.sum()),
        int(rows.draft_tokens[told].sum()),
        int(rows.accepted_tokens[told].sum()),
        requests=int(np.count_nonzero(told)),
    )


def _page(parts: Mapping[str, Sequence[Part]], *, restarted: bool) -> Iterator[Speculation]:
    told = [parts.get(f"spec_{name}", ()) for name in ("steps", "draft_tokens", "accepted_tokens")]
    steps, drafts, accepted = (None if restarted else _gained(some) for some in told)
    if not told[1] and not accepted:
        return
    name = next(part.name for some in told[::-1] for part in some)
    positions = [_gained(some) for some in _by_position(parts.get("spec_accepted_at", ()))]
    shares = [n / steps for n in positions if n is not None] if steps and None not in positions else []
    anew = restarted or any(some and _gained(some) is None for some in told)
    yield _counted(
        phrase("{} Prometheus", name.engine),
        steps,
        drafts,
        accepted,
        by_position=shares if max(shares, default=0.0) <= 1.0 else [],
        note=phrase("its counters went back, or began anew: what they gained is not known")
        if anew
        else name.note or None,
    )


def _watched(observed: Observed | None) -> Iterator[Speculation]:
    """Gauges, of servers that have no counters of it."""
    series = {} if observed is None else observed.series
    rate, length = (
        series[name].mean if name in series else None for name in ("spec_accept_share", "spec_accept_length")
    )
    rate = rate if rate is not None and 0 <= rate <= 1 else None
    if rate is not None or length is not None:
        yield Speculation(
            source=phrase("its gauges"),
            acceptance_rate=rate,
            acceptance_length=length,
            note=phrase("the mean of what the server told at each look, whatever part of its work that is of"),
        )


def _counted(
    source: str,
    steps: int | None,
    drafts: int | None,
    accepted: int | None,
    *,
    requests: int | None = None,
    by_position: Sequence[float] = (),
    note: str | None = None,
) -> Speculation:
    if drafts is not None and accepted is not None and accepted > drafts:
        note = phrase("it tells {} accepted of {} guessed tokens, which cannot be", accepted, drafts)
        accepted, by_position = None, ()
    return Speculation(
        source=source,
        requests=requests,
        steps=steps,
        draft_tokens=drafts,
        accepted_tokens=accepted,
        acceptance_rate=accepted / drafts if drafts and accepted is not None else None,
        acceptance_length=1 + accepted / steps if steps and accepted is not None else None,
        by_position=list(by_position),
        note=note,
    )


def _gained(parts: Sequence[Part]) -> int | None:
    """What a counter gained from the page before to the page after; None if that cannot be known."""
    each = [float(gains(part.values, part.told)[1]) for part in parts]
    return round(sum(each)) if each and np.isfinite(each).all() else None


def _by_position(parts: Sequence[Part]) -> list[list[Part]]:
    """Parts of one position of the guess each, in order."""
    found: dict[int, list[Part]] = {}
    for part in parts:
        told = dict(pair.partition("=")[::2] for pair in part.id.split(" ")).get(_POSITION, "")
        if told.isdecimal():
            found.setdefault(int(told), []).append(part)
    return [found[position] for position in sorted(found)]
