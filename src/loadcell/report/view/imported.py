"""Where an imported result comes from, what its files do not tell, and what the tool itself told."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from loadcell.metrics import Result, Throughput
from loadcell.metrics.imported import missing_words, named, untold
from loadcell.recording.imported import Imported, Told
from loadcell.report.text import MISSING
from loadcell.report.view.blocks import Cell, Column, Fact, Table, fact, figured, told
from loadcell.report.words import Words
from loadcell.spec import Spec


def origin(result: Result, words: Words, most: int | None = None) -> Iterator[Fact]:
    """The tool, its form, whether that was ever held against a real file, and at most so much of what is missing."""
    t, found = words.say, result.imported
    if found is None:
        return
    cells = [Cell(t("from {tool}", tool=named(found))), Cell(found.schema)]
    if not found.tested:
        cells.append(Cell(t("untested against a real file"), tone="care"))
    yield t("Imported"), cells
    if found.missing:
        lacking = [told(one, words) for one in missing_words(found)]
        rest = [] if most is None or len(lacking) <= most else [t("and {n} more", n=words.count(len(lacking) - most))]
        yield fact("", t("not in its files: {these}", these=", ".join([*lacking[: most if rest else None], *rest])))


def as_told(result: Result) -> Spec | None:
    """What was asked, with a dash for a length that the files of an import do not tell; None where they tell none."""
    spec, found = result.methodology.spec, result.imported
    lacking = [name for name in ("input_tokens", "output_tokens") if untold(found, f"workload.{name}")]
    if len(lacking) == 1 + spec.workload.generates:
        return None
    none = dict.fromkeys(lacking, MISSING)
    return msgspec.structs.replace(spec, workload=msgspec.structs.replace(spec.workload, **none)) if none else spec


def client(found: Imported, words: Words) -> Iterator[Fact]:
    """What stands where a measured run has its instrument."""
    says = words.say("the client of {tool}: its files tell nothing of its own error", tool=named(found))
    yield fact(words.say("Instrument"), says)


def told_table(result: Result, words: Words) -> Table | None:
    """Every figure that the tool told, by its own names and definitions; None without any."""
    t = words.say
    if result.imported is None or not result.imported.told:
        return None
    columns = [Column(t("As {tool} told it", tool=named(result.imported)), "left"), Column(t("value")),
               Column(t("unit"), "left")]  # fmt: skip
    rows = [[Cell(one.key, kind="code"), _value(one, words), Cell(one.unit)] for one in result.imported.told]
    return Table(columns, rows, [t("By its own definitions, over the whole run: not computed here.")])


def _value(one: Told, words: Words) -> Cell:
    return figured(MISSING if one.value is None else words.figure(one.value, 4))


def marked(rates: Throughput, name: str, words: Words) -> str:
    """What stands behind a rate that the tool told; nothing behind others."""
    return f" ({words.say('told')})" if name in (rates.told or ()) else ""
