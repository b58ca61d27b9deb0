"""What a person sees of `loadcell mlperf run`: what runs now, in the end the outcome, the gate and the exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.cli.pages import leave_page, run_page_file, wants_page
from loadcell.spec import Spec

if TYPE_CHECKING:
    from loadcell.cli.progress import SweepView
    from loadcell.mlperf.model import Accuracy, Outcome, Plan
    from loadcell.search.model import Plan as SearchPlan


class View:
    """What stands before the progress: what is run; while a search runs, its stage."""

    def __init__(self, plan: Plan) -> None:
        self._name = f"{plan.rules.benchmark} {plan.rules.scenario}"
        self._sweep: SweepView | None = None

    def begin_search(self, plan: SearchPlan) -> SweepView:
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


def finish(args: argparse.Namespace, found: Outcome, folder: Path, spec: Spec) -> int:
    """Show the outcome, and the accuracy pass if it is asked for; the exit code."""
    accuracy = None
    if found.state == "complete":
        if wants_page(args):
            _leave_page(args, folder)
        if args.accuracy:
            accuracy = _accuracy(args, found.plan, spec, folder)
    _show(args, found, accuracy, folder)
    if found.state == "interrupted":
        return interrupted(args, folder)
    if found.score.samples == found.score.failed:
        return 1
    return 4 if found.verdict == "INVALID" or (accuracy is not None and not accuracy.passed) else 0


def _accuracy(args: argparse.Namespace, plan: Plan, spec: Spec, folder: Path) -> Accuracy:
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


def interrupted(args: argparse.Namespace, folder: Path) -> int:
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

        tree = msgspec.to_builtins(found) | ({} if accuracy is None else {"accuracy": accuracy})
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(tree), indent=2).decode() + "\n")
        return
    from loadcell.cli.terminal import Terminal
    from loadcell.report.mlperf import print_outcome

    print_outcome(found, Terminal(), folder)
    if accuracy is not None:
        from loadcell.report.mlperf_accuracy import print_accuracy

        print_accuracy(accuracy, Terminal())


def _leave_page(args: argparse.Namespace, folder: Path) -> None:
    """The page of the recording, as `loadcell run` leaves it."""
    from loadcell.mlperf.folder import PERFORMANCE
    from loadcell.recording.read import open_recording
    from loadcell.report.detail import build_both

    home = folder / PERFORMANCE
    result, detail = build_both(open_recording(home))
    leave_page(args, lambda words: run_page_file(result, detail, home, words), tell=False)
