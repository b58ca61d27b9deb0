"""The rows of landed replies: that of a request as it lands, those of its events together with those of others."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from loadcell.core import STAMP_COLUMNS
from loadcell.kinds import KIND_ANSWER, KIND_OUTPUT, KIND_REASONING
from loadcell.load.call import Call
from loadcell.load.flight import Flight
from loadcell.load.looks import Looks
from loadcell.load.target import host_of
from loadcell.phrases import Phrase, phrases
from loadcell.protocol import Answer, Count, Evidence, count, evidence
from loadcell.recording.schema import MISSING
from loadcell.recording.write import MISSING_INT, PartWriter
from loadcell.secrets import scrub, scrub_sentence

Ints = npt.NDArray[Any]

_ROWS_AT_ONCE = 2048
"""Of events: a third of a millisecond, as a slice of a reply takes to be parsed."""
_MOST_PHRASES = 1000
"""Of a load process: its failures in other words than those stay in English."""


class Brought(NamedTuple):
    """The events of a reply, by column, and its reads."""

    request: int
    reads: array[int]
    """Of each event the read that ended it."""
    kinds: bytearray
    tokens: array[int]
    sizes: array[int]
    tails: set[int]
    """Reads that brought something after the end of their last event."""
    stamps: array[int]
    """As `Tape.stamps` tells them."""


class Events:
    """What landed replies brought, and the rows of it, which are made of some replies at a time.

    By the loop's thread, when it has time: another one would keep the interpreter from it.
    """

    def __init__(self, looks: Looks, spells: list[tuple[int, int]]) -> None:
        """`spells`: when something was written, begin and end, monotonic ns."""
        self.t0_ns = 0
        """Start of the load on the monotonic clock; all recorded times count from it."""
        self._looks, self._spells = looks, spells
        self._brought: list[Brought] = []
        self._made: list[dict[str, Ints]] = []
        self._rows = self._waiting = 0

    def __len__(self) -> int:
        return self._rows

    def add(self, brought: Brought) -> None:
        """A reply has landed."""
        self._brought.append(brought)
        self._rows += len(brought.reads)
        self._waiting += len(brought.reads)
        if self._waiting >= _ROWS_AT_ONCE:
            self._make()

    def take(self) -> Callable[[], dict[str, Any]]:
        """Start anew; what gives the rows of those so far, in any thread."""
        self._make()
        made, self._made, self._rows = self._made, [], 0
        return lambda: {name: np.concatenate([some[name] for some in made]) for name in made[0]}

    def _make(self) -> None:
        brought, self._brought, self._waiting = self._brought, [], 0
        if not brought:
            return
        self._looks.sample()  # they reach as far as what is told of
        lengths = [len(one.reads) for one in brought]
        stamps = _joined((one.stamps for one in brought), "i8").reshape(-1, STAMP_COLUMNS)
        before = np.cumsum([0, *(len(one.stamps) // STAMP_COLUMNS for one in brought)])[:-1]
        read = _joined((one.reads for one in brought), "i4")
        place = read + np.repeat(before, lengths)
        tails = np.concatenate([at + np.array([*one.tails], "i8") for at, one in zip(before, brought, strict=True)])
        self._made.append({
            "request": np.repeat([one.request for one in brought], lengths),
            "read": read,
            "t_ns": stamps[place, 0] - self.t0_ns,
            "lag_ns": stamps[place, 1],
            "poll_ns": self._polls(stamps, place, tails),
            "kind": _joined((one.kinds for one in brought), "u1"),
            "tokens": _joined((one.tokens for one in brought), "i4"),
            "bytes": _joined((one.sizes for one in brought), "i4"),
        })  # fmt: skip

    def _polls(self, stamps: Ints, place: Ints, tails: Ints) -> Ints:
        """Of each event that may have come before the stamp of its read the earliest time that it can have; MISSING.

        A read has one stamp, that of the last it brought: other events in it may be older. Without a kernel stamp all
        may.
        """
        early = stamps[:, 1] == MISSING
        early[tails] = True
        found = early[place]
        found[:-1] |= place[1:] == place[:-1]
        polls = np.full(place.size, MISSING)
        polls[found] = self._looks.earliest(stamps[place[found], 2:], self._spells) - self.t0_ns
        return polls


def _joined(columns: Iterable[array[int] | bytearray], dtype: str) -> Ints:
    return np.frombuffer(b"".join(columns), dtype)


@dataclass
class Ledger:
    """Where a worker's rows go."""

    worker: int
    writer: PartWriter
    events: Events
    """What becomes the rows of the events."""
    uncounted: IO[str] | None
    """Takes the text of replies whose tokens the server did not count; None if no tokenizer is to count them."""
    secrets: list[str]
    """Strings that a server may echo and that must not be written."""
    phrases: dict[str, Phrase] = field(default_factory=dict)
    """What the failures that were written were made of, as far as they are few."""

    def scrub(self, text: str | None) -> str | None:
        """The text without secrets."""
        return text and scrub(text, self.secrets)

    def tell(self, why: str) -> str:
        """The words of a failure without secrets; what they are made of is kept."""
        words = scrub_sentence(why, self.secrets)
        if words not in self.phrases and len(self.phrases) < _MOST_PHRASES:
            self.phrases |= phrases([words])
        return words


def write_rows(flight: Flight | Call, ledger: Ledger, body: str | None, stamps: array[int]) -> dict[str, Any]:
    """Append the rows of a landed flight, with the stamps of its tape; returns that of the request.

    `body` is its body if text is to be recorded.
    """
    writer, t0_ns, clean = ledger.writer, ledger.events.t0_ns, ledger.scrub
    reply = flight.reply
    failure = flight.failure or reply.failure
    status = "cancelled" if flight.cancelled else "abandoned" if flight.gave_up else "failed" if failure else "ok"
    outputs = reply.outputs()
    told, each = evidence(reply, flight.asked_tokens)
    found = count(told)
    by_event = _by_event(reply, outputs, told, found, each)
    if status == "ok" and not found.sure and ledger.uncounted is not None:
        ledger.uncounted.write(json.dumps([flight.request, told, reply.text()]) + "\n")
    if reply.reads:
        ledger.events.add(Brought(flight.request, reply.reads, reply.kinds, by_event, reply.sizes, reply.tails, stamps))

    def since(moment: int | None) -> int:
        return MISSING if moment is None or moment == MISSING else moment - t0_ns

    def at(event: int) -> int:
        return MISSING if event < 0 else stamps[STAMP_COLUMNS * reply.reads[event]] - t0_ns

    sound = reply.sound
    first = outputs.find(1) if reply.streamed and sound is None else -1
    answer = next((i for i, kind in enumerate(reply.kinds) if kind & KIND_ANSWER), -1) if first >= 0 else -1
    usage, fresh = reply.usage, flight.connection if flight.fresh else None
    cached = usage.cached_tokens if usage else None
    times_told, drafted = reply.told.times, reply.told.drafted
    row = {
        "request": flight.request,
        "worker": ledger.worker,
        "connection": flight.connection.number if flight.connection else MISSING_INT,
        "status": status,
        "gave_up": flight.gave_up,
        "error_kind": failure[0] if failure and status == "failed" else None,
        "error": ledger.tell(failure[1]) if failure and status == "failed" else None,
        "http_status": reply.status or MISSING_INT,
        "finish_reason": clean(reply.finish_reason),
        "planned_ns": flight.planned_ns,
        "ready_ns": flight.ready_ns,
        "conn_start_ns": since(fresh.start_ns) if fresh else MISSING,
        "conn_tcp_ns": since(fresh.tcp_ns) if fresh else MISSING,
        "conn_tls_ns": since(fresh.tls_ns) if fresh else MISSING,
        "send_start_ns": since(flight.send_start_ns),
        "send_end_ns": since(flight.send_end_ns),
        "begun_ns": since(flight.begun_ns),
        "first_byte_ns": since(stamps[0] if stamps else None),
        "first_any_ns": at(first),
        "first_answer_ns": at(answer),
        "last_ns": at(outputs.rfind(1)),
        "first_audio_ns": MISSING if sound is None else at(outputs.find(1)),
        "audio_ns": MISSING if sound is None else _ns_or_missing(sound.lasts_ns),
        "end_ns": since(flight.end_ns),
        "input_tokens": flight.input_tokens,
        "asked_tokens": flight.asked_tokens,
        "inputs": MISSING_INT if reply.wanted is None else reply.wanted[0],
        "results": MISSING_INT if reply.wanted is None else reply.wanted[1],
        "prompt_tokens": _or_missing(usage.prompt_tokens or None if usage else None),
        "cached_tokens": _or_missing(reply.told.cached_tokens if cached is None else cached),
        "reasoning_tokens": _or_missing(usage.reasoning_tokens if usage else None),
        "usage_tokens": _or_missing(usage.output_tokens if usage else None),
        "output_tokens": _or_missing(found.tokens),
        "token_source": found.source,
        "first_tokens": MISSING_INT if first < 0 else by_event[first],
        "output_chunks": outputs.count(1),
        "first_events": MISSING_INT,  # bursts are looked for when the rows are written
        "last_events": MISSING_INT,
        "pace_end_ns": MISSING,
        "outputs": 1 + len(reply.indexes) if 1 in outputs else 0,
        "other_fields": clean(", ".join(reply.others)) or None,
        "first_field": clean(_first_field(reply, outputs)),
        "server_queue_ns": _ns_or_missing(times_told.queue_ns),
        "server_prefill_ns": _ns_or_missing(times_told.prefill_ns),
        "server_decode_ns": _ns_or_missing(times_told.decode_ns),
        "draft_steps": _or_missing(drafted.steps),
        "draft_tokens": _or_missing(drafted.tokens),
        "accepted_tokens": _or_missing(drafted.accepted),
        "reads": len(stamps) // STAMP_COLUMNS,
        "bytes_sent": flight.bytes_sent,
        "bytes_received": reply.bytes,
        "counted": flight.counted,
        "class": flight.kind,
        "address": host_of(flight.connection.address) if flight.connection else None,
    }
    writer.requests.add(row)
    if body is not None:
        words = {"body": body, "content": "".join(reply.content) or None, "reasoning": reply.thoughts() or None}
        writer.text.add({"request": flight.request} | {name: clean(text) for name, text in words.items()})
    return row


def _by_event(reply: Answer, outputs: bytearray, told: Evidence, found: Count, each: list[int | None]) -> array[int]:
    """Tokens by event: as it tells, or one each where there are as many; else unknown, but for what was hidden."""
    if not reply.streamed or found.tokens is None or found.source == "chunks":
        return _known(each)
    if told.told is not None and (each is reply.tokens or told.told == found.tokens):
        return _known(each)
    events = outputs.count(1)
    by_event = array("i", [1 if found.came == events else MISSING_INT]) * len(each)
    silent = outputs.find(0)
    while silent >= 0:
        by_event[silent] = MISSING_INT
        silent = outputs.find(0, silent + 1)
    if found.before:
        first = outputs.index(1)
        here = max(1, round(found.came / events)) if by_event[first] == MISSING_INT else by_event[first]
        by_event[first] = found.before + here
    return by_event


def _known(tokens: list[int | None]) -> array[int]:
    if tokens.count(None) == len(tokens):
        return array("i", [MISSING_INT]) * len(tokens)
    return array("i", [MISSING_INT if one is None else one for one in tokens])


def _first_field(reply: Answer, outputs: bytearray) -> str | None:
    """The field that is not known to hold output, if such a one alone brought the first, before known ones."""
    first = outputs.find(1)
    if not reply.others or first < 0 or reply.kinds[first] & KIND_OUTPUT != KIND_REASONING:
        return None
    alone = {event for texts in reply.others.values() for event, _ in texts}
    if all(event in alone and not reply.kinds[event] & KIND_ANSWER for event, one in enumerate(outputs) if one):
        return None
    return next((path for path, texts in reply.others.items() if texts[0][0] == first), None)


def _or_missing(value: int | None) -> int:
    return MISSING_INT if value is None else value


def _ns_or_missing(value_ns: int | None) -> int:
    return MISSING if value_ns is None else value_ns
