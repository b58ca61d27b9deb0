"""`loadcell published`: published MLPerf results, each with its round, division, entry and link."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadcell.published.model import Found

_FLAGS = ("accelerator", "round", "division", "availability", "suite", "submitter", "system")
_EPILOG = """\
WORDS in any order: benchmark, scenario, accelerators (H200, 8xMI325X, cpu),
round, division, submitter, entry ID. Nothing at all: what there is.

Rounds, divisions, suites, benchmarks and scenarios are ranked apart. Figures
per accelerator are derived: they are no MLPerf metric.

  loadcell published add FILE [--round v6.1]
      keep the summary of another round, as MLCommons publishes it
      (summary_results.json, or summary.json from v6.1 on)
  loadcell published press
      figures that articles quote, checked against what is published

examples:
  loadcell published "deepseek-r1 offline" --per accelerator --top 10
  loadcell published "llama3.1-8b server" --accelerator B200 --round v5.1,v6.0
  loadcell published "8xH200 llama2-70b server" --division open --cite
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.usage = "loadcell published [WORDS] [flags] | add FILE | press"
    parser.description = "Published MLPerf results of language, speech and vision-language benchmarks."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("words", nargs="*", metavar="WORDS", help="what is asked for, as in: deepseek-r1 offline")
    parser.add_argument(
        "--per", choices=("system", "accelerator"), default="system",
        help="what to rank by (default: system, the result as published)",
    )  # fmt: skip
    parser.add_argument("--top", metavar="N", default="10", help="places of each ranking, or all (default: 10)")
    parser.add_argument("--accelerator", metavar="NAMES", help="as in H200, 8xH200 or cpu")
    parser.add_argument("--round", metavar="ROUNDS", help="as in v5.1,v6.0; of an added file: its round")
    parser.add_argument("--division", metavar="D", help="closed or open (default: open only where closed has nothing)")
    parser.add_argument("--availability", metavar="A", help="available, preview or rdi")
    parser.add_argument("--suite", metavar="S", help="datacenter or edge")
    parser.add_argument("--submitter", metavar="NAMES", help="as in NVIDIA,Dell")
    parser.add_argument("--system", metavar="TEXT", help="part of the system's name")
    parser.add_argument("--across-rounds", action="store_true", help="rank rounds together")
    parser.add_argument("--cite", action="store_true", help="the full citation of every row, with its link")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the answer as JSON")
    form.add_argument("--csv", action="store_true", help="print it as CSV, one line a place")
    form.add_argument("--md", action="store_true", help="print it as Markdown, with links")


def run(args: argparse.Namespace) -> int:
    """Print the answer. Returns 0; 1 where nothing matches."""
    if args.words[:1] == ["add"]:
        return _add(args)
    if args.words == ["press"]:
        return _press(args)
    from loadcell.published.store import registry

    known = registry()
    asked = any(getattr(args, flag) is not None for flag in _FLAGS)
    if not args.words and not asked and not (args.json or args.csv or args.md):
        from loadcell.cli.terminal import Terminal
        from loadcell.report.render.terminal import show
        from loadcell.report.view.published import registry_sections

        show(registry_sections(known), Terminal())
        return 0
    from loadcell.published.find import find
    from loadcell.published.query import read_question, with_flags

    question = read_question(" ".join(args.words), known.rows)
    question = with_flags(question, {flag: getattr(args, flag) for flag in _FLAGS}, known.rows)
    _print(find(known, question, by=args.per, top=_top(args.top), across_rounds=args.across_rounds), args)
    return 0


def _print(found: Found, args: argparse.Namespace) -> None:
    if args.md:
        from loadcell.report.render.markdown import markdown
        from loadcell.report.view.published import found_sections

        sys.stdout.write(markdown(found_sections(found, whole=True)))
    elif args.json or args.csv:
        from loadcell.published.forms import to_csv, to_json

        sys.stdout.write(to_csv(found) if args.csv else to_json(found).decode())
    else:
        from loadcell.cli.terminal import Terminal
        from loadcell.report.render.terminal import show
        from loadcell.report.view.published import found_sections

        show(found_sections(found, cite=args.cite), Terminal())


def _top(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdigit() or int(text) == 0:
        raise UsageError(f"--top {text!r}: write a number of places, as in --top 10, or all")
    return int(text)


def _add(args: argparse.Namespace) -> int:
    from datetime import datetime

    from loadcell.published.store import add_file

    if len(args.words) != 2:
        raise UsageError("name one file: loadcell published add summary.json")
    path = Path(args.words[1])
    source, new, changed, same = add_file(path, today=datetime.now().date().isoformat(), round=args.round)
    left = ", ".join(f"{name} {count}" for name, count in source.left_out.items())
    rounds = " and ".join(source.rounds)
    if new or changed:
        counts = f"{new:,} new, {changed:,} in place of earlier ones, {same:,} known already"
        sys.stdout.write(f"{path}: {source.rows:,} rows of {rounds}: {counts}\nkept in {source.file}\n")
    else:
        sys.stdout.write(f"{path}: all {source.rows:,} rows of {rounds} are known already, nothing was changed\n")
    if left:
        sys.stdout.write(f"left out, other benchmarks: {left}\n")
    return 0


def _press(args: argparse.Namespace) -> int:
    from loadcell.published.press import check_press
    from loadcell.published.store import registry

    press = check_press(registry().rows, _limits)
    if args.csv or args.md:
        raise UsageError("loadcell published press has --json, and neither --csv nor --md")
    if args.json:
        from loadcell.published.forms import to_json

        sys.stdout.write(to_json(press).decode())
    else:
        from loadcell.cli.terminal import Terminal
        from loadcell.report.render.terminal import show
        from loadcell.report.view.published import press_sections

        show(press_sections(press), Terminal())
    return 0


def _limits(round: str, benchmark: str, scenario: str) -> Mapping[str, float | None]:
    """Limits of the rules, for quoted ones."""
    from loadcell.mlperf.rules import find_rules

    rules = find_rules(round, benchmark, scenario)
    factors = {gate.factor for gate in rules.gates if gate.metric.startswith("ROUGE")}
    return {
        "ttft_ms": rules.ttft_ms,
        "tpot_ms": rules.tpot_ms,
        "max_output_tokens": rules.max_output_tokens,
        "gate_factor": factors.pop() if len(factors) == 1 else None,
    }
