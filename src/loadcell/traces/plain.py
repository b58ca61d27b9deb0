"""Traces as people have them: columns of times, input and output tokens, and what else is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError, nearest
from loadcell.phrases import phrase
from loadcell.traces.files import Asked, Source
from loadcell.traces.model import Change, Ragged, ragged
from loadcell.traces.settle import UNITS, Draft, block_lists, numbered, seconds
from loadcell.traces.table import Table, read_table

NAMES: Mapping[str, Sequence[str]] = {
    "t": ("t", "time", "timestamp", "arrival", "arrival_time", "arrived_at", "start_time", "starttime", "ts"),
    "in": (
        "in", "in_tokens", "input", "input_tokens", "input_length", "input_len", "prompt_tokens", "prompt_len",
        "num_prefill_tokens", "context_tokens", "contexttokens", "request_tokens", "isl",
    ),
    "out": (
        "out", "out_tokens", "output", "output_tokens", "output_length", "output_len", "completion_tokens",
        "num_decode_tokens", "generated_tokens", "generatedtokens", "response_tokens", "osl",
    ),
    "session": ("session", "session_id", "conversation", "conversation_id", "chat_id"),
    "turn": ("turn", "turn_index"),
    "delay": ("delay", "think_time"),
    "waits": ("waits",),
    "blocks": ("blocks", "hash_ids"),
    "block_tokens": ("block_tokens", "block_size"),
}  # fmt: skip
"""What columns may be called, whatever their case; those of times with their unit, as in t_ms."""
_TIMES = ("t", "delay")
_NOTHING = ("", "nan", "null", "none")


def find(columns: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The columns that mean something: their own names, and the unit that those say."""
    plain = {"_".join(name.casefold().split()): name for name in columns}
    found: dict[str, tuple[str, str]] = {}
    for role, names in NAMES.items():
        for name in names:
            if name in plain:
                found[role] = plain[name], ""
            for unit in UNITS if role in _TIMES else ():
                if f"{name}_{unit}" in plain:
                    found[role] = plain[f"{name}_{unit}"], unit
            if role in found:
                break
    return found


def read(source: Source, asked: Asked) -> Draft:
    """Rows with lengths, with times or without."""
    table = read_table(source)
    names = table.names()
    columns = find(names)
    lack = [role for role in ("in", "out") if role not in columns]
    if lack:
        raise UsageError(lacking(source, names, lack))
    tokens = [_told(table, columns[role][0], table.numbers(columns[role][0]), _NUMBER) for role in ("in", "out")]
    draft = Draft(
        name=source.name, kind="plain", path=str(source.path), places=table.places, broken=dict(table.broken),
        input_tokens=tokens[0], output_tokens=tokens[1],
    )  # fmt: skip
    if "t" in columns:
        _timed(draft, table, *columns["t"], asked.unit)
    if "session" in columns:
        draft.session = numbered(table.texts(columns["session"][0]))
    _waiting(draft, table, columns)
    _blocked(draft, table, columns)
    used = {name for name, _ in columns.values()}
    if spare := [name for name in names if name not in used]:
        words = phrase("columns of {} that were not used: {}", draft.name, ", ".join(spare))
        draft.changes = (*draft.changes, Change("unused", len(spare), words))
    return draft


_NUMBER = "a whole number, as 1035"
_TIME = "seconds, as 12.5, or a date, as 2025-12-01T10:00:00.5Z"


def _told(table: Table, name: str, values: NDArray[np.float64], wanted: str) -> NDArray[np.float64]:
    """A column; UsageError with its first cell where none of its cells is what is wanted."""
    if not np.isfinite(values).any():
        cell = next((text for text in table.texts(name) if text and text.strip().casefold() not in _NOTHING), None)
        if cell is not None:
            raise UsageError(f"{table.source.path}: {name} is {cell[:60]!r} and the like: write {wanted}")
    return values


def lacking(source: Source, names: Sequence[str], lack: Sequence[str]) -> str:
    """What a file without these columns is told."""
    wanted = {"t": "times", "in": "input tokens", "out": "output tokens"}
    known = [name for role in lack for name in NAMES[role]]
    used = {name for name, _ in find(names).values()}
    near = next((hint for name in names if name not in used and (hint := nearest(name, known))), "")
    said = " and ".join(f"{wanted[role]} ({', '.join(NAMES[role][:5])}, ...)" for role in lack)
    return f"{source.path} has no column of {said}{near}; it has: {', '.join(names) or 'none'}"


def _timed(draft: Draft, table: Table, name: str, told: str, unit: str | None) -> None:
    times, dates = table.times(name)
    _told(table, name, times, _TIME)
    draft.time, draft.unit = name, "s" if dates else unit or told or "s"
    draft.checked = not (unit or told or dates)
    draft.t_s, draft.changes = (times, ()) if dates else seconds(times, draft.unit)


def _waiting(draft: Draft, table: Table, columns: Mapping[str, tuple[str, str]]) -> None:
    """Rows that wait: for those that `waits` names, else with a delay for the one before them in their session."""
    if "delay" not in columns and "waits" not in columns:
        return
    delay = np.full(len(draft), np.nan)
    if "delay" in columns:
        name, unit = columns["delay"]
        delay = table.numbers(name) * UNITS[unit or "s"]
    if "waits" in columns:
        lists = [each if isinstance(each, list) else [] for each in table.lists(columns["waits"][0])]
        for row, each in enumerate(lists):
            if any(not isinstance(value, int) or not 0 <= value < row for value in each):
                draft.broken = {**draft.broken, row: phrase("waits for no earlier row (they count from 0)")}
                lists[row] = []
        draft.waits = ragged(lists)
    elif draft.session is None:
        raise UsageError(
            f"{draft.path} has delays, but no column that tells the sessions: {', '.join(NAMES['session'])}"
        )
    else:
        draft.waits = _chains(draft.session, table.numbers(columns["turn"][0]) if "turn" in columns else None, delay)
    draft.delay_s = delay


def _chains(session: NDArray[np.int64], turn: NDArray[np.float64] | None, delay: NDArray[np.float64]) -> Ragged:
    """Every row with a delay waits for the one before it in its session, by turn or by place in the file."""
    rows = np.arange(len(session))
    order = np.lexsort((rows, rows if turn is None else np.nan_to_num(turn, nan=np.inf), session))
    before = np.full(len(session), -1, np.int64)
    same = session[order][1:] == session[order][:-1]
    before[order[1:][same]] = order[:-1][same]
    waiting = np.isfinite(delay) & (before >= 0)
    return Ragged(before[waiting], np.cumsum(waiting, dtype=np.int64))


def _blocked(draft: Draft, table: Table, columns: Mapping[str, tuple[str, str]]) -> None:
    if "blocks" not in columns:
        return
    sizes = table.numbers(columns["block_tokens"][0]) if "block_tokens" in columns else np.array([np.nan])
    known = np.unique(sizes[np.isfinite(sizes)])
    if len(known) != 1 or known[0] < 1 or known[0] % 1:
        raise UsageError(
            f"{draft.path} has blocks: a column block_tokens must tell how many tokens one has, the same in every row"
        )
    lists = table.lists(columns["blocks"][0])
    for row, each in enumerate(lists):
        if not isinstance(each, list) or any(not isinstance(value, int) for value in each):
            draft.broken = {**draft.broken, row: phrase("no list of blocks")}
            lists[row] = []
    draft.blocks, draft.block_tokens = block_lists(lists), int(known[0])
