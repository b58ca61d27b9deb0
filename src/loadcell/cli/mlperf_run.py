"""`loadcell mlperf run`: a benchmark's scenario by the rules of a round, on any endpoint, unverified."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadcell.cli.going_on import kept_folder, spec_again
from loadcell.cli.mlperf_asked import (
    BY_RULES,
    MAKES_PLAN,
    add_benchmark,
    add_size,
    check_named,
    given_fields,
    number,
    print_json,
    wish_of,
)
from loadcell.cli.pages import PAGE, add_page, check_lang, leave_page, run_page_file, wants_page
from loadcell.cli.run import add_spec_flags, read_spec
from loadcell.errors import UsageError
from loadcell.recording.claim import output_folder
from loadcell.spec import Spec, with_fields

if TYPE_CHECKING:
    from loadcell.cli.progress import SweepView
    from loadcell.load.fleet import Watch
    from loadcell.mlperf.model import Accuracy, Outcome, RunPlan
    from loadcell.mlperf.planning import Planned
    from loadcell.mlperf.wish import Probed, Wish
    from loadcell.search.model import Plan

_OTHER_WORDS = {
    "--timeout": "longest time one request may take (default: 10 min and 0.15 s an output token)",
    "--output-tokens": "output tokens at most, fewer than the rules allow (not comparable)",
}
"""Flags of `run` of which other things are to be said."""
_EXAMPLES = """\
examples:
  loadcell mlperf run http://localhost:8000 --benchmark llama3.1-8b \\
      --scenario server --target-qps 12
  loadcell mlperf run http://localhost:8000 --benchmark llama3.1-8b \\
      --scenario offline --look-alike --quick
  loadcell mlperf run http://localhost:8000 --benchmark deepseek-r1 \\
      --scenario interactive --find-peak --accuracy
  loadcell mlperf run mlperf/20260101-120000 --resume

exit codes: 0 VALID (and the accuracy gate passed, if asked for); 1 no request
succeeded, or it could not be run; 2 wrong usage; 4 INVALID, or the gate failed;
130 interrupted

Nothing here is an MLPerf result: every score is unverified.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `loadcell mlperf run`: the benchmark, the load that it leaves open, and the endpoint's."""
    parser.usage = "loadcell mlperf run URL|DIR --benchmark B --scenario S [flags]"
    parser.description = (
        "Apply the rules of a benchmark's scenario to an endpoint: samples, seeds,\n"
        "limits, durations, counts and early stopping. Says VALID or INVALID, and what\nto change."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "target", nargs="?", metavar="URL|DIR",
        help="base URL of the server; or, with --resume, the folder of a run to go on with",
    )  # fmt: skip
    group = add_benchmark(parser)
    group.add_argument("--quick", action="store_true", help="a short run on 64 samples at most (not comparable)")
    rate = group.add_mutually_exclusive_group()
    rate.add_argument("--target-qps", metavar="R", help="server, interactive: queries per second")
    rate.add_argument(
        "--find-peak", nargs="?", const="", metavar="A..B",
        help="server, interactive: search for the highest rate within the limits (from A to B), then run it by the "
        "rules",
    )  # fmt: skip
    add_size(group)
    group.add_argument("--accuracy", action="store_true", help="run the accuracy pass after it, and its gate")
    group.add_argument("--output", metavar="DIR", help="folder of the run (default: mlperf/TIME)")
    group.add_argument("--resume", action="store_true", help="go on with the run in the folder; whole parts are kept")
    group.add_argument("--json", action="store_true", help="print the outcome as JSON")
    add_page(group, "report.html in its folder, and that of the recording in the recording's")
    add_spec_flags(parser, but=(*BY_RULES, "--ramp"))
    for flag, text in _OTHER_WORDS.items():
        parser._option_string_actions[flag].help = text


def run(args: argparse.Namespace) -> int:
    """Plan, run, judge, print; see the help for the exit codes."""
    check_lang(args)
    if args.target is None:
        raise UsageError(
            "name the endpoint, as in: loadcell mlperf run http://localhost:8000 --benchmark llama3.1-8b ..."
        )
    from loadcell.mlperf.folder import RUN

    kept = kept_folder(args, RUN, MAKES_PLAN)
    with output_folder(args.target if kept else args.output, RUN.place) as folder:
        try:
            return _again(args, folder) if kept else _asked(args, folder)
        except KeyboardInterrupt:
            return _interrupted(args, folder)


# --- a run -----------------------------------------------------------------------------------------------------------


def _asked(args: argparse.Namespace, folder: Path) -> int:
    """A run that flags describe; with --resume one that was begun with the same flags."""
    import msgspec

    from loadcell.cli.progress import say
    from loadcell.mlperf.datasets import find_dataset, write_prompts
    from loadcell.mlperf.folder import PROMPTS, RUN
    from loadcell.mlperf.planning import make_plan
    from loadcell.mlperf.rules import find_rules
    from loadcell.mlperf.shorten import QUICK_SAMPLES
    from loadcell.mlperf.wish import check_wish

    check_named(args)
    spec = read_spec(args)
    rules = find_rules(args.round, args.benchmark, args.scenario)
    wish = wish_of(args, given_fields(args, spec))
    check_wish(rules.scenario, wish)
    samples = number(args.samples, "--samples", int) or (QUICK_SAMPLES if args.quick else None)
    dataset = find_dataset(rules, args.dataset, look_alike=args.look_alike, samples=samples, accuracy=False)
    planned = make_plan(rules, dataset, spec, folder / PROMPTS, wish)
    going_on = args.resume and RUN.there(folder)
    say(*(f"loadcell: {note}" for note in dataset.notes))
    with RUN.own(folder, resume=going_on):
        if going_on:
            planned = _with_sizes(RUN.keep(folder, planned.plan), planned.spec)
        if not (folder / PROMPTS).exists():
            kept = msgspec.structs.replace(dataset, samples=dataset.samples[: planned.plan.samples])
            most = planned.plan.rules.max_output_tokens if "workload.output_tokens" in wish.given else None
            write_prompts(kept, folder / PROMPTS, max_tokens=most)
        return _carry_out(args, planned, wish, folder, fresh=not going_on)


def _with_sizes(kept: RunPlan, spec: Spec) -> Planned:
    """The kept plan with its Spec as it was sized; endpoint, pages and secrets as given now."""
    import msgspec

    from loadcell.mlperf.planning import Planned

    sized = with_fields(kept.spec, {"workload.prompts": spec.workload.prompts})
    return Planned(kept, msgspec.structs.replace(sized, endpoint=spec.endpoint, observe=spec.observe), [])


def _again(args: argparse.Namespace, folder: Path) -> int:
    """The run that lies in the folder."""
    from loadcell.mlperf.folder import PROMPTS, RUN
    from loadcell.mlperf.wish import Wish

    plan = RUN.read(folder)
    spec = spec_again(args, folder, plan.spec, PROMPTS)
    wish = Wish(concurrency=spec.load.concurrency if plan.rules.scenario == "offline" else None)
    with RUN.own(folder, resume=True):
        return _carry_out(args, _with_sizes(plan, spec), wish, folder, fresh=False)


def _carry_out(args: argparse.Namespace, planned: Planned, wish: Wish, folder: Path, *, fresh: bool) -> int:
    """Probe and search where the plan needs it, run it, show what it is worth."""
    from loadcell.cli.progress import say, show_progress
    from loadcell.mlperf.folder import PERFORMANCE, RUN
    from loadcell.mlperf.run import load_words, needs_probe, probe, run_until_sized
    from loadcell.recording.campaign import is_whole
    from loadcell.selftest import known_selftest

    def tell(line: str) -> None:
        say(f"loadcell: {line}")

    view = _View(planned.plan)
    selftest = known_selftest(planned.spec.endpoint.url.startswith("https"))
    with show_progress(view.head) as watch:
        if fresh and needs_probe(planned.plan, wish):
            planned = _sized_by(planned, wish, probe(planned.plan, planned.spec, folder, watch))
        RUN.write(folder, planned.plan)
        if fresh and planned.plan.shortened:
            tell(f"smaller than the rules ask: {'; '.join(planned.plan.shortened)}")
        if planned.plan.find_peak and planned.plan.target_qps is None:
            planned = _at_peak(planned, wish, folder, view, watch, selftest, tell)
        if not is_whole(folder / PERFORMANCE):
            for note in [*planned.notes, load_words(planned.plan)]:
                tell(note)
        found = run_until_sized(planned, folder, watch, wish, tell, selftest=selftest)
    return _finish(args, found, folder, planned.spec)


def _sized_by(planned: Planned, wish: Wish, seen: Probed) -> Planned:
    from loadcell.mlperf.planning import rate_of, size

    return size(planned.plan, planned.spec, wish, rate_of(planned.plan, wish, seen))


def _at_peak(
    planned: Planned,
    wish: Wish,
    folder: Path,
    view: _View,
    watch: Watch,
    selftest: dict[str, Any] | None,
    tell: Callable[[str], None],
) -> Planned:
    """The plan at the rate that the search finds."""
    import msgspec

    from loadcell.mlperf.folder import RUN
    from loadcell.mlperf.peak import find_peak, make_search, search_words
    from loadcell.mlperf.planning import size
    from loadcell.mlperf.run import span_words

    search = make_search(planned.plan, planned.spec)
    least = span_words(planned.plan.rules.min_duration_s)
    tell(f"{search_words(planned.plan)}; then the run by the rules, {least} or more")
    sweep = view.begin_search(search.plan)
    rate, how = find_peak(search, folder, watch, sweep.on_ask, sweep.on_stage, selftest=selftest)
    view.end_search()
    tell(how)
    plan = msgspec.structs.replace(planned.plan, history=[*planned.plan.history, how])
    planned = size(plan, planned.spec, wish, rate)
    RUN.write(folder, planned.plan)
    return planned


# --- what is shown --------------------------------------------------------------------------------------------------


class _View:
    """What stands before the progress: what is run; while a search runs, its stage."""

    def __init__(self, plan: RunPlan) -> None:
        self._name = f"{plan.rules.benchmark} {plan.rules.scenario}"
        self._sweep: SweepView | None = None

    def begin_search(self, plan: Plan) -> SweepView:
        """A search of rates begins; its stages are told on standard error."""
        from loadcell.cli.progress import SweepView

        self._sweep = SweepView(plan, sys.stderr)
        return self._sweep

    def end_search(self) -> None:
        """What comes now is the run itself."""
        self._sweep = None

    def head(self) -> Sequence[str]:
        """The words before the figures of the load."""
        return [self._name] if self._sweep is None else self._sweep.head()


def _finish(args: argparse.Namespace, found: Outcome, folder: Path, spec: Spec) -> int:
    """Show the outcome, and the accuracy pass if it is asked for; the exit code."""
    accuracy = None
    if found.state == "complete":
        if wants_page(args):
            _leave_page(args, folder)
        if args.accuracy:
            accuracy = _accuracy(args, found.plan, spec, folder)
    if wants_page(args):
        leave_page(args, lambda _: _page(found, accuracy, folder))
    _show(args, found, accuracy, folder)
    if found.state == "interrupted":
        return _interrupted(args, folder)
    if found.score.samples == found.score.failed:
        return 1
    return 4 if found.verdict == "INVALID" or (accuracy is not None and not accuracy.passed) else 0


def _accuracy(args: argparse.Namespace, plan: RunPlan, spec: Spec, folder: Path) -> Accuracy:
    """The accuracy pass beside the performance run; over as many samples as that where it was made smaller."""
    import msgspec

    from loadcell.cli.progress import show_progress
    from loadcell.mlperf.accuracy.run import run_accuracy
    from loadcell.mlperf.datasets import find_dataset
    from loadcell.mlperf.rules import find_rules

    rules = find_rules(plan.rules.round, plan.rules.benchmark, plan.rules.scenario)
    smaller = plan.samples < rules.performance_sample_count
    dataset = find_dataset(
        rules, args.dataset, look_alike=plan.look_alike, samples=plan.samples if smaller else None, accuracy=True
    )
    given = {"load.timeout_s", "endpoint.ignore_eos"}
    if (most := plan.rules.max_output_tokens) != rules.max_output_tokens:
        given.add("workload.output_tokens")
        samples = [msgspec.structs.replace(sample, max_tokens=None) for sample in dataset.samples]
        dataset = msgspec.structs.replace(dataset, samples=samples, max_tokens=most)
    with show_progress(lambda: [f"{rules.benchmark} accuracy"]) as watch:
        return run_accuracy(rules, dataset, spec, folder, watch, given=given)


def _interrupted(args: argparse.Namespace, folder: Path) -> int:
    """Say how to go on with what is kept; the exit code."""
    from loadcell.mlperf.folder import RUN

    words = ["--accuracy"] if args.accuracy else []
    words += [] if args.dataset is None or not args.accuracy else ["--dataset", args.dataset]
    how = f"; to go on: {' '.join([RUN.again(folder), *words])}" if RUN.there(folder) else ""
    sys.stderr.write(f"loadcell: interrupted{how}\n")
    return 130


def _show(args: argparse.Namespace, found: Outcome, accuracy: Accuracy | None, folder: Path) -> None:
    """Print the outcome, and the accuracy if there is one."""
    if args.json:
        import msgspec

        print_json(msgspec.to_builtins(found) | ({} if accuracy is None else {"accuracy": accuracy}))
        return
    from loadcell.cli.terminal import Terminal
    from loadcell.report.mlperf import print_accuracy, print_outcome

    print_outcome(found, Terminal(), folder)
    if accuracy is not None:
        print_accuracy(accuracy, Terminal())


def _page(found: Outcome, accuracy: Accuracy | None, folder: Path) -> Path:
    from loadcell.report.files import write_text
    from loadcell.report.mlperf import outcome_page

    return write_text(folder / PAGE, outcome_page(found, accuracy, folder))


def _leave_page(args: argparse.Namespace, folder: Path) -> None:
    """The page of the recording, as `loadcell run` leaves it."""
    from loadcell.mlperf.folder import PERFORMANCE
    from loadcell.recording.read import open_recording
    from loadcell.report.detail import build_both

    home = folder / PERFORMANCE
    result, detail = build_both(open_recording(home))
    leave_page(args, lambda words: run_page_file(result, detail, home, words), tell=False)
