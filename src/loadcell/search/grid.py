"""The stages of a grid: what people write becomes a Plan in which every stage is known and was checked."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from loadcell import __version__
from loadcell.errors import LoadcellError, UsageError, nearest
from loadcell.phrases import phrase
from loadcell.search.model import Ask, Plan, Stage
from loadcell.search.ranges import MOST_STAGES, is_grid, parse_loads
from loadcell.spec import NO_SERIES, Spec, build_spec, redact, spec_fields

Changes = dict[str, Any]
"""Spec fields of a stage by dotted path."""
RATE, CONCURRENCY = "load.rate", "load.concurrency"


@dataclass(frozen=True)
class Grid:
    """Stages as people gave them."""

    stages: list[Changes]
    notes: list[str]
    """What a person must know of how they came to be."""


def grid_of_flags(
    rate: str | None, concurrency: str | None, *, steps: str | None = None, geometric: bool = False
) -> Grid:
    """The stages of --rate or --concurrency (see `ranges`); UsageError if they are none, or contradict each other."""
    if is_grid(rate) and is_grid(concurrency):
        raise UsageError(
            "--rate and --concurrency cannot both vary: a load is open or closed. Give one of them as a grid; to vary "
            "a cap with the rate, write both into a --matrix file"
        )
    if rate is not None and is_grid(concurrency):
        raise UsageError(
            f"with --rate {rate}, --concurrency caps an open loop: leave out --rate to vary the users of a closed one, "
            "or vary the cap in a --matrix file"
        )
    path, text = (RATE, rate) if rate is not None else (CONCURRENCY, concurrency)
    if text is None:
        raise UsageError("no grid: give --concurrency 1,2,4..256, --rate 1..40 --steps 8 or --matrix FILE")
    flag = f"--{path.partition('.')[2]}"
    values, notes = parse_loads(text, flag, whole=path == CONCURRENCY, steps=steps, geometric=geometric)
    return Grid([{path: int(v) if path == CONCURRENCY else v} for v in values], notes)


# --- files -----------------------------------------------------------------------------------------------------------


def read_matrix(file: Path) -> Grid:
    """The stages of a YAML file: `matrix` (every combination of the values of its fields) or `stages` (one by one)."""
    import yaml

    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the matrix {file}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    return grid_of_tree(tree, str(file))


def grid_of_tree(tree: Any, name: str) -> Grid:
    """The stages of what `read_matrix` read; `name` is told in a UsageError."""
    forms = "matrix: {load.rate: [1, 2, 4]} or stages: [{load.rate: 1}, {load.rate: 2}]"
    if not isinstance(tree, Mapping) or not tree:
        raise UsageError(f"{name} holds no grid: write {forms}")
    for key in tree:
        if key not in ("matrix", "stages"):
            raise UsageError(f"{name}: unknown key {key!r}{nearest(str(key), ('matrix', 'stages'))}; write {forms}")
    if len(tree) == 2:
        raise UsageError(f"{name} holds both a matrix and stages: a sweep has one of them")
    grid = _stages(tree["stages"], name) if "stages" in tree else _matrix(tree["matrix"], name)
    if not grid.stages:
        raise UsageError(f"{name} holds no grid: it names no stage; write {forms}")
    return grid


def _matrix(fields: Any, name: str) -> Grid:
    """Every combination; the last field varies fastest."""
    if not isinstance(fields, Mapping) or not fields:
        raise UsageError(f"{name}: matrix must hold spec fields with a list of values each, as in load.rate: [1, 2, 4]")
    notes: list[str] = []
    values: dict[str, list[Any]] = {}
    for path, given in fields.items():
        _known(path, name)
        if isinstance(given, str) and path in (RATE, CONCURRENCY):
            found = parse_loads(given, f"{name}: {path}", whole=path == CONCURRENCY)
            notes += found.notes
            given = [int(v) for v in found.values] if path == CONCURRENCY else found.values
        if not isinstance(given, list) or not given:
            raise UsageError(f"{name}: {path} needs a list of values, as in {path}: [A, B]")
        values[path] = given
    count = math.prod(map(len, values.values()))
    if count > MOST_STAGES:
        sizes = " x ".join(str(len(given)) for given in values.values())
        raise UsageError(f"{name}: {sizes} = {count:,} stages are more than the {MOST_STAGES} that a sweep may have")
    return Grid([dict(zip(values, row, strict=True)) for row in product(*values.values())], notes)


def _stages(rows: Any, name: str) -> Grid:
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) and row for row in rows):
        raise UsageError(f"{name}: stages must be a list of spec fields with a value each, as in - load.rate: 1")
    if len(rows) > MOST_STAGES:
        raise UsageError(f"{name}: {len(rows):,} stages are more than the {MOST_STAGES} that a sweep may have")
    for row in rows:
        for path in row:
            _known(path, name)
    return Grid([dict(row) for row in rows], [])


def _known(path: Any, name: str) -> None:
    fields = spec_fields()
    if path in Spec.__struct_fields__:
        example = next(field for field in fields if field.startswith(f"{path}."))
        raise UsageError(f"{name}: {path} is a section: write its fields as {example}")
    if path not in fields:
        raise UsageError(f"{name}: there is no {path} in the spec{nearest(str(path), fields)}")


# --- the plan --------------------------------------------------------------------------------------------------------


def plan_grid(spec: Spec, grid: Grid, stage_s: float, *, shuffle: bool = False) -> tuple[Plan, list[str]]:
    """The Plan of a grid, and notes; every stage was checked against the Spec: UsageError names the stage.

    `stage_s` is the length of a stage that does not give another. `shuffle` draws the order from the spec's seed.
    """
    stages = [_settled(spec, changes, number, stage_s) for number, changes in enumerate(grid.stages, 1)]
    kept = [changes for i, changes in enumerate(stages) if changes not in stages[:i]]
    notes = list(grid.notes)
    if len(kept) < len(stages):
        double = len(stages) - len(kept)
        notes.append(phrase("{} stages are as another and run once", double))
    axis = _axis(spec, kept)
    if axis == RATE and spec.load.concurrency is not None:
        notes.append(
            phrase("load.concurrency caps every stage: at most {} requests are in flight", spec.load.concurrency)
        )
    if shuffle:
        random.Random(spec.run.seed).shuffle(kept)
    plan = make_plan(spec, mode="grid", axis=axis, stages=kept, stage_s=stage_s)
    return plan, notes


def make_plan(spec: Spec, **fields: Any) -> Plan:
    """A Plan for `spec` with its version, its seed and its Spec, secrets removed; the other fields as given.

    UsageError for rates of sessions: of turns that wait for replies no time is planned, by which a rate is judged.
    """
    if (spec.sessions.any or spec.agent.any) and fields.get("axis") == RATE:
        key, flag = ("agent.steps", "--agent") if spec.agent.any else ("sessions.turns", "--turns")
        raise UsageError(
            f"{key}: a sweep judges a rate by the planned times of requests, and turns that wait for replies "
            f"have none: sweep --concurrency (users with a session each), or leave {flag} out"
        )
    return Plan(loadcell=__version__, seed=spec.run.seed, spec=redact(spec), **fields)


def _settled(spec: Spec, changes: Changes, number: int, stage_s: float) -> Changes:
    """The changes as the Spec writes them; UsageError if it refuses them, or they hold what may not be written down."""
    told = phrase("stage {} ({})", number, label(changes))
    try:
        changed = changed_spec(spec, {"load.duration_s": stage_s} | changes)
    except LoadcellError as error:
        raise UsageError(f"{told}: {error}") from None
    settled = {path: attrgetter(path)(changed) for path in changes}
    for path, value in settled.items():
        if value != attrgetter(path)(redact(changed)):
            raise UsageError(f"stage {number}: {path} holds secrets, which are never recorded: it cannot vary")
    if "load.concurrency" in changes and spec.load.rate is not None and "load.rate" not in changes:
        raise UsageError(
            f"{told}: the spec asks for an open loop of {spec.load.rate:g} requests/s, which load.concurrency only "
            "caps: take load.rate out of the spec, or give both in every stage of a --matrix file"
        )
    return settled


def changed_spec(spec: Spec, changes: Mapping[str, Any]) -> Spec:
    """The Spec with other values by dotted path, validated; UsageError says what is wrong."""
    tree = msgspec.to_builtins(spec)
    for path, value in changes.items():
        section, _, key = path.partition(".")
        tree[section][key] = value
    if changes.get("load.rate_series") not in NO_SERIES and RATE not in changes:  # the mean is its own
        tree["load"]["rate"] = None
    return build_spec(tree)


def _axis(spec: Spec, stages: Sequence[Changes]) -> str | None:
    """The load that varies, if nothing else does."""
    paths = dict.fromkeys(path for changes in stages for path in changes)
    varying = [path for path in paths if any(path not in c or c[path] != stages[0].get(path) for c in stages)] or list(
        paths
    )
    if varying == [RATE]:
        return RATE
    open_loop = spec.load.rate is not None or any(c.get(RATE) is not None for c in stages)
    return CONCURRENCY if varying == [CONCURRENCY] and not open_loop else None


def label(changes: Mapping[str, Any]) -> str:
    """A stage's changes in words, as in "rate 4, output_tokens uniform:16,96"."""
    return ", ".join(f"{path.partition('.')[2] or path} {_say(value)}" for path, value in changes.items())


def _say(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, dict):  # headers: what is in them may be secret
        return ", ".join(value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def next_of_grid(plan: Plan, stages: Sequence[Stage]) -> Ask | None:
    """The first stage of the plan that is not among `stages`; None if all are."""
    done = {stage.ask.number for stage in stages}
    for number, changes in enumerate(plan.stages, 1):
        if number not in done:
            level = None if plan.axis is None else changes.get(plan.axis)
            return Ask(number=number, phase="grid", changes=changes, level=level)
    return None
