"""loadcell mlperf check: runs of any origin, judged by the rules that are written down for their files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadcell.mlperf.files.checking import Checked

_MAX_PLACES = 12


def configure(parser: argparse.ArgumentParser) -> None:
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


def run(args: argparse.Namespace) -> int:
    """Print what the checks find; 0 if nothing fails, else 4."""
    from loadcell.mlperf.files.checking import check_folder
    from loadcell.mlperf.files.judging import Asked

    asked = Asked(round=args.round, benchmark=args.benchmark, scenario=args.scenario)
    checked = check_folder(Path(args.folder), asked)
    if args.json:
        import msgspec

        sys.stdout.write(msgspec.json.format(msgspec.json.encode(checked), indent=2).decode() + "\n")
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
    console.print()
    console.print(Text(f" {FOOTNOTE}", style="dim"))
