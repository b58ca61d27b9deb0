"""The edges of a run: 30 s against 300 s of the same load on an engine whose step grows with its batch.

Rows are kept in benchmarks/.work/edges.jsonl as they come, so that a run that was broken off goes on where it was;
remove the file to measure anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import Any

from common import WORK, engine, run_loadcell, work_folder
from tables import Row, Table

_USERS, _STEP_MS, _PER_LIVE_MS = 16, 8.0, 0.4
_E2E_S = (0.5, 2.0, 8.0)
_SEEDS = 20
_BAR = 0.005
_HELD = 18
_KEPT = WORK / "edges.jsonl"
_FIGURES = {
    "requests/s": ("throughput", "requests_per_s"),
    "tokens/s": ("throughput", "output_tokens_per_s"),
    "TPOT mean": ("latency", "tpot_ms", "service", "mean"),
    "TPOT p50": ("latency", "tpot_ms", "service", "p50", "value"),
}
_NOTES = (
    f"{_USERS} users; a step of {_STEP_MS:g} ms + {_PER_LIVE_MS:g} ms a live stream, all in step. Every cell is "
    "the 30 s run over the 300 s run, less 1; of lengths that vary the mean over the seeds. Held: 30 s runs whose "
    "interval of requests/s holds the value of the 300 s run.",
)


def measure(quick: bool) -> list[Table]:
    """Short runs against a long one, by E2E and lengths."""
    long_s, short_s, seeds = (6, 3, 2) if quick else (300, 30, _SEEDS)
    table = Table("A 30 s run against a 300 s run", ("lengths", "E2E (s)", *_FIGURES, "held"), notes=_NOTES)
    for spread in (0.0, 0.5):
        for e2e_s in _E2E_S[: 1 if quick else None]:
            long = _run(e2e_s, spread, long_s, 1000, quick)
            shorts = [_run(e2e_s, spread, short_s, seed, quick) for seed in range(seeds if spread else 1)]
            table.rows.append(_row(e2e_s, spread, long, shorts))
    return [table]


def _row(e2e_s: float, spread: float, long: dict[str, Any], shorts: list[dict[str, Any]]) -> Row:
    off = {name: mean(short[name] / long[name] - 1 for short in shorts) for name in _FIGURES}
    held = sum(short["low"] <= long["requests/s"] <= short["high"] for short in shorts if short["low"] is not None)
    # One fixed run is exact to the beat: whether it holds a value of the same exactness says nothing.
    enough = not spread or held >= _HELD
    worst = max(abs(value) for value in off.values())
    return Row(
        (
            "± 50 %" if spread else "fixed", f"{e2e_s:g}", *(f"{value:+.2%}" for value in off.values()),
            f"{held} of {len(shorts)}",
        ),
        f"<= {_BAR:.1%}" + (f", {_HELD} held" if spread else ""),
        worst <= _BAR and enough,
    )  # fmt: skip


def _run(e2e_s: float, spread: float, seconds: float, seed: int, quick: bool) -> dict[str, Any]:
    """One row of the file of rows, measured if it is not there."""
    key = f"{e2e_s:g}s ±{spread:g} {seconds:g}s seed {seed}"
    kept = {} if quick or not _KEPT.exists() else {row["key"]: row for row in map(json.loads, _KEPT.open())}
    if key in kept:
        return kept[key]  # type: ignore[no-any-return]
    tokens = round(e2e_s * 1e3 / (_STEP_MS + _PER_LIVE_MS * _USERS))
    part = round(tokens * spread)
    lengths = f"uniform:{tokens - part},{tokens + part}" if spread else str(tokens)
    flags = ("--slots", str(_USERS), "--ttft", "10ms", "--itl", f"{_STEP_MS}ms", "--itl-per-active",
             f"{_PER_LIVE_MS}ms", "--lockstep")  # fmt: skip
    with engine(*flags) as target, work_folder() as folder:
        result = run_loadcell(
            target, Path(folder) / "run", "--concurrency", str(_USERS), "--duration", f"{seconds:g}s",
            "--output-tokens", lengths, "--seed", str(seed),
        ).result  # fmt: skip
    row: dict[str, Any] = {"key": key} | {name: _at(result, path) for name, path in _FIGURES.items()}
    interval = result["throughput"]["requests_interval"] or {"low": None, "high": None}
    row |= interval
    if not quick:
        with _KEPT.open("a") as file:
            file.write(json.dumps(row) + "\n")
    return row


def _at(result: dict[str, Any], path: tuple[str, ...]) -> float:
    found: Any = result
    for name in path:
        found = found[name]
    return float(found)
