"""`loadcell sweep`: a grid of loads, or the highest load that holds an SLO."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.cli.going_on import kept_folder, spec_again
from loadcell.cli.pages import PAGE, add_page, check_lang, leave_page, sweep_page_file, wants_page, words_of
from loadcell.cli.planning import GRID_STAGE_S, MAKES_PLAN, make_sweep_plan
from loadcell.cli.results import add_judging
from loadcell.cli.run import add_spec_flags, read_spec
from loadcell.errors import LoadcellError
from loadcell.recording.claim import output_folder
from loadcell.spec import Spec

if TYPE_CHECKING:
    from loadcell.report.words import Words
    from loadcell.search import Plan, Sweep

_NOT_HERE = ("--concurrency", "--rate", "--duration", "--stop-when-saturated")
"""Flags of `run` that mean something else here, or nothing."""
_EXAMPLES = """\
loads:  1,8,64          a list
        1,2,4..256      goes on as it began: by its ratio, or by its step
        1..40 --steps 8 eight loads from end to end

examples:
  loadcell sweep http://localhost:8000 --concurrency 1,2,4..256
  loadcell sweep http://localhost:8000 --rate 1..40 --steps 8 --slo chat
  loadcell sweep http://localhost:8000 --matrix grid.yaml
  loadcell sweep http://localhost:8000 --slo ttft=2s,tpot=100ms
  loadcell sweep http://localhost:8000 --slo chat --attainment 99% --rate 1..40
  loadcell sweep http://localhost:8000 --slo tpot=50ms --max-time 15m
  loadcell sweep sweeps/20260101-120000 --resume

grid.yaml:  matrix: {load.rate: [1, 2, 4], workload.output_tokens: [128, 512]}

exit codes: 0 done; 1 no stage gave a figure, or the endpoint went away; 2 wrong
usage; 3 a stage is SUSPECT or worse, with --strict; 4 the answer of a search
rests on INVALID stages, or every stage of a grid is; 5 a search ended without
an answer (undecided, or its time was over); 130 interrupted
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `loadcell sweep`: those that make a Spec, and what of it varies."""
    parser.usage = "loadcell sweep [URL|SWEEP] [flags]"
    parser.description = (
        "Vary the load, a recording a stage: over a grid, or in search of the highest\n"
        "load at which a share of all requests keeps to an SLO (--slo)."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "target",
        nargs="?",
        metavar="URL|SWEEP",
        help="base URL of the server (default: as of `loadcell run`); or, with --resume, the folder of a sweep to go "
        "on with",
    )
    group = parser.add_argument_group("sweep")
    group.add_argument(
        "--rate", nargs="?", const="", metavar="R",
        help="open loops: these requests/s; in a search the bounds, as in 1..40",
    )  # fmt: skip
    group.add_argument(
        "--concurrency", nargs="?", const="", metavar="N",
        help="closed loops: these numbers of users; in a search the bounds, or nothing",
    )  # fmt: skip
    group.add_argument("--steps", metavar="N", help="loads from end to end of a range, both among them")
    group.add_argument("--geometric", action="store_true", help="steps of one ratio instead of one difference")
    group.add_argument("--matrix", metavar="FILE", help="YAML: every combination of values of any fields of the spec")
    group.add_argument("--shuffle", action="store_true", help="run a grid in an order drawn from the seed")
    group.add_argument(
        "--attainment", metavar="P",
        help="search: share of requests that must keep to the whole SLO (default: that of the preset, else 99%%)",
    )  # fmt: skip
    group.add_argument("--width", metavar="P", help="search: how far apart pass and fail may be (default: 5%%)")
    group.add_argument(
        "--max-time", metavar="T",
        help="search: end after this time with the best bracket for it, as in 15m; it says what more time would buy "
        "(default: until the bracket is as narrow as was asked)",
    )  # fmt: skip
    group.add_argument(
        "--duration", metavar="T",
        help=f"length of a stage of a grid (default: {GRID_STAGE_S:g}s); longest stage of a search (default: what the "
        "floor shows to be needed): longer ones decide loads that are nearer to the limit",
    )  # fmt: skip
    group.add_argument("--output", metavar="DIR", help="folder of the sweep (default: sweeps/TIME)")
    group.add_argument(
        "--resume", action="store_true", help="go on with the sweep in the folder; whole stages are kept"
    )
    form = group.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the sweep as JSON")
    form.add_argument("--csv", action="store_true", help="print one line a stage, as CSV")
    add_judging(group)
    add_page(group, "report.html in its folder")
    add_spec_flags(parser, but=_NOT_HERE)


def run(args: argparse.Namespace) -> int:
    """Run the stages, print the sweep; see the help for the exit codes."""
    check_lang(args)
    from loadcell.search import SWEEP

    if (kept := kept_folder(args, SWEEP, MAKES_PLAN)) is not None:
        plan = SWEEP.read(kept)
        return _run(args, spec_again(args, kept, plan.spec), plan, kept, [])
    spec, plan, notes = make_sweep_plan(args, read_spec(args))
    with output_folder(args.output, SWEEP.place) as folder:
        return _run(args, spec, plan, folder, notes)


def _run(args: argparse.Namespace, spec: Spec, plan: Plan, folder: Path, notes: list[str]) -> int:
    """Run what is to be run of the plan in `folder`; returns as `run`."""
    from loadcell.cli.progress import SweepView, say, show_progress
    from loadcell.search import SWEEP, run_sweep
    from loadcell.selftest import known_selftest

    if notes:
        say(*(f"loadcell: {note}" for note in notes))
    view = SweepView(plan, sys.stderr if args.json or args.csv else sys.stdout)
    sweep, why, interrupted = None, None, False
    with show_progress(view.head) as watch:
        try:
            sweep = run_sweep(
                spec, plan, folder, watch, view.on_stage, on_ask=view.on_ask, resume=args.resume,
                selftest=known_selftest(spec.endpoint.url.startswith("https")),
            )  # fmt: skip
        except KeyboardInterrupt:
            if not SWEEP.there(folder):
                raise
            interrupted = True
        except LoadcellError as error:
            if not view.ended:
                raise
            why = error
    return finish(args, folder, sweep, why, interrupted=interrupted)


def finish(
    args: argparse.Namespace, folder: Path, sweep: Sweep | None, why: LoadcellError | None, *, interrupted: bool
) -> int:
    """Show what there is of a sweep that ended, however it did; its exit code."""
    from loadcell.search import SWEEP, build_sweep

    if sweep is None and SWEEP.there(folder):
        sweep = build_sweep(folder)
    if sweep is not None and sweep.stages:
        show_sweep(sweep, folder, words_of(args), as_json=args.json, as_csv=args.csv)
        if wants_page(args):
            leave_page(args, lambda words: sweep_page_file(sweep, folder, folder / PAGE, words))
    if why is not None:
        sys.stderr.write(f"loadcell: {why}\n")
        return why.exit_code
    if interrupted or sweep is None or any(stage.state == "interrupted" for stage in sweep.stages):
        sys.stderr.write(f"loadcell: interrupted; to go on: {SWEEP.again(folder)}\n")
        return 130
    return exit_code(sweep, strict=args.strict)


def exit_code(sweep: Sweep, *, strict: bool) -> int:
    """1 if no stage gave a figure; 4 if the answer or every stage is INVALID; 5 if a search has no answer; 3 if a stage
    is not VALID and `strict`."""
    from loadcell.search.soundness import invalid_ends, invalid_stages

    points = [stage.point for stage in sweep.stages if stage.point is not None]
    if all(point.requests_per_s is None for point in points):
        return 1
    if invalid_ends(sweep) or len(invalid_stages(sweep)) == len(points):
        return 4
    if sweep.found is not None and sweep.found.word in ("undecided", "unfinished"):
        return 5
    return 3 if strict and any(point.verdict != "VALID" for point in points) else 0


def show_sweep(
    sweep: Sweep, folder: Path, words: Words, *, as_json: bool = False, as_csv: bool = False, as_md: bool = False
) -> None:
    """Print a sweep: for people or as Markdown, in the language of `words`; as JSON or CSV."""
    if as_json or as_csv:
        from loadcell.report.tables import sweep_csv, to_json

        sys.stdout.write(to_json(sweep).decode() if as_json else sweep_csv(sweep))
        return
    from loadcell.report.sweep import print_sweep, sweep_markdown

    if as_md:
        sys.stdout.write(sweep_markdown(sweep, words))
        return
    from loadcell.cli.terminal import Terminal

    print_sweep(sweep, Terminal(), words, folder)
