"""The cost of a token: loadcell beside vLLM's client in Rust and a floor in C, and its latencies against the truth.

All against the benchmarks' own server of known timing (known_server.c) on the first core; the clients have the others.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import vllm_rs
from bias import Bar, reported_and_true
from common import Engine, Outcome, run_loadcell, work_folder
from compiled import NotCompiled, client_cores, floor_us, known_server, program
from tables import Row, Table

from loadcell.selftest.truth import nearest_rank

ROUNDS = 5
_TOKENS = 200
_SHOWN = (50, 99)
_ALL = ("ours", "Rust", "C floor")


@dataclass(frozen=True)
class Load:
    """`streams` closed-loop streams at `rate` tokens/s each, `requests` of `tokens` output tokens in all."""

    streams: int
    rate: int
    ttft_ms: float
    requests: int
    truth: Bar
    held: float
    """Share of the rounds in which every figure must lie within `truth`."""
    ratio: float | None = None
    """Bar of CPU a token, ours over Rust's."""
    floor: float | None = None
    """Bar of CPU a token, the worker's over the floor's."""
    turns: tuple[str, ...] = _ALL
    """Who runs in a round, in order."""
    tokens: int = _TOKENS

    @property
    def name(self) -> str:
        return f"{self.streams} x {self.rate}/s"

    @property
    def ramp_s(self) -> float:
        """Of the floor, as loadcell's longest: 10 ms a user, at most 5 s."""
        return min(0.01 * self.streams, 5.0)


@dataclass
class Readings:
    """What all rounds of a load gave; CPU is µs a token received, one number a round."""

    ours: list[float] = field(default_factory=list)
    worker: list[float] = field(default_factory=list)
    rust: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    truth: list[dict[tuple[str, int], tuple[float, float]]] = field(default_factory=list)
    rust_truth: list[dict[tuple[str, int], tuple[float, float]]] = field(default_factory=list)
    """ms that the client reports and that the server knows, by metric and percentile, one a round."""


_EXACT, _FAIR = Bar(0.005, 0.1), Bar(0.01)
LOADS = (
    Load(64, 100, 50, 640, _EXACT, 0.9, ratio=1.5),
    Load(64, 100, 50, 3 * 640, _EXACT, 0.9, ratio=1.2),
    Load(256, 200, 20, 1536, _EXACT, 0.9, ratio=1.0, floor=1.4),
    Load(256, 200, 20, 3 * 1536, _EXACT, 0.9, ratio=0.9),
    Load(1024, 100, 20, 4096, _FAIR, 0.8, ratio=0.85, turns=(*_ALL, "ours")),
)
QUICK = (Load(8, 100, 20, 24, _EXACT, 0.9, turns=("ours", "C floor"), tokens=16),)
FULL = Load(500, 200, 20, 10_000, _EXACT, 0.0)
FULL_QUICK = Load(8, 200, 20, 24, _EXACT, 0.0, tokens=16)
_MOST_MERGED = 0.02
_COST_NOTES = (
    "CPU: user and system time of all processes of the command, from exec to exit, over the tokens received; median of "
    "the rounds. In a round all take their turn against the same server, one after the other; ours / Rust is the "
    "median of the ratios of each round.",
    "Ours: `loadcell run URL --concurrency STREAMS --requests N --input-tokens 128 --output-tokens 200 --output DIR "
    "--json`, without a page. Rust: `vllm-rs bench serve` of vLLM 0.33.0, without a ramp, prompts as long, the same "
    "tokenizer. C floor: floor.c, which reads and stamps and does nothing else.",
)
_WORKER_NOTES = (
    "Worker: `instrument.cpu_us_per_token` of the result, from the start of the clock to the end of its writing. "
    "Both: median of the rounds; the ratio is the median of the ratios.",
)
_TRUTH_NOTES = (
    "Reported: service times of the window of each round. Truth: the same requests in the server, from the kernel's "
    "receive time of the request to just before each send. Percentiles: nearest rank. Off: reported less true.",
    "Inside: rounds of that load in which p50 and p99 of TTFT, ITL and E2E all lay within the bar.",
    "Rust: what its JSON result says of all its requests, whose starts come at once; its percentiles are interpolated.",
)


def measure(quick: bool) -> list[Table]:
    """Tables of the cost, of the worker alone, of the truth, and of a load that fills the client's core."""
    try:
        for name in ("known_server", "floor"):
            program(name)
    except NotCompiled as error:
        return [Table("Peers", ("not measured",), [Row((str(error),))])]
    missing = "left out by --quick" if quick else vllm_rs.fetch()
    found = {load: _rounds(load, 1 if quick else ROUNDS, missing is None) for load in (QUICK if quick else LOADS)}
    return [_costs(found, missing), _workers(found), _truths(found), _full(FULL_QUICK if quick else FULL)]


def _rounds(load: Load, rounds: int, rust: bool) -> Readings:
    found = Readings()
    turns: dict[str, Callable[[Load, Engine, Path, Readings], None]] = {"ours": _ours, "C floor": _floor}
    if rust:
        turns["Rust"] = _rust
    with known_server(load.ttft_ms, 1e3 / load.rate) as target, client_cores():
        for _ in range(rounds):
            for turn in load.turns:
                if turn in turns:
                    with work_folder() as folder:
                        target.forget()
                        turns[turn](load, target, folder, found)
    return found


def _run(load: Load, target: Engine, folder: Path) -> Outcome:
    return run_loadcell(
        target, folder / "load", "--concurrency", str(load.streams), "--requests", str(load.requests),
        "--input-tokens", str(vllm_rs.INPUT_TOKENS), "--output-tokens", str(load.tokens),
    )  # fmt: skip


def _ours(load: Load, target: Engine, folder: Path, found: Readings) -> None:
    outcome = _run(load, target, folder)
    found.ours.append(outcome.cpu_s * 1e6 / (load.requests * load.tokens))
    found.worker.append(outcome.result["instrument"]["cpu_us_per_token"])
    found.truth.append(reported_and_true(outcome, target))


def _rust(load: Load, target: Engine, folder: Path, found: Readings) -> None:
    outcome = vllm_rs.run(target, load.streams, load.requests, load.tokens, folder)
    known = target.truth().values()
    true_ms = np.array([one.tokens_ns[0] - one.arrival_ns for one in known]) / 1e6
    found.rust.append(outcome.us)
    found.rust_truth.append({("ttft", p): (outcome.ttft_ms[p], nearest_rank(true_ms, p)) for p in _SHOWN})


def _floor(load: Load, target: Engine, folder: Path, found: Readings) -> None:
    found.floor.append(floor_us(target, load.streams, load.requests, load.tokens, load.ramp_s))


def _costs(found: dict[Load, Readings], missing: str | None) -> Table:
    notes = _COST_NOTES if missing is None else (*_COST_NOTES, f"No Rust client: {missing}.")
    columns = ("load", "tokens", "ours µs", "Rust µs", "C floor µs", "ours / Rust", "in the rounds")
    table = Table("CPU a token of the whole client, µs", columns, notes=notes)
    for load, read in found.items():
        cells = (load.name, f"{load.requests * load.tokens:,}", *map(_middle, (read.ours, read.rust, read.floor)))
        table.rows.append(_ratio_row(cells, read.ours, read.rust, load.ratio))
    return table


def _workers(found: dict[Load, Readings]) -> Table:
    columns = ("load", "tokens", "worker µs", "C floor µs", "worker / floor", "in the rounds")
    table = Table("CPU a token of the worker alone, µs", columns, notes=_WORKER_NOTES)
    for load, read in found.items():
        cells = (load.name, f"{load.requests * load.tokens:,}", _middle(read.worker), _middle(read.floor))
        table.rows.append(_ratio_row(cells, read.worker, read.floor, load.floor))
    return table


def _middle(values: list[float]) -> str:
    return f"{median(values):.2f}" if values else ""


def _ratio_row(cells: tuple[str, ...], over: list[float], under: list[float], bar: float | None) -> Row:
    """The cells, the median of the ratios of the rounds, and their range; without a bar where there are none."""
    turns = len(over) // len(under) if under else 1  # who has two turns in a round is taken by the mean of them
    means = [float(np.mean(over[i : i + turns])) for i in range(0, len(over), turns)]
    ratios = [one / other for one, other in zip(means, under, strict=False)]
    if not ratios:
        return Row((*cells, "", ""), "")
    middle, span = median(ratios), f"{min(ratios):.2f} to {max(ratios):.2f}"
    told = "" if bar is None else f"<= {bar:g}"
    return Row((*cells, f"{middle:.2f}", span), told, None if bar is None else middle <= bar)


def _truths(found: dict[Load, Readings]) -> Table:
    columns = ("load", "figure", "truth ms", "off ms, median", "worst", "off %, median", "worst")
    table = Table("Reported against truth, round by round", columns, notes=_TRUTH_NOTES)
    by_name: dict[str, list[tuple[Load, Readings]]] = defaultdict(list)
    for load, read in found.items():
        by_name[load.name].append((load, read))
    for name, both in by_name.items():
        load = both[0][0]
        ours = [one for _, read in both for one in read.truth]
        table.rows.extend(_off_rows(name, "", ours))
        table.rows.extend(_off_rows(name, "Rust ", [one for _, read in both for one in read.rust_truth]))
        inside = sum(all(load.truth.holds(*one[m, p]) for m, p in one if p in _SHOWN) for one in ours)
        least = math.ceil(load.held * len(ours))
        told = f"{load.truth} in >= {least}"
        table.rows.append(Row((name, f"inside: {inside} of {len(ours)}", "", "", "", "", ""), told, inside >= least))
    return table


def _off_rows(name: str, who: str, rounds: Iterable[dict[tuple[str, int], tuple[float, float]]]) -> list[Row]:
    pairs: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for one in rounds:
        for key, pair in one.items():
            if key[1] in _SHOWN:
                pairs[key].append(pair)
    rows = []
    for (metric, percent), values in pairs.items():
        off_ms = [seen - true for seen, true in values]
        off = [(seen - true) / true for seen, true in values]
        cells = (f"{median(true for _, true in values):.3f}", f"{median(off_ms):+.3f}", f"{max(off_ms, key=abs):+.3f}",
                 f"{median(off):+.2%}", f"{max(off, key=abs):+.2%}")  # fmt: skip
        rows.append(Row((name, f"{who}{metric.upper()} p{percent}", *cells)))
    return rows


def _full(load: Load) -> Table:
    """One run of a load that fills a core: is it VALID, and how much of it is merged?"""
    with known_server(load.ttft_ms, 1e3 / load.rate) as target, client_cores(), work_folder() as folder:
        outcome = _run(load, target, folder)
        read = reported_and_true(outcome, target)
    own, word = outcome.result["instrument"], outcome.result["verdict"]["word"]
    got, lag = outcome.result["throughput"]["output_tokens_per_s"], own["read_lag"]["p99_ms"]
    off = [f"{read[metric, 99][0] / read[metric, 99][1] - 1:+.2%}" for metric in ("ttft", "itl")]
    cells = (
        load.name, f"{load.streams * load.rate:,}", "" if got is None else f"{got:,.0f}", word,
        f"{own['merged_share']:.2%}", f"{own['merged_by_client_share']:.2%}", "" if lag is None else f"{lag:.3f}", *off,
    )  # fmt: skip
    columns = ("load", "asked tokens/s", "got", "verdict", "merged", "by client", "lag p99 ms", "TTFT p99 off", "ITL")
    table = Table(f"{load.streams * load.rate:,} tokens/s on the core beside the server", columns, notes=(
        "Merged: events that shared a read with the one before. Reasons of the verdict: "
        + ("; ".join(outcome.result["verdict"]["reasons"]) or "none") + ".",
    ))  # fmt: skip
    met = word == "VALID" and own["merged_share"] <= _MOST_MERGED
    table.rows.append(Row(cells, f"VALID, merged <= {_MOST_MERGED:.0%}", met))
    return table
