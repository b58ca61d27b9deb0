"""Calls of a log with what was said in them: who continued whom is seen by what they repeat."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.phrases import phrase
from loadcell.traces.follow import SLACK_S, joined, reduced
from loadcell.traces.model import Change, ragged
from loadcell.traces.settle import Draft

CHARS_A_TOKEN = 4
"""Of English text by the vocabularies of today; where a log tells no counts, texts are so counted."""


@dataclass(eq=False, kw_only=True)
class Call:
    """One call of a model; times in s, NaN where there is none."""

    line: int
    start_s: float
    end_s: float = np.nan
    input_tokens: float = np.nan
    output_tokens: float = np.nan
    messages: Sequence[str] = ()
    """What was said before, one after another; empty where the log has no text."""
    output: str = ""
    names: tuple[str, ...] = ()
    """Of its session, trace or conversation."""
    id: str = ""
    parent: str = ""
    """`id` of the call that it belongs to."""
    why: str = ""
    """What is broken about it."""


def text_of(message: Any) -> str:
    """What a message says: its text, its parts, its calls of tools and their results; "" where it says nothing."""
    if isinstance(message, str):
        return message
    if isinstance(message, list):
        return "\n".join(filter(None, map(text_of, message)))
    if not isinstance(message, dict):
        return "" if message is None else str(message)
    said = [
        text_of(message.get(key)) for key in ("content", "parts", "text", "reasoning_content", "response", "result")
    ]
    for key in ("tool_calls", "function_call", "function", "arguments", "image_url", "input_audio"):
        if message.get(key):
            said.append(msgspec.json.encode(message[key]).decode())
    if message.get("type") == "tool_call" and message.get("name"):
        said.append(str(message["name"]))
    return "\n".join(filter(None, said))


def messages_of(value: Any) -> list[str]:
    """The messages of a request, or of what a log writes for them: a list, its JSON, or a single text."""
    if isinstance(value, str):
        with suppress(msgspec.DecodeError):  # a prompt may begin like JSON
            value = msgspec.json.decode(value) if value.lstrip()[:1] in ("[", "{") else value
    each = value if isinstance(value, list) else [value]
    return [text for text in map(text_of, each) if text]


def draft_of(name: str, path: str, kind: str, calls: list[Call], *, time: str) -> Draft:
    """Calls as a draft of a trace in the order of their starts, with their sessions and what each waited for."""
    calls = sorted(calls, key=lambda call: (np.isnan(call.start_s), call.start_s))
    inputs, outputs, changes = _counted(name, calls)
    links = waited(calls)
    session = joined(links, [call.names for call in calls])
    ends = np.array([call.end_s for call in calls], np.float64)
    start = np.array([call.start_s for call in calls], np.float64)
    delay = np.array([max(0.0, start[i] - ends[mine].max()) if mine else np.nan for i, mine in enumerate(links)])
    together = len(np.unique(session)) < len(calls)
    return Draft(
        name=name, kind=kind, path=path, time=time, t_s=start, input_tokens=inputs,
        output_tokens=outputs, session=session if together else None, waits=ragged(links) if any(links) else None,
        delay_s=delay if any(links) else None, checked=False, changes=changes,
        places=lambda wanted: [calls[row].line for row in wanted],
        broken={row: call.why for row, call in enumerate(calls) if call.why},
    )  # fmt: skip


def _counted(name: str, calls: Sequence[Call]) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[Change, ...]]:
    """Tokens in and out; those that the log does not count by the length of its texts."""
    inputs = np.array([call.input_tokens for call in calls], np.float64)
    outputs = np.array([call.output_tokens for call in calls], np.float64)
    said = np.array([sum(map(len, call.messages)) for call in calls], np.float64)
    heard = np.array([len(call.output) for call in calls], np.float64)
    guessed = (np.isnan(inputs) & (said > 0)) | (np.isnan(outputs) & (heard > 0))
    for counts, chars in ((inputs, said), (outputs, heard)):
        lacks = np.isnan(counts) & (chars > 0)
        counts[lacks] = np.ceil(chars[lacks] / CHARS_A_TOKEN)
    if not (n := int(guessed.sum())):
        return inputs, outputs, ()
    return inputs, outputs, (by_text(n, name),)


def by_text(count: int, name: str) -> Change:
    """That tokens of so many requests were counted by the length of their texts."""
    words = phrase(
        "tokens of {:,} requests of {} are not told: {} characters of text were taken for one",
        count,
        name,
        CHARS_A_TOKEN,
    )
    return Change("guess", count, words)


def waited(calls: Sequence[Call]) -> list[list[int]]:
    """Calls, by number, that each must have waited for: none began before they ended, and each

    is its parent; or said, in the same session, what it has among its messages; or had all that its messages begin with
    (whatever the session). Those that others of them waited for are left out. `calls` are in the order of their starts.
    """
    spoken: dict[tuple[str, int], list[int]] = {}
    begun: dict[int, list[int]] = {}
    ids: dict[str, int] = {}
    waits: list[set[int]] = []
    for row, call in enumerate(calls):
        mine: set[int] = set()

        def over(others: Sequence[int], start: float = call.start_s) -> int | None:
            """The last of these that had ended."""
            return next((other for other in reversed(others) if calls[other].end_s <= start + SLACK_S), None)

        if call.parent in ids and (parent := over([ids[call.parent]])) is not None:
            mine.add(parent)
        node, last = 0, None
        for message in call.messages:
            node = hash((node, message))
            if (found := over(begun.get(node, ()))) is not None:
                last = found
            for name in call.names:
                if (found := over(spoken.get((name, hash(message)), ()))) is not None:
                    mine.add(found)
        if last is not None:
            mine.add(last)
        waits.append(mine)
        if call.id:
            ids[call.id] = row
        if call.output:
            for name in call.names:
                spoken.setdefault((name, hash(call.output)), []).append(row)
            if call.messages:
                begun.setdefault(hash((node, call.output)), []).append(row)
    return reduced(waits)
