"""What a server tells of its own times. Its figures are not trusted: what cannot be is as if it was not told."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from loadcell.protocol.openai import NOT_JSON, Event, present

_MOST_MS = 86_400_000.0
_MOST_COUNT = 2**31


class _Timings(msgspec.Struct, gc=False):
    """llama.cpp's `timings`, as they come; with `timings_per_token` in every event, running along."""

    predicted_n: Any = None
    cache_n: Any = None
    prompt_ms: Any = None
    predicted_ms: Any = None


class _Metrics(msgspec.Struct, gc=False):
    """vLLM's `metrics` (server flag --enable-per-request-metrics), as they come, in the event with the usage.

    Time to first token counts from the end of the queue (docs.vllm.ai, "Per-Request Metrics").
    """

    queue_time_ms: Any = None
    time_to_first_token_ms: Any = None
    generation_time_ms: Any = None


_TIMINGS = msgspec.json.Decoder(_Timings)
_METRICS = msgspec.json.Decoder(_Metrics)


class ServerTimes(NamedTuple):
    """Parts of a request's time by the server's own word; None where it does not tell."""

    queue_ns: int | None = None
    prefill_ns: int | None = None
    """From the end of the queue to the first token."""
    decode_ns: int | None = None
    """From the first token to the last."""


class Told:
    """The last that a reply told of its server's times and counts."""

    __slots__ = ("_metrics", "_timings")

    def __init__(self) -> None:
        self._metrics: _Metrics | None = None
        self._timings: _Timings | None = None

    def take(self, event: Event) -> None:
        """Keep what an event tells. Never raises."""
        if present(event.timings):
            self._timings = _decoded(_TIMINGS, event.timings, _Timings())
        if present(event.metrics):
            self._metrics = _decoded(_METRICS, event.metrics, _Metrics())

    @property
    def running_tokens(self) -> int | None:
        """llama.cpp's count of output tokens so far."""
        return _count(self._timings.predicted_n) if self._timings else None

    @property
    def cached_tokens(self) -> int | None:
        """llama.cpp's count of prompt tokens from its cache."""
        return _count(self._timings.cache_n) if self._timings else None

    @property
    def times(self) -> ServerTimes:
        """By vLLM's metrics or, without them, llama.cpp's timings, which say nothing of its queue."""
        if self._metrics:
            told = self._metrics
            return ServerTimes(_ns(told.queue_time_ms), _ns(told.time_to_first_token_ms), _ns(told.generation_time_ms))
        if self._timings:
            return ServerTimes(None, _ns(self._timings.prompt_ms), _ns(self._timings.predicted_ms))
        return ServerTimes()


def _decoded(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw, empty: Any) -> Any:
    try:
        return decoder.decode(raw)
    except NOT_JSON:
        return empty


def _count(told: Any) -> int | None:
    return told if type(told) is int and 0 <= told < _MOST_COUNT else None


def _ns(told_ms: Any) -> int | None:
    """Nanoseconds of milliseconds from 0 to a day."""
    return round(told_ms * 1e6) if type(told_ms) in (int, float) and 0 <= told_ms <= _MOST_MS else None
