"""loadcell mlperf export: a run in the layout of the MLPerf Endpoints client's files, or of LoadGen's logs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
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


def run(args: argparse.Namespace) -> int:
    """Write the files and say which."""
    from loadcell.mlperf.files.export import export
    from loadcell.mlperf.model import FOOTNOTE

    folder = Path(args.folder)
    output = Path(args.output) if args.output is not None else folder / f"export-{args.format}"
    for path in export(folder, args.format, output, window=args.window):
        sys.stdout.write(f"{path}\n")
    sys.stdout.write(f"\n{FOOTNOTE}\nCheck: loadcell mlperf check {output}\n")
    return 0
