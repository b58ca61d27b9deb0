"""`loadcell query`: SQL over one or many recordings."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadcell.cli.interrupts import ending_signal

_LIMIT = 1_000
"""Rows that are shown as a table."""
_EXAMPLES = """examples:
  loadcell query --tables
  loadcell query "select run, model, rate, state from runs"
  loadcell query "select run, status, count(*) from requests group by all"
  loadcell query "select run, quantile_disc(ttft_ms, 0.99) as ttft_p99_ms
                  from requests where in_window group by run" runs/a runs/b
  loadcell query "from requests where error is not null" runs/chat --json
  loadcell query "select * from requests" runs/chat --parquet all.parquet

exit codes: 0 done; 1 no recording can be read, or no file written;
2 the query is wrong; 130 interrupted
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.usage = 'loadcell query "select ..." [DIR ...] [flags]'
    parser.description = (
        "Ask recordings in SQL (DuckDB's). The tables are runs, requests, chunks,\n"
        "schedule, looks, series, text and audits; --tables tells their columns, and\n"
        "docs/query.md has more examples. A query reads, and changes nothing."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument("sql", nargs="?", metavar="SQL", help="one SELECT, in quotes")
    parser.add_argument(
        "folders", nargs="*", metavar="DIR",
        help="recordings, repeats, sweeps, or folders that hold them (default: those here, "
        "and wherever else --output put them)",
    )  # fmt: skip
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV: every row and column, nothing shortened")
    form.add_argument("--json", action="store_true", help="print a list of objects as JSON, an object a line")
    form.add_argument("--parquet", metavar="FILE", help="write a Parquet file")
    form.add_argument("--tables", action="store_true", help="show the tables and their columns, and end")


def run(args: argparse.Namespace) -> int:
    """Answer `args.sql`; returns 0."""
    from loadcell.errors import UsageError

    if args.tables:
        from loadcell.report.answer import tables_text

        sys.stdout.write(tables_text())
        return 0
    if args.sql is None:
        raise UsageError(
            'give a query, as in: loadcell query "select run, state, model from runs"\n'
            "loadcell query --tables shows the tables and their columns"
        )
    if os.path.isdir(args.sql):  # noqa: PTH112 - Path's raises where the query is too long for a name
        raise UsageError(f'the query comes first, then the folders: loadcell query "select * from runs" {args.sql}')
    folders = [Path(folder) for folder in args.folders]
    with _spill() as spill:
        if args.parquet is not None:
            return _to_parquet(args.sql, folders, Path(args.parquet), spill)
        return _print(args, folders, spill)


def _print(args: argparse.Namespace, folders: list[Path], spill: Path) -> int:
    from loadcell.recording.query import ask
    from loadcell.report.answer import write_csv, write_json, write_table

    with ask(args.sql, folders, spill=spill, window_of=_window_of, warn=_warn) as answer:
        if args.csv:
            write_csv(answer, sys.stdout)
        elif args.json:
            write_json(answer, sys.stdout)
        else:
            # A file or a pipe has no width: nothing is shortened there.
            width = shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else None
            if cut := write_table(answer, sys.stdout, width, _LIMIT):
                _warn(cut)
    return 0


def _to_parquet(sql: str, folders: list[Path], path: Path, spill: Path) -> int:
    from loadcell.recording.query import ask_to_file

    rows = ask_to_file(sql, folders, path, spill=spill, window_of=_window_of, warn=_warn)
    sys.stdout.write(f"{rows:,} row{'' if rows == 1 else 's'} in {path}\n")
    return 0


def _window_of(folder: Path) -> tuple[float, float, int]:
    from loadcell.metrics import find_window
    from loadcell.recording.read import open_recording

    span = find_window(open_recording(folder))
    return span.start, span.end, span.first_request


def _warn(words: str) -> None:
    from loadcell.report.text import plain

    sys.stdout.flush()
    sys.stderr.write(f"loadcell: {plain(words, 600)}\n")


@contextmanager
def _spill() -> Iterator[Path]:
    """A folder for what does not fit into memory; Ctrl-C takes it away and ends the process at once."""
    with tempfile.TemporaryDirectory(prefix="loadcell-query-") as folder:
        told, tell = os.pipe()
        os.set_blocking(tell, False)
        watcher = threading.Thread(target=_leave_when_told, args=(told, folder), daemon=True)
        watcher.start()
        # While DuckDB is at work no handler runs in this thread: the pipe wakes the other one.
        kind = ending_signal()
        before, pipe_before = signal.signal(kind, lambda *_: None), signal.set_wakeup_fd(tell)
        try:
            yield Path(folder)
        finally:
            signal.set_wakeup_fd(pipe_before)
            signal.signal(kind, before)
            os.close(tell)
            watcher.join()
            os.close(told)


def _leave_when_told(told: int, folder: str) -> None:
    while number := os.read(told, 1):
        if number[0] in (signal.SIGINT, signal.SIGTERM):
            shutil.rmtree(folder, ignore_errors=True)
            os.write(2, b"loadcell: interrupted\n")
            os._exit(130)
