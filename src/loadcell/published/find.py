"""The answer to a question: rankings of rows that may stand in one list, and what has to be said beside them.

A ranking holds one division, suite, benchmark and scenario, and one round unless rounds are asked to be put together.
The accuracy targets 99 % and 99.9 % of a benchmark stand together where both are asked for: most entries ran once for
both, and show once, with both names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from loadcell import __version__
from loadcell.errors import LoadcellError
from loadcell.published.model import (
    SCENARIO_NAMES,
    By,
    Found,
    Ranked,
    Ranking,
    Registry,
    Row,
    lower_is_better,
    per_accelerator,
)
from loadcell.published.query import TESTS, Question

_SCENARIOS = list(SCENARIO_NAMES)


def find(
    registry: Registry, question: Question, *, by: By = "system", top: int | None = 10, across_rounds: bool = False
) -> Found:
    """The rankings of a question; LoadcellError where nothing matches, with what would.

    Without a division in the question, rows of the open division show only where no closed one matches.
    """
    rows = [row for row in registry.rows if question.wants(row)]
    if not rows:
        raise LoadcellError(_nothing(registry, question))
    shown, notes = _division(rows, question)
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in shown:
        groups[_group(row, across_rounds)].append(row)
    rankings = [_ranking(groups[key], by, top) for key in sorted(groups, key=_order)]
    return Found(
        loadcell=__version__,
        asked=question.words(),
        rankings=rankings,
        notes=[*notes, *_notes(rankings, across_rounds)],
        sources=[source for source in registry.sources if any(row.source == source.name for row in shown)],
    )


def _division(rows: list[Row], question: Question) -> tuple[list[Row], list[str]]:
    kinds = Counter(row.division for row in rows)
    if question.divisions or question.entries or len(kinds) == 1:
        return rows, []
    left = kinds["open"]
    return [row for row in rows if row.division == "closed"], [
        f"{left} {'row' if left == 1 else 'rows'} of the open division match too, whose models and data may differ: "
        'the word "open" shows them'
    ]


def _group(row: Row, across_rounds: bool) -> tuple[str, ...]:
    return (row.division, row.family, row.scenario, row.suite, row.unit, "" if across_rounds else row.round)


def _order(key: tuple[str, ...]) -> tuple[object, ...]:
    """Closed first; then by benchmark, scenario and suite; the newest round first."""
    division, family, scenario, suite, unit, round = key
    return (
        division,
        family,
        _SCENARIOS.index(scenario),
        suite,
        unit,
        [-int(part) for part in round[1:].split(".") if part],
    )


# --- one ranking -----------------------------------------------------------------------------------------------------


def _ranking(rows: Sequence[Row], by: By, top: int | None) -> Ranking:
    """Order the rows of one group, best first; equal results share a rank."""
    first = rows[0]
    lower = lower_is_better(first.unit)
    per = by == "accelerator" and not lower
    runs = _once(rows)
    placed = [(value, run) for run in runs if (value := _value(run[0], per)) is not None]
    placed.sort(
        key=lambda pair: (pair[0] if lower else -pair[0], pair[1][0].round, pair[1][0].entry or "", pair[1][0].platform)
    )
    values = [value for value, _ in placed]
    ranked = [
        Ranked(
            rank=values.index(value) + 1,
            benchmarks=_benchmarks(run),
            per_accelerator=per_accelerator(run[0]),
            row=run[0],
        )
        for value, run in placed[:top]
    ]
    return Ranking(
        rounds=sorted({row.round for row in rows}),
        division=first.division,
        suite=first.suite,
        benchmarks=_benchmarks(rows),
        scenario=first.scenario,
        unit=first.unit,
        lower_is_better=lower,
        by="accelerator" if per else "system",
        derived=per,
        matched=len(runs),
        left_out=len(runs) - len(placed),
        notes=_ranking_notes(rows, ranked, by, len(runs) - len(placed)),
        rows=ranked,
    )


def _once(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of one run together: entered for several accuracy targets with an equal result."""
    runs: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        runs[(*row.key[:5], row.model_run if row.division == "open" else "", row.scenario, row.result)].append(row)
    return list(runs.values())


def _value(row: Row, per: bool) -> float | None:
    derived = per_accelerator(row)
    return row.result if not per else None if derived is None else derived.value


def _benchmarks(rows: Iterable[Row]) -> list[str]:
    return sorted({row.benchmark for row in rows})


def _ranking_notes(rows: Sequence[Row], ranked: Sequence[Ranked], by: By, left_out: int) -> list[str]:
    notes = []
    if left_out:
        them = "1 result of a system" if left_out == 1 else f"{left_out} results of systems"
        notes.append(f"{them} without accelerators left out: --per system shows all")
    if by == "accelerator" and lower_is_better(rows[0].unit):
        notes.append("latencies have no figure per accelerator: ordered as published, lowest first")
    if len(targets := _benchmarks(rows)) > 1:
        notes.append(
            f"two accuracy targets together ({', '.join(targets)}): one data set and model; a run entered for both "
            "shows once"
        )
    if rows[0].division == "open" and len(models := sorted({row.model_run for row in rows})) > 1:
        notes.append(f"open division: different models were run ({', '.join(models)})")
    if len({row.round for row in rows}) > 1:
        notes.append("rounds together, because it was asked for: rules, limits and software of rounds differ")
    seen: dict[str, list[str]] = defaultdict(list)
    for one in ranked:
        for remark in one.row.remarks:
            seen[remark].append(str(one.rank))
    notes += [f"{_places(places, len(ranked))}: {remark}" for remark, places in seen.items()]
    return notes


def _places(places: Sequence[str], of: int) -> str:
    return "all of these" if len(places) == of and of > 1 else f"place {', '.join(dict.fromkeys(places))}"


def _notes(rankings: Sequence[Ranking], across_rounds: bool) -> list[str]:
    if len(rankings) < 2:
        return []
    kinds = {
        "rounds": len({tuple(one.rounds) for one in rankings}) > 1 and not across_rounds,
        "divisions": len({one.division for one in rankings}) > 1,
        "suites": len({one.suite for one in rankings}) > 1,
        "benchmarks": len({tuple(one.benchmarks) for one in rankings}) > 1,
        "scenarios": len({one.scenario for one in rankings}) > 1,
    }
    apart = [kind for kind, several in kinds.items() if several]
    joined = f"{', '.join(apart[:-1])} and {apart[-1]}" if len(apart) > 1 else "".join(apart)
    return [f"{joined} are ranked apart: their figures are not comparable as such"] if apart else []


def _nothing(registry: Registry, question: Question) -> str:
    """What to say where nothing matches: which part of the question is in the way."""
    ways = []
    for field in TESTS:
        if getattr(question, field):
            left = [row for row in registry.rows if all(
                name == field or not getattr(question, name) or test(question, row) for name, test in TESTS.items()
            )]  # fmt: skip
            if left:
                ways.append(f"{_column(field, left)} would match")
    advice = "; ".join(ways) or "no one part of it alone is in the way: ask for less"
    return f"nothing published matches {question.words()}: {advice}"


def _column(field: str, rows: Sequence[Row]) -> str:
    """Values of the field that would have matched, a few of them."""
    attributes = {
        "benchmarks": "benchmark", "scenarios": "scenario", "rounds": "round", "divisions": "division",
        "availabilities": "availability", "suites": "suite", "submitters": "submitter", "entries": "entry",
        "accelerators": "accelerator", "systems": "system", "count": "accelerators",
    }  # fmt: skip
    values = Counter(str(getattr(row, attributes[field])) for row in rows)
    shown = [value for value, _ in values.most_common(5)]
    more = f" and {len(values) - 5} others" if len(values) > 5 else ""
    name = "accelerators in all" if field == "count" else field
    return f"{name} {', '.join(shown)}{more}"
