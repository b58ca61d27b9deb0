"""What this machine's self-test says of a load like that of the run, and the form in which a self-test is kept."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import msgspec

from loadcell.metrics.model import Bias, Calibration

Doc = msgspec.Meta
_STREAMS_WEIGHT = 0.1
"""An octave of streams counts a tenth of an octave of tokens/s: the events are the load, the sockets a detail of it."""


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One load of a self-test: what the client reported against what the engine knows of the same requests."""

    streams: int
    rate: Annotated[float, Doc(description="tokens/s of each stream")]
    asked_tokens_per_s: Annotated[float, Doc(description="what the streams would receive from an ideal engine")]
    tokens_per_s: Annotated[float, Doc(description="what they received")]
    workers: int
    measured: Annotated[int, Doc(description="how often it was measured; each figure is the worst of them")] = 1
    engine_pace: Annotated[float, Doc(description="asked length of a reply over its true mean, by the engine's word")]
    failed: Annotated[int, Doc(description="requests that failed")] = 0
    bias: Annotated[dict[str, Bias], Doc(description="by metric: ttft, itl, e2e")]
    cpu_us_per_token: float | None
    merged_by_client_share: float | None
    busy_share: Annotated[float | None, Doc(description="busiest load process: time spent reading and sending")] = None


class Highest(msgspec.Struct, frozen=True, kw_only=True):
    """The highest load that was measured within some bias."""

    tokens_per_s: Annotated[float | None, Doc(description="null: not even the lightest load")]
    streams: int | None
    rate: float | None
    ends: Annotated[
        Literal["client", "engine", "ladder"],
        Doc(description="what ended it: the client's bias; the engine, or the ladder: then the client can do more"),
    ]


class SelfTest(msgspec.Struct, frozen=True, kw_only=True):
    """A self-test of one machine, as it is kept and as a recording holds it (selftest.json)."""

    format: Literal[1] = 1
    measured_at: Annotated[str, Doc(description="wall-clock time of its end, ISO 8601 with zone")]
    machine: Annotated[dict[str, Any], Doc(description="what its figures depend on; the store's files are named so")]
    quick: Annotated[bool, Doc(description="few and short loads, measured once")]
    tls: bool
    rungs: list[Rung]
    limits: Annotated[dict[str, Highest], Doc(description="by bias in percent: 1, 2, 5")]


def nearest_calibration(
    selftest: dict[str, Any] | None, streams: float | None, tokens_per_s: float | None, workers: int
) -> Calibration | None:
    """The entry nearest to the load in log distance of tokens/s, then of streams.

    Entries with as many workers come first. Loads that the engine could not serve, or that had failures, are left out.
    None without a self-test in a known format, or without a load to compare.
    """
    if selftest is None or tokens_per_s is None or not tokens_per_s > 0:
        return None
    try:
        found = msgspec.convert(selftest, SelfTest)
    except msgspec.ValidationError:  # of an older or a newer version: as good as none
        return None
    usable = [r for r in found.rungs if not engine_full(r) and not r.failed and r.tokens_per_s > 0 and r.streams > 0]
    usable = [r for r in usable if r.workers == workers] or usable
    if not usable:
        return None

    def distance(rung: Rung) -> float:
        apart = abs(math.log(rung.tokens_per_s / tokens_per_s))
        return apart + (_STREAMS_WEIGHT * abs(math.log(rung.streams / streams)) if streams else 0.0)

    rung = min(usable, key=distance)
    return Calibration(
        measured_at=found.measured_at,
        streams=rung.streams,
        tokens_per_s=rung.tokens_per_s,
        workers=rung.workers,
        bias=rung.bias,
        cpu_us_per_token=rung.cpu_us_per_token,
        limits_tokens_per_s={percent: limit.tokens_per_s for percent, limit in found.limits.items()},
        ratio=tokens_per_s / rung.tokens_per_s,
    )


FULL_BELOW = 0.9
"""Of its pace: an engine that is slower than this by its own word is full, and its load says nothing of the client."""


def engine_full(rung: Rung) -> bool:
    """Whether the engine could not serve this load."""
    return rung.engine_pace < FULL_BELOW
