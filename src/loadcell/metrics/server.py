"""Where TTFT went, by the server's own word: queue, prefill, and the rest that it does not tell of.

A server tells of each request in its reply, or of all requests on its Prometheus page, which then are those of the
whole run, whoever sent them. Unattributed is the TTFT at the client, from the send, less queue and prefill: the
server's front end, the network and the client.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from loadcell.metrics.interval import spread_ms
from loadcell.metrics.model import ServerPart, ServerSide, WhereTtft
from loadcell.metrics.prometheus import PageMeans, page_means
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.phrases import phrase
from loadcell.recording.read import Recording

_NO_QUEUE = phrase("the server does not tell how long a request queued: that is in the unattributed part")
_OTHERS = 0.01
"""Share of the requests that a page may count more or less than the client and still be of the same requests."""
_SLACK_NS = 1_000_000
"""The server's figures may exceed the client's by this much: they are rounded, and its clock is another."""


def server_sides(recording: Recording, rows: Rows, ok: Mask) -> list[ServerSide]:
    """Each source on the server's side: of the window's ok requests, and of the whole run for Prometheus pages."""
    sides = [*_replies(rows, ok)]
    if recording.prometheus is not None:
        sides += _pages(*recording.prometheus, rows, ok)
    return sides


def _replies(rows: Rows, ok: Mask) -> Iterator[ServerSide]:
    """What the replies tell: with a queue in vLLM's form, without one in llama.cpp's."""
    told = ok & rows.streamed & rows.sent & ~np.isnan(rows.server_prefill)
    queued = ~np.isnan(rows.server_queue)
    if (told & queued).any():
        yield _of_rows(phrase("vLLM metrics"), rows, told & queued, [])
    if (told & ~queued).any():
        yield _of_rows(phrase("llama.cpp timings"), rows, told & ~queued, [_NO_QUEUE])


def _of_rows(source: str, rows: Rows, members: Mask, notes: list[str]) -> ServerSide:
    """The parts by the rows of `members`, which all tell of a queue, or all do not."""
    ttft = (rows.first_any - rows.send_start)[members]
    queue, prefill = rows.server_queue[members], rows.server_prefill[members]
    rest = ttft - np.nan_to_num(queue) - prefill
    over = int(np.count_nonzero(rest < -_SLACK_NS))
    if over:
        notes = [
            *notes,
            phrase("queue and prefill are more than the TTFT of {:,} requests: the server's times are wrong", over),
        ]
    ttft_ms = float(ttft.mean()) / 1e6

    def part(values: Floats) -> ServerPart:
        if np.isnan(values).any():
            return _part(None, ttft_ms)
        spread = spread_ms(values)
        return _part(float(values.mean()) / 1e6, ttft_ms, spread.p50_ms, spread.p99_ms)

    return ServerSide(
        source=source,
        requests=int(ttft.size),
        ttft_ms=ttft_ms,
        queue=part(queue),
        prefill=part(prefill),
        unattributed=part(rest),
        own_ttft_ms=None if np.isnan(queue).any() else float((queue + prefill).mean()) / 1e6,
        notes=notes,
    )


def _part(
    mean_ms: float | None, ttft_ms: float | None, p50_ms: float | None = None, p99_ms: float | None = None
) -> ServerPart:
    share = mean_ms / ttft_ms if mean_ms is not None and ttft_ms else None
    return ServerPart(mean_ms=mean_ms, p50_ms=p50_ms, p99_ms=p99_ms, share=share)


def _pages(before: str, after: str, rows: Rows, ok: Mask) -> Iterator[ServerSide]:
    """What the Prometheus pages tell of the whole run."""
    answered = rows.ok | rows.streamed
    prompt_tokens = float((rows.prompt_tokens - np.nan_to_num(rows.cached_tokens))[answered].sum())
    timed = rows.streamed & rows.sent  # failed ones and those beyond the end too: the server counted them
    ttft_ms = float((rows.first_any - rows.send_start)[timed].mean()) / 1e6 if timed.any() else None
    own = int(np.count_nonzero(answered))
    inside = int(np.count_nonzero(ok))
    says = phrase(
        "these are of all {:,} requests of the run, the latencies of the {:,} that the window counts", own, inside
    )
    whole = [] if own == inside else [says]
    for means in page_means(before, after, own, prompt_tokens):
        yield _of_means(means, ttft_ms, own, whole)


def _of_means(means: PageMeans, ttft_ms: float | None, own: int, whole: list[str]) -> ServerSide:
    queue, prefill = means.queue_ms, means.prefill_ms
    rest = None if ttft_ms is None or prefill is None else round(ttft_ms - (queue or 0.0) - prefill, 6)  # to ns
    notes = [*means.notes, *whole]
    if rest is not None and queue is None:
        notes.append(_NO_QUEUE)
    if means.requests is not None and means.requests != own:
        notes.append(_difference(means.requests - own))
    return ServerSide(
        source=means.source,
        requests=own if means.requests is None else means.requests,
        ttft_ms=ttft_ms,
        queue=_part(queue, ttft_ms),
        prefill=_part(prefill, ttft_ms),
        unattributed=_part(rest, ttft_ms),
        own_ttft_ms=means.ttft_ms
        if means.requests is not None and abs(means.requests - own) <= _OTHERS * own
        else None,
        notes=notes,
    )


def _difference(more: int) -> str:
    if more > 0:
        return phrase("the server counted {:,} requests more than this run got answers to: others load it too", more)
    return phrase("the server counted {:,} requests fewer than this run: its page is of a part of them", -more)


def where_ttft(sides: list[ServerSide]) -> WhereTtft | None:
    """One answer of all that was told: the parts of the source that tells most apart, over its own requests.

    A page goes first where it is of the same requests, for it alone knows the server's front end. llama.cpp's page is
    left to where replies are silent: it shares the time of a batch out, and a request waits for all of it.
    """
    ranked = sorted(
        (side for side in sides if _adds_up(side)), key=lambda side: (-len(_names(side)), side.requests == 0)
    )
    if not ranked:
        return None
    side = ranked[0]
    assert side.ttft_ms is not None
    return WhereTtft(
        source=side.source,
        requests=side.requests,
        ttft_ms=side.ttft_ms,
        parts={name: _part(ms, side.ttft_ms) for name, ms in _names(side).items()},
    )


def _adds_up(side: ServerSide) -> bool:
    return bool(side.ttft_ms) and side.prefill.mean_ms is not None and (side.unattributed.mean_ms or 0.0) >= 0


def _names(side: ServerSide) -> dict[str, float]:
    """Parts of TTFT in ms, by what each holds."""
    assert side.ttft_ms is not None and side.prefill.mean_ms is not None
    queue, prefill, own = side.queue.mean_ms, side.prefill.mean_ms, side.own_ttft_ms
    if queue is None:
        return {"prefill": prefill, "queue+front_end+network_and_client": side.ttft_ms - prefill}
    front = None if own is None else own - queue - prefill
    if own is None or front is None or own > side.ttft_ms or front < -_SLACK_NS / 1e6:
        return {"queue": queue, "prefill": prefill, "front_end+network_and_client": side.ttft_ms - queue - prefill}
    if "SGLang" in side.source:
        return {"queue": queue, "prefill+front_end": prefill, "network_and_client": side.ttft_ms - own}
    if "Prometheus" not in side.source:  # its replies tell nothing of the front end
        return {"queue": queue, "prefill": prefill, "front_end+network_and_client": side.ttft_ms - own}
    front = max(0.0, front)
    return {
        "queue": queue,
        "prefill": prefill,
        "front_end": front,
        "network_and_client": side.ttft_ms - queue - prefill - front,
    }
