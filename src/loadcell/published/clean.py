"""From a summary as MLCommons publishes it to rows that can be compared. What is odd about a round is in cleaning.yaml.

Kept are the rows of language, speech and vision-language benchmarks. Each row is checked field by field: a file of
another form, a cut one or one that was edited by hand is refused with the row and the field that are wrong.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from functools import cache
from typing import Any
from urllib.parse import quote

import msgspec

from loadcell.errors import RecordingError, UsageError, nearest
from loadcell.packaged import packaged_yaml
from loadcell.published.model import SCENARIO_NAMES, Row, Source

_ROUND = re.compile(r"v\d+\.\d+")
_COUNTED = re.compile(r"\(x(\d+)\)")
_DIVISIONS = ("closed", "open")
_FORM = "loadcell published add wants the summary_results.json of v5.1 or v6.0, or the summary.json of v6.1"


class Benchmark(msgspec.Struct, frozen=True):
    """A benchmark that is kept."""

    task: str
    family: str | None = None
    also: list[str] = []


class Correction(msgspec.Struct, frozen=True):
    """A wrong label of a unit."""

    rounds: list[str]
    benchmark: str
    scenario: str
    published: str
    unit: str
    source: str


class Schema(msgspec.Struct, frozen=True):
    """Which column holds what."""

    columns: dict[str, str]
    optional: dict[str, str]


class Cleaning(msgspec.Struct, frozen=True):
    """cleaning.yaml."""

    benchmarks: dict[str, Benchmark]
    units: dict[str, str]
    corrections: list[Correction]
    repositories: dict[str, str]
    schemas: dict[str, Schema]


@cache
def cleaning() -> Cleaning:
    """The rules of cleaning."""
    return msgspec.convert(packaged_yaml("loadcell.published", "cleaning.yaml"), Cleaning)


def clean_summary(
    data: bytes, *, origin: str, retrieved: str, name: str | None = None, round: str | None = None,
    commit: str | None = None, licence: str | None = None, added: bool = False,
) -> tuple[list[Row], Source]:  # fmt: skip
    """The rows of a summary and their source; RecordingError says what is wrong with the file.

    `round` is that of rows that do not name theirs; UsageError where they name another.
    """
    schema, raw = _read(data, origin)
    fields = [_fields(schema, row, f"{origin}, row {number}") for number, row in enumerate(raw, 1)]
    rounds = sorted({_round_of(one, round, origin) for one in fields})
    label = name or f"MLCommons {' and '.join(rounds)}"
    names = {also: key for key, one in cleaning().benchmarks.items() for also in (key, *one.also)}
    rows, left_out = [], Counter[str]()
    for number, one in enumerate(fields, 1):
        benchmark = names.get(str(one["benchmark"]))
        if benchmark is None:
            left_out[str(one["benchmark"])] += 1
        else:
            one |= {"benchmark": benchmark, "source": label, "retrieved": retrieved}
            rows.append(_row(one, _round_of(one, round, origin), f"{origin}, row {number}"))
    if not rows:
        raise RecordingError(
            f"{origin} holds no row of a language, speech or vision-language benchmark (it has {_list(left_out)})"
        )
    _check_unique(rows, origin)
    source = Source(
        name=label, rounds=rounds, rows=len(rows), origin=origin, commit=commit, retrieved=retrieved,
        sha256=hashlib.sha256(data).hexdigest(), licence=licence, left_out=dict(left_out.most_common()), added=added,
    )  # fmt: skip
    return rows, source


# --- the file --------------------------------------------------------------------------------------------------------


def _read(data: bytes, origin: str) -> tuple[Schema, list[dict[str, Any]]]:
    try:
        tree = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise RecordingError(f"{origin} is not JSON, or it was cut short ({error}): {_FORM}") from None
    rows = list(tree.values()) if isinstance(tree, dict) else tree
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise RecordingError(f"{origin} is no list of results: {_FORM}")
    schemas = cleaning().schemas
    lacks = {name: [c for c in schema.columns.values() if c not in rows[0]] for name, schema in schemas.items()}
    best = min(lacks, key=lambda name: len(lacks[name]))
    if len(lacks[best]) > len(schemas[best].columns) // 2:
        raise RecordingError(f"{origin} is no summary of results: {_FORM}")
    return schemas[best], rows


def _fields(schema: Schema, row: dict[str, Any], where: str) -> dict[str, Any]:
    """The fields by our names; empty text and "-" are None."""
    missing = [column for column in schema.columns.values() if column not in row]
    if missing:
        raise RecordingError(f"{where}: there is no {_list(missing)}; was the file edited, or is it of another round?")
    columns = schema.columns | {field: column for field, column in schema.optional.items() if column in row}
    found = {field: row[column] for field, column in columns.items()}
    text = {field: " ".join(value.split()) for field, value in found.items() if isinstance(value, str)}
    return found | {field: None if value in ("", "-") else value for field, value in text.items()}


def _round_of(fields: dict[str, Any], asked: str | None, origin: str) -> str:
    found = fields["round"] or asked
    if asked is not None and found != asked:
        raise UsageError(f"{origin} says that it is of round {found}, not {asked}: leave --round out")
    if not isinstance(found, str) or not _ROUND.fullmatch(found):
        raise UsageError(f"{origin} does not say of which round it is: give --round, as in --round v6.1")
    return found


def _check_unique(rows: list[Row], origin: str) -> None:
    twice = [key for key, count in Counter(row.key for row in rows).items() if count > 1]
    if twice:
        raise RecordingError(f"{origin} holds the same result twice: {' · '.join(twice[0])}")


# --- one row ---------------------------------------------------------------------------------------------------------


def _row(fields: dict[str, Any], round_: str, where: str) -> Row:
    rules = cleaning()
    scenario = _choice(str(fields["scenario"]).lower(), SCENARIO_NAMES, f"{where}: scenario")
    published = _choice(str(fields["unit_published"]), rules.units, f"{where}: unit")
    benchmark, remarks = rules.benchmarks[fields["benchmark"]], list[str]()
    unit = rules.units[published]
    for wrong in rules.corrections:
        if round_ in wrong.rounds and (fields["benchmark"], scenario, published) == (
            wrong.benchmark, wrong.scenario, wrong.published,
        ):  # fmt: skip
            unit = wrong.unit
            remarks.append(f"published as {published}, but these are {unit} ({wrong.source})")
    location = str(fields["location"]).removeprefix("./").removesuffix("/performance/run_1").rstrip("/")
    found = {
        **{name: _text(fields, name, where) for name in ("submitter", "system", "platform", "model_run", "suite")},
        **{name: _text_or_none(fields, name) for name in (
            "entry", "accuracy", "accelerator", "processor", "software", "weights", "notes", "power_unit",
        )},
        **_accelerators(fields, where, remarks),
        "round": round_,
        "division": _choice(str(fields["division"]).lower(), _DIVISIONS, f"{where}: division"),
        "availability": _text(fields, "availability", where).lower(),
        "benchmark": fields["benchmark"],
        "family": benchmark.family or fields["benchmark"],
        "task": benchmark.task,
        "scenario": scenario,
        "result": _number(fields["result"], f"{where}: result"),
        "unit": unit,
        "unit_published": published,
        "power": None if fields.get("power") is None else _number(fields["power"], f"{where}: power"),
        "location": location,
        "link": f"{rules.repositories.get(round_, 'https://mlcommons.org/benchmarks')}/{quote(location)}",
        "source": fields["source"],
        "retrieved": fields["retrieved"],
        "remarks": remarks,
    }  # fmt: skip
    return msgspec.convert(found, Row)


def _accelerators(fields: dict[str, Any], where: str, remarks: list[str]) -> dict[str, int | None]:
    """Counts of a system; None where it has none. Nodes times accelerators a node is the total."""
    nodes, each, told = (
        _count(fields.get(name), f"{where}: {name}") for name in ("nodes", "accelerators_per_node", "total")
    )
    total = nodes * each if nodes and each else None
    named = [int(count) for count in _COUNTED.findall(str(fields["accelerator"]))]
    if total and told and told != total:
        remarks.append(f"published with {told} accelerators in all; nodes times accelerators a node are {total}")
    if total and named and sum(named) != total:
        remarks.append(f"its name says {sum(named)} accelerators; nodes times accelerators a node are {total}")
    if len(named) > 1:
        remarks.append("accelerators of different kinds: a figure per accelerator is a mean over them")
    return {"nodes": nodes, "accelerators_per_node": each, "accelerators": total}


def _count(value: Any, where: str) -> int | None:
    """A whole number, 0 and nothing at all as None."""
    if value is None or value == "":
        return None
    number = _number(value, where, least=0)
    if number != int(number):
        raise RecordingError(f"{where} is {value!r}, not a whole number")
    return int(number) or None


def _number(value: Any, where: str, least: float | None = None) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number) or number < 0 or (least is None and number == 0):
        raise RecordingError(f"{where} is {value!r}, not a number above 0")
    return number


def _text(fields: dict[str, Any], name: str, where: str) -> str:
    value = _text_or_none(fields, name)
    if value is None:
        raise RecordingError(f"{where}: {name} is empty")
    return value


def _text_or_none(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return None if value is None else str(value)


def _choice(value: str, valid: Any, where: str) -> str:
    if value not in valid:
        raise RecordingError(f"{where} is {value}{nearest(value, valid)}; there are: {', '.join(valid)}")
    return value


def _list(names: Any) -> str:
    shown = list(names)
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")
