"""What the benchmarks share: the engine on a core of its own, loadcell as a child process, and the engine's truth."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from loadcell.selftest.witness import Engine as Engine
from loadcell.selftest.witness import engine as start_engine
from loadcell.selftest.witness import make_certificate

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "benchmarks" / ".work"
LOADCELL = (sys.executable, "-m", "loadcell")
HERE = ("--set", "run.shared_host=true")
INVALID = 4
"""Status of a run whose audit calls it invalid; here the truth is the judge."""


@dataclass(frozen=True)
class Outcome:
    """One `loadcell run`: its JSON result, its recording, and what the whole tree of its processes cost."""

    result: dict[str, Any]
    folder: Path
    wall_s: float
    cpu_s: float
    """User and system time of the command and all its children, from exec to exit."""


def cores() -> list[int]:
    """Cores this process may use; the engine takes the first, the load the last."""
    return sorted(os.sched_getaffinity(0))


@contextmanager
def engine(*flags: str, tls: bool = False) -> Iterator[Engine]:
    """An engine alone on the first core; `tls` gives it a certificate that is thrown away afterwards."""
    with work_folder() as folder, start_engine(*flags, certificate=make_certificate(folder) if tls else None) as target:
        yield target


@contextmanager
def work_folder() -> Iterator[Path]:
    """A folder on the disk of the project, gone afterwards."""
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as name:
        yield Path(name)


def run_loadcell(target: Engine, folder: Path, *flags: str) -> Outcome:
    """Run a load to its end; RuntimeError if a request failed."""
    ca = ("--ca-file", target.ca_file) if target.ca_file else ()
    before, start = children_cpu_s(), time.perf_counter()
    done = subprocess.run(
        [*LOADCELL, "run", target.url, *ca, *flags, *HERE, "--output", str(folder), "--json"],
        stdout=subprocess.PIPE,
        check=False,
    )
    wall_s = time.perf_counter() - start
    if done.returncode not in (0, INVALID):
        raise RuntimeError(f"loadcell run ended with status {done.returncode}")
    cpu_s, result = children_cpu_s() - before, msgspec.json.decode(done.stdout)
    check_clean(result)
    return Outcome(result, folder, wall_s, cpu_s)


def check_clean(result: dict[str, Any]) -> None:
    """RuntimeError if a request failed, or if the result says of itself that it is invalid."""
    counts = result["counts"]["run"]
    if counts["failed"] or result["invalid"]:
        raise RuntimeError(f"the run is not clean: {counts}, {result['invalid']}, {result['errors']}")


def children_cpu_s() -> float:
    """User and system time of all processes that this one has started and waited for, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
