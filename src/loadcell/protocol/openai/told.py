"""What a server tells of its own times. Its figures are not trusted: what cannot be is as if it was not told."""

from __future__ import annotations

from typing import Any

import msgspec

from loadcell.protocol.dialect import AS_BEFORE, Drafted, Running, ServerTimes, Told
from loadcell.protocol.values import ABSENT, MOST_TOKENS, NOT_JSON, as_ns, present

_MS = 1e6


class _Timings(msgspec.Struct, gc=False):
    """llama.cpp's `timings`, as they come; with `timings_per_token` in every event, running along."""

    predicted_n: Any = None
    cache_n: Any = None
    prompt_ms: Any = None
    predicted_ms: Any = None
    draft_n: Any = None
    draft_n_accepted: Any = None


class _Drafts(msgspec.Struct, gc=False):
    """vLLM's `metrics.speculative_decoding` (server flag --per-request-spec-decode-metrics; docs.vllm.ai, "Per-Request
    Acceptance Metrics")."""

    num_spec_steps: Any = None
    num_draft_tokens: Any = None
    num_accepted_draft_tokens: Any = None


class _Metrics(msgspec.Struct, gc=False):
    """vLLM's `metrics` (server flag --enable-per-request-metrics), as they come, in the event with the usage.

    Time to first token counts from the end of the queue (docs.vllm.ai, "Per-Request Metrics").
    """

    queue_time_ms: Any = None
    time_to_first_token_ms: Any = None
    generation_time_ms: Any = None
    speculative_decoding: msgspec.Raw = ABSENT


_TIMINGS = msgspec.json.Decoder(_Timings)
_METRICS = msgspec.json.Decoder(_Metrics)
_DRAFTS = msgspec.json.Decoder(_Drafts)


def timings_of(raw: msgspec.Raw) -> Running | None:
    """What llama.cpp's timings tell, which say nothing of its queue; None where there are none. Never raises."""
    if raw is ABSENT:
        return None
    if not present(raw):
        return AS_BEFORE
    told: _Timings = _decoded(_TIMINGS, raw, _Timings())
    times = ServerTimes(None, as_ns(told.prompt_ms, _MS), as_ns(told.predicted_ms, _MS))
    drafted = None if told.draft_n is None else Drafted(None, _count(told.draft_n), _count(told.draft_n_accepted))
    return Running(times, _count(told.predicted_n), _count(told.cache_n), drafted)


def told_of(metrics: msgspec.Raw, timings: msgspec.Raw) -> Told:
    """What vLLM's metrics and llama.cpp's timings tell. Never raises."""
    if not present(metrics):
        return Told(None, timings_of(timings))
    told: _Metrics = _decoded(_METRICS, metrics, _Metrics())
    times = ServerTimes(
        as_ns(told.queue_time_ms, _MS), as_ns(told.time_to_first_token_ms, _MS), as_ns(told.generation_time_ms, _MS)
    )
    return Told(times, timings_of(timings), _drafted(told.speculative_decoding))


def _drafted(raw: msgspec.Raw) -> Drafted | None:
    if not present(raw):
        return None
    told: _Drafts = _decoded(_DRAFTS, raw, _Drafts())
    return Drafted(*map(_count, (told.num_spec_steps, told.num_draft_tokens, told.num_accepted_draft_tokens)))


def _decoded(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw, empty: Any) -> Any:
    try:
        return decoder.decode(raw)
    except NOT_JSON:
        return empty


def _count(told: Any) -> int | None:
    return told if type(told) is int and 0 <= told < MOST_TOKENS else None
