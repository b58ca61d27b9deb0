"""What the flags of `loadcell mlperf run` ask for: its benchmark, its load, fields of its Spec."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Collection
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from loadcell.errors import UsageError
from loadcell.spec import Spec, parse_duration_s

if TYPE_CHECKING:
    from loadcell.mlperf.wish import Wish


BY_RULES = (
    "--concurrency", "--rate", "--arrivals", "--requests", "--duration", "--warmup", "--slo", "--ignore-eos",
    "--input-tokens", "--prompts", "--keep-load", "--also", "--scenario", "--cancel", "--patience", "--slow-readers",
    "--rate-series", "--lengths", "--lengths-columns", "--lengths-order",
)  # fmt: skip
"""Flags of `run` that the rules of a benchmark answer, or that mean something else here."""


def add_benchmark(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the flags that name a benchmark and its data set; returns their group."""
    group = parser.add_argument_group("benchmark")
    group.add_argument("--benchmark", metavar="B", help="as in llama3.1-8b; a wrong one lists them")
    group.add_argument("--scenario", metavar="S", help="offline, server, interactive, singlestream or multistream")
    group.add_argument("--round", metavar="R", help="round whose rules apply (default: the newest that has it)")
    group.add_argument("--dataset", metavar="PATH", help="data set of the benchmark, a file or a folder")
    group.add_argument("--look-alike", action="store_true", help="send a few invented samples, to try things out")
    group.add_argument("--samples", metavar="N", help="use the first N samples of the data set (not comparable)")
    return group


def add_size(group: argparse._ArgumentGroup) -> None:
    """Add the flags that size a load where the rules leave it open."""
    group.add_argument(
        "--expected-qps", metavar="R",
        help="offline, single- and multistream: guess that sizes the run (default: a probe of a few requests)",
    )  # fmt: skip
    group.add_argument("--concurrency", metavar="N", help="offline: connections at once (default: 1024 at most)")
    group.add_argument("--longest", metavar="T", help="refuse a load that would take longer (default: 24h)")


def check_named(args: argparse.Namespace) -> None:
    """UsageError unless a benchmark and a scenario are named."""
    for name in ("benchmark", "scenario"):
        if getattr(args, name) is None:
            raise UsageError(f"say which --{name}, as in --benchmark llama3.1-8b --scenario server")


def print_json(value: Any) -> None:
    """What --json prints."""
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


MAKES_PLAN = (
    "benchmark", "scenario", "round", "samples", "quick", "target_qps", "find_peak", "expected_qps", "concurrency",
)  # fmt: skip
"""Arguments that the plan of a run answers."""


def number(text: str | None, flag: str, kind: type[float] | type[int]) -> Any:
    """The number of a flag, None where it was not given; UsageError if it is none above 0."""
    if text is None:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = kind(0)
    if not (value > 0 and math.isfinite(value)):
        what = "a whole number" if kind is int else "a number"
        raise UsageError(f"{flag} {text!r}: write {what} above 0")
    return value


def wish_of(args: argparse.Namespace, given: Collection[str]) -> Wish:
    from loadcell.mlperf.wish import LONGEST_S, Wish

    return Wish(
        target_qps=number(args.target_qps, "--target-qps", float),
        expected_qps=number(args.expected_qps, "--expected-qps", float),
        find_peak=args.find_peak is not None,
        peak_bounds=_bounds(args.find_peak),
        quick=args.quick,
        concurrency=number(args.concurrency, "--concurrency", int),
        longest_s=LONGEST_S if args.longest is None else parse_duration_s(args.longest, "--longest"),
        given=given,
    )


def _bounds(text: str | None) -> tuple[float, float] | None:
    """The two ends of --find-peak A..B; None where nobody said."""
    if not text:
        return None
    from loadcell.search import parse_bounds

    found = parse_bounds(text, "--find-peak")
    if found is None:
        raise UsageError(f"--find-peak {text}: write the lowest and the highest rate that it may try, as in 1..40")
    return found


def given_fields(args: argparse.Namespace, spec: Spec) -> set[str]:
    """The fields of the Spec that a person set: by a flag, by --set, or in a file (if not to the default).

    UsageError if its API generates nothing.
    """
    from loadcell.apis import find_api
    from loadcell.spec import Endpoint, spec_fields

    api = spec.endpoint.api
    if not find_api(api).generates:
        raise UsageError(
            f"MLPerf's benchmarks here generate text, and the {api} API generates none: name --api chat or completions"
        )
    usual = Spec(endpoint=Endpoint(url=spec.endpoint.url))
    other = {path for path in spec_fields() if attrgetter(path)(spec) != attrgetter(path)(usual)}
    flags = {path for path in spec_fields() if getattr(args, path, None) is not None}
    return other | flags | {pair.partition("=")[0].strip() for pair in args.set or []}
