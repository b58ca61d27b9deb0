"""Start-up: what a command costs beside the load itself."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import INVALID, engine, run_loadcell, work_folder
from tables import Row, Table, at_most

_COMMAND = str(Path(sys.executable).with_name("loadcell"))
_NOTES = (
    "Wall time, medians with warm file caches. Whole command less its load: a run of one request of 512 tokens in and "
    "128 out, from exec to exit, less the load's own duration as its result tells.",
)


def measure(quick: bool) -> list[Table]:
    """One table."""
    times = 3 if quick else 15
    table = Table("Start-up", ("command", "seconds"), notes=_NOTES)
    table.rows.append(at_most("loadcell --version", _median_s(times, _COMMAND, "--version"), 0.15, "s", 3))
    with engine("--ttft", "20ms", "--itl", "2ms") as target, work_folder() as folder:
        extra = []
        for number in range(1 if quick else 5):
            outcome = run_loadcell(target, folder / str(number), "--requests", "1", "--concurrency", "1")
            extra.append(outcome.wall_s - float(outcome.result["run"]["duration_s"]))
        table.rows.append(at_most("loadcell run, less its load", statistics.median(extra), 1.5, "s", 3))
        report_s = _median_s(1 if quick else 5, _COMMAND, "report", str(folder / "0"))
        table.rows.append(Row(("loadcell report of that run", f"{report_s:.3f} s")))
    return [table]


def _median_s(times: int, *command: str) -> float:
    """Median wall time of a command, after one run that is not counted."""
    taken = []
    for _ in range(times + 1):
        start = time.perf_counter()
        status = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
        taken.append(time.perf_counter() - start)
        if status not in (0, INVALID):  # a run of one request on an uneven machine may be that
            raise RuntimeError(f"{' '.join(command)} ended with status {status}")
    return statistics.median(taken[1:])
