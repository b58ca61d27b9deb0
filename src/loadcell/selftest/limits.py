"""From measured loads to what this machine can measure: rules over rungs, in order of the load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from loadcell.metrics import Bias, Highest, Rung, engine_full

LEVELS = (1, 2, 5)
"""Percent."""
BUSY_MOST = {1: 0.5, 2: 0.65, 5: 0.8}
"""Share of its time that a load process may be busy for a limit: beyond, it has no room to catch up with a pause, and
what one quiet measurement shows no later run would keep."""
MARGIN = 0.7
"""Part of a limit that must be kept here, so that fresh runs keep the whole of it."""
P99_FACTOR = 3
P99_LEAST_MS = 0.2
_GOT_LEAST = 0.9
BEYOND = 2
"""Loads that are still measured after one that kept not even the widest limit."""


def keeps(rung: Rung, percent: int, margin: float = MARGIN) -> bool:
    """Whether every metric was within `percent` at p50 and within 3 times that or 0.2 ms at p99, with room to spare."""
    if rung.busy_share is not None and rung.busy_share > BUSY_MOST[percent]:
        return False
    if engine_full(rung) or rung.failed or rung.tokens_per_s < _GOT_LEAST * rung.asked_tokens_per_s:
        return False
    return all(_holds(bias, margin * percent / 100, margin) for bias in rung.bias.values())


def _holds(bias: Bias, share: float, margin: float) -> bool:
    if bias.p50 is None or bias.p99 is None or bias.p99_ms is None:
        return False
    return abs(bias.p50) <= share and (abs(bias.p99) <= P99_FACTOR * share or abs(bias.p99_ms) <= margin * P99_LEAST_MS)


def level(rung: Rung) -> int | None:
    """The tightest limit that it keeps, in percent; None if it keeps none."""
    return next((percent for percent in LEVELS if keeps(rung, percent)), None)


def worse(one: Rung, other: Rung) -> Rung:
    """Two measurements of the same load as one, each figure the worse of the two."""

    def far(name: str, a: Bias, b: Bias) -> float | None:
        values = (getattr(a, name), getattr(b, name))
        return None if None in values else max(values, key=abs)

    def most(a: float | None, b: float | None) -> float | None:
        return None if a is None or b is None else max(a, b)

    return msgspec.structs.replace(
        one,
        measured=one.measured + other.measured,
        tokens_per_s=min(one.tokens_per_s, other.tokens_per_s),
        engine_pace=min(one.engine_pace, other.engine_pace),
        failed=max(one.failed, other.failed),
        bias={
            metric: Bias(**{name: far(name, bias, other.bias[metric]) for name in Bias.__struct_fields__})
            for metric, bias in one.bias.items()
        },
        cpu_us_per_token=most(one.cpu_us_per_token, other.cpu_us_per_token),
        merged_by_client_share=most(one.merged_by_client_share, other.merged_by_client_share),
        busy_share=most(one.busy_share, other.busy_share),
    )


def climbed(rungs: Sequence[Rung]) -> bool:
    """Whether to go no higher: the last three loads kept no limit. One alone may have been disturbed."""
    return len(rungs) > BEYOND and not any(keeps(rung, LEVELS[-1]) for rung in rungs[-1 - BEYOND :])


def top(rungs: Sequence[Rung], percent: int) -> int:
    """Place of the highest rung that keeps the limit together with all below it; -1 if there is none."""
    return next((i for i, rung in enumerate(rungs) if not keeps(rung, percent)), len(rungs)) - 1


def disturbed(rungs: Sequence[Rung]) -> list[int]:
    """Places of rungs that kept less than a heavier one did: something else than the load was at work there."""
    kept = [level(rung) or 100 for rung in rungs]
    return [i for i in range(len(rungs)) if kept[i] > min(kept[i:])]


def unconfirmed(rungs: Sequence[Rung], times: int) -> list[int]:
    """Places of the rungs that a limit rests on and that were measured less often than `times`."""
    tops = sorted({top(rungs, percent) for percent in LEVELS} - {-1})
    return [i for i in tops if rungs[i].measured < times]


def highest(rungs: Sequence[Rung], percent: int) -> Highest:
    """The limit, and what ended it."""
    place = top(rungs, percent)
    above = rungs[place + 1] if place + 1 < len(rungs) else None
    ends: Literal["client", "engine", "ladder"]
    ends = "ladder" if above is None else "engine" if engine_full(above) else "client"
    if place < 0:
        return Highest(tokens_per_s=None, streams=None, rate=None, ends=ends)
    rung = rungs[place]
    return Highest(tokens_per_s=rung.tokens_per_s, streams=rung.streams, rate=rung.rate, ends=ends)
