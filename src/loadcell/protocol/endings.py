"""Why a server ended its output: the reasons of an output that is whole, and those of one that was given up."""

from __future__ import annotations

from typing import Any

_FINISHED = frozenset(
    [
        "stop", "length", "tool_calls", "function_call", "content_filter", "tool_call", "tool_use", "eos", "eos_token",
        "eos_found", "end", "end_turn", "end_of_text", "end_of_sequence", "pause_turn", "stop_sequence", "stop_token",
        "stop_word", "stop_words", "stop_string", "stop_str", "max_tokens", "max_length", "max_new_tokens",
        "max_output_tokens", "max_completion_tokens", "max_tokens_reached", "max_predicted_tokens_reached",
        "token_limit", "model_length", "context_length", "context_length_exceeded", "context_window_exceeded",
        "model_context_window_exceeded", "complete", "completed", "done", "finished", "finish", "normal", "success",
        "true", "refusal", "safety", "sensitive", "recitation", "guardrail", "guardrails", "prohibited_content",
        "blocklist", "spii", "repetition",
    ]
)  # fmt: skip
"""Every reason that is taken for a whole output: what the API names, and what servers write in its place."""
_UNFINISHED = frozenset(
    ["", "0", "null", "none", "false", "not_finished", "unfinished", "in_progress", "finish_reason_unspecified"]
)
"""What servers write while the output goes on."""
_NAMES = ("type", "reason", "finish_reason", "kind", "name", "code")
"""Where an object that stands for a reason has its name."""
_WORDS = ("message", "error", "detail", "description", "err_msg")
_LONGEST = 300


def ending(told: Any) -> tuple[str | None, str | None]:
    """(reason, what went wrong) of a finish reason as a server writes it: a string, an object or anything else.

    Without a reason the output goes on; with words it was given up, in the server's own.
    """
    words = ""
    if isinstance(told, dict):
        words = next((text for name in _WORDS if (text := _text(told.get(name)))), "")
        named = next((text for name in _NAMES if (text := _text(told.get(name)))), "")
        told = named or words
    shown = _text(told)
    name = _snake(shown)
    if name in _UNFINISHED:
        return None, None
    if name in _FINISHED:
        return name, None
    said = f"{shown}: {words}" if words and words != shown else shown
    return name[:_LONGEST], f"the server gave its output up: finish_reason {said[:_LONGEST]}"


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
