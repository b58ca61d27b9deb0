"""The requests of a vLLM bench result: arrays side by side, one item a request, in seconds."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from loadcell.errors import UsageError
from loadcell.interop.document import Each
from loadcell.interop.model import Request

NUMBERS = ("ttfts", "latencies", "start_times", "input_lens", "output_lens", "queue_times")
ARRAYS = (*NUMBERS, "itls", "errors", "server_queue_times", "server_ttfts", "generated_texts")
"""Every key of a result that has an item a request."""
LEFT_OUT = ("generated_texts", "server_queue_times", "server_ttfts")
FIELDS = {
    "sent_s": "start_times", "first_s": "ttfts", "last_s": "latencies", "chunks_s": "itls",
    "input_tokens": "input_lens", "output_tokens": "output_lens",
}  # fmt: skip


class Gaps:
    """The gaps of all requests of one result, end to end: a list a request would take four times the memory."""

    def __init__(self) -> None:
        self.values, self.ends = array("d"), array("q", [0])

    def take(self, values: array[float]) -> None:
        """Those of the next request."""
        self.values.extend(values)
        self.ends.append(len(self.values))

    def __len__(self) -> int:
        return len(self.ends) - 1

    def of(self, row: int) -> array[float]:
        return self.values[self.ends[row] : self.ends[row + 1]]


class Collecting:
    """Makes the arrays small as they are read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._gaps = Gaps()

    def each(self, prefix: str) -> dict[str, Each]:
        """For `document.documents`."""
        made: dict[str, Each] = {f"{prefix}{name}": partial(_floats, self._path, name) for name in NUMBERS}
        made[f"{prefix}itls.*"] = self._take
        made[f"{prefix}itls"] = lambda _: self._taken()
        return made

    def _take(self, values: Any) -> None:
        self._gaps.take(_floats(self._path, "itls", values))

    def _taken(self) -> Gaps:
        found, self._gaps = self._gaps, Gaps()
        return found


def _floats(path: Path, name: str, values: Any) -> array[float]:
    """Numbers, null among them as NaN."""
    if not isinstance(values, list):
        raise UsageError(f"{path}: {name} holds {type(values).__name__} where a list of numbers should stand")
    try:
        return array("d", values)
    except TypeError:
        wrong = next((v for v in values if v is not None and not isinstance(v, int | float)), None)
        if wrong is not None:
            raise UsageError(f"{path}: {name} holds {wrong!r} where a number should stand") from None
        return array("d", (math.nan if v is None else v for v in values))


def check_lengths(tree: dict[str, Any], path: Path) -> int:
    """How many requests the arrays have; UsageError if they do not have as many each."""
    sizes = {name: len(tree[name]) for name in ARRAYS if tree.get(name) is not None}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
        raise UsageError(f"{path}: arrays with an item a request have as many each, and these differ: {listed}")
    return next(iter(sizes.values()), 0)


def requests_of(tree: dict[str, Any], *, relative: bool) -> Iterator[Request]:
    """The requests of a result, in its order. `relative`: start times count from the start of the run."""
    count = len(next(tree[name] for name in ARRAYS if tree.get(name) is not None))
    begun: array[float] | None = tree.get("start_times")
    relative = relative or _from_zero(tree, begun)
    zero = 0.0 if relative or begun is None else min((t for t in begun if t > 0), default=0.0)
    failures: list[dict[str, Any]] = tree.get("failed_requests") or []
    apart = bool(failures) and count == tree.get("completed")
    lost = {} if apart else {int(each["index"]): each for each in failures if "index" in each}
    for row in range(count):
        start = None if begun is None or (begun[row] == 0 and not relative) else begun[row] - zero
        yield _request(tree, row, start, lost.get(row))
    if apart:  # the arrays hold what succeeded
        yield from map(_lost, failures)


def _from_zero(tree: dict[str, Any], begun: array[float] | None) -> bool:
    """Whether a request that brought something started at 0: a clock from the start of the run, whose 0 is a time.
    Of any other a 0 is that of a request that was never sent."""
    if begun is None or 0 not in begun:
        return False
    came = [tree[name] for name in ("ttfts", "latencies") if tree.get(name) is not None]
    return any(start == 0 and any(each[row] > 0 for each in came) for row, start in enumerate(begun))


def _lost(told: dict[str, Any]) -> Request:
    """A failed request as the Rust client tells it, where it is in no array."""
    start, ttft = told.get("start_time"), told.get("ttft")
    first = (start or 0.0) + ttft if ttft else None
    chunks = None if first is None else _running(first, array("d", told.get("itl") or []))
    return Request(
        status="failed",
        sent_s=start,
        first_s=first,
        chunks_s=chunks,
        end_s=(start or 0.0) + told["latency"] if told.get("latency") else None,
        input_tokens=told.get("prompt_len"),
        output_tokens=told.get("output_tokens") or None,
        error_kind="told",
        error=_reason(str(told.get("error") or "")),
    )


def _running(first: float, gaps: array[float]) -> array[float]:
    with np.errstate(over="ignore", invalid="ignore"):  # what is beyond all times is left out by the door
        return array("d", (first + np.concatenate(([0.0], np.cumsum(np.frombuffer(gaps))))).tobytes())


def _reason(words: str) -> str:
    """The last line of an error, which of a traceback is the error itself."""
    return words.strip().rpartition("\n")[2] or "no reason told"


def _request(tree: dict[str, Any], row: int, start: float | None, lost: dict[str, Any] | None) -> Request:
    ttft, latency = _at(tree, "ttfts", row), _at(tree, "latencies", row)
    tokens, error = _at(tree, "output_lens", row), (tree.get("errors") or {row: ""})[row] or ""
    unended = latency == 0 if latency is not None else not tokens and not ttft
    failed = bool(error) or lost is not None or unended
    from_s = start or 0.0
    first = from_s + ttft if ttft else None  # 0: none came, or none that the tool understood
    gaps = tree["itls"].of(row) if tree.get("itls") is not None else None
    chunks = None
    if first is not None and gaps is not None:
        chunks = _running(first, gaps)
    last = from_s + latency if latency else None
    if last is None and chunks is not None:
        last = chunks[-1]
    words = error or (str(lost.get("error") or "") if lost else "")
    return Request(
        status="failed" if failed else "ok",
        sent_s=start,
        first_s=first,
        last_s=last,
        chunks_s=chunks,
        input_tokens=_whole(_at(tree, "input_lens", row)),
        output_tokens=None if failed and not tokens else _whole(tokens),
        error_kind="told" if failed else None,
        error=_reason(words) if failed else None,
    )


def _at(tree: dict[str, Any], name: str, row: int) -> float | None:
    values = tree.get(name)
    return None if values is None else values[row]


def _whole(value: float | None) -> int | None:
    """A count; what is no finite number stays as it is, for the door to tell."""
    return None if value is None else int(value) if math.isfinite(value) else value  # type: ignore[return-value]
