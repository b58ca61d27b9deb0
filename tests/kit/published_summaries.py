"""The summaries that the tests clean."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "published" / "data"


def raw(round: str) -> list[dict[str, Any]]:
    """A summary as it was published."""
    rows: list[dict[str, Any]] = json.loads(raw_bytes(round))
    return rows


def raw_bytes(round: str) -> bytes:
    return gzip.decompress((DATA / f"summary_results_{round}.json.gz").read_bytes())
