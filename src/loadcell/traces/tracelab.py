"""TraceLab's rounds of coding agents: each waits for the one before it in its session, and for the tools of that."""

from __future__ import annotations

import msgspec
import numpy as np

from loadcell.phrases import phrase
from loadcell.traces.files import Asked, Source
from loadcell.traces.json_rows import decoded
from loadcell.traces.model import Change, Ragged
from loadcell.traces.settle import Draft, numbered
from loadcell.traces.table import date_s

COLUMNS = ("session_id", "round_index", "input_tokens_total", "output_tokens", "timing_events")
_INPUTS = ("user_message", "tool_result")


class _Event(msgspec.Struct):
    event_type: str
    timestamp: str


class _Round(msgspec.Struct):
    session_id: str
    round_index: int
    input_tokens_total: float
    output_tokens: float
    timing_events: list[_Event]
    prefix_tokens: int = 0
    """Of its input, those that the server knew."""


def read(source: Source, asked: Asked) -> Draft:
    """Rounds of a session one after another. A round begins with the last message or result of a tool before its first
    output, and ends with its last output: so a delay is the time of the tools or of the user."""
    asked.no_unit("tracelab")
    rows, places, broken = decoded(source, _Round)
    spans = np.array([(np.nan, np.nan) if row is None else _span(row) for row in rows], np.float64).reshape(-1, 2)
    session = numbered([None if row is None else row.session_id for row in rows])
    index = np.array([np.inf if row is None else row.round_index for row in rows])
    order = np.lexsort((index, session))
    before = np.full(len(rows), -1, np.int64)
    same = session[order][1:] == session[order][:-1]
    before[order[1:][same]] = order[:-1][same]
    waiting = before >= 0
    delay = np.where(waiting, spans[:, 0] - spans[before, 1], np.nan)
    with np.errstate(invalid="ignore"):
        early = delay < 0
    changes: tuple[Change, ...] = ()
    if n := int(early.sum()):
        words = phrase("{:,} rounds of {} began before the one before them ended: they wait 0 s", n, source.name)
        changes = (Change("clip", n, words),)
    return Draft(
        name=source.name, kind="tracelab", path=str(source.path), time="timing_events", t_s=spans[:, 0],
        checked=False, by_session=True,
        input_tokens=np.array([np.nan if row is None else row.input_tokens_total for row in rows], np.float64),
        output_tokens=np.array([np.nan if row is None else row.output_tokens for row in rows], np.float64),
        session=session, waits=Ragged(before[waiting], np.cumsum(waiting, dtype=np.int64)),
        delay_s=np.where(early, 0.0, delay), places=lambda wanted: [places[row] for row in wanted], broken=broken,
        prefix_tokens=np.array([0 if row is None or not wait else max(0, row.prefix_tokens) for row, wait in
                                zip(rows, waiting.tolist(), strict=True)], np.float64),
        changes=changes,
    )  # fmt: skip


def _span(row: _Round) -> tuple[float, float]:
    """When it began and ended; NaN where no event tells."""
    times = [(date_s(event.timestamp), event.event_type in _INPUTS) for event in row.timing_events]
    outputs = [t for t, is_input in times if not is_input]
    inputs = [t for t, is_input in times if is_input and (not outputs or t <= min(outputs))]
    if not times:
        return np.nan, np.nan
    return (max(inputs) if inputs else min(t for t, _ in times)), max(outputs or [t for t, _ in times])
