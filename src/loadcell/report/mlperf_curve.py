"""A curve over concurrency on the console: its points, the steps that they make, and what the rules find."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadcell.mlperf.curve.model import Curve, CurvePlan, PointRun, Steady
from loadcell.mlperf.curve.regions import NAMES
from loadcell.mlperf.model import FOOTNOTE, UNVERIFIED, Finding
from loadcell.report.lines import Line, section
from loadcell.report.mlperf import finding_lines, held_line
from loadcell.report.text import MISSING, NO_REASON, figure, plain

_WIDE = 110
"""Columns from which on more of each point is shown."""
_STEADY = {"STEADY STATE": "steady", "drifting_up": "drifts up", "drifting_down": "drifts down"}
_STYLES = {"VALID": "green", "SUSPECT": "yellow", "INVALID": "bold red"}
_SAYS = 400
_DIGITS = re.compile(r"\d[\d.,]*")


def print_curve(curve: Curve, console: Console, folder: Path | None = None) -> None:
    """Print the curve; `folder` names where it lies."""
    console.print(render_curve(curve, console.width))
    if curve.findings:
        console.print(Group(section(_findings(curve.findings)), Text()))
    console.print(Padding(Text(FOOTNOTE, style="dim"), (0, 0, 1, 1)))
    if folder is not None:  # unbroken, so that they can be copied
        for line in _next(curve, folder):
            console.print(Text(f" {line}"), soft_wrap=True)


def render_curve(curve: Curve, width: int) -> RenderableType:
    """The curve but for its findings, for a terminal of 80 columns or more."""
    blocks: list[RenderableType] = [Padding(_head(curve), (0, 0, 0, 1)), section(_declared(curve.plan))]
    if curve.points:
        blocks += [_table(curve, wide=width >= _WIDE), section([*_steps(curve), *_doubts(curve)])]
    return Group(*(part for block in blocks for part in (block, Text())))


def grouped(findings: Sequence[Finding]) -> list[Finding]:
    """Findings of one rule that say the same of several points as one, which tells the first and counts the others."""
    groups: dict[tuple[str, bool | None], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.rule, finding.ok), []).append(finding)
    return [
        first
        if not others
        else msgspec.structs.replace(first, says=f"{first.says}; and at {len(others)} more points", where=None)
        for first, *others in groups.values()
    ]


def _findings(findings: Sequence[Finding]) -> Iterator[Line]:
    """Failed ones with their advice, those that could not be judged, and in one line what holds."""
    for ok, label, style in ((False, "Failed", "red"), (None, "Unjudged", "yellow")):
        yield from finding_lines(label, (one for one in grouped(findings) if one.ok is ok), style, _SAYS)
    yield from held_line(findings)


def title(plan: CurvePlan) -> str:
    """What was run, never without the word that says what it is worth."""
    return f"MLPerf-Endpoints-style curve of {plain(plan.model)} - {UNVERIFIED}"


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


def _head(curve: Curve) -> Text:
    text = Text(title(curve.plan), style="bold")
    if mark := marks(curve.plan):
        text.append(f"\n{mark}", style="yellow")
    if not curve.complete:
        text.append(f"\n{len(curve.points)} of {len(curve.plan.points)} points were run", style="yellow")
    return text


def _declared(plan: CurvePlan) -> Iterator[Line]:
    regions = plan.regions
    how = "declared" if plan.peak.found is None else "searched for"
    override = " (declared)" if plan.c_min_override is not None else ""
    yield "Regions", f"C_max {regions.c_max} ({how}) · C_min {regions.c_min}{override}"
    bands = [(NAMES[name], getattr(regions, name)) for name in list(NAMES)[:-1]]
    yield "", " · ".join(f"{name} {low}-{high}" if low <= high else f"{name} empty" for name, (low, high) in bands)
    for i, words in enumerate([*plan.peak.says, *(f"not covered: {words}" for words in plan.uncovered)]):
        yield ("" if i else "Before"), plain(words, _SAYS)
    if plan.shortened:
        yield "Smaller", Text(plain("; ".join(plan.shortened), _SAYS), style="yellow")
    endpoint = plan.spec.endpoint
    model = endpoint.model or "(the server's first)"
    yield "Target", plain(f"{endpoint.url} · {endpoint.api} · model {model}")
    yield "Data set", plain(f"{plan.samples:,} samples a pass · sha256 {plan.dataset_sha256[:16]}")


def _table(curve: Curve, *, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold")
    table.add_column(Text(" users   "), justify="right", no_wrap=True)
    table.add_column(Text("region"), no_wrap=True)
    more = ("TPOT p90\nms", "requests", "issued for", "passes") if wide else ()
    for name in ("tokens/s", "a user", "TTFT p90\nms", *more):
        table.add_column(Text(name), justify="right", no_wrap=True)
    table.add_column(Text("steady"), no_wrap=True)
    table.add_column(Text("verdict"), no_wrap=True)
    for i, one in enumerate(curve.points):
        table.add_row(*_cells(one, wide=wide, on_curve=i in curve.steps))
    return table


def _cells(one: PointRun, *, wide: bool, on_curve: bool) -> Iterator[Text]:
    point = one.point
    shown = "".join(mark for mark, true in (("*", on_curve), ("O", bool(point.offline))) if true)
    yield Text(f"{MISSING if point.concurrency is None else f'{point.concurrency:,}'} {shown:2}")
    yield Text("Offline" if point.offline == "dedicated" else NAMES[one.planned.region])
    yield Text(figure(point.system_tps), style="cyan")
    yield Text(user_words(one), style="cyan")
    yield Text(figure(point.ttft_p90_ms, grouped=False))
    if wide:
        yield Text(figure(point.tpot_p90_ms, grouped=False))
        yield Text(f"{one.run.completed:,}" + (f" + {one.run.failed:,} failed" if one.run.failed else ""))
        yield Text(f"{figure(point.issue_span_s, 4)} s")
        yield Text(MISSING if point.steady is None else figure(point.steady.super_passes, 3))
    yield Text(
        steady_words(one), style="" if point.steady is None or point.steady.verdict == "STEADY STATE" else "yellow"
    )
    yield Text(one.instrument, style=_STYLES.get(one.instrument, ""))


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


def _steps(curve: Curve) -> Iterator[Line]:
    """The curve itself: what the system gives in all to users who each want so much."""
    for i, position in enumerate(curve.steps):
        point = curve.points[position].point
        yield (
            ("" if i else "Curve *"),
            f"up to {figure(point.tps_per_user)} tokens/s a user: {figure(point.system_tps)} tokens/s in all, at "
            f"{point.concurrency} users · unverified",
        )
    if not curve.steps:
        yield "Curve", Text("no point has both figures, or all of them drift", style="yellow")
    yield "", Text(_LEGEND, style="dim")


_LEGEND = (
    "a user: 1000 / p90 TPOT in ms. TTFT from the issue to the first output of any kind. Figures of the steady window "
    "where there is a whole one, else of the whole run. *: no point beats it in both figures. O: counts as Offline."
)


def _doubts(curve: Curve) -> Iterator[Line]:
    """Points that did not hold still or whose measurement is in doubt, and what else is to know of them."""
    kinds: dict[str, list[str]] = {}
    for one in curve.points:
        steady = one.point.steady
        said = [f"{steady.verdict}: {steady.says}"] if steady and steady.verdict != "STEADY STATE" else []
        if one.instrument != "VALID":
            reason = one.instrument_reasons[0] if one.instrument_reasons else NO_REASON
            said.append(f"{one.instrument}: {reason}")
        for words in (*said, *one.notes):  # those that differ in their figures alone are told once
            kinds.setdefault(_DIGITS.sub("#", words), []).append(f"{one.point.concurrency} users: {words}")
    for i, (first, *others) in enumerate(kinds.values()):
        more = f"; and at {len(others)} more points" if others else ""
        yield ("" if i else "To know"), plain(f"{first}{more}", _SAYS)


def _next(curve: Curve, folder: Path) -> Iterator[str]:
    yield f"Recorded in {folder}"
    if curve.points:
        yield f"One point: loadcell report {folder / curve.points[-1].planned.folder}"
    if not curve.complete:
        yield f"To go on: loadcell mlperf curve {folder} --resume"
    yield f"Check: loadcell mlperf check {folder}"
