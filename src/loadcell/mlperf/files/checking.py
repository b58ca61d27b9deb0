"""`loadcell mlperf check`: everything in a folder by the rules that are written down for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from loadcell import __version__
from loadcell.mlperf import rules as known
from loadcell.mlperf.files import checks_endpoints, endpoints
from loadcell.mlperf.files.accuracy_log import ACCURACY_LOG, ACCURACY_TEXT, read_accuracy_log, read_accuracy_text
from loadcell.mlperf.files.checks_accuracy import check_accuracy_log, check_gates
from loadcell.mlperf.files.checks_consistency import check_consistency
from loadcell.mlperf.files.checks_performance import check_common, check_errors, check_performance
from loadcell.mlperf.files.checks_run import check_curve, check_points_of, check_run
from loadcell.mlperf.files.checks_submission import (
    check_measurements,
    check_organisation,
    check_sizes,
    check_user_conf,
)
from loadcell.mlperf.files.checks_traffic import check_traffic
from loadcell.mlperf.files.judging import Asked, Judge, judge_of, judge_of_logs
from loadcell.mlperf.files.layout import ACCURACY_RESULT, CONFIG, MAX_ENTRIES, RESULT, Place, look
from loadcell.mlperf.files.loadgen_logs import DETAIL, SUMMARY, Detail, read_detail, read_summary
from loadcell.mlperf.findings import failed, ordered
from loadcell.mlperf.model import FOOTNOTE, Finding
from loadcell.mlperf.rules.names import round_named
from loadcell.workload.loadgen import Seeds

Doc = msgspec.Meta


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks found in a folder."""

    loadcell: str = __version__
    verified: Literal[False] = False
    footnote: str = FOOTNOTE
    folder: str
    places: Annotated[list[str], Doc(description="what was checked, in words")]
    passed: Annotated[bool, Doc(description="no rule failed")]
    findings: Annotated[list[Finding], Doc(description="failed ones first, then what was noted")]


def check_folder(folder: Path, asked: Asked = Asked()) -> Checked:  # noqa: B008 - frozen
    """Check everything in `folder`; UsageError if there is nothing to check or what was asked for does not exist."""
    found = look(folder)
    if asked.round is not None:
        asked = replace(asked, round=round_named(asked.round))
    findings: list[Finding] = []
    if not found.whole:
        says = f"more than {MAX_ENTRIES:,} files and folders: the rest was not looked at"
        findings.append(failed("layout", says, folder, "check one submitter at a time"))
    for place in found.places:
        if place.kind != "point":
            findings += _by_division(place, _CHECKS[place.kind](place, asked))
    findings += check_points_of([place for place in found.places if place.kind == "point"])
    findings += _around(folder, found.places, asked)
    if any(place.kind in ("loadgen", "endpoints", "point") for place in found.places):
        findings += check_sizes(found.files, folder, known.layout(known.rounds()[-1]).files.max_file_mib)
    findings = [msgspec.structs.replace(finding, where=_within(folder, finding.where)) for finding in findings]
    unique = list({(f.rule, f.ok, f.says, f.where): f for f in findings}.values())
    return Checked(
        folder=str(folder),
        places=[_told(place) for place in found.places],
        passed=all(finding.ok is not False for finding in unique),
        findings=ordered(unique),
    )


def check(folder: str | Path) -> list[Finding]:
    """What `check_folder` finds."""
    return check_folder(Path(folder)).findings


def _within(folder: Path, where: str | None) -> str | None:
    """A path below the folder that is checked, from there on."""
    if where is None or not Path(where).is_relative_to(folder):
        return where
    inside = str(Path(where).relative_to(folder))
    return None if inside == "." else inside


def _told(place: Place) -> str:
    kinds = {
        "run": "MLPerf-style run of Loadcell",
        "curve": "curve of Loadcell",
        "loadgen": "LoadGen's logs",
        "endpoints": "output of the Endpoints client",
        "point": "point of a curve",
    }
    return f"{kinds[place.kind]}: {place.folder}"


def _by_division(place: Place, findings: Iterable[Finding]) -> Iterator[Finding]:
    """In the open division a score below the gate is reported, not failed."""
    for finding in findings:
        open_gate = place.division == "open" and finding.rule == "accuracy-gate" and finding.ok is False
        yield msgspec.structs.replace(finding, ok=None) if open_gate else finding


def _around(folder: Path, places: Iterable[Place], asked: Asked) -> Iterator[Finding]:
    """The submitters' folders, where whole ones are there."""
    mine: dict[Path, list[Place]] = {}
    for place in places:
        whole = place.organisation is not None and place.organisation.resolve().is_relative_to(folder.resolve())
        if place.organisation is not None and whole and place.kind != "point":
            mine.setdefault(place.organisation, []).append(place)
    for organisation, inside in mine.items():
        edition = asked.round or inside[0].round
        if edition not in known.rounds():
            edition = _round_of(inside) or known.rounds()[-1]
        yield from check_organisation(organisation, inside, edition)


def _round_of(places: Iterable[Place]) -> str | None:
    """The round whose seeds the first readable log has."""
    from loadcell.mlperf.files.checks_performance import seeds_in

    for place in places:
        if place.kind == "loadgen" and place.performance is not None:
            seeds = seeds_in(read_detail(place.performance / DETAIL))
            return next((name for name in known.rounds() if known.seeds_of(name) == seeds), None)
    return None


# --- LoadGen's logs --------------------------------------------------------------------------------------------------


def _loadgen(place: Place, asked: Asked) -> Iterator[Finding]:
    """The performance and the accuracy run of one scenario."""
    performance, accuracy = place.performance, place.accuracy
    if performance is None:
        whole = place.system is not None or accuracy is None
        if whole:
            folder = place.folder / "performance" / "run_1"
            yield failed("file-present", f"{DETAIL} and {SUMMARY} are missing", folder, "put the logs of the run there")
        detail = None if accuracy is None else read_detail(accuracy / DETAIL)
    else:
        detail = read_detail(performance / DETAIL)
    if detail is None:
        return
    if performance == place.folder and detail.text("effective_test_mode") == "AccuracyOnly":
        performance, accuracy = None, place.folder
    judge = judge_of_logs(place, asked, detail)
    yield from judge.findings
    if performance is not None:
        yield from _performance(detail, performance, judge)
        yield from check_user_conf(place, detail, known.layout(judge.round))
    if accuracy is not None:
        yield from _accuracy(accuracy, performance, judge)
    elif place.system is not None:
        yield failed("file-present", "accuracy/ is missing", place.folder / "accuracy", "run the accuracy pass")


def _performance(detail: Detail, folder: Path, judge: Judge) -> Iterator[Finding]:
    summary = read_summary(folder / SUMMARY)
    yield from detail.problems
    yield from summary.problems
    if not detail.values:
        return
    if detail.text("effective_test_mode") == "AccuracyOnly":
        yield failed("test-mode", "an accuracy run, where a performance run belongs", detail.path)
        return
    there = None if not (summary.figures or summary.parameters) else summary
    if judge.rules is not None:
        yield from check_performance(detail, there, judge.rules)
    else:
        yield from check_common(detail, judge.seeds, judge.scenario, "PerformanceOnly")
        yield from check_errors(detail, there)
    yield from check_consistency(detail, there, judge.rules)
    yield from check_traffic(detail)


def _accuracy(folder: Path, performance: Path | None, judge: Judge) -> Iterator[Finding]:
    """The accuracy run; where it shares its folder with the performance run, only what it left of its own."""
    text = read_accuracy_text(folder / ACCURACY_TEXT)
    yield from text.problems
    if folder == performance:
        if judge.rules is not None and text.scores:
            yield from check_gates(judge.rules, text.scores, text.path)
        return
    detail, summary = read_detail(folder / DETAIL), read_summary(folder / SUMMARY)
    log = read_accuracy_log(folder / ACCURACY_LOG)
    yield from (*detail.problems, *summary.problems, *log.problems)
    if detail.values:
        yield from check_accuracy_log(
            detail, summary, log, text, seeds=judge.seeds, scenario=judge.scenario, rules=judge.rules,
            max_log_bytes=known.layout(judge.round).files.max_accuracy_log_bytes,
        )  # fmt: skip


# --- the Endpoints client's output -----------------------------------------------------------------------------------


def _endpoints(place: Place, asked: Asked) -> Iterator[Finding]:
    """config.yaml, the summary, the accuracy and the measurements of one scenario."""
    problems: list[Finding] = []
    performance = place.performance or place.folder
    path, config_path = performance / RESULT, place.folder / CONFIG
    summary = endpoints.read_summary(path, problems)
    config = endpoints.read_config(config_path, problems)
    runtime = config.settings.runtime if config.settings else None
    judge = judge_of(place, asked, _seeds(runtime or summary.run_config), None, config.loadcell)
    yield from judge.findings
    if judge.rules is not None:
        yield checks_endpoints.check_allowed(judge.rules, place.folder)
    yield from checks_endpoints.check_summary(summary, path, judge.rules)
    if config.type is not None or config.settings is not None:
        yield from checks_endpoints.check_config(config, summary, config_path, judge.rules, judge.seeds)
    if place.accuracy is None:
        problems.append(failed("file-present", "accuracy/ is missing", place.folder, "run the accuracy pass"))
    else:
        accuracy_path = place.accuracy / ACCURACY_RESULT
        accuracy = endpoints.read_accuracy(accuracy_path, problems)
        yield from checks_endpoints.check_accuracy(accuracy, accuracy_path, judge.rules)
    yield from problems
    measurements = place.folder / "measurements.json"
    if measurements.exists():
        needed = known.layout(judge.round).files.measurements_json["required_non_empty"]
        if summary.generator is None:
            yield from check_measurements(measurements, needed)
    else:
        yield failed("measurements", "measurements.json is missing", measurements, "say how the model was made")


def _seeds(told: endpoints.Runtime | endpoints.RunConfig | None) -> Seeds | None:
    """The seeds of the round whose two seeds these are: the client has no third one."""
    if told is None:
        return None
    for edition in known.rounds():
        seeds = known.seeds_of(edition)
        if (told.dataloader_random_seed, told.scheduler_random_seed) == (seeds.sample_index, seeds.schedule):
            return seeds
    return None


_CHECKS = {
    "run": lambda place, asked: check_run(place.folder),
    "curve": lambda place, asked: check_curve(place.folder),
    "loadgen": _loadgen,
    "endpoints": _endpoints,
}
