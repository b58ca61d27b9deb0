"""Cells of CSV that come from outside."""

from __future__ import annotations

import re
from typing import Any

_BEGINS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def harmless(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that begins as one, and is no number, gets an apostrophe."""
    if not isinstance(cell, str) or not cell.startswith(_BEGINS) or _NUMBER.fullmatch(cell):
        return cell
    return f"'{cell}"
