"""What published results say: rankings, what there is, what is quoted of it, a run beside them. In English."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from loadcell.published.beside import UNVERIFIED, Beside, Measured, PublishedComparison, Ratio
from loadcell.published.model import (
    DERIVED,
    SCENARIO_NAMES,
    TRADEMARK,
    Found,
    Ranked,
    Ranking,
    Registry,
    Source,
    citation,
    number,
    order_words,
    source_words,
    system_name,
    title,
)
from loadcell.published.press import Press
from loadcell.report.text import MISSING, figure, plain, sentence
from loadcell.report.view.blocks import (
    TONES,
    Block,
    Cell,
    Column,
    Command,
    Facts,
    Note,
    Section,
    Table,
    Tone,
    Verdict,
    figured,
    listed,
)

MOST_RANKINGS = 8
"""Beyond it the console lists what there is, and shows no row."""
_TONES: dict[str, Tone] = {"holds": "good", "holds in part": "care", "differs": "bad", "misleading": "bad"}


def found_sections(found: Found, *, cite: bool = False, whole: bool = False) -> list[Section]:
    """The rankings; with `cite`, the full citation of every row below its ranking; `whole`: for a document."""
    many = len(found.rankings) > MOST_RANKINGS and not whole
    rankings = [_contents(found.rankings)] if many else [_ranking(one, cite) for one in found.rankings]
    more = [] if cite or whole else ["--cite, --json, --csv and --md give every row its link."]
    if len({tuple(one.rounds) for one in found.rankings}) > 1 and not whole:
        more.append("--across-rounds ranks rounds together.")
    asked = [] if whole else [Section("asked", "", [Note([f"Published results: {found.asked}"])])]
    return [*asked, *rankings, _closing(found.notes, found.sources, *more, found.trademark)]


def _closing(notes: Sequence[str], sources: Sequence[Source], *last: str) -> Section:
    """What has to be said with any figure."""
    blocks: list[Block] = [Note([*map(sentence, notes)])] if notes else []
    blocks += [Facts(listed("Source", (Cell(source_words(source), kind="code") for source in sources))), Note(last)]
    return Section("notes", "", blocks)


def _contents(rankings: Sequence[Ranking]) -> Section:
    names = ("benchmark", "scenario", "round", "division", "suite")
    rows = [
        [*map(Cell, (one.rows[0].row.family if one.rows else ", ".join(one.benchmarks), SCENARIO_NAMES[one.scenario],
                     ", ".join(one.rounds), one.division, one.suite)), figured(f"{one.matched:,}")]
        for one in rankings
    ]  # fmt: skip
    narrow = f"{len(rankings)} rankings match: name a benchmark, a scenario, a round to see their rows."
    return Section("contents", "", [Table([*(Column(name, "left") for name in names), Column("results")], rows),
                                    Note([narrow])])  # fmt: skip


# --- one ranking -----------------------------------------------------------------------------------------------------


def _ranking(ranking: Ranking, cite: bool) -> Section:
    table = _table(ranking, [[*_cells(one, ranking)] for one in ranking.rows], "derived")
    cited = [Command(f"[{one.rank}]", citation(one.row)) for one in ranking.rows] if cite else []
    return Section("ranking", title(ranking), [table, *cited], headed=True)


def _table(ranking: Ranking, rows: Sequence[Sequence[Cell]], derived: str, notes: Sequence[str] = ()) -> Table:
    """Rows at their places, below them the order and what is to know; `derived` stands below what we computed."""
    columns = [
        Column("#", "left"),
        Column(ranking.unit, under="" if derived == "derived" else derived),
        *([Column("per accelerator", under=derived)] if _each(ranking) else []),
        Column("accelerators", "left"),
        Column("submitter", "left", under="system"),
        Column("software", "left", wide=True),
        Column("entry", "left", under="round" if len(ranking.rounds) > 1 else ""),
    ]
    below = [order_words(ranking), *notes, *ranking.notes]
    return Table(columns, rows, [sentence(line) for line in below], stacked=True)


def _each(ranking: Ranking) -> bool:
    return any(one.per_accelerator for one in ranking.rows)


def _cells(one: Ranked, ranking: Ranking, ratio: Ratio | None = None) -> Iterator[Cell]:
    row = one.row
    yield figured(str(one.rank))
    yield figured(number(row.result), under=_times(ratio and ratio.total, ratio))
    if _each(ranking):
        each = MISSING if one.per_accelerator is None else figure(one.per_accelerator.value, 5)
        yield figured(each, under=_times(ratio and ratio.per_accelerator, ratio))
    yield Cell(f"{row.accelerators} x {row.accelerator}" if row.accelerators else f"none ({row.processor})")
    system = [system_name(row)]
    system += [", ".join(one.benchmarks)] if len(ranking.benchmarks) > 1 else []  # what tells it from its neighbours
    system += [f"model run: {row.model_run}"] if ranking.division == "open" else []
    available = "" if row.availability == "available" else row.availability.upper()
    yield Cell(row.submitter, tone="strong", unit=available, under="\n".join(map(plain, system)))
    yield Cell(row.software or "")
    yield Cell(row.entry or "link", link=row.link, under=row.round if len(ranking.rounds) > 1 else "")


def _times(found: object, ratio: Ratio | None) -> str:
    value = getattr(found, "value", None)
    return "" if ratio is None else MISSING if value is None else f"{figure(value, 3)} x"


# --- what there is ---------------------------------------------------------------------------------------------------


def registry_sections(registry: Registry) -> list[Section]:
    """What the registry holds, and how to ask it."""
    rounds = sorted({row.round for row in registry.rows})
    rows = []
    for family in sorted({row.family for row in registry.rows}):
        mine = [row for row in registry.rows if row.family == family]
        counts = Counter((row.round, row.division) for row in mine)
        cells = (figured(f"{counts[round, 'closed']} + {counts[round, 'open']}") for round in rounds)
        scenarios = [SCENARIO_NAMES[one] for one in SCENARIO_NAMES if any(row.scenario == one for row in mine)]
        rows.append([Cell(family), *cells, Cell(", ".join(scenarios))])
    columns = [Column("benchmark", "left"), *(Column(round, under="closed + open") for round in rounds),
               Column("scenarios", "left")]  # fmt: skip
    submitters = len({row.submitter for row in registry.rows})
    sources = [
        [
            Cell(source_words(one), kind="code"),
            Cell(_kept(one.rows, one.left_out)),
            *([Cell(f"added, delete {one.file} to undo")] if one.file else []),
        ]
        for one in registry.sources
    ]
    count = f"{len(registry.rows):,} results of {submitters} submitters, {' and '.join(rounds)}."
    blocks: list[Block] = [
        Table(columns, rows, [count], stacked=True),
        Command("Ask in any words", 'loadcell published "deepseek-r1 offline" --per accelerator'),
        Command("Or", 'loadcell published "8xH200 llama2-70b server v5.1"'),
        Command("Figures that articles quote, checked", "loadcell published press"),
        Command("The summary of another round", "loadcell published add FILE"),
    ]
    told = Facts([("" if i else "Source", cells) for i, cells in enumerate(sources)])
    return [Section("registry", "", blocks), Section("notes", "", [told, Note([TRADEMARK])])]


def _kept(rows: int, left_out: dict[str, int]) -> str:
    left = sum(left_out.values())
    return f"{rows:,} rows; {left:,} of other benchmarks left out" if left else f"{rows:,} rows"


# --- what is quoted --------------------------------------------------------------------------------------------------


def press_sections(press: Press) -> list[Section]:
    """Quoted figures beside the published ones."""
    name = "Figures quoted in articles about v5.1, and what is published"
    quoted = [
        Section("quoted", one.quoted, [], Verdict(one.verdict.upper(), _TONES[one.verdict], "",
                [Cell(line) for line in (*one.data, *([one.but] if one.but else []), one.ask)]))
        for one in press.checked
    ]  # fmt: skip
    last = Note([sentence(press.derived), press.trademark])
    return [Section("press", "", [Note([name])]), *quoted, Section("notes", "", [last])]


# --- a run beside them -----------------------------------------------------------------------------------------------


def beside_sections(comparison: PublishedComparison) -> list[Section]:
    """The run, what it stands beside, and everything that keeps them from being alike."""
    caveats = Note([sentence(caveat) for caveat in comparison.caveats])
    return [
        _measured(comparison.measured),
        *map(_beside, comparison.beside),
        Section("caveats", "Keep in mind", [caveats], headed=True),
        _closing(comparison.notes, comparison.sources, comparison.footnote, comparison.trademark),
    ]


def _measured(measured: Measured) -> Section:
    what = [measured.benchmark, measured.scenario, measured.round] if measured.benchmark else [measured.model]
    count = f"accelerators: {measured.accelerators}" if measured.accelerators else None
    words = " · ".join(part for part in (measured.path, measured.kind, *what, count) if part)
    apart = "" if measured.comparable else ", not comparable"
    verdict = Verdict(measured.verdict, TONES[measured.verdict])
    return Section("measured", f"{words}{apart} ({UNVERIFIED})", [], verdict)


def _beside(beside: Beside) -> Section:
    ranking = beside.ranking
    each = MISSING if beside.per_accelerator is None else figure(beside.per_accelerator.value, 5)
    name = Cell(f"measured, {UNVERIFIED}", tone="strong", under=beside.name or "no figure of this unit")
    value = [figured(figure(beside.value, 5)), *([figured(each)] if _each(ranking) else [])]
    own = [Cell(""), *value, Cell(""), name, Cell(""), Cell("")]
    rows = [[*_cells(one, ranking, ratio)] for one, ratio in zip(ranking.rows, beside.ratios, strict=True)]
    notes = [f"per accelerator and measured ÷ published: {DERIVED}", *beside.caveats]
    return Section("beside", title(ranking), [_table(ranking, [own, *rows], "measured ÷", notes)], headed=True)
