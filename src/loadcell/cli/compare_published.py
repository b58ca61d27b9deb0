"""`loadcell compare RUN --published "8xH200 llama2-70b server"`: one run beside published MLPerf results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.errors import UsageError

if TYPE_CHECKING:
    from loadcell.metrics import Result
    from loadcell.mlperf.model import Accuracy, Outcome
    from loadcell.published.beside import Measured

_ELSEWHERE = {"noise": "--noise", "fail_if": "--fail-if", "md": "--md", "html": "--html", "output": "--output"}


def run_beside(args: argparse.Namespace) -> int:
    """Print the run beside the published rows. Returns 0, or 4 if the run is INVALID."""
    from loadcell.published.beside import beside_published, exit_code
    from loadcell.published.query import read_question
    from loadcell.published.store import registry

    if len(args.sides) != 1:
        raise UsageError(
            '--published takes one run, as in: loadcell compare runs/a --published "8xH200 llama2-70b server"'
        )
    if given := [flag for name, flag in _ELSEWHERE.items() if getattr(args, name)]:
        raise UsageError(f"{given[0]} is for runs against each other: leave it out beside --published")
    known = registry()
    question = read_question(args.published, known.rows)
    measured = measure(Path(args.sides[0]), _accelerators(args.accelerators))
    comparison = beside_published(measured, known, question, _limits)
    if args.json:
        from loadcell.published.forms import to_json

        sys.stdout.write(to_json(comparison).decode())
    else:
        from loadcell.cli.terminal import Terminal
        from loadcell.report.render.terminal import show
        from loadcell.report.view.published import beside_sections

        show(beside_sections(comparison), Terminal())
    return exit_code(comparison)


def _accelerators(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdigit() or int(text) == 0:
        raise UsageError(f"--accelerators {text!r}: write how many serve the endpoint, as in --accelerators 8")
    return int(text)


def measure(path: Path, accelerators: int | None = None) -> Measured:
    """What the run at `path` has to show: the folder of an MLPerf-style run, a recording or a saved result."""
    from loadcell.mlperf.folder import OUTCOME, RUN

    if (path / OUTCOME).is_file() or RUN.there(path):
        return measured_outcome(path, accelerators)
    from loadcell.compare.sides import open_runs

    runs = open_runs(path)
    if len(runs) > 1:
        raise UsageError(f"{path} holds {len(runs)} runs: name one, as in {runs[0].path}")
    return measured_result(str(path), runs[0].result, accelerators)


def measured_result(path: str, result: Result, accelerators: int | None) -> Measured:
    """What a recording's result has to show. A SingleStream figure needs one user in a closed loop."""
    from loadcell.metrics.headline import reasons_of, word_of
    from loadcell.published.beside import Measured

    endpoint, rates, latency = result.methodology.spec.endpoint, result.throughput, result.latency
    e2e = latency.get("e2e_ms") if result.concurrency.asked == 1 else None
    ttft, tpot = latency.get("ttft_ms"), latency.get("tpot_ms")
    return Measured(
        path=path,
        kind="recording",
        model=endpoint.model or result.methodology.effective.get("model"),
        verdict=word_of(result),
        reasons=reasons_of(result),
        figures={
            "tokens/s": rates.output_tokens_per_s,
            "samples/s": rates.requests_per_s,
            "ms": None if e2e is None else e2e.service.p90.value,
        },
        names={
            "tokens/s": f"output tokens/s {_where(result, 'output_tokens_per_s')}",
            "samples/s": f"requests/s {_where(result, 'requests_per_s')}",
            "ms": "p90 of the end-to-end latency, one user",
        },
        accelerators=accelerators or endpoint.gpus,
        p99_ttft_ms=None if ttft is None else (ttft.response or ttft.service).p99.value,
        p99_tpot_ms=None if tpot is None else tpot.service.p99.value,
    )


def _where(result: Result, rate: str) -> str:
    """Over what a rate was taken, or who told it."""
    if result.imported is not None and rate in (result.throughput.told or ()):
        return f"as {result.imported.title} told them"
    return "in the window of the run"


def measured_outcome(folder: Path, accelerators: int | None) -> Measured:
    """What an MLPerf-style run has to show; RecordingError if it has not come to its end."""
    from loadcell.published.beside import Measured

    outcome = _outcome(folder)
    score, rules = outcome.score, outcome.plan.rules
    failed = [finding.says for finding in outcome.findings if finding.ok is not True]
    return Measured(
        path=str(folder),
        kind="MLPerf-style run",
        round=rules.round,
        benchmark=rules.benchmark,
        scenario=rules.scenario,
        model=outcome.plan.spec.endpoint.model,
        verdict=outcome.verdict,
        reasons=failed if outcome.verdict != "VALID" else [],
        figures={score.headline_unit: score.headline},
        names={score.headline_unit: score.headline_name},
        accelerators=accelerators or outcome.plan.spec.endpoint.gpus,
        comparable=not (outcome.plan.quick or outcome.plan.look_alike),
        weaknesses=list(_weaknesses(outcome, _accuracy(folder))),
    )


def _outcome(folder: Path) -> Outcome:
    from loadcell.mlperf.folder import OUTCOME
    from loadcell.mlperf.model import Outcome
    from loadcell.mlperf.outcome import outcome
    from loadcell.recording.read import read_json

    if not (folder / OUTCOME).is_file():
        return outcome(folder)
    found: Outcome = read_json(folder / OUTCOME, Outcome)
    return found


def _accuracy(folder: Path) -> Accuracy | None:
    from loadcell.mlperf.folder import SCORED
    from loadcell.mlperf.model import Accuracy
    from loadcell.recording.read import read_json

    if not (folder / SCORED).is_file():
        return None
    found: Accuracy = read_json(folder / SCORED, Accuracy)
    return found


def _weaknesses(outcome: Outcome, accuracy: Accuracy | None) -> Iterator[str]:
    """What an MLPerf-style run lacks beside a published one."""
    plan = outcome.plan
    if plan.quick:
        yield f"a quick run, smaller than the rules ask ({'; '.join(plan.shortened) or 'shortened'}): not comparable"
    if plan.look_alike:
        yield "its data set is a look-alike, invented for trying out: not comparable"
    if outcome.state != "complete":
        yield f"the run is {outcome.state}"
    if outcome.instrument != "VALID":
        why = f": {'; '.join(outcome.instrument_reasons[:3])}" if outcome.instrument_reasons else ""
        yield f"by its own audit the measurement is {outcome.instrument}{why}"
    if accuracy is None:
        yield "its accuracy was not measured; every published closed result passed the accuracy gate"
    elif not accuracy.passed:
        failed = "; ".join(finding.says for finding in accuracy.findings if finding.ok is not True)
        yield f"it failed the accuracy gate, which every published closed result passed ({failed or 'no reason given'})"


def _limits(round: str, benchmark: str, scenario: str) -> Mapping[str, float | None]:
    from loadcell.mlperf.rules import find_rules

    try:
        rules = find_rules(round, benchmark, scenario)
    except UsageError:  # a round or benchmark that was added, whose rules are not known
        return {}
    return {"ttft_ms": rules.ttft_ms, "tpot_ms": rules.tpot_ms}
