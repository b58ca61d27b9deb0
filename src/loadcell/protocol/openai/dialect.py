"""Their dialects: what their requests are, and what a server that refuses an optional field is sent instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from loadcell.phrases import phrase
from loadcell.protocol.dialect import Dialect, Form, Prompt
from loadcell.protocol.openai.hear import hear, whole
from loadcell.protocol.refusal import knows_no_field

_IGNORE_EOS = b'"ignore_eos":'
_MARK = b"[DONE]"


def body_prefix(model: str, stream: bool, form: Form, extra: Mapping[str, Any]) -> bytes:
    """The JSON object of a body up to its per-request fields, without the closing brace."""
    fields: dict[str, Any] = {"model": model, "stream": stream}
    if stream and form.usage:
        fields["stream_options"] = {"include_usage": True}
    if form.ignore_eos:
        fields["ignore_eos"] = True
    # Fields that differ by request stand after these; JSON readers take the last of equal keys, so drop them here.
    own = {"messages", "prompt", form.max_tokens_field}
    fields |= {key: value for key, value in extra.items() if key not in own}
    return msgspec.json.encode(fields)[:-1]


def chat_body(prefix: bytes, prompt: Prompt, max_tokens: int, max_tokens_field: str = "max_tokens") -> bytes:
    """One request body. A text becomes one user message; fields of its own pass as they are."""
    if isinstance(prompt, bytes):
        return _own_body(prefix, prompt, max_tokens, max_tokens_field)
    text = msgspec.json.encode(prompt)
    asked = b'"messages":[{"role":"user","content":' + text + b"}]"
    return b'%b,"%b":%d,%b}' % (prefix, max_tokens_field.encode(), max_tokens, asked)


def completions_body(prefix: bytes, prompt: Prompt, max_tokens: int, max_tokens_field: str = "max_tokens") -> bytes:
    """Likewise, with the text as it is."""
    if isinstance(prompt, bytes):
        return _own_body(prefix, prompt, max_tokens, max_tokens_field)
    return b'%b,"%b":%d,"prompt":%b}' % (prefix, max_tokens_field.encode(), max_tokens, msgspec.json.encode(prompt))


def _own_body(prefix: bytes, own: bytes, max_tokens: int, max_tokens_field: str) -> bytes:
    asked = own[1:-1]
    if _IGNORE_EOS in asked and _IGNORE_EOS in prefix:  # an object must not say the same twice
        prefix = _without_ignore_eos(prefix, asked)
    return b'%b,"%b":%d,%b}' % (prefix, max_tokens_field.encode(), max_tokens, asked)


def _without_ignore_eos(prefix: bytes, own: bytes) -> bytes:
    """The prefix without the one of its fields that a request may have too, where it has."""
    if "ignore_eos" not in msgspec.json.decode(b"{%b}" % own):
        return prefix
    fields = msgspec.json.decode(prefix + b"}")
    del fields["ignore_eos"]
    return msgspec.json.encode(fields)[:-1]


def _without(form: Form, said: str, insist: bool) -> tuple[Form, str | None] | None:
    """The form without the optional field that a refusal names, or with its other name; None if none may go."""
    if "ignore_eos" in said and form.ignore_eos and not insist:
        return form._replace(ignore_eos=False), phrase(
            "the server refuses ignore_eos: outputs may be shorter than asked"
        )
    if "stream_options" in said and form.usage:
        return form._replace(usage=False), phrase("the server refuses stream_options: it sends no usage")
    if form.max_tokens_field == "max_tokens" and (
        "max_completion_tokens" in said or (re.search(r"\bmax_tokens\b", said) and knows_no_field(said))
    ):
        return form._replace(max_tokens_field="max_completion_tokens"), None
    return None


def _is_end(payload: bytes) -> bool:
    """Whether it is the end mark, in any spelling."""
    return payload.strip(b'"[] \n').upper() == b"DONE"


_dialect = partial(
    Dialect,
    paths=("/chat/completions", "/completions"),
    form=Form(ignore_eos=True),
    prefix=body_prefix,
    without=_without,
    hear=hear,
    whole=whole,
    is_end=_is_end,
    mark=_MARK,
    ends=_MARK.decode(),
    holds="choices",
)
CHAT = _dialect(path="/chat/completions", talks=True, body=chat_body)
COMPLETIONS = _dialect(path="/completions", talks=False, body=completions_body)
