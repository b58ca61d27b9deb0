"""`loadcell trace list`: the traces that come with the package."""

from __future__ import annotations

import argparse
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = "The traces that come with the package, with whom to credit in `loadcell trace describe`."
    parser.add_argument("--json", action="store_true", help="print them as JSON")


def run(args: argparse.Namespace) -> int:
    """Print them. Returns 0."""
    from loadcell.traces.named import named_traces

    if args.json:
        import msgspec

        sys.stdout.write(msgspec.json.format(msgspec.json.encode(named_traces()), indent=2).decode() + "\n")
        return 0
    from loadcell.cli.terminal import Terminal
    from loadcell.report.render.terminal import show
    from loadcell.report.view.traces import named_sections

    show(named_sections(named_traces()), Terminal())
    return 0
