"""The accuracy pass: every sample once, in LoadGen's order of accuracy mode, and the replies kept.

DIR/accuracy-plan.json         the RunPlan of the pass
DIR/accuracy/                  a recording with its texts, and accuracy-prompts.jsonl beside it
DIR/accuracy-2/                what a resumed pass still had to ask, and so on; accuracy-2-prompts.jsonl
DIR/accuracy.json              what the replies are worth (`Accuracy`)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from loadcell import __version__
from loadcell.errors import RecordingError, UsageError
from loadcell.load import run_load
from loadcell.mlperf.accuracy.evaluate import RunCode, evaluate
from loadcell.mlperf.accuracy.graders import is_program
from loadcell.mlperf.accuracy.replies import Replies, pass_folders, prompts_of, recorded_replies, settle
from loadcell.mlperf.accuracy.sandbox import check_isolation
from loadcell.mlperf.datasets import Dataset, write_prompts
from loadcell.mlperf.model import FORMAT, Accuracy, Rules, RunPlan
from loadcell.mlperf.settings import loadgen_of, spec_by_rules
from loadcell.recording.campaign import Campaign
from loadcell.recording.read import dump_json, read_manifest
from loadcell.recording.schema import Manifest
from loadcell.spec import Load, LoadGen, Spec, redact, with_fields
from loadcell.workload.loadgen import accuracy_count

if TYPE_CHECKING:
    from loadcell.load.fleet import Watch

SCORED, PART = "accuracy.json", "accuracy"
CONCURRENCY = 32


def _asked(plan: RunPlan) -> dict[str, Any]:
    """What a person asks for; how it is asked may differ."""
    tree: dict[str, Any] = msgspec.to_builtins(plan)
    fields = {name: tree[name] for name in ("rules", "samples", "dataset_sha256", "look_alike")}
    return fields | {"endpoint": tree["spec"]["endpoint"]}


PASS = Campaign(
    noun="an accuracy pass",
    part="a part",
    command="loadcell mlperf accuracy",
    place="mlperf",
    file="accuracy-plan.json",
    form=RunPlan,
    newest=FORMAT,
    asked=_asked,
)


def accuracy_plan(rules: Rules, dataset: Dataset, spec: Spec) -> RunPlan:
    """What a pass is to do; `spec` as of `accuracy_spec`."""
    most, asked = _most_tokens(rules), spec.workload.output_tokens
    shortened = [] if most is None or asked == str(most) else [f"{asked} output tokens at most instead of {most:,}"]
    return RunPlan(
        loadcell=__version__, rules=rules, samples=len(dataset.samples), queries=len(dataset.samples),
        dataset=dataset.name, dataset_path=dataset.path, dataset_sha256=dataset.sha256,
        look_alike=dataset.look_alike, shortened=shortened, quick=bool(shortened),
        spec=redact(spec),
    )  # fmt: skip


def accuracy_spec(
    rules: Rules,
    dataset: Dataset,
    spec: Spec,
    prompts: Path,
    *,
    concurrency: int = CONCURRENCY,
    given: Collection[str] = (),
) -> Spec:
    """The Spec of a pass over `dataset`: endpoint and what else `spec` says, the rest by the rules.

    A closed loop of `concurrency` users; `given` names the fields that a person set.
    """
    asked = spec.workload.output_tokens
    spec = spec_by_rules(rules, spec, prompts, given)
    if dataset.api is not None and "endpoint.api" not in given:
        spec = with_fields(spec, {"endpoint.api": dataset.api})
    loadgen = msgspec.structs.replace(loadgen_of(rules), mode="accuracy", min_queries=1, min_duration_s=0.0)
    assert loadgen.scenario is not None
    count = accuracy_count(len(dataset.samples), loadgen.scenario)
    load = Load(
        concurrency=min(concurrency, count), requests=count, ramp_s=0.0,
        timeout_s=spec.load.timeout_s, connect_timeout_s=spec.load.connect_timeout_s,
    )  # fmt: skip
    most = _most_tokens(rules)
    output_tokens = asked if most is None or "workload.output_tokens" in given else str(most)
    spec = with_fields(spec, {"workload.output_tokens": output_tokens, "run.keep_text": True})
    return msgspec.structs.replace(spec, load=load, loadgen=loadgen)


def _most_tokens(rules: Rules) -> int | None:
    return rules.max_output_tokens_accuracy or rules.max_output_tokens


def run_accuracy(
    rules: Rules,
    dataset: Dataset,
    spec: Spec,
    folder: Path,
    watch: Watch,
    *,
    concurrency: int = CONCURRENCY,
    given: Collection[str] = (),
    run_code: RunCode = "off",
    selftest: dict[str, Any] | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> Accuracy:
    """Run the pass into `folder`, or what of it is still to be asked, and score it; writes accuracy.json.

    `dataset` is that of `find_dataset(..., accuracy=True)`; `rules` are the round's, nothing shortened. `tell` hears
    how many replies of how many are scored. KeyboardInterrupt if a person ended it: call it again to go on. UsageError
    if `folder` holds a pass of another plan, or if programs cannot be isolated that are to be.
    """
    if run_code == "sandboxed" and any(is_program(sample.grader or "") for sample in dataset.samples):
        check_isolation()  # now, and not after hours of asking
    first = prompts_of(folder / PART)
    spec = accuracy_spec(rules, dataset, spec, first, concurrency=concurrency, given=given)
    folder.mkdir(parents=True, exist_ok=True)
    with _left_clean(folder):
        PASS.keep(folder, accuracy_plan(rules, dataset, spec))
        if not first.exists():
            write_numbered(dataset, range(len(dataset.samples)), first, spec.workload.output_tokens)
        if _next_part(spec, dataset, folder, watch, selftest).state == "interrupted":
            raise KeyboardInterrupt
    return score_pass(rules, dataset, folder, run_code=run_code, tell=tell)


def score_pass(
    rules: Rules,
    dataset: Dataset,
    folder: Path,
    *,
    run_code: RunCode = "off",
    tell: Callable[[int, int], None] | None = None,
) -> Accuracy:
    """Score the recorded replies of the pass in `folder`; writes accuracy.json."""
    replies = replies_of(folder, dataset)
    shortened = PASS.read(folder).shortened
    found = evaluate(dataset, replies, rules, run_code=run_code, shortened=shortened, tell=tell)
    dump_json(folder / SCORED, found)
    return found


def replies_of(folder: Path, dataset: Dataset) -> Replies:
    """The replies of a recorded pass; RecordingError if there is none."""
    if not folder.is_dir() or not pass_folders(folder):
        raise RecordingError(f"{folder} holds no accuracy pass: run one with loadcell mlperf accuracy URL ...")
    return settle(recorded_replies(folder), len(dataset.samples))


def write_numbered(dataset: Dataset, samples: Collection[int], file: Path, output_tokens: str | None) -> None:
    """Write the prompts of `samples`, in that order, each line with the number of its sample.

    `output_tokens` is what a reply may have; UsageError if that is no number.
    """
    if output_tokens is None or not output_tokens.isdecimal():
        raise UsageError(
            f"workload.output_tokens {output_tokens!r}: the replies of a benchmark have a maximum, a number"
        )
    write_prompts(dataset, file, max_tokens=int(output_tokens) if dataset.max_tokens != int(output_tokens) else None)
    lines = file.read_bytes().splitlines()
    numbered = (msgspec.json.decode(lines[sample]) | {"sample": sample} for sample in samples)
    file.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in numbered))


@contextmanager
def _left_clean(folder: Path) -> Iterator[None]:
    """Take a plan away again that an error left without any recording."""
    try:
        yield
    except BaseException:
        if not pass_folders(folder):
            (folder / PASS.file).unlink(missing_ok=True)
            prompts_of(folder / PART).unlink(missing_ok=True)
        raise


def _next_part(spec: Spec, dataset: Dataset, folder: Path, watch: Watch, selftest: dict[str, Any] | None) -> Manifest:
    """Ask every sample, or in a pass that was interrupted those without a reply, in the order of before."""
    done = pass_folders(folder)
    if not done:
        return run_load(spec, folder / PART, watch, selftest=selftest)
    have = settle(recorded_replies(folder), len(dataset.samples)).by_sample
    left = [sample for sample in range(len(dataset.samples)) if sample not in have]
    if not left:
        return _whole(done[-1])
    part = folder / f"{PART}-{int(done[-1].name.removeprefix(PART).lstrip('-') or 1) + 1}"
    write_numbered(dataset, left, prompts_of(part), spec.workload.output_tokens)
    load = msgspec.structs.replace(
        spec.load, requests=len(left), concurrency=min(spec.load.concurrency or 1, len(left))
    )
    workload = msgspec.structs.replace(spec.workload, prompts=str(prompts_of(part)))
    spec = msgspec.structs.replace(spec, load=load, workload=workload, loadgen=LoadGen())
    return run_load(spec, part, watch, selftest=selftest)


def _whole(part: Path) -> Manifest:
    return msgspec.structs.replace(read_manifest(part), state="complete")
