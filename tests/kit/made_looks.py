"""What sources said beside a load, written down as pages at times: in memory, or as the files of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from loadcell.metrics.model import Observed, Throughput
from loadcell.metrics.observed import observe
from loadcell.metrics.window import Span
from loadcell.recording.exposition import BUCKETS_AND_BIRTHS, read_page
from loadcell.recording.read import Recording, open_recording
from loadcell.recording.schema import LOOKS, SERIES, Source
from loadcell.recording.write import write_part, write_sources

S = 1_000_000_000
LOOK_NS = 4_000_000
"""A look takes 4 ms here."""


@dataclass
class Told:
    """One source: pages by the seconds at which their values held; None: no answer."""

    pages: dict[float, str | None]
    name: str = "http://a:8000/metrics"
    kind: str = "prometheus"
    error: str = "no answer within 2 s"
    notes: list[str] = field(default_factory=list)


def tables(told: Sequence[Told]) -> tuple[list[Source], dict[str, list[Any]], dict[str, list[Any]]]:
    sources = [Source(kind=one.kind, name=one.name, notes=one.notes) for one in told]
    looks: dict[str, list[Any]] = {column.name: [] for column in LOOKS}
    series: dict[str, list[Any]] = {column.name: [] for column in SERIES}
    for i, one in enumerate(told):
        for at_s, page in sorted(one.pages.items()):
            middle = round(at_s * S)
            error = one.error if page is None else None
            row = (i, middle - LOOK_NS // 2, middle + LOOK_NS // 2, error)
            for column, value in zip(LOOKS, row, strict=True):
                looks[column.name].append(value)
            for name, labels, value in read_page(page or "\n", BUCKETS_AND_BIRTHS):
                row_ = (i, middle, name, labels, value if np.isfinite(value) else np.nan)
                for column, cell in zip(SERIES, row_, strict=True):
                    series[column.name].append(cell)
    return sources, looks, series


def watched(*told: Told, every_s: float = 1.0, gpus: int | None = None) -> Any:
    """A recording as far as `observe` reads it."""
    sources, looks, series = tables(told)
    kinds = {"error": object, "name": object, "labels": object, "value": float}

    def columns(table: dict[str, list[Any]], names: Sequence[str] | None = None) -> dict[str, Any]:
        keep = [k for k, name in enumerate(table.get("name", ())) if names is None or name in names]
        rows = range(len(table["source"])) if "name" not in table else keep
        return {c: np.array([v[k] for k in rows], dtype=kinds.get(c, np.int64)) for c, v in table.items()}

    return SimpleNamespace(
        sources=sources,
        looks=lambda: columns(looks),
        series=lambda names=None: columns(series, names),
        spec=SimpleNamespace(observe=SimpleNamespace(every_s=every_s), endpoint=SimpleNamespace(gpus=gpus)),
    )


def rates(tokens: float | None = 100.0, requests: float | None = 2.0) -> Throughput:
    return Throughput(
        requests_per_s=requests, output_tokens_per_s=tokens, input_tokens_per_s=None, chunks_per_token=None,
        user_tokens_per_s={},
    )  # fmt: skip


def seen(*told: Told, window: tuple[float, float] = (0.0, 10.0), every_s: float = 1.0, **more: Any) -> Observed:
    """What `observe` makes of it over a window in seconds; the run ends with the window."""
    low, high = window
    span = Span(low * S, high * S, "", "chosen", high * S)
    gpus = more.pop("gpus", None)
    found = observe(watched(*told, every_s=every_s, gpus=gpus), span, high * S, rates(**more))
    assert found is not None
    return found


def steps(values: Sequence[float | None], line: str, start_s: float = 0.0, every_s: float = 1.0) -> dict[float, Any]:
    """Pages of one line, {} standing for the value; None: no answer."""
    return {
        start_s + k * every_s: None if value is None else line.replace("{}", f"{value!r}") + "\n"
        for k, value in enumerate(values)
    }


def write_looks(recording: Recording, *told: Told) -> Recording:
    """Add what was told to the files of a recording, and open it again."""
    sources, looks, series = tables(told)
    folder = Path(recording.path)
    write_sources(folder, sources)
    write_part(folder, "looks", looks, part=0)
    write_part(folder, "series", series, part=0)
    return open_recording(folder)
