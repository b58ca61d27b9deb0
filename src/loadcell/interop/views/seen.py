"""What a view looks at: the requests of a recording as columns, and all of their events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from loadcell.kinds import KIND_EMPTY, KIND_FINISH, KIND_OUTPUT, KIND_USAGE
from loadcell.recording.read import Recording

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int64]

_STAMPS = (
    "planned_ns", "ready_ns", "conn_start_ns", "conn_tcp_ns", "conn_tls_ns", "send_start_ns", "first_any_ns",
    "first_answer_ns", "last_ns", "end_ns", "pace_end_ns",
)  # fmt: skip
_COUNTS = (
    "usage_tokens", "output_tokens", "text_tokens", "asked_tokens", "input_tokens", "prompt_tokens", "output_chunks",
    "later_tokens",
)  # fmt: skip


@dataclass(frozen=True)
class Events:
    """Received events, those of one request adjacent and in order."""

    place: Ids
    """Of its request among the rows."""
    t: Floats
    """ns."""
    kind: npt.NDArray[np.uint8]
    early: Mask
    """Before the first output of its request."""

    def of_output(self) -> Mask:
        """Those with text, reasoning or a tool call."""
        found: Mask = (self.kind & KIND_OUTPUT) > 0
        return found

    def of_choices(self) -> Mask:
        """Those whose list of choices is not empty: output, empty deltas and the finish event.

        An event that has nothing but usage has choices where it stands before the first output: a role with the
        running usage of its server.
        """
        alone = (self.kind == KIND_USAGE) & self.early
        found: Mask = ((self.kind & (KIND_OUTPUT | KIND_FINISH | KIND_EMPTY)) > 0) | alone
        return found


@dataclass(frozen=True)
class Seen:
    """Requests that count, by number; times in ns, NaN where missing."""

    ok: Mask
    """By our rules."""
    fault: npt.NDArray[Any]
    """Kind of the failure; None for the others."""
    planned: Floats
    """When it was due in an open loop; NaN in a closed one."""
    ready: Floats
    connect: Floats
    """Start of the connection that it opened; NaN where one was open."""
    connected: Floats
    sent: Floats
    first_any: Floats
    answer: Floats
    last: Floats
    end: Floats
    pace_end: Floats
    first_choice: Floats
    last_choice: Floats
    usage: Floats
    """Output tokens by the server's usage."""
    text: Floats
    """By a tokenizer over the text."""
    ours: Floats
    """The count that our figures go by."""
    asked: Floats
    chunks: Floats
    later: Floats
    """Tokens after the first output, as our TPOT counts them."""
    planned_input: Floats
    prompt: Floats
    """Input tokens by the server's usage."""
    events: Events
    early_empty: int = 0
    """Empty events before the first output: only a role, or nothing; the recording does not say which."""
    loop: str = "closed"
    made_by: str | None = None
    """The tool that made the load; None: ours."""
    window_s: float | None = None
    """The time that this tool divides by, as it told it."""
    placed: bool = True
    """Whether all times stand on one clock."""

    def __len__(self) -> int:
        return int(self.ok.size)

    @property
    def failed(self) -> Mask:
        """By our rules."""
        found: Mask = np.array([kind is not None for kind in self.fault], dtype=bool)
        return found

    @property
    def due(self) -> Floats:
        """When it was to be sent: planned, or of one that waited for others or for its user as soon as it could be."""
        return np.where(np.isnan(self.planned), self.ready, self.planned)


def see(recording: Recording) -> Seen:
    """What a recording holds for a view."""
    table = recording.requests(("request", "counted", "status", "error_kind", "token_source", *_STAMPS, *_COUNTS))
    keep = table["counted"].astype(bool)
    table = {name: values[keep] for name, values in table.items()}
    of = {name: table[name].astype(np.float64) for name in (*_STAMPS, *_COUNTS)}
    events = _events(recording, table["request"].astype(np.int64), of["first_any_ns"])
    choices, output = events.of_choices(), events.of_output()
    first_choice, last_choice = _ends(events, choices, len(keep.nonzero()[0]))
    first_choice = np.where(np.isnan(first_choice), of["first_any_ns"], first_choice)
    last_choice = np.where(np.isnan(last_choice), of["last_ns"], last_choice)
    opened, told = recording.manifest.loop == "open", recording.imported
    by_usage = np.array([source == "usage" for source in table["token_source"].tolist()], dtype=bool)
    return Seen(
        ok=table["status"] == "ok",
        fault=np.array(
            [
                kind if status == "failed" else None
                for kind, status in zip(table["error_kind"], table["status"], strict=True)
            ],
            dtype=object,
        ),
        planned=np.where(np.isnan(of["planned_ns"]), of["ready_ns"], of["planned_ns"])
        if opened
        else np.full(keep.sum(), np.nan),
        ready=of["ready_ns"],
        connect=of["conn_start_ns"],
        connected=np.fmax(of["conn_tcp_ns"], of["conn_tls_ns"]),
        sent=of["send_start_ns"],
        first_any=of["first_any_ns"],
        answer=of["first_answer_ns"],
        last=of["last_ns"],
        end=of["end_ns"],
        pace_end=np.where(np.isnan(of["pace_end_ns"]), of["last_ns"], of["pace_end_ns"]),
        first_choice=first_choice,
        last_choice=last_choice,
        usage=np.where(np.isnan(of["usage_tokens"]) & by_usage, of["output_tokens"], of["usage_tokens"]),
        text=of["text_tokens"],
        ours=of["output_tokens"],
        asked=of["asked_tokens"],
        chunks=of["output_chunks"],
        later=of["later_tokens"],
        planned_input=of["input_tokens"],
        prompt=of["prompt_tokens"],
        events=events,
        early_empty=int(np.count_nonzero(events.early & choices & ~output)),
        loop=recording.manifest.loop if told is None else told.loop or "closed",
        made_by=None if told is None else told.tool,
        window_s=None if told is None else told.window_s,
        placed=told is None or told.placed,
    )


def _events(recording: Recording, request: Ids, first: Floats) -> Events:
    """All events of these requests."""
    parts = []
    for part in recording.chunks(("request", "t_ns", "kind"), output_only=False):
        of = part["request"].astype(np.int64)
        place = np.minimum(np.searchsorted(request, of), max(0, request.size - 1))
        known = request[place] == of if request.size else np.zeros(of.size, bool)
        parts.append((place[known], part["t_ns"].astype(np.float64)[known], part["kind"].astype(np.uint8)[known]))
    if not parts:
        return Events(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.uint8), np.zeros(0, bool))
    place, t, kind = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Events(place, t, kind, t < first[place])


def _ends(events: Events, chosen: Mask, size: int) -> tuple[Floats, Floats]:
    """Times of the first and the last of the chosen events of each request; NaN without any."""
    first, last = np.full(size, np.nan), np.full(size, np.nan)
    place, t = events.place[chosen], events.t[chosen]
    first[place[::-1]] = t[::-1]
    last[place] = t
    return first, last
