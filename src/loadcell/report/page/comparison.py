"""The page of a comparison."""

from __future__ import annotations

import msgspec

from loadcell.compare.effect import RUNS_LEAST
from loadcell.compare.model import Change, Comparison, Floor, Pair, Side
from loadcell.report.charts.comparison import FINDINGS
from loadcell.report.detail.model import Detail
from loadcell.report.page.figures import count
from loadcell.report.page.method import typed_command
from loadcell.report.page.render import render
from loadcell.report.signed import change_words, finding_words, interval_words, signed
from loadcell.report.text import MISSING
from loadcell.report.words import Words

_CLASSES = {"better": "valid", "worse": "invalid", "no difference shown": "none", "too little data": "suspect"}
_COMPARABLE = {"comparable": "valid", "comparable with care": "suspect", "not comparable": "invalid"}


class Row(msgspec.Struct, frozen=True):
    """One figure of a pair."""

    title: str
    term: str
    a: str
    b: str
    change: str
    interval: str
    finding: str
    kind: str
    """The finding as a class of the page's style."""
    says: str
    needs: str


class Section(msgspec.Struct, frozen=True):
    """A pair as it is shown."""

    pair: Pair
    chart: str
    kind: str
    word: str
    summary: list[tuple[str, str, str]]
    """Class, number and name of each finding."""
    rows: list[Row]
    noise: str
    advice: str


def comparison_page(comparison: Comparison, details: dict[str, Detail], words: Words, *, source: str = "") -> str:
    """One HTML file that tells a comparison to a person who was not there.

    `details` by the names of the sides ("A", "B"); a side without a recording is absent. `source` is not used in the
    commands, which name the sides.
    """
    from loadcell.report.charts import comparison_charts

    several = len(comparison.pairs) > 1
    paths = [side.path for side in comparison.sides]
    paths = paths if comparison.duel is None else [comparison.duel.folder]
    again = typed_command("loadcell", "compare", *paths) if paths else None
    return render(
        "comparison.html",
        words,
        comparison_charts(comparison, details, words),
        comparison=comparison,
        several=several,
        sections=[_section(pair, comparison, several, words) for pair in comparison.pairs],
        gates_failed=sum(gate.fired for gate in comparison.gates),
        sides=[(side, _runs(side, words), count(side.requests, words)) for side in comparison.sides],
        tests=count(sum(c.p is not None for pair in comparison.pairs for c in pair.changes), words),
        floors=[] if comparison.noise is None else [_floor(floor, words) for floor in comparison.noise.floors],
        least_points=words.number(f"{comparison.min_points * 100:g}"),
        again=again,
        source=source,
    )


def _section(pair: Pair, comparison: Comparison, several: bool, words: Words) -> Section:
    counts = {finding: sum(change.finding == finding for change in pair.changes) for finding in FINDINGS}
    advice = ""
    if pair.comparable == "not comparable":
        forced = words.say(
            "Compared all the same (--force): the figures below do not mean the same thing on both sides."
        )
        advice = (
            forced
            if pair.changes
            else words.say(
                "No findings. Measure both in the same way, or give --force to see the figures all the same."
            )
        )
    return Section(
        pair=pair,
        chart=f"differences-{pair.name.lower()}" if several else "differences",
        kind=_COMPARABLE[pair.comparable],
        word={
            "comparable": words.say("comparable"),
            "comparable with care": words.say("comparable with care"),
            "not comparable": words.say("not comparable"),
        }[pair.comparable],
        summary=[(_CLASSES[name], count(n, words), finding_words(name, words)) for name, n in counts.items()],
        rows=[_row(change, words) for change in pair.changes],
        noise=_noise(pair, comparison, words),
        advice=advice,
    )


def _row(change: Change, words: Words) -> Row:
    show = words.percent if change.unit == "share" else words.figure
    title = words.say(change.title)
    needs = ""
    if change.needs is not None:
        n = count(change.needs, words)
        runs = change.needs_what == "runs"
        needs = words.say("{n} runs a side", n=n) if runs else words.say("{n} requests a side", n=n)
    return Row(
        title=f"{title}, ms" if change.unit == "ms" else title,
        term=change.metric,
        a=show(change.a),
        b=show(change.b),
        change=change_words(change, words),
        interval=interval_words(change, words),
        finding=finding_words(change.finding, words),
        kind=_CLASSES[change.finding],
        says=change.says,
        needs=needs,
    )


def _noise(pair: Pair, comparison: Comparison, words: Words) -> str:
    """The runs that the A/A noise of a pair is told for; nothing without it."""
    if all(change.noise is None for change in pair.changes):
        return ""
    runs = {side.name: len(side.runs) for side in comparison.sides}
    enough = max(runs["A"], runs[pair.name]) >= RUNS_LEAST
    first, second = (str(runs[name]) if enough else "1" for name in ("A", pair.name))
    return words.say("A/A noise floor for runs against runs: {first} against {second}.", first=first, second=second)


def _floor(floor: Floor, words: Words) -> tuple[str, str, str, str]:
    share = floor.unit == "share"
    unit = words.say("points") if share else "%"
    deviation, least = (
        MISSING if value is None else f"{signed(value, words).lstrip('+')} {unit}"
        for value in (floor.deviation, floor.floor)
    )
    title = words.say(floor.title)
    mean = words.percent(floor.mean) if share else words.figure(floor.mean)
    return (f"{title}, ms" if floor.unit == "ms" else title, mean, deviation, least)


def _runs(side: Side, words: Words) -> str:
    if side.kind == "repeats":
        return words.say("{n} runs", n=count(len(side.runs), words))
    if side.kind == "turns":
        return words.say("{n} turns", n=count(len(side.runs), words))
    return words.say("saved result") if side.kind == "result" else words.say("1 run")
