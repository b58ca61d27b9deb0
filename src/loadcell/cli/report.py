"""loadcell report: the figures of a recording, again, under any SLO or window, without any load."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadcell.metrics import Result


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("recording", metavar="DIR", help="folder that a run wrote")
    parser.add_argument("--slo", metavar="LIMITS", help="limits to judge by, as in ttft=500ms,tpot=30ms,e2e=10s")
    parser.add_argument(
        "--window", metavar="A,B", help="count this part of the run only, in seconds since its start, as in 5,65"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the result as JSON")
    form.add_argument("--csv", action="store_true", help="print one line a figure, as CSV")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  loadcell report runs/chat\n"
        "  loadcell report runs/chat --slo ttft=500ms,tpot=30ms\n"
        "  loadcell report runs/chat --window 10,60 --json > result.json"
    )


def run(args: argparse.Namespace) -> int:
    """Print the result of `args.recording`."""
    from loadcell.metrics import build_result
    from loadcell.recording.read import open_recording
    from loadcell.spec import parse_slo

    slo = None if args.slo is None else parse_slo(args.slo)
    window_s = None if args.window is None else parse_window(args.window)
    _refuse_many(Path(args.recording))
    result = build_result(open_recording(args.recording), slo, window_s)
    show(result, as_json=args.json, as_csv=args.csv)
    return 0


def show(result: Result, folder: Path | None = None, *, as_json: bool = False, as_csv: bool = False) -> None:
    """Print a result: for people, as JSON or as CSV. For people, `folder` names where its recording lies."""
    from rich.console import Console

    from loadcell.report import print_result, to_csv, to_json

    if as_json:
        sys.stdout.write(to_json(result).decode())
    elif as_csv:
        sys.stdout.write(to_csv(result))
    else:
        print_result(result, Console())
        if folder is not None:
            sys.stdout.write(f" Recorded in {folder}; to see it again: loadcell report {folder}\n")


def parse_window(text: str) -> tuple[float, float]:
    """Seconds of "5,65" or "5s,1m"; UsageError else."""
    from loadcell.errors import UsageError
    from loadcell.spec import parse_duration_s

    start, comma, end = text.partition(",")
    if not comma:
        raise UsageError(f"--window {text!r} is not a window: give its start and its end in seconds, as in 5,65")
    return parse_duration_s(start), parse_duration_s(end)


def _refuse_many(folder: Path) -> None:
    """UsageError if `folder` holds recordings instead of being one; it names the newest."""
    from datetime import datetime

    from loadcell.errors import UsageError
    from loadcell.recording.read import read_json
    from loadcell.recording.schema import Manifest

    if (folder / "recording.json").exists():
        return
    found = sorted(folder.glob("*/recording.json"))
    if found:
        newest = max(found, key=lambda path: datetime.fromisoformat(read_json(path, Manifest).started_at)).parent
        count = "a recording" if len(found) == 1 else f"{len(found)} recordings"
        raise UsageError(f"{folder} holds {count}; name the one to report, the newest is: loadcell report {newest}")
