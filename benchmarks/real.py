"""Five searches on a real server, llama.cpp's with four slots and SmolLM2-135M: does the answer repeat?

Twice: with a limit on TTFT, until they are done; and with one on TPOT, in ten minutes each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import msgspec
from common import LOADCELL, ROOT, work_folder
from tables import Row, Table

from loadcell.search.model import Found, Sweep

_RUNS, _SLOTS = 5, 4
_WIDTH = 0.1
_FLAGS = (
    "--api", "completions", "--input-tokens", "4", "--output-tokens", "uniform:2,6", "--arrivals", "constant",
    "--slo", "ttft=500ms", "--attainment", "90%", "--width", f"{_WIDTH:.0%}", "--shared-host",
)  # fmt: skip
_NOTES = (
    f"`loadcell sweep URL {' '.join(_FLAGS)} --seed N`, against one server of {_SLOTS} slots and one thread on the "
    "first core. Repeats: every two brackets overlap, so that one load lies in all five.",
)


_TIMED_WIDTH, _TIMED_S, _OF_FLOOR = 0.25, 600.0, 1.5
"""Widest bracket of a search that has this many seconds; its limit on TPOT, over that of one user alone."""
_TIMED_FLAGS = (
    "--api", "completions", "--input-tokens", "4", "--output-tokens", "uniform:16,48", "--attainment", "90%",
    "--max-time", f"{_TIMED_S:g}s", "--shared-host",
)  # fmt: skip
_TIMED_NOTES = (
    f"`loadcell sweep URL {' '.join(_TIMED_FLAGS)} --slo tpot=T --seed N`, the same server. T is {_OF_FLOOR:g} times "
    "the median TPOT of one user alone. Repeats: every two likely brackets overlap, so that one load lies in all five.",
)
_COLUMNS = ("seed", "holds up to /s", "fails at /s", "width", "answer", "stages", "verdicts", "time s")


def measure(quick: bool) -> list[Table]:
    """The brackets of five searches, of each kind."""
    packages = ROOT / ".real-server"
    if not packages.is_dir():
        return [Table("Searches on llama.cpp's server", ("not measured",), [Row(("make test installs the server",))])]
    whole = Table("Searches on llama.cpp's server", _COLUMNS, notes=_NOTES)
    timed = Table("Searches on llama.cpp's server with --max-time", _COLUMNS, notes=_TIMED_NOTES)
    runs = 1 if quick else _RUNS
    with work_folder() as folder, _serve(packages) as url:
        _searches(whole, url, folder / "whole", _FLAGS, runs, None)
        flags = (*_TIMED_FLAGS, "--slo", f"tpot={_OF_FLOOR * _floor_tpot_ms(url, folder / 'floor'):.4g}ms")
        _searches(timed, url, folder / "timed", flags, runs, _TIMED_WIDTH)
    return [whole, timed]


def _searches(table: Table, url: str, folder: Path, flags: tuple[str, ...], runs: int, widest: float | None) -> None:
    """A row for each search, and one for all."""
    ends: list[tuple[float | None, float | None]] = []
    widths, took_s = [], []
    for seed in range(1, runs + 1):
        sweep = _search(url, folder / str(seed), flags, seed)
        assert sweep.found is not None and sweep.took_s is not None
        ends.append(_ends(sweep.found))
        widths.append(sweep.found.width)
        took_s.append(sweep.took_s)
        table.rows.append(Row(_cells(seed, sweep, sweep.found)))
    lows, highs = ([end for end in side if end is not None] for side in zip(*ends, strict=True))
    repeats = len(lows) == len(highs) == len(ends) and max(lows) < min(highs)
    common = f"{max(lows):.2f} to {min(highs):.2f} in all" if repeats else "no load lies in all"
    narrow = widest is None or all(width is not None and width <= widest for width in widths)
    bar = "5 of 5 repeat" if widest is None else f"5 of 5 repeat, each <= {widest:.0%}"
    table.rows.append(Row(("all", common, "", "", "", "", "", f"{median(took_s):.0f}"), bar, repeats and narrow))


def _ends(found: Found) -> tuple[float | None, float | None]:
    """The loads that the answer lies between: the likely ones where it names them."""
    if found.likely is not None:
        return found.likely.low, found.likely.high
    low, high = (None if end is None else end.level for end in (found.low, found.high))
    return low, high


def _floor_tpot_ms(url: str, folder: Path) -> float:
    """Median TPOT of one user alone."""
    command = [
        *LOADCELL, "run", url, "--api", "completions", "--input-tokens", "4", "--output-tokens", "uniform:16,48",
        "--concurrency", "1", "--requests", "20", "--shared-host", "--output", str(folder), "--json", "--force",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=False)
    if not done.stdout:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode()[-500:]}")
    return float(json.loads(done.stdout)["latency"]["tpot_ms"]["service"]["p50"]["value"])


def _cells(seed: int, sweep: Sweep, found: Found) -> tuple[str, ...]:
    low, high = ("n/a" if end is None else f"{end:.2f}" for end in _ends(found))
    words = [stage.point.verdict for stage in sweep.stages if stage.point]
    verdicts = " ".join(f"{words.count(word)} {word}" for word in sorted(set(words)))
    width = f"{found.width:.1%}" if found.width else "n/a"
    return str(seed), low, high, width, found.word, str(len(sweep.stages)), verdicts, f"{sweep.took_s:.0f}"


def _search(url: str, folder: Path, flags: tuple[str, ...], seed: int) -> Sweep:
    command = [
        *LOADCELL, "sweep", url, *flags, "--seed", str(seed), "--output", str(folder), "--json", "--force",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=False)
    if not done.stdout:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode()[-500:]}")
    return msgspec.json.decode(done.stdout, type=Sweep)


@contextmanager
def _serve(packages: Path) -> Iterator[str]:
    """The server of the integration tests, on the first core."""
    script = ROOT / "tests" / "integration" / "llama_server.py"
    settings = {"n_parallel": _SLOTS, "n_ctx": 2048 * _SLOTS}
    process = subprocess.Popen(
        [sys.executable, str(script), json.dumps(settings)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(packages)},
    )
    try:
        assert process.stdout is not None
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(30)
