"""How often the 95 % intervals of real runs hold what all runs together show: the embedded engine, and llama.cpp.

Each run's intervals and samples are kept in benchmarks/.work as it ends, and a measurement that was broken off goes on
where it was. `coverage_engine` takes half an hour, `coverage_llama` a quarter.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from common import WORK, Engine, engine, run_loadcell, work_folder
from coverage import Found, code_of, row_of, tally
from tables import Row, Table

from loadcell.metrics.dependence import rank_of
from loadcell.metrics.interval import PERMILLE
from loadcell.metrics.rows import read_rows
from loadcell.recording.read import open_recording

_RUNS, _QUICK, _SECONDS = 100, 3, 10
_NAMES = ("p50", "p90", "p99")
_NOTES = (
    f"Runs of {_SECONDS} s, each with a seed of its own. Truth: TTFT (response time in an open loop), attainment, rate "
    "of all runs together. Independent: every request is served at once, its prefill is as long as its prompt. Queue: "
    "four slots, 80 % busy. Bars as in `coverage`, at 90 % (independent) and 82 % at least.",
)


class Setting(NamedTuple):
    """A server and the load on it; `least` is the bar of its intervals, None where there is none."""

    title: str
    server: Sequence[str]
    load: Sequence[str]
    limit_ms: float
    least: float | None


ENGINE = (
    Setting(
        "apart", ("--slots", "256", "--ttft", "20ms", "--prefill-rate", "4000", "--itl", "4ms", "--jitter", "0.2"),
        ("--rate", "60", "--input-tokens", "uniform:16,400", "--output-tokens", "8"), 115, 0.90,
    ),
    Setting(
        "queue", ("--slots", "4", "--ttft", "20ms", "--itl", "10ms", "--jitter", "0.2"),
        ("--rate", "32", "--input-tokens", "16", "--output-tokens", "9"), 150, 0.82,
    ),
)  # fmt: skip


class Kept(msgspec.Struct):
    """What one run told."""

    setting: str
    seed: int
    code: str
    intervals: dict[str, tuple[float | None, float | None, bool]]
    """Low, high, open."""
    rates: dict[str, float]
    ttft_ms: list[float]


def measure(quick: bool) -> list[Table]:
    """The table of the engine's runs."""
    table = _table("Coverage of 95 % intervals, runs against the engine")
    for setting in ENGINE:
        table.rows.extend(_setting(setting, lambda s: engine(*s.server), quick))
    return [table]


def _table(title: str) -> Table:
    columns = ("load", "runs", "figure", "closed", "hold", "open", "hold", "width / truth")
    return Table(title, columns, notes=_NOTES)


def _setting(setting: Setting, serve: Any, quick: bool) -> list[Row]:
    runs = _QUICK if quick else _RUNS
    kept = measured(setting, serve, WORK / "coverage-engine.jsonl", runs)
    bars = ((setting.least or 0.0, 1.0), setting.least or 0.0)
    rows = [row_of(setting.title, runs, found, bars) for found in judged(kept, setting.limit_ms)]
    return rows if setting.least is not None else [Row(row.cells) for row in rows]


def measured(setting: Setting, serve: Any, store: Path, runs: int) -> list[Kept]:
    """So many runs, those of the store first."""
    code = code_of(("dependence.py", "interval.py", "life.py", "throughput.py"))
    store.parent.mkdir(exist_ok=True)
    lines = store.read_bytes().splitlines() if store.exists() else []
    known = {(k.setting, k.seed): k for k in (msgspec.json.decode(x, type=Kept) for x in lines) if k.code == code}
    missing = [seed for seed in range(1, runs + 1) if (setting.title, seed) not in known]
    if missing:
        context: AbstractContextManager[Engine] = serve(setting)
        with context as target:
            for seed in missing:
                with work_folder() as folder:
                    kept = _run(setting, target, folder / "run", seed, code)
                with store.open("ab") as file:
                    file.write(msgspec.json.encode(kept) + b"\n")
                known[setting.title, seed] = kept
    return [known[setting.title, seed] for seed in range(1, runs + 1)]


def _run(setting: Setting, target: Engine, folder: Path, seed: int, code: str) -> Kept:
    flags = (*setting.load, "--duration", f"{_SECONDS}s", "--seed", str(seed), "--slo", f"ttft={setting.limit_ms:g}ms")
    result = run_loadcell(target, folder, *flags, "--force").result
    latency = result["latency"]["ttft_ms"]
    summary = latency["response"] or latency["service"]
    found = {name: (summary[name]["low"], summary[name]["high"], summary[name]["open"]) for name in _NAMES}
    rates, share = result["throughput"], result["goodput"]["attainment"]
    for name, within in (
        ("attainment", share),
        ("requests/s", rates["requests_interval"]),
        ("tokens/s", rates["output_tokens_interval"]),
    ):
        found[name] = (None, None, False) if within is None else (within["low"], within["high"], False)
    recording = open_recording(folder)
    rows, window = read_rows(recording), result["methodology"]["window"]
    anchor = rows.planned if recording.manifest.loop == "open" else rows.send_start
    inside = (anchor >= window["start_s"] * 1e9) & (anchor <= window["end_s"] * 1e9) & rows.ok & rows.counted
    ttft = ((rows.first_any - anchor)[inside] / 1e6).tolist()
    told = {"requests/s": rates["requests_per_s"], "tokens/s": rates["output_tokens_per_s"]}
    return Kept(setting.title, seed, code, found, told, ttft)


def judged(kept: Sequence[Kept], limit_ms: float) -> list[Found]:
    """Each figure's intervals against what all runs together show."""
    pooled = np.sort(np.concatenate([k.ttft_ms for k in kept]))
    truths = {name: float(pooled[rank_of(PERMILLE[name], pooled.size) - 1]) for name in _NAMES}
    truths["attainment"] = float(np.mean(pooled <= limit_ms))
    truths |= {name: float(np.mean([k.rates[name] for k in kept])) for name in ("requests/s", "tokens/s")}
    found = {name: Found(name) for name in truths}
    for one in kept:
        for name, truth in truths.items():
            low, high, open_ = one.intervals[name]
            if (low, high) != (None, None):
                tally(found[name], low, high, truth, open_=open_)
    return list(found.values())
