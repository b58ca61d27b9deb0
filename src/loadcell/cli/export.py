"""loadcell export: recordings as the files of other tools, so that dashboards and scripts go on working."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    from loadcell.interop.formats import FORMATS

    parser.usage = "loadcell export DIR --format F [flags]"
    parser.description = (
        "Write a recording as the files of another tool, by that tool's definitions, so\nthat dashboards and scripts "
        "go on working. What its format cannot hold is left\nout and said (docs/export.md)."
    )
    parser.add_argument(
        "folder", metavar="DIR", help="a recording, or a folder of them: a sweep, repeats (one file where it can be)"
    )
    parser.add_argument(
        "--format",
        metavar="F",
        required=True,
        help="; ".join(f"{name}: {form.title}" for name, form in FORMATS.items()),
    )
    parser.add_argument(
        "--output", metavar="PATH", help="file or folder to write; - prints it (default: DIR/export-FORMAT)"
    )
    parser.add_argument(
        "--detailed", action="store_true", help="vllm: with the arrays of --save-detailed, a value a request"
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  loadcell export runs/chat --format vllm --output result.json\n"
        "  loadcell export runs/chat --format aiperf --output artifacts/chat\n"
        "  loadcell export sweeps/tuesday --format guidellm --output benchmarks.json\n"
        "  loadcell export runs/chat --format openmetrics --output -\n\n"
        "exit codes: 0 written; 1 no such recording, or a file cannot be written; 2 wrong\nusage"
    )


def run(args: argparse.Namespace) -> int:
    """Write the files and name them; what they lack goes to stderr."""
    from loadcell.errors import UsageError
    from loadcell.interop.formats import FORMATS
    from loadcell.interop.write import Asked, hold, save, written
    from loadcell.metrics import reasons_of, word_of

    if args.detailed and args.format != "vllm":
        raise UsageError(f"--detailed belongs to --format vllm; {args.format} holds what it can of each request")
    folder = Path(args.folder)
    runs = hold(folder)
    found = written(runs, args.format, Asked(detailed=args.detailed))
    if args.output == "-":
        if len(found.files) != 1:
            raise UsageError(f"--output -: {args.format} has {len(found.files)} files; name a folder for them")
        sys.stdout.write("".join(found.files.values()))
    else:
        paths = save(found.files, folder / f"export-{args.format}" if args.output is None else Path(args.output))
        sys.stdout.write("".join(f"{path}\n" for path in paths))
    for words in found.left_out:
        sys.stderr.write(f"loadcell: left out: {words}\n")
    if not FORMATS[args.format].judges:
        for run in runs:
            why = "".join(f"\n  {reason}" for reason in reasons_of(run.result))
            sys.stderr.write(f"loadcell: {run.name} is {word_of(run.result)}, and the file cannot say so{why}\n")
    return 0
