"""`loadcell check`: gates for CI that answer PASS, FAIL or INCONCLUSIVE, each with an exit code of its own."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.cli.compare import GATED
from loadcell.cli.duel import begin, fight, models_of, specs_of, usual_turn, whole_number
from loadcell.cli.pages import add_lang, check_lang, words_of
from loadcell.errors import LoadcellError, UsageError
from loadcell.recording.claim import claimed, output_folder

if TYPE_CHECKING:
    from loadcell.compare.build import InvalidSideError
    from loadcell.compare.check import Check
    from loadcell.compare.gates import Bound
    from loadcell.compare.model import Comparison, Noise
    from loadcell.spec import Spec

CODES = {"PASS": 0, "FAIL": 6, "INCONCLUSIVE": 5}
SUMMARY = "GITHUB_STEP_SUMMARY"
"""The environment variable that names the file of a job's summary on GitHub."""
FILE = "check.json"
_MOST = "30m"
_NOT_HERE = ("--requests", "--duration", "--warmup", "--stop-when-saturated", "--keep-load", "--also")
_ABOUT = """\
Is URL worse than BASE by more than it may be? PASS: the data exclude it. FAIL:
they show it. INCONCLUSIVE: neither, and how many requests or repeats would do.
A BASE that is a URL gets the same requests in turns (see loadcell duel); their
number follows from a pilot and is said before the load, with the time it takes.
A recorded BASE (a recording, a folder of repeats, saved JSON) is set against
runs of URL: one of each cannot see what differs between restarts, so it takes
repeats on both sides, or --noise, for an answer."""
_EPILOG = """\
gates: METRIC.STAT, > or <, signed bound, unit: "ttft.p99>+5%" fails if p99 TTFT
is more than 5 % worse. Shares take points, as in "failed.share>+1points". More
failures than on BASE never pass unsaid, whatever the gates are about.
  {measures}

exit codes: 0 PASS; 6 FAIL; 5 INCONCLUSIVE; 1 a side cannot be asked or read;
2 wrong usage; 4 INVALID: the client could not measure; 130 interrupted

examples:
  loadcell check http://new:8000 --spec chat.yaml --against http://old:8000 \\
      --fail-if "ttft.p99>+5%" --fail-if "output_tokens_per_s.mean<-3%"
  loadcell check http://new:8000 --against runs/main --repeats 5 \\
      --fail-if "e2e.geomean>+2%" --junit check.xml
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    from loadcell.cli.run import add_spec_flags

    parser.usage = 'loadcell check URL --against BASE --fail-if "METRIC.STAT>+P%%" [flags]'
    parser.description = _ABOUT
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG.format(measures=GATED)
    parser.add_argument("url", metavar="URL", help="base URL of what is checked")
    check = parser.add_argument_group("check")
    check.add_argument("--against", metavar="BASE", required=True, help="a URL, a recording, repeats, or saved JSON")
    check.add_argument(
        "--fail-if", action="append", default=[], metavar="EXPR", help='a gate, as in "ttft.p99>+5%%" (repeatable)'
    )
    check.add_argument(
        "--requests", metavar="N", help="at most so many a side (of runs: so many each); default: as many as it takes"
    )
    check.add_argument(
        "--max-time", metavar="T", default=_MOST, help=f"turns after the pilot take no longer (default: {_MOST})"
    )
    check.add_argument("--turn", metavar="N", help="the least requests of a turn (default: as of loadcell duel)")
    check.add_argument("--repeats", metavar="N", help="runs of URL against a recorded BASE (default: as BASE has)")
    check.add_argument(
        "--noise", metavar="DIR", help="repeats of the same thing, 3 or more: their spread stands for restarts"
    )
    check.add_argument("--junit", metavar="FILE", help="write a JUnit report, a test case a gate")
    check.add_argument(
        "--summary", metavar="FILE", help=f"append it as Markdown (also to ${SUMMARY} where that is set)"
    )
    check.add_argument("--json", action="store_true", help="print the answer as JSON")
    add_spec_flags(parser, but=_NOT_HERE).add_argument(
        "--output", metavar="DIR", help="folder of all that is recorded (default: checks/TIME)"
    )
    add_lang(parser)


def run(args: argparse.Namespace) -> int:
    """Run the check and print its answer. Returns as CODES; 4 if nothing can be trusted; 130 if stopped."""
    from loadcell.cli.target import is_url
    from loadcell.spec.notation import parse_duration_s

    check_lang(args)
    reached = is_url(args.against, "recording, folder of repeats or saved result")
    bounds = _bounds(args, reached)
    parse_duration_s(args.max_time, "--max-time")
    for flag in ("requests", "turn", "repeats"):
        whole_number(getattr(args, flag), f"--{flag}")
    if reached and args.repeats is not None:
        raise UsageError("--repeats goes with a recorded BASE; a BASE that is a URL is asked in turns")
    _writable(args)
    with output_folder(args.output, "checks") as folder:
        start = time.monotonic()
        try:
            with claimed(folder):
                found = _by_turns(args, bounds, folder) if reached else _by_runs(args, bounds, folder)
        except (LoadcellError, KeyboardInterrupt) as error:
            why = str(error).partition("\n")[0] or "interrupted"  # its advice is about compare
            _no_answer(args, [bound.expression for bound in bounds], why, time.monotonic() - start)
            if isinstance(error, KeyboardInterrupt):
                raise
            raise _Ended(error.exit_code, why) from None
        _tell(args, found, folder, time.monotonic() - start)
    return CODES[found.word]


def _bounds(args: argparse.Namespace, reached: bool) -> list[Bound]:
    """The gates, read; UsageError for one that no load could answer."""
    from loadcell.compare import parse_gate

    if not args.fail_if:
        raise UsageError('give a gate, as in: --fail-if "ttft.p99>+5%"')
    bounds = [parse_gate(text) for text in args.fail_if]
    for bound in bounds:
        if not bound.bound:
            raise UsageError(
                f"--fail-if {bound.expression!r}: no number of requests excludes a difference above 0; give it a margin"
            )
        if reached and (bound.measure.metric in ("itl", "sessions_per_s", "session_time")):
            raise UsageError(f"--fail-if {bound.expression!r}: turns tell no {bound.measure.title}; name tpot or e2e")
    return bounds


def _writable(args: argparse.Namespace) -> None:
    """UsageError for a report that could not be written, before the load and not after it."""
    for flag, name in (("--junit", args.junit), ("--summary", args.summary)):
        if name is not None and (Path(name).is_dir() or not Path(name).absolute().parent.is_dir()):
            raise UsageError(f"{flag} {name}: name a file in a folder that is there")


# --- both ends reached -----------------------------------------------------------------------------------------------


class _Ended(LoadcellError):
    """A duel that did not come to its end."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.exit_code = code


def _by_turns(args: argparse.Namespace, bounds: Sequence[Bound], folder: Path) -> Check:
    """Pilot, plan, duel, answer; a pilot that answers already is all."""
    import msgspec

    from loadcell.compare.check import most as most_of
    from loadcell.compare.needed import pilot, planned

    args.a, args.b, args.set_b = args.against, args.url, None
    specs, noise = specs_of(args, endless=True), _noise(args)
    if not any(msgspec.structs.astuple(specs["A"].slo)) and any(
        bound.measure.metric == "slo_attainment" for bound in bounds
    ):
        raise UsageError("a gate on slo_attainment needs limits: give --slo, or slo in the spec")
    models = models_of(specs)
    turn = whole_number(args.turn, "--turn") or usual_turn(specs["A"])
    most = whole_number(args.requests, "--requests")
    length, couples = pilot(bounds, turn)
    if most is not None and most <= length * couples:
        length, couples = turn, max(2, 2 * -(-most // (2 * turn)))
        _say(f"{length * couples:,} requests a side, without a pilot: whether they are enough is found from themselves")
        _duel(specs, models, length, couples, folder / "duel")
        return _answer(folder / "duel", _told(folder / "duel"), bounds, None, noise)
    _say(f"pilot: {length * couples:,} requests a side in {2 * couples} turns, to find how many are needed")
    start = time.monotonic()
    _duel(specs, models, length, couples, folder / "pilot")
    spent = time.monotonic() - start
    told = _told(folder / "pilot")
    each = [] if isinstance(told, LoadcellError) else planned(bounds, told.pairs[0].changes, _compared(told))
    first, needs = _answer(folder / "pilot", told, bounds, each, noise), most_of(each)
    if needs is None or needs <= length * couples or first.word != "INCONCLUSIVE":
        return first  # it was enough, or the difference is so large that it is seen already
    chosen, says = _plan(args, needs, turn, _cost(folder / "pilot", spent, length, couples), most)
    _say(says)
    _duel(_unseen(specs, couples), models, *chosen, folder / "duel")
    return _answer(folder / "duel", _told(folder / "duel"), bounds, each, noise)


def _compared(told: Comparison) -> int:
    """Requests a side that a duel's figures rest on."""
    return told.duel.turn * told.duel.couples if told.duel is not None else 0


def _plan(
    args: argparse.Namespace, needs: int, turn: int, cost: tuple[float, float], most: int | None
) -> tuple[tuple[int, int], str]:
    """((requests of a turn, turns a side) that will be sent, what is said of them before).

    As many as are needed, else the most that --requests and --max-time allow. `cost`: see `_cost`.
    """
    from loadcell.compare.needed import COUPLES, layout
    from loadcell.report.view.traces import duration
    from loadcell.spec.notation import parse_duration_s

    limit, (idle_s, each_s) = parse_duration_s(args.max_time, "--max-time"), cost

    def takes(length: int, pairs: int) -> float:
        return 2 * pairs * (idle_s + length * each_s)

    whole = layout(needs, turn)
    fewer = [layout(max(1, needs * k // 100), turn) for k in range(99, 0, -1)]
    fewer += [(turn, pairs) for pairs in range(COUPLES[0], 0, -2)]
    within = [one for one in [whole, *fewer] if takes(*one) <= limit and one[0] * one[1] <= (most or math.inf)]
    chosen = within[0] if within else (turn, 2)
    about = f"about {duration(takes(*chosen))}"
    if chosen == whole:
        return chosen, f"plan: {needs:,} requests a side give an answer in 19 of 20 checks; {about}"
    which = f"--max-time {args.max_time}" if takes(*whole) > limit else f"--requests {most}"
    return chosen, (
        f"plan: an answer needs {needs:,} requests a side, about {duration(takes(*whole))}; {which} allows "
        f"{chosen[0] * chosen[1]:,}, {about}, which tell a large difference only"
    )


def _cost(pilot: Path, spent_s: float, turn: int, couples: int) -> tuple[float, float]:
    """(seconds of a turn without load, seconds of each request in it), as the pilot's turns took."""
    import numpy as np

    from loadcell.recording.read import open_recording

    loads = []
    for path in pilot.glob("*-[AB]"):
        rows = open_recording(path).requests(("send_start_ns", "end_ns"))
        loads.append((np.nanmax(rows["end_ns"]) - np.nanmin(rows["send_start_ns"])) / 1e9 if len(rows["end_ns"]) else 0)
    load_s = float(np.mean(loads))
    return max(0.0, spent_s / (2 * couples) - load_s), load_s / turn


def _unseen(specs: dict[str, Spec], couples: int) -> dict[str, Spec]:
    """The specs with other requests than the pilot's: a cache may know those."""
    import msgspec

    return {
        side: msgspec.structs.replace(spec, run=msgspec.structs.replace(spec.run, seed=spec.run.seed + couples))
        for side, spec in specs.items()
    }


def _duel(specs: dict[str, Spec], models: list[str], turn: int, couples: int, folder: Path) -> None:
    from loadcell.compare import DUEL

    folder.mkdir()
    with DUEL.own(folder, resume=True):
        ended = fight(begin(specs, models, turn, couples, folder), specs, folder)
    if ended is not None:
        raise _Ended(ended.code, f"no answer: {ended.why}; what was recorded is in {folder}")


def _told(folder: Path) -> Comparison | InvalidSideError:
    """What a duel tells; why it tells nothing where most turns are INVALID."""
    from loadcell.compare import compare_duel
    from loadcell.compare.build import InvalidSideError

    try:
        return compare_duel(folder)
    except InvalidSideError as error:
        return error


def _answer(
    folder: Path,
    told: Comparison | InvalidSideError,
    bounds: Sequence[Bound],
    announced: Sequence[int | None] | None,
    noise: Noise | None,
) -> Check:
    """What a duel answers. Where it tells nothing: FAIL if more of B's requests failed, else it is the error."""
    from loadcell.compare.check import check_turns, failures_of, void_check

    a, b = (sorted(path.parent for path in folder.glob(f"*-{side}/recording.json")) for side in "AB")
    failures = failures_of(a, b)
    if not isinstance(told, LoadcellError):
        return check_turns(told, bounds, failures, announced=announced, noise=noise)
    void = void_check(bounds, failures, str(told).partition("\n")[0])
    if void.word != "FAIL":
        raise told
    return void


def _noise(args: argparse.Namespace) -> Noise | None:
    from loadcell.compare.noise import check_repeats, noise_floor
    from loadcell.compare.sides import open_runs

    if args.noise is None:
        return None
    repeats = open_runs(Path(args.noise))
    check_repeats(repeats)
    return noise_floor(repeats)


# --- against what was recorded ---------------------------------------------------------------------------------------


def _by_runs(args: argparse.Namespace, bounds: Sequence[Bound], folder: Path) -> Check:
    """Runs of URL, set against those of BASE."""
    from loadcell.cli.run import read_spec, run_once
    from loadcell.compare import compare_sides
    from loadcell.compare.build import refuse_invalid
    from loadcell.compare.check import check_runs, failures_told
    from loadcell.compare.noise import check_repeats
    from loadcell.compare.sides import open_runs, open_side
    from loadcell.spec import with_fields

    baseline, repeats = open_side("A", Path(args.against)), open_runs(Path(args.noise)) if args.noise else []
    if repeats:
        check_repeats(repeats)
    refuse_invalid([*baseline.runs, *repeats])  # before the load, not after it
    count = whole_number(args.repeats, "--repeats") or len(baseline.runs)
    args.target = args.url
    spec = read_spec(args)
    if args.requests is not None:
        spec = with_fields(spec, {"load.requests": int(args.requests), "load.duration_s": None})
    for number in range(1, count + 1):
        again = with_fields(spec, {"run.repetition": spec.run.repetition + number - 1})
        result, _ = run_once(
            again, folder / str(number), None, spoken=not args.json, head=(f"run {number} of {count}",)
        )
        if result.run.state == "interrupted":
            raise _Ended(130, f"no answer: run {number} of {count} was interrupted")
    sides = [baseline, open_side("B", folder if count > 1 else folder / "1")]
    found = compare_sides(sides, noise=[Path(args.noise)] if args.noise else [])
    return check_runs(found, bounds, failures_told(*sides))


# --- what it tells ---------------------------------------------------------------------------------------------------


def _say(words: str) -> None:
    sys.stderr.write(f"loadcell: {words}\n")
    sys.stderr.flush()


def _tell(args: argparse.Namespace, found: Check, folder: Path, took_s: float) -> None:
    """Print the answer, and write it in the forms that were asked for."""
    from loadcell.report.check import check_markdown, junit, print_check
    from loadcell.report.files import write_text
    from loadcell.report.tables import to_json

    words = words_of(args)
    write_text(folder / FILE, to_json(found).decode())
    if args.json:
        sys.stdout.write(to_json(found).decode())
    else:
        from loadcell.cli.terminal import Terminal

        print_check(found, Terminal(), words)
        sys.stdout.write(f" Recorded in {folder}\n")
    if args.junit is not None:
        write_text(Path(args.junit), junit(found, took_s))
    _summarize(args, check_markdown(found, words))


def _summarize(args: argparse.Namespace, text: str) -> None:
    """Append Markdown to the files that were asked for, and to the job's own."""
    for name in dict.fromkeys(filter(None, (args.summary, os.environ.get(SUMMARY)))):
        try:
            with Path(name).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:  # the answer stands, and so does its exit code
            _say(f"the summary could not be written to {name}: {error.strerror}")


def _no_answer(args: argparse.Namespace, gates: Sequence[str], why: str, took_s: float) -> None:
    """The reports of a check that came to no answer: a pipeline that shows them shows why."""
    from loadcell.report.check import junit_error, markdown_error
    from loadcell.report.files import write_text

    _summarize(args, markdown_error(why.removeprefix("no answer: "), words_of(args)))
    if args.junit is not None:
        write_text(Path(args.junit), junit_error(gates, why, took_s))
