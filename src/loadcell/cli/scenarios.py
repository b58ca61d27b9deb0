"""`loadcell scenarios`: the named workloads that `--scenario` takes, and all that each of them fixes."""

from __future__ import annotations

import argparse
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the name of the one to show."""
    parser.description = "List the named scenarios, or show all that one of them fixes."
    parser.add_argument("name", nargs="?", metavar="NAME", help="scenario to show: NAME, or NAME@VERSION")


def run(args: argparse.Namespace) -> int:
    """Print them. Returns 0."""
    from loadcell.scenarios import describe_scenarios

    sys.stdout.write(describe_scenarios(args.name))
    return 0
