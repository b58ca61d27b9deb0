"""The requests of a recording as columns: stamps and counts as float64, NaN where missing (exact below 2**53)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from loadcell.recording.read import Recording

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int64]

_NUMBERS = (
    "planned_ns", "ready_ns", "send_start_ns", "send_end_ns", "begun_ns", "first_any_ns", "first_answer_ns", "last_ns",
    "end_ns", "first_audio_ns", "audio_ns",
    "conn_start_ns", "conn_tcp_ns", "conn_tls_ns", "server_queue_ns", "server_prefill_ns", "server_decode_ns",
    "input_tokens", "inputs", "results", "asked_tokens", "prompt_tokens", "cached_tokens", "output_tokens",
    "first_tokens", "output_chunks", "first_events", "last_events", "pace_end_ns", "later_tokens", "draft_steps",
    "draft_tokens", "accepted_tokens",
)  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """Requests that ended, ordered by request. Times in ns since the start of the load."""

    request: Ids
    worker: Ids
    """-1 if unknown."""
    counted: Mask
    """False for requests beyond the end, which kept the load on: in flight like any, and in no figure or count."""
    ok: Mask
    """Counted ones, as are `failed`, `cancelled` and `abandoned`."""
    failed: Mask
    cancelled: Mask
    planned: Floats
    """When each was to be sent, in an open loop: as planned, or, of one that waits for others, once the last of them
    had ended and its delay had passed. NaN in a closed loop."""
    ready: Floats
    send_start: Floats
    send_end: Floats
    begun: Floats
    """When a first part of a body had been sent that was not sent at once; NaN elsewhere."""
    first_any: Floats
    first_answer: Floats
    last: Floats
    end: Floats
    first_audio: Floats
    audio: Floats
    """How long the sound of the reply lasts; NaN where nothing tells, or there is none."""
    conn_start: Floats
    conn_tcp: Floats
    conn_tls: Floats
    server_queue: Floats
    server_prefill: Floats
    server_decode: Floats
    input_tokens: Floats
    inputs: Floats
    """Texts that were embedded, documents that were ranked; NaN where the API generates text."""
    results: Floats
    """What the reply must hold of them: images, where the API makes these."""
    asked_tokens: Floats
    prompt_tokens: Floats
    cached_tokens: Floats
    output_tokens: Floats
    first_tokens: Floats
    output_chunks: Floats
    first_events: Floats
    last_events: Floats
    pace_end: Floats
    later_tokens: Floats
    """Output tokens that came after the first output (`recording.tables`)."""
    draft_steps: Floats
    draft_tokens: Floats
    accepted_tokens: Floats
    token_source: dict[str, int]
    """ok requests by the source of their output count."""
    failures: dict[str, tuple[int, str | None]]
    """Failed requests by kind, with the words of the first."""
    beyond_failed: int = 0
    """Requests beyond the end that failed."""
    shared: Floats = field(default_factory=lambda: np.zeros(0))
    """Input tokens that a prefix cache without bounds would have by then, as planned; NaN where not planned."""
    kind: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """Number of the class; empty where it was not read."""
    session: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """Number of the session; empty without sessions. Requests outside of any have one each."""
    later: Mask = field(default_factory=lambda: np.zeros(0, bool))
    """Turns after the first of their session, where sessions were asked for; else empty."""
    abandoned: Mask = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Counted ones that their users gave up, as planned."""
    slow: Mask = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Requests whose clients read slowly, as planned: their times are their own, not the server's."""

    scheduled: bool = True
    """Whether `planned` are of a schedule; False where another tool's files have none: then they are the sends."""

    def __len__(self) -> int:
        return int(self.request.size)

    @property
    def bare(self) -> Mask:
        """Streamed requests without a row for each of their events: imported ones."""
        return self.streamed & ~(self.output_chunks >= 1)

    @property
    def left(self) -> Floats:
        """By when the first byte of each was with the kernel, at the latest."""
        return np.fmax(self.send_start, np.where(np.isnan(self.begun), self.send_end, self.begun))

    @property
    def sent(self) -> Mask:
        """Requests of which a byte was given to the kernel."""
        return ~np.isnan(self.send_start)

    @property
    def streamed(self) -> Mask:
        """Requests whose output arrived in stamped events."""
        return ~np.isnan(self.first_any)


def read_rows(recording: Recording) -> Rows:
    """The requests of a recording, text columns already counted."""
    table = recording.requests(("request", "worker", "counted", "class", *_NUMBERS))
    numbers = {name.removesuffix("_ns"): table[name].astype(np.float64, copy=False) for name in _NUMBERS}
    status = recording.requests(("status",))["status"]
    counted = table["counted"].astype(bool)
    ok, failed, cancelled, abandoned = (
        (status == name) & counted for name in ("ok", "failed", "cancelled", "abandoned")
    )
    source = recording.requests(("token_source",))["token_source"][ok]
    if recording.manifest.loop == "open":
        numbers["planned"] = np.where(np.isnan(numbers["planned"]), numbers["ready"], numbers["planned"])
    scheduled = True
    if recording.imported is not None:
        scheduled = _imported(numbers, open_loop=recording.manifest.loop == "open", events=bool(recording.chunk_parts))
    return Rows(
        request=table["request"].astype(np.int64),
        worker=np.nan_to_num(table["worker"], nan=-1).astype(np.int64),
        counted=counted,
        ok=ok,
        failed=failed,
        cancelled=cancelled,
        **numbers,
        token_source=dict(sorted(Counter(name for name in source.tolist() if name is not None).items())),
        failures=_failures(recording, failed),
        beyond_failed=int(np.count_nonzero((status == "failed") & ~counted)),
        shared=_planned_shares(recording, table["request"]),
        kind=np.nan_to_num(table["class"], nan=0).astype(np.int64),
        session=_sessions(recording, table["request"].astype(np.int64)),
        later=_later(recording, table["request"].astype(np.int64)),
        abandoned=abandoned,
        slow=_slow(recording, table["request"].astype(np.int64)),
        scheduled=scheduled,
    )


def _imported(numbers: dict[str, Floats], *, open_loop: bool, events: bool) -> bool:
    """Put sends where another tool's files have no schedule, so that windows and members are by them; whether they
    have one. A count of events is none where their times are not there. A request without any time (one that failed)
    became ready with the one before it, so that it is counted somewhere."""
    if not events:
        numbers["output_chunks"] = np.full_like(numbers["output_chunks"], np.nan)
    unplanned = np.isnan(numbers["planned"])
    if open_loop:
        numbers["planned"] = np.where(unplanned, numbers["send_start"], numbers["planned"])
    times = numbers["planned"]
    for name in ("send_start", "ready", "end"):
        times = np.where(np.isnan(times), numbers[name], times)
    untimed = np.isnan(times)
    before = np.maximum.accumulate(np.where(untimed, 0, np.arange(times.size)))
    numbers["ready"] = np.where(untimed, np.nan_to_num(times[before]), numbers["ready"])
    return open_loop and unplanned.size > 0 and not (unplanned & ~np.isnan(numbers["send_start"])).any()


def _slow(recording: Recording, request: Ids) -> Mask:
    """Which of these requests have clients that read slowly."""
    if recording.spec.behaviour.slow_readers is None:
        return np.zeros(request.size, np.bool_)
    plan = recording.schedule(("read_bytes_per_s", "read_tokens_per_s"))
    planned = ~np.isnan(plan["read_bytes_per_s"].astype(np.float64)) | ~np.isnan(
        plan["read_tokens_per_s"].astype(np.float64)
    )
    found: Mask = planned[request]
    return found


def _sessions(recording: Recording, request: Ids) -> Ids:
    """The session of each request; empty where no two belong together."""
    schedule = recording.schedule(("session",))["session"].astype(np.float64)
    if np.isnan(schedule).all():
        return np.zeros(0, np.int64)
    alone = np.isnan(schedule)
    schedule[alone] = np.nanmax(schedule) + 1 + np.arange(np.count_nonzero(alone))
    found: Ids = schedule[request].astype(np.int64)
    return found


def _later(recording: Recording, request: Ids) -> Mask:
    """Which of these requests are turns after the first, where sessions were asked for."""
    if not recording.spec.sessions.any:
        return np.zeros(0, bool)
    schedule = recording.schedule(("request", "turn"))
    later: Mask = schedule["turn"][np.searchsorted(schedule["request"], request)] > 0
    return later


def _planned_shares(recording: Recording, requests: Any) -> Floats:
    planned = recording.schedule(("request", "shared_tokens"))
    shared: Floats = planned["shared_tokens"].astype(np.float64)
    if not len(shared) or np.isnan(shared).all():
        return np.full(len(requests), np.nan)
    found: Floats = shared[np.searchsorted(planned["request"], requests)]
    return found


def _failures(recording: Recording, failed: Mask) -> dict[str, tuple[int, str | None]]:
    if not failed.any():
        return {}
    table: dict[str, Any] = recording.requests(("error_kind", "error"))
    found: dict[str, tuple[int, str | None]] = {}
    for kind, words in zip(table["error_kind"][failed], table["error"][failed], strict=True):
        kind = "unknown" if kind is None else str(kind)
        count, sample = found.get(kind, (0, None))
        found[kind] = (count + 1, words if sample is None else sample)
    return dict(sorted(found.items(), key=lambda item: (-item[1][0], item[0])))
