"""Electrical energy of the accelerators over the window, by their energy counters or, without, by their power.

A counter's difference is exact but for the two intervals that the edges of the window cut; power is a sum of
trapezoids over samples, which may miss what happens between them. What else ran on a GPU is in its energy and cannot
be seen from here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from loadcell.metrics.limits import number
from loadcell.metrics.looks import Part, Seen
from loadcell.metrics.model import Energy, Throughput
from loadcell.metrics.overtime import EDGE, UNSEEN, Stretch, gain_inside, gains, trapezoid
from loadcell.metrics.rows import Floats
from loadcell.phrases import joined, phrase

LEAST_LOOKS = 5
"""Looks inside the window: with fewer the intervals at its edges are too much of it."""


class _Gpu(NamedTuple):
    """One GPU's energy in the window, and what is wrong with it."""

    joules: float | None
    by: str
    """Whose word and which kind, as in "NVML energy counter"."""
    troubles: list[str]


def energy(
    counters: Sequence[Part],
    powers: Sequence[Part],
    seen: Mapping[int, Seen],
    stretch: Stretch,
    rates: Throughput,
    asked: int | None,
) -> Energy | None:
    """Energy of all GPUs that tell it, a part a GPU in each list; None if none does.

    Per output token and per request it is the mean power over the rates of the window. `asked`: how many GPUs the
    spec says serve the endpoint.
    """
    by_gpu = {part.id: [part] for part in counters}
    for part in powers:
        by_gpu.setdefault(part.id, []).append(part)
    if not by_gpu:
        return None
    gpus = [_best([_of_part(part, seen[part.source], stretch) for part in parts]) for parts in by_gpu.values()]
    known = [gpu.joules for gpu in gpus if gpu.joules is not None]
    joules = float(sum(known)) if len(known) == len(gpus) else None
    troubles = Counter(trouble for gpu in gpus for trouble in gpu.troubles)
    says = [
        text if count == len(gpus) else phrase("{} ({} of {} GPUs)", text, count, len(gpus))
        for text, count in troubles.items()
    ]
    if asked is not None and asked != len(gpus):
        says.append(phrase("{} GPUs told it, but the spec says that {} serve the endpoint", len(gpus), asked))
    source = " and ".join(dict.fromkeys(gpu.by for gpu in gpus))
    watts = None if joules is None or not stretch.length else joules / (stretch.length / 1e9)
    return Energy(
        source=source,
        gpus=len(gpus),
        mean_watts=watts,
        joules=joules,
        joules_per_output_token=_over(watts, rates.output_tokens_per_s),
        joules_per_request=_over(watts, rates.requests_per_s),
        valid=joules is not None and not says,
        says=joined("; ", says)
        or phrase("by {}, looked at every {:g} s; other work is in it", source, stretch.every / 1e9),
    )


def _over(watts: float | None, rate: float | None) -> float | None:
    return watts / rate if watts is not None and rate else None


def _best(ways: Sequence[_Gpu]) -> _Gpu:
    """The first way without trouble, else the first with a figure; the counter comes first."""
    return min(ways, key=lambda way: (bool(way.troubles), way.joules is None))


def _of_part(part: Part, source: Seen, stretch: Stretch) -> _Gpu:
    told = source.answered & part.told & np.isfinite(part.values)
    t, values = source.t[told], part.values[told]
    inside = stretch.holds(t)
    counter = part.name.quantity == "gpu_energy_joules"
    troubles = [*_sampling(t[inside], values[inside], stretch)]
    joules: float | None
    if counter:
        gained = gains(values, np.ones(values.size, dtype=bool))
        joules = gain_inside(t, gained, stretch)
        if joules is None and not (np.diff(values) < 0).any():
            troubles.append(phrase("it was not read around both ends of the window"))
        elif joules is None:
            troubles.append(phrase("the counter went back: the driver or the exporter started anew"))
    else:
        joules, found = _by_power(t, values, stretch)
        troubles += found
    if joules == 0:  # a GPU that is on takes power: this one does not measure it
        joules, troubles = None, [phrase("it tells 0, as a GPU does that cannot measure it")]
    by = phrase("{} energy counter") if counter else phrase("{} power")
    return _Gpu(joules, phrase(by, part.name.engine), troubles)


def _by_power(t: Floats, watts: Floats, stretch: Stretch) -> tuple[float | None, list[str]]:
    """Joules by trapezoids; what was not seen counts at the mean power of what was."""
    area, seen = trapezoid(t, watts, stretch)
    if not seen:
        return None, [phrase("its power was not seen in the window")]
    unseen = 1 - seen / stretch.length
    edges = t[0] > stretch.start + EDGE * stretch.length or t[-1] < stretch.end - EDGE * stretch.length
    troubles = [phrase("it was not read around both ends of the window")] if edges else []
    cut = np.diff(np.clip(t, stretch.start, stretch.end)) > 0
    if (np.diff(t)[cut] > stretch.longest).any():
        troubles.append(phrase("gaps of more than {:g} s between readings", stretch.longest / 1e9))
    if unseen > UNSEEN:
        troubles.append(phrase("power is unknown for {} of the window", number(unseen, "share")))
    return area / seen * stretch.length / 1e9, troubles


def _sampling(t: Floats, values: Floats, stretch: Stretch) -> Iterator[str]:
    """Whether there are enough readings inside the window that are not old ones repeated."""
    if t.size < LEAST_LOOKS:
        yield phrase(
            "only {} readings in the window of {:.3g} s; {} are needed", t.size, stretch.length / 1e9, LEAST_LOOKS
        )
        return
    changes = np.count_nonzero(np.diff(values))
    if not changes:
        yield phrase("all {} readings are the same: the sensor is not read anew", t.size)
    elif changes < (t.size - 1) / 2 and stretch.length / changes > UNSEEN * stretch.length:
        yield phrase(
            "the reading changes every {:.2g} s only: too seldom for this window", stretch.length / changes / 1e9
        )
