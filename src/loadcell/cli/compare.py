"""`loadcell compare`: what differs between runs, and how sure that is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.cli.pages import add_page, comparison_page_file, leave_page, wants_page, words_of
from loadcell.errors import UsageError

if TYPE_CHECKING:
    from loadcell.compare import Comparison
    from loadcell.report.words import Words

LEAST_OF_DUEL = "1%"
"""The least difference that matters, unless it is told otherwise: a duel is for small ones."""
GATED = """{ttft,tpot,e2e,first_audio,rtf}.{geomean,mean}
  {ttft,tpot,itl,e2e,first_audio,rtf}.{p50,p90,p95,p99}
  {output_tokens_per_s,inputs_per_s,images_per_s}.mean
  {audio_s_per_s,requests_per_s,sessions_per_s}.mean
  session_time.{p50,p90,p99}
  {slo_attainment,failed}.share"""
"""The keys of MEASURES, folded by hand: to import them for --help costs half a second."""
_EPILOG = """\
A, B, ...: recordings, folders of repeats (loadcell run --repeat) or saved
results (--json). A is the baseline. Findings are better, worse, no difference
shown, or too little data.

gates: METRIC.STAT, > or <, signed bound, unit. A gate fails when the difference
is beyond its bound and shown (its 95 % interval excludes no change), or when it
cannot be judged. Shares take points, as in "failed.share>+1points".
  {measures}

exit codes: 0 done; 1 a gate failed, not comparable, or a side cannot be read;
2 wrong usage; 4 no figure of a side can be trusted; 130 interrupted

examples:
  loadcell compare runs/before runs/after
  loadcell compare runs/before runs/after --fail-if "ttft.p99>+5%"
  loadcell compare runs/before runs/after --noise runs/same
  loadcell compare --noise runs/same
  loadcell compare duels/new                         (a duel, judged again)
  loadcell compare runs/a --published "8xH200 llama2-70b server"
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.usage = "loadcell compare A B [C ...] [flags] | RUN --published WORDS"
    parser.description = "Compare runs: whether they may be compared, what differs, and how sure that is."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG.format(measures=GATED)
    parser.add_argument("sides", nargs="*", metavar="A B", help="what to compare; A is the baseline")
    parser.add_argument(
        "--noise", nargs="+", action="extend", default=[], metavar="DIR",
        help="repeats of the same thing (3 or more): give it after A and B: no difference below their spread is a "
        "finding; without A and B, show that spread",
    )  # fmt: skip
    add_comparing(parser)
    parser.add_argument(
        "--published", metavar="WORDS",
        help="set one run beside published MLPerf results: benchmark, scenario, accelerators, round, in any order",
    )  # fmt: skip
    parser.add_argument(
        "--accelerators", metavar="N", help="beside published results: how many serve the endpoint of the run"
    )
    add_page(parser, "comparisons/TIME.html, not where $CI is set")
    parser.add_argument("--output", metavar="FILE", help="where the page goes instead")


def add_comparing(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add how a comparison is judged and printed."""
    parser.add_argument(
        "--fail-if", action="append", default=[], metavar="EXPR", help='a gate, as in "ttft.p99>+5%%" (repeatable)'
    )
    parser.add_argument("--strict-gates", action="store_true", help="a gate with too few samples to tell fails")
    parser.add_argument(
        "--min-effect", metavar="P", help="the least difference that matters (default: 5%%; of a duel: 1%%)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the comparison as JSON")
    form.add_argument("--md", action="store_true", help="print it as Markdown, for a pull request")
    parser.add_argument("--force", action="store_true", help="compare INVALID or not comparable sides all the same")


def run(args: argparse.Namespace) -> int:
    """Print the comparison. Returns 0; 1 if a gate failed or sides are not comparable; 4 if a side is INVALID."""
    if args.published is not None:
        from loadcell.cli.compare_published import run_beside

        return run_beside(args)
    from loadcell.compare import DUEL, compare_sides, exit_code, open_sides, parse_gate

    if args.accelerators is not None:
        raise UsageError("--accelerators goes with --published")
    if len(args.sides) == 1 and DUEL.there(Path(args.sides[0])):
        return show_duel(args, Path(args.sides[0]))
    if len(args.sides) == 1 or not (args.sides or args.noise):
        raise UsageError("give two sides or more, as in: loadcell compare runs/before runs/after")
    if args.fail_if and not args.sides:
        raise UsageError("--fail-if needs two sides to compare")
    words = words_of(args)
    gates, min_effect = [parse_gate(text) for text in args.fail_if], parse_share(args.min_effect or "5%")
    sides = open_sides([Path(side) for side in args.sides])
    found = compare_sides(
        sides,
        noise=[Path(folder) for folder in args.noise],
        gates=gates,
        strict_gates=args.strict_gates,
        min_effect=min_effect,
        force=args.force,
    )
    _print(found, args, words)
    if wants_page(args, in_ci=False) or (args.output and args.html is None):
        path = Path(args.output) if args.output else None
        leave_page(args, lambda words: comparison_page_file(found, sides, path, words))
    return exit_code(found)


def show_duel(args: argparse.Namespace, folder: Path) -> int:
    """Print what a recorded duel tells, and write its page if asked for. Returns as `run`."""
    from loadcell.cli.pages import PAGE, said_if_long
    from loadcell.compare import compare_duel, exit_code, parse_gate

    gates = [parse_gate(text) for text in getattr(args, "fail_if", [])]
    with said_if_long("reading the turns"):
        found = compare_duel(
            folder,
            gates=gates,
            min_effect=parse_share(getattr(args, "min_effect", None) or LEAST_OF_DUEL),
            force=args.force,
            strict_gates=getattr(args, "strict_gates", False),
        )
    _print(found, args, words_of(args))
    if wants_page(args):
        leave_page(args, lambda words: comparison_page_file(found, [], folder / PAGE, words))
    return exit_code(found)


def _print(found: Comparison, args: argparse.Namespace, words: Words) -> None:
    """Print a comparison in the form that was asked for."""
    from loadcell.report.compare import comparison_markdown, print_comparison
    from loadcell.report.tables import to_json

    if args.json:
        sys.stdout.write(to_json(found).decode())
    elif args.md:
        sys.stdout.write(comparison_markdown(found, words))
    else:
        from loadcell.cli.terminal import Terminal

        print_comparison(found, Terminal(), words)


def parse_share(text: str) -> float:
    """The share that "5%" names; UsageError else."""
    number, mark, rest = text.strip().partition("%")
    try:
        share = float(number) / 100
    except ValueError:
        share = 0.0
    if not mark or rest or not 0 < share < 1:
        raise UsageError(f"--min-effect {text!r}: write a share between 0 and 100 %, as in 5%")
    return share
