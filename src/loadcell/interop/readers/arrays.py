"""Requests as arrays side by side, an item each: ttfts, itls, input_lens, output_lens, errors, in seconds."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

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
        itls = _gaps(gaps[i], path, f"{at}itls.{i}")
        error = text(lists["errors"][i]) if "errors" in lists else None
        inputs, cached = (
            whole(measured(lists[name][i], path, f"{at}{name}.{i}")) if name in lists else None
            for name in ("input_lens", "cached_tokens")
        )
        output = None if error or not counts else whole(counts[i])
        by_event = ttft is not None and not whole_replies
        yield Request(
            status="failed" if error else "ok",
            first_s=ttft if by_event else None,
            last_s=None if ttft is None else ttft + math.fsum(itls),
            chunks_s=array("d", accumulate(itls, initial=ttft)) if by_event and ttft is not None else None,
            chunk_tokens=[1] * (len(itls) + 1) if by_event and by_token else None,
            input_tokens=inputs,
            cached_tokens=cached,
            output_tokens=output,
            token_source=None if output is None else source,
            error_kind="told" if error else None,
            error=error,
        )


def _gaps(values: Any, path: Path, at: str) -> list[float]:
    if not isinstance(values, list | array):
        raise bad(path, at, "expected a list of gaps")
    return [measured(gap, path, f"{at}.{i}") or 0.0 for i, gap in enumerate(values)]


def streamed(requests: list[Request]) -> bool | None:
    """Whether any reply came in events; None where no request tells."""
    ok = [request for request in requests if request.status == "ok" and request.last_s is not None]
    return any(request.first_s is not None for request in ok) if ok else None
