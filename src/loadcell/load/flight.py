"""One request in the air, and its rows when it has landed."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from loadcell.core import make_tape
from loadcell.kinds import KIND_ANSWER, KIND_OUTPUT, KIND_REASONING
from loadcell.load.looks import Looks
from loadcell.load.wire import Connection
from loadcell.phrases import Phrase, phrases
from loadcell.protocol import Count, Dialect, Evidence, Reply, count, evidence
from loadcell.recording.schema import MISSING
from loadcell.recording.write import MISSING_INT, PartWriter
from loadcell.secrets import scrub, scrub_sentence

SLICE_READS = 64
"""Reads parsed at a time (about 0.2 ms), so that a send or a read is never kept waiting for long."""


class Flight:
    """A request from its send to its record. Times are monotonic; MISSING until known."""

    __slots__ = (
        "air_reads",
        "asked_tokens",
        "bytes_sent",
        "cancelled",
        "connection",
        "counted",
        "end_ns",
        "failure",
        "first_sought",
        "first_told",
        "fresh",
        "heard_ns",
        "input_tokens",
        "planned_ns",
        "ready_ns",
        "reply",
        "request",
        "send_end_ns",
        "send_start_ns",
        "sought",
        "sought_ns",
        "tape",
    )  # fmt: skip

    def __init__(
        self, dialect: Dialect, request: int, planned_ns: int, ready_ns: int, input_tokens: int, asked_tokens: int
    ) -> None:
        self.request = request
        self.planned_ns = planned_ns
        self.ready_ns = ready_ns
        self.input_tokens = input_tokens
        self.asked_tokens = asked_tokens
        self.connection: Connection | None = None
        self.fresh = False
        self.send_start_ns = MISSING
        self.send_end_ns = MISSING
        self.end_ns = MISSING
        self.bytes_sent = 0
        self.failure: tuple[str, str] | None = None
        self.cancelled = False
        self.counted = True
        """False for a request beyond the end of the load."""
        self.air_reads = 0
        """Its reads so far, as those who look on were told."""
        self.heard_ns = 0
        """When they had become more."""
        self.first_sought = False
        """Whether its reads wait to be parsed for its first output."""
        self.first_told = False
        """Whether its first output was counted for those who look on."""
        self.sought = False
        """Whether its reads wait to be parsed while it is in the air."""
        self.sought_ns = 0
        """Since when they did, the last time."""
        self.tape = make_tape()
        """What came, and when."""
        self.reply = Reply(dialect)

    def parse(self, most: int = SLICE_READS) -> bool:
        """Parse about so many of the stored reads; True when none is left."""
        self.reply.take(self.tape, most)
        return not self.tape.stored

    def parse_all(self) -> None:
        """Parse every stored read."""
        while self.tape.stored:
            self.reply.take(self.tape, self.tape.stored)

    def close(self) -> None:
        """No more comes: the reply is judged by what did."""
        self.reply.close(max(self.tape.reads - 1, 0))

    def give_up(self) -> None:
        """No more is waited for, though its server leaves it open."""
        self.reply.give_up(max(self.tape.reads - 1, 0))

    def weight(self) -> int:
        """Bytes of memory that its reply takes, about."""
        return self.reply.weight() + self.tape.weight()

    def forget(self) -> None:
        """Let go of the reads that are not parsed: nobody will look at them."""
        self.reply.bytes += self.tape.drop()


_MOST_PHRASES = 1000
"""Of a load process: its failures in other words than those stay in English."""


@dataclass
class Ledger:
    """Where a worker's rows go."""

    worker: int
    t0_ns: int
    """Start of the load on the monotonic clock; all recorded times count from it."""
    writer: PartWriter
    uncounted: IO[str] | None
    """Takes the text of replies whose tokens the server did not count; None if no tokenizer is to count them."""
    looks: Looks
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


def write_rows(flight: Flight, ledger: Ledger, body: str | None, times: array[int], lags: array[int]) -> dict[str, Any]:
    """Append the rows of a landed flight, with the columns of its tape; returns that of the request.

    `body` is its body if text is to be recorded.
    """
    writer, t0_ns, clean = ledger.writer, ledger.t0_ns, ledger.scrub
    reply = flight.reply
    failure = flight.failure or reply.failure
    status = "cancelled" if flight.cancelled else "failed" if failure else "ok"
    outputs = reply.outputs()
    told, each = evidence(reply, flight.asked_tokens)
    found = count(told)
    by_event = _by_event(reply, outputs, told, found, each)
    if status == "ok" and not found.sure and ledger.uncounted is not None:
        ledger.uncounted.write(json.dumps([flight.request, told, reply.text()]) + "\n")
    _write_chunks(flight, ledger, by_event, times, lags)

    def since(moment: int | None) -> int:
        return MISSING if moment is None or moment == MISSING else moment - t0_ns

    def at(event: int) -> int:
        return MISSING if event < 0 else times[reply.reads[event]] - t0_ns

    first = outputs.find(1) if reply.streamed else -1
    answer = next((i for i, kind in enumerate(reply.kinds) if kind & KIND_ANSWER), -1) if first >= 0 else -1
    usage, fresh = reply.usage, flight.connection if flight.fresh else None
    cached = usage.cached_tokens if usage else None
    times_told = reply.told.times
    row = {
        "request": flight.request,
        "worker": ledger.worker,
        "connection": flight.connection.number if flight.connection else MISSING_INT,
        "status": status,
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
        "first_byte_ns": since(times[0] if times else None),
        "first_any_ns": at(first),
        "first_answer_ns": at(answer),
        "last_ns": at(outputs.rfind(1)),
        "end_ns": since(flight.end_ns),
        "input_tokens": flight.input_tokens,
        "asked_tokens": flight.asked_tokens,
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
        "reads": len(times),
        "bytes_sent": flight.bytes_sent,
        "bytes_received": reply.bytes,
        "counted": flight.counted,
    }
    writer.requests.add(row)
    if body is not None:
        words = {"body": body, "content": "".join(reply.content) or None, "reasoning": reply.thoughts() or None}
        writer.text.add({"request": flight.request} | {name: clean(text) for name, text in words.items()})
    return row


def _by_event(reply: Reply, outputs: bytes, told: Evidence, found: Count, each: list[int | None]) -> array[int]:
    """Tokens by event: as it tells, or one each where there are as many; else unknown, but for what was hidden."""
    if not reply.streamed or found.tokens is None or found.source == "chunks":
        return _known(each)
    if told.told is not None and (each is reply.tokens or told.told == found.tokens):
        return _known(each)
    by_event = array("i", [MISSING_INT]) * len(each)
    events = outputs.count(1)
    if found.came == events:
        by_event = array("i", np.where(np.frombuffer(outputs, "u1"), 1, MISSING_INT).astype("i4").tobytes())
    if found.before:
        first = outputs.index(1)
        here = max(1, round(found.came / events)) if by_event[first] == MISSING_INT else by_event[first]
        by_event[first] = found.before + here
    return by_event


def _known(tokens: list[int | None]) -> array[int]:
    if tokens.count(None) == len(tokens):
        return array("i", [MISSING_INT]) * len(tokens)
    return array("i", [MISSING_INT if one is None else one for one in tokens])


def _first_field(reply: Reply, outputs: bytes) -> str | None:
    """The field that is not known to hold output, if such a one alone brought the first, before known ones."""
    first = outputs.find(1)
    if not reply.others or first < 0 or reply.kinds[first] & KIND_OUTPUT != KIND_REASONING:
        return None
    alone = {event for texts in reply.others.values() for event, _ in texts}
    if all(event in alone and not reply.kinds[event] & KIND_ANSWER for event, one in enumerate(outputs) if one):
        return None
    return next((path for path, texts in reply.others.items() if texts[0][0] == first), None)


def _write_chunks(flight: Flight, ledger: Ledger, by_event: array[int], times: array[int], lags: array[int]) -> None:
    reply, columns = flight.reply, ledger.writer.chunks.data
    if not reply.reads:
        return
    numbers = np.frombuffer(reply.reads, "i4")
    lag_ns = np.frombuffer(lags, "i8")[numbers]
    columns["request"].extend(array("q", [flight.request]) * numbers.size)
    columns["read"].extend(reply.reads)
    columns["t_ns"].frombytes((np.frombuffer(times, "i8")[numbers] - ledger.t0_ns).tobytes())
    columns["lag_ns"].frombytes(lag_ns.tobytes())
    columns["poll_ns"].frombytes(_polls(flight, ledger, numbers, lag_ns).tobytes())
    columns["kind"].frombytes(reply.kinds)
    columns["tokens"].extend(by_event)
    columns["bytes"].extend(reply.sizes)


def _polls(flight: Flight, ledger: Ledger, numbers: npt.NDArray[Any], lag_ns: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """For each event that may have come before the stamp of its read, the earliest time that it can have; else MISSING.

    A read has one stamp, that of the last it brought: other events in it may be older. Without a kernel stamp all may.
    """
    polls = np.full(numbers.size, MISSING)
    early = lag_ns == MISSING
    early[:-1] |= numbers[1:] == numbers[:-1]
    for read in flight.reply.tails:
        early |= numbers == read
    writing, earliest, last = ledger.writer.was_writing, MISSING, -1
    for event in np.flatnonzero(early).tolist():
        if numbers[event] != last:
            last = int(numbers[event])
            earliest = ledger.looks.earliest(flight.tape.look(last), writing) - ledger.t0_ns
        polls[event] = earliest
    return polls


def _or_missing(value: int | None) -> int:
    return MISSING_INT if value is None else value


def _ns_or_missing(value_ns: int | None) -> int:
    return MISSING if value_ns is None else value_ns
