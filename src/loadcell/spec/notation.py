"""What a person writes in a few characters: durations, sizes, shares, arrivals, SLOs."""

from __future__ import annotations

import math
import re
from typing import Literal, cast

import msgspec

from loadcell.errors import UsageError, nearest
from loadcell.places import Slo
from loadcell.spec.model import LIMITED

_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNITS_MB = {"mb": 1.0, "gb": 1e3, "mib": 1.048576, "gib": 1073.741824}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(MB|GB|MiB|GiB)?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")


class Arrivals(msgspec.Struct, frozen=True):
    """How requests arrive about the planned rate: by a renewal process, or in bursts.

    A renewal process is given by the coefficient of variation of its gaps: 0 constant, 1 Poisson, else gamma or
    Weibull. Bursts are a Poisson process whose rate is switched by periods of exponential length (see
    `workload.arrivals`); `cv` is then that within a period, 1.
    """

    kind: Literal["poisson", "constant", "gamma", "weibull", "bursts"]
    cv: float
    on_s: float = 0.0
    """Mean length of a burst."""
    off_s: float = 0.0
    """Mean time between two bursts."""
    base: float = 0.0
    """Rate between bursts, as a share of the mean rate."""


def parse_duration_s(text: str, of: str = "") -> float:
    """Seconds of "500ms", "10s", "2m", "1h" or a plain number of seconds; UsageError else, which says `of` what."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        name = f"{of}: " if of else ""
        raise UsageError(f"{name}{text!r} is not a duration: write 500ms, 10s, 2m or a number of seconds")
    return float(match[1]) * _UNITS_S[match[2] or "s"]


def parse_share(text: str) -> float:
    """The share of "50%" or "0.5"; UsageError else."""
    number, percent, rest = text.strip().partition("%")
    try:
        return float(number) / (100 if percent else 1) if not rest else math.nan
    except ValueError:
        raise UsageError(f"{text!r} is not a share: write 50% or 0.5") from None


def parse_size_mb(text: str) -> float:
    """Megabytes (10^6 bytes) of "512MB", "2GB" or a plain number of MB; UsageError else."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text!r} is not a size: write 512MB, 2GB or a number of MB")
    return float(match[1]) * _UNITS_MB[(match[2] or "mb").lower()]


def plain_ms(seconds: float) -> float:
    """Milliseconds, without the dust of binary fractions: 9ms is 9, not 9.000000000000002."""
    return round(seconds * 1000, 9)


ARRIVALS = "poisson, constant, gamma:CV, weibull:CV or bursts:ON,OFF[,BASE]"
_PROCESSES = ("poisson", "constant", "gamma", "weibull", "bursts")
_LEAST_CV = {"gamma": 1e-6, "weibull": 0.01}
_MOST_CV = 100.0


def parse_arrivals(text: str) -> Arrivals:
    """The arrival process that `text` names; UsageError else."""
    kind, colon, rest = text.strip().partition(":")
    if kind == "poisson" and not colon:
        return Arrivals("poisson", 1.0)
    if kind == "constant" and not colon:
        return Arrivals("constant", 0.0)
    if kind in ("gamma", "weibull"):
        try:
            cv = float(rest)
        except ValueError:
            cv = math.nan
        if _LEAST_CV[kind] <= cv <= _MOST_CV:
            return Arrivals(cast(Literal["gamma", "weibull"], kind), cv)
        raise UsageError(
            f"{text!r}: {kind} needs its coefficient of variation, from {_LEAST_CV[kind]:g} to {_MOST_CV:g}, as in "
            f"{kind}:2"
        )
    if kind == "bursts":
        return _bursts(text, rest)
    raise UsageError(f"{text!r} is not an arrival process{nearest(kind, _PROCESSES)}: write {ARRIVALS}")


def _bursts(text: str, rest: str) -> Arrivals:
    """The process of "bursts:ON,OFF" or "bursts:ON,OFF,BASE"."""
    parts = rest.split(",")
    if len(parts) not in (2, 3):
        raise UsageError(
            f"{text!r}: bursts need their mean length and the mean time between two, as in bursts:2s,8s; a third part "
            "is the rate between them as a share of the mean, as in bursts:2s,8s,20%"
        )
    on_s, off_s = (parse_duration_s(part, text) for part in parts[:2])
    base = parse_share(parts[2]) if len(parts) == 3 else 0.0
    if not (on_s > 0 and off_s > 0):
        raise UsageError(f"{text!r}: bursts and the times between them must last longer than 0")
    if not 0 <= base < 1:
        raise UsageError(f"{text!r}: the rate between bursts is a share of the mean rate, 0% or more and below 100%")
    return Arrivals("bursts", 1.0, on_s, off_s, base)


def parse_slo(text: str) -> Slo:
    """The limits of "ttft=500ms,tpot=30ms", of a preset ("chat") or of both ("chat,e2e=20s"); UsageError else."""
    from loadcell.presets import find_preset

    limits: dict[str, float] = {}
    for number, part in enumerate(filter(None, (p.strip() for p in text.split(",")))):
        name, mark, value = part.partition("=")
        field = f"{name.strip().lower().replace('-', '_')}_ms"
        if not mark and field not in Slo.__struct_fields__:
            if number:
                raise UsageError(f"{part!r} comes too late: one preset comes first, then limits, as in chat,e2e=20s")
            limits |= find_preset(part).limits()
            continue
        if field not in Slo.__struct_fields__:
            raise UsageError(
                f"{part!r} is not an SLO{nearest(name, [one.removesuffix('_ms') for one in LIMITED])}: "
                "write ttft=500ms,tpot=30ms,e2e=10s"
            )
        if not re.search(r"[a-z]\s*$", value):
            raise UsageError(f"{part!r} has no unit: write {name}={value or '500'}ms or {name}={value or '2'}s")
        limits[field] = plain_ms(parse_duration_s(value, f"--slo {part}"))
    return Slo(**limits)
