"""BurstGPT's traces: times in s, request and response tokens; since 2.0 sessions and how long each request took."""

from __future__ import annotations

import numpy as np

from loadcell.traces.files import Asked, Source
from loadcell.traces.follow import follow
from loadcell.traces.settle import Draft, numbered, seconds
from loadcell.traces.table import read_table

COLUMNS = ("Timestamp", "Request tokens", "Response tokens")
_SESSION, _ELAPSED = "Session ID", "Elapsed time"


def read(source: Source, asked: Asked) -> Draft:
    """Rows as they are; those without a response are failures. Turns wait where it is told when the last one ended."""
    table = read_table(source)
    unit = asked.unit or "s"
    t_s, changes = seconds(table.numbers(COLUMNS[0]), unit)
    draft = Draft(
        name=source.name, kind="burstgpt", path=str(source.path), time=COLUMNS[0], t_s=t_s,
        input_tokens=table.numbers(COLUMNS[1]), output_tokens=table.numbers(COLUMNS[2]), places=table.places,
        broken=table.broken, unit=unit, checked=not asked.unit, changes=changes,
    )  # fmt: skip
    if _SESSION in source.columns:
        draft.session = numbered(table.texts(_SESSION))
        if _ELAPSED in source.columns:
            end = np.where(draft.output_tokens > 0, t_s + table.numbers(_ELAPSED), np.nan)  # none waits for a failure
            draft.waits, draft.delay_s = follow(draft.session, t_s, end)
    return draft
