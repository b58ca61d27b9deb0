"""`loadcell mlperf curve`: points over concurrency by the rules of MLPerf Endpoints, on any endpoint, unverified."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadcell.cli.going_on import kept_folder, spec_again
from loadcell.cli.mlperf_asked import BY_RULES, given_fields
from loadcell.cli.mlperf_curve_plan import connections, data_of, plan_of, wish_of, with_api
from loadcell.cli.pages import PAGE, leave_page, wants_page
from loadcell.cli.run import add_spec_flags, read_spec
from loadcell.errors import LoadcellError, UsageError
from loadcell.recording.claim import output_folder
from loadcell.spec import Spec

if TYPE_CHECKING:
    from loadcell.mlperf.curve.model import Curve, CurvePlan, Planned, PointRun

_NOT_HERE = (*BY_RULES, "--stop-when-saturated")
_MAKES_PLAN = (
    "benchmark", "c_max", "points", "concurrency", "c_min_override", "offline", "samples", "quick", "dataset",
    "look_alike",
)  # fmt: skip
_EXAMPLES = """\
examples:
  loadcell mlperf curve http://localhost:8000 --benchmark llama3.1-8b
  loadcell mlperf curve http://localhost:8000 --benchmark deepseek-r1 \\
      --c-max 1024 --points 12 --offline dedicated
  loadcell mlperf curve http://localhost:8000 --benchmark llama3.1-8b \\
      --look-alike --quick
  loadcell mlperf curve mlperf/curve-20260101-120000 --resume

exit codes: 0 every rule that could be judged holds; 1 it could not be run;
2 wrong usage; 4 a rule does not hold, or a point is INVALID; 130 interrupted

Nothing here is an MLPerf result: every figure is unverified.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `loadcell mlperf curve`: the benchmark, the points, and the endpoint's."""
    parser.usage = "loadcell mlperf curve URL|DIR --benchmark B [flags]"
    parser.description = (
        "Measure a curve over concurrency by the rules of MLPerf Endpoints v1.0: C_max,\n"
        "its regions, 7 to 32 points, steady state; tokens/s of the system against those\nof a user."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "target", nargs="?", metavar="URL|DIR",
        help="base URL of the server; or, with --resume, the folder of a curve to go on with",
    )  # fmt: skip
    group = parser.add_argument_group("curve")
    group.add_argument("--benchmark", metavar="B", help="llama3.1-8b, gpt-oss-120b or deepseek-r1")
    group.add_argument("--c-max", metavar="N", help="declare C_max, 33 or more (default: searched for)")
    group.add_argument(
        "--points", metavar="N", help="points of the curve, 7 to 32 (default: 7; 8 if Offline is dedicated)"
    )
    group.add_argument(
        "--concurrency", metavar="A,B,...", help="the points themselves, instead of a spread over regions"
    )
    group.add_argument("--c-min-override", metavar="N", help="declare C_min, 1 to 32: one of the points")
    group.add_argument(
        "--offline", metavar="KIND",
        help="elected: the point at C_max counts as Offline (default); dedicated: the whole data set at once",
    )  # fmt: skip
    group.add_argument("--dataset", metavar="PATH", help="data set of the benchmark, a file or a folder")
    group.add_argument("--look-alike", action="store_true", help="send a few invented samples, to try things out")
    group.add_argument("--samples", metavar="N", help="use the first N samples of the data set (not comparable)")
    group.add_argument("--quick", action="store_true", help="points of seconds on 64 samples at most (not comparable)")
    group.add_argument("--output", metavar="DIR", help="folder of the curve (default: mlperf/curve-TIME)")
    group.add_argument("--resume", action="store_true", help="go on in the folder; whole points are kept")
    group.add_argument("--json", action="store_true", help="print the curve as JSON")
    group.add_argument(
        "--html", action=argparse.BooleanOptionalAction,
        help="write a page that anyone can open, report.html in its folder (default: yes; with --json only if asked)",
    )  # fmt: skip
    parser.set_defaults(lang="en")
    add_spec_flags(parser, but=_NOT_HERE)


def run(args: argparse.Namespace) -> int:
    """Search, plan, run, judge, print; see the help for the exit codes."""
    if args.target is None:
        raise UsageError(
            "name the endpoint, as in: loadcell mlperf curve http://localhost:8000 --benchmark llama3.1-8b"
        )
    from loadcell.mlperf.curve.folder import CURVE

    kept = kept_folder(args, CURVE, _MAKES_PLAN)
    with output_folder(args.target if kept else args.output, CURVE.place, "curve-") as folder:
        try:
            return _again(args, folder) if kept else _asked(args, folder)
        except KeyboardInterrupt:
            return _interrupted(args, folder)


# --- a curve ---------------------------------------------------------------------------------------------------------


def _asked(args: argparse.Namespace, folder: Path) -> int:
    """A curve that flags describe; with --resume one that was begun with the same flags."""
    from loadcell.cli.progress import show_progress
    from loadcell.mlperf.curve.folder import CURVE, PROMPTS
    from loadcell.mlperf.curve.planning import check_wish, foreseen
    from loadcell.mlperf.curve.points import chosen_tokens
    from loadcell.mlperf.datasets import write_prompts
    from loadcell.mlperf.rules import endpoints_rules

    spec = read_spec(args)
    wish = wish_of(args, given_fields(args, spec))
    check_wish(wish, endpoints_rules())
    rules, dataset = data_of(args, wish.quick)
    if dataset.api is not None and "endpoint.api" not in wish.given:
        spec = with_api(spec, dataset.api)
    cap = connections(spec)
    with CURVE.own(folder, resume=args.resume):
        write_prompts(dataset, folder / PROMPTS, max_tokens=chosen_tokens(spec, wish.given))
        head = ["C_max"]
        with show_progress(lambda: head) as watch:
            plan, made = plan_of(spec, wish, rules, dataset, folder, watch, cap)
        plan = CURVE.keep(folder, plan)
        return _carry_out(args, plan, made, folder, foreseen(plan, cap))


def _again(args: argparse.Namespace, folder: Path) -> int:
    """The curve whose plan lies in the folder."""
    from loadcell.mlperf.curve.folder import CURVE, PROMPTS

    plan = CURVE.read(folder)
    spec = spec_again(args, folder, plan.spec, PROMPTS)
    with CURVE.own(folder, resume=True):
        return _carry_out(args, plan, spec, folder, [])


def _carry_out(args: argparse.Namespace, plan: CurvePlan, spec: Spec, folder: Path, notes: Sequence[str]) -> int:
    """Run the points that are not there, show the curve."""
    from loadcell.cli.progress import say, show_progress
    from loadcell.mlperf.curve.folder import build_curve, curve_of, write_curve
    from loadcell.mlperf.curve.run import run_points
    from loadcell.selftest import known_selftest

    left = [point for point in plan.points if not (folder / point.folder).exists()]
    say(*(f"loadcell: {line}" for line in (*notes, *_times(left))))
    view = _View(plan, out=sys.stderr if args.json else sys.stdout)
    points: list[PointRun] | None = None
    why, interrupted = None, False
    with show_progress(view.head) as watch:
        try:
            points = run_points(
                plan, spec, folder, watch, view.on_begin, view.on_point, lambda line: say(f"loadcell: {line}"),
                selftest=known_selftest(spec.endpoint.url.startswith("https")),
            )  # fmt: skip
        except KeyboardInterrupt:
            interrupted = True
        except LoadcellError as error:
            why = error
    curve = build_curve(folder, plan) if points is None else curve_of(plan, points)
    write_curve(folder, curve)
    _show(args, curve, folder)
    if curve.points and wants_page(args):
        leave_page(args, lambda _: _page(curve, folder))
    if interrupted:
        return _interrupted(args, folder)
    if why is not None:
        sys.stderr.write(f"loadcell: {why}\n")
        return why.exit_code
    wrong = any(finding.ok is False for finding in curve.findings)
    return 4 if wrong or any(one.instrument == "INVALID" for one in curve.points) else 0


def _page(curve: Curve, folder: Path) -> Path:
    from loadcell.report.files import write_text
    from loadcell.report.page.curve import curve_page

    return write_text(folder / PAGE, curve_page(curve, source=str(folder)))


def _show(args: argparse.Namespace, curve: Curve, folder: Path) -> None:
    if args.json:
        import msgspec

        sys.stdout.write(msgspec.json.format(msgspec.json.encode(curve), indent=2).decode() + "\n")
        return
    from loadcell.cli.terminal import Terminal
    from loadcell.report.mlperf_curve import print_curve

    print_curve(curve, Terminal(), folder)


def _interrupted(args: argparse.Namespace, folder: Path) -> int:
    from loadcell.mlperf.curve.folder import CURVE

    if CURVE.there(folder):
        sys.stderr.write(f"loadcell: interrupted; to go on: {CURVE.again(folder)}\n")
    else:
        again = "give the same command with" + ("" if args.resume else " --resume") + f" --output {folder}"
        sys.stderr.write(f"loadcell: interrupted in the search for C_max; to go on: {again}\n")
    return 130


# --- what is shown meanwhile -----------------------------------------------------------------------------------------


def _times(points: Sequence[Planned]) -> list[str]:
    """The points that are to be run, with the time that they will take."""
    from loadcell.mlperf.curve.planning import total_s
    from loadcell.report.lines import span_words

    if not points:
        return []
    shown = ", ".join(f"{p.concurrency}{' (Offline)' if p.offline == 'dedicated' else ''}" for p in points)
    total = total_s(points)
    longest = max(points, key=lambda point: point.eta_s or 0.0)
    lines = [f"{len(points)} points to run, at concurrency {shown}"]
    if total is not None:
        lines.append(
            f"about {span_words(total)} in all; the longest is that at {longest.concurrency} with "
            f"{span_words(longest.eta_s)} ({longest.requests or 0:,} requests)"
        )
    return lines


class _View:
    """What stands before the progress, and a line for each point that ended."""

    def __init__(self, plan: CurvePlan, out: Any) -> None:
        self._plan, self._out = plan, out
        self._now: Planned | None = None
        self._ended = 0
        self._begun_s = 0.0

    def on_begin(self, planned: Planned) -> None:
        self._now, self._begun_s = planned, time.monotonic()

    def on_point(self, one: PointRun) -> None:
        from loadcell.cli.progress import say
        from loadcell.report.mlperf_curve import point_line

        self._ended += 1
        say()  # what is shown of the load goes first
        self._out.write(point_line(one) + "\n")
        self._out.flush()

    def head(self) -> Sequence[str]:
        """Point, concurrency, and the time that is left for all."""
        if self._now is None:
            return []
        later = [point.eta_s for point in self._plan.points[self._ended + 1 :]]
        parts = [f"point {self._ended + 1}/{len(self._plan.points)}", f"{self._now.concurrency} users"]
        if self._now.eta_s is not None and None not in later:
            spent = time.monotonic() - self._begun_s
            left = max(self._now.eta_s - spent, 0.0) + sum(eta for eta in later if eta is not None)
            parts.append(f"all in {left / 60:.0f} min" if left >= 120 else f"all in {left:.0f} s")
        return parts
