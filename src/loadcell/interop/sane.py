"""What cannot be in figures and times of a tool: above all seconds that were taken for milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from loadcell.errors import UsageError
from loadcell.interop.model import Run, Told
from loadcell.interop.rows import Rows

_THOUSAND = (300.0, 3000.0)
"""A ratio between these is a unit, no difference of definitions."""
_IN_MS = {"ms": 1.0, "s": 1e3, "us": 1e-3, "ns": 1e-6}
_TEXTS = ("version", "schema", "api", "url", "model", "tokenizer", "arrivals", "input_tokens", "output_tokens")
_COUNTS = ("concurrency", "requests", "seed", "planned", "ok", "failed", "cancelled")
_NUMBERS = ("rate", "duration_s", "window_s")
_MOST = 2**53
_UNITS = "are seconds taken for milliseconds?"


_KINDS: tuple[tuple[tuple[str, ...], str, Callable[[Any], bool]], ...] = (
    (_TEXTS, "a text", lambda value: isinstance(value, str)),
    (_COUNTS, "a whole number from 0", lambda value: isinstance(value, int) and 0 <= value <= _MOST),
    (_NUMBERS, "a number from 0", lambda value: isinstance(value, int | float) and 0 <= value <= _MOST),
)


def check_kinds(run: Run) -> None:
    """UsageError where what a file tells of its run is no text, no count or no number."""
    for names, what, holds in _KINDS:
        for name in names:
            value = getattr(run, name)
            if value is not None and (isinstance(value, bool) or not holds(value)):
                raise UsageError(f"{_files(run)}: {name} is {value!r}, where {what} should stand")
    for told in run.told:
        value = told.value
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
        if value is not None and not number:
            raise UsageError(f"{_files(run)}: {told.key} is {value!r}, where a number should stand")


def check_figures(run: Run) -> None:
    """UsageError where what the tool told contradicts itself: an E2E far below its TTFT, or a median so."""
    for stat in ("p50", "mean"):
        ttft, e2e = _told(run, "ttft_ms", stat), _told(run, "e2e_ms", stat)
        if ttft is None or e2e is None:
            continue
        (first, first_ms), (last, last_ms) = ttft, e2e
        if last_ms < first_ms / 2:
            raise UsageError(
                f"{_files(run)}: {last.key} is {last.value:g} {last.unit} and {first.key} {first.value:g} "
                f"{first.unit}: no reply ends before it begins; {_UNITS}"
            )


def check_times(run: Run, rows: Rows) -> None:
    """UsageError where rows and figures of a file, or its rows and its duration, are a thousand times apart."""
    for metric, own in (("ttft_ms", rows.ttft_s), ("e2e_ms", rows.e2e_s)):
        for stat in ("p50", "mean"):
            found = _told(run, metric, stat)
            if found is None or not own:
                continue
            mine_ms = 1e3 * (median(own) if stat == "p50" else sum(own) / len(own))
            told, ms = found
            if _thousandfold(ms, mine_ms):
                raise UsageError(
                    f"{_files(run)}: {told.key} is {told.value:g} {told.unit}, and the {stat} of its requests "
                    f"{mine_ms:.6g} ms; {_UNITS}"
                )
    itl = _told(run, "itl_ms", "mean")
    if itl is not None and rows.gaps and _thousandfold(itl[1], mean_ms := 1e3 * rows.gaps_s / rows.gaps):
        raise UsageError(
            f"{_files(run)}: {itl[0].key} is {itl[0].value:g} {itl[0].unit}, and the mean of the gaps of its requests "
            f"{mean_ms:.6g} ms; {_UNITS}"
        )
    if run.window_s and run.placed and _thousandfold(run.window_s, rows.ended_ns / 1e9):
        raise UsageError(
            f"{_files(run)}: the duration is {run.window_s:g} s, and its requests take {rows.ended_ns / 1e9:.6g} s; "
            f"{_UNITS}"
        )


def _told(run: Run, metric: str, stat: str) -> tuple[Told, float] | None:
    """The first figure of that meaning that has a value above 0, and that in ms."""
    for told in run.told:
        if told.metric == metric and told.stat == stat and told.value and told.unit in _IN_MS:
            return told, told.value * _IN_MS[told.unit]
    return None


def _thousandfold(a: float, b: float) -> bool:
    low, high = sorted((a, b))
    return low > 0 and _THOUSAND[0] < high / low < _THOUSAND[1]


def _files(run: Run) -> str:
    return ", ".join(map(str, run.files))
