"""Requests one by one: all of them, or a sample that keeps the extremes."""

from __future__ import annotations

import numpy as np

from loadcell.metrics.rows import Floats, Ids, Mask, Rows
from loadcell.metrics.throughput import input_tokens
from loadcell.phrases import phrase
from loadcell.report.detail.model import DOTS, Dots

_LONGEST, _SHORTEST = 30, 10
"""Of each latency, that are always drawn."""
_FAILURES = 500
"""Failures that are drawn, at most."""
_SEED = 1


def dots(
    rows: Rows, anchor: Floats, members: Mask, latency_ns: dict[str, Floats], most: int = DOTS
) -> tuple[Dots | None, list[str]]:
    """(the dots, what was left out in words); None without a request whose time is known.

    `latency_ns` are figures of all requests, NaN where there is none.
    """
    timed = np.flatnonzero(rows.counted & ~np.isnan(anchor))
    if not timed.size:
        return None, []
    places, extreme, says = timed, np.zeros(timed.size, dtype=bool), []
    if timed.size > most:
        figures = [np.where(rows.ok, values, np.nan)[timed] for values in latency_ns.values()]
        chosen, extreme = choose(figures, rows.failed[timed], most)
        places = timed[chosen]
        says = [_thinned(places.size, timed.size, int(rows.failed[timed].sum()), int(rows.failed[places].sum()))]
    status = np.select(
        [rows.failed, rows.cancelled, rows.abandoned, rows.ok | rows.slow],  # a slow reader's is ok, without figures
        ["failed", "cancelled", "abandoned", "ok"],
        "unknown",
    )[places]
    shown = {name: _ms(np.where(rows.ok, values, np.nan)[places]) for name, values in latency_ns.items()}
    found = Dots(
        of=int(timed.size),
        request=rows.request[places].tolist(),
        t_s=(anchor[places] / 1e9).round(6).tolist(),
        status=status.tolist(),
        inside=members[places].tolist(),
        extreme=extreme.tolist(),
        input_tokens=_whole(input_tokens(rows)[places]),
        output_tokens=_whole(rows.output_tokens[places]),
        **shown,
    )
    return found, says


def choose(figures: list[Floats], failed: Mask, most: int) -> tuple[Ids, Mask]:
    """(at most `most` of the requests, ascending; which of them were not drawn by lot).

    The extremes of each figure and the failures (a sample, where they are too many) are kept; of the others each has
    the same chance. The same input gives the same sample.
    """
    rng = np.random.default_rng(_SEED)
    kept = np.zeros(failed.size, dtype=bool)
    for values in figures:
        order = np.argsort(values, kind="stable")[: np.count_nonzero(~np.isnan(values))]  # NaN comes last
        kept[order[:_SHORTEST]] = True
        kept[order[-_LONGEST:]] = True
    failures = np.flatnonzero(failed)
    if failures.size <= _FAILURES:
        kept[failures] = True
        by_lot = np.zeros(0, dtype=np.int64)
    else:
        by_lot = rng.choice(failures, _FAILURES, replace=False)
    rest = np.flatnonzero(~kept & ~failed)
    room = most - int(kept.sum()) - by_lot.size
    by_lot = np.concatenate((by_lot, rng.choice(rest, min(max(room, 0), rest.size), replace=False)))
    chosen = np.sort(np.concatenate((np.flatnonzero(kept), by_lot)))
    return chosen, kept[chosen]


def _thinned(shown: int, of: int, failed: int, failed_shown: int) -> str:
    failures = (
        phrase("all failures") if failed_shown == failed else phrase("{:,} of {:,} failures", failed_shown, failed)
    )
    return phrase(
        "{:,} of {:,} requests are drawn: the extremes of each latency, {}, and of the others a sample drawn by lot",
        shown,
        of,
        failures,
    )


def _ms(values_ns: Floats) -> list[float | None]:
    return [None if np.isnan(x) else round(x / 1e6, 4) for x in values_ns.tolist()]


def _whole(values: Floats) -> list[int | None]:
    return [None if np.isnan(x) else int(x) for x in values.tolist()]
