"""`loadcell mlperf accuracy`: every sample once, and the replies scored by the benchmark's own metric and gate."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.cli.going_on import spec_again
from loadcell.cli.mlperf_asked import BY_RULES, add_benchmark, check_named, number, print_json
from loadcell.cli.run import add_spec_flags, read_spec
from loadcell.cli.target import is_url
from loadcell.errors import UsageError
from loadcell.recording.claim import output_folder

if TYPE_CHECKING:
    from loadcell.mlperf.accuracy.programs import RunCode
    from loadcell.mlperf.datasets import Dataset
    from loadcell.mlperf.model import Accuracy, Rules, RunPlan
    from loadcell.spec import Spec

_NOT_HERE = (*BY_RULES, "--ramp", "--stop-when-saturated", "--keep-text")
_RUN_CODE = ("sandboxed", "unisolated")
_EXAMPLES = """\
examples:
  loadcell mlperf accuracy http://localhost:8000 --benchmark llama3.1-8b \\
      --scenario server
  loadcell mlperf accuracy http://localhost:8000 --benchmark deepseek-r1 \\
      --scenario server --run-code
  loadcell mlperf accuracy mlperf/20260101-120000
      score the recorded replies again; with --resume go on with the pass
  loadcell mlperf accuracy --replies mlperf_log_accuracy.json \\
      --tokenizer tokenizer.json --benchmark llama3.1-8b --scenario offline

--run-code runs the programs in replies (LiveCodeBench, MBXP): each as nobody,
in namespaces of its own, without network, with an empty folder and limits
(Linux).
--run-code=unisolated keeps the limits alone: such a program may read and write
what you may.

exit codes: 0 the gate is passed; 1 it could not be run; 2 wrong usage; 4 the
gate failed, or a metric could not be computed; 130 interrupted

Nothing here is an MLPerf result: every score is unverified.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `loadcell mlperf accuracy`: the benchmark, where replies come from, and the endpoint's."""
    parser.usage = "loadcell mlperf accuracy URL|DIR --benchmark B --scenario S [flags]"
    parser.description = (
        "Ask every sample of a benchmark's data set once, in LoadGen's order, and score\n"
        "the replies by the benchmark's own metric and gate; or score replies that are\nthere."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "target", nargs="?", metavar="URL|DIR",
        help="base URL of the server; or the folder of a pass, to score it again or, with --resume, go on with it",
    )  # fmt: skip
    group = add_benchmark(parser)
    group.add_argument("--concurrency", metavar="N", help="requests at once (default: 32)")
    group.add_argument(
        "--replies", metavar="FILE",
        help='score these: a line {"sample": 0, "text": "...", "tokens": 9} each, or an mlperf_log_accuracy.json '
        "(with the model's --tokenizer)",
    )  # fmt: skip
    group.add_argument(
        "--run-code", nargs="?", const=_RUN_CODE[0], choices=_RUN_CODE,
        help="run programs in replies, sandboxed (default: off; then their metric is not computed, and fails)",
    )  # fmt: skip
    group.add_argument(
        "--code-tests", metavar="PATH",
        help="LiveCodeBench's own files (code_generation_lite, test*.jsonl), where the data set has no tests",
    )  # fmt: skip
    group.add_argument("--output", metavar="DIR", help="folder of the pass (default: mlperf/TIME)")
    group.add_argument("--resume", action="store_true", help="go on with the pass in the folder: ask what has no reply")
    group.add_argument("--json", action="store_true", help="print the accuracy as JSON")
    add_spec_flags(parser, but=_NOT_HERE)


def run(args: argparse.Namespace) -> int:
    """Ask, score, print; see the help for the exit codes."""
    if args.replies is not None:
        return _finish(args, *_score_file(args))
    if args.target is None:
        raise UsageError(
            "name the endpoint, as in: loadcell mlperf accuracy http://localhost:8000 --benchmark llama3.1-8b ..."
        )
    if not is_url(args.target, "recording"):
        return _again(args, Path(args.target)) if args.resume else _finish(args, *_score_again(args))
    return _asked(args)


# --- what is asked for -----------------------------------------------------------------------------------------------


def _rules(args: argparse.Namespace) -> Rules:
    from loadcell.mlperf.rules import find_rules

    check_named(args)
    return find_rules(args.round, args.benchmark, args.scenario)


def _dataset(args: argparse.Namespace, rules: Rules, *, send: bool = True) -> Dataset:
    from loadcell.mlperf.datasets import find_dataset

    dataset = find_dataset(
        rules, args.dataset, look_alike=args.look_alike, samples=number(args.samples, "--samples", int), accuracy=True,
        send=send,
    )  # fmt: skip
    return _tested(args, dataset)


def _tested(args: argparse.Namespace, dataset: Dataset) -> Dataset:
    """The data set with the tests of its programs, if they are named."""
    if args.code_tests is None:
        return dataset
    from loadcell.mlperf.accuracy.code_tests import with_tests

    return with_tests(dataset, Path(args.code_tests))


def _run_code(args: argparse.Namespace) -> RunCode:
    code: RunCode = args.run_code or "off"
    return code


def _tell(done: int, total: int) -> None:
    """How far the scoring is, where it takes long enough to be asked for, on a terminal."""
    if sys.stderr.isatty() and total >= 500:
        sys.stderr.write(f"\r\x1b[K{done:,} of {total:,} replies scored" if done < total else "\r\x1b[K")
        sys.stderr.flush()


# --- a pass ----------------------------------------------------------------------------------------------------------


def _asked(args: argparse.Namespace) -> int:
    """A pass that flags describe; with --resume one that was begun with the same flags."""
    from loadcell.cli.mlperf_asked import given_fields
    from loadcell.mlperf.accuracy.run import PASS

    rules = _rules(args)
    dataset = _dataset(args, rules)
    spec = read_spec(args)
    if args.resume and args.output is None:
        raise UsageError(f"--resume goes on with {PASS.noun}: say which, as in: {PASS.again('mlperf/TIME')}")
    concurrency = number(args.concurrency, "--concurrency", int)
    with output_folder(args.output, PASS.place) as folder:
        if PASS.there(folder) and not args.resume:
            raise UsageError(
                f"{folder} holds an accuracy pass: add --resume to go on with it, score it again (loadcell mlperf "
                f"accuracy {folder}), or give another --output"
            )
        return _ask(args, folder, rules, dataset, spec, given_fields(args, spec), concurrency)


def _again(args: argparse.Namespace, folder: Path) -> int:
    """The pass that lies in the folder."""
    from loadcell.mlperf.accuracy.run import PASS

    plan = PASS.read(folder)
    dataset = _same_dataset(args, plan)
    spec = spec_again(args, folder, plan.spec, fixed=False)
    given = {"load.timeout_s", "endpoint.ignore_eos", "endpoint.api", "workload.output_tokens"}
    return _ask(args, folder, plan.rules, dataset, spec, given, spec.load.concurrency)


def _ask(
    args: argparse.Namespace,
    folder: Path,
    rules: Rules,
    dataset: Dataset,
    spec: Spec,
    given: set[str],
    concurrency: int | None,
) -> int:
    """Ask what is to be asked, score, show."""
    from loadcell.cli.progress import say, show_progress
    from loadcell.mlperf.accuracy.run import CONCURRENCY, PASS, run_accuracy
    from loadcell.mlperf.folder import RUN
    from loadcell.selftest import known_selftest

    for note in dataset.notes:
        say(f"loadcell: {note}")
    selftest = known_selftest(spec.endpoint.url.startswith("https"))
    known = RUN.there(folder) or PASS.there(folder)
    try:
        with PASS.own(folder, resume=known), show_progress(lambda: [f"{rules.benchmark} accuracy"]) as watch:
            found = run_accuracy(
                rules, dataset, spec, folder, watch, concurrency=concurrency or CONCURRENCY, given=given,
                run_code=_run_code(args), selftest=selftest, tell=_tell,
            )  # fmt: skip
    except KeyboardInterrupt:
        sys.stderr.write(f"loadcell: interrupted; to go on: {PASS.again(folder)}\n")
        return 130
    return _finish(args, found, folder)


# --- replies that are there ------------------------------------------------------------------------------------------


def _score_again(args: argparse.Namespace) -> tuple[Accuracy, Path]:
    """The recorded replies of a pass."""
    from loadcell.mlperf.accuracy.run import PASS, score_pass

    folder = Path(args.target)
    plan = PASS.read(folder)
    dataset = _same_dataset(args, plan)
    return score_pass(plan.rules, dataset, folder, run_code=_run_code(args), tell=_tell), folder


def _same_dataset(args: argparse.Namespace, plan: RunPlan) -> Dataset:
    """The data set that a pass asked; UsageError if it is not there any more, or flags ask for another benchmark."""
    from loadcell.mlperf.datasets import find_dataset

    rules = plan.rules
    given = [name for name in ("benchmark", "scenario", "round", "samples", "concurrency") if getattr(args, name)]
    if given or args.look_alike or args.output:
        raise UsageError(
            f"{args.target} knows what it asked ({rules.benchmark} {rules.scenario}, {rules.round}): leave out "
            + ", ".join([f"--{name}" for name in given] or ["--look-alike and --output"])
        )
    whole = plan.samples == rules.accuracy_sample_count
    dataset = find_dataset(
        rules, args.dataset or plan.dataset_path, look_alike=plan.look_alike and args.dataset is None,
        samples=None if whole else plan.samples, accuracy=True,
    )  # fmt: skip
    if dataset.sha256 != plan.dataset_sha256:
        raise UsageError(
            f"{dataset.path or dataset.name} is not the data set that {args.target} asked "
            f"(sha256 {dataset.sha256[:16]}, not {plan.dataset_sha256[:16]}): name that one by --dataset"
        )
    return _tested(args, dataset)


def _score_file(args: argparse.Namespace) -> tuple[Accuracy, Path | None]:
    """Replies made elsewhere; with --output, accuracy.json goes there."""
    from loadcell.mlperf.accuracy.evaluate import evaluate
    from loadcell.mlperf.accuracy.replies import settle
    from loadcell.mlperf.accuracy.run import SCORED
    from loadcell.mlperf.files.replies import written_replies
    from loadcell.recording.read import dump_json

    if args.target is not None or args.resume:
        raise UsageError("--replies scores replies that are there: leave out the URL and --resume")
    rules = _rules(args)
    dataset = _dataset(args, rules, send=False)
    replies, findings = written_replies(Path(args.replies), vars(args)["workload.tokenizer"])
    found = evaluate(
        dataset, settle(replies, len(dataset.samples), findings), rules, run_code=_run_code(args), tell=_tell
    )
    if args.output is None:
        return found, None
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    dump_json(folder / SCORED, found)
    return found, folder


def _finish(args: argparse.Namespace, found: Accuracy, folder: Path | None) -> int:
    """Show the accuracy; the exit code."""
    if args.json:
        print_json(found)
    else:
        from loadcell.cli.terminal import Terminal
        from loadcell.report.mlperf import print_accuracy

        print_accuracy(found, Terminal(), folder, footnote=True)
    return 0 if found.passed else 4
