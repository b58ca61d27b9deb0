"""Request bodies whose settings stand in an object of their own, as several engines want them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from loadcell.phrases import phrase
from loadcell.protocol.dialect import Form

_IGNORE_EOS = "ignore_eos"


def begun_nested(fields: dict[str, Any], nest: str, form: Form, extra: Mapping[str, Any], own: set[str]) -> bytes:
    """A body up to its per-request fields, those named in `own`. Its settings, the object `nest`, stand last and open:
    what a body goes on with are their last ones."""
    settings = {_IGNORE_EOS: True} if form.ignore_eos else {}
    settings |= {key: value for key, value in extra.get(nest, {}).items() if key != form.max_tokens_field}
    fields |= {key: value for key, value in extra.items() if key not in own and key != nest}
    parts = [msgspec.json.encode(fields)[1:-1], b'"%b":{' % nest.encode()]
    begin = b"{" + b",".join(filter(None, parts))
    return begin + msgspec.json.encode(settings)[1:-1] + b"," if settings else begin


def ended_nested(prefix: bytes, asked: bytes, most: int, field: str) -> bytes:
    """The body that goes on with the most output tokens and what is asked, which stands without its braces."""
    return b'%b"%b":%d},%b}' % (prefix, field.encode(), most, asked)


def own_nested(prefix: bytes, own: dict[str, Any], most: int, field: str, nest: str, beside: frozenset[str]) -> bytes:
    """Likewise with a request's own fields: those named in `beside` stand beside the settings, all others are some.

    What the run says goes before them, but for `ignore_eos`.
    """
    fields: dict[str, Any] = msgspec.json.decode(b'%b"%b":%d}}' % (prefix, field.encode(), most))
    settings = {key: value for key, value in own.items() if key not in beside} | fields[nest]
    if _IGNORE_EOS in own:
        settings[_IGNORE_EOS] = own[_IGNORE_EOS]
    fields = {key: value for key, value in own.items() if key in beside} | fields
    return msgspec.json.encode(fields | {nest: settings})


def several(settings: Mapping[str, Any], names: tuple[str, ...], nest: str = "") -> str | None:
    """Why no load can have such settings: one of these names asks for more than one output."""
    for name in names:
        asked = settings.get(name)
        if asked is not None and (asked is True or asked != 1):
            return phrase(
                "asks for several outputs ({}: {}): one output a request is measured; leave it out and send more "
                "requests",
                f"{nest}.{name}" if nest else name,
                asked,
            )
    return None


def refused_nested(nest: str, names: tuple[str, ...] = ()) -> Callable[[Mapping[str, Any]], str | None]:
    """`Dialect.refused` of an API with settings in an object."""

    def refused(extra: Mapping[str, Any]) -> str | None:
        settings = extra.get(nest, {})
        if not isinstance(settings, Mapping):
            return phrase("has {}, which must be an object", nest)
        return several(settings, names, nest)

    return refused
