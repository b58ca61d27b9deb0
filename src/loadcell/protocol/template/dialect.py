"""The dialect that a template describes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from loadcell.api_template import Template
from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.protocol.asking import without_ignore_eos
from loadcell.protocol.dialect import Dialect, Form, Prompt, hear_each
from loadcell.protocol.template.finding import ANY, Finder, finder, finders, mark_of, reader, text_alone_differs
from loadcell.protocol.template.missing import missed
from loadcell.protocol.template.rendering import Part, body_of, body_part, check_body, headers_of
from loadcell.protocol.values import NOT_JSON

_COSTS = 16
"""What an event costs by JMESPath, in events of chat; about."""


def dialect_from(template: Template) -> Dialect:
    """The dialect that a template describes; UsageError says what of it cannot be."""
    name, models = template.name, template.models
    events = dict(finders(name, "event", template.event))
    replies = events | dict(finders(name, "reply", template.reply))
    events = events if "text" in events else replies
    body, end = body_part(template), _end_of(template, events.get("done"), events.get("finish_reason"))
    names = None if models is None else finder(name, "models.names", models.names)
    strict = template.end_mark is not None or "done" in events

    def prefix(model: str, stream: bool, form: Form, extra: Mapping[str, Any]) -> bytes:
        if stream and end is None:
            raise UsageError(
                f"{name}: nothing tells the end of a stream: give event.done, event.finish_reason or end_mark "
                "(or --no-stream)"
            )
        return msgspec.json.encode(
            {"model": model, "stream": stream, "ignore_eos": form.ignore_eos, "extra": dict(extra)}
        )

    def not_found(payloads: list[bytes], streamed: bool, ended: bool | None) -> tuple[list[str], list[str]]:
        return missed(name, events if streamed else replies, end if streamed else None, payloads, ended)

    return Dialect(
        path=template.path,
        paths=(template.path,),
        base="",
        talks=template.messages,
        form=Form(ignore_eos="ignore_eos" in body.used, usage=False),
        prefix=prefix,
        body=lambda start, prompt, most, _: _body(body, template.messages, start, prompt, most),
        without=without_ignore_eos,
        refused=lambda extra: _refused(body, template, extra),
        hear=hear_each(reader(events)),
        whole=reader(replies),
        is_end=lambda payload: payload.decode("utf-8", "replace") == template.end_mark,
        mark=mark_of(template.end_mark, events.get("done")),
        ends=end[1] if end and strict else "an end mark",
        strict=strict,
        alike=text_alone_differs(events),
        costs=_COSTS,
        holds=f"{events['text'].key} ({events['text'].text})",
        missed=not_found,
        models="" if models is None else models.path,
        listed=lambda page: None if names is None else _listed(names, page),
        headers=headers_of(template),
    )


def _end_of(template: Template, done: Finder | None, finish: Finder | None) -> tuple[str, str] | None:
    """What tells the end of a stream: its key, and how it is written."""
    if template.end_mark is not None:
        return "end_mark", template.end_mark
    found = done or finish
    return None if found is None else (found.key, found.text)


def _body(part: Part, talks: bool, start: bytes, prompt: Prompt, most: int) -> bytes:
    given = _given(start)
    name, own = "messages" if talks else "prompt", dict[str, Any]()
    if isinstance(prompt, bytes):
        own = msgspec.json.decode(prompt)
        asked = own.pop(name)
    else:
        asked = [{"role": "user", "content": prompt}] if talks else prompt
    extra = {**given["extra"], **own}
    values = {**given, "extra": extra, "max_tokens": most, name: asked}
    return body_of(part, values, {} if "extra" in part.used else extra)


@lru_cache(maxsize=8)
def _given(start: bytes) -> dict[str, Any]:
    """What all bodies of a run share."""
    found: dict[str, Any] = msgspec.json.decode(start)
    return found


def _refused(part: Part, template: Template, extra: Mapping[str, Any]) -> str | None:
    """What makes further fields ones that the template cannot place."""
    try:
        check_body(part, template, extra if "extra" in part.used else {})
    except UsageError as error:
        return phrase("does not go with {}", error)
    return None


def _listed(names: Finder, page: bytes) -> list[str] | None:
    try:
        found = names.find(ANY.decode(page))
    except NOT_JSON:
        return None
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else None
