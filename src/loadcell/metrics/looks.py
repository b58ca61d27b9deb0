"""What the sources beside the load told: each look, and each quantity in our vocabulary by the parts that told it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from loadcell.metrics.rows import Floats, Ids, Mask
from loadcell.metrics.vocabulary import BIRTH, NAMES, QUANTITIES, READ, WITNESSES, Name, gpu_of, gpu_place, labels_of
from loadcell.recording.read import Recording, Table

_Key = tuple[str, str]
"""A name and its labels, as the source writes them."""
_MANY = 10_000
"""Whole numbers beyond this (microseconds) are not equal by chance either."""


@dataclass(frozen=True, eq=False)
class Part:
    """One thing that tells one quantity: an engine of a page, a GPU, a machine."""

    source: int
    name: Name
    id: str
    """The same for one GPU, whoever tells of it; else its labels."""
    values: Floats
    """One a look of its source, in our unit; NaN where it was not told, or was no number."""
    told: Mask
    """Where the answer had it, number or not."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A source and what its looks brought."""

    index: int
    kind: str
    name: str
    notes: list[str]
    t: Floats
    """Middle of each look, ns since the start of the load, in order."""
    answered: Mask
    error: str | None
    """The most frequent reason why a look brought nothing."""
    born: Floats
    """When the server's process began, by each look; NaN where it does not tell."""
    witnesses: dict[_Key, Floats]
    parts: dict[str, list[Part]] = field(default_factory=dict)

    @property
    def engine(self) -> str | None:
        """Whose names it speaks; None if none of them is known."""
        told = [part.name for parts in self.parts.values() for part in parts]
        return min(told, key=NAMES.index).engine if told else None


def read_seen(recording: Recording) -> list[Seen]:
    """Every source of a recording, in their order; none for a recording without."""
    if not recording.sources:
        return []
    looks, series = recording.looks(), recording.series(sorted(READ))
    return [
        _seen(i, source.kind, source.name, list(source.notes), _of(looks, i), _of(series, i))
        for i, source in enumerate(recording.sources)
    ]


def _of(table: Table, source: int) -> Table:
    mine = table["source"] == source
    return {column: values[mine] for column, values in table.items()}


def _seen(index: int, kind: str, name: str, notes: list[str], looks: Table, series: Table) -> Seen:
    middle = (looks["start_ns"].astype(np.float64) + looks["end_ns"].astype(np.float64)) / 2
    order = np.argsort(middle, kind="stable")
    t = middle[order]
    errors = [looks["error"][k] for k in order]
    told = _by_key(series, t) if t.size else {}
    why = Counter(error for error in errors if error is not None).most_common(1)
    births = [values for (metric, _), (values, _) in told.items() if metric == BIRTH]
    return Seen(
        index=index,
        kind=kind,
        name=name,
        notes=notes,
        t=t,
        answered=np.array([error is None for error in errors], dtype=bool),
        error=str(why[0][0]) if why else None,
        born=births[0] if births else np.full(t.size, np.nan),
        witnesses={key: values for key, (values, _) in told.items() if key[0] in WITNESSES and key[0] != BIRTH},
        parts=parts_of(index, told),
    )


def _by_key(series: Table, t: Floats) -> dict[_Key, tuple[Floats, Mask]]:
    """Values and presence at each look of everything that was told."""
    look = nearest(t, series["t_ns"].astype(np.float64))
    told: dict[_Key, tuple[Floats, Mask]] = {}
    rows = zip(series["name"].tolist(), series["labels"].tolist(), look.tolist(), series["value"].tolist(), strict=True)
    for name, labels, k, value in rows:
        key = (name, labels or "")
        if key not in told:
            told[key] = (np.full(t.size, np.nan), np.zeros(t.size, dtype=bool))
        values, present = told[key]
        values[k], present[k] = value, True
    return told


def nearest(times: Floats, asked: Floats) -> Ids:
    """Index of the time nearest to each that is asked for; `times` in order, at least one."""
    right = np.clip(np.searchsorted(times, asked), 1, max(1, times.size - 1))
    left = right - 1
    right = np.minimum(right, times.size - 1)
    return np.where(asked - times[left] <= times[right] - asked, left, right).astype(np.int64)


def parts_of(source: int, told: dict[_Key, tuple[Floats, Mask]]) -> dict[str, list[Part]]:
    """By quantity: of several names for it, the first in the vocabulary that brought a number."""
    by_metric: dict[str, list[tuple[dict[str, str], Floats, Mask]]] = {}
    for (metric, labels), (values, present) in told.items():
        by_metric.setdefault(metric, []).append((labels_of(labels), values, present))
    parts: dict[str, list[Part]] = {}
    for name in NAMES:
        if name.metric in by_metric and name.quantity not in parts:
            found = list(_of_name(source, name, by_metric[name.metric]))
            if any(np.isfinite(part.values).any() for part in found):
                parts[name.quantity] = found
    return parts


def _of_name(source: int, name: Name, rows: Sequence[tuple[dict[str, str], Floats, Mask]]) -> Iterator[Part]:
    """The parts that a name tells: rows that repeat one another are one, with the largest value."""
    groups: dict[str, list[tuple[Floats, Mask]]] = {}
    for labels, values, present in rows:
        if all(labels.get(key) == value for key, value in name.labels):
            groups.setdefault(_id(source, name, labels), []).append((values, present))
    for key, members in groups.items():
        values = np.fmax.reduce([values for values, _ in members]) * name.scale
        yield Part(source, name, key, values, np.logical_or.reduce([present for _, present in members]))


def _id(source: int, name: Name, labels: dict[str, str]) -> str:
    if QUANTITIES[name.quantity].of == "gpu":
        return gpu_of(labels) or f"{source} {gpu_place(labels)}"
    left_out = {*name.same, *(key for key, _ in name.labels)}
    return " ".join(f"{key}={value}" for key, value in sorted(labels.items()) if key not in left_out)


def same_server(a: Seen, b: Seen) -> bool:
    """Whether two pages are one server's, read twice.

    They are if their processes began at one time, or if all seconds that they have counted were equal to the last
    digit at some look; unless one page lies outside of what the other told just before and after.
    """
    if a.kind != b.kind or a.engine is None or a.engine != b.engine or not (a.t.size and b.t.size):
        return False
    look = nearest(a.t, b.t)
    births = a.born[look], b.born
    if (births[0] != births[1])[~np.isnan(births[0]) & ~np.isnan(births[1])].any():
        return False
    keys = a.witnesses.keys() & b.witnesses.keys()
    if len(keys) != len(a.witnesses) or len(keys) != len(b.witnesses) or not keys:
        return False
    first, second = (np.array([seen.witnesses[key] for key in sorted(keys)]) for seen in (a, b))
    before = np.where(look > 0, first[:, np.maximum(look - 1, 0)], -np.inf)
    after = np.where(look < a.t.size - 1, first[:, np.minimum(look + 1, a.t.size - 1)], np.inf)
    if ((before <= after) & ((second < before) | (second > after))).any():
        return False
    equal = (first[:, look] == second).all(axis=0)
    many_digits = ((second % 1 > 0) | (second > _MANY)).any(axis=0)
    return bool((equal & (many_digits | (births[0] == births[1]))).any())
