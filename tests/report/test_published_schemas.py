"""The published schemas: right for what is written today, and for all that their versions ever wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from golden_cases import a_quiet_run
from published import NOUNS, narrowed, published

from loadcell.metrics import result_schema
from loadcell.report import to_json

PUBLISHED = published()


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_a_version_wrote_first_is_read_to_the_last_value(name: str) -> None:
    document, kind = PUBLISHED[name]["document"], NOUNS[name.rpartition("-")[0]][0]
    assert _lost(document, msgspec.to_builtins(msgspec.convert(document, kind))) == []


@pytest.mark.parametrize("noun", NOUNS)
def test_a_schema_only_widens_within_its_version(noun: str) -> None:
    schema = NOUNS[noun][1]
    first = PUBLISHED[f"{noun}-{schema['$id'].rpartition(':')[2]}"]
    assert narrowed(first["schema"], schema) == []
    jsonschema.Draft202012Validator(schema).validate(first["document"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s["properties"].pop("notes"), "Result.notes: is gone"),
        (lambda s: s["required"].append("behaved"), "behaved: is required now"),
        (lambda s: s["properties"].update(notes={"type": "string"}), "notes: array has become string"),
        (lambda s: s["properties"]["loadcell"].update(maxLength=3), "loadcell: maxLength None has become 3"),
    ],
)
def test_what_narrows_is_found(change: Any, says: str) -> None:
    changed = msgspec.json.decode(msgspec.json.encode(result_schema()))
    change(changed["$defs"]["Result"])
    found = narrowed(result_schema(), changed)
    assert len(found) == 1 and found[0].endswith(says.removeprefix("Result"))


def test_a_result_of_today_is_valid(tmp_path: Path) -> None:
    document = msgspec.json.decode(to_json(a_quiet_run(tmp_path / "run")))
    validator = jsonschema.Draft202012Validator(result_schema())
    validator.validate(document)
    del document["verdict"]
    assert [error.message for error in validator.iter_errors(document)] == ["'verdict' is a required property"]


@pytest.mark.parametrize("noun", NOUNS)
def test_a_schema_is_one(noun: str) -> None:
    jsonschema.Draft202012Validator.check_schema(NOUNS[noun][1])


def _lost(old: Any, new: Any, at: str = "") -> list[str]:
    """Places of a document whose values another does not have."""
    if isinstance(old, dict):
        if not isinstance(new, dict):
            return [at]
        return [x for key, value in old.items() for x in _lost(value, new.get(key, _lost), f"{at}.{key}")]
    if isinstance(old, list):
        if not isinstance(new, list | tuple) or len(old) != len(new):
            return [at]
        return [x for place, (a, b) in enumerate(zip(old, new, strict=True)) for x in _lost(a, b, f"{at}.{place}")]
    return [] if old == new else [at]
