"""The pages and files that commands write beside what they print."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.errors import LoadcellError

if TYPE_CHECKING:
    from loadcell.compare import Comparison, Opened
    from loadcell.metrics import Result
    from loadcell.report.detail import Detail
    from loadcell.report.words import Words
    from loadcell.search.model import Sweep

_PRINTED = ("json", "csv", "md")
"""Flags that make the output one for machines."""
_DEFAULT_LANG = "en"
PAGE = "report.html"
"""Name of a page in the folder of what it shows."""


def add_page(parser: argparse.ArgumentParser | argparse._ArgumentGroup, where: str) -> None:
    """Add the flags of a page that is written without being asked for, to `where`."""
    parser.add_argument(
        "--html",
        action=argparse.BooleanOptionalAction,
        help=f"write a page that anyone can open, {where} (default: yes; with --json or --csv only if asked)",
    )
    add_lang(parser)


def add_lang(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add --lang."""
    parser.add_argument(
        "--lang",
        metavar="L",
        default=_DEFAULT_LANG,
        help="language of what is shown, as in es (en)",
    )


def words_of(args: argparse.Namespace) -> Words:
    """The words of --lang; UsageError if there is no such language."""
    from loadcell.report.words import words_for

    return words_for(args.lang)


def check_lang(args: argparse.Namespace) -> None:
    """UsageError if there is no language --lang. That of nearly all needs no tables, which take their time to load."""
    if args.lang != _DEFAULT_LANG:
        words_of(args)


def wants_page(args: argparse.Namespace, *, in_ci: bool = True) -> bool:
    """Whether a page is to be written: as asked, else unless the output is for machines, or `in_ci` says not there."""
    if args.html is None and not in_ci and os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return False
    machine = any(getattr(args, name, False) for name in _PRINTED)
    return not machine if args.html is None else bool(args.html)


def run_page_file(result: Result, detail: Detail | None, folder: Path, words: Words) -> Path:
    """Write the page of a run into its folder; `result` as it is to be shown."""
    from loadcell.report.files import write_text
    from loadcell.report.run import run_page

    return write_text(folder / PAGE, run_page(result, detail, words, source=str(folder)))


def sweep_page_file(sweep: Sweep, folder: Path, path: Path, words: Words) -> Path:
    """Write the page of a sweep, with links to the pages of its stages that lie beside it."""
    from loadcell.report.files import write_text
    from loadcell.report.sweep import sweep_page

    pages = {
        stage.folder for stage in sweep.stages if path.parent == folder and (folder / stage.folder / PAGE).exists()
    }
    return write_text(path, sweep_page(sweep, words, source=str(folder), pages=frozenset(pages)))


def comparison_page_file(found: Comparison, sides: Sequence[Opened], path: Path | None, words: Words) -> Path:
    """Write the page of a comparison, without a path to one of its own in `comparisons`.

    The distributions of a side of several runs are those of its first.
    """
    with said_if_long("writing the page"), comparison_path() if path is None else nullcontext(path) as path:
        from loadcell.report.compare import comparison_page
        from loadcell.report.detail import build_detail
        from loadcell.report.files import write_text

        firsts = {side.name: side.runs[0] for side in sides}
        details = {
            name: build_detail(run.recording, run.result) for name, run in firsts.items() if run.recording is not None
        }
        return write_text(path, comparison_page(found, details, words))


@contextmanager
def comparison_path() -> Iterator[Path]:
    """A place of its own for the page of a comparison that was given none; taken away again if no page was written."""
    from loadcell.recording.claim import names_by_time

    folder = Path("comparisons")
    try:
        folder.mkdir(exist_ok=True)
        for name in names_by_time():
            path = folder / f"{name}.html"
            with suppress(FileExistsError):
                path.touch(exist_ok=False)
                break
    except OSError as error:
        raise LoadcellError(f"cannot write to {folder}: {error.strerror}; give --output a place") from None
    try:
        yield path
    finally:
        if not path.stat().st_size:
            path.unlink()


def leave_page(args: argparse.Namespace, write: Callable[[Words], Path], *, tell: bool = True) -> None:
    """Write a page and, if `tell`, name it. That it cannot be written is said: the measurement stands all the same."""
    try:
        path = write(words_of(args))
    except LoadcellError as error:
        sys.stderr.write(f"loadcell: no page: {error}\n")
        return
    if not tell:
        return
    machine = any(getattr(args, name, False) for name in _PRINTED)
    (sys.stderr if machine else sys.stdout).write(f" Page: {path}\n")


@contextmanager
def said_if_long(what: str, after_s: float = 2.0) -> Iterator[None]:
    """Says on a terminal what takes so long, from `after_s` on, and takes it away again."""
    if not sys.stderr.isatty():
        yield
        return
    import threading

    done = threading.Event()
    start = time.monotonic()

    def tell() -> None:
        if done.wait(after_s):
            return
        while not done.wait(0.5):
            sys.stderr.write(f"\r\x1b[K{what} … {time.monotonic() - start:.0f} s")
            sys.stderr.flush()
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
