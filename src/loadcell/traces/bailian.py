"""Bailian's usage traces of Qwen: times in s, lengths, blocks of 16 tokens, and who continues whom."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np

from loadcell.traces.files import Asked, Source
from loadcell.traces.json_rows import decoded, hashed_draft
from loadcell.traces.settle import Draft

COLUMNS = ("chat_id", "parent_chat_id", "timestamp", "input_length", "output_length", "turn", "hash_ids", "type")
BLOCK_TOKENS = 16


class _Row(msgspec.Struct, gc=False):
    chat_id: int | str
    timestamp: float
    input_length: float
    output_length: float
    parent_chat_id: int | str = -1
    hash_ids: list[int] = []


def read(source: Source, asked: Asked) -> Draft:
    """Rows at their own times; a session is a chat with all that continue it. Nothing waits for a reply, for the file
    does not tell when one ended."""
    rows, places, broken = decoded(source, _Row)
    draft = hashed_draft(
        source,
        "bailian",
        rows,
        places,
        broken,
        unit=asked.unit or "s",
        checked=not asked.unit,
        block_tokens=BLOCK_TOKENS,
    )
    return replace(draft, session=_sessions(rows))


def _sessions(rows: list[_Row | None]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The first chat of each row's chain. A parent that the file lacks begins one."""
    parents = {row.chat_id: row.parent_chat_id for row in rows if row is not None}
    known: dict[int | str, int] = {}
    out = np.empty(len(rows), np.int64)
    for i, row in enumerate(rows):
        if row is None:
            out[i] = -1 - i
            continue
        chain = [row.chat_id]
        while chain[-1] not in known and (parent := parents.get(chain[-1], -1)) != -1 and parent not in chain:
            chain.append(parent)
        out[i] = known.setdefault(chain[-1], len(known))
        known.update(dict.fromkeys(chain, int(out[i])))
    return out
