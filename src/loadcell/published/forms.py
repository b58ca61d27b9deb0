"""Published results for programs: JSON and CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec

from loadcell.cells import harmless
from loadcell.published.model import Found, Ranked, Ranking, Row


def to_json(found: msgspec.Struct) -> bytes:
    """As indented JSON."""
    return msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"


def to_csv(found: Found) -> str:
    """One line a place, with everything that belongs to a citation. The derived figure says so in its name."""
    out = io.StringIO()
    names = ["rank", "ranked_by", "benchmarks", *Row.__struct_fields__, "derived_per_accelerator", "derived_unit"]
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    for ranking in found.rankings:
        for one in ranking.rows:
            writer.writerow({name: harmless(cell) for name, cell in _flat(ranking, one).items()})
    return out.getvalue()


def _flat(ranking: Ranking, one: Ranked) -> dict[str, Any]:
    derived = one.per_accelerator
    return {
        **msgspec.structs.asdict(one.row),
        "remarks": "; ".join(one.row.remarks),
        "rank": one.rank,
        "ranked_by": f"{ranking.unit} per accelerator (derived)" if ranking.derived else ranking.unit,
        "benchmarks": " ".join(one.benchmarks),
        "derived_per_accelerator": derived and derived.value,
        "derived_unit": derived and derived.unit,
    }
