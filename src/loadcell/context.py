"""What servers say of a request that is longer than the model's context, and how long it may be."""

from __future__ import annotations

import re
from typing import NamedTuple

_N = r"([\d,]*\d)"
_SAYS = re.compile(
    r"context[\s_-]+(?:length|window|size|limit)|maximum\s+(?:model|input|context)\s+length|max_model_len|n_ctx"
    r"|exceed_context_size|prompt\s+is\s+too\s+long|must\s+(?:be\s*<=|have\s+less\s+than)\s*\d",
    re.IGNORECASE,
)
_KINDS = ("http_400", "http_413", "http_422", "http_500", "stream_error")
_LIMIT = (
    rf"context\s+limit:\s*[\d,]+\s*\+\s*[\d,]+\s*>\s*{_N}",
    rf"(?:maximum|available|model's)\s+context\s+(?:length|size|window)\s+(?:is|of)\s+(?:only\s+)?{_N}",
    rf"context\s+(?:length|size|window)\s+is\s+only\s+{_N}",
    rf"context\s+(?:length|size|window)\s*\({_N}",
    rf"maximum\s+(?:model|input)\s+length\s*(?:of\s+|\(){_N}",
    rf"max_model_len\D{{0,20}}{_N}",
    rf"must\s+(?:be\s*<=|have\s+less\s+than)\s*{_N}",
    rf"tokens\s*>\s*{_N}\s+maximum",
    rf"n_ctx\D{{0,6}}{_N}",
    rf"context\s+(?:length|size|window|limit)[^\d.]{{0,24}}{_N}",
)
_INPUT = (
    rf"context\s+limit:\s*{_N}\s*\+",
    rf"{_N}\s+in\s+(?:the\s+messages|your\s+prompt|the\s+prompt)",
    rf"{_N}\s+(?:input\s+tokens|tokens\s+from\s+the\s+input|prompt\s+tokens)",
    rf"{_N}\s+`inputs`\s+tokens",
    rf"must\s+have\s+less\s+than\s*[\d,]+\s+tokens\.\s+Given:\s*{_N}",
    rf"prompt\s+is\s+too\s+long:\s*{_N}",
    rf"(?:input|request|prompt)\s*\((?:length\s+)?{_N}",
    rf"n_prompt_tokens\D{{0,4}}{_N}",
)
_OUTPUT = (
    rf"context\s+limit:\s*[\d,]+\s*\+\s*{_N}",
    rf"{_N}\s+(?:in|for)\s+the\s+completion",
    rf"{_N}\s+tokens\s+for\s+the\s+completion",
    rf"{_N}\s+(?:output\s+tokens|`max_new_tokens`)",
    rf"(?:max_tokens|max_completion_tokens)'?\s+is\s+too\s+large:\s*{_N}",
)
_TOTAL = (rf"(?:requested|resulted\s+in)\s+(?:a\s+total\s+of\s+)?{_N}\s+tokens(?!\s+in\b)",)


class TooLong(NamedTuple):
    """A request that was refused for its length, by its server's words, in tokens; None where they do not tell."""

    limit: int | None
    input: int | None
    output: int | None
    total: int | None


def told_too_long(kind: str, said: str) -> TooLong | None:
    """What a failure of this kind ("http_400") and with these words of the server tells of a request that is longer
    than the model's context; None where it is another failure."""
    if kind not in _KINDS or not _SAYS.search(said):
        return None
    limit, asked_in, asked_out, total = (_first(said, patterns) for patterns in (_LIMIT, _INPUT, _OUTPUT, _TOTAL))
    if total is None and asked_in is not None:
        total = asked_in + (asked_out or 0)
    return TooLong(limit, asked_in, asked_out, total)


def _first(said: str, patterns: tuple[str, ...]) -> int | None:
    for pattern in patterns:
        if found := re.search(pattern, said, re.IGNORECASE):
            return int(found[1].replace(",", ""))
    return None
