"""`loadcell mlperf curve`: points over concurrency by the rules of MLPerf Endpoints, on any endpoint, unverified."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadcell.cli.going_on import kept_folder, spec_again
from loadcell.cli.mlperf_asked import BY_RULES, given_fields, number, print_json
from loadcell.cli.pages import PAGE, leave_page, wants_page
from loadcell.cli.run import add_spec_flags, read_spec
from loadcell.errors import LoadcellError, UsageError
from loadcell.recording.claim import output_folder
from loadcell.spec import Spec, with_fields

if TYPE_CHECKING:
    from loadcell.load.fleet import Watch
    from loadcell.mlperf.curve.model import Curve, CurvePlan, Offline, Peak, PeakStage, PlannedPoint, PointRun
    from loadcell.mlperf.curve.planning import CurveWish
    from loadcell.mlperf.datasets import Dataset
    from loadcell.mlperf.model import Rules

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
    from loadcell.mlperf.datasets import write_prompts
    from loadcell.mlperf.rules import endpoints_rules
    from loadcell.mlperf.settings import chosen_tokens

    spec = read_spec(args)
    wish = _wish_of(args, given_fields(args, spec))
    check_wish(wish, endpoints_rules())
    rules, dataset = _data_of(args, wish.quick)
    if dataset.api is not None and "endpoint.api" not in wish.given:
        spec = with_fields(spec, {"endpoint.api": dataset.api})
    cap = _connections(spec)
    with CURVE.own(folder, resume=args.resume):
        write_prompts(dataset, folder / PROMPTS, max_tokens=chosen_tokens(spec, wish.given))
        head = ["C_max"]
        with show_progress(lambda: head) as watch:
            plan, made = _plan_of(spec, wish, rules, dataset, folder, watch, cap)
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
    from loadcell.report.mlperf import curve_page

    return write_text(folder / PAGE, curve_page(curve, source=str(folder)))


def _show(args: argparse.Namespace, curve: Curve, folder: Path) -> None:
    if args.json:
        print_json(curve)
        return
    from loadcell.cli.terminal import Terminal
    from loadcell.report.mlperf import print_curve

    print_curve(curve, Terminal(), folder)


def _interrupted(args: argparse.Namespace, folder: Path) -> int:
    from loadcell.mlperf.curve.folder import CURVE

    if CURVE.there(folder):
        sys.stderr.write(f"loadcell: interrupted; to go on: {CURVE.again(folder)}\n")
    else:
        again = "give the same command with" + ("" if args.resume else " --resume") + f" --output {folder}"
        sys.stderr.write(f"loadcell: interrupted in the search for C_max; to go on: {again}\n")
    return 130


# --- what is asked for ----------------------------------------------------------------------------------------------


def _wish_of(args: argparse.Namespace, given: set[str]) -> CurveWish:
    from loadcell.mlperf.curve.planning import CurveWish

    kinds: dict[str, Offline] = {"elected": "elected", "dedicated": "dedicated"}
    if (kind := args.offline or "elected") not in kinds:
        raise UsageError(f"--offline {kind!r}: write elected or dedicated")
    return CurveWish(
        c_max=number(args.c_max, "--c-max", int),
        points=number(args.points, "--points", int),
        concurrencies=tuple(number(part, "--concurrency", int) for part in (args.concurrency or "").split(",") if part),
        c_min_override=number(args.c_min_override, "--c-min-override", int),
        offline=kinds[kind],
        quick=args.quick,
        given=given,
    )


def _data_of(args: argparse.Namespace, quick: bool) -> tuple[Rules, Dataset]:
    """The rules of the benchmark that a curve shares with MLPerf Inference, and its data set."""
    import msgspec

    from loadcell.mlperf.curve.planning import QUICK_SAMPLES
    from loadcell.mlperf.curve.points import benchmark_of
    from loadcell.mlperf.datasets import find_dataset
    from loadcell.mlperf.rules import find_rules

    if args.benchmark is None:
        raise UsageError("say which --benchmark, as in --benchmark llama3.1-8b")
    rules = find_rules(None, args.benchmark, "offline")
    benchmark_of(rules)
    samples = number(args.samples, "--samples", int)
    found = find_dataset(rules, args.dataset, look_alike=args.look_alike, samples=samples, accuracy=False)
    if quick:
        found = msgspec.structs.replace(found, samples=found.samples[:QUICK_SAMPLES])
    return rules, found


def _connections(spec: Spec) -> int:
    """Connections that this machine can have to one server: by descriptors and by ports."""
    import msgspec

    from loadcell.load.fit import SPARE_FILES
    from loadcell.load.host import descriptor_limit
    from loadcell.load.machine import local_ports
    from loadcell.load.prepare import worker_count

    ports, spare = min(28_000, local_ports() or 28_000), SPARE_FILES
    load = msgspec.structs.replace(spec.load, concurrency=ports, rate=None)
    return min(ports, max(1, descriptor_limit() - spare) * worker_count(msgspec.structs.replace(spec, load=load)))


def _plan_of(
    spec: Spec, wish: CurveWish, rules: Rules, dataset: Dataset, folder: Path, watch: Watch, cap: int
) -> tuple[CurvePlan, Spec]:
    """C_max, then the plan and the Spec of its points."""
    from loadcell.mlperf.curve.folder import PROMPTS
    from loadcell.mlperf.curve.planning import make_plan
    from loadcell.mlperf.curve.points import base_spec
    from loadcell.mlperf.rules import endpoints_rules

    endpoints = endpoints_rules()
    made = base_spec(rules, spec, folder / PROMPTS, endpoints.seed_sets[-1], wish.given)
    peak = _peak(made, wish, rules, folder, watch, cap)
    return make_plan(rules, endpoints, dataset, made, peak, wish, cap), made


def _peak(spec: Spec, wish: CurveWish, rules: Rules, folder: Path, watch: Watch, cap: int) -> Peak:
    """C_max as declared, with two short stages that tell how long points take; else searched for."""
    from loadcell.cli.progress import say
    from loadcell.mlperf.curve.folder import PROMPTS, SEARCH
    from loadcell.mlperf.curve.levels import lowest_of
    from loadcell.mlperf.curve.model import Peak
    from loadcell.mlperf.curve.peak import find_c_max, peak_of, prompt_tokens_of
    from loadcell.mlperf.curve.points import expected_output
    from loadcell.mlperf.settings import chosen_tokens

    output = expected_output(rules, chosen_tokens(spec, wish.given))

    def told(stage: PeakStage) -> None:
        rate = "no figure" if stage.system_tps is None else f"{stage.system_tps:,.4g} tokens/s"
        say(f"loadcell: {stage.concurrency} users: {rate} (synthetic prompts, no result)")

    ends: tuple[int, ...] = ()
    if wish.c_max is not None:
        least = min(wish.concurrencies, default=wish.c_min_override or lowest_of(wish.c_max))
        ends = (least, min(wish.c_max, cap))
    stages = find_c_max(
        spec, folder / SEARCH, watch, told, prompt_tokens=prompt_tokens_of(folder / PROMPTS), output_tokens=output,
        quick=wish.quick, most=cap, levels=ends,
    )  # fmt: skip
    if wish.c_max is None:
        return peak_of(stages, cap)
    return Peak(c_max=wish.c_max, found=None, stages=stages)


# --- what is shown meanwhile -----------------------------------------------------------------------------------------


def _times(points: Sequence[PlannedPoint]) -> list[str]:
    """The points that are to be run, with the time that they will take."""
    from loadcell.mlperf.curve.planning import total_s
    from loadcell.mlperf.run import span_words

    if not points:
        return []
    shown = ", ".join(f"{p.concurrency}{' (Offline)' if p.offline == 'dedicated' else ''}" for p in points)
    total = total_s(points)
    longest = max(points, key=lambda point: point.eta_s or 0.0)
    lines = [f"{len(points)} points to run, at concurrency {shown}"]
    if total is not None:
        lines.append(
            f"about {span_words(total)} in all; the longest is that at {longest.concurrency} with "
            f"{span_words(longest.eta_s or 0.0)} ({longest.requests or 0:,} requests)"
        )
    return lines


class _View:
    """What stands before the progress, and a line for each point that ended."""

    def __init__(self, plan: CurvePlan, out: Any) -> None:
        self._plan, self._out = plan, out
        self._now: PlannedPoint | None = None
        self._ended = 0
        self._begun_s = 0.0

    def on_begin(self, planned: PlannedPoint) -> None:
        self._now, self._begun_s = planned, time.monotonic()

    def on_point(self, one: PointRun) -> None:
        from loadcell.cli.progress import say
        from loadcell.report.view.curve import point_line

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
