"""One HTTP reply of an OpenAI-compatible server, from raw socket reads to classified events.

Pure: bytes in, events out, no clock and no socket. It may be fed as the reads come or long after; every event carries
the number of the read that completed it, through which it gets its time.
"""

from __future__ import annotations

from collections.abc import Sequence

import httptools

from loadcell.kinds import KIND_ANSWER, KIND_DONE, KIND_ERROR, KIND_OUTPUT
from loadcell.protocol.odd import decode_event
from loadcell.protocol.openai import NOT_JSON
from loadcell.protocol.refusal import error_message
from loadcell.protocol.said import Said

MAX_HEADER_BYTES = 256 * 1024
MAX_EVENT_BYTES = 16 * 1024 * 1024
MAX_REPLY_BYTES = 256 * 1024 * 1024
MAX_ERROR_BYTES = 1024 * 1024
MAX_EVENTS = 1_000_000
_ERROR_BODY_BYTES = 64 * 1024

_FRAME_BYTES = len(b"data: \n\n")


class Reply(Said):
    """State of one reply. Read the fields once `complete` is set or `close` was called; `failure` is (kind, words)."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 0
        self.complete = False
        self.keep_alive = False
        self.streamed = False
        self.bytes = 0
        self.tails: set[int] = set()
        """Reads that brought something after the end of their last event: its bytes came no later than theirs."""

        self._body: list[bytes] = []
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._pending: list[tuple[int, bytes]] = []
        self._header_done = False
        self._media = b""
        self._retry_after = b""
        self._framed = False
        self._another = False
        self._half_end = False
        self._http: httptools.HttpResponseParser | None = None
        self.on_body = self._body.append
        self._http = httptools.HttpResponseParser(self)

    @property
    def closed(self) -> bool:
        """Whether the reply is over and judged: nothing more is taken."""
        return self._http is None

    # --- called by httptools ---

    def on_message_begin(self) -> None:
        self._another = self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-type":
            self._media = value.partition(b";")[0].strip().lower()
        elif name in (b"content-length", b"transfer-encoding"):
            self._framed = True
        elif name == b"retry-after":
            self._retry_after = value.strip()

    def on_headers_complete(self) -> None:
        assert self._http is not None
        self.status = self._http.get_status_code()
        self.keep_alive = self._http.should_keep_alive()
        self._header_done = self.status >= 200
        self.streamed = self.status == 200 and self._media == b"text/event-stream"

    def on_message_complete(self) -> None:
        self.complete = self.status >= 200

    # --- called by the load ---

    def feed(self, reads: Sequence[bytes], first: int) -> None:
        """Take socket reads in order; `first` is the number of the first one. Never raises on what a server sends."""
        http, body = self._http, self._body
        if http is None:
            return
        self.bytes += sum(map(len, reads))
        number = first
        run: list[bytes] = []
        numbers: list[int] = []
        try:
            for number, data in enumerate(reads, first):
                if self.complete:
                    self._fail("protocol", "the server sent bytes after the end of its reply")
                    return
                http.feed_data(data)
                if self._another:
                    self._fail("protocol", "the server sent more than one reply")
                    return
                if body:
                    piece = body.pop() if len(body) == 1 else b"".join(body)
                    body.clear()
                    if self._twin is None or self._rest:
                        self._take(number, piece)
                    else:
                        run.append(piece)
                        numbers.append(number)
            if run:
                self._take_run(numbers, run)
        except httptools.HttpParserUpgrade:
            self._fail("protocol", "the server switched to another protocol")
            return
        except httptools.HttpParserError as error:
            self._fail("protocol", f"not an HTTP/1.1 reply: {error}")
            return
        if not self._header_done and self.bytes > MAX_HEADER_BYTES:
            self._fail("too_large", f"headers of more than {MAX_HEADER_BYTES // 1024} KiB")
        elif self.bytes > MAX_REPLY_BYTES or len(self.reads) > MAX_EVENTS:
            self._fail("too_large", f"a reply of more than {MAX_REPLY_BYTES >> 20} MiB or {MAX_EVENTS:,} events")
        elif self._header_done and self.status != 200 and self.bytes > MAX_ERROR_BYTES:
            self._finish(number)  # all that is told of it has been read
            self.keep_alive = False
        elif self._http is not None:
            self._decode()
            if self.complete:
                self._finish(number)

    def close(self, read: int) -> None:
        """The connection ended at read number `read`."""
        http = self._http
        if http is None:
            return
        if not self.complete and not self.bytes:
            self._fail("reset", "the server closed the connection without a reply")
        elif not self._header_done:
            self._fail("cut", "the connection ended inside the headers of the reply")
        else:
            self._decode()
            ended = self.ended if self.streamed else not self._framed
            if self.complete or ended:
                self._finish(read)
            else:
                self._fail("cut", "the connection ended before the reply did")
        self.keep_alive = False

    def _fail(self, kind: str, words: str) -> None:
        self.failure = self.failure or (kind, words)
        self.keep_alive = False
        self._release()

    def _release(self) -> None:
        # httptools holds this object and this object holds httptools: without the collector, only we can free them.
        self._http = None
        self._body.clear()
        self._pending.clear()
        self._drop_rest()

    def _take_run(self, numbers: list[int], pieces: list[bytes]) -> None:
        """Body bytes of reads that began at the start of an event and most likely hold one token event each."""
        assert self._twin is not None
        texts, odd = self._twin.texts(pieces)
        if texts:
            if self._pending:
                self._decode()
            self._went_on = self._went_on or self.finish_reason is not None
            self.content.append(texts)
            self.reads += numbers[:odd]
            self.kinds += [KIND_ANSWER] * odd
            self.tokens += [None] * odd
            self.sizes += [len(piece) - _FRAME_BYTES for piece in pieces[:odd]]
        for number, piece in zip(numbers[odd:], pieces[odd:], strict=True):
            self._take(number, piece)

    def _take(self, number: int, data: bytes) -> None:
        """Body bytes of one read: cut out whole events, keep the rest."""
        if not self.streamed:
            if self.status == 200 or self._rest_bytes < _ERROR_BODY_BYTES:
                self._keep(data, "a reply")
            return
        if self._rest:
            if b"\n" not in data and b"\r" not in data:  # no event ends here: join the pieces once, when one does
                self._keep(data, "an event")
                return
            self._rest.append(data)
            data = b"".join(self._rest)
            self._drop_rest()
        held = b""
        if self._half_end and data.startswith(b"\n"):
            data = data[1:]
        self._half_end = data.endswith(b"\r\r")  # a blank line, to which a line feed may still belong
        if b"\r" in data:
            if data.endswith(b"\r") and not self._half_end:  # its line feed may come with the next read
                data, held = data[:-1], b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        parts = data.split(b"\n\n")
        tail = parts.pop()
        if tail and parts:
            self.tails.add(number)
        self._keep(tail + held, "an event")
        for part in parts:
            self._pending.append((number, part))
        if self._twin is None and self._lessons:
            self._decode()

    def _keep(self, data: bytes, what: str) -> None:
        if data:
            self._rest.append(data)
            self._rest_bytes += len(data)
            if self._rest_bytes > MAX_EVENT_BYTES:
                self._fail("too_large", f"{what} of more than {MAX_EVENT_BYTES >> 20} MiB")

    def _drop_rest(self) -> None:
        self._rest.clear()
        self._rest_bytes = 0

    def _decode(self) -> None:
        """Classify the events that were cut out since the last call."""
        if not self._pending:
            return
        numbers: list[int] = []
        payloads: list[bytes] = []
        for number, raw in self._pending:
            if raw.startswith(b"data: ") and b"\n" not in raw:
                payload, error = raw[6:], False
            else:
                payload, error = _fields(raw)
            if payload.startswith(b"{") and not error:
                numbers.append(number)
                payloads.append(payload)
                continue
            if payloads:
                self._classify(numbers, payloads)
                numbers, payloads = [], []
            self._odd(number, payload, error)
        self._pending.clear()
        if payloads:
            self._classify(numbers, payloads)

    def _odd(self, number: int, payload: bytes, error: bool) -> None:
        """An event that is not a JSON object: the end mark, an error by name, a comment, or junk."""
        if error:
            self._note(number, KIND_ERROR, None, len(payload))
            self.failure = self.failure or ("stream_error", error_message(payload))
        elif payload.strip() == b"[DONE]":
            self.done = True
            self._note(number, KIND_DONE, None, len(payload))
        elif payload:
            self._note(number, KIND_ERROR, None, len(payload))
            self.failure = self.failure or ("invalid_json", f"an event is not JSON: {error_message(payload[:200])}")

    def _finish(self, read: int) -> None:
        """Judge the whole reply."""
        rest = b"".join(self._rest).strip()
        if self.status != 200:
            said = error_message(rest) or "an empty body"
            after = error_message(self._retry_after)
            self.failure = (f"http_{self.status}", f"{said} (Retry-After: {after})" if after else said)
        elif self.streamed:
            self.tails.add(read)  # the end of the reply came after its last event
            if rest:  # a last event without its blank line
                self._pending.append((read, rest))
                self._decode()
            if not self.ended:
                self.failure = self.failure or ("cut", "the stream ended without a finish reason and without [DONE]")
        else:
            self._whole(read, rest)
        if self.others:
            self.settle()
        if self.failure is None and not any(kind & KIND_OUTPUT for kind in self.kinds):
            claimed = self.usage.completion_tokens if self.usage else None
            self.failure = (
                "empty",
                "the reply holds no output" + (f" (usage claims {claimed} tokens)" if claimed else ""),
            )
        self._release()

    def _whole(self, read: int, payload: bytes) -> None:
        """A reply that was not streamed: one event that holds everything."""
        try:
            event = decode_event(payload)
        except NOT_JSON:
            self.failure = self.failure or ("invalid_json", f"the reply is not JSON: {error_message(payload[:200])}")
            return
        self._event(read, event, payload)
        # Its usage counts the whole reply: there is no first token in it to be timed.
        self.tokens[-1], self.token_source = None, None
        if self.failure is None and not event.choices:
            self.failure = ("protocol", f"the reply has no choices: {error_message(payload[:200])}")


def _fields(raw: bytes) -> tuple[bytes, bool]:
    """The data of an event in any legal form, and whether its name says "error" (WHATWG, server-sent events)."""
    data: list[bytes] = []
    error = False
    for line in raw.lstrip(b"\xef\xbb\xbf\n").split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            error = value == b"error"
        elif line.startswith(b"{"):  # no legal field: a server that writes its error as a bare line
            data.append(line)
    return b"\n".join(data), error
