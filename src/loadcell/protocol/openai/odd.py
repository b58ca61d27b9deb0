"""Events that are not typed as the API says: what is needed is taken where it can be, and the rest left.

The typed decoder comes first, this after it: what a server that keeps to the API sends never gets here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from loadcell.protocol.endings import ending
from loadcell.protocol.openai.events import (
    Choice,
    CompletionDetails,
    Delta,
    Event,
    PromptDetails,
    Usage,
)
from loadcell.protocol.values import ABSENT, FAILED, NO_TEXT, NOT_JSON, as_count, as_integer, lenient

_EVENT = msgspec.json.Decoder(Event)
_ANSWERS = ("content", "text", "refusal")
_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details", "thoughts")
"""Fields that hold the same text where a server writes several: the first that holds any counts."""
_LABELS = frozenset(
    [
        "role", "type", "name", "index", "object", "format", "signature", "thought_signature", "status", "model",
        "mime_type", "mimetype", "media_type", "cache_control", "finish_reason", "stop_reason", "expires_at",
        "created", "created_at", "provider", "usage", "error",
    ]
)  # fmt: skip
"""Strings that are never output."""
_MESSAGES = frozenset(["message", "msg", "detail", "title"])
_NO_ERROR = frozenset(["", "0", "200", "null", "none", "no", "false", "ok", "success", "no error"])
"""What says that nothing is wrong."""
_KNOWN = frozenset(_THOUGHTS) | {"name"} | (frozenset(Delta.__struct_fields__) - {"audio", "annotations"})
_KNOWN_OF_CHOICE = _KNOWN | frozenset(Choice.__struct_fields__)


class OddChoice(Choice):
    """A choice with text in fields that are not known to hold output, by their path."""

    others: dict[str, str] = {}


def decode_event(payload: bytes) -> Event:
    """The event in a payload; one of NOT_JSON else. NaN and infinities, which some servers write, count as null."""
    try:
        return _EVENT.decode(payload)
    except NOT_JSON:
        return _odd_event(payload)


def tells_error(payload: bytes) -> bool:
    """Whether an event without choices and usage is an error that does not stand under that name."""
    try:
        found: Any = json.loads(payload)
    except NOT_JSON:
        return False
    if any(str(found.get(name)).lower().endswith(FAILED) for name in ("type", "status", "event", "state")):
        return True
    if any(found.get(name) is False for name in ("success", "ok")):
        return True
    if any(name.lower().startswith("err") and _says_error(value) for name, value in found.items()):
        return True
    return any(found.get(name) for name in _MESSAGES) and (
        any(_is_error_code(found.get(name)) for name in ("code", "status", "status_code")) or found.keys() <= _MESSAGES
    )


def is_error(raw: msgspec.Raw) -> bool:
    """Whether a field named error tells of one: some servers write it in every event, with nothing in it."""
    try:
        return _says_error(json.loads(bytes(raw)))
    except NOT_JSON:
        return True


def _says_error(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_says_error, value.values()))
    if isinstance(value, list):
        return any(map(_says_error, value))
    return bool(value) and str(value).strip().lower() not in _NO_ERROR


def _is_error_code(code: Any) -> bool:
    """A status of HTTP from 400 on, or a name: "InternalError"."""
    if isinstance(code, str) and not code.isdigit():
        return code.strip().lower() not in _NO_ERROR
    number = as_integer(code)
    return number is not None and number >= 400


def _odd_event(payload: bytes) -> Event:
    found: Any = lenient(payload)
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    choices = found.get("choices") or None
    if isinstance(choices, dict):  # one that stands alone, or several by index
        choices = [choices] if choices.keys() & {"delta", "message", "text"} else list(choices.values())
    if choices is not None and not isinstance(choices, list):
        raise ValueError(f"choices is {choices!r:.50}")
    kind = found.get("object")
    return Event(
        object=kind if isinstance(kind, str) else None,
        choices=[_choice(choice) for choice in choices or () if isinstance(choice, dict)],
        usage=_usage(found.get("usage")),
        timings=_raw(found, "timings"),
        metrics=_raw(found, "metrics"),
        error=_raw(found, "error"),
    )


def _choice(found: dict[str, Any]) -> Choice:
    index, ids = found.get("index"), found.get("token_ids")
    delta, message = (_delta(found.get(name)) for name in ("delta", "message"))
    text, thought = _split(found.get("text") or (None if delta or message else found.get("content")))
    holders: list[dict[str, Any]] = [
        holder for name in ("delta", "message") if isinstance(holder := found.get(name), dict)
    ]
    others = {path: text for holder in holders for path, text in _others(holder, _KNOWN)}
    if not holders:
        others = dict(_others(found, _KNOWN_OF_CHOICE))
    thought = thought or _thought(found)  # beside the delta
    if thought and (delta is None or not (delta.content or delta.reasoning)):
        delta = Delta(content=text or None, reasoning=thought)
    whole = next((reason for one in (found, *holders) if (reason := one.get("finish_reason"))), None)
    error = next((error for one in (found, *holders) if _says_error(error := one.get("error"))), None)
    if error is not None:
        whole = {"type": whole if isinstance(whole, str) and ending(whole)[1] else "error", "error": error}
    return OddChoice(
        index=as_integer(index),
        delta=delta,
        message=message,
        text=text or None,
        finish_reason=whole if isinstance(whole, (str, dict)) else json.dumps(whole) if whole else None,
        logprobs=_raw(found, "logprobs"),
        token_ids=ids if isinstance(ids, list) and all(type(i) is int for i in ids) else None,
        others=others,
    )


def _delta(found: Any) -> Delta | None:
    if isinstance(found, (str, list)):
        found = {"content": found}
    if not isinstance(found, dict):
        return None
    answer = thought = ""
    for name in _ANSWERS:
        text, thoughts = _split(found.get(name))
        answer, thought = answer or text, thought or thoughts
    return Delta(
        content=answer or None,
        reasoning=_thought(found) or thought or None,
        tool_calls=_raw(found, "tool_calls"),
        function_call=_raw(found, "function_call"),
    )


def _thought(found: dict[str, Any]) -> str:
    return next((text for name in _THOUGHTS if (text := "".join(_split(found.get(name))))), "")


def _others(found: dict[str, Any], known: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Text in the fields of a delta that are not known, by path."""
    for name, value in found.items():
        if name not in known:
            yield from _leaves(name, value)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    name = path.rpartition(".")[2]
    if name in _LABELS or name == "id" or name.endswith(("_id", "Id")):
        return
    if isinstance(value, str) and value:
        yield path, _clean(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner)
    elif isinstance(value, list):
        texts: dict[str, str] = {}
        for inner in value:
            for found, text in _leaves(path, inner):
                texts[found] = texts.get(found, "") + text
        yield from texts.items()


def _split(value: Any, thought: bool = False) -> tuple[str, str]:
    """(answer, thought) in a string, in a list of parts, or in a part."""
    if isinstance(value, str):
        return ("", _clean(value)) if thought else (_clean(value), "")
    if type(value) in (int, float):
        return ("", str(value)) if thought else (str(value), "")
    parts: list[tuple[str, str]] = []
    if isinstance(value, list):
        parts = [_split(part, thought) for part in value if not isinstance(part, (int, float))]
    elif isinstance(value, dict):
        thought = thought or _is_thought(str(value.get("type") or ""))
        parts = [
            _split(inner, thought or _is_thought(key))
            for key, inner in value.items()
            if not isinstance(inner, (int, float)) and key not in _LABELS and not key.endswith("id")
            if key not in NO_TEXT
        ]
    return "".join(answer for answer, _ in parts), "".join(other for _, other in parts)


def _is_thought(name: str) -> bool:
    return any(word in name for word in ("reason", "think", "thought"))


def _usage(found: Any) -> Usage | None:
    if not isinstance(found, dict):
        return None
    prompt, completion = (found.get(f"{name}_tokens_details") for name in ("prompt", "completion"))
    return Usage(
        prompt_tokens=as_count(found.get("prompt_tokens")),
        completion_tokens=as_count(found.get("completion_tokens")),
        prompt_tokens_details=PromptDetails(as_count(prompt.get("cached_tokens")))
        if isinstance(prompt, dict)
        else None,
        completion_tokens_details=CompletionDetails(as_count(completion.get("reasoning_tokens")))
        if isinstance(completion, dict)
        else None,
    )


def _raw(found: dict[str, Any], name: str) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(found[name]).encode()) if found.get(name) is not None else ABSENT


def _clean(text: str) -> str:
    """The text without halves of characters, which cannot be written."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
