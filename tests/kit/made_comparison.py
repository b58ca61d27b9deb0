"""Hand-made comparisons."""

from __future__ import annotations

from typing import Any

from loadcell.compare.model import Change, Comparison, Floor, Gate, Noise, Pair, Side
from loadcell.phrases import phrase


def make_side(name: str, **fields: Any) -> Side:
    base: dict[str, Any] = {
        "name": name, "path": f"runs/{name.lower()}", "kind": "recording", "runs": [f"run-{name}"], "verdict": "VALID",
        "requests": 1200, "fingerprint": "f" * 16,
    }  # fmt: skip
    return Side(**base | fields)


def make_change(metric: str = "ttft", stat: str = "p50", relative: float | None = 0.3, **fields: Any) -> Change:
    """A latency that became longer, beyond doubt."""
    a = 50.0
    b = None if relative is None else a * (1 + relative)
    ends = (None, None) if relative is None else (relative - 0.04, relative + 0.04)
    base: dict[str, Any] = {
        "metric": metric, "stat": stat, "title": f"{metric.upper()} {stat}", "unit": "ms", "a": a, "b": b,
        "difference": None if b is None else b - a, "relative": relative, "low": ends[0], "high": ends[1],
        "p": 0.001, "p_holm": 0.01, "noise": None, "finding": "worse", "says": "", "needs": None,
        "needs_what": "requests", "method": "order statistics",
    }  # fmt: skip
    return Change(**base | fields)


def make_changes() -> list[Change]:
    unknown: dict[str, Any] = {"relative": None, "a": None, "finding": "too little data", "p": None, "p_holm": None}
    too_few = phrase("not estimable in {}: {}", "A", phrase("it needs {:,} samples, there are {:,}", 100, 76))
    share: dict[str, Any] = {"unit": "share", "relative": None, "a": 0.99, "b": 0.97, "difference": -0.02}
    return [
        make_change("ttft", "p50", 0.3),
        make_change("ttft", "p90", -0.2, finding="better", noise=0.05),
        make_change("ttft", "p99", **unknown, says=too_few),
        make_change("tpot", "p50", 0.001, low=-0.02, high=0.02, finding="no difference shown"),
        make_change("itl", "p99", 0.2, low=-0.6, high=9.0, finding="too little data", needs=5200),
        make_change("slo_attainment", "share", **share, low=-0.03, high=-0.01, finding="worse"),
        make_change("failed", "share", **share | {"a": 0.0, "b": 0.0, "difference": 0.0}, low=-0.001, high=0.001,
                    finding="no difference shown"),
    ]  # fmt: skip


def make_pair(name: str = "B", **fields: Any) -> Pair:
    base: dict[str, Any] = {
        "name": name, "comparable": "comparable", "forbids": [], "care": [], "notes": ["one run a side"],
        "changes": make_changes(),
    }  # fmt: skip
    return Pair(**base | fields)


def make_noise() -> Noise:
    floors = [
        Floor(metric="ttft", stat="p50", title="TTFT p50", unit="ms", mean=51.0, deviation=0.01, floor=0.03),
        Floor(metric="ttft", stat="p99", title="TTFT p99", unit="ms", mean=None, deviation=None, floor=None),
        Floor(metric="failed", stat="share", title="Failed", unit="share", mean=0.0, deviation=0.0, floor=0.002),
    ]
    return Noise(runs=["one", "two", "three"], floors=floors, notes=["no floor for TTFT p99"])


def make_gate(**fields: Any) -> Gate:
    base: dict[str, Any] = {
        "expression": "ttft.p50>+5%", "side": "B", "judged": True, "fired": True,
        "says": "the difference is beyond the bound, and shown",
    }  # fmt: skip
    return Gate(**base | fields)


def make_comparison(names: str = "AB", **fields: Any) -> Comparison:
    base: dict[str, Any] = {
        "loadcell": "0", "min_effect": 0.05, "min_points": 0.01, "forced": False,
        "sides": [make_side(name) for name in names], "pairs": [make_pair(name) for name in names[1:]], "noise": None,
        "gates": [],
    }  # fmt: skip
    return Comparison(**base | fields)


HOSTILE = "</script><img src=x onerror=alert(1)>\"'); datum.x; {{ t }}"


def hostile() -> Comparison:
    """Markup and code wherever words come from outside."""
    sides = [make_side(name, path=HOSTILE, runs=[HOSTILE] * 40, fingerprint=HOSTILE) for name in "AB"]
    pair = make_pair(care=[HOSTILE] * 5, forbids=[HOSTILE], notes=[HOSTILE], changes=[make_change(says=HOSTILE)])
    return make_comparison(sides=sides, pairs=[pair], gates=[make_gate(expression=HOSTILE, says=HOSTILE)])
