"""What an audit of a tool found. Missing is None, never 0."""

from __future__ import annotations

from typing import Any

import msgspec


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The load that a tool is asked for, and the times of the engine that it meets."""

    concurrency: int = 8
    requests: int = 64
    input_tokens: int = 128
    output_tokens: int = 50
    ttft_ms: float = 50.0
    itl_ms: float = 10.0

    @property
    def name(self) -> str:
        """As people write it: streams and output tokens of a reply."""
        return f"{self.concurrency}x{self.output_tokens}"

    @property
    def seconds(self) -> float:
        """How long it lasts where nothing but the engine takes time."""
        reply_ms = self.ttft_ms + self.itl_ms * (self.output_tokens - 1)
        return -(-self.requests // self.concurrency) * reply_ms / 1e3


class Off(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: what the tool reports, and what was so."""

    metric: str
    """ttft, itl, tpot, e2e, requests_per_s or output_tokens_per_s, by what it means, not by what the tool calls it."""
    stat: str | None
    """p50, p90, p99; None of a rate."""
    unit: str
    reported: float | None
    true: float | None
    off: float | None
    """Reported less true."""
    share: float | None
    """The same as a part of the truth."""
    from_rows: bool = False
    """Whether the tool does not state it, and it was computed of the times of requests that it wrote."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The load as the engine saw it."""

    arrived: int
    """Requests, whatever for."""
    measured: int
    """Those that the truth is made of."""
    rule: str
    """How they were told from the others."""
    tokens: int
    """Sent to the tool, whatever for."""
    connections: int
    most_at_once: int
    first_request_s: float | None
    """From the start of the tool to its first request."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What the tool took, start-up and report included."""

    wall_s: float
    cpu_s: float
    """User and system time of the command and of every process that it started."""
    cpu_us_per_token: float | None
    """Over the tokens that the engine sent."""


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """A short load in which the engine fails now and then, and what the tool makes of it."""

    load: Load
    injected: dict[str, int]
    """Requests by what they met: http_500, cut (connection closed), error_event, short (ended without a finish)."""
    requests: int
    """That reached the engine."""
    ok: int | None
    failed: int | None
    """As the tool counts them."""
    unnoticed: int | None
    """Injected less failed: what it took for success, or asked again in secret. Below 0: it counts more as failed."""
    noticed: list[str] | None
    """Kinds whose numbers alone make up what it counts as failed; None where no kinds do, or several sets of them."""
    says: str = ""
    """What came in the way of counting."""


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """One tool."""

    name: str
    """Of the recipe; of a command its program."""
    title: str
    version: str | None = None
    command: str
    load: Load
    bias: list[Off]
    seen: Seen | None = None
    cost: Cost | None = None
    ok: int | None = None
    """Requests by its own count."""
    failed: int | None = None
    faults: Faults | None = None
    problems: list[str] = []
    """What came in the way, in words."""
    notes: list[str] = []
    """What a reader of the figures must know of the tool."""


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What `loadcell audit` found: a tool or many, and Loadcell at the same load."""

    measured_at: str
    machine: dict[str, Any]
    load: Load
    tools: list[Audited]
    ours: Audited | None = None
    missing: dict[str, str] = {}
    """Recipes that could not be run, each with the reason."""
    loadcell: str = ""
