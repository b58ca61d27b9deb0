"""The self-test: whether fresh runs keep what it promises, and what a run far beyond it says of itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from bias import Bar, Load, bars, compare, load_flags
from common import LOADCELL, engine, run_loadcell, work_folder
from tables import Row, Table

from loadcell.metrics import Highest, SelfTest
from loadcell.selftest.ladder import TTFT_S, Step
from loadcell.selftest.limits import P99_FACTOR, P99_LEAST_MS

_PERCENT = "1"
_FRESH = 5
_FACTOR = 10
_STREAMS = 500
_SHARE = int(_PERCENT) / 100
_BARS = bars(Bar(_SHARE), Bar(P99_FACTOR * _SHARE, P99_LEAST_MS))
_NOTES = (
    "Fresh runs: `loadcell run` at the highest load that the self-test calls within 1 %, each against an engine that "
    "was started for it. Reported and truth as in the benchmark of bias. Verdict: with its first reason; a run that "
    "something disturbed must say so.",
)
_BEYOND_NOTES = (
    "Asked: ten times the load that the self-test calls within 1 %, from a source that does nothing but write prepared "
    "events (blaster.py) on the first core. Such a run must call itself INVALID, whatever its figures.",
)


def measure(quick: bool) -> list[Table]:
    """What the self-test found, what fresh runs make of it, and what becomes of a run that asks for far more."""
    with work_folder() as folder:
        found = _selftest(folder, quick)
    limits = Table("What the self-test calls measurable", ("within", "tokens/s", "streams x tokens/s", "ended by"))
    for percent, limit in found.limits.items():
        load = "" if limit.streams is None else f"{limit.streams} x {limit.rate:g}"
        tokens = "none" if limit.tokens_per_s is None else f"{limit.tokens_per_s:,.0f}"
        limits.rows.append(Row((f"{percent} %", tokens, load, limit.ends)))
    limit = found.limits[_PERCENT]
    if limit.tokens_per_s is None:
        limits.rows.append(Row(("fresh runs", "none", "", ""), f"some load within {_PERCENT} %", False))
        return [limits]
    workers = max(r.workers for r in found.rungs if (r.streams, r.rate) == (limit.streams, limit.rate))
    return [limits, _fresh(limit, workers, quick), _beyond(limit.tokens_per_s, quick)]


def _selftest(folder: Path, quick: bool) -> SelfTest:
    """A self-test by its command, kept nowhere else than in `folder`."""
    command = [*LOADCELL, "selftest", "--json", *(["--quick"] if quick else [])]
    here = {**os.environ, "XDG_STATE_HOME": str(folder)}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=here)
    return msgspec.json.decode(done.stdout, type=SelfTest)


def _fresh(limit: Highest, workers: int, quick: bool) -> Table:
    assert limit.streams is not None and limit.rate is not None
    table = Table(
        f"Fresh runs at {limit.streams} x {limit.rate:g}/s",
        ("run", "metric", "reported ms", "truth ms", "difference ms", "%", "verdict of the run"),
        notes=_NOTES,
    )
    step = Step(limit.streams, int(limit.rate))
    load = Load(
        step.streams,
        step.rate,
        TTFT_S * 1e3,
        _BARS,
        output_tokens=step.output_tokens,
        seconds=1.0 if quick else 12.0,
    )
    times = ("--slots", str(load.streams), "--ttft", f"{load.ttft_ms:g}ms", "--itl", f"{1 / load.rate:g}s")
    for number in range(1 if quick else _FRESH):
        with engine(*times) as target, work_folder() as folder:
            outcome = run_loadcell(target, folder / "run", *load_flags(load), "--workers", str(workers))
            rows = [row for row in compare(load, outcome, target) if row.bar]
        verdict = outcome.result["verdict"]
        said = f"{verdict['word']}: {verdict['reasons'][0].partition(':')[0]}" if verdict["reasons"] else "VALID"
        for i, row in enumerate(rows):
            table.rows.append(Row((str(number + 1), *row.cells[1:], "" if i else said), row.bar, row.met))
    return table


def _beyond(tokens_per_s: float, quick: bool) -> Table:
    """A run that asks for ten times as much; its row is met if it calls itself INVALID."""
    table = Table(
        f"A run at {_FACTOR} times the load",
        ("streams x tokens/s", "asked tokens/s", "reported tokens/s", "TTFT p50 ms", "verdict", "its first reason"),
        notes=_BEYOND_NOTES,
    )
    rate = _FACTOR * tokens_per_s / _STREAMS
    tokens = max(16, round(rate))
    seconds = "2s" if quick else "6s"
    with _blaster(rate, tokens) as url, work_folder() as folder:
        command = [*LOADCELL, "run", url, "--model", "blaster", "--concurrency", str(_STREAMS), "--ramp", "1s",
                   "--duration", seconds, "--requests", str(_STREAMS * 10), "--input-tokens", "32",
                   "--output-tokens", str(tokens), "--set", "run.shared_host=true",
                   "--output", str(folder / "run"), "--json"]  # fmt: skip
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    result = msgspec.json.decode(done.stdout)
    verdict, withheld = result["verdict"], result["withheld"]
    ttft = None if withheld else result["latency"]["ttft_ms"]["service"]["p50"]["value"]
    cells = (
        f"{_STREAMS} x {rate:,.0f}",
        f"{_STREAMS * rate:,.0f}",
        "withheld" if withheld else f"{result['throughput']['output_tokens_per_s']:,.0f}",
        "withheld" if withheld else "n/a" if ttft is None else f"{ttft:.3f}",
        verdict["word"],
        next(iter(verdict["reasons"]), ""),
    )
    table.rows.append(Row(cells, "INVALID", verdict["word"] == "INVALID"))
    return table


@contextmanager
def _blaster(rate: float, tokens: int) -> Iterator[str]:
    """The source, and its URL."""
    script = str(Path(__file__).with_name("blaster.py"))
    process = subprocess.Popen([sys.executable, script, f"{rate:g}", str(tokens)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.communicate()
