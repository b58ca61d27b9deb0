"""Their dialects: what their requests are, and what a server that refuses an optional field is sent instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from loadcell.core.tape import TOLD, WHOLE
from loadcell.phrases import phrase
from loadcell.protocol.asking import begun, ended, ended_own, without_ignore_eos
from loadcell.protocol.dialect import Dialect, Form, Prompt
from loadcell.protocol.openai.hear import hear, whole
from loadcell.protocol.refusal import knows_no_field
from loadcell.protocol.values import is_done

_MARK = b"[DONE]"


def body_prefix(model: str, stream: bool, form: Form, extra: Mapping[str, Any]) -> bytes:
    """The JSON object of a body up to its per-request fields, without the closing brace."""
    fields: dict[str, Any] = {"model": model, "stream": stream}
    if stream and form.usage:
        fields["stream_options"] = {"include_usage": True}
    return begun(fields, form, extra, {"messages", "prompt"})


def chat_body(prefix: bytes, prompt: Prompt, max_tokens: int, max_tokens_field: str = "max_tokens") -> bytes:
    """One request body. A text becomes one user message; fields of its own pass as they are."""
    if isinstance(prompt, bytes):
        return ended_own(prefix, prompt, max_tokens, max_tokens_field)
    asked = b'"messages":[{"role":"user","content":' + msgspec.json.encode(prompt) + b"}]"
    return ended(prefix, asked, max_tokens, max_tokens_field)


def completions_body(prefix: bytes, prompt: Prompt, max_tokens: int, max_tokens_field: str = "max_tokens") -> bytes:
    """Likewise, with the text as it is."""
    if isinstance(prompt, bytes):
        return ended_own(prefix, prompt, max_tokens, max_tokens_field)
    return ended(prefix, b'"prompt":' + msgspec.json.encode(prompt), max_tokens, max_tokens_field)


def _without(form: Form, said: str, insist: bool) -> tuple[Form, str | None] | None:
    """The form without the optional field that a refusal names, or with its other name; None if none may go."""
    if (longer := without_ignore_eos(form, said, insist)) is not None:
        return longer
    if "stream_options" in said and form.usage:
        return form._replace(usage=False), phrase("the server refuses stream_options: it sends no usage")
    if form.max_tokens_field == "max_tokens" and (
        "max_completion_tokens" in said or (re.search(r"\bmax_tokens\b", said) and knows_no_field(said))
    ):
        return form._replace(max_tokens_field="max_completion_tokens"), None
    return None


_dialect = partial(
    Dialect,
    paths=("/chat/completions", "/completions"),
    form=Form(ignore_eos=True),
    differs=((b"created", WHOLE), (b"completion_tokens", TOLD), (b"total_tokens", WHOLE)),
    prefix=body_prefix,
    without=_without,
    hear=hear,
    whole=whole,
    is_end=is_done,
    mark=_MARK,
    ends=_MARK.decode(),
    holds="choices",
)
CHAT = _dialect(path="/chat/completions", talks=True, body=chat_body)
COMPLETIONS = _dialect(path="/completions", talks=False, body=completions_body)
