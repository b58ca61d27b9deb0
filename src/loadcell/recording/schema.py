"""What a recording holds: its files, its tables and their columns.

A recording is a folder:

    recording.json            what it is, how the run went (`Manifest`)
    spec.json                 the Spec, secrets removed
    environment.json          machine, kernel, versions, server
    schedule.parquet          what was to be sent, made before the load
    waits.parquet             which requests of a session wait for which, where there are sessions
    requests-W-NNNNN.parquet  one row a request that ended, by worker W, in parts as the run goes
    chunks-W-NNNNN.parquet    one row a received event; all events of one request lie in one part, in order
    text-W-NNNNN.parquet      prompts and responses, only if asked for
    tokens-W.parquet          output tokens settled after the run by the text, where no two sources agreed
    audit-W.json              the instrument's own counters
    host.json                 what the machine did meanwhile: stolen time, who shares the cores and what that took
    selftest.json             this machine's self-test, if one was made before the run
    server-before.prom        the server's Prometheus page before and after the load, if it has one
    server-after.prom
    sources.json              what was watched beside the load (`Source`), in the order of their numbers
    looks-NNNNN.parquet       one row a look at a source while the load ran, answered or not
    series-NNNNN.parquet      one row a value that a look brought
    imported.json             where it comes from, if another tool made the load (`recording.imported`)

All times `_ns` are integer nanoseconds since t0, the start of the load, on CLOCK_MONOTONIC. Missing is NULL.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from loadcell.kinds import MISSING as MISSING
from loadcell.phrases import Phrase

FORMAT = 6
"""2 added what the server tells of its own times, and the window that is found from the data. 3 added what was watched
beside the load, and runs that were ended before their time. 4 added which prompt of a file each request sends.
5 added requests beyond the end of the load, how early an event of a shared read can have come, and the hash of the
bodies, which that of the schedule holds no more. 6 added imported recordings, whose load another tool made."""
Ns = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Nanoseconds since the start of the load, or a number of requests, as far as floats are exact."""


class Column(NamedTuple):
    name: str
    sql: str
    doc: str


SCHEDULE = (
    Column("request", "BIGINT", "position in the schedule, from 0; names the request everywhere"),
    Column("planned_ns", "BIGINT", "when it is to be sent; NULL in a closed loop, and where it waits for others"),
    Column(
        "input_tokens",
        "INTEGER",
        "tokens of the prompt: as the server counts them, chat template included, where the run could learn that; "
        "else by the spec's tokenizer, without the template; of its text alone, and NULL where it has none",
    ),
    Column(
        "output_tokens",
        "INTEGER",
        "output tokens asked for; NULL where the API generates nothing, or writes down what it hears",
    ),
    Column(
        "inputs",
        "INTEGER",
        "where the API generates no text: texts to embed, documents to rank, 1 text to speak or paint; NULL elsewhere",
    ),
    Column("results", "INTEGER", "and the results that its reply must hold: images, where it makes these"),
    Column("prompt", "BIGINT", "line of the prompt file that it sends, from 0; NULL for synthetic prompts"),
    Column("class", "INTEGER", "endpoint and model that it is for, as numbered in effective.classes; NULL for one"),
    Column("images", "INTEGER", "images that it carries; NULL where requests carry none, and in older recordings"),
    Column("image_pixels", "BIGINT", "pixels of all of these"),
    Column("input_audio_s", "DOUBLE", "seconds of audio that it carries; NULL where requests carry none"),
    Column(
        "session",
        "INTEGER",
        "session (a chat, or a task of an agent) that it belongs to, from 0; NULL where each is alone",
    ),
    Column("turn", "INTEGER", "its place on the longest way from a first request of its session, from 0"),
    Column(
        "delay_ns",
        "BIGINT",
        "how long after the last that it waits for has ended it is to be sent: think time, tools; NULL: at once",
    ),
    Column(
        "shared_tokens",
        "INTEGER",
        "input tokens that a prefix cache without bounds would have by then, as planned; NULL where not planned",
    ),
    Column(
        "cancel_ns",
        "BIGINT",
        "how long after its send its client closes the connection, whatever has come by then; NULL: it does not",
    ),
    Column("cancel_tokens", "INTEGER", "output tokens after which it does; NULL: it does not"),
    Column(
        "patience_ns",
        "BIGINT",
        "how long after its send it does if no output has come; NULL: it waits, as long as a request may take",
    ),
    Column("read_bytes_per_s", "DOUBLE", "rate at which its client reads; NULL: as the reply comes"),
    Column("read_tokens_per_s", "DOUBLE", "the same in output tokens"),
)

WAITS = (
    Column("request", "BIGINT", "position in the schedule"),
    Column("waits_for", "BIGINT", "a request of its session that must have ended before it is sent; a row for each"),
)

REQUESTS = (
    Column("request", "BIGINT", "position in the schedule"),
    Column("worker", "INTEGER", "load process that sent it"),
    Column("connection", "INTEGER", "connection of that worker"),
    Column("status", "VARCHAR", "ok, failed, cancelled, or abandoned: given up by its user, as planned"),
    Column("gave_up", "VARCHAR", "why it was abandoned: time, tokens or patience; NULL elsewhere"),
    Column("error_kind", "VARCHAR", "class of a failure (connect, timeout, http, stream_error, cut, ...)"),
    Column("error", "VARCHAR", "the failure in words, with what the server said"),
    Column("http_status", "INTEGER", "status code of the reply"),
    Column("finish_reason", "VARCHAR", "why the server ended the output"),
    Column(
        "planned_ns",
        "BIGINT",
        "from the schedule, never rewritten; NULL in a closed loop, and where it waited for others",
    ),
    Column(
        "ready_ns",
        "BIGINT",
        "when it became due: closed loop: its user was ready to send; where it waited for others: these had ended, and "
        "its delay was over",
    ),
    Column("conn_start_ns", "BIGINT", "new connection: start of connect"),
    Column("conn_tcp_ns", "BIGINT", "new connection: TCP established"),
    Column("conn_tls_ns", "BIGINT", "new connection: TLS established"),
    Column("send_start_ns", "BIGINT", "just before the first byte is given to the kernel"),
    Column("send_end_ns", "BIGINT", "after the send that emptied the body"),
    Column(
        "begun_ns",
        "BIGINT",
        "of a body that the kernel did not take at once: after its first send; NULL elsewhere, and in older recordings",
    ),
    Column("first_byte_ns", "BIGINT", "kernel stamp of the read that brought the status line"),
    Column("first_any_ns", "BIGINT", "first event with any output: text, reasoning or tool call"),
    Column("first_answer_ns", "BIGINT", "first event with visible content"),
    Column("last_ns", "BIGINT", "last event with output"),
    Column("first_audio_ns", "BIGINT", "first event with sound, after a WAV header; NULL where the API makes no audio"),
    Column("audio_ns", "BIGINT", "how long the sound of the reply lasts; NULL where nothing tells, or it is no audio"),
    Column("end_ns", "BIGINT", "end of the response, or of the attempt"),
    Column("input_tokens", "INTEGER", "prompt tokens planned"),
    Column("asked_tokens", "INTEGER", "output tokens asked for"),
    Column(
        "inputs",
        "INTEGER",
        "where the API generates no text: texts to embed, documents to rank, 1 text to speak or paint; NULL elsewhere",
    ),
    Column(
        "results",
        "INTEGER",
        "and the results that its reply must hold, each of another input; images, where it makes these",
    ),
    Column("prompt_tokens", "INTEGER", "prompt tokens by the server's usage, chat template included"),
    Column("cached_tokens", "INTEGER", "prompt tokens that the server took from its cache"),
    Column("reasoning_tokens", "INTEGER", "reasoning tokens by the server's usage"),
    Column("usage_tokens", "INTEGER", "output tokens by the server's usage, as it says; NULL in older recordings"),
    Column("output_tokens", "INTEGER", "output tokens by `token_source`"),
    Column(
        "token_source",
        "VARCHAR",
        "where the count comes from: usage, stream (running counts), ids, events (one token each, as the text bears "
        "out), tokenizer (over the text), or chunks (they stand in: nothing told)",
    ),
    Column("first_tokens", "INTEGER", "output tokens in the first output event; NULL if the server does not tell"),
    Column("output_chunks", "INTEGER", "events with output"),
    Column("outputs", "INTEGER", "outputs (choices) in the reply, of which the first is measured; NULL in older ones"),
    Column("other_fields", "VARCHAR", "fields with text that are not known to hold output; it counts as output"),
    Column("first_field", "VARCHAR", "of these, the one that brought the first output; NULL: a known field did"),
    Column(
        "first_events",
        "INTEGER",
        "output events that came together with the first, which hold their share of the tokens; NULL for one alone "
        "that is smaller than the others or tells its tokens",
    ),
    Column(
        "last_events",
        "INTEGER",
        "of a stream that was collected: output events of its last burst, which came after pace_end_ns; NULL elsewhere",
    ),
    Column("pace_end_ns", "BIGINT", "of a stream that was collected: time of its last burst but one; NULL elsewhere"),
    Column("server_queue_ns", "BIGINT", "time in the server's queue, by the server; NULL if it does not tell"),
    Column("server_prefill_ns", "BIGINT", "from the server's queue to its first token, by the server"),
    Column("server_decode_ns", "BIGINT", "from its first token to its last, by the server"),
    Column(
        "draft_steps",
        "INTEGER",
        "speculative decoding, by the server: steps that had guessed tokens to verify; NULL if it does not tell, as in "
        "older recordings",
    ),
    Column("draft_tokens", "INTEGER", "tokens that were guessed, likewise"),
    Column("accepted_tokens", "INTEGER", "guessed tokens that held, likewise"),
    Column("reads", "INTEGER", "socket reads of the response"),
    Column("bytes_sent", "BIGINT", "request bytes, headers included"),
    Column("bytes_received", "BIGINT", "response bytes, headers and framing included"),
    Column(
        "counted",
        "BOOLEAN",
        "false: sent beyond the end, to keep the load on until the last counted reply; NULL in older recordings: true",
    ),
    Column("class", "INTEGER", "class, as in the schedule; 0 where there is one"),
    Column("address", "VARCHAR", "address that it was sent to, a proxy's where there is one; NULL in older recordings"),
)

CHUNKS = (
    Column("request", "BIGINT", "position in the schedule"),
    Column("read", "INTEGER", "number of the socket read that completed the event, from 0 in each response"),
    Column("t_ns", "BIGINT", "receive time: the kernel's stamp, or user time where there is none"),
    Column(
        "lag_ns", "BIGINT", "user time of the read minus t_ns: the instrument's own delay; NULL without a kernel stamp"
    ),
    Column(
        "poll_ns",
        "BIGINT",
        "where the event may have come before t_ns (its read brought more after it, or has no kernel stamp): the last "
        "look at the sockets before that read, which it came after; of a Python callable the stamp less what a waiting "
        "thread was late by; NULL elsewhere, and in older recordings",
    ),
    Column("kind", "UTINYINT", "bit set of KIND_*"),
    Column("tokens", "INTEGER", "output tokens of the event; NULL if unknown"),
    Column("bytes", "INTEGER", "payload bytes of the event"),
)

TEXT = (
    Column("request", "BIGINT", "position in the schedule"),
    Column("body", "VARCHAR", "request body as sent; bytes that are no text, as of audio in a form, are replaced"),
    Column("content", "VARCHAR", "visible output"),
    Column("reasoning", "VARCHAR", "reasoning output"),
)

TOKENS = (
    Column("request", "BIGINT", "position in the schedule"),
    Column("output_tokens", "INTEGER", "output tokens, in the light of the text"),
    Column("text_tokens", "INTEGER", "tokens of the text by the spec's tokenizer; NULL in older ones: output_tokens"),
    Column("token_source", "VARCHAR", "as in the requests; NULL in older ones: tokenizer"),
    Column("first_tokens", "INTEGER", "output tokens in the first output event; NULL if unknown"),
)


LOOKS = (
    Column("source", "INTEGER", "which of sources.json, from 0"),
    Column("start_ns", "BIGINT", "when the look began"),
    Column("end_ns", "BIGINT", "when its answer was there, or it was given up"),
    Column("error", "VARCHAR", "why it brought nothing; NULL if it did"),
)

SERIES = (
    Column("source", "INTEGER", "which of sources.json, from 0"),
    Column("t_ns", "BIGINT", "when the value held: the middle of its look"),
    Column("name", "VARCHAR", "as the source names it"),
    Column("labels", "VARCHAR", 'as the source writes them, {device="0"}; empty without'),
    Column("value", "DOUBLE", "value; NULL if it was no finite number"),
)

FILED = {
    "schedule": SCHEDULE, "requests": REQUESTS, "chunks": CHUNKS, "text": TEXT, "tokens": TOKENS, "looks": LOOKS,
    "series": SERIES, "waits": WAITS,
}  # fmt: skip
"""Columns of the Parquet files, by the word that their names begin with."""


class Source(msgspec.Struct, kw_only=True):
    """One thing that was watched beside the load."""

    kind: str
    """prometheus, nvml or host."""
    name: str
    """What a person calls it: the page's URL without credentials, "this machine", or the GPU driver."""
    notes: list[str] = []
    """What a reader must know of it, in words."""
    phrases: dict[str, Phrase] = {}
    """What the errors of its looks were made of, and its notes; not there in older recordings."""


class Stopped(msgspec.Struct, kw_only=True):
    """A run that was ended before its time because what it was to show had been seen."""

    kind: str
    """saturated (the queue grew beyond doubt), decided (a test had its answer) or failures (too many, beyond doubt)."""
    at_ns: Ns
    """Nothing planned after this time was sent."""
    reason: str
    """In words."""
    cancelled: bool = False
    """Whether what was in the air was given up; else it was awaited."""


class Manifest(msgspec.Struct, kw_only=True):
    """recording.json: what this recording is and how its run went."""

    format: int = FORMAT
    loadcell: str
    id: str
    started_at: str
    """Wall-clock start, ISO 8601 with zone; the only wall time in a recording."""
    state: Literal["running", "complete", "interrupted", "broken"] = "running"
    """running, complete, interrupted (by a person) or broken (a worker died, the disk was full)."""
    loop: Literal["open", "closed"]
    """open (requests arrive by the clock) or closed (a user sends when its last request ended)."""
    planned: Ns | None
    """Requests that the run meant to send; None where a closed loop runs for a time: then those it started."""
    workers: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    schedule_hash: str
    """SHA-256 over times and lengths; up to format 4 over the prompts too."""
    bodies_hash: str | None = None
    """SHA-256 over the bodies of all planned requests; None up to format 4."""
    clock: str
    """kernel, user or mixed: who stamped the received chunks."""
    core: str | None = None
    """C or Python: the form of what waited, read and stamped; None in recordings of older versions."""
    window_end_ns: Ns | None = None
    """Planned end of sending, where a duration was asked for. A run that was stopped counts up to here; where what
    was in the air was given up, that is the last time before which every request's outcome was known."""
    stopped: Stopped | None = None
    ended_ns: Ns | None = None
    """End of the run on the monotonic clock, since t0."""
    files: dict[str, str] | None = None
    """SHA-256 of every other file, made when the run had ended; None in older recordings and where it did not end."""
    sha256: str | None = None
    """Of this file without this field, as JSON with sorted names and without blanks."""
    effective: dict[str, Any] = {}
    """Settings as they were after defaults and negotiation: model, path, workers, tokenizer, ramp, ..."""
    notes: list[str] = []
    """Things a reader must know, in words."""
    invalid: list[str] = []
    """Reasons why no figure of this run may be trusted, in words."""
    phrases: dict[str, Phrase] = {}
    """What the sentences of this file were made of; not there in older recordings."""
