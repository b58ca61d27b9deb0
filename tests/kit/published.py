"""What was published once: schemas and documents, by the version that first wrote them. They are never rewritten.

`python tests/kit/published.py` adds those of nouns and versions that have none yet.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from golden_cases import a_watched_run
from made_comparison import make_comparison
from made_sweep import make_search

from loadcell.compare import Comparison, comparison_schema
from loadcell.metrics import Result, build_repeats, repeats_schema, result_schema
from loadcell.metrics.repeats import Repeats
from loadcell.search import Sweep, sweep_schema
from loadcell.spec import Spec, spec_schema

FIRST = Path(__file__).parents[1] / "data" / "published"
NOUNS: dict[str, tuple[Any, dict[str, Any]]] = {
    "result": (Result, result_schema()),
    "sweep": (Sweep, sweep_schema()),
    "comparison": (Comparison, comparison_schema()),
    "repeats": (Repeats, repeats_schema()),
    "spec": (Spec, spec_schema()),
}


def published() -> dict[str, dict[str, Any]]:
    """The schema and a document of each noun and version, as they were when that version was published."""
    found = sorted(FIRST.glob("*.json.gz"))
    return {file.name.removesuffix(".json.gz"): json.loads(gzip.decompress(file.read_bytes())) for file in found}


def narrowed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What is valid under one schema and perhaps not under another, by its place; empty where nothing is."""
    return list(_narrowed(old, new, old, new, "", frozenset()))


def _narrowed(old: Any, new: Any, olds: Any, news: Any, at: str, above: frozenset[tuple[str, str]]) -> Iterator[str]:
    names = (str(old.get("$ref")), str(new.get("$ref")))
    if names[0] != "None" and names in above:  # a type that holds itself
        return
    old, new, above = _plain(old, olds), _plain(new, news), above | {names}
    if "anyOf" in old or "anyOf" in new:
        choices = [_plain(each, news) for each in new.get("anyOf", [new])]
        for each in old.get("anyOf", [old]):
            found = [list(_narrowed(each, choice, olds, news, at, above)) for choice in choices]
            yield from min(found, key=len)
        return
    if "type" in new and new["type"] != old.get("type") and (old.get("type"), new["type"]) != ("integer", "number"):
        yield f"{at}: {old.get('type')} has become {new['type']}"
        return
    if "enum" in new and not set(old.get("enum", [object()])) <= set(new["enum"]):
        yield f"{at}: values {old.get('enum')} have become {new['enum']}"
    for bound, loosest in (("minimum", min), ("maximum", max), ("minLength", min), ("maxLength", max)):
        if bound in new and (bound not in old or loosest(old[bound], new[bound]) != new[bound]):
            yield f"{at}: {bound} {old.get(bound)} has become {new[bound]}"
    for name in sorted(set(new.get("required", [])) - set(old.get("required", []))):
        yield f"{at}.{name}: is required now"
    for name, kind in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{at}.{name}: is gone"
        else:
            yield from _narrowed(kind, new["properties"][name], olds, news, f"{at}.{name}", above)
    for key in ("items", "additionalProperties"):
        if isinstance(new.get(key), dict):
            yield from _narrowed(old.get(key) or {}, new[key], olds, news, f"{at}.*", above)
    for place, (was, now) in enumerate(zip(old.get("prefixItems", []), new.get("prefixItems", []), strict=False)):
        yield from _narrowed(was, now, olds, news, f"{at}.{place}", above)


def _plain(schema: Any, whole: Any) -> Any:
    return whole["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _documents() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        result = a_watched_run(Path(folder) / "run")
    return {
        "result": result,
        "sweep": make_search(),
        "comparison": make_comparison(),
        "repeats": build_repeats([result, result, result]),
        "spec": result.methodology.spec,
    }


if __name__ == "__main__":
    FIRST.mkdir(parents=True, exist_ok=True)
    for noun, document in _documents().items():
        schema = NOUNS[noun][1]
        file = FIRST / f"{noun}-{schema['$id'].rpartition(':')[2]}.json.gz"
        if not file.exists():
            kept = msgspec.json.encode({"schema": schema, "document": document})
            file.write_bytes(gzip.compress(kept, mtime=0))
