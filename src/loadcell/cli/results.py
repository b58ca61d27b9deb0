"""What commands share that show the result of a run: flags, printing, exit codes, which recording is meant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadcell.errors import LoadcellError

if TYPE_CHECKING:
    from loadcell.metrics import Result
    from loadcell.report.words import Words


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


def add_full(parser: argparse._ActionsContainer) -> None:
    """Add --full."""
    parser.add_argument("--full", action="store_true", help="print all that is known, not one screen of it")


def add_judging(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the flags that say what to make of a verdict."""
    parser.add_argument("--strict", action="store_true", help="exit with 3 if the verdict is SUSPECT")
    parser.add_argument("--force", action="store_true", help="no longer needed: figures are always shown, marked")


def add_sink(parser: argparse._ActionsContainer) -> None:
    """Add --sink."""
    parser.add_argument(
        "--sink",
        action="append",
        metavar="NAME",
        default=[],
        help="send the result to a sink, as in mlflow or wandb:project=chat (repeatable)",
    )


def sent(result: Result, asked: Sequence[str], files: Sequence[Path]) -> None:
    """Send a result to each sink, as JSON and with the files that were made of it, and say where it is then."""
    if not asked:
        return
    import tempfile

    from loadcell.report import to_json
    from loadcell.report.sinks import sink

    sends = [sink(each) for each in asked]
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "result.json"
        whole.write_bytes(to_json(result))
        failed: LoadcellError | None = None
        for send in sends:
            try:
                sys.stderr.write(f"{send(result, [whole, *files])}\n")
            except LoadcellError as error:  # the others get it all the same
                if failed is not None:
                    sys.stderr.write(f"loadcell: {failed}\n")
                failed = error
    if failed is not None:
        raise failed


def exit_code(result: Result, *, strict: bool) -> int:
    """1 if no request succeeded, 4 if the result is INVALID, 3 if it is SUSPECT and `strict`, else 0."""
    from loadcell.metrics import word_of
    from loadcell.metrics.imported import tallied

    if tallied(result.imported) and not result.counts.run.ok and not result.invalid:
        return 1
    return {"INVALID": 4, "SUSPECT": 3 if strict else 0, "VALID": 0}[word_of(result)]


def show_json(result: Result) -> None:
    """Print a result as JSON, without what only people need: rich, the words of a language."""
    from loadcell.report import to_json

    sys.stdout.write(to_json(result).decode())


def show(
    result: Result,
    folder: Path | None,
    words: Words,
    *,
    as_json: bool = False,
    as_csv: bool = False,
    as_markdown: bool = False,
    full: bool = False,
) -> None:
    """Print a result as it is (see `shown_result`): for people or as Markdown in a language, as JSON or CSV.

    For people, `folder` names where its recording lies; they get one screen, or `full` all that is known.
    """
    if as_json:
        show_json(result)
        return
    from loadcell.cli.terminal import Terminal
    from loadcell.report import to_csv
    from loadcell.report.run import print_result, print_short, run_markdown

    if as_csv:
        sys.stdout.write(to_csv(result))
    elif as_markdown:
        sys.stdout.write(run_markdown(result, words))
    else:
        (print_result if full else print_short)(result, Terminal(), folder, words)


def refuse_many(folder: Path, command: str) -> None:
    """UsageError of `loadcell COMMAND` if `folder` holds recordings instead of being one; it names the newest."""
    from datetime import datetime

    from loadcell.errors import UsageError
    from loadcell.recording.read import read_json
    from loadcell.recording.schema import Manifest

    def started(path: Path) -> float:
        try:
            return datetime.fromisoformat(read_json(path, Manifest).started_at).timestamp()
        except ValueError:  # it tells no time: any other is newer
            return 0.0

    try:
        found = [] if (folder / "recording.json").exists() else sorted(folder.glob("*/recording.json"))
    except PermissionError:  # opening it will say so
        return
    if found:
        newest = max(found, key=started).parent
        count = "a recording" if len(found) == 1 else f"{len(found)} recordings"
        every = f"\nTo look at all of them: loadcell report --serve {folder}" if command == "report" else ""
        raise UsageError(f"{folder} holds {count}; name one of them, the newest is: loadcell {command} {newest}{every}")
