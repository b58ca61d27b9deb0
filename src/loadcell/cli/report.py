"""loadcell report: the figures of a recording, again, under any SLO or window, without any load."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadcell.metrics import Result


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Show the result of a recording again, under any SLO or window, or that of a\nsweep, without any load."
    )
    parser.add_argument("recording", metavar="DIR", help="folder that a run or a sweep wrote")
    add_slo(parser, "limits to judge by")
    parser.add_argument(
        "--window", metavar="A,B", help="count this part of the run only, in seconds since its start, as in 5,65"
    )
    add_judging(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the result as JSON")
    form.add_argument("--csv", action="store_true", help="print one line a figure, as CSV")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  loadcell report runs/chat\n"
        "  loadcell report runs/chat --slo ttft=500ms,tpot=30ms\n"
        "  loadcell report runs/chat --window 10,60 --json > result.json\n\n"
        "exit codes: 0 done; 1 no request succeeded, or no recording; 2 wrong usage;\n"
        "3 SUSPECT with --strict; 4 INVALID; 130 interrupted"
    )


def run(args: argparse.Namespace) -> int:
    """Print the result of `args.recording`; returns `exit_code`."""
    from loadcell.metrics import build_result
    from loadcell.recording.read import open_recording
    from loadcell.spec import parse_slo

    folder = Path(args.recording)
    if os.path.exists(folder / "sweep.json"):  # noqa: PTH110 - Path's raises where the folder cannot be entered
        return _report_sweep(args, folder)
    slo = None if args.slo is None else parse_slo(args.slo)
    window_s = None if args.window is None else parse_window(args.window)
    refuse_many(folder, "report")
    result = build_result(open_recording(args.recording), slo, window_s)
    show(result, as_json=args.json, as_csv=args.csv, force=args.force)
    return exit_code(result, strict=args.strict)


def _report_sweep(args: argparse.Namespace, folder: Path) -> int:
    """The same of a sweep; it is judged by the SLO that it ran with."""
    from loadcell.cli.sweep import exit_code as sweep_code
    from loadcell.cli.sweep import show_sweep_result
    from loadcell.errors import UsageError
    from loadcell.search import build_sweep

    if args.slo is not None or args.window is not None:
        flag = "--slo" if args.slo is not None else "--window"
        raise UsageError(f"{flag} is for one run: {folder} is a sweep; name the folder of one of its stages")
    sweep = build_sweep(folder)
    show_sweep_result(sweep, folder, as_json=args.json, as_csv=args.csv, force=args.force)
    return sweep_code(sweep, strict=args.strict)


def add_slo(parser: argparse.ArgumentParser | argparse._ArgumentGroup, about: str) -> None:
    """Add --slo: limits, a preset, or "list", which prints the presets and ends the command as --help does."""
    parser.add_argument(
        "--slo",
        metavar="S",
        action=_Slo,
        help=f"{about}: ttft=500ms,tpot=30ms,e2e=10s, or a preset (--slo list shows them)",
    )


class _Slo(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        if values == "list":
            from loadcell.presets import describe_presets

            sys.stdout.write(describe_presets())
            parser.exit()
        setattr(namespace, self.dest, values)


def add_judging(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the flags that say what to make of a verdict."""
    parser.add_argument("--strict", action="store_true", help="exit with 3 if the verdict is SUSPECT")
    parser.add_argument("--force", action="store_true", help="show the figures of an INVALID run too")


def exit_code(result: Result, *, strict: bool) -> int:
    """1 if no request succeeded, 4 if the result is INVALID, 3 if it is SUSPECT and `strict`, else 0."""
    from loadcell.metrics import word_of

    if not result.counts.run.ok and not result.invalid:
        return 1
    return {"INVALID": 4, "SUSPECT": 3 if strict else 0, "VALID": 0}[word_of(result)]


def show(
    result: Result, folder: Path | None = None, *, as_json: bool = False, as_csv: bool = False, force: bool = False
) -> None:
    """Print a result: for people, as JSON or as CSV. For people, `folder` names where its recording lies.

    The headline figures of an INVALID one are left out without `force`.
    """
    from loadcell.cli.terminal import Terminal
    from loadcell.metrics import withhold, word_of
    from loadcell.report import print_result, to_csv, to_json

    if word_of(result) == "INVALID" and not force:
        result = withhold(result)
    if as_json:
        sys.stdout.write(to_json(result).decode())
    elif as_csv:
        sys.stdout.write(to_csv(result))
    else:
        print_result(result, Terminal(), folder)


def parse_window(text: str) -> tuple[float, float]:
    """Seconds of "5,65" or "5s,1m"; UsageError else."""
    from loadcell.errors import UsageError
    from loadcell.spec import parse_duration_s

    start, comma, end = text.partition(",")
    if not comma:
        raise UsageError(f"--window {text!r} is not a window: give its start and its end in seconds, as in 5,65")
    return parse_duration_s(start), parse_duration_s(end)


def refuse_many(folder: Path, command: str) -> None:
    """UsageError of `loadcell COMMAND` if `folder` holds recordings instead of being one; it names the newest."""
    from datetime import datetime

    from loadcell.errors import UsageError
    from loadcell.recording.read import read_json
    from loadcell.recording.schema import Manifest

    try:
        found = [] if (folder / "recording.json").exists() else sorted(folder.glob("*/recording.json"))
    except PermissionError:  # opening it will say so
        return
    if found:
        newest = max(found, key=lambda path: datetime.fromisoformat(read_json(path, Manifest).started_at)).parent
        count = "a recording" if len(found) == 1 else f"{len(found)} recordings"
        raise UsageError(f"{folder} holds {count}; name one of them, the newest is: loadcell {command} {newest}")
