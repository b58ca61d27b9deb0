"""A recording by the definitions of another tool: its figures beside ours, and why they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from loadcell.interop.views.model import Difference, Figure, ShownAs
from loadcell.metrics.glossary import GLOSSARY
from loadcell.report.view.blocks import (
    Block,
    Cell,
    Column,
    Fact,
    Facts,
    Note,
    Section,
    Table,
    View,
    fact,
    figured,
    told,
)
from loadcell.report.words import Words

PARTS = ("figures", "why", "notes")
_SHORT = ("mean", "p50", "p99")
"""Statistics on one screen."""
_NOTHING = 5e-4
"""Of ms, or of a rate: less than what is shown."""
_DIGITS = 5
_STEPS = {
    "requests": "Requests", "failures": "Failures", "formula": "Formula", "weights": "Weights", "start": "Clock starts",
    "first": "First event", "end": "Clock ends", "gaps": "Gaps", "tokens": "Tokens", "percentile": "Percentiles",
    "window": "Time of rates", "goodput": "Goodput",
}  # fmt: skip
"""Steps from our figures to theirs, in their order."""
_TITLES = {
    "ok": "ok", "failed": "failed", "planned": "planned requests", "total_tokens_per_s": "Total",
    "goodput_per_s": "Goodput", "attainment": "SLO attainment",
}  # fmt: skip
"""Of figures of ours that the glossary has under other names."""
_COUNTED = ("", "requests", "tokens", "events", "ns")
_MINUS = "\N{MINUS SIGN}"


def shown_view(shown: ShownAs, words: Words, *, full: bool = True) -> View:
    """All of it; not `full`: the mean, the median and p99 of each distribution."""
    t = words.say
    title = t("{recording} as {tool} counts", recording=shown.recording, tool=f"{shown.title} {shown.version}")
    sections = {"figures": _figures(shown, words, full), "why": _why(shown, words), "notes": _notes(shown, words)}
    return View(
        title=title,
        eyebrow=t("by the definitions of another tool"),
        heading=title,
        parts={name: [section] for name, section in sections.items() if section.blocks},
        loadcell=_version(),
    )


def _version() -> str:
    import loadcell

    return loadcell.__version__


def _figures(shown: ShownAs, words: Words, full: bool) -> Section:
    t = words.say
    rows = [one for one in shown.figures if full or _is_short(one)]
    with_told = any(one.told is not None for one in rows)
    columns = [Column(t("Figure"), "left"), Column(shown.title), Column("Loadcell")]
    columns += [Column(t("told"))] if with_told else []
    columns.append(Column(t("which is"), "left", wide=True))
    cells = [list(_cells(one, words, with_told)) for one in rows]
    blocks: list[Block] = [Table(columns, cells)] if cells else []
    return Section("figures", t("Figures"), blocks)


def _is_short(figure: Figure) -> bool:
    """p50 under the name of the median only."""
    if figure.stat is None:
        return True
    name = figure.key.rpartition(".")[2]
    return figure.stat in _SHORT and not (name in ("p50",) or "_p50" in figure.key or figure.key.startswith("p50"))


def _cells(figure: Figure, words: Words, with_told: bool) -> Iterator[Cell]:
    yield Cell(figure.key, kind="code")
    yield _value(figure.value, figure.unit, words)
    yield _value(figure.ours, "", words)
    if with_told:
        yield _value(figure.told, "", words)
    yield Cell(_name(figure, words))


def _value(value: float | None, unit: str, words: Words) -> Cell:
    if value is None:
        return figured(words.figure(None))
    whole = unit in _COUNTED and value == int(value)
    return figured(words.count(int(value)) if whole else words.figure(value, _DIGITS), unit=words.say(unit))


def _name(figure: Figure, words: Words) -> str:
    if figure.metric is None or figure.ours is None:
        return ""
    return " ".join(filter(None, [_title(figure.metric, words), figure.stat or ""]))


def _why(shown: ShownAs, words: Words) -> Section:
    """A line a step, with what it does to each figure here."""
    t, by_step = words.say, dict[tuple[str, str], list[Difference]]()
    for one in shown.differences:
        by_step.setdefault((one.step, one.says), []).append(one)
    order = sorted(by_step, key=lambda key: list(_STEPS).index(key[0]))
    rows: list[Fact] = []
    for step, group in groupby(order, key=lambda key: key[0]):
        cells = [Cell(told(key[1], words), more=_sizes(by_step[key], words)) for key in group]
        rows += [("" if i else t(_STEPS[step]), [cell]) for i, cell in enumerate(cells)]
    blocks: list[Block] = []
    if rows:
        note = t("From ours to theirs, one step after the other: they add up. n/a: one side has no such figure.")
        blocks = [Facts(rows), Note([note])]
    return Section("why", t("Why they differ"), blocks, headed=True)


def _sizes(steps: Sequence[Difference], words: Words) -> str:
    """What a step changes: "TTFT p50 +0.3, p99 +2.1 ms; E2E ..."; figures that it leaves as they are are left out."""
    found = [f"{_title(one.metric, words)} {_changes(one, words)}" for one in steps if _matters(one)]
    return "; ".join(dict.fromkeys(found)) or words.say("no difference here")


def _changes(one: Difference, words: Words) -> str:
    parts = (f"{'' if stat == 'value' else f'{stat} '}{_size(size, words)}" for stat, size in one.change.items())
    return f"{', '.join(parts)} {words.say(one.unit)}"


def _matters(one: Difference) -> bool:
    sizes = [size for size in one.change.values() if size is not None]
    return not sizes or any(abs(size) > _NOTHING for size in sizes)


def _title(metric: str, words: Words) -> str:
    return words.metric(metric).title if metric in GLOSSARY else words.say(_TITLES.get(metric, metric))


def _size(size: float | None, words: Words) -> str:
    if size is None:
        return words.figure(None)
    if abs(size) <= _NOTHING:
        return words.figure(0.0)
    return f"{'+' if size > 0 else _MINUS}{words.figure(abs(size), 3)}"


def _notes(shown: ShownAs, words: Words) -> Section:
    t = words.say
    rows = [fact(t("Missing"), told(one.why, words)) for one in shown.missing]
    rows += [fact("" if i else t("To know"), told(note, words)) for i, note in enumerate(shown.notes)]
    return Section("notes", t("What to know"), [Facts(rows)] if rows else [])
