"""Five searches on a real server, llama.cpp's with four slots and SmolLM2-135M: does the answer repeat?"""

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


def measure(quick: bool) -> list[Table]:
    """The brackets of five searches."""
    packages = ROOT / ".real-server"
    if not packages.is_dir():
        return [Table("Searches on llama.cpp's server", ("not measured",), [Row(("make test installs the server",))])]
    table = Table(
        "Searches on llama.cpp's server",
        ("seed", "holds up to /s", "fails at /s", "width", "answer", "stages", "verdicts", "time s"),
        notes=_NOTES,
    )
    found: list[Found] = []
    took_s: list[float] = []
    with work_folder() as folder, _serve(packages) as url:
        for seed in range(1, (1 if quick else _RUNS) + 1):
            sweep = _search(url, folder / str(seed), seed)
            assert sweep.found is not None and sweep.took_s is not None
            found.append(sweep.found)
            took_s.append(sweep.took_s)
            table.rows.append(Row(_cells(seed, sweep, sweep.found)))
    lows = [one.low.level for one in found if one.low]
    highs = [one.high.level for one in found if one.high]
    repeats = len(lows) == len(highs) == len(found) and max(lows) < min(highs)
    common = f"{max(lows):.2f} to {min(highs):.2f} in all" if repeats else "no load lies in all"
    cells = ("all", common, "", "", "", "", "", f"{median(took_s):.0f}")
    table.rows.append(Row(cells, "5 of 5 repeat", repeats))
    return [table]


def _cells(seed: int, sweep: Sweep, found: Found) -> tuple[str, ...]:
    low, high = (f"{end.level:.2f}" if end else "n/a" for end in (found.low, found.high))
    words = [stage.point.verdict for stage in sweep.stages if stage.point]
    verdicts = " ".join(f"{words.count(word)} {word}" for word in sorted(set(words)))
    width = f"{found.width:.1%}" if found.width else "n/a"
    return str(seed), low, high, width, found.word, str(len(sweep.stages)), verdicts, f"{sweep.took_s:.0f}"


def _search(url: str, folder: Path, seed: int) -> Sweep:
    command = [
        *LOADCELL, "sweep", url, *_FLAGS, "--seed", str(seed), "--output", str(folder), "--json", "--force",
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
