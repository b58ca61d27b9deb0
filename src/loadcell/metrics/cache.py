"""The hit share of the server's prefix cache: as planned, as replies report it, and as its page does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import numpy as np

from loadcell.metrics.model import Cache, Counters, HitShare
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.recording.exposition import read_samples
from loadcell.recording.read import Recording

_BLOCK = 16
"""Tokens of a block of vLLM's by default: what a prompt has beyond its whole blocks is never found."""
_BLOCK_TOLD = re.compile(r'^vllm:cache_config_info\{[^\n]*?[{,]block_size="(\d{1,6})"', re.MULTILINE)
"""Where its page tells them: 128 on a CPU, or as it was started."""
_READ_BY_LLAMACPP = "llamacpp:prompt_tokens_total"
"""Prompt tokens that it read: those that its cache had are not among them."""


def template_tokens(recording: Recording) -> int | None:
    """What the chat template has in every prompt; None where nobody counted it."""
    effective = recording.manifest.effective
    return effective.get("template_tokens") if effective.get("prompts_counted_by") in ("server", "spec") else None


def cache(recording: Recording, rows: Rows, ok: Mask, told: Counters | None) -> Cache | None:
    """What prompts share and what a cache had of them; None where nothing was planned, asked for or reported.

    `ok` are the ok requests of the window. Synthetic prompts of which nothing was planned share nothing.
    """
    spec = recording.spec
    synthetic = spec.workload.prompts is None and spec.workload.generates and not spec.media.any
    planned = not np.isnan(rows.shared).all()
    shared = rows.shared if planned else np.zeros(len(rows)) if synthetic else rows.shared
    reported = list(_reported(recording, rows, shared, ok, told))
    if not planned and spec.load.cache == "as-is" and not any(one.share for one in reported):
        return None
    tokens = _tokens(rows)
    known, block = ok & ~np.isnan(shared) & (tokens > 0), _block_tokens(recording)
    return Cache(
        state=spec.load.cache,
        intended_share=_share(shared, tokens, known),
        intended_in_blocks=_share(shared // block * block, tokens, known) if planned else None,
        block_tokens=block,
        reported=reported,
    )


def _block_tokens(recording: Recording) -> int:
    """Tokens of a block of the cache, by the server's page; else of vLLM's by default."""
    told = _BLOCK_TOLD.search(recording.prometheus[0]) if recording.prometheus else None
    return (told and int(told[1])) or _BLOCK


def _tokens(rows: Rows) -> Floats:
    """Prompt tokens of each, by the server or as planned."""
    return np.where(np.isnan(rows.prompt_tokens), rows.input_tokens, rows.prompt_tokens)


def _share(above: Floats, below: Floats, among: Mask) -> float | None:
    return float(above[among].sum() / below[among].sum()) if among.any() else None


def _reported(
    recording: Recording, rows: Rows, shared: Floats, ok: Mask, told: Counters | None
) -> Iterator[HitShare]:  # fmt: skip
    template, tokens = template_tokens(recording), _tokens(rows)
    told_of = ok & ~np.isnan(rows.cached_tokens) & (rows.prompt_tokens > 0)
    if told_of.any():
        share = float(rows.cached_tokens[told_of].sum() / rows.prompt_tokens[told_of].sum())
        beyond = np.maximum(rows.cached_tokens - (template or 0), 0.0)
        intended = None if np.isnan(shared[told_of]).any() else _share(shared, tokens, told_of)
        least = float(beyond[told_of].sum() / rows.prompt_tokens[told_of].sum())
        yield _hit_share("usage", int(np.count_nonzero(told_of)), share, least, intended)
    sent = rows.sent
    if told is None or told.restarted or not sent.any():
        return
    hits, queries = (told.gained.get(f"prefix_cache_{name}") for name in ("hits", "queries"))
    if hits is None or queries is None:
        hits, queries = _of_llamacpp(recording, rows)
    if hits is None or not queries:
        return
    intended = None if np.isnan(shared[sent]).any() else _share(shared, tokens, sent)
    least = max(0.0, hits - (template or 0) * int(np.count_nonzero(sent))) / queries
    yield _hit_share("page", int(np.count_nonzero(sent)), hits / queries, least, intended)


def _hit_share(
    source: Literal["usage", "page"], requests: int, share: float, least: float, intended: float | None
) -> HitShare:
    """A share, between which and the `least`, without the chat template, what was intended may lie."""
    apart = None if intended is None else max(0.0, least - intended) + min(0.0, share - intended)
    return HitShare(source=source, requests=requests, share=share, intended=intended, difference=apart)


def _of_llamacpp(recording: Recording, rows: Rows) -> tuple[float | None, float | None]:
    """(tokens that the cache of llama.cpp had, prompt tokens): what it did not read of what was sent."""
    if recording.prometheus is None or np.isnan(rows.prompt_tokens[rows.sent]).any():
        return None, None
    read = [
        sum(sample.value for sample in read_samples(text) if sample.name == _READ_BY_LLAMACPP)
        for text in recording.prometheus
        if _READ_BY_LLAMACPP in text
    ]
    if len(read) < 2:
        return None, None
    asked = float(rows.prompt_tokens[rows.sent].sum())
    return max(0.0, asked - (read[1] - read[0])), asked
