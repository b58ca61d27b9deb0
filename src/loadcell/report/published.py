"""Published results on the console: rankings, what the registry holds, and what is quoted of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadcell.published.model import (
    SCENARIO_NAMES,
    TRADEMARK,
    Found,
    Ranked,
    Ranking,
    Registry,
    citation,
    number,
    order_words,
    source_words,
    system_name,
    title,
)
from loadcell.published.press import Press
from loadcell.report.text import MISSING, figure, plain, sentence

MOST_RANKINGS = 8
"""Beyond it the console lists what there is, and shows no row."""
_WIDE = 110
"""Columns from which on the software has a column of its own."""
_STYLES = {"holds": "green", "holds in part": "yellow", "differs": "bold red", "misleading": "bold red"}


def print_found(found: Found, console: Console, *, cite: bool = False) -> None:
    """Print the rankings; with `cite`, the full citation of every row below its ranking."""
    blocks: list[RenderableType] = [_indented(f"Published results: {plain(found.asked)}", 1), Text()]
    if len(found.rankings) > MOST_RANKINGS:
        blocks += [_contents(found.rankings), _indented(_narrow(found), 1), Text()]
    else:
        for ranking in found.rankings:
            blocks += [*_ranking(ranking, console.width, cite), Text()]
    notes = [sentence(note) for note in found.notes]
    sources = [f"Source: {plain(source_words(source), 600)}." for source in found.sources]
    more = [] if cite else ["--cite, --json, --csv and --md give every row its link."]
    if len({tuple(one.rounds) for one in found.rankings}) > 1:
        more.append("--across-rounds ranks rounds together.")
    blocks.append(_indented("\n".join([*notes, *sources, *more, found.trademark]), 1, "dim"))
    console.print(Group(*blocks))


def _narrow(found: Found) -> str:
    return f"{len(found.rankings)} rankings match: name a benchmark, a scenario, a round to see their rows."


def _contents(rankings: Sequence[Ranking]) -> Table:
    table = _table()
    for name in ("benchmark", "scenario", "round", "division", "suite"):
        table.add_column(Text(f" {name}" if name == "benchmark" else name), overflow="fold")
    table.add_column("results", justify="right", no_wrap=True)
    for one in rankings:
        table.add_row(
            f" {one.rows[0].row.family if one.rows else ', '.join(one.benchmarks)}",
            SCENARIO_NAMES[one.scenario], ", ".join(one.rounds), one.division, one.suite, f"{one.matched:,}",
        )  # fmt: skip
    return table


# --- one ranking -----------------------------------------------------------------------------------------------------


def _ranking(ranking: Ranking, width: int, cite: bool) -> Iterator[RenderableType]:
    yield _indented(title(ranking), 1, "bold")
    yield _indented(sentence(order_words(ranking)), 1, "dim")
    if ranking.rows:
        yield _rows(ranking, width)
    if ranking.notes:
        yield _indented("\n".join(sentence(plain(note, 600)) for note in ranking.notes), 1, "dim")
    if cite:
        for one in ranking.rows:
            yield _indented(f"[{one.rank}] {plain(citation(one.row), 900)}", 1)


def _rows(ranking: Ranking, width: int) -> Table:
    table = _table()
    wide, rounds = width >= _WIDE, len(ranking.rounds) > 1
    per = any(one.per_accelerator for one in ranking.rows)
    table.add_column(Text("  #"), justify="right", no_wrap=True)
    table.add_column(Text(ranking.unit), justify="right", no_wrap=True)
    if per:
        table.add_column(
            Text("per\naccelerator\nderived" if not wide else "per accelerator\nderived"), justify="right", no_wrap=True
        )
    table.add_column("accelerators", overflow="fold", ratio=2)
    table.add_column(Text("submitter\nsystem"), overflow="fold", ratio=3)
    if wide:
        table.add_column("software", overflow="fold", ratio=2)
    table.add_column(Text("round\nentry" if rounds else "entry"), no_wrap=True)
    for one in ranking.rows:
        table.add_row(*_cells(one, ranking, wide, per, rounds))
    return table


def _cells(one: Ranked, ranking: Ranking, wide: bool, per: bool, rounds: bool) -> Iterator[str | Text]:
    row = one.row
    yield f"{one.rank}"
    yield number(row.result)
    if per:
        yield MISSING if one.per_accelerator is None else figure(one.per_accelerator.value, 5)
    yield f"{row.accelerators} x {plain(row.accelerator)}" if row.accelerators else f"none ({plain(row.processor)})"
    system = Text(plain(row.submitter), style="bold")
    if row.availability != "available":
        system.append(f" {row.availability.upper()}", style="bold yellow")
    system.append(f"\n{plain(system_name(row))}", style="")
    for extra in _extras(one, ranking):
        system.append(f"\n{extra}", style="dim")
    yield system
    if wide:
        yield plain(row.software or "")
    entry = Text(row.entry or MISSING, style=f"link {row.link}")
    yield Text(f"{row.round}\n").append(entry) if rounds else entry


def _extras(one: Ranked, ranking: Ranking) -> Iterator[str]:
    """What tells a row from its neighbours: its accuracy targets, the model run in the open division."""
    if len(ranking.benchmarks) > 1:
        yield ", ".join(one.benchmarks)
    if ranking.division == "open":
        yield f"model run: {plain(one.row.model_run)}"


# --- what there is ---------------------------------------------------------------------------------------------------


def print_registry(registry: Registry, console: Console) -> None:
    """Print what the registry holds, and how to ask it."""
    rounds = sorted({row.round for row in registry.rows})
    table = _table()
    table.add_column(Text(" benchmark"), no_wrap=True)
    for round in rounds:
        table.add_column(Text(f"{round}\nclosed + open"), justify="right", no_wrap=True)
    table.add_column("scenarios", overflow="fold")
    for family in sorted({row.family for row in registry.rows}):
        mine = [row for row in registry.rows if row.family == family]
        counts = Counter((row.round, row.division) for row in mine)
        cells = [f"{counts[round, 'closed']} + {counts[round, 'open']}" for round in rounds]
        scenarios = [SCENARIO_NAMES[one] for one in SCENARIO_NAMES if any(row.scenario == one for row in mine)]
        table.add_row(f" {family}", *cells, ", ".join(scenarios))
    submitters = len({row.submitter for row in registry.rows})
    lines = [
        f"{len(registry.rows):,} results of {submitters} submitters, {' and '.join(rounds)}. Ask in any words:",
        '  loadcell published "deepseek-r1 offline" --per accelerator',
        '  loadcell published "8xH200 llama2-70b server v5.1"',
        "  loadcell published press          figures that articles quote, checked",
        "  loadcell published add FILE       the summary of another round",
    ]
    sources = [f"{plain(source_words(one), 600)} ({_kept(one.rows, one.left_out)})" + (
        f"; added, delete {one.file} to undo" if one.file else ""
    ) for one in registry.sources]  # fmt: skip
    below = "\n".join([*(f"Source: {source}." for source in sources), TRADEMARK])
    console.print(Group(table, Text(), _indented("\n".join(lines), 1), Text(), _indented(below, 1, "dim")))


def _kept(rows: int, left_out: dict[str, int]) -> str:
    left = sum(left_out.values())
    return f"{rows:,} rows; {left:,} of other benchmarks left out" if left else f"{rows:,} rows"


# --- what is quoted --------------------------------------------------------------------------------------------------


def print_press(press: Press, console: Console) -> None:
    """Print quoted figures beside the published ones."""
    blocks: list[RenderableType] = [
        Text(" Figures quoted in articles about v5.1, and what is published", style="bold"),
        Text(),
    ]
    for one in press.checked:
        words = Text.assemble((one.verdict.upper(), _STYLES[one.verdict]), f"  {one.quoted}")
        blocks.append(Padding(words, (0, 0, 0, 1)))
        lines = [*one.data, *([one.but] if one.but else []), one.ask]
        blocks.append(_indented("\n".join(lines), 3, "dim"))
    last = f"{sentence(press.derived)} {press.trademark}"
    console.print(Group(*blocks, Text(), _indented(last, 1, "dim")))


def _table() -> Table:
    return Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold")


def _indented(text: str, columns: int, style: str = "") -> Padding:
    return Padding(Text(text, style=style), (0, 0, 0, columns))
