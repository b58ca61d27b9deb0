"""Of all that was told, what counts: no server, request or GPU twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from loadcell.metrics.looks import Part, Seen, same_server
from loadcell.metrics.vocabulary import NAMES, QUANTITIES, RATIOS
from loadcell.phrases import phrase


@dataclass(frozen=True, eq=False)
class Chosen:
    """The parts that count, by quantity, and why others do not."""

    parts: dict[str, list[Part]]
    twins: dict[int, Seen]
    """Sources that show a server for the second time, with the source that showed it first."""
    notes: list[str]


def choose(seen: Sequence[Seen]) -> Chosen:
    """Each server by its first page, each quantity by what stands nearest to the engine, each GPU by one source."""
    twins: dict[int, Seen] = {}
    for a, b in combinations(seen, 2):
        if a.index not in twins and b.index not in twins and same_server(a, b):
            twins[b.index] = a
    kept = [source for source in seen if source.index not in twins]
    parts: dict[str, list[Part]] = {}
    notes: dict[str, None] = {}
    for quantity, about in QUANTITIES.items():
        told = [part for source in kept for part in _told(source, quantity)]
        pick = _one_a_gpu if about.of == "gpu" else _nearest_to_the_engine
        if told:
            parts[quantity], left = pick(told)
            notes.update(dict.fromkeys(_why(parts[quantity], left, kept)))
    return Chosen(parts, twins, list(notes))


def _told(source: Seen, quantity: str) -> list[Part]:
    """What a source tells of a quantity, itself or by the gauges that it is the ratio of."""
    if quantity in source.parts:
        return source.parts[quantity]
    for name, part, whole, rest in RATIOS:
        if name == quantity and QUANTITIES[part].kind == "gauge":
            below = {p.id: p for p in source.parts.get(whole or rest or "", ())}
            pairs = [(p, below[p.id]) for p in source.parts.get(part, ()) if p.id in below]
            if pairs:
                return [_share(p, q, rest is not None) for p, q in pairs]
    return []


def _share(part: Part, other: Part, of_both: bool) -> Part:
    whole = part.values + other.values if of_both else other.values
    share = np.divide(part.values, whole, out=np.full(whole.size, np.nan), where=whole > 0)
    return Part(part.source, part.name, part.id, share, part.told & other.told)


def _nearest_to_the_engine(told: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    tier = min(part.name.tier for part in told)
    return [p for p in told if p.name.tier == tier], [p for p in told if p.name.tier > tier]


def _one_a_gpu(told: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    first: dict[str, Part] = {}
    for part in sorted(told, key=lambda part: NAMES.index(part.name)):
        first.setdefault(part.id, part)
    counted = list(first.values())
    return counted, [part for part in told if part not in counted]


def _why(counted: Sequence[Part], left: Sequence[Part], seen: Sequence[Seen]) -> Iterator[str]:
    """What a reader must know of this choice, in words."""
    names = {source.index: source.name for source in seen}
    engines = " and ".join(dict.fromkeys(part.name.engine for part in counted))
    for part in left:
        if QUANTITIES[part.name.quantity].of == "gpu":
            yield phrase(
                "{} ({}) tells of the GPUs of {} too: not counted twice", names[part.source], part.name.engine, engines
            )
        else:
            yield phrase(
                "{} ({}) stands in front of the servers that were watched: what both tell is theirs",
                names[part.source],
                part.name.engine,
            )
    for part in counted:
        if part.name.note:
            yield phrase("{}, by {}: {}", QUANTITIES[part.name.quantity].title, part.name.engine, part.name.note)
