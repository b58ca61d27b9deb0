"""Logs of requests as people write them: JSON Lines with a time and the messages or the prompt of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.traces.calls import Call, messages_of, text_of
from loadcell.traces.files import Source
from loadcell.traces.plain import find
from loadcell.traces.settle import seconds
from loadcell.traces.table import moment_s, number, read_objects

TEXTS = ("messages", "prompt", "input")
_NESTED = ("request", "body", "request_body")
_REPLIES = ("response", "output", "completion", "reply")
_ENDS = ("end", "end_time", "endtime", "finished_at", "completed_at")


def calls(source: Source) -> list[Call]:
    """A call for each line. UsageError for a file without times, or whose first line has no text."""
    objects, places, broken = read_objects(source)
    first = next((each for each in objects if each), {})
    keys = {key: None for each in objects for key in each}
    columns = find(tuple(keys))
    if "t" not in columns or not _texts(first):
        lack = f"a time (t, timestamp, ...), {' or '.join(TEXTS)}"
        raise UsageError(f"{source.path} is no log of requests: its lines need {lack}; they have {', '.join(keys)}")
    name, unit = columns["t"]
    times, _ = seconds(np.array([moment_s(each.get(name)) for each in objects], np.float64), unit or "s")
    end = next((key for key in keys if key.casefold() in _ENDS), "")
    ends, _ = seconds(np.array([moment_s(each.get(end)) for each in objects], np.float64), unit or "s")
    session = columns.get("session", ("", ""))[0]
    return [
        _call(each, place, times[i], ends[i], each.get(session), columns, broken.get(i, ""))
        for i, (each, place) in enumerate(zip(objects, places, strict=True))
    ]


def _call(
    row: Mapping[str, Any], place: int, start: float, end: float, session: Any, columns: Mapping[str, tuple[str, str]],
    why: str,
) -> Call:  # fmt: skip
    texts = _texts(row)
    reply = next((row[key] for key in _REPLIES if row.get(key) is not None), None)
    usage: dict[str, Any] = next(
        (each["usage"] for each in (row, reply) if isinstance(each, dict) and each.get("usage")), {}
    )
    counts = {"in": ("prompt_tokens", "input_tokens"), "out": ("completion_tokens", "output_tokens")}
    tokens = {}
    for role, keys in counts.items():
        told = next((usage[key] for key in keys if usage.get(key) is not None), None)
        tokens[role] = number(row.get(columns[role][0]) if told is None and role in columns else told)
    return Call(
        line=place, start_s=start, end_s=end, input_tokens=tokens["in"], output_tokens=tokens["out"], messages=texts,
        output=reply_of(reply), names=() if session in (None, "") else (str(session),),
        why=why or ("" if texts else phrase("no text")),
    )  # fmt: skip


def _texts(row: Mapping[str, Any]) -> list[str]:
    """What was sent: the tools, then the messages, or the prompt."""
    holder = next((row[key] for key in _NESTED if isinstance(row.get(key), dict)), row)
    tools = [msgspec.json.encode(holder["tools"]).decode()] if holder.get("tools") else []
    said = next((messages_of(holder[key]) for key in TEXTS if holder.get(key)), [])
    return [*tools, *said] if said else []


def reply_of(response: Any) -> str:
    """What a reply says: of one in OpenAI's form its first choice."""
    if isinstance(response, dict) and isinstance(choices := response.get("choices"), list) and choices:
        first = choices[0] if isinstance(choices[0], dict) else {}
        return text_of(first.get("message") or first.get("text"))
    return "\n".join(messages_of(response))
