"""The Vega-Lite schema, as a check of specifications."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import altair
import jsonschema


@cache
def _validator(kind: str) -> Any:
    path = Path(altair.__file__).parent / "vegalite/v6/schema/vega-lite-schema.json"
    definitions = json.loads(path.read_text(encoding="utf-8"))["definitions"]
    return jsonschema.Draft7Validator({"$ref": f"#/definitions/{kind}", "definitions": definitions})


def check_spec(spec: dict[str, Any]) -> None:
    """Assert that a specification of layers, or of views below each other, is valid Vega-Lite 6."""
    _check_once(json.dumps(_lean(spec)))


@cache
def _check_once(text: str) -> None:
    """Pages of one kind have many a chart in common, and each takes the schema 0.1 s."""
    spec = json.loads(text)
    kind = "TopLevelVConcatSpec" if "vconcat" in spec else "TopLevelLayerSpec"
    for error in _validator(kind).iter_errors(spec):
        raise AssertionError(f"{'/'.join(map(str, error.absolute_path))}: {error.message[:500]}")


def _lean(node: Any) -> Any:
    """With two rows of all data: what the schema says of rows is soon said."""
    if isinstance(node, dict):
        return {key: value[:2] if key == "values" else _lean(value) for key, value in node.items()}
    return [_lean(value) for value in node] if isinstance(node, list) else node
