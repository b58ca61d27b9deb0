"""Reading a trace: which format a file has is seen by its columns or keys, whatever it is called."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from loadcell.errors import UsageError, nearest
from loadcell.traces.files import Asked, Source, open_source
from loadcell.traces.model import Trace
from loadcell.traces.named import named_traces, path_of
from loadcell.traces.plain import find
from loadcell.traces.settle import UNITS, Draft, settle


class Format(NamedTuple):
    """A format of trace files."""

    kind: str
    """Its name, as --kind takes it, and its module."""
    about: str
    forms: tuple[str, ...]
    needs: frozenset[str]
    """Columns or keys by which a file is known to have it."""


def _format(kind: str, about: str, forms: str, needs: str) -> Format:
    return Format(kind, about, tuple(forms.split()), frozenset(needs.split(",")))


FORMATS = (
    _format("azure", "Azure's LLM inference traces, 2023 and 2024 (CSV)", "csv parquet",
            "TIMESTAMP,ContextTokens,GeneratedTokens"),
    _format("bailian", "Bailian's usage traces of Qwen (JSON Lines)", "jsonl",
            "chat_id,timestamp,input_length,output_length"),
    _format("mooncake", "Mooncake's traces with shared blocks (JSON Lines)", "jsonl",
            "timestamp,input_length,output_length"),
)  # fmt: skip
"""Those that are known, the more special first; each is read by the function `read` of its module."""
PLAIN = Format("plain", "columns t, in, out under any of their names (CSV, JSON Lines, JSON, Parquet)", (), frozenset())
KINDS = {each.kind: each for each in (*FORMATS, PLAIN)}


def read_trace(
    name_or_path: str | Path,
    *,
    skip_bad: bool = False,
    kind: str | None = None,
    unit: str | None = None,
    window_s: tuple[float, float] | None = None,
    seed: int = 0,
) -> Trace:
    """The trace of a file, or a packaged one by its name.

    `kind` says the format (one of KINDS) where the file itself does not; `unit` that of its times (s, ms, us, ns) where
    it is another than the format's. A trace that is generated (servegen) is so from `seed`, and holds no more than
    `window_s`, at its own times; others hold all that they have, whatever it says. Broken rows are an error, or with
    `skip_bad` left out and counted in `Trace.changes`. UsageError says what is wrong with the file.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"--kind {kind}: no format of traces{nearest(kind, KINDS)}; there are: {', '.join(KINDS)}")
    if unit is not None and unit not in UNITS:
        raise UsageError(f"--time-unit {unit}: give one of {', '.join(UNITS)}")
    known = named_traces()
    name = str(name_or_path)
    named = known.get(name) if isinstance(name_or_path, str) else None
    if named is None and isinstance(name_or_path, str) and not Path(name).exists():
        raise UsageError(
            f"there is no file {name}, and no trace of that name{nearest(name, known)}; there are: {', '.join(known)}"
        )
    source = open_source(Path(name_or_path) if named is None else path_of(name))
    draft = _reader(kind or find_kind(source))(source, Asked(unit, window_s, seed))
    trace = settle(draft, skip_bad=skip_bad)
    return trace if named is None else replace(trace, name=name, source=named.source)


def find_kind(source: Source) -> str:
    """The format of a file. UsageError where it has none that is known."""
    keys = {name.casefold() for name in source.columns}
    for each in FORMATS:
        if source.form in each.forms and {name.casefold() for name in each.needs} <= keys:
            return each.kind
    if source.form == "json" or {"in", "out"} & set(find(source.columns)):
        return PLAIN.kind
    has = f"its columns are: {', '.join(source.columns)}" if source.columns else "it has no columns"
    raise UsageError(
        f"{source.path} is of no known format of traces: {has}; a plain one has t, in, out, "
        f"and the others are: {', '.join(each.kind for each in FORMATS)} (--kind)"
    )


def _reader(kind: str) -> Callable[[Source, Asked], Draft]:
    read: Callable[[Source, Asked], Draft] = importlib.import_module(f"loadcell.traces.{kind}").read
    return read
