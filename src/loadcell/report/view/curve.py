"""What a curve over concurrency says: its points, the steps that they make, and what the rules find. In English."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote

import msgspec

from loadcell.mlperf.curve.model import Curve, CurvePlan, PointRun, Steady
from loadcell.mlperf.curve.regions import NAMES
from loadcell.mlperf.model import UNVERIFIED, Finding
from loadcell.report.text import MISSING, NO_REASON, figure
from loadcell.report.view.blocks import (
    TONES,
    Block,
    Cell,
    Chart,
    Column,
    Command,
    Fact,
    Facts,
    Section,
    Table,
    Tone,
    Verdict,
    View,
    fact,
    figured,
    listed,
)
from loadcell.report.view.figures import moment
from loadcell.report.view.method import target
from loadcell.report.view.mlperf import EN, closing, finding_cell, held

TERMINAL = ("summary", "points", "rules", "footnote", "again")
PAGE = ("summary", "points", "rules", "method", "footnote")
_STEADY = {"STEADY STATE": "steady", "drifting_up": "drifts up", "drifting_down": "drifts down"}
_DIGITS = re.compile(r"\d[\d.,]*")
_LEGEND = (
    "a user: 1000 / p90 TPOT in ms. TTFT from the issue to the first output of any kind. Figures of the steady window "
    "where there is a whole one, else of the whole run. *: no point beats it in both figures. O: counts as Offline."
)


def curve_view(curve: Curve, folder: Path | str = "", charts: Sequence[str] = ()) -> View:
    """The curve; `folder` names where it lies in the commands, `charts` are those that a page draws."""
    plan = curve.plan
    name = f"MLPerf-Endpoints-style curve of {plan.model} - {UNVERIFIED}"
    cut = "" if curve.complete else f"{len(curve.points)} of {len(plan.points)} points were run"
    reasons = [Cell(mark, tone="care") for mark in (marks(plan), cut) if mark]
    points: list[Block] = [_table(curve), Facts([*_steps(curve), *_doubts(curve)])] if curve.points else []
    started = min((one.started_at for one in curve.points if one.started_at), default="")
    declared = Facts(list(_declared(plan)))
    return View(
        title=f"{plan.model}, curve, {UNVERIFIED}",
        eyebrow=moment(started),
        heading=name,
        parts={
            "summary": [
                Section("summary", name, [declared, *map(Chart, charts)], Verdict("UNVERIFIED", "care", "", reasons))
            ],
            "points": [Section("points", "Points", points)] if points else [],
            "rules": [Section("rules", "Rules", [Facts(list(_findings(curve.findings)))])] if curve.findings else [],
            **closing(plan.spec, list(_again(curve, Path(folder))) if folder else []),
        },
        loadcell=curve.loadcell,
    )


def grouped(findings: Sequence[Finding]) -> list[Finding]:
    """Findings of one rule that say the same of several points as one, which tells the first and counts the others."""
    groups: dict[tuple[str, bool | None], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.rule, finding.ok), []).append(finding)
    return [
        msgspec.structs.replace(first, says=_with_more(first.says, others), where=None if others else first.where)
        for first, *others in groups.values()
    ]


def _with_more(first: str, others: Sequence[object]) -> str:
    return f"{first}; and at {len(others)} more points" if others else first


def _findings(findings: Sequence[Finding]) -> Iterator[Fact]:
    """Failed ones with their advice, those that could not be judged, and in one line what holds."""
    kinds: tuple[tuple[bool | None, str, Tone], ...] = ((False, "Failed", "bad"), (None, "Unjudged", "care"))
    for ok, label, tone in kinds:
        yield from listed(label, (finding_cell(one, tone) for one in grouped(findings) if one.ok is ok))
    yield from held(findings)


def marks(plan: CurvePlan) -> str:
    """Why a curve compares with nothing, in brackets; nothing if it may."""
    smaller = ["quick"] if plan.quick else ["smaller"] if plan.shortened else []
    words = [*smaller, *(["look-alike samples"] if plan.look_alike else [])]
    return f"({', '.join(words)}: not comparable)" if words else ""


def point_line(one: PointRun) -> str:
    """A point in one line, as it ends."""
    point = one.point
    offline = f" ({point.offline} Offline)" if point.offline else ""
    return (
        f" concurrency {point.concurrency}{offline}: {figure(point.system_tps)} tokens/s, {user_words(one)} a user, "
        f"TTFT p90 {figure(point.ttft_p90_ms)} ms · {steady_words(one)} · {one.instrument} · unverified"
    )


def _declared(plan: CurvePlan) -> Iterator[Fact]:
    regions = plan.regions
    how = "declared" if plan.peak.found is None else "searched for"
    override = " (declared)" if plan.c_min_override is not None else ""
    yield fact("Regions", f"C_max {regions.c_max} ({how})", f"C_min {regions.c_min}{override}")
    bands = [(NAMES[name], getattr(regions, name)) for name in list(NAMES)[:-1]]
    yield fact("", *(f"{name} {low}-{high}" if low <= high else f"{name} empty" for name, (low, high) in bands))
    yield from listed("Before", map(Cell, [*plan.peak.says, *(f"not covered: {words}" for words in plan.uncovered)]))
    if plan.shortened:
        yield "Smaller", [Cell("; ".join(plan.shortened), tone="care")]
    yield target(plan.spec.endpoint, EN)
    sent = f"{plan.samples:,} samples a pass, in an order of its own each (seed set {plan.seeds.id})"
    yield fact("Data set", sent, f"sha256 {plan.dataset_sha256[:16]}")


def _table(curve: Curve) -> Table:
    columns = [
        Column("users", "left"), Column("region", "left"), Column("tokens/s"), Column("a user"),
        Column("TTFT p90", under="ms"), Column("TPOT p90", under="ms", wide=True), Column("requests", wide=True),
        Column("issued for", under="s", wide=True), Column("passes", wide=True), Column("steady", "left"),
        Column("verdict", "left"),
    ]  # fmt: skip
    rows = [list(_cells(one, on_curve=i in curve.steps)) for i, one in enumerate(curve.points)]
    return Table(columns, rows, [_LEGEND], stacked=True)


def _cells(one: PointRun, *, on_curve: bool) -> Iterator[Cell]:
    point, steady = one.point, one.point.steady
    shown = "".join(mark for mark, true in (("*", on_curve), ("O", bool(point.offline))) if true)
    yield figured(f"{MISSING if point.concurrency is None else f'{point.concurrency:,}'} {shown}".rstrip())
    yield Cell("Offline" if point.offline == "dedicated" else NAMES[one.planned.region])
    failed = f" + {one.run.failed:,} failed" if one.run.failed else ""
    for text in (
        figure(point.system_tps),
        user_words(one),
        figure(point.ttft_p90_ms),
        figure(point.tpot_p90_ms),
        f"{one.run.completed:,}{failed}",
        figure(point.issue_span_s),
        MISSING if steady is None else figure(steady.super_passes, 3),
    ):
        yield figured(text)
    yield Cell(steady_words(one), tone="" if steady is None or steady.verdict == "STEADY STATE" else "care")
    yield Cell(one.instrument, tone=TONES.get(one.instrument, ""))


def user_words(one: PointRun) -> str:
    """Tokens/s a user; of a point that drifts the range of its super-passes, for no single figure stands for it."""
    steady = one.point.steady
    if steady is not None and steady.verdict in ("drifting_up", "drifting_down"):
        trend = next((trend for trend in steady.trends if trend.metric == "tpot_p90_ms"), None)
        if trend is not None and trend.low and trend.high:
            return f"{figure(1000 / trend.high, 3)}-{figure(1000 / trend.low, 3)}"
    return figure(one.point.tps_per_user)


def steady_words(one: PointRun) -> str:
    """Whether a point held still, in two words."""
    steady: Steady | None = one.point.steady
    if steady is None:
        return "at once"
    if steady.status == "insufficient_passes" or steady.status == "partial_dataset":
        return "few passes"
    word = _STEADY.get(steady.verdict, steady.verdict)
    return f"{word}, short" if steady.status == "insufficient_duration" else word


def _steps(curve: Curve) -> Iterator[Fact]:
    """The curve itself: what the system gives in all to users who each want so much."""
    points = (curve.points[position].point for position in curve.steps)
    yield from listed("Curve *", (
        Cell(f"up to {figure(point.tps_per_user)} tokens/s a user: {figure(point.system_tps)} tokens/s in all, at "
             f"{point.concurrency} users · unverified")
        for point in points
    ))  # fmt: skip
    if not curve.steps:
        yield "Curve", [Cell("no point has both figures, or all of them drift", tone="care")]


def _doubts(curve: Curve) -> Iterator[Fact]:
    """Points that did not hold still or whose measurement is in doubt, and what else is to know of them."""
    kinds: dict[str, list[str]] = {}
    for one in curve.points:
        steady = one.point.steady
        said = [f"{steady.verdict}: {steady.says}"] if steady and steady.verdict != "STEADY STATE" else []
        if one.instrument != "VALID":
            said.append(f"{one.instrument}: {one.instrument_reasons[0] if one.instrument_reasons else NO_REASON}")
        for words in (*said, *one.notes):  # those that differ in their figures alone are told once
            kinds.setdefault(_DIGITS.sub("#", words), []).append(f"{one.point.concurrency} users: {words}")
    yield from listed("To know", (Cell(_with_more(first, others)) for first, *others in kinds.values()))


def _again(curve: Curve, folder: Path) -> Iterator[Command]:
    see = f"Recorded in {folder}; to see it again{'' if curve.complete else ', or to go on'}"
    yield Command(see, f"loadcell mlperf curve {quote(str(folder))} --resume")
    if curve.points:
        yield Command("One point", f"loadcell report {quote(str(folder / curve.points[-1].planned.folder))}")
    yield Command("Check", f"loadcell mlperf check {quote(str(folder))}")
