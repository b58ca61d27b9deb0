"""Request bodies: what those of several APIs have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from loadcell.phrases import phrase
from loadcell.protocol.dialect import Form

_IGNORE_EOS = "ignore_eos"


def begun(fields: dict[str, Any], form: Form, extra: Mapping[str, Any], own: set[str]) -> bytes:
    """The JSON object of a body up to its per-request fields, those named in `own`; without the closing brace."""
    if not fields.get("model", True):  # the path names it
        del fields["model"]
    if form.ignore_eos:
        fields[_IGNORE_EOS] = True
    # Fields that differ by request stand after these; JSON readers take the last of equal keys, so drop them here.
    fields |= {key: value for key, value in extra.items() if key not in own and key != form.max_tokens_field}
    return msgspec.json.encode(fields)[:-1]


def ended(prefix: bytes, asked: bytes, max_tokens: int, max_tokens_field: str) -> bytes:
    """The body that goes on with a request's own fields, which stand without their braces."""
    return b'%b,"%b":%d,%b}' % (prefix, max_tokens_field.encode(), max_tokens, asked)


def ended_own(
    prefix: bytes, own: bytes, max_tokens: int, max_tokens_field: str, may: tuple[str, ...] = (_IGNORE_EOS,)
) -> bytes:
    """Likewise with these as an object; `may` names fields of the prefix that a request may have too."""
    asked = own[1:-1]
    for name in may:
        key = b'"%b":' % name.encode()
        if key in asked and key in prefix:  # an object must not say the same twice
            prefix = _without(prefix, asked, name)
    return ended(prefix, asked, max_tokens, max_tokens_field)


def _without(prefix: bytes, own: bytes, name: str) -> bytes:
    """The prefix without one of its fields, where a request has it."""
    if name not in msgspec.json.decode(b"{%b}" % own):
        return prefix
    fields = msgspec.json.decode(prefix + b"}")
    fields.pop(name, None)
    return msgspec.json.encode(fields)[:-1]


def without_ignore_eos(form: Form, said: str, insist: bool) -> tuple[Form, str | None] | None:
    """`Dialect.without` of an API whose one optional field is `ignore_eos`."""
    if _IGNORE_EOS in said and form.ignore_eos and not insist:
        return form._replace(ignore_eos=False), phrase(
            "the server refuses ignore_eos: outputs may be shorter than asked"
        )
    return None
