"""Fields that were asked for and would change nothing: refused, for who typed one believes that it holds."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from typing import NamedTuple

from loadcell.errors import UsageError
from loadcell.spec import Spec


class _Idle(NamedTuple):
    """Fields of the spec that mean something beside others alone."""

    paths: tuple[str, ...]
    by: str
    """A field that gives them their meaning; a command without a flag for it has it from elsewhere."""
    means: Callable[[Spec], bool]
    why: str


_FILE = ("prompt_column", "output_column", "line_output_tokens", "ignore_fields", "send_fields")
_IDLE = (
    _Idle(
        tuple(f"workload.{name}" for name in _FILE),
        "workload.prompts",
        lambda spec: spec.workload.prompts is not None,
        "is for prompts of a file: give --prompts FILE, or leave it out",
    ),
    _Idle(
        ("workload.skip_bad",),
        "workload.prompts",
        lambda spec: spec.workload.prompts is not None or spec.trace.name is not None,
        "is for rows of a file: give --prompts FILE or --trace FILE, or leave it out",
    ),
    _Idle(
        ("workload.lengths_columns", "workload.lengths_order"),
        "workload.lengths",
        lambda spec: spec.workload.lengths is not None,
        "is for a table of lengths: give --lengths FILE, or leave it out",
    ),
    _Idle(
        ("workload.input_tokens", "workload.output_tokens"),
        "trace.name",
        lambda spec: spec.trace.name is None,
        "has no meaning beside a trace, which brings its own lengths: leave it out (--max-input-tokens N and "
        "--max-output-tokens N limit these)",
    ),
    _Idle(
        ("load.arrivals",),
        "load.rate",
        lambda spec: spec.open_loop,
        "is of an open loop: give --rate R, or leave it out (users send when their last request ended)",
    ),
    _Idle(
        ("load.arrivals",),
        "load.rate",
        lambda spec: spec.trace.name is None or spec.load.rate is not None,
        "has no meaning beside a trace, which brings its own times: leave it out",
    ),
)


def refuse_idle(spec: Spec, given: Collection[str], args: argparse.Namespace) -> None:
    """UsageError if a field that was typed (`given`, by its path) changes nothing of this run."""
    for one in _IDLE:
        if one.by in vars(args) and not one.means(spec):
            for path in one.paths:
                if path in given and not _is_off(spec, path):
                    raise UsageError(f"{path} {one.why}")


def _is_off(spec: Spec, path: str) -> bool:
    """Whether a field was typed to take it out, as by --no-skip-bad."""
    section, _, key = path.partition(".")
    return getattr(getattr(spec, section), key) in (None, False, [])
