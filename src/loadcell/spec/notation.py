"""What a person writes in a few characters: durations, sizes, shares, arrivals, SLOs."""

from __future__ import annotations

import math
import re
from typing import Literal

import msgspec

from loadcell.errors import UsageError, nearest
from loadcell.places import Slo
from loadcell.spec.model import LIMITED

_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNITS_MB = {"mb": 1.0, "gb": 1e3, "mib": 1.048576, "gib": 1073.741824}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(MB|GB|MiB|GiB)?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")


class Arrivals(msgspec.Struct, frozen=True):
    """A renewal process given by the coefficient of variation of its gaps: 0 constant, 1 Poisson, else gamma."""

    kind: Literal["poisson", "constant", "gamma"]
    cv: float


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


def parse_arrivals(text: str) -> Arrivals:
    """The arrival process that `text` names; UsageError else."""
    kind, _, rest = text.strip().partition(":")
    if kind == "poisson" and not rest:
        return Arrivals("poisson", 1.0)
    if kind == "constant" and not rest:
        return Arrivals("constant", 0.0)
    if kind == "gamma":
        try:
            cv = float(rest)
        except ValueError:
            cv = math.nan
        if 0 < cv <= 100:
            return Arrivals("gamma", cv)
        raise UsageError(f"{text!r}: gamma needs its coefficient of variation, as in gamma:2")
    raise UsageError(
        f"{text!r} is not an arrival process{nearest(kind, ('poisson', 'constant', 'gamma'))}: "
        "write poisson, constant or gamma:CV"
    )


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
