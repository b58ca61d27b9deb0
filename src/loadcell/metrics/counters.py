"""What the server's own counters say of a run, by its page before and after: restarts, its pool, its counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from loadcell.metrics.looks import Part, parts_of
from loadcell.metrics.model import Counters
from loadcell.metrics.overtime import gains
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.metrics.vocabulary import BIRTH, POOL_LABELS, QUANTITIES, READ, labels_of
from loadcell.recording.exposition import Sample, read_samples
from loadcell.recording.read import Recording

_COUNTED = ("requests_finished", "output_tokens", "preemptions", "prefix_cache_hits", "prefix_cache_queries")


Samples = dict[tuple[str, str], tuple[Floats, Mask]]
"""By name and labels: the values of both pages, and on which there is one."""


def counters(recording: Recording, rows: Rows) -> Counters | None:
    """What the pages before and after tell; None without both, or where none of their names is known.

    They are of the whole run, requests beyond its end included, and of nothing before: the probe was answered by then.
    """
    if recording.prometheus is None:
        return None
    pages = [list(read_samples(text)) for text in recording.prometheus]
    told = _told(pages)
    parts = parts_of(0, told)
    if not parts:
        return None
    gained: dict[str, float | None] = {}
    fell = False
    for name in QUANTITIES:
        if name in parts and QUANTITIES[name].kind == "counter":
            each = [float(gains(part.values, part.told)[1]) for part in parts[name]]
            fell |= any(math.isnan(gain) for gain in each)
            gained[name] = None if any(math.isnan(gain) for gain in each) else sum(each)
    births = [values for (name, _), (values, present) in told.items() if name == BIRTH and present.all()]
    labelled = [_pool(dict.fromkeys((name, labels) for name, labels, _ in samples)) for samples in pages]
    valued = [_sum([float(part.values[k]) for part in pool]) for k in (0, 1)] if (pool := _pools(parts)) else labelled
    sent = rows.sent
    unknown = bool((sent & np.isnan(rows.output_tokens)).any())
    return Counters(
        restarted=fell or any(values[1] > values[0] for values in births),
        pool_before=valued[0],
        pool_after=valued[1],
        own_requests=int(np.count_nonzero(sent)),
        own_inputs=int(np.nan_to_num(rows.inputs[sent]).sum()) or None,
        own_output_tokens=None if unknown else float(rows.output_tokens[sent].sum()),
        gained={name: gained.get(name) for name in _COUNTED if name in gained},
    )


def page_parts(recording: Recording) -> dict[str, list[Part]]:
    """By quantity, what the pages before and after tell of it: two values each; empty without both pages."""
    return parts_of(0, _told([list(read_samples(text)) for text in recording.prometheus or ()]))


def _told(pages: Sequence[Sequence[Sample]]) -> Samples:
    told: Samples = {}
    for k, samples in enumerate(pages):
        for name, labels, value in samples:
            if name in READ:
                values, present = told.setdefault((name, labels), (np.full(2, math.nan), np.zeros(2, dtype=bool)))
                values[k], present[k] = value, True
    return told


def _pools(parts: Mapping[str, list[Part]]) -> list[Part]:
    return next((parts[name] for name in ("kv_pool", "kv_blocks_total") if name in parts), [])


def _sum(values: list[float]) -> float | None:
    return sum(values) if all(math.isfinite(value) for value in values) else None


def _pool(samples: dict[tuple[str, str], None]) -> float | None:
    """Size of the KV cache over all engines of a page, in its own unit; None where it is not told."""
    sizes = [
        float(told)
        for name, labels in samples
        if name in POOL_LABELS and (told := labels_of(labels).get(POOL_LABELS[name], "")).isdecimal()
    ]
    return sum(sizes) if sizes else None
