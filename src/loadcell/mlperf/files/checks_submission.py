"""The rules for the folder around the runs: systems, measurements, compliance tests, required scenarios, file sizes."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from loadcell.errors import UsageError
from loadcell.mlperf import rules as known
from loadcell.mlperf.files.conf import read_conf, setting
from loadcell.mlperf.files.layout import Place
from loadcell.mlperf.files.loadgen_logs import Detail
from loadcell.mlperf.files.reading import read_json
from loadcell.mlperf.findings import failed, judged, noted
from loadcell.mlperf.model import Finding
from loadcell.mlperf.rules.forms import Submission

_MAX_NAMED = 8


def check_sizes(files: Sequence[Path], folder: Path, max_mib: int) -> Iterator[Finding]:
    """No file of a submission is larger than `max_mib` MiB."""
    large = [path for path in files if path.is_file() and path.stat().st_size > max_mib * 2**20]
    for path in large[:_MAX_NAMED]:
        says = f"{path.name} has {path.stat().st_size / 2**20:,.1f} MiB, at most {max_mib} are allowed"
        yield failed("file-size", says, path, "leave it out, or cut it")
    if not large:
        yield judged("file-size", True, f"{len(files):,} files of at most {max_mib} MiB", folder)


def check_organisation(organisation: Path, places: Sequence[Place], edition: str) -> Iterator[Finding]:
    """Everything of one submitter that is not in a run's own files."""
    form = known.layout(edition)
    division = next((place.division for place in places if place.division), None)
    if division is None:
        says = f"{organisation.name} does not lie in {', '.join(form.layout.divisions)}"
        yield failed("layout", says, organisation, "put the submitter's folder into that of its division")
    source = organisation / form.layout.source
    if not source.is_dir():
        yield failed("layout", f"{form.layout.source}/ is missing", source, "a submission holds its code")
    for system in sorted({place.system for place in places if place.system}):
        mine = [place for place in places if place.system == system]
        types = yield from _system(organisation, system, division, form)
        yield from _scenarios(organisation, mine, types, division, edition)
        for place in mine:
            yield from _measurements(organisation, place, form)
            if division == "closed":
                yield from _compliance(organisation, place, form, edition)


def _system(
    organisation: Path, system: str, division: str | None, form: Submission
) -> Generator[Finding, None, list[str]]:
    """Findings on systems/SYSTEM.json; returns the suites that it names (generator's value)."""
    path, fields = organisation / form.layout.system.format(sys=system), form.files.system_json
    problems: list[Finding] = []
    about = read_json(path, problems)
    yield from problems
    if not isinstance(about, dict):
        if about is not None:
            yield failed("system-fields", f"{path.name} is no object", path)
        return []
    needed = fields.required + (fields.network_division_extra if division == "network" else [])
    gone = [key for key in needed if key not in about]
    empty = [key for key in fields.non_empty if key in about and about[key] in ("", None)]
    says = "; ".join(
        [f"missing: {', '.join(gone)}"] * bool(gone) + [f"empty: {', '.join(empty)}"] * bool(empty)
    )  # fmt: skip
    ok = not gone and not empty
    yield judged("system-fields", ok, says or f"all {len(needed)} fields are there", path, "fill them in")
    status = str(about.get("status", "")).lower()
    ok = status in fields.status
    yield judged("system-fields", ok, f"status {status or 'missing'}", path, f"one of {', '.join(fields.status)}")
    if division is not None and about.get("division") != division:
        yield failed("system-fields", f"division {about.get('division')!r:.40} lies in {division}", path)
    submitter = str(about.get("submitter", ""))
    if submitter.lower() != organisation.name.lower():
        says = f"submitter {submitter!r:.60} lies in {organisation.name}"
        yield noted("system-fields", says, path)
    types = [word.strip() for word in str(about.get("system_type", "")).lower().split(",")]
    ok = bool(types) and set(types) <= {"datacenter", "edge"}
    yield judged("system-fields", ok, f"system_type {', '.join(types)}", path, "datacenter, edge, or both")
    return [name for name in types if name in ("datacenter", "edge")]


def _scenarios(
    organisation: Path, places: Sequence[Place], suites: Sequence[str], division: str | None, edition: str
) -> Iterator[Finding]:
    """Every scenario that a suite requires of a benchmark is there; the open division may choose."""
    for benchmark in sorted({place.benchmark for place in places if place.benchmark}):
        try:
            wanted = [rules for rules in known.all_rules(edition) if rules.benchmark == _official(edition, benchmark)]
        except UsageError:
            continue  # an unknown benchmark is told at its runs
        there = {place.scenario for place in places if place.benchmark == benchmark}
        where = organisation / "results" / str(places[0].system) / benchmark
        for suite in suites:
            for finding in _required(wanted, suite, there, where):
                if division == "open" and not finding.ok:
                    yield noted(finding.rule, f"{finding.says} (the open division may leave it out)", where)
                else:
                    yield finding


def _official(edition: str, benchmark: str) -> str:
    return known.find_rules(edition, benchmark, "singlestream").benchmark


def _required(wanted: Sequence[Any], suite: str, there: set[Any], where: Path) -> Iterator[Finding]:
    must = [rules.scenario for rules in wanted if rules.suites.get(suite) == "required"]
    one_of = [rules.scenario for rules in wanted if rules.suites.get(suite) == "one_of_server_interactive"]
    if not must and not one_of:
        yield failed("required-scenarios", f"{where.name} is no benchmark of the {suite} suite", where)
        return
    gone = [name for name in must if name not in there]
    says = f"{suite}: {', '.join(gone)} missing" if gone else f"{suite}: {', '.join(must)} there"
    yield judged("required-scenarios", not gone, says, where, "run what is missing")
    if one_of:
        found = [name for name in one_of if name in there]
        says = f"{suite}: {', '.join(found) or 'none'} of {' or '.join(sorted(one_of))}"
        yield judged("required-scenarios", bool(found), says, where, "one of them is required")


def _measurements(organisation: Path, place: Place, form: Submission) -> Iterator[Finding]:
    """The files about how a run was made: where they lie depends on the round."""
    names = {"sys": place.system, "model": place.benchmark, "scenario": place.folder.name}
    folder = organisation / form.layout.measurements.format(**names)
    found = sorted(folder.glob(form.layout.measurements_json.format(**names))) if folder.is_dir() else []
    if not found:
        name = form.layout.measurements_json.format(**names)
        yield failed("measurements", f"{name} is missing", folder, "say how the model was made")
    for path in found[:1]:
        yield from check_measurements(path, form.files.measurements_json["required_non_empty"])
    if place.kind != "loadgen":
        return
    gone = [name for name in form.files.measurement_files if not (folder / name).is_file()]
    says = f"missing: {', '.join(gone)}" if gone else f"{', '.join(form.files.measurement_files)} there"
    yield judged("measurements", not gone, says, folder, "put them beside the measurements")


def check_user_conf(place: Place, detail: Detail, form: Submission) -> Iterator[Finding]:
    """user.conf can be read, and holds the rate that LoadGen says it was asked for."""
    names = {"sys": place.system, "model": place.benchmark, "scenario": place.folder.name}
    beside = [] if place.organisation is None else [place.organisation / form.layout.measurements.format(**names)]
    path = next((folder / "user.conf" for folder in (place.folder, *beside) if (folder / "user.conf").is_file()), None)
    if path is None:
        return
    conf = read_conf(path)
    yield from conf.problems
    scenario, keys = (
        detail.text("effective_scenario"),
        ("requested_server_target_qps", "requested_offline_expected_qps"),
    )
    asked = next((rate for key in keys if (rate := detail.number(key)) is not None), None)
    if asked is None or scenario not in ("Server", "Offline"):
        return
    told = {setting([conf], model, scenario, "target_qps") for model in {one.model for one in conf.settings}} - {None}
    if told and not any(abs(rate - asked) <= 1e-5 * asked for rate in told if rate is not None):
        rates = ", ".join(f"{rate:g}" for rate in sorted(rate for rate in told if rate is not None))
        says = f"target_qps of {scenario} is {rates} in user.conf, the log was asked for {asked:g}"
        yield noted("user-conf", says, path, "keep the file that the run was made with")


def check_measurements(path: Path, needed: Sequence[str]) -> Iterator[Finding]:
    """Every field about weights and data types is there and says something."""
    problems: list[Finding] = []
    about = read_json(path, problems)
    yield from problems
    if about is None:
        return
    empty = [key for key in needed if not (isinstance(about, dict) and about.get(key) not in (None, ""))]
    says = f"missing or empty: {', '.join(empty)}" if empty else f"all {len(needed)} fields are there"
    yield judged("measurements", not empty, says, path, "fill them in")


def _compliance(organisation: Path, place: Place, form: Submission, edition: str) -> Iterator[Finding]:
    """The folders of the compliance tests that the closed division asks for."""
    if place.benchmark is None or place.scenario is None:
        return
    try:
        rules = known.find_rules(edition, place.benchmark, place.scenario)
    except UsageError:
        return  # told at the run
    for test in rules.compliance_tests:
        names = {"sys": place.system, "model": place.benchmark, "scenario": place.folder.name, "test": test}
        folder = organisation / form.layout.compliance.format(**names)
        ok = folder.is_dir() and any(folder.iterdir())
        if place.kind == "endpoints":  # that client leaves audits instead
            ok = ok or any((place.folder / "audit").glob("audit_*.json"))
        says = f"{test} is {'there' if ok else 'missing'}"
        yield judged("compliance", ok, says, folder, f"run {test} and put what it leaves there")
