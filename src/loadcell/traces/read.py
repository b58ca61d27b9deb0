"""Reading a trace: which format a file has is seen by its columns or keys, whatever it is called."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
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
    """A format of trace files, which the function `read` of the module of its name reads."""

    forms: tuple[str, ...]
    needs: tuple[tuple[str, ...], ...]
    """Columns or keys by which a file is known to have it: all of one of these."""


def _format(forms: str, *needs: str) -> Format:
    return Format(tuple(forms.split()), tuple(tuple(each.split(",")) for each in needs))


FORMATS = {
    "azure": _format("csv parquet", "TIMESTAMP,ContextTokens,GeneratedTokens"),
    "burstgpt": _format("csv parquet", "Timestamp,Request tokens,Response tokens"),
    "bailian": _format("jsonl", "chat_id,timestamp,input_length,output_length"),
    "mooncake": _format("jsonl", "timestamp,input_length,output_length"),
    "servegen": _format("csv folder", "client,t,rate,pattern,arg1"),
    "tracelab": _format("jsonl", "session_id,round_index,input_tokens_total,output_tokens,timing_events"),
    "agentx": _format("json jsonl folder", "requests,block_size,hash_id_scope"),
    "otel": _format("json jsonl", "spans", "resourceSpans", "span_id,attributes"),
    "litellm": _format("jsonl json csv parquet", "startTime,prompt_tokens,completion_tokens"),
    "vllm": _format("text csv"),
    "plain": _format("csv parquet jsonl json"),
}
"""Those that are known, the more special first; the help of `loadcell trace describe` says what each is."""
_LOG = re.compile(r"Received request \S+:|^(\([^)]*\) )?INFO \d\d-\d\d \d\d:\d\d:\d\d", re.MULTILINE)


_NUMBER = re.compile(r"[-+\d.:eTZ ]+")


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

    `kind` says the format (one of FORMATS) where the file itself does not; `unit` that of its times (s, ms, us, ns)
    where it is another than the format's. A trace that is generated (servegen) is so from `seed`, and holds no more
    than `window_s`, at its own times; others hold all that they have, whatever it says. Broken rows are an error, or
    with `skip_bad` left out and counted in `Trace.changes`. UsageError says what is wrong with the file.
    """
    if kind is not None and kind not in FORMATS:
        raise UsageError(f"--kind {kind}: no format of traces{nearest(kind, FORMATS)}; there are: {', '.join(FORMATS)}")
    if unit is not None and unit not in UNITS:
        raise UsageError(f"--time-unit {unit}: give one of {', '.join(UNITS)}")
    known, name = named_traces(), str(name_or_path)
    named = known.get(name) if isinstance(name_or_path, str) else None
    if named is None and not Path(name).exists():
        hint = "" if Path(name).suffix else f", and no trace of that name{nearest(name, known)}"
        raise UsageError(f"there is no file {name}{hint}; packaged traces are: {', '.join(known)}")
    source = open_source(Path(name) if named is None else path_of(name))
    if kind is not None:
        _check_kind(source, kind)
    trace = settle(_reader(kind or find_kind(source))(source, Asked(unit, window_s, seed)), skip_bad=skip_bad)
    return trace if named is None else replace(trace, name=name, source=named.source)


def kind_of(source: Source) -> str | None:
    """The format of a file, if it is known."""
    if source.form == "folder":
        return "servegen" if any(source.path.glob("*.csv*")) else "agentx"
    if source.form in ("text", "csv") and _LOG.search(source.head):
        return "vllm"
    for kind, each in FORMATS.items():
        if source.form in each.forms and any(not _lacking(source, need) for need in each.needs):
            return kind
    return "plain" if {"in", "out"} & set(find(source.columns)) else None


def find_kind(source: Source) -> str:
    """The format of a file. UsageError where it has none that is known."""
    if (kind := kind_of(source)) is not None:
        return kind
    if {"messages", "prompt"} & set(source.columns):
        raise UsageError(
            f"{source.path} holds texts: make a trace of it by loadcell trace anonymize, or send them by --prompts"
        )
    has = f"it has {', '.join(source.columns[:12])}" if source.columns else "it has no columns"
    if source.columns and all(_NUMBER.fullmatch(name) for name in source.columns):
        has = "its first line holds numbers, where the names of the columns should stand"
    raise UsageError(
        f"{source.path} is of no known format of traces: {has}; a plain one has t, in and out, other formats are: "
        f"{', '.join(kind for kind in FORMATS if kind != 'plain')} (--kind)"
    )


def _check_kind(source: Source, kind: str) -> None:
    """UsageError where a file cannot have a format that was named: another form, or columns that it lacks.

    Keys of JSON may stand in later objects alone, so those are for the reader.
    """
    each = FORMATS[kind]
    if source.form == "folder" and "folder" not in each.forms:
        raise UsageError(f"{source.path} is a folder: the format {kind} is one file")
    if source.form == "parquet" and "parquet" not in each.forms:
        raise UsageError(f"{source.path} is a Parquet file: the format {kind} is {' or '.join(each.forms)}")
    if source.form in ("csv", "parquet") and each.needs and (lack := _lacking(source, each.needs[0])):
        raise UsageError(
            f"{source.path} is not of the format {kind}: it lacks {', '.join(lack)}; it has: "
            f"{', '.join(source.columns)}"
        )


def _lacking(source: Source, names: Sequence[str]) -> list[str]:
    """Columns or keys that a file has not, whatever their case."""
    keys = {name.casefold() for name in source.columns}
    return [name for name in names if name.casefold() not in keys]


def _reader(kind: str) -> Callable[[Source, Asked], Draft]:
    read: Callable[[Source, Asked], Draft] = importlib.import_module(f"loadcell.traces.{kind}").read
    return read
