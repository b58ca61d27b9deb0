"""A Comparison on the console and as JSON: first whether the runs may be compared, then what differs."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadcell.compare import Change, Comparison, Floor, Gate, Noise, Pair, Side
from loadcell.compare.effect import RUNS_LEAST
from loadcell.compare.judge import points
from loadcell.report.signed import change_words, finding_words, interval_words, signed
from loadcell.report.text import MISSING, figure, percent, plain, sentence
from loadcell.report.words import Words

_STYLE = {"better": "bold green", "worse": "bold red", "no difference shown": "", "too little data": "yellow"}
_WORD_STYLE = {
    "comparable": "bold white on green",
    "comparable with care": "bold black on yellow",
    "not comparable": "bold white on red",
}
_WIDE = 110
"""Columns from which on an interval stands beside its change instead of below it."""
_ENGLISH = Words("en")


def comparison_json(comparison: Comparison) -> bytes:
    """The Comparison as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(comparison), indent=2) + b"\n"


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the Comparison."""
    console.print(render_comparison(comparison, console.width))


def render_comparison(comparison: Comparison, width: int) -> RenderableType:
    """The Comparison for a terminal of 80 columns or more; plain text where there is no terminal."""
    blocks: list[RenderableType] = []
    if comparison.sides:
        blocks.append(_sides(comparison.sides))
    for pair in comparison.pairs:
        blocks += _pair(pair, comparison, width)
    if comparison.noise is not None:
        blocks.append(_noise(comparison.noise))
    if comparison.gates:
        blocks.append(_gates(comparison.gates, several=len(comparison.pairs) > 1))
    return Group(*(part for block in blocks for part in (block, Text())))


def _sides(sides: list[Side]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for side in sides:
        count = len(side.runs)
        what = {"result": "saved result · ", "repeats": f"{count} runs · ", "turns": f"{count} turns · "}
        colour = {"VALID": "", "SUSPECT": "yellow", "INVALID": "bold red"}[side.verdict]
        text = Text(f"{plain(side.path)} · {what.get(side.kind, '')}{side.requests:,} ok requests · ")
        grid.add_row(f" {side.name}", text.append(side.verdict, style=colour))
    return grid


def _pair(pair: Pair, comparison: Comparison, width: int) -> Iterator[RenderableType]:
    words = Text.assemble(" ", (f" {pair.comparable.upper()} ", _WORD_STYLE[pair.comparable]), f" A and {pair.name}")
    lines: list[RenderableType] = [words, *(_indented(plain(reason, 600), 3) for reason in pair.forbids)]
    lines += [_indented(plain(reason, 600), 3, "dim" if pair.forbids else "") for reason in pair.care]
    if pair.comparable == "not comparable":
        forced = "Compared all the same (--force): the figures below do not mean the same thing on both sides."
        advice = "No findings. Measure both in the same way, or give --force to see the figures all the same."
        lines.append(_indented(forced if pair.changes else advice, 1, "bold"))
    if pair.pairing is not None:
        lines.append(_indented(plain(sentence(pair.pairing.says), 600), 1))
    yield Group(*lines)
    if pair.changes:
        yield _changes(pair, width)
        yield _indented("\n".join(_legend(pair, comparison)), 1, "dim")


def _indented(text: str, columns: int, style: str = "") -> Padding:
    """Text of which every line starts at the same column, wrapped ones too."""
    return Padding(Text(text, style=style), (0, 0, 0, columns))


def _changes(pair: Pair, width: int) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold")
    table.add_column(Text(" Figure"), no_wrap=True)
    for title in ("A", pair.name):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("change", justify="right", no_wrap=True)
    table.add_column("finding", overflow="fold")
    for change in pair.changes:
        breaks = " " if width >= _WIDE else "\n"
        interval = interval_words(change, _ENGLISH)
        text = Text.assemble(
            (change_words(change, _ENGLISH), _STYLE[change.finding]), (f"{breaks}{interval}" if interval else "", "dim")
        )
        says = f"{': ' if width >= _WIDE else chr(10)}{plain(change.says)}" if change.says else ""
        finding = Text.assemble((finding_words(change.finding, _ENGLISH), _STYLE[change.finding]), (says, "dim"))
        table.add_row(Text(_title(change)), _value(change, change.a), _value(change, change.b), text, finding)
    return table


def _title(row: Change | Floor) -> str:
    return f" {row.title}, ms" if row.unit == "ms" else f" {row.title}"


def _value(change: Change, value: float | None) -> str:
    return percent(value) if change.unit == "share" else figure(value)


def _legend(pair: Pair, comparison: Comparison) -> Iterator[str]:
    tests = sum(change.p is not None for other in comparison.pairs for change in other.changes)
    yield (
        f"Change: {pair.name} against A, with its 95 % interval. better, worse: shown at 5 % after Holm's correction "
        f"for {tests} tests{', and beyond the A/A noise' if comparison.noise else ''}. no difference that matters: the "
        f"interval lies within {comparison.min_effect * 100:g} % (shares: {points(comparison.min_points)})."
    )
    yield from (sentence(plain(note, 600)) for note in pair.notes)
    if any(change.noise is not None for change in pair.changes):
        count = {side.name: len(side.runs) for side in comparison.sides}
        first, second = (
            n if max(count["A"], count[pair.name]) >= RUNS_LEAST else 1 for n in (count["A"], count[pair.name])
        )
        yield f"A/A noise floor, {first} run{'s' if first > 1 else ''} against {second}: " + ", ".join(
            f"{change.title} {signed(change.noise, _ENGLISH).lstrip('+')}{'' if change.unit == 'share' else ' %'}"
            for change in pair.changes
            if change.noise is not None
        )


def _noise(noise: Noise) -> RenderableType:
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold")
    table.add_column(Text(" A/A noise"), no_wrap=True)
    table.add_column("mean", justify="right", no_wrap=True)
    table.add_column("deviation", justify="right", no_wrap=True)
    table.add_column("noise floor", justify="right", no_wrap=True)
    for floor in noise.floors:
        share = floor.unit == "share"
        unit = "points" if share else "%"
        cells = [
            MISSING if value is None else f"{signed(value, _ENGLISH).lstrip('+')} {unit}"
            for value in (floor.deviation, floor.floor)
        ]
        mean = percent(floor.mean) if share else figure(floor.mean)
        table.add_row(Text(_title(floor)), mean, *cells)
    legend = (
        f"From {len(noise.runs)} runs of the same thing. Noise floor: what two such runs differ by, at most, 95 times "
        "out of 100. No smaller difference between two runs is a finding."
    )
    lines = [legend, *(sentence(plain(note, 600)) for note in noise.notes)]
    return Group(table, _indented("\n".join(lines), 1, "dim"))


def _gates(gates: list[Gate], *, several: bool) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold")
    table.add_column(Text(" Gate"), no_wrap=True)
    table.add_column("")
    table.add_column("", overflow="fold")
    for gate in gates:
        word = Text("FAIL", style="bold white on red") if gate.fired else Text("pass", style="green")
        if gate.inconclusive and not gate.fired:
            word = Text("INCONCLUSIVE", style="yellow")
        name = f" {gate.expression}{f' ({gate.side})' if several else ''}"
        table.add_row(Text(name), word, plain(gate.says))
    return table
