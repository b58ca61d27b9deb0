"""The benchmarks: what is measured, not asserted.

    python benchmarks/run.py [NAME ...] [--quick] [--save]

Run it alone on the machine: the engine takes its first core, the load its last. Exit status 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import subprocess
import sys
import sysconfig
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from common import ROOT
from rich.console import Console
from tables import Table, markdown, print_table

from loadcell.selftest.store import this_machine

NAMES = (
    "startup", "size", "pacing", "bias", "peers", "sessions", "apis", "templates", "callables", "verdicts", "selftest",
    "search", "real", "memory", "schedules", "traces", "live", "mlperf", "duel", "replays", "coverage",
    "coverage_engine", "coverage_llama", "edges", "fuzz", "imports",
)  # fmt: skip
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
_HEAD = """\
# Results of the benchmarks

Written by `python benchmarks/run.py --save`; each section stands with the command, the machine and the commit that made
it. Figures are of that machine: what holds elsewhere are the differences to the truth, and the ratio to the floor.
"""


def main(words: list[str] | None = None) -> int:
    """Run the benchmarks that are named, all of them by default."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="sizes of a few seconds, judged by no bar")
    parser.add_argument("--save", action="store_true", help=f"write the tables into {RESULTS.name}")
    args = parser.parse_args(words)
    unknown = sorted(set(args.names) - set(NAMES))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are: {', '.join(NAMES)}")
    if args.quick and args.save:
        parser.error("--quick says nothing worth saving")
    console = Console(width=None if sys.stdout.isatty() else 160)
    missed = 0
    for name in args.names or NAMES:
        tables: list[Table] = import_module(name).measure(args.quick)
        tables = [_without_bars(table) for table in tables] if args.quick else tables
        for table in tables:
            print_table(table, console)
        missed += sum(table.missed for table in tables)
        if args.save:
            _save(name, tables)
    if missed:
        console.print(f"{missed} missed", style="red")
    return 1 if missed else 0


def _without_bars(table: Table) -> Table:
    return dataclasses.replace(table, rows=[dataclasses.replace(row, bar="", met=None) for row in table.rows])


def _save(name: str, tables: list[Table]) -> None:
    """Put a section in place of the one of that name; the others stay."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    sections = {part.partition("\n")[0]: part for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]}
    command = f"python benchmarks/run.py {name} --save"
    sections[name] = "\n".join([f"{name}\n\n`{command}`: {_provenance()}\n", *map(markdown, tables)])
    ordered = [sections[known] for known in NAMES if known in sections]
    RESULTS.write_text("\n## ".join([_HEAD, *(part.strip() + "\n" for part in ordered)]), encoding="utf-8")


def _provenance() -> str:
    """When, where and of what, in one line."""
    facts = this_machine(tls=False)
    args = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    build = (
        "with --enable-optimizations" if "--enable-optimizations" in args else "built without --enable-optimizations"
    )
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}, {facts['cpu']}, "
        f"{facts['cores_allowed']} cores, {facts['system']}, "
        f"Python {facts['python']} ({build})."
    )


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *words], stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.strip()

    source = [str(Path(name)) for name in ("src", "benchmarks")]
    changed = [line for line in git("status", "--porcelain", *source).splitlines() if RESULTS.name not in line]
    return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


if __name__ == "__main__":
    sys.exit(main())
