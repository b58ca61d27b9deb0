"""How the server counts the tokens of a prompt, learnt before the load: its chat template's part and its tokenizer's.

Two probes tell it: the small one that every run sends, and one with each word of the synthetic prompts once. From the
usage of both follow the template (an offset) and the server's tokens for one of ours (a ratio). Prompts are then
planned in the server's tokens: N of them are (N - offset) / ratio of the tokenizer's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from loadcell.load.preflight import (
    PROBE_PROMPT,
    PROBE_SYSTEM,
    PROBE_SYSTEM_TOKENS,
    PROBE_TOKENS,
    Endpoint,
    says_system,
)
from loadcell.phrases import phrase
from loadcell.protocol import dialect_of
from loadcell.protocol.said import Said
from loadcell.spec import Spec
from loadcell.workload import Vocabulary

_LEAST_RATIO, _MOST_RATIO = 0.9, 20.0
"""Server's tokens a word that can be: a word is one token at least, and hardly more than its characters."""


class PromptCount(NamedTuple):
    """How prompts are counted. `by` is who says so: "server" (learnt from its usage), "spec" (asked for) or
    "tokenizer" (the spec's, for the reason in `why`)."""

    template_tokens: int
    token_ratio: float
    by: str
    why: str | None = None


Ask = Callable[[str, str], Said | str]
"""Sends a prompt, with what that is in words, and returns the reply; or why there is none."""


def count_prompts(spec: Spec, found: Endpoint, words: Vocabulary, ask: Ask) -> PromptCount:
    """How the server counts prompts of `words`. What the spec says is not asked for; a server that does not tell, or
    tells what cannot be, leaves the counting to the tokenizer: nothing here fails a run."""
    asked = spec.workload
    if asked.template_tokens is not None and asked.token_ratio is not None:
        return PromptCount(asked.template_tokens, asked.token_ratio, "spec")
    learnt = _learn(spec, found, words, ask)
    if isinstance(learnt, str):
        given = (asked.template_tokens, asked.token_ratio) != (None, None)
        by = "spec" if given else "tokenizer"
        return PromptCount(asked.template_tokens or 0, asked.token_ratio or 1.0, by, learnt)
    return PromptCount(*learnt, "server")


def counted(spec: Spec, count: PromptCount) -> Spec:
    """The Spec with how prompts are counted, so that it gives the same prompts again."""
    workload = msgspec.structs.replace(
        spec.workload, template_tokens=count.template_tokens, token_ratio=count.token_ratio
    )
    return msgspec.structs.replace(spec, workload=workload)


def _learn(spec: Spec, found: Endpoint, words: Vocabulary, ask: Ask) -> tuple[int, float] | str:
    """(template's tokens, server's tokens a word), or why they are not known."""
    small = found.probe_tokens
    if not small:
        return found.no_usage
    known = spec.workload.template_tokens
    ours = PROBE_TOKENS if words.tokenizer.packaged else words.tokenizer.count(PROBE_PROMPT)
    system = 0
    if says_system(spec):
        system = PROBE_SYSTEM_TOKENS if words.tokenizer.packaged else words.tokenizer.count(PROBE_SYSTEM)
    query = min(ours, small // 2) if dialect_of(spec.endpoint.api).query else 0  # read with each document
    template = max(0, small - query - ours - system) if known is None else known
    if spec.workload.token_ratio is not None:
        return template, spec.workload.token_ratio
    reply = ask(words.probe, phrase("a second probe of {} words", words.probe_words))
    if isinstance(reply, str):
        return reply
    if reply.usage is None or not reply.usage.prompt_tokens:
        return found.no_usage
    large = reply.usage.prompt_tokens
    ratio = (large - template - query - system) / words.probe_words
    if not _LEAST_RATIO <= ratio <= _MOST_RATIO:
        return phrase(
            "its usage tells {} prompt tokens for a probe, and {} for one of {} words", small, large, words.probe_words
        )
    return template, round(ratio, 6)
