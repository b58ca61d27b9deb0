"""What a comparison says: whether the sides may be compared, then what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loadcell.compare.effect import RUNS_LEAST
from loadcell.compare.model import Change, Comparison, Floor, Gate, Noise, Pair, Side
from loadcell.report.signed import change_words, finding_words, interval_words, signed
from loadcell.report.text import MISSING, sentence
from loadcell.report.view.blocks import (
    TONES,
    Block,
    Cell,
    Chart,
    Column,
    Command,
    Facts,
    Section,
    Table,
    Tiles,
    Tone,
    Verdict,
    View,
    figured,
    told,
)
from loadcell.report.view.method import typed_command
from loadcell.report.words import Words

TERMINAL = ("sides", "pairs", "noise", "gates")
MARKDOWN = ("gates", "pairs", "noise", "sides")
PAGE = ("gates", "sides", "pairs", "distributions", "noise", "method")
_FINDINGS: dict[str, Tone] = {"better": "good", "worse": "bad", "no difference shown": "", "too little data": "open"}
_COMPARABLE: dict[str, Tone] = {"comparable": "good", "comparable with care": "care", "not comparable": "bad"}
_RUNS_NAMED = 20


def comparison_view(comparison: Comparison, words: Words, overlay: bool = False) -> View:
    """The comparison in the language of `words`; `overlay` where the distributions of the sides are drawn."""
    t, names = words.say, [side.name for side in comparison.sides]
    several = len(comparison.pairs) > 1
    drawn = Section("distributions", t("Distributions"), [Chart("ecdf-overlay")])
    return View(
        title=t("Comparison") if names else t("A/A noise"),
        eyebrow=t("Comparison") if names else t("How far two runs of the same thing differ"),
        heading=" \N{EN DASH} ".join(names) or t("A/A noise"),
        parts={
            "gates": [_gates(comparison.gates, words, several)] if comparison.gates else [],
            "sides": [_sides(comparison.sides, words)] if names else [],
            "pairs": [_pair(pair, comparison, words, several) for pair in comparison.pairs],
            "distributions": [drawn] if overlay else [],
            "noise": [] if comparison.noise is None else [_noise(comparison.noise, words)],
            "method": [_method(comparison, words)],
        },
        loadcell=comparison.loadcell,
    )


def _gates(gates: Sequence[Gate], words: Words, several: bool) -> Section:
    t, failed = words.say, sum(gate.fired for gate in gates)
    rows = []
    for gate in gates:
        word = Cell(t("FAIL"), tone="bad") if gate.fired else Cell(t("pass"), tone="good")
        if gate.inconclusive and not gate.fired:
            word = Cell(t("INCONCLUSIVE"), tone="open")
        name = Cell(gate.expression, kind="code", unit=f"({gate.side})" if several else "")
        rows.append([name, word, Cell(told(gate.says, words))])
    return Section(
        "gates",
        t("{n} of {all} gates failed", n=str(failed), all=str(len(gates))),
        [Table([Column(t("Gate"), "left"), Column("", "left"), Column("", "left")], rows)],
        Verdict(t("FAIL"), "bad") if failed else Verdict(t("pass"), "good"),
    )


def _sides(sides: Sequence[Side], words: Words) -> Section:
    rows = [
        (
            side.name,
            [
                Cell(side.path, kind="code"),
                *_runs(side, words),
                Cell(words.say("{n} ok requests", n=words.count(side.requests))),
                Cell(words.say(side.verdict), tone=TONES[side.verdict]),
            ],
        )
        for side in sides
    ]
    return Section("sides", words.say("What was compared"), [Facts(rows)], detail=True)


def _runs(side: Side, words: Words) -> Iterator[Cell]:
    n = words.count(len(side.runs))
    if side.kind == "repeats":
        yield figured(words.say("{n} runs", n=n))
    elif side.kind == "turns":
        yield figured(words.say("{n} turns", n=n))
    elif side.kind == "result":
        yield Cell(words.say("saved result"))


def _pair(pair: Pair, comparison: Comparison, words: Words, several: bool) -> Section:
    t = words.say
    blocks: list[Block] = []
    if pair.changes:
        found = {name: sum(change.finding == name for change in pair.changes) for name in _FINDINGS}
        tiles = [
            (Cell(finding_words(name, words)), [figured(words.count(n), tone=_FINDINGS[name])])
            for name, n in found.items()
        ]
        columns = [Column(t("Figure"), "left"), Column("A"), Column(pair.name),
                   Column(t("Change"), under=t("95 % interval")), Column(t("Finding"), "left")]  # fmt: skip
        rows = [_change(change, words) for change in pair.changes]
        chart = f"differences-{pair.name.lower()}" if several else "differences"
        blocks = [Tiles(tiles), Chart(chart), Table(columns, rows, list(_legend(pair, comparison, words)))]
    says = ""
    if pair.comparable == "not comparable":
        says = (
            t("Compared all the same (--force): the figures below do not mean the same thing on both sides.")
            if pair.changes
            else t("No findings. Measure both in the same way, or give --force to see the figures all the same.")
        )
    reasons = [Cell(told(reason, words), tone="strong") for reason in pair.forbids]
    reasons += [Cell(told(reason, words)) for reason in pair.care]
    reasons = reasons or [Cell(t("Nothing that matters differs in how the sides were measured."))]
    return Section(
        f"pair-{pair.name.lower()}",
        t("{side} against A", side=pair.name),
        blocks,
        Verdict(told(pair.comparable, words), _COMPARABLE[pair.comparable], says, reasons),
    )


def _change(change: Change, words: Words) -> list[Cell]:
    show = words.percent if change.unit == "share" else words.figure
    tone = _FINDINGS[change.finding]
    more = told(change.says, words)
    if not more and change.needs is not None:
        n, runs = words.count(change.needs), change.needs_what == "runs"
        needs = words.say("{n} runs a side", n=n) if runs else words.say("{n} requests a side", n=n)
        more = words.say("needs {what}", what=needs)
    return [
        Cell(_title(change, words), term=change.metric),
        figured(show(change.a)),
        figured(show(change.b)),
        figured(change_words(change, words), under=interval_words(change, words)),
        Cell(finding_words(change.finding, words), tone=tone, more=more),
    ]


def _title(row: Change | Floor, words: Words) -> str:
    title = words.say(row.title)
    return f"{title}, ms" if row.unit == "ms" else title


def _legend(pair: Pair, comparison: Comparison, words: Words) -> Iterator[str]:
    """How the findings were made, and what has to be known besides."""
    t = words.say
    if pair.pairing is not None:
        yield sentence(told(pair.pairing.says, words))
    tests = sum(change.p is not None for other in comparison.pairs for change in other.changes)
    yield t(
        "Change: {side} against A, with its 95 % interval. better, worse: shown at 5 % after Holm's correction for "
        "{tests} tests. no difference that matters: the interval lies within {effect} (shares: {points} points).",
        side=pair.name,
        tests=words.count(tests),
        effect=words.percent(comparison.min_effect),
        points=_points(comparison, words),
    )
    yield from (sentence(told(note, words)) for note in pair.notes)
    noise = {change.title: change.noise for change in pair.changes if change.noise is not None}
    if noise:
        runs = {side.name: len(side.runs) for side in comparison.sides}
        enough = max(runs["A"], runs[pair.name]) >= RUNS_LEAST
        first, second = (str(runs[name] if enough else 1) for name in ("A", pair.name))
        units = {change.title: "" if change.unit == "share" else " %" for change in pair.changes}
        yield t(
            "A/A noise floor, {first} runs against {second}: {floors}. A finding lies beyond it.",
            first=first,
            second=second,
            floors=", ".join(f"{t(name)} {_unsigned(floor, words)}{units[name]}" for name, floor in noise.items()),
        )


def _points(comparison: Comparison, words: Words) -> str:
    return words.number(f"{comparison.min_points * 100:g}")


def _unsigned(value: float, words: Words) -> str:
    return signed(value, words).lstrip("+")


def _noise(noise: Noise, words: Words) -> Section:
    t = words.say
    rows = []
    for floor in noise.floors:
        share = floor.unit == "share"
        unit = t("points") if share else "%"
        ends = (
            figured(MISSING if value is None else f"{_unsigned(value, words)} {unit}")
            for value in (floor.deviation, floor.floor)
        )
        mean = figured(words.percent(floor.mean) if share else words.figure(floor.mean))
        rows.append([Cell(_title(floor, words), term=floor.metric), mean, *ends])
    below = t(
        "From {n} runs of the same thing. Noise floor: what two such runs differ by, at most, 95 times out of 100. No "
        "smaller difference between two runs is a finding.",
        n=str(len(noise.runs)),
    )
    columns = [Column(t("A/A noise"), "left"), Column(t("mean")), Column(t("deviation")), Column(t("noise floor"))]
    notes = [sentence(told(note, words)) for note in noise.notes]
    return Section("noise", t("A/A noise"), [Table(columns, rows, [below, *notes])])


def _method(comparison: Comparison, words: Words) -> Section:
    t = words.say
    paths = [side.path for side in comparison.sides] if comparison.duel is None else [comparison.duel.folder]
    rows: list[tuple[str, list[Cell]]] = [
        (
            t("Methodology of {side}", side=side.name),
            [Cell(name, kind="code") for name in (side.fingerprint, *side.runs[:_RUNS_NAMED])],
        )
        for side in comparison.sides
    ]
    least = t(
        "{effect} (shares: {points} points)",
        effect=words.percent(comparison.min_effect),
        points=_points(comparison, words),
    )
    rows += [
        (t("Computed by"), [Cell(f"loadcell {comparison.loadcell}")]),
        (t("Least difference that matters"), [Cell(least)]),
    ]
    if comparison.forced:
        rows.append(("--force", [Cell(t("given: INVALID or not comparable sides are compared all the same"))]))
    again = typed_command("loadcell", "compare", *paths) if paths else None
    return Section("method", t("Method"), [*([Command(t("Compare them again"), again)] if again else []), Facts(rows)])
