"""Figures that articles quote, against the published rows and the rules of their round."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from loadcell.errors import LoadcellError
from loadcell.packaged import packaged_yaml
from loadcell.published.model import DERIVED, FORMAT, SCENARIO_NAMES, TRADEMARK, Doc, Row, number, per_accelerator

ROUND = "v5.1"
Limits = Callable[[str, str, str], Mapping[str, float | None]]
"""From round, benchmark and scenario to the rule's fields; `gate_factor` is the share of the reference accuracy."""


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A result, or a result per accelerator, with what is quoted: a figure, or a bound."""

    entry: str
    benchmark: str
    scenario: str
    per: Literal["system", "accelerator"] = "system"
    quoted: str | None = None
    above: float | None = None


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which model an entry ran."""

    entry: str
    benchmark: str
    begins: str


class Faster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That one entry is faster than another."""

    what: str
    entry: str
    than: str
    benchmark: str
    scenario: str


class QuotedRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit of the rules."""

    benchmark: str
    scenario: str
    field: str
    quoted: str


class Tokens(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mean output length, against those of all closed runs; `within`: share that they may differ by."""

    benchmark: str
    quoted: str
    within: float


class Logged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure that stands in a run log only."""

    what: str
    value: float
    source: str
    quoted: str | None = None


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is quoted, and what it is checked by."""

    quoted: str
    ask: str
    figures: list[Figure] = []
    beside: list[Figure] = []
    models: list[Model] = []
    faster: list[Faster] = []
    rules: list[QuotedRule] = []
    tokens: list[Tokens] = []
    logged: list[Logged] = []
    but: str | None = None
    otherwise: str = "differs"


class CheckedClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A quoted figure and what is published."""

    quoted: str
    verdict: Annotated[str, Doc(description="holds, holds in part, differs, or misleading")]
    data: Annotated[list[str], Doc(description="the published figures, in words")]
    but: str | None
    ask: Annotated[str, Doc(description="command that shows them")]


class Press(msgspec.Struct, frozen=True, kw_only=True):
    """Every quoted figure."""

    format: int = FORMAT
    derived: str = f"figures per accelerator are {DERIVED}"
    checked: list[CheckedClaim]
    trademark: str = TRADEMARK


def claims() -> list[Claim]:
    """The quoted figures."""
    return msgspec.convert(packaged_yaml("loadcell.published", "press.yaml"), list[Claim])


def check_press(rows: Sequence[Row], limits: Limits) -> Press:
    """Every claim against the rows; LoadcellError if a row that it needs is not there."""
    mine = [row for row in rows if row.round == ROUND]
    return Press(checked=[_checked(claim, mine, limits) for claim in claims()])


def matches(quoted: str, value: float) -> bool:
    """Whether the quoted figure is the value, cut or rounded at its last digit."""
    decimals = len(quoted.partition(".")[2])
    return abs(float(quoted) - value) < 10.0**-decimals


def _checked(claim: Claim, rows: Sequence[Row], limits: Limits) -> CheckedClaim:
    parts = [*_figures(claim, rows), *_models(claim, rows), *_faster(claim, rows), *_rules(claim, limits)]
    parts += [*_tokens(claim, rows), *_logged(claim)]
    judged = [holds for _, holds in parts if holds is not None]
    verdict = "holds" if all(judged) else "holds in part" if any(judged) else claim.otherwise
    return CheckedClaim(
        quoted=claim.quoted, verdict=verdict, data=[says for says, _ in parts], but=claim.but, ask=claim.ask
    )


Part = tuple[str, bool | None]


def _figures(claim: Claim, rows: Sequence[Row]) -> Iterator[Part]:
    for figure in (*claim.figures, *claim.beside):
        row = _row(rows, figure.entry, figure.benchmark, figure.scenario)
        value, says = row.result, f"{number(row.result)} {row.unit}"
        if figure.per == "accelerator" and (derived := per_accelerator(row)) is not None:
            value = derived.value
            says = f"{number(row.result)} / {row.accelerators} = {value:,.1f} {derived.unit}"
        holds = value > figure.above if figure.above is not None else matches(str(figure.quoted), value)
        name = f"{row.entry} {row.submitter}, {row.benchmark} {SCENARIO_NAMES[row.scenario]}"
        yield f"{name}: {says}", None if figure in claim.beside else holds


def _models(claim: Claim, rows: Sequence[Row]) -> Iterator[Part]:
    for model in claim.models:
        row = _row(rows, model.entry, model.benchmark)
        yield f"{row.entry}: {row.model_run}", row.model_run.startswith(model.begins)


def _faster(claim: Claim, rows: Sequence[Row]) -> Iterator[Part]:
    for pair in claim.faster:
        first, second = (_row(rows, entry, pair.benchmark, pair.scenario) for entry in (pair.entry, pair.than))
        sides = (f"{row.software} {number(row.result)} ({row.entry})" for row in (first, second))
        yield f"{pair.what}: {', '.join(sides)}", first.result > second.result


def _rules(claim: Claim, limits: Limits) -> Iterator[Part]:
    for rule in claim.rules:
        value = limits(ROUND, rule.benchmark, rule.scenario).get(rule.field)
        name = f"rules of {ROUND}, {rule.benchmark} {SCENARIO_NAMES[rule.scenario]}: {rule.field}"
        yield f"{name} {'none' if value is None else f'{value:g}'}", value == float(rule.quoted)


def _tokens(claim: Claim, rows: Sequence[Row]) -> Iterator[Part]:
    for tokens in claim.tokens:
        found = [
            _tokens_per_sample(row) for row in rows if row.benchmark == tokens.benchmark and row.division == "closed"
        ]
        means = [mean for mean in found if mean is not None]
        wanted = float(tokens.quoted)
        holds = all(abs(mean - wanted) <= tokens.within * wanted for mean in means)
        yield f"{len(means)} closed runs: {min(means):,.0f} to {max(means):,.0f} output tokens a sample", holds


def _logged(claim: Claim) -> Iterator[Part]:
    for logged in claim.logged:
        holds = None if logged.quoted is None else matches(logged.quoted, logged.value)
        yield f"{logged.what}: {number(logged.value)} ({logged.source})", holds


def _tokens_per_sample(row: Row) -> float | None:
    found = re.search(r"TOKENS_PER_SAMPLE: ([\d.]+)", row.accuracy or "")
    return None if found is None else float(found[1])


def _row(rows: Sequence[Row], entry: str, benchmark: str, scenario: str | None = None) -> Row:
    for row in rows:
        if row.entry == entry and row.benchmark == benchmark and scenario in (None, row.scenario):
            return row
    raise LoadcellError(f"the registry lacks entry {entry}, {benchmark} {scenario or ''}: reinstall loadcell")
