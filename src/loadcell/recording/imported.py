"""What an imported recording keeps of the files of another tool: imported.json."""

from __future__ import annotations

from typing import Literal

import msgspec

from loadcell.phrases import Phrase

_MS = {"ms": 1.0, "s": 1000.0, "us": 1e-3, "µs": 1e-3, "ns": 1e-6}
_A_SECOND = {"s": 1.0, "min": 1 / 60, "h": 1 / 3600}
"""What a rate of so long is a second, by what stands behind the last slash of its unit."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One figure that the tool itself wrote."""

    key: str
    """Where it stands in the file, keys joined by dots: p99_ttft_ms, time_to_first_token.p99."""
    value: float | None
    """As it stands there; None where it is missing, also where the tool writes 0 or NaN for that."""
    unit: str = ""
    """Of `value`: ms, s, tokens, requests/s, tokens/s, %, ..."""
    metric: str | None = None
    """The figure of ours, as a Result names it (ttft_ms, requests_per_s, ...), whose definition is the same or nearest,
    by what it means, not by what it is called; None where there is none."""
    stat: str | None = None
    """mean, std, min, max, p50, p99, ...; None for one that is no statistic."""

    @property
    def ms(self) -> float | None:
        """A time in ms; None where its unit is none of time."""
        scale = _MS.get(self.unit)
        return None if scale is None or self.value is None else self.value * scale

    @property
    def a_second(self) -> float | None:
        """A rate a second; None where its unit is none of rates."""
        scale = _A_SECOND.get(self.unit.rpartition("/")[2]) if "/" in self.unit else None
        return None if scale is None or self.value is None else self.value * scale


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """What the files cannot say."""

    field: str
    """A column of the requests (first_any_ns, planned_ns), chunks, requests, or a thing of the run (seed, rate)."""
    why: str
    """In a few words: "the file has no send times"."""


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """Where a recording comes from that no load of ours made."""

    tool: str
    """A name of `interop.read.TOOLS`."""
    title: str
    version: str | None = None
    """The tool's, where its files tell."""
    schema: str
    """Which of its forms."""
    tested: bool
    """Whether this form was held against a real file."""
    files: dict[str, str]
    """SHA-256 of each, by its name."""
    imported_at: str
    """Wall-clock time, ISO 8601 with zone."""
    loop: Literal["open", "closed"] | None = None
    """None: the files do not tell, and the manifest says closed."""
    placed: bool = True
    """Whether the times of requests stand on one clock; else each has its own zero: no rate, no load, no course."""
    details: bool = True
    """Whether there are requests; else there is what the tool told of them, and no more."""
    ok: int | None = None
    failed: int | None = None
    cancelled: int | None = None
    window_s: float | None = None
    """The time that the tool divides by."""
    derived: list[str] = []
    """Columns that were computed of others: "last_ns: first_any_ns and the gaps"."""
    told: list[Told] = []
    missing: list[Missing] = []
    phrases: dict[str, Phrase] = {}
    """What the sentences of this file were made of."""
