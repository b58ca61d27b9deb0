"""The folder of an MLPerf-style run.

mlperf/tuesday/mlperf.json      the Plan
mlperf/tuesday/prompts.jsonl    what is sent, a sample a line
mlperf/tuesday/probe/           a recording of a few requests that sized the run; no result
mlperf/tuesday/peak/            a sweep: the search for the rate, if one was asked for
mlperf/tuesday/performance/     the recording of the performance run
mlperf/tuesday/performance.cut-1/   one that was cut off, too short or at too high a rate, set aside
mlperf/tuesday/outcome.json     what it is worth by the rules
mlperf/tuesday/accuracy/, accuracy.json   the same of an accuracy pass
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from loadcell.errors import RecordingError
from loadcell.mlperf.model import FORMAT, Plan
from loadcell.recording.claim import NEW_FOLDER, claimed, locked
from loadcell.recording.read import dump_json, open_recording, read_manifest, read_versioned

PLAN, PROMPTS, OUTCOME, SCORED = "mlperf.json", "prompts.jsonl", "outcome.json", "accuracy.json"
PROBE, PEAK, PERFORMANCE, ACCURACY = "probe", "peak", "performance", "accuracy"
_GO_ON = "give --resume to go on with its run, or --output a new folder"
_SIZED = (
    ("load", "requests"), ("load", "concurrency"), ("load", "min_requests"), ("load", "rate"),
    ("loadgen", "min_queries"), ("workload", "prompts"),
)  # fmt: skip
"""Fields of the Spec that a probe or a search sized, or that name the folder."""


def is_run(folder: Path) -> bool:
    """Whether `folder` is one of an MLPerf-style run."""
    return (folder / PLAN).is_file()


def read_plan(folder: Path) -> Plan:
    """The plan in `folder`; RecordingError says what the folder is, if it holds none."""
    if not folder.is_dir():
        what = "a file" if folder.exists() else "missing"
        raise RecordingError(f"{folder} is {what}: name the folder that loadcell mlperf run wrote")
    if not is_run(folder):
        raise RecordingError(f"{folder} has no {PLAN}: name the folder that loadcell mlperf run wrote")
    plan: Plan = read_versioned(folder / PLAN, Plan, FORMAT)
    return plan


def write_plan(folder: Path, plan: Plan) -> None:
    """Write mlperf.json."""
    dump_json(folder / PLAN, plan)


def is_whole(part: Path) -> bool:
    """Whether the recording `part` came to its end with at least one answer."""
    if not (part / "recording.json").exists():
        return False
    try:
        return read_manifest(part).state == "complete" and "ok" in open_recording(part).requests(("status",))["status"]
    except RecordingError:  # a damaged one is run again
        return False


def plan_differences(before: Plan, now: Plan) -> list[str]:
    """What is asked for otherwise, as in "load.timeout_s 120 -> 60"; what a probe or a search found does not count."""
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(now)
    rules = [(name, old["rules"][name], new["rules"][name]) for name in new["rules"]]
    rates = [] if now.find_peak else [("target_qps", old["target_qps"], new["target_qps"])]
    plain = ("find_peak", "peak_bounds", "samples", "dataset_sha256", "look_alike")
    fields = [*rates, *((name, old[name], new[name]) for name in plain)]
    sections = [
        (f"{section}.{key}", old["spec"].get(section, {}).get(key), value)
        for section, values in new["spec"].items()
        for key, value in values.items()
        if (section, key) not in _SIZED
    ]
    return [f"{name} {_say(a)} -> {_say(b)}" for name, a, b in (*rules, *fields, *sections) if a != b]


def _say(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


@contextmanager
def own(folder: Path, *, resume: bool) -> Iterator[None]:
    """Have `folder` to oneself: a new one, or with `resume` one that is there.

    RecordingError if it cannot be made, holds other things, or a process is at work in it. A new folder in which
    nothing but a probe was recorded is taken away again after an error.
    """
    if resume and folder.is_dir():
        with locked(folder):
            yield
        return
    with claimed(folder, _GO_ON if is_run(folder) else NEW_FOLDER):
        try:
            yield
        except BaseException:
            if {path.name for path in folder.iterdir()} <= {PLAN, PROMPTS, PROBE}:
                shutil.rmtree(folder / PROBE, ignore_errors=True)
                for name in (PLAN, PROMPTS):
                    (folder / name).unlink(missing_ok=True)
            raise
