"""JSON Schemas of what leaves the program, made from its types; `docs/schema/` has them as files."""

from __future__ import annotations

from typing import Any

import msgspec


def json_schema(kind: Any, noun: str, version: int) -> dict[str, Any]:
    """The schema of `kind`, whose JSON has this version.

    What one version wrote is valid under the schemas of all later ones: fields are added with a default, never taken
    away or narrowed; what cannot be read so gets a new version.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:loadcell:schema:{noun}:{version}",
        "title": f"Loadcell {noun}",
        **msgspec.json.schema(kind),
    }
