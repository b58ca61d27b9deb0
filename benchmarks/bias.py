"""Bias: the latencies that loadcell reports against those that the engine knows of the same requests."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import Engine, Outcome, engine, run_loadcell, work_folder
from tables import Row, Table

from loadcell.recording.read import open_recording
from loadcell.selftest.truth import METRICS, nearest_rank, reported_ms, truth_ms

PERCENTS = (50, 90, 99)
_INPUT_TOKENS = 128
_PATH_MS = 0.02
"""Between the stamps of the two processes: the way of a byte from one to the other and back."""


@dataclass(frozen=True)
class Bar:
    """Largest difference allowed: a part of the truth, or a time if that is larger."""

    part: float
    least_ms: float = 0.0

    def __str__(self) -> str:
        return f"<= {self.part:.1%}" + (f" or {self.least_ms:g} ms" if self.least_ms else "")

    def holds(self, reported: float, truth: float) -> bool:
        return abs(reported - truth) <= max(self.part * truth, self.least_ms)


@dataclass(frozen=True)
class Load:
    """`streams` closed-loop streams at `rate` tokens/s each, measured for `seconds` after the ramp."""

    streams: int
    rate: int
    ttft_ms: float
    bars: dict[tuple[str, int], Bar]
    tls: bool = False
    cpu_bar_us: float | None = None
    output_tokens: int = 128
    seconds: float = 12.0

    @property
    def name(self) -> str:
        return f"{self.streams} x {self.rate}/s" + (" TLS" if self.tls else "")

    @property
    def ramp_s(self) -> float:
        """As loadcell's default: 10 ms a user, at most 5 s."""
        return min(0.01 * self.streams, 5.0)

    @property
    def until_s(self) -> float:
        """End of sending; the window begins a full reply after the ramp, when every stream is at its pace."""
        return self.warmup_s + self.seconds

    @property
    def cycle_s(self) -> float:
        return self.ttft_ms / 1e3 + (self.output_tokens - 1) / self.rate

    @property
    def warmup_s(self) -> float:
        return self.ramp_s + self.cycle_s


def bars(p50: Bar, p99: Bar) -> dict[tuple[str, int], Bar]:
    """The same bars for every metric."""
    return {(metric, percent): bar for metric in METRICS for percent, bar in ((50, p50), (99, p99))}


_LIGHT = bars(Bar(0.005, 0.1), Bar(0.005, 0.1))
_MIDDLE = bars(Bar(0.005), Bar(0.03))
_HEAVY = {(metric, 50): Bar(0.01) for metric in METRICS} | {("ttft", 99): Bar(0.05)}
LOADS = (
    Load(64, 100, 50, _LIGHT),
    Load(256, 200, 20, _MIDDLE, cpu_bar_us=10.0),
    Load(1024, 100, 20, _HEAVY),
    Load(64, 100, 50, _LIGHT, tls=True),
    Load(256, 200, 20, _MIDDLE, tls=True),
)
QUICK = tuple(Load(8, 100, 20, {}, tls=tls, output_tokens=16, seconds=0.6) for tls in (False, True))
_NOTES = (
    "Reported: service times of the recording, which the JSON result repeats (checked to the nanosecond). "
    "Truth: the same requests in the engine, from the kernel's receive time of the request to just before each send.",
    "Percentiles: nearest rank. Requests sent from one reply after the ramp to the end of sending, followed to "
    "their end.",
)
_COST_NOTES = (
    "Asked: what the streams would receive from an engine without any delay of its own; where much less was got, the "
    "engine or the machine was full, and the figures are of that.",
    "CPU, worker: user and system time of the load process from the start of the clock to the end of its writing, over "
    "all output tokens of the run. Tree: all processes of the command from exec to exit (planning, prompts and report "
    "included), less a run of one request of one token.",
    "Floor: a bare epoll loop in plain Python that reads the same stream with kernel stamps and does nothing else "
    "(floor.py), on the same core against the same engine.",
    "Withheld: by a run that called itself INVALID; its latencies above are read from its recording.",
    "Merged: events that shared a read with the one before; by the client: where that read was more than 1 ms late.",
)


def measure(quick: bool) -> list[Table]:
    """Three tables: latencies against truth, whether that lies inside the error budgets, what the instrument says."""
    latencies = Table("Reported against truth", ("load", "metric", "reported ms", "truth ms", "difference ms", "%"),
                      notes=_NOTES)  # fmt: skip
    costs = Table(
        "The instrument at these loads",
        ("load", "asked tokens/s", "got", "merged", "by client", "lag p50 ms", "lag p99 ms", "CPU µs a token: worker",
         "tree", "floor", "worker / floor"),
        notes=_COST_NOTES,
    )  # fmt: skip
    budgets = Table(
        "Truth inside the error budget", ("load", "figure", "truth ms", "at least ms", "at most ms", "off ms"),
        notes=(f"Of each figure as the result tells it; widened by {_PATH_MS} ms for the path between the processes' "
               "stamps. Off: what lies outside of that.",),
    )  # fmt: skip
    for load in QUICK if quick else LOADS:
        times = ("--ttft", f"{load.ttft_ms:g}ms", "--itl", f"{1000 / load.rate:g}ms")
        with engine("--slots", str(load.streams), *times, tls=load.tls) as target, work_folder() as folder:
            idle = run_loadcell(target, folder / "idle", *_flags(1, 1, 1, 0.0))
            target.forget()
            outcome = run_loadcell(target, folder / "load", *load_flags(load))
            latencies.rows.extend(compare(load, outcome, target))
            budgets.rows.extend(inside_budgets(load, outcome, target))
            floor_us = None if load.tls else _floor_us(load, target)
            costs.rows.append(_cost(load, outcome, idle, floor_us))
    inside = sum(row.met is True for row in budgets.rows)
    share = inside / len(budgets.rows)
    budgets.rows.append(Row(("all", "rows inside", "", "", "", f"{share:.1%}"), "100 %", inside == len(budgets.rows)))
    return [latencies, budgets, costs]


def _flags(streams: int, requests: int, output_tokens: int, ramp_s: float) -> tuple[str, ...]:
    return ("--concurrency", str(streams), "--requests", str(requests), "--output-tokens", str(output_tokens),
            "--input-tokens", str(_INPUT_TOKENS), "--ramp", f"{ramp_s:g}", "--workers", "1")  # fmt: skip


def load_flags(load: Load) -> tuple[str, ...]:
    """Ended by its duration; the number of requests is only an upper bound, to plan no more than can be sent."""
    most = load.streams * (math.ceil(load.until_s / load.cycle_s) + 1)
    return (*_flags(load.streams, most, load.output_tokens, load.ramp_s),
            "--duration", f"{load.until_s:g}", "--warmup", f"{load.warmup_s:g}s")  # fmt: skip


def compare(load: Load, outcome: Outcome, target: Engine) -> list[Row]:
    """A row for each metric and percentile of a run."""
    rows = []
    for (metric, percent), (seen, true) in reported_and_true(outcome, target).items():
        bar = load.bars.get((metric, percent))
        cells = (f"{seen:.3f}", f"{true:.3f}", f"{seen - true:+.3f}", f"{(seen - true) / true:+.2%}")
        met = bar.holds(seen, true) if bar else None
        rows.append(Row((load.name, f"{metric.upper()} p{percent}", *cells), str(bar or ""), met))
    return rows


def reported_and_true(outcome: Outcome, target: Engine) -> dict[tuple[str, int], tuple[float, float]]:
    """What a run reports of its window and what the server knows of the same requests, ms, by metric and percentile.

    RuntimeError unless the JSON result says the same as the recording.
    """
    window = outcome.result["methodology"]["window"]
    members, reported = reported_ms(open_recording(outcome.folder), window["start_s"], window["end_s"])
    truth = truth_ms(target.truth(), str(outcome.result["run"]["id"]), members)
    found = {}
    for metric in METRICS:
        for percent in PERCENTS:
            seen, true = (nearest_rank(side[metric], percent) for side in (reported, truth))
            _check_result(outcome, metric, percent, seen)
            found[metric, percent] = (seen, true)
    return found


def inside_budgets(load: Load, outcome: Outcome, target: Engine) -> list[Row]:
    """A row for each metric's mean and percentiles: does the truth lie inside the budget of the figure?"""
    window = outcome.result["methodology"]["window"]
    members, _ = reported_ms(open_recording(outcome.folder), window["start_s"], window["end_s"])
    truth = truth_ms(target.truth(), str(outcome.result["run"]["id"]), members)
    rows = []
    for metric in METRICS:
        summary = outcome.result["latency"][f"{metric}_ms"]["service"]
        figures = {"mean": (float(np.mean(truth[metric])), summary["mean_budget"])}
        figures |= {
            f"p{percent}": (nearest_rank(truth[metric], percent), summary[f"p{percent}"]["budget"])
            for percent in PERCENTS
        }
        for name, (true, budget) in figures.items():
            low, high = budget["low"] - _PATH_MS, budget["high"] + _PATH_MS
            off = max(low - true, true - high, 0.0)
            cells = (f"{true:.3f}", f"{budget['low']:.3f}", f"{budget['high']:.3f}", f"{off:.3f}")
            rows.append(Row((load.name, f"{metric.upper()} {name}", *cells), "inside", off == 0.0))
    return rows


def _check_result(outcome: Outcome, metric: str, percent: int, seen: float) -> None:
    """RuntimeError unless the JSON result says the same.

    Too few samples for a percentile are no contradiction.
    """
    said = outcome.result["latency"][f"{metric}_ms"]["service"][f"p{percent}"]["value"]
    if said is not None and abs(said - seen) > 1e-6:
        raise RuntimeError(f"{metric} p{percent}: the result says {said} ms, its recording {seen} ms")


def _cost(load: Load, outcome: Outcome, idle: Outcome, floor_us: float | None) -> Row:
    own, lag = outcome.result["instrument"], outcome.result["instrument"]["read_lag"]
    worker_us, got = own["cpu_us_per_token"], outcome.result["throughput"]["output_tokens_per_s"]
    requests = open_recording(outcome.folder).requests(("output_tokens",))
    tree_us = (outcome.cpu_s - idle.cpu_s) * 1e6 / float(np.nansum(requests["output_tokens"]))
    bar = load.cpu_bar_us
    return Row(
        (
            load.name,
            f"{load.streams * load.output_tokens / load.cycle_s:,.0f}",
            "withheld" if got is None else f"{got:,.0f}",
            f"{own['merged_share']:.3%}",
            f"{own['merged_by_client_share']:.3%}",
            f"{lag['p50_ms']:.3f}",
            "" if lag["p99_ms"] is None else f"{lag['p99_ms']:.3f}",
            f"{worker_us:.2f}",
            f"{tree_us:.2f}",
            "" if floor_us is None else f"{floor_us:.2f}",
            "" if floor_us is None else f"{worker_us / floor_us:.2f}",
        ),
        f"worker <= {bar:g} µs" if bar else "",
        worker_us <= bar if bar else None,
    )


def _floor_us(load: Load, target: Engine) -> float:
    """CPU µs a token of the bare loop under the same load."""
    words = (target.port, load.streams, load.output_tokens, load.until_s, load.ramp_s)
    command = [sys.executable, str(Path(__file__).with_name("floor.py")), *map(str, words)]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return float(found["cpu_s"]) * 1e6 / float(found["tokens"])
