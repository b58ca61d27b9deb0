"""`loadcell watch`: the same load again and again, its history, and what changed."""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadcell.errors import EndpointError, RecordingError, UsageError
from loadcell.recording.claim import claimed, output_folder

if TYPE_CHECKING:
    from loadcell.cli.watch_tell import Event, Page
    from loadcell.compare.history import Judging, Shift
    from loadcell.metrics import Result
    from loadcell.spec import Spec

_ABOUT = """\
Run the same load again and again, keep every figure in one DuckDB file, and say
when one has changed for good: TTFT, TPOT, E2E, tokens/s, failures, attainment."""
_EPILOG = """\
A change is found by sequential ranks, so its rate of false alarms holds
whatever law the figures follow, as long as rounds do not depend on each other:
a daily rhythm is a change too. Rounds of another load or endpoint, INVALID
ones and those that failed are kept, and not judged.

exit codes: 0 done, nothing changed; 1 the last round failed; 2 wrong usage;
4 all rounds were INVALID; 6 a figure changed; 130 interrupted

examples:
  loadcell watch http://localhost:8000 --every 10m --duration 30s
  loadcell watch http://localhost:8000 --every 1h --spec a.yaml --until-change
  loadcell watch http://localhost:8000 --every 10m --webhook https://hooks.io/x
  duckdb watch.duckdb "from figures where name = 'ttft.p99' order by round"
"""
_LEAST_EVERY_S = 1.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    from loadcell.cli.run import add_spec_flags

    parser.usage = "loadcell watch [URL|RESULT] --every TIME [flags]"
    parser.description = _ABOUT
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("target", nargs="?", metavar="URL|RESULT", help="as of `loadcell run`")
    watch = parser.add_argument_group("watch")
    watch.add_argument("--every", metavar="TIME", required=True, help="from the start of one round to that of the next")
    watch.add_argument("--times", metavar="N", help="end after so many rounds (default: Ctrl-C ends it)")
    watch.add_argument("--until-change", action="store_true", help="end with 6 once a figure has changed")
    watch.add_argument(
        "--file",
        metavar="FILE",
        default="watch.duckdb",
        help="its history, gone on with (default: %(default)s)",
    )
    watch.add_argument(
        "--false-alarm", metavar="N", default="1000", help="rounds with one, on average (default: %(default)s)"
    )
    watch.add_argument(
        "--min-effect",
        metavar="SHARE",
        default="5%",
        help="least change that matters (default: 5%%; of shares a fifth)",
    )
    watch.add_argument("--webhook", metavar="URL", help="POST a JSON there when a figure changed or a round failed")
    watch.add_argument("--port", metavar="N", help="serve a Prometheus page of the last round at /metrics")
    watch.add_argument("--host", metavar="H", default="127.0.0.1", help="address for it (default: %(default)s)")
    watch.add_argument(
        "--keep", metavar="N", default="20", help="recordings to keep: the last N (default: %(default)s)"
    )
    watch.add_argument("--output", metavar="DIR", help="folder for recordings (default: watches/TIME)")
    watch.add_argument("--json", action="store_true", help="print a line of JSON a round")
    add_spec_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Watch until an end that was asked for; returns the exit code."""
    from loadcell.cli.compare import parse_share
    from loadcell.cli.replay import find_recorded
    from loadcell.cli.run import read_spec
    from loadcell.cli.watch_tell import Page, check_webhook
    from loadcell.compare.history import Judging, history
    from loadcell.spec import parse_duration_s

    every_s = parse_duration_s(args.every, "--every")
    if every_s < _LEAST_EVERY_S:
        raise UsageError(f"--every {args.every}: give {_LEAST_EVERY_S:g} s at least")
    times = None if args.times is None else _number(args.times, "--times", 1)
    judging = Judging(_number(args.false_alarm, "--false-alarm", 10), parse_share(args.min_effect))
    keep = _number(args.keep, "--keep", 1)
    port = None if args.port is None else _number(args.port, "--port", 0)
    check_webhook(args.webhook)
    spec = read_spec(args, find_recorded(args.target))
    with (
        output_folder(args.output, "watches") as folder,
        claimed(folder),
        nullcontext() if port is None else Page(args.host, port) as page,
    ):
        with history(Path(args.file)):  # what is wrong with the file is said before the first load
            pass
        _begin(spec, args, every_s, judging, page)
        return _rounds(spec, args, folder, every_s, times, judging, keep, page)


def _rounds(
    spec: Spec,
    args: argparse.Namespace,
    folder: Path,
    every_s: float,
    times: int | None,
    judging: Judging,
    keep: int,
    page: Page | None,
) -> int:
    from loadcell.cli.watch_tell import tell

    turns, done, changed, failed, judged = _turns(every_s), 0, False, False, False
    try:
        while times is None or done < times:
            event = _round(spec, Path(args.file), folder, judging, failed)
            done, failed = done + 1, event.why is not None
            changed, judged = changed or bool(event.changes), judged or event.judged
            tell(event, page, args.webhook, as_json=args.json)
            _forget(folder, event.number - keep)
            if event.interrupted:
                return 130
            if event.changes and args.until_change:
                break
            if times is None or done < times:
                next(turns)
    except KeyboardInterrupt:
        sys.stderr.write("loadcell: interrupted; the same command goes on with the history\n")
        return 130
    if not (changed or failed or judged):
        sys.stderr.write("loadcell: no round could be judged: the client could not measure in any\n")
        return 4
    return 6 if changed else 1 if failed else 0


def _round(spec: Spec, file: Path, folder: Path, judging: Judging, failed: bool) -> Event:
    """One load, and what it shows with those before it."""
    import msgspec

    from loadcell.cli.run import run_once
    from loadcell.cli.watch_tell import Event
    from loadcell.compare.history import begin_round, find_changes, keep, keep_failure
    from loadcell.secrets import bare_urls

    at = datetime.now(UTC).isoformat()
    with _opened(file) as database:
        number = begin_round(database, at, bare_urls(spec.endpoint.url))
    place = folder / str(number)
    repeated = msgspec.structs.replace(spec.run, repetition=spec.run.repetition + number - 1)
    result: Result | None = None
    changes: list[Shift] = []
    why = None
    try:
        result, _ = run_once(msgspec.structs.replace(spec, run=repeated), place, None, silent=True, spoken=False)
    except (EndpointError, RecordingError) as error:
        why = str(error)
    if result is not None and result.run.state == "interrupted":
        with _opened(file) as database:
            keep_failure(database, number, "interrupted")
        return Event(number, at, spec.endpoint.url, result, [], None, was_down=failed, interrupted=True)
    if result is not None and not result.counts.run.ok:
        why = result.errors[0].sample or result.errors[0].kind if result.errors else "no request succeeded"
    with _opened(file) as database:
        if result is None or why is not None:
            keep_failure(database, number, why or "")
        else:
            keep(database, number, result, str(place))
            changes = find_changes(database, number, judging)
    return Event(number, at, spec.endpoint.url, result, changes, why, was_down=failed)


def _opened(file: Path) -> Any:
    """The history, whoever reads it just now: a round that was measured is not thrown away for that."""
    from loadcell.compare.history import history

    def say(words: str) -> None:
        sys.stderr.write(f"loadcell: {words}\n")

    return history(file, math.inf, say)


def _turns(every_s: float) -> Iterator[None]:
    """Waits, each until the next round is due; those missed because one took longer are left out, and said."""
    began, last = time.monotonic(), 0
    while True:
        past = time.monotonic() - began
        turn = int(past // every_s) + 1
        if turn > last + 1:
            sys.stderr.write(f"loadcell: a round took longer than --every: {turn - last - 1} left out\n")
        last = turn
        time.sleep(max(0.0, turn * every_s - past))
        yield


def _forget(folder: Path, until: int) -> None:
    """Take away the recordings of rounds up to a number; the history keeps their figures."""
    for old in folder.iterdir():
        if old.name.isdecimal() and int(old.name) <= until:
            shutil.rmtree(old)


def _begin(spec: Spec, args: argparse.Namespace, every_s: float, judging: Judging, page: Page | None) -> None:
    from loadcell.secrets import bare_urls

    days = judging.rounds * every_s / 86400
    when = f"{days:.1f} days" if days >= 1 else f"{days * 24:.1f} h"
    sys.stderr.write(
        f"watching {bare_urls(spec.endpoint.url)} every {args.every}; history: {args.file}\n"
        f"a change: {100 * judging.least:g} % or more, at most one false alarm in {judging.rounds:,} rounds ({when}) "
        "on average, if rounds do not depend on each other\n"
        + ("" if page is None else f"Prometheus page: {page.url}\n")
    )


def _number(text: str, flag: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise UsageError(f"{flag} {text!r}: write a whole number from {least}")
    return int(text)
