"""Hand-made sweeps: what a grid and a search look like, without any load."""

from __future__ import annotations

from typing import Any

from loadcell.metrics.model import Estimate, Goodput, Interval, Limit, Share
from loadcell.search.model import (
    Answer,
    Ask,
    Curves,
    End,
    Found,
    Knee,
    Plan,
    Point,
    Scalability,
    Stable,
    Stage,
    Sweep,
    Trial,
)
from loadcell.spec import build_spec, redact, with_defaults

CAPACITY = 40.0
"""Requests/s that the made server carries; above it its queue grows."""
REPLY_TOKENS = 100


def make_plan(mode: str = "grid", axis: str | None = "load.rate", **fields: Any) -> Plan:
    spec = build_spec({"endpoint": {"url": "http://localhost:8000"}, "slo": {"ttft_ms": 2000, "tpot_ms": 100}})
    search = {"target": 0.99, "lowest": None, "highest": None} if mode == "search" else {}
    spec = redact(with_defaults(spec))
    base: dict[str, Any] = {"loadcell": "0", "mode": mode, "axis": axis, "stage_s": 30.0, "seed": 0, "spec": spec}
    return Plan(**base | search | fields)


def share(value: float, half: float = 0.005) -> Share:
    return Share(value=value, low=max(0.0, value - half), high=min(1.0, value + half))


def spread(p50: float, *, tail: bool = True) -> dict[str, Estimate]:
    def known(value: float) -> Estimate:
        return Estimate(value=value, low=value * 0.95, high=value * 1.05)

    return {"p50": known(p50), "p90": known(p50 * 2), "p99": known(p50 * 4) if tail else Estimate(needs=100)}


def make_point(level: float, **fields: Any) -> Point:
    """What the made server shows at `level` requests/s."""
    stable = level <= CAPACITY
    served = min(level, CAPACITY)
    attained = share(0.997 if stable else 0.62)
    limits = {"ttft_ms": Limit(limit_ms=2000, met=None, attainment=attained)}
    base: dict[str, Any] = {
        "verdict": "VALID", "reasons": [], "stable": stable, "requests": round(30 * level), "failed_share": 0.0,
        "concurrency": served * 1.5, "requests_per_s": served, "output_tokens_per_s": served * REPLY_TOKENS,
        "output_tokens_interval": Interval(low=served * 98, high=served * 102), "tokens_per_s_per_gpu": None,
        "tokens_per_s_per_user": 1000 / (10 + served / 4), "ttft_ms": spread(50.0 + level * (1 if stable else 30)),
        "tpot_ms": spread(10 + served / 4), "itl_ms": spread(10 + served / 4), "e2e_ms": spread(1500.0),
        "goodput": Goodput(anchor="response", planned=round(30 * level), good=None,
                           goodput_per_s=served * (attained.value or 0), attainment=attained, limits=limits),
    }  # fmt: skip
    return Point(**base | fields)


def make_stage(number: int, level: float | None, **fields: Any) -> Stage:
    """Stage `number` of a grid over rates; `fields` of the Stage, its Ask (`phase`, `changes`) or its Point."""
    ask = {name: fields.pop(name) for name in ("phase", "changes") if name in fields}
    point = {name: fields.pop(name) for name in list(fields) if name in Point.__struct_fields__}
    asked: dict[str, Any] = {"phase": "grid", "changes": {"load.rate": level}} | ask
    base: dict[str, Any] = {
        "ask": Ask(number=number, level=level, **asked), "folder": f"{number:03d}-rate-{level or 0:g}",
        "state": "complete", "ended": None, "took_s": 31.0, "started_at": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    if "point" not in fields:
        base["point"] = make_point(level or 1.0, **point)
    return Stage(**base | fields)


def make_trial(answer: Answer, attained: float, **fields: Any) -> Trial:
    base: dict[str, Any] = {
        "answer": answer, "judged": 800, "missed": round(800 * (1 - attained)), "attainment": share(attained),
        "pass_evidence": 2.0, "fail_evidence": -1.0, "dependence": 1.4, "stable": answer == "pass", "binding": None,
        "says": f"{attained:.1%} of 800 requests kept to every limit",
    }  # fmt: skip
    return Trial(**base | fields)


def make_curves(**fields: Any) -> Curves:
    base: dict[str, Any] = {"pareto": [], "knees": [], "scalability": None}
    return Curves(**base | fields)


def make_grid(levels: tuple[float, ...] = (1, 10, 20, 40, 80), **fields: Any) -> Sweep:
    """A finished grid over rates."""
    stages = [make_stage(i, level) for i, level in enumerate(levels, 1)]
    knee = Knee(method="Kneedle (Satopaa 2011)", curve="output tokens/s against load", level=40.0, stage=4,
                says="output tokens/s bend at 40 requests/s")  # fmt: skip
    law = Scalability(figure="output tokens/s", gamma=90.0, sigma=0.01, kappa=0.0001, peak=99.5, r_squared=0.98,
                      stages=[1, 2, 3, 4], says="peak at 99.5 in flight (R² 0.98)")  # fmt: skip
    base: dict[str, Any] = {
        "loadcell": "0", "plan": make_plan(stages=[{"load.rate": level} for level in levels]), "planned": len(levels),
        "stages": stages, "found": None, "curves": make_curves(pareto=[1, 4], knees=[knee], scalability=law),
        "findings": [], "took_s": 31.0 * len(levels),
    }  # fmt: skip
    return Sweep(**base | fields)


def make_found(**fields: Any) -> Found:
    low = End(level=41.2, stages=[5, 7], judged=2310, attainment=share(0.994, 0.003), goodput_per_s=40.9, binding=None)
    high = End(level=43.0, stages=[6], judged=1450, attainment=share(0.979, 0.006), goodput_per_s=42.1,
               binding="ttft_ms")  # fmt: skip
    base: dict[str, Any] = {
        "word": "bracketed", "target": 0.99, "low": low, "high": high, "width": 43.0 / 41.2 - 1, "cliff": False,
        "binding": "ttft_ms", "stable": Stable(low=43.0, high=45.1, served_per_s=44.2),
        "floor_ms": {"ttft_ms": 20.1, "tpot_ms": 2.05, "e2e_ms": None}, "findings": [],
        "says": "between 41.2 and 43.0 requests/s the SLO breaks", "took_s": 192.0,
    }  # fmt: skip
    return Found(**base | fields)


def make_search(**fields: Any) -> Sweep:
    """A finished search over rates."""
    floor = make_stage(1, None, phase="floor", changes={"load.concurrency": 1, "load.rate": None},
                       ttft_ms=spread(20.1, tail=False), goodput=None, trial=make_trial("undecided", 1.0))  # fmt: skip
    asked: list[tuple[float, str, Answer, float]] = [
        (10.0, "ramp", "pass", 1.0), (20.0, "ramp", "pass", 0.998), (45.1, "ramp", "fail", 0.41),
        (41.2, "bisect", "pass", 0.993), (43.0, "bisect", "fail", 0.979), (41.2, "confirm", "undecided", 0.991),
    ]  # fmt: skip
    stages = [floor] + [
        make_stage(i, level, phase=phase, trial=make_trial(answer, attained),
                   ended="decided: 98.2 % of 512 requests kept to every limit" if answer == "fail" else None)
        for i, (level, phase, answer, attained) in enumerate(asked, 2)
    ]  # fmt: skip
    base: dict[str, Any] = {
        "loadcell": "0", "plan": make_plan("search"), "planned": None, "stages": stages, "found": make_found(),
        "curves": make_curves(pareto=[2, 5]), "findings": [], "took_s": 192.0,
    }  # fmt: skip
    return Sweep(**base | fields)
