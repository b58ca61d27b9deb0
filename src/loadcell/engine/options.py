"""The engine's switches."""

from __future__ import annotations

import math

import msgspec

TROUBLES = ("reject", "error", "cut", "stall", "stream_error", "short")
"""What may happen to a request; at most one of them does."""


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the engine can be asked for. ValueError if it cannot be. Times in seconds, rates in requests."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes any free port."""
    model: str = "loadcell-engine"
    api_key: str | None = None
    cpu: int | None = None
    """CPU that the process is bound to."""
    tls_cert: str | None = None
    tls_key: str | None = None

    slots: int = 32
    """Requests served at a time; further ones wait in order of arrival."""
    ttft_s: float = 0.05
    itl_s: float = 0.01
    itl_per_active_s: float = 0.0
    """Added to every decode step for each active stream."""
    prefill_rate: float | None = None
    """Prompt tokens a second; None: the prompt's length costs nothing."""
    lockstep: bool = False
    """All active streams emit together."""
    jitter: float = 0.0
    """Coefficient of variation of the decode step."""
    tokens_per_chunk: int = 1
    """Tokens that one decode step gives, sent in one event."""
    draft_tokens: int = 0
    """Speculative decoding: tokens that are guessed ahead of each decode step, which gives those that hold and one more
    in one event; 0: none. The first event holds one."""
    acceptance: float = 0.7
    """Probability that a guessed token holds, if all before it do."""
    cache_tokens: int = 0
    """Prompt tokens that a prefix cache holds (`prefix_cache`), for chat, completions and responses; 0: there is none.
    What it has costs no prefill; usage and the page tell of it, and POST /reset_prefix_cache empties it."""
    cache_block: int = 16
    """Tokens of one of its blocks."""
    seed: int = 0
    request_metrics: bool = False
    """Usage comes with the times of its request, as vLLM's --enable-per-request-metrics has it."""

    reject_rate: float = 0.0
    error_rate: float = 0.0
    cut_rate: float = 0.0
    stall_rate: float = 0.0
    stream_error_rate: float = 0.0
    short_rate: float = 0.0
    """Of streams that end half way in good order, but without finish reason, usage and end mark."""
    trouble_after: int = 0
    """So many requests, the first, meet no trouble: what a client asks before its load."""
    stall_s: float = 0.5
    slow_accept_s: float = 0.0
    deaf: bool = False
    """Requests whose clients have gone are computed to their end all the same."""
    crlf: bool = False
    no_usage: bool = False
    no_done: bool = False

    def __post_init__(self) -> None:
        for name in ("ttft_s", "itl_s", "itl_per_active_s", "stall_s", "slow_accept_s"):
            _require(0 <= getattr(self, name) <= 3600, f"{name} is {getattr(self, name):g}: it must be 0 to 3600 s")
        for name, low in (("slots", 1), ("tokens_per_chunk", 1), ("draft_tokens", 0), ("seed", 0), ("port", 0),
                          ("cache_tokens", 0), ("cache_block", 1), ("trouble_after", 0)):  # fmt: skip
            _require(getattr(self, name) >= low, f"{name} is {getattr(self, name)}: it must be {low} or more")
        _require(self.port < 65536, f"port is {self.port}: the highest is 65535")
        _require(0 <= self.jitter <= 10, f"jitter is {self.jitter:g}: it must be 0 to 10")
        rate = self.prefill_rate
        _require(rate is None or (rate > 0 and math.isfinite(rate)), "prefill_rate must be more than 0")
        _require(0 <= self.acceptance <= 1, f"acceptance is {self.acceptance:g}: it must be 0 to 1")
        _require(
            not self.draft_tokens or self.tokens_per_chunk == 1,
            "draft_tokens and tokens_per_chunk both say what a step gives: name one of them",
        )
        _require(bool(self.model), "the model needs a name")
        for trouble in TROUBLES:
            _require(0 <= self.rate(trouble) <= 1, f"{trouble}_rate is {self.rate(trouble):g}: it must be 0 to 1")
        total = sum(map(self.rate, TROUBLES))
        _require(total <= 1 + 1e-9, f"the rates of trouble add up to {total:g}: a request has one fate, so 1 at most")
        _require((self.tls_cert is None) == (self.tls_key is None), "TLS needs both a certificate and its key")

    def rate(self, trouble: str) -> float:
        """Probability that a request meets `trouble`."""
        return float(getattr(self, f"{trouble}_rate"))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
