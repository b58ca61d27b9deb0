"""By which rules a place is judged: what was asked for, else what its folders and its log say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loadcell.errors import UsageError
from loadcell.mlperf import rules as known
from loadcell.mlperf.files.checks_performance import seeds_in
from loadcell.mlperf.files.layout import Place, scenario_of
from loadcell.mlperf.files.loadgen_logs import Detail
from loadcell.mlperf.files.reading import dug, read_json
from loadcell.mlperf.findings import failed, noted
from loadcell.mlperf.model import SCENARIOS, Finding, Rules, Scenario
from loadcell.workload.loadgen import Seeds

BESIDE = "loadcell.json"
"""What Loadcell writes beside the logs of a LoadGen that it drove."""
_TOLD = ("round", "benchmark", "scenario")


@dataclass(frozen=True)
class Asked:
    """What the person named, instead of what the folders say; `round` is one of those that are known."""

    round: str | None = None
    benchmark: str | None = None
    scenario: str | None = None


@dataclass
class Judge:
    """The rules; where a benchmark or scenario is not known they are None, and the round's seeds are all there is."""

    round: str
    seeds: Seeds
    rules: Rules | None = None
    scenario: Scenario | None = None
    findings: list[Finding] = field(default_factory=list)


def judge_of(
    place: Place, asked: Asked, seeds: Seeds | None, logged_scenario: str | None, told: Mapping[str, object]
) -> Judge:
    """The rules for a place, with a finding for what had to be guessed; `told` is what its own files say.

    UsageError if what was asked for is not.
    """
    findings: list[Finding] = []
    edition = _round(place, asked, seeds, told.get("round"), findings)
    scenario = _scenario(place, asked, logged_scenario, told.get("scenario"), findings)
    judge = Judge(edition, known.seeds_of(edition), scenario=scenario, findings=findings)
    name = asked.benchmark or place.benchmark or told.get("benchmark")
    if scenario is None or not isinstance(name, str):
        says = "which benchmark this is is not known" if scenario is not None else "the scenario is not known"
        advice = "name it: --benchmark NAME --scenario NAME"
        findings.append(failed("benchmark", f"{says}: limits and counts cannot be judged", place.folder, advice))
        return judge
    try:
        judge.rules = known.find_rules(edition, name, scenario)
        judge.scenario = judge.rules.scenario
    except UsageError as error:
        if asked.benchmark is not None:
            raise
        advice = "rename the folder, or name the benchmark with --benchmark"
        findings.append(failed("benchmark", f"{edition}: {error}", place.folder, advice))
    return judge


def _round(place: Place, asked: Asked, seeds: Seeds | None, beside: object, findings: list[Finding]) -> str:
    by_seeds = next((name for name in known.rounds() if known.seeds_of(name) == seeds), None)
    newest = known.rounds()[-1]
    if asked.round is not None:
        edition = asked.round
    elif place.round in known.rounds():
        edition = place.round
    elif beside in known.rounds():
        edition = str(beside)
    else:
        edition = by_seeds or newest
        why = "by its seeds" if by_seeds else "the newest: its seeds are of no round"
        findings.append(
            noted("round", f"judged by the rules of {edition}, {why}", place.folder, "name it with --round")
        )
    if by_seeds is not None and by_seeds != edition:
        says = f"the log has the seeds of {by_seeds}, it is judged by {edition}"
        findings.append(failed("round", says, place.folder, f"it is a log of that round: --round {by_seeds}"))
    return edition


def _scenario(
    place: Place, asked: Asked, logged: str | None, beside: object, findings: list[Finding]
) -> Scenario | None:
    if asked.scenario is not None:
        named = scenario_of(asked.scenario)
        if named is None:
            raise UsageError(f"--scenario {asked.scenario!r}: give one of {', '.join(SCENARIOS)}")
        return named
    if place.scenario is not None:
        return place.scenario
    if isinstance(beside, str) and (own := scenario_of(beside)):
        return own
    of_log = scenario_of(logged or "")
    if of_log == "server":
        says = "judged as server: LoadGen says Server for interactive runs too"
        findings.append(noted("scenario", says, place.folder, "name it with --scenario"))
    return of_log


def judge_of_logs(place: Place, asked: Asked, detail: Detail) -> Judge:
    """The rules for LoadGen's logs, or for logs of ours in its layout, with what Loadcell saw of a LoadGen it drove."""
    problems: list[Finding] = []
    told: dict[str, object] = {name: detail.values.get(f"loadcell_{name}") for name in _TOLD}
    beside = place.folder / BESIDE
    if beside.is_file():
        driven = read_json(beside, problems)
        told = {name: dug(driven, "plan", "rules", name) for name in _TOLD}
        problems += _of_driven(driven, beside)
    judge = judge_of(place, asked, seeds_in(detail), detail.text("effective_scenario"), told)
    judge.findings += problems
    return judge


def _of_driven(driven: object, path: Path) -> Iterator[Finding]:
    """What LoadGen cannot know: requests that failed are done for it."""
    lost = dug(driven, "failures")
    if isinstance(lost, dict) and lost:
        kinds = ", ".join(f"{kind} {count}" for kind, count in lost.items())
        yield failed("errors", f"requests failed, which LoadGen took for done: {kinds}", path, "run again")
    if dug(driven, "verdict") != "VALID":
        yield failed("result-valid", f"Loadcell called the run {dug(driven, 'verdict')}", path, f"see {path.name}")
    if dug(driven, "plan", "quick") or dug(driven, "plan", "look_alike"):
        yield noted("quick", "a run to try things out, smaller than the rules ask: not comparable", path)
