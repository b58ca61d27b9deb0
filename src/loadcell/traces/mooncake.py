"""Mooncake's traces (FAST'25): times in ms, lengths, and the blocks of 512 tokens that prompts share."""

from __future__ import annotations

import msgspec

from loadcell.traces.files import Asked, Source
from loadcell.traces.json_rows import decoded, hashed_draft
from loadcell.traces.settle import Draft

COLUMNS = ("timestamp", "input_length", "output_length", "hash_ids")
BLOCK_TOKENS = 512


class _Row(msgspec.Struct, gc=False):
    timestamp: float
    input_length: float
    output_length: float
    hash_ids: list[int] = []


def read(source: Source, asked: Asked) -> Draft:
    """Rows as they are; two share a prefix as far as their blocks agree."""
    rows, places, broken = decoded(source, _Row)
    return hashed_draft(
        source,
        "mooncake",
        rows,
        places,
        broken,
        unit=asked.unit or "ms",
        checked=not asked.unit,
        block_tokens=BLOCK_TOKENS,
    )
