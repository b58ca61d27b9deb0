"""A rate that is meant to vary: steps and ramps, as a person writes them or from a file."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import msgspec

from loadcell.columns import Table, read_numbers
from loadcell.errors import UsageError
from loadcell.spec.notation import parse_duration_s

_STEP = re.compile(r"\s*([^@,]+?)(?:\.\.([^@,]+?))?\s*@\s*([^@,]+?)\s*")
_FORMS = 'write RATE@TIME or FROM..TO@TIME, parted by commas, as in "10@60s,50@60s,50..10@30s", or name a CSV file'
_MOST_STEPS = 20_000
_TIMES = {"t_s": 1.0, "t_ms": 1e-3}
NO_SERIES = (None, "", "none")
"""Takes a series out of a spec that has one."""
_RATES = ("rate", "requests_per_s")
_LONG_S = 14 * 86_400.0
"""A longer series was written in another unit: a run of two weeks is none that anybody asks for."""

_SHORT_S = 0.01


class Series(msgspec.Struct, frozen=True):
    """Pieces, one after the other, through each of which the rate goes evenly from one value to another."""

    lengths_s: tuple[float, ...]
    begins: tuple[float, ...]
    """Requests/s at the begin of each piece."""
    ends: tuple[float, ...]
    """And at its end: the same where the rate holds still."""

    @property
    def length_s(self) -> float:
        """Of all pieces."""
        return math.fsum(self.lengths_s)

    @property
    def mean(self) -> float:
        """Requests/s over all of it."""
        areas = (s * (a + b) / 2 for s, a, b in zip(self.lengths_s, self.begins, self.ends, strict=True))
        return math.fsum(areas) / self.length_s

    @property
    def peak(self) -> float:
        """Highest requests/s."""
        return max(*self.begins, *self.ends)

    @property
    def least(self) -> float:
        """Lowest requests/s."""
        return min(*self.begins, *self.ends)

    def scaled(self, mean: float) -> Series:
        """The same course with another mean."""
        factor = mean / self.mean
        return Series(self.lengths_s, *(tuple(x * factor for x in rates) for rates in (self.begins, self.ends)))

    def written(self) -> str:
        """As text, which `parse_series` takes."""
        steps = zip(self.lengths_s, self.begins, self.ends, strict=True)
        return ",".join(f"{a:.12g}@{s:.12g}s" if a == b else f"{a:.12g}..{b:.12g}@{s:.12g}s" for s, a, b in steps)


def parse_series(text: str, name: str = "load.rate_series") -> Series:
    """The series of "10@60s,50@60s,10..50@30s"; UsageError else, which begins with `name`."""
    lengths, begins, ends = [], [], []
    for part in text.split(","):
        found = _STEP.fullmatch(part)
        if not found:
            raise UsageError(f"{name}: {part.strip()!r} is no step of a rate: {_FORMS}")
        first, last, length = found.groups()
        begins.append(_rate(first, part, name))
        ends.append(_rate(last, part, name) if last else begins[-1])
        lengths.append(parse_duration_s(length, f"{name} {part.strip()}"))
        if not lengths[-1] > 0:
            raise UsageError(f"{name}: {part.strip()!r} lasts no time")
    return _checked(Series(tuple(lengths), tuple(begins), tuple(ends)), name)


def settle_series(tree: dict[str, dict[str, Any]]) -> None:
    """Write out the series of the section `load`, be it in a file, and fill in its mean where no rate is given."""
    load = tree.get("load", {})
    text = load.get("rate_series")
    if not isinstance(text, str):
        return
    if text in NO_SERIES:
        tree["load"] = {**load, "rate_series": None}
        return
    series = series_of(text, "load.rate_series")
    rate = round(series.mean, 9) if load.get("rate") is None else load["rate"]
    tree["load"] = {**load, "rate_series": series.written(), "rate": rate}


def series_of(text: str, name: str) -> Series:
    """The series that a person wrote, or that of the file that was named."""
    if "@" in text:
        return parse_series(text, name)
    if not Path(text).expanduser().exists():
        raise UsageError(f"{name}: there is no file {text}: {_FORMS}")
    return read_series(text, name)


def read_series(path: str, name: str) -> Series:
    """The series of a CSV (JSON Lines, Parquet) file with the columns t_s (or t_ms) and rate.

    Each rate holds until the next row's time, and the last for as long as the one before it; times count from the first
    row. UsageError names the line that is wrong.
    """
    table = read_numbers(path, f"{name}: ", (tuple(_TIMES), _RATES))
    (time, times), (_, rates) = table.columns
    unit = _TIMES[time]
    if len(times) < 2:
        raise UsageError(f"{name}: {path} has {len(times)} rows: two are needed to tell how long a rate holds")
    if len(times) > _MOST_STEPS:
        raise UsageError(f"{name}: {path} has {len(times):,} rows: the most is {_MOST_STEPS:,}; take longer steps")
    lengths, begins = _steps(table, times, rates, unit, name)
    return _checked(Series(tuple(lengths), tuple(begins), tuple(begins)), f"{name}: {path}", in_seconds=unit == 1.0)


def _steps(
    table: Table, times: list[float], rates: list[float], unit: float, name: str
) -> tuple[list[float], list[float]]:
    lengths: list[float] = []
    kept: list[float] = []
    for place, rate in enumerate(rates):
        if rate < 0:
            raise UsageError(f"{name}: {table.where(place)}: a rate of {rate:g}: rates are 0 or more")
        last = place == len(times) - 1
        length = (times[place] - times[place - 1] if last else times[place + 1] - times[place]) * unit
        if length <= 0:
            raise UsageError(
                f"{name}: {table.where(place + 1)}: {times[place + 1]:.12g} comes after {times[place]:.12g}: rows must "
                "be in the order of their times, each with a time of its own"
            )
        if kept and kept[-1] == rate:
            lengths[-1] += length
        else:
            lengths.append(length)
            kept.append(rate)
    return [round(length, 9) for length in lengths], kept


def _rate(text: str, part: str, name: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not (0 <= rate < math.inf):
        raise UsageError(f"{name}: {part.strip()!r}: {text.strip()!r} is no rate: {_FORMS}")
    return rate


def _checked(series: Series, name: str, *, in_seconds: bool = True) -> Series:
    if not series.peak > 0:
        raise UsageError(f"{name}: every rate is 0: no request would be sent")
    if series.length_s < _SHORT_S:
        raise UsageError(f"{name} lasts {series.length_s:g} s: the least is {_SHORT_S:g} s")
    if series.length_s > _LONG_S:
        hint = "are its times milliseconds? name their column t_ms" if in_seconds else "are its times microseconds?"
        raise UsageError(f"{name} lasts {series.length_s / 86_400:,.0f} days: {hint}")
    return series
