"""What `loadcell sweep` is asked to do: a grid or a search, its loads, its bounds and its folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from loadcell.errors import UsageError
from loadcell.spec import Spec, parse_duration_s, parse_series

if TYPE_CHECKING:
    from loadcell.search import Plan

GRID_STAGE_S = 30.0
"""Length of a stage of a grid, and longest stage of a search, unless --duration says otherwise."""
DEFAULT_ATTAINMENT = 0.99
_LEAST_ATTAINMENT, _MOST_ATTAINMENT = 0.5, 0.9999
_LEAST_WIDTH, _MOST_WIDTH = 0.01, 1.0
_LEAST_TIME_S = 10.0
_NEITHER = """\
say what to sweep:
  a grid of loads:              loadcell sweep {url} --concurrency 1,2,4..256
  the highest load of an SLO:   loadcell sweep {url} --slo ttft=2s,tpot=100ms"""
_GRID_ONLY = {"steps": "--steps", "geometric": "--geometric", "shuffle": "--shuffle", "load.requests": "--requests"}
_SEARCH_ONLY = {"attainment": "--attainment", "width": "--width", "max_time": "--max-time"}
MAKES_PLAN = (*_GRID_ONLY, *_SEARCH_ONLY, "rate", "concurrency", "matrix", "duration")
"""Arguments that the plan of a sweep answers: one that goes on from its folder has all of it."""


def make_sweep_plan(args: argparse.Namespace, spec: Spec) -> tuple[Spec, Plan, list[str]]:
    """The Spec that stages vary, the plan, and what a person must know of it. UsageError if flags contradict."""
    duration_s = spec.load.duration_s if args.duration is None else parse_duration_s(args.duration, "--duration")
    if duration_s == 0:
        raise UsageError("--duration 0: a stage needs some time, as in --duration 30s")
    closed = args.concurrency is not None and args.rate is None and args.matrix is None and spec.load.rate is None
    if closed and getattr(args, "load.arrivals", None) is not None:
        raise UsageError("--arrivals is of an open loop: vary --rate, or leave it out (users send when a reply ended)")
    if args.concurrency is not None and args.rate is None and spec.load.rate_series is not None:
        raise UsageError(
            "load.rate_series is of an open loop, whose rate is varied: give --rate 1,2,4 (--concurrency N is a cap "
            "beside it), or leave the series out"
        )
    if is_search(args, spec):
        return _search(args, spec, duration_s)
    series = spec.load.rate_series
    return _grid(args, spec, duration_s or (GRID_STAGE_S if series is None else parse_series(series).length_s))


def is_search(args: argparse.Namespace, spec: Spec) -> bool:
    """Whether an SLO's highest load is asked for, not a grid. UsageError if it is neither, or both."""
    from loadcell.search import is_grid

    has_slo = any(limit is not None for limit in msgspec.structs.astuple(spec.slo))
    loads = [text for text in (args.rate, args.concurrency) if text is not None]
    if args.attainment is not None:
        if not has_slo:
            raise UsageError(
                "--attainment is a share of requests that keep to an SLO: give that too, as in "
                "--slo ttft=2s,tpot=100ms (--slo list shows presets)"
            )
        if args.matrix is not None:
            raise UsageError("--matrix is a grid, --attainment asks for a search: leave out one of them")
        return True
    if args.matrix is not None or any(is_grid(text) for text in loads):
        return False
    if any(text != "" for text in loads):
        return False
    if has_slo:
        return True
    raise UsageError(_NEITHER.format(url=args.target or "http://localhost:8000"))


def _grid(args: argparse.Namespace, spec: Spec, stage_s: float) -> tuple[Spec, Plan, list[str]]:
    from loadcell.search import grid_of_flags, is_grid, plan_grid, read_matrix

    wrong = [flag for name, flag in _SEARCH_ONLY.items() if getattr(args, name) is not None]
    if wrong:
        raise UsageError(f"{wrong[0]} belongs to a search: give --attainment and an SLO, or leave it out of a grid")
    for name in ("rate", "concurrency"):
        if getattr(args, name) == "":
            raise UsageError(f"--{name} without loads is for a search: give loads, as in --{name} 1,2,4..256")
    if args.matrix is not None:
        if is_grid(args.rate) or is_grid(args.concurrency) or args.steps is not None:
            raise UsageError("--matrix says all loads: leave out --rate, --concurrency and --steps, or the matrix")
        grid = read_matrix(Path(args.matrix))
        spec = _with_load(spec, rate=args.rate, concurrency=args.concurrency)
    else:
        grid = grid_of_flags(args.rate, args.concurrency, steps=args.steps, geometric=args.geometric)
        cap = args.concurrency if args.rate is not None else None
        spec = _with_load(spec, rate="" if args.rate is None else None, concurrency=cap)
    plan, notes = plan_grid(spec, grid, stage_s, shuffle=args.shuffle)
    return spec, plan, notes


def _with_load(spec: Spec, *, rate: str | None, concurrency: str | None) -> Spec:
    """The Spec with these loads; "" takes one out, None leaves it."""
    from loadcell.spec import field_from_text

    changes = {
        name: field_from_text(f"load.{name}", text, f"--{name}") if text else None
        for name, text in (("rate", rate), ("concurrency", concurrency))
        if text is not None
    }
    return msgspec.structs.replace(spec, load=msgspec.structs.replace(spec.load, **changes))


def _search(args: argparse.Namespace, spec: Spec, stage_s: float | None) -> tuple[Spec, Plan, list[str]]:
    from loadcell.presets import preset_attainment
    from loadcell.search import make_plan

    wrong = [flag for name, flag in _GRID_ONLY.items() if getattr(args, name) not in (None, False)]
    if wrong:
        raise UsageError(f"{wrong[0]} belongs to a grid: a search chooses its loads and ends its stages itself")
    if spec.load.requests is not None:
        raise UsageError("load.requests would end stages before they are decided: take it out of the spec of a search")
    if spec.trace.name is not None:
        raise UsageError(
            "a search holds each load still: leave the trace out, or scale it in a grid, as in --rate 1,2,4"
        )
    if spec.load.rate_series is not None:
        raise UsageError(
            "a search holds each load still: leave out load.rate_series, or scale it in a grid, as in --rate 1,2,4"
        )
    if spec.classes.slo_of:
        raise UsageError("a search holds all requests to one SLO: leave out --slo-of (classes.slo_of)")
    if args.rate is not None and args.concurrency is not None:
        raise UsageError(
            "--rate and --concurrency together: a search varies one of them. Give --rate for an open loop, or "
            "--concurrency for a closed one (a cap on an open loop: --set load.concurrency=N)"
        )
    closed = args.concurrency is not None
    axis = "load.concurrency" if closed else "load.rate"
    lowest, highest = _bounds(
        args.concurrency if closed else args.rate, "--concurrency" if closed else "--rate", closed
    )
    load = {"rate": None, "concurrency": None if closed else spec.load.concurrency}
    spec = msgspec.structs.replace(spec, load=msgspec.structs.replace(spec.load, **load))
    preset = None if args.slo is None else preset_attainment(args.slo)
    target = parse_attainment(args.attainment) if args.attainment is not None else preset or DEFAULT_ATTAINMENT
    plan = make_plan(
        spec,
        mode="search",
        axis=axis,
        target=target,
        lowest=lowest,
        highest=highest,
        width=0.05 if args.width is None else _width(args.width),
        stage_s=stage_s,
        most_s=None if args.max_time is None else _max_time_s(args.max_time),
    )
    return spec, plan, []


def _bounds(text: str | None, flag: str, whole: bool) -> tuple[float | None, float | None]:
    """Lowest and highest load of a search; None where nobody said."""
    from loadcell.search import parse_bounds

    if not text:
        return None, None
    found = parse_bounds(text, flag)
    if found is None:
        raise UsageError(f"{flag} {text}: a search takes the two ends that it may try, as in {flag} 1..40")
    if whole and not all(end.is_integer() for end in found):
        raise UsageError(f"{flag} {text}: users come whole, as in {flag} 1..64")
    return found


def parse_attainment(text: str) -> float:
    """The share that "0.99", "99" or "99%" names; UsageError else."""
    try:
        number = float(text.strip().removesuffix("%"))
    except ValueError:
        raise UsageError(f"--attainment {text!r} is not a share: write 0.99 or 99%") from None
    share = number / 100 if number > 1 or text.strip().endswith("%") else number
    if share == 1:
        raise UsageError(f"--attainment {text}: no number of requests shows that none will ever miss; write 99.9%")
    if not _LEAST_ATTAINMENT <= share <= _MOST_ATTAINMENT:
        raise UsageError(
            f"--attainment {text}: write a share from {_LEAST_ATTAINMENT:.0%} to {_MOST_ATTAINMENT:.2%}, as in 99%"
        )
    return round(share, 9)


def _max_time_s(text: str) -> float:
    """Seconds; UsageError where they are too few for any search."""
    seconds = parse_duration_s(text, "--max-time")
    if seconds < _LEAST_TIME_S:
        raise UsageError(f"--max-time {text}: a search takes some stages; give {_LEAST_TIME_S:g}s at least")
    return seconds


def _width(text: str) -> float:
    """The share that "5%" or "0.05" names; UsageError else."""
    try:
        number = float(text.strip().removesuffix("%"))
    except ValueError:
        number = 0.0
    share = number / 100 if text.strip().endswith("%") else number
    if not _LEAST_WIDTH <= share < _MOST_WIDTH:
        raise UsageError(f"--width {text}: write how far apart the two ends may be, as in 5% (1% or more)")
    return share
