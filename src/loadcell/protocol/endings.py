"""Why a server ended its output: the reasons of an output that is whole, and those of one that was given up."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from loadcell.phrases import phrase

_ENDS = frozenset(
    [
        "stop", "stopped", "end", "ended", "eos", "eot", "eom", "eoseq", "length", "len", "limit", "token", "tokens",
        "window", "complete", "completed", "done", "finished", "finish", "final", "normal", "success", "ok", "true",
        "tool", "tools", "function", "filter", "filtered", "refusal", "safety", "sensitive", "recitation", "guardrail",
        "guardrails", "prohibited", "blocklist", "spii", "repetition", "pause", "word", "1",
    ]
)  # fmt: skip
"""Every word that tells of a whole output: what the API names, and what servers write in its place."""
_BESIDE = frozenset(
    [
        "of", "text", "sequence", "sequences", "seq", "turn", "words", "string", "str", "id", "ids", "found",
        "hit", "max", "maximum", "new", "output", "completion", "reached", "predicted", "model", "context", "exceeded",
        "call", "calls", "use", "content", "criteria", "im",
    ]
)  # fmt: skip
"""Words that stand beside those and tell of nothing else."""
LIMIT = frozenset(["length", "max_tokens", "max_output_tokens", "limit"])
"""The reasons by which an API says that all tokens which were asked for were made."""
_LEADS = ("finish_reason_", "finish_type_", "finish_", "stop_reason_")
"""What stands before the reason where a server writes the names of its code."""
_UNFINISHED = frozenset(
    [
        "", "0", "null", "none", "nil", "false", "n/a", "na", "undefined", "unspecified", "not_finished", "unfinished",
        "in_progress", "running", "generating", "streaming", "continue", "pending",
    ]
)  # fmt: skip
"""What servers write while the output goes on."""
_NAMES = ("type", "reason", "finish_reason", "kind", "name", "code", "value")
"""Where an object that stands for a reason has its name."""
_WORDS = ("message", "error", "detail", "description", "err_msg")
_LONGEST = 300


def ending(told: Any) -> tuple[str | None, str | None]:
    """(reason, what went wrong) of a finish reason as a server writes it: a string, an object or anything else.

    Without a reason the output goes on; with words it was given up, in the server's own.
    """
    return _ending_of(told) if isinstance(told, str) else _ending(told)


def _ending(told: Any) -> tuple[str | None, str | None]:
    words = ""
    if isinstance(told, list) and len(told) == 1:
        told = told[0]
    while isinstance(told, dict) and isinstance(inner := next((told[n] for n in _NAMES if told.get(n)), None), dict):
        told = inner
    if isinstance(told, dict):
        words = next((text for name in _WORDS if (text := _text(told.get(name)))), "")
        named = next((text for name in _NAMES if (text := _text(told.get(name)))), "")
        told = named or words or _only_key(told)
    shown = _text(told)
    name = _snake(shown)
    lead = next((lead for lead in _LEADS if name.startswith(lead)), "")
    name = name.removeprefix(lead)
    if name in _UNFINISHED:
        return None, None
    if _is_finished(name):
        return name, None
    said = f"{shown}: {words}" if words and words != shown else shown
    return name[:_LONGEST], phrase("the server gave its output up: finish_reason {}", said[:_LONGEST])


_ending_of = lru_cache(maxsize=256)(_ending)
"""Of a string: every reply of a load ends in one of a few."""


def _is_finished(name: str) -> bool:
    """Whether all words of a reason are of the lists, one of them of an end."""
    words = {word for word in re.split(r"[^a-z0-9]+", name) if word}
    return bool(words & _ENDS) and words <= _ENDS | _BESIDE


def _only_key(told: dict[str, Any]) -> str:
    """The name of a variant that an object with one key stands for: {"Length": 10}."""
    return next((str(key) for key, value in told.items() if value or value == 0), "") if len(told) == 1 else ""


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = next((text for name in _WORDS if (text := _text(value.get(name)))), "")
    if value is None or value is False or isinstance(value, list):
        return ""
    return "true" if value is True else " ".join(str(value).split())


def _snake(text: str) -> str:
    """The name in one spelling: MAX_TOKENS, maxTokens, max-tokens and "max tokens" are one."""
    if text.isupper() or text.islower():
        return text.lower().replace("-", "_").replace(" ", "_")
    spaced = "".join(f"_{c}" if c.isupper() else c for c in text).lower()
    return spaced.replace("-", "_").replace(" ", "_").replace("__", "_").strip("_")
