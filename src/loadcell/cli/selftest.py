"""`loadcell selftest`: what this machine, as a client, can measure, and how wrong it is then."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.errors import RecordingError, UsageError

if TYPE_CHECKING:
    from loadcell.load import Progress
    from loadcell.metrics import Rung, SelfTest
    from loadcell.selftest.ladder import Step
    from loadcell.selftest.measure import Watch

_BUSY = 0.5
"""Load average a core, above which others are at work."""
_EXAMPLES = """\
examples:
  loadcell selftest            about a minute, on an idle machine
  loadcell selftest --quick
  loadcell selftest --list     what is kept already

Runs show the bias that the kept self-test found at a load like theirs. It is
kept under $XDG_STATE_HOME/loadcell (default: ~/.local/state) for this CPU, its
cores, kernel, Python and version of loadcell, with and without TLS, and for the
form of its hot path: compiled, or in Python (LOADCELL_NATIVE=no).

exit codes: 0 done, whatever was found; 1 it could not be measured; 2 wrong
usage; 130 interrupted
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `loadcell selftest`."""
    parser.description = (
        "Load the embedded engine, in a process of its own on this machine, heavier and\n"
        "heavier, and hold what is reported against what the engine knows of the same\n"
        "requests."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument("--quick", action="store_true", help="few and short loads, measured once: about 15 s")
    parser.add_argument("--workers", type=int, metavar="N", help="load processes (default: as a run chooses them)")
    parser.add_argument("--tls", action="store_true", help="speak TLS to the engine")
    parser.add_argument("--output", metavar="DIR", help="keep the recordings in this folder")
    parser.add_argument("--json", action="store_true", help="print the self-test as JSON")
    parser.add_argument("--list", action="store_true", help="measure nothing: show what is kept")


def run(args: argparse.Namespace) -> int:
    """Measure, print and keep; 0 then, whatever was found. Nothing is kept of a self-test that was interrupted."""
    if args.list:
        return _list(args.json)
    if args.workers is not None and args.workers < 1:
        raise UsageError(f"--workers {args.workers}: give 1 or more")
    output = Path(args.output) if args.output else None
    from loadcell.recording.claim import refuse_files
    from loadcell.selftest import run_selftest

    if output is not None:
        refuse_files(output)

    warn_if_busy()
    with ended_by_signals(), _progress() as watch:
        selftest = run_selftest(args.quick, args.workers, args.tls, output, watch)
    said = _keep(selftest)
    if args.json:
        from loadcell.report.tables import to_json

        sys.stdout.write(to_json(selftest).decode())
        sys.stderr.write(f"{said}\n")
    else:
        _print(selftest)
        sys.stdout.write(f"\n{said}\n")
    return 0


def warn_if_busy() -> None:
    """Say so where others use the cores: their doing would be taken for this machine's limits."""
    from loadcell.load.host import allowed_cores

    load, cores = os.getloadavg()[0], len(allowed_cores()) or os.cpu_count() or 1
    if load > _BUSY * cores:
        sys.stderr.write(
            f"This machine is busy (load average {load:.1f} on {cores} cores): idle, it can measure more.\n"
        )


def _print(selftest: SelfTest) -> None:
    from loadcell.cli.terminal import Terminal
    from loadcell.report.render.terminal import show
    from loadcell.report.view.selftest import selftest_section
    from loadcell.selftest.limits import level

    show([selftest_section(selftest, [level(rung) for rung in selftest.rungs])], Terminal())


def _keep(selftest: SelfTest) -> str:
    """Keep it; what became of it, in words."""
    from loadcell.selftest import keep_selftest, known_selftest

    before = known_selftest(selftest.tls)
    if selftest.quick and before and before.get("quick") is False:
        return f"Not kept: that of {before.get('measured_at')} is a full one."
    try:
        return f"Kept for the runs of this machine: {keep_selftest(selftest)}"
    except RecordingError as error:
        return f"Not kept, runs will not know of it: {error}"


def _list(as_json: bool) -> int:
    from loadcell.report.render.terminal import show
    from loadcell.report.tables import to_json
    from loadcell.report.view.selftest import stored_section
    from loadcell.selftest import state_folder, stored_selftests
    from loadcell.selftest.store import file_of, this_machine

    found = stored_selftests()
    if as_json:
        sys.stdout.write(to_json([selftest for _, selftest in found]).decode())
    elif not found:
        sys.stdout.write(f"No self-test is kept in {state_folder()}. To make one: loadcell selftest\n")
    else:
        from loadcell.cli.terminal import Terminal

        own = {file_of(this_machine(tls)) for tls in (False, True)}
        show([stored_section(found, own)], Terminal())
    return 0


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Termination and a closed terminal end it as Ctrl-C does, so that no engine is left behind."""
    kinds = [kind for kind in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(kind) != signal.SIG_IGN]  # nohup
    before = [signal.signal(kind, signal.default_int_handler) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


@contextmanager
def _progress() -> Iterator[Watch]:
    """Shows each load on standard error: as it goes on a terminal, and what was found of it anywhere."""
    from loadcell.cli.liveview import log_line
    from loadcell.metrics import Rung, engine_full
    from loadcell.selftest.limits import LEVELS, level

    terminal = sys.stderr.isatty()
    start = "\r\x1b[K" if terminal else ""

    def watch(step: Step, now: Progress | Rung) -> None:
        if isinstance(now, Rung):
            kept = level(now)
            within = "the engine is full" if engine_full(now) else f"not within {LEVELS[-1]} %"
            within = f"within {kept} %" if kept else within
            sys.stderr.write(f"{start}{step.name}: {now.tokens_per_s:,.0f} tokens/s, {within}\n")
        elif terminal:
            sys.stderr.write(f"{start}{log_line(now, [step.name], 79)}")
        sys.stderr.flush()

    try:
        yield watch
    finally:
        if terminal:
            sys.stderr.write(start)
            sys.stderr.flush()
