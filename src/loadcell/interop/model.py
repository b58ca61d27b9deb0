"""What a reader makes of a tool's files, before it becomes a recording: one neutral form for all of them.

Missing is None, never 0. Times are seconds since the start of the run, whatever the file writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from loadcell.recording.imported import Missing as Missing
from loadcell.recording.imported import Told as Told

Status = Literal["ok", "failed", "cancelled"]


@dataclass(slots=True, kw_only=True)
class Request:
    """One request, as complete as the file tells. A time that the file gives relative to the send has `sent_s` None
    and is relative to 0: `Run.placed` is False then."""

    status: Status
    planned_s: float | None = None
    """When it was to be sent. Only what a schedule said: None in a closed loop."""
    sent_s: float | None = None
    first_s: float | None = None
    """First output of any kind, as the tool means it."""
    answer_s: float | None = None
    """First visible answer, where the tool tells it apart."""
    last_s: float | None = None
    """Last output; None where the file tells no more than the end."""
    end_s: float | None = None
    chunks_s: Sequence[float] | None = None
    """Times of the events that the tool took for output, the first among them; `array('d')` where there are many."""
    chunk_tokens: Sequence[int] | None = None
    """Output tokens of each; None where nobody told."""
    events: int | None = None
    """How many these were, where nobody told their times."""
    input_tokens: int | None = None
    """Of the prompt, by the tool's own count."""
    prompt_tokens: int | None = None
    """By the server's usage."""
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    asked_tokens: int | None = None
    output_tokens: int | None = None
    token_source: str | None = None
    """As in `recording.schema`: usage, tokenizer, chunks; or `asked` (the tool wrote the number that it had asked for),
    or `unknown`."""
    error_kind: str | None = None
    """A word of ours (connect, timeout, http, stream_error, cut, ...); `told` where only the tool's words are there."""
    error: str | None = None
    http_status: int | None = None
    session: str | None = None
    turn: int | None = None


@dataclass(kw_only=True)
class Run:
    """One run of one tool: what becomes one recording."""

    tool: str
    """A name of `interop.read.TOOLS`."""
    version: str | None = None
    """The tool's, where the file tells."""
    schema: str
    """Which of its forms: "bench serve, --save-detailed", "report 2", ..."""
    tested: bool = True
    """Whether this form was held against a real file; else it is said when it is imported."""
    files: list[Path]
    name: str
    """For the folder: the rate, the stage; unique among the runs of a file."""
    started_at: datetime | None = None
    api: str | None = None
    """chat, completions, embeddings, ... as `spec.endpoint.api`."""
    stream: bool | None = None
    url: str | None = None
    model: str | None = None
    tokenizer: str | None = None
    loop: Literal["open", "closed"] | None = None
    rate: float | None = None
    concurrency: int | None = None
    arrivals: str | None = None
    """As `load.arrivals`: poisson, constant, gamma:CV."""
    requests: int | None = None
    """Asked for, by number; None where a time ended the run."""
    duration_s: float | None = None
    """Asked for, by time."""
    seed: int | None = None
    input_tokens: str | None = None
    """Lengths as `workload.input_tokens` writes them, where the file tells."""
    output_tokens: str | None = None
    planned: int | None = None
    """Requests that the tool meant to send."""
    ok: int | None = None
    failed: int | None = None
    cancelled: int | None = None
    window_s: float | None = None
    """The time that the tool divides by."""
    placed: bool = True
    """Whether the times of requests stand on one clock; else each has its own zero, and no rate can be computed."""
    details: Callable[[], Iterator[Request]] | None = None
    """The requests, read anew at each call, one after the other; None where the file holds summaries only."""
    derived: list[str] = field(default_factory=list)
    """Columns that were computed of others: "last_ns: first_any_ns and the gaps"."""
    told: list[Told] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader of its figures must know, in words."""
    fields: dict[str, str] = field(default_factory=dict)
    """What the file calls a field of `Request`, for errors: {"first_s": "ttfts"}."""
