"""Prometheus' text format: what a page says, sample by sample (prometheus.io, "Exposition formats"; OpenMetrics)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# Nothing is tried twice (possessive quantifiers), so that no line takes long. Labels end at the brace outside of
# quotes, for an exemplar behind the value has braces of its own; where a quote is not escaped, at the last brace.
_LABELS = r'\{(?:[^"{}]++|"(?:[^"\\]++|\\.)*+")*+\}|\{.*\}'
_SAMPLE = re.compile(rf"\s*+([a-zA-Z_:][\w:]*+)(?:\s*+({_LABELS}))?\s++(\S++)(?:\s++[-+\d.eE]++)?(?:\s++#.*)?\s*+")
"""Name, labels, value and, rarely, a time and an exemplar."""
BUCKETS_AND_BIRTHS = ("_bucket", "_created")
"""Ends of the names of a histogram's buckets and of the times at which counters were made."""


class Sample(NamedTuple):
    """One value of a page."""

    name: str
    labels: str
    """As written, braces included; empty without."""
    value: float


def read_samples(text: str) -> Iterator[Sample]:
    """The samples of a page in their order; lines that are none are left out."""
    return (found for line in text.split("\n") if (found := _sample(line)) is not None)


def read_page(text: str, leave_out: tuple[str, ...] = ()) -> list[Sample]:
    """As `read_samples`, without names that end in one of `leave_out`; ValueError if it is no whole page."""
    samples = []
    for line in text.split("\n"):
        # Most lines of a page are buckets and comments: what is left out is not taken apart.
        if not line or line[0] == "#" or line.partition("{")[0].endswith(leave_out):
            continue
        found = _sample(line)
        if found is None:
            if line.strip() and line.lstrip()[0] != "#":
                raise ValueError("not a page in Prometheus' text format")
        elif not found.name.endswith(leave_out):
            samples.append(found)
    if not text.endswith("\n"):
        raise ValueError("not a page in Prometheus' text format, or cut short")
    return samples


def _sample(line: str) -> Sample | None:
    found = _SAMPLE.fullmatch(line)
    if found is None:
        return None
    name, labels, value = found.groups()
    try:
        return Sample(name, labels or "", float(value))
    except ValueError:
        return None
