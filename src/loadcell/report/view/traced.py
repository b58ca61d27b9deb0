"""What is said of a trace that was replayed: which, how much of it, and what was done to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loadcell.metrics import Result
from loadcell.report.text import plain
from loadcell.report.view.blocks import Cell, Fact, fact, told
from loadcell.report.words import Words

_FEW = 2
"""Changes that one screen tells of."""
_NAME = 60


def trace_of(result: Result) -> Mapping[str, Any] | None:
    """What the recording tells of its trace; None where it replays none."""
    trace = result.methodology.effective.get("trace")
    return trace if isinstance(trace, Mapping) else None


def trace_name(result: Result) -> str:
    """What the trace is called."""
    return plain((trace_of(result) or {}).get("name", result.methodology.spec.trace.name), _NAME)


def changes_of(result: Result) -> list[str]:
    """What was done to the trace, in sentences."""
    changes = (trace_of(result) or {}).get("changes")
    found = [one.get("words") for one in changes if isinstance(one, Mapping)] if isinstance(changes, list) else []
    return [words for words in found if isinstance(words, str)]


def traced(result: Result, words: Words, *, short: bool = False) -> Iterator[Fact]:
    """The trace, and each change that was made to it."""
    trace, t = trace_of(result), words.say
    if trace is None:
        return
    sent, rows, sessions = (trace.get(name) for name in ("sent", "rows", "sessions"))
    cells = [Cell(trace_name(result), kind="code")]
    if isinstance(sent, int) and isinstance(rows, int):
        n, m = words.count(sent), words.count(rows)
        fewer, more = t("{n} of its {m} requests sent", n=n, m=m), t("{n} requests sent for its {m}", n=n, m=m)
        cells.append(Cell(fewer if sent <= rows else more))
    if isinstance(sessions, int) and not short:
        cells.append(Cell(t("{n} sessions", n=words.count(sessions))))
    if trace.get("source") and not short:
        cells.append(Cell(plain(trace["source"])))
    if trace.get("sha256") and not short:
        cells.append(Cell(plain(trace["sha256"], 17), kind="code", label="SHA-256"))
    yield t("Trace"), cells
    changes = changes_of(result)
    for one in changes[: _FEW if short else None]:
        yield fact("", told(one, words))
    if short and len(changes) > _FEW:
        yield fact("", t("and {n} more", n=words.count(len(changes) - _FEW)))
