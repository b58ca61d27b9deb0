"""Requests as arrays side by side, an item each: ttfts, itls, input_lens, output_lens, errors, in seconds."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from loadcell.interop.model import Request
from loadcell.interop.readers.common import bad, measured, text, whole

_LISTS = ("ttfts", "itls", "input_lens", "output_lens", "errors", "cached_tokens")


def packed(values: Any) -> Any:
    """The gaps of a request in little memory; as they are where one of them is no number."""
    try:
        return array("d", values)
    except (TypeError, OverflowError):
        return values


def requests_of(row: dict[str, Any], path: Path, at: str, *, source: str, by_token: bool = False) -> Iterator[Request]:
    """The requests of a result, whose times have a zero of their own; `at` is what stands before a field in errors.

    `source` is where output tokens are from; `by_token`: gaps are of tokens, not of events.
    """
    lists = {name: row[name] for name in _LISTS if row.get(name) is not None}
    n = len(lists["ttfts"]) if isinstance(lists.get("ttfts"), list) else -1
    for name, values in lists.items():
        if not isinstance(values, list) or len(values) != n:
            raise bad(path, f"{at}{name}", f"expected a list of {max(n, 0)}, as long as ttfts")
    gaps = lists.get("itls") or [[]] * n
    counts = [measured(value, path, f"{at}output_lens.{i}") for i, value in enumerate(lists.get("output_lens", []))]
    whole_replies = not any(gaps) and any((count or 0) > 1 for count in counts)  # not streamed: TTFT is all of it
    for i in range(n):
        ttft = measured(lists["ttfts"][i], path, f"{at}ttfts.{i}") or None
        stamps = None if ttft is None else _stamps(ttft, gaps[i], path, f"{at}itls.{i}")
        error = text(lists["errors"][i]) if "errors" in lists else None
        inputs, cached = (
            whole(measured(lists[name][i], path, f"{at}{name}.{i}")) if name in lists else None
            for name in ("input_lens", "cached_tokens")
        )
        output = None if error or not counts else whole(counts[i])
        chunks = None if whole_replies else stamps
        yield Request(
            status="failed" if error else "ok",
            first_s=None if whole_replies else ttft,
            last_s=None if stamps is None else stamps[-1],
            chunks_s=chunks,
            chunk_tokens=[1] * len(chunks) if chunks is not None and by_token else None,
            input_tokens=inputs,
            cached_tokens=cached,
            output_tokens=output,
            token_source=None if output is None else source,
            error_kind="told" if error else None,
            error=error,
        )


def _stamps(ttft: float, gaps: Any, path: Path, at: str) -> array[float] | None:
    """Times of all events: the first, and the sums of the gaps after it; None where a gap is not known."""
    if not isinstance(gaps, list | array):
        raise bad(path, at, "expected a list of gaps")
    steps = array("d", [ttft])
    if isinstance(gaps, array):
        steps.extend(gaps)
    else:
        found = [measured(gap, path, f"{at}.{i}") for i, gap in enumerate(gaps)]
        steps.extend(math.nan if gap is None else gap for gap in found)
    times = np.cumsum(np.frombuffer(steps, dtype=float))
    return array("d", times.tobytes()) if np.isfinite(times).all() else None


class Survey(NamedTuple):
    """What all requests say together."""

    requests: int
    failed: int
    streamed: bool | None
    """Whether any reply came in events; None where no request tells."""


def survey(requests: Iterator[Request]) -> Survey:
    """One pass over them."""
    total = failed = told = by_event = 0
    for request in requests:
        total += 1
        failed += request.status == "failed"
        told += request.status == "ok" and request.last_s is not None
        by_event += request.status == "ok" and request.first_s is not None
    return Survey(total, failed, by_event > 0 if told else None)
