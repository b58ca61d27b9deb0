"""How much of its time a load took at most from a server on the same machine: the least of three bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from loadcell.phrases import phrase


class Taken(NamedTuple):
    """A bound, and what gave it."""

    share: float
    """Of the time of the load; so no latency can be longer by more than this share of itself."""
    by: str


WAITED, PRESSURE, CPU = (
    phrase("the time that its threads waited for a core"),
    phrase("the time in which anything on this machine waited for a core"),
    phrase("the CPU time of the load"),
)


def taken(host: Mapping[str, Any], audits: Sequence[Mapping[str, Any]]) -> Taken | None:
    """The least bound that the recording tells; None where it tells none, as before format 5."""
    told = host.get("sharing") or {}
    length = told.get("load_ns")
    if not length:
        return None
    spent = [audit.get("cpu_s") for audit in audits]
    parent, made_ns = told.get("parent_cpu_ns"), (host.get("feeder") or {}).get("cpu_ns", 0)
    known_s = parent is not None and spent and None not in spent
    client = sum(s for s in spent if s) * 1e9 + parent + made_ns if known_s else None
    bounds = {WAITED: told.get("server_wait_ns"), PRESSURE: told.get("pressure_ns"), CPU: client}
    known = [Taken(float(ns) / length, by) for by, ns in bounds.items() if ns is not None]
    return min(known, default=None)
