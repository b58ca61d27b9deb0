"""The requests of a GuideLLM report, in each of its forms."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from loadcell.interop.model import Request, Status
from loadcell.interop.readers.common import bad, measured, text, whole, within

STATUS: dict[str, Status] = {
    "successful": "ok",
    "results": "ok",
    "errored": "failed",
    "errors": "failed",
    "incomplete": "cancelled",
}


class _Form(NamedTuple):
    """Where the fields of a request stand in one form of the report."""

    start: str
    first: str
    last: str
    end: str
    planned: str = ""
    answer: str = ""
    inputs: str = "prompt_tokens"
    cached: str = ""
    outputs: str = "output_tokens"
    error: str = "error"
    session: str = ""
    turn: str = ""
    gaps: str = ""
    kind: str = "request_type"


_T = "info.timings"
NEW = _Form(
    f"{_T}.request_start", f"{_T}.first_token_iteration", f"{_T}.last_token_iteration", f"{_T}.request_end",
    planned=f"{_T}.targeted_start", answer=f"{_T}.first_output_token_iteration", cached="cached_tokens",
    error="info.error", session="info.conversation_id", turn="info.turn_index",
)  # fmt: skip
_OLD = _Form(
    "start_time", "first_token_time", "last_token_time", "end_time", planned="scheduler_info.targeted_start_time"
)
_OLDEST = _Form(
    "start_time", "first_token_time", "", "end_time", inputs="prompt_token_count", outputs="output_token_count",
    error="message", gaps="decode_times.data",
)  # fmt: skip
"""Its first_token_time is a duration, and decode_times are the gaps after it."""
FORMS = {"report of 0.2": _OLD, "report of 0.1": _OLDEST}
NAMED = {
    "planned_s": "planned", "sent_s": "start", "first_s": "first", "answer_s": "answer", "last_s": "last",
    "end_s": "end", "input_tokens": "inputs", "output_tokens": "outputs",
}  # fmt: skip


class Row(NamedTuple):
    """A request; times are those of the file."""

    status: Status
    start: float | None
    first: float | None
    answer: float | None
    last: float | None
    end: float | None
    planned: float | None
    gaps: array[float] | None
    inputs: int | None
    cached: int | None
    outputs: int | None
    error: str | None
    session: str | None
    turn: int | None
    kind: str | None
    """Which API, where rows tell: chat_completions."""


def slim(row: Any) -> Any:
    """A row without its texts: what its form names, no more."""
    form = _form(row)
    return row if form is None else (form, [within(row, *place.split(".")) if place else None for place in form])


def _form(row: Any) -> _Form | None:
    for sign, form in (("info", NEW), ("scheduler_info", _OLD), ("decode_times", _OLDEST), ("message", _OLDEST)):
        if isinstance(row, dict) and sign in row:
            return form
    return None


def rows_of(path: Path, bench: Any, at: str) -> list[Row]:
    """All requests of a benchmark, by the time of their send."""
    found = []
    for group, status in STATUS.items():
        own = group in ("results", "errors")
        rows = within(bench, group) if own else within(bench, "requests", group)
        place = f"{at}.{group}" if own else f"{at}.requests.{group}"
        if rows is not None and not isinstance(rows, list):
            raise bad(path, place, "expected a list of requests")
        found += [_row(path, row, status, f"{place}.{i}") for i, row in enumerate(rows or [])]
    return sorted(found, key=lambda row: float("inf") if row.start is None else row.start)


def _row(path: Path, row: Any, status: Status, at: str) -> Row:
    found = row if isinstance(row, tuple) else slim(row)
    if not isinstance(found, tuple):
        raise bad(path, at, "is no request of a form that is known")
    form, values = found
    given = dict(zip(form._fields, values, strict=True))

    def of(name: str) -> float | None:
        return measured(given[name], path, f"{at}.{getattr(form, name)}")

    def stamp(name: str) -> float | None:
        value = of(name)
        return None if value is None or value < 0 else value  # -1: there was none

    start, began, last, gaps = stamp("start"), stamp("first"), stamp("last"), None
    if form is _OLDEST:
        began = None if start is None or began is None else start + began
        if isinstance(given["gaps"], list) and began is not None:
            place = f"{at}.{form.gaps}"
            steps = [measured(gap, path, f"{place}.{i}") for i, gap in enumerate(given["gaps"])]
            known = array("d", [gap for gap in steps if gap is not None])
            if len(known) == len(steps):
                gaps, last = known, began + sum(known)
    return Row(
        status, start, began, stamp("answer"), last, stamp("end"), stamp("planned"), gaps,
        whole(of("inputs")), whole(of("cached")), whole(of("outputs")),
        text(given["error"]), text(given["session"]), whole(of("turn")), text(given["kind"]),
    )  # fmt: skip


def requests_of(rows: list[Row], zero: float, planned: bool) -> Iterator[Request]:
    """They in seconds since `zero`; `planned`: whether targeted starts are those of a schedule."""
    turns = any(row.turn for row in rows)
    for row in rows:
        start, began, answer, last, end, due = (
            None if time is None else time - zero
            for time in (row.start, row.first, row.answer, row.last, row.end, row.planned)
        )
        yield Request(
            status=row.status,
            planned_s=due if planned else None,
            sent_s=start,
            first_s=began,
            answer_s=answer,
            last_s=last,
            end_s=end,
            chunks_s=None if row.gaps is None or began is None else array("d", accumulate(row.gaps, initial=began)),
            input_tokens=row.inputs,
            cached_tokens=row.cached,
            output_tokens=row.outputs,
            token_source=None if row.outputs is None else "unknown",
            error_kind=None if row.status != "failed" else "told",
            error=row.error,
            session=row.session if turns else None,
            turn=row.turn if turns else None,
        )
