"""`loadcell mlperf check`, `export` and `loadgen`: files of other tools, judged and written, and LoadGen at work."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.cli.mlperf_asked import (
    BY_RULES,
    add_benchmark,
    add_size,
    check_named,
    given_fields,
    number,
    print_json,
    wish_of,
)
from loadcell.cli.run import add_spec_flags, read_spec
from loadcell.errors import UsageError
from loadcell.recording.claim import output_folder

if TYPE_CHECKING:
    from loadcell.mlperf.datasets import Dataset
    from loadcell.mlperf.files.checking import Checked
    from loadcell.mlperf.model import Driven, Rules
    from loadcell.mlperf.wish import Wish

# --- check -----------------------------------------------------------------------------------------------------------

_MAX_PLACES = 12


def configure_check(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.usage = "loadcell mlperf check DIR [flags]"
    parser.description = (
        "Find out what a folder is (a run or a curve of loadcell mlperf, an export,\nLoadGen's logs, a submission, "
        "output of the MLPerf Endpoints client, points of a\ncurve) and apply the checks that are written down for it: "
        "seeds, counts, limits,\ntraffic, layout, fields. Nothing it says is a verification by MLCommons."
    )
    parser.add_argument("folder", metavar="DIR", help="folder to check, with everything below it")
    parser.add_argument(
        "--round", metavar="R", help="round to judge by, as in v6.1 (default: by folders, then by seeds)"
    )
    parser.add_argument("--benchmark", metavar="B", help="benchmark of logs whose folders do not name it")
    parser.add_argument(
        "--scenario", metavar="S", help="scenario of such logs; interactive is Server in LoadGen's logs"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  loadcell mlperf check mlperf/tuesday\n"
        "  loadcell mlperf check inference_results_v5.1/closed/ACME --round v5.1\n"
        "  loadcell mlperf check logs --benchmark llama2-70b-99.9 --scenario interactive\n\n"
        "exit codes: 0 every rule holds; 2 wrong usage, or nothing there to check; 4 a\nrule fails"
    )


def run_check(args: argparse.Namespace) -> int:
    """Print what the checks find; 0 if nothing fails, else 4."""
    from loadcell.mlperf.files.checking import check_folder
    from loadcell.mlperf.files.judging import Asked

    asked = Asked(round=args.round, benchmark=args.benchmark, scenario=args.scenario)
    checked = check_folder(Path(args.folder), asked)
    if args.json:
        print_json(checked)
    else:
        _show(checked)
    return 0 if checked.passed else 4


def _show(checked: Checked) -> None:
    from rich.text import Text

    from loadcell.cli.terminal import Terminal
    from loadcell.mlperf.model import FOOTNOTE, UNVERIFIED
    from loadcell.report.mlperf import print_findings
    from loadcell.report.text import plain

    console = Terminal()
    failed = sum(finding.ok is False for finding in checked.findings)
    word = "every rule holds" if checked.passed else "1 finding fails" if failed == 1 else f"{failed:,} findings fail"
    style = "bold green" if checked.passed else "bold red"
    console.print(Text.assemble((f" {word}", style), f" - {UNVERIFIED}"))
    for place in checked.places[:_MAX_PLACES]:
        console.print(Text(f" {plain(place)}"))
    if len(checked.places) > _MAX_PLACES:
        console.print(Text(f" and {len(checked.places) - _MAX_PLACES:,} more"))
    console.print()
    print_findings(checked.findings, console)
    console.print(Text(f" {FOOTNOTE}", style="dim"))


# --- export ----------------------------------------------------------------------------------------------------------


def configure_export(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.usage = "loadcell mlperf export DIR --format endpoints|loadgen-like [flags]"
    parser.description = (
        "Write a run of loadcell mlperf in the layout of other tools' files, to read or\nto compare with them. Every "
        "file names Loadcell as its generator and says that\nit is unverified: an export is no submission."
    )
    parser.add_argument("folder", metavar="DIR", help="folder that loadcell mlperf run wrote")
    parser.add_argument(
        "--format",
        metavar="F",
        required=True,
        help="endpoints: config.yaml, result_summary.json, accuracy_results.json; loadgen-like: mlperf_log_*.txt",
    )
    parser.add_argument("--output", metavar="DIR2", help="new folder for the files (default: DIR/export-FORMAT)")
    parser.add_argument(
        "--window",
        choices=("loadgen", "run"),
        help="endpoints: what qps and tps are over (default: loadgen in server and interactive, else run)",
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  loadcell mlperf export mlperf/tuesday --format endpoints\n"
        "  loadcell mlperf export mlperf/tuesday --format loadgen-like --output logs\n\n"
        "exit codes: 0 written; 1 no such run, or the folder cannot be written; 2 wrong\nusage"
    )


def run_export(args: argparse.Namespace) -> int:
    """Write the files and say which."""
    from loadcell.mlperf.files.export import export
    from loadcell.mlperf.model import FOOTNOTE

    folder = Path(args.folder)
    output = Path(args.output) if args.output is not None else folder / f"export-{args.format}"
    for path in export(folder, args.format, output, window=args.window):
        sys.stdout.write(f"{path}\n")
    sys.stdout.write(f"\n{FOOTNOTE}\nCheck: loadcell mlperf check {output}\n")
    return 0


# --- loadgen ---------------------------------------------------------------------------------------------------------

_NOT_HERE = (
    *BY_RULES, "--ramp", "--stop-when-saturated", "--output-tokens", "--workers", "--seed", "--keep-text",
    "--shared-host", "--metrics-url", "--observe-every",
)  # fmt: skip
"""Flags of `run` that the rules or LoadGen answer, or that mean something else here."""
_HEADROOM = 1.5
"""Offline: LoadGen cannot extend a run that a low guess made too short, and it is faster than the probe."""
_EXAMPLES = """\
examples:
  loadcell mlperf loadgen http://localhost:8000 --benchmark llama3.1-8b \\
      --scenario server --target-qps 12 --output logs
  loadcell mlperf loadgen http://localhost:8000 --benchmark llama3.1-8b \\
      --scenario offline --look-alike --quick --accuracy
  loadcell mlperf check logs

exit codes: 0 VALID by LoadGen and by us; 1 no request succeeded, or it could
not be run; 2 wrong usage; 4 INVALID; 130 interrupted

LoadGen cannot be stopped, watched or gone on with: what is cut off is lost.
Nothing here is an MLPerf result: every score is unverified.
"""


def configure_loadgen(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `loadcell mlperf loadgen`: the benchmark, the load that it leaves open, and the endpoint's."""
    parser.usage = "loadcell mlperf loadgen URL --benchmark B --scenario S [flags]"
    parser.description = (
        "Let the genuine LoadGen (pip install 'loadcell[loadgen]') generate the load of\n"
        "a benchmark's scenario, with Loadcell's client as its system under test. Its own\n"
        "logs land in DIR, beside what Loadcell saw of the same run (loadcell.json)."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument("target", nargs="?", metavar="URL", help="base URL of the server")
    group = add_benchmark(parser)
    group.add_argument("--quick", action="store_true", help="a short run on 64 samples at most (not comparable)")
    group.add_argument("--accuracy", action="store_true", help="accuracy mode: every sample once, replies logged")
    group.add_argument("--target-qps", metavar="R", help="server, interactive: queries per second")
    add_size(group)
    group.add_argument("--output", metavar="DIR", help="folder of the logs (default: mlperf/TIME)")
    group.add_argument("--json", action="store_true", help="print loadcell.json")
    parser.set_defaults(find_peak=None)
    add_spec_flags(parser, but=_NOT_HERE)


def run_loadgen(args: argparse.Namespace) -> int:
    """Plan, let LoadGen run it, show what it is worth; see the help for the exit codes."""
    if args.target is None:
        raise UsageError("name the endpoint, as in: loadcell mlperf loadgen http://localhost:8000 --benchmark ...")
    check_named(args)
    from loadcell.mlperf.wheel.run import wheel_version

    wheel_version()
    with output_folder(args.output, "mlperf") as folder:
        try:
            driven = _drive(args, folder)
        except KeyboardInterrupt:
            sys.stderr.write("loadcell: interrupted\n")
            return 130
        return _finish(args, driven, folder)


def _drive(args: argparse.Namespace, folder: Path) -> Driven:
    """The run that the flags describe."""
    from loadcell.cli.progress import say, show_progress
    from loadcell.mlperf.datasets import write_prompts
    from loadcell.mlperf.folder import PROMPTS, RUN
    from loadcell.mlperf.planning import make_plan, rate_of, size
    from loadcell.mlperf.run import needs_probe, probe
    from loadcell.mlperf.wheel.run import drive

    spec = read_spec(args)
    wish = wish_of(args, given_fields(args, spec))
    rules, dataset = _samples(args, wish)
    planned = make_plan(rules, dataset, spec, folder / PROMPTS, wish)
    say(*(f"loadcell: {note}" for note in (*dataset.notes, *planned.plan.shortened)))
    with RUN.own(folder, resume=False), show_progress(lambda: [f"{rules.benchmark} {rules.scenario} LoadGen"]) as watch:
        most = planned.plan.rules.max_output_tokens if "workload.output_tokens" in wish.given else None
        write_prompts(dataset, folder / PROMPTS, max_tokens=most)
        if needs_probe(planned.plan, wish) and not args.accuracy:
            seen = probe(planned.plan, planned.spec, folder, watch)
            rate = rate_of(planned.plan, wish, seen)
            if rules.scenario == "offline" and rate is not None:
                rate *= _HEADROOM
            planned = size(planned.plan, planned.spec, wish, rate)
        say(*(f"loadcell: {note}" for note in ([] if args.accuracy else planned.notes)))
        return drive(planned, folder, watch, accuracy=args.accuracy)


def _samples(args: argparse.Namespace, wish: Wish) -> tuple[Rules, Dataset]:
    """The rules and as many samples as they, or the person, ask for."""
    import msgspec

    from loadcell.mlperf.datasets import find_dataset
    from loadcell.mlperf.rules import find_rules
    from loadcell.mlperf.shorten import QUICK_SAMPLES
    from loadcell.mlperf.wish import check_wish

    rules = find_rules(args.round, args.benchmark, args.scenario)
    if rules.scenario in ("server", "interactive") and wish.target_qps is None:
        raise UsageError(f"{rules.scenario} sends at a rate: give it, as in --target-qps 12")
    check_wish(rules.scenario, wish)
    if args.accuracy:  # every sample once, whatever time that takes
        rules = msgspec.structs.replace(
            rules,
            performance_sample_count=rules.accuracy_sample_count,
            max_output_tokens=rules.max_output_tokens_accuracy or rules.max_output_tokens,
            min_queries=1, min_duration_s=0.0, offline_min_samples=None,
        )  # fmt: skip
    samples = number(args.samples, "--samples", int) or (QUICK_SAMPLES if args.quick else None)
    dataset = find_dataset(rules, args.dataset, look_alike=args.look_alike, samples=samples, accuracy=args.accuracy)
    sent = min(len(dataset.samples), rules.performance_sample_count, samples or len(dataset.samples))
    return rules, msgspec.structs.replace(dataset, samples=dataset.samples[:sent])


# --- the end ----------------------------------------------------------------------------------------------------------


def _finish(args: argparse.Namespace, driven: Driven, folder: Path) -> int:
    """Show what the run is worth; the exit code."""
    if args.json:
        print_json(driven)
    else:
        from loadcell.cli.terminal import Terminal
        from loadcell.report.mlperf import print_driven

        print_driven(driven, Terminal(), folder)
    if driven.state == "interrupted":
        sys.stderr.write("loadcell: interrupted; LoadGen cannot go on with a run: begin it again\n")
        return 130
    nothing = driven.score is not None and driven.score.samples == driven.score.failed
    return 1 if driven.state != "complete" or nothing else 4 if driven.verdict == "INVALID" else 0
