"""Rows of JSON Lines as typed objects, and those that have blocks as a draft of a trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec
import numpy as np

from loadcell.traces.files import Source, lines
from loadcell.traces.settle import Draft, block_lists, seconds

Row = TypeVar("Row", bound=msgspec.Struct)


class _Hashed(Protocol):
    timestamp: float
    input_length: float
    output_length: float
    hash_ids: list[int]


def decoded(source: Source, kind: type[Row]) -> tuple[list[Row | None], list[int], dict[int, str]]:
    """Each line as an object, or None; the lines in which they stand; and which are none, and why."""
    decode = msgspec.json.Decoder(kind).decode
    rows: list[Row | None] = []
    places: list[int] = []
    broken: dict[int, str] = {}
    take, stands = rows.append, places.append
    for number, line in lines(source):
        try:
            take(decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            broken[len(rows)] = str(error)
            take(None)
        stands(number)
    return rows, places, broken


def hashed_draft(
    source: Source, kind: str, rows: Sequence[_Hashed | None], places: list[int], broken: dict[int, str], *, unit: str,
    checked: bool, block_tokens: int,
) -> Draft:  # fmt: skip
    """Rows with a time, lengths and the numbers of their blocks."""
    columns = [
        (np.nan, np.nan, np.nan) if row is None else (row.timestamp, row.input_length, row.output_length)
        for row in rows
    ]
    times, inputs, outputs = np.array(columns, np.float64).reshape(-1, 3).T
    t_s, changes = seconds(times, unit)
    lists = [[] if row is None else row.hash_ids for row in rows]
    blocks = block_lists(lists)
    return Draft(
        name=source.name, kind=kind, path=str(source.path), time="timestamp", t_s=t_s, input_tokens=inputs,
        output_tokens=outputs, blocks=blocks if len(blocks.values) else None, block_tokens=block_tokens,
        places=lambda wanted: [places[row] for row in wanted], broken=broken, unit=unit, checked=checked,
        changes=changes,
    )  # fmt: skip
