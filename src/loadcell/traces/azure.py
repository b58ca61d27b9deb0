"""Azure's traces of LLM inference (2023, 2024): a time, input and output tokens of each request."""

from __future__ import annotations

from loadcell.errors import UsageError
from loadcell.traces.files import Asked, Source
from loadcell.traces.settle import Draft
from loadcell.traces.table import read_table

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


def read(source: Source, asked: Asked) -> Draft:
    """Rows as they are. Times have seven decimals (100 ns) and no zone, or one (2024)."""
    asked.no_unit("azure")
    table = read_table(source)
    times, dates = table.times(COLUMNS[0])
    if not dates and len(times):
        raise UsageError(f"TIMESTAMP of {source.path} holds numbers, where the format azure has dates")
    return Draft(
        name=source.name, kind="azure", path=str(source.path), time=COLUMNS[0],
        t_s=times, input_tokens=table.numbers(COLUMNS[1]), output_tokens=table.numbers(COLUMNS[2]),
        places=table.places, broken=table.broken,
    )  # fmt: skip
