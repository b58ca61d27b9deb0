"""A measured run beside published results, on the console."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadcell.published.beside import UNVERIFIED, Beside, Measured, PublishedComparison, Ratio
from loadcell.published.model import DERIVED, Derived, Ranked, number, order_words, source_words, system_name, title
from loadcell.report.lines import bare_table, indented
from loadcell.report.text import MISSING, figure, plain, sentence

_WIDE = 110
_WORDS = {"VALID": "", "SUSPECT": "yellow", "INVALID": "bold red"}


def print_beside(comparison: PublishedComparison, console: Console) -> None:
    """Print the comparison: the run, what it stands beside, and everything that keeps them from being alike."""
    blocks: list[RenderableType] = [_measured(comparison.measured), Text()]
    for beside in comparison.beside:
        blocks += [*_beside(beside, console.width), Text()]
    blocks.append(indented("Keep in mind", 1, "bold"))
    blocks += [indented(sentence(plain(caveat, 900)), 3) for caveat in comparison.caveats]
    notes = [sentence(note) for note in comparison.notes]
    sources = [f"Source: {plain(source_words(source), 600)}." for source in comparison.sources]
    blocks += [Text(), indented("\n".join([*notes, *sources, comparison.footnote, comparison.trademark]), 1, "dim")]
    console.print(Group(*blocks))


def _measured(measured: Measured) -> RenderableType:
    what = [measured.benchmark, measured.scenario, measured.round] if measured.benchmark else [measured.model]
    count = f"accelerators: {measured.accelerators}" if measured.accelerators else None
    words = " · ".join(plain(part) for part in (measured.kind, *what, count) if part)
    text = Text.assemble(f"{plain(measured.path)} · {words} · ", (measured.verdict, _WORDS[measured.verdict]))
    if not measured.comparable:
        text.append(", not comparable", style="bold yellow")
    return Padding(text.append(f" ({UNVERIFIED})"), (0, 0, 0, 1))


def _beside(beside: Beside, width: int) -> Iterator[RenderableType]:
    yield indented(title(beside.ranking), 1, "bold")
    yield indented(sentence(order_words(beside.ranking)), 1, "dim")
    yield _table(beside, width)
    caveats = [*beside.caveats, *beside.ranking.notes]
    if caveats:
        yield indented("\n".join(sentence(plain(caveat, 900)) for caveat in caveats), 1, "dim")


def _table(beside: Beside, width: int) -> Table:
    table = bare_table()
    unit = beside.ranking.unit
    table.add_column(Text("  #"), justify="right", no_wrap=True)
    table.add_column(Text(f"{unit}\nmeasured ÷"), justify="right", no_wrap=True)
    each = any(one.per_accelerator for one in beside.ranking.rows)
    if each:
        table.add_column(Text("each\nmeasured ÷"), justify="right", no_wrap=True)
    table.add_column("accelerators", overflow="fold", ratio=2)
    table.add_column(Text("submitter\nsystem"), overflow="fold", ratio=3)
    if width >= _WIDE:
        table.add_column("software", overflow="fold", ratio=2)
    table.add_column("entry", no_wrap=True)
    own = Text.assemble((f"measured, {UNVERIFIED}", "bold"), f"\n{beside.name or 'no figure of this unit'}")
    more = [""] if width >= _WIDE else []
    table.add_row("", figure(beside.value, 5), *([_each(beside.per_accelerator)] if each else []), "", own, *more, "")
    for one, ratio in zip(beside.ranking.rows, beside.ratios, strict=True):
        table.add_row(*_cells(beside, one, ratio, width, each))
    table.caption = f" {'each: per accelerator; it and ' if each else ''}÷: {DERIVED}"
    table.caption_justify = "left"
    return table


def _cells(beside: Beside, one: Ranked, ratio: Ratio, width: int, each: bool) -> Iterator[str | Text]:
    row = one.row
    yield f"{one.rank}"
    yield Text.assemble(number(row.result), (f"\n{_times(ratio.total)}", "bold"))
    if each:
        yield Text.assemble(_each(one.per_accelerator), (f"\n{_times(ratio.per_accelerator)}", "bold"))
    yield f"{row.accelerators} x {plain(row.accelerator)}" if row.accelerators else f"none ({plain(row.processor)})"
    mark = "" if row.availability == "available" else f" {row.availability.upper()}"
    extra = f"\nmodel run: {row.model_run}" if row.division == "open" else ""
    extra += f"\n{', '.join(one.benchmarks)}" if len(beside.ranking.benchmarks) > 1 else ""
    yield Text.assemble((plain(row.submitter), "bold"), (mark, "bold yellow"), f"\n{plain(system_name(row))}", extra)
    if width >= _WIDE:
        yield plain(row.software or "")
    yield Text(row.entry or MISSING, style=f"link {row.link}")


def _each(derived: Derived | None) -> str:
    return MISSING if derived is None else figure(derived.value, 5)


def _times(ratio: Derived | None) -> str:
    return MISSING if ratio is None else f"{figure(ratio.value, 3)} x"
