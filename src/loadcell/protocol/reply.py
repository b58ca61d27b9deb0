"""One HTTP reply, from raw socket reads to classified events, in whatever dialect it is.

Pure: bytes in, events out, no clock and no socket. It may be fed as the reads come or long after; every event carries
the number of the read that completed it, through which it gets its time.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import httptools
import msgspec

from loadcell.core import Scan, Tape
from loadcell.kinds import KIND_DONE, KIND_EMPTY, KIND_ERROR
from loadcell.phrases import phrase
from loadcell.protocol.coding import CodingError, Unpacking
from loadcell.protocol.cutting import DATA, MAX_EVENT_BYTES, Cutter, TooLarge, fields
from loadcell.protocol.dialect import Dialect
from loadcell.protocol.head import MAX_HEADER_BYTES, Head
from loadcell.protocol.refusal import error_message, is_html, no_http, no_json, refused
from loadcell.protocol.results import unlike
from loadcell.protocol.said import Said
from loadcell.protocol.twin import Twin
from loadcell.protocol.values import EMPTY, FAILED, NOT_JSON

MAX_REPLY_BYTES = 256 * 1024 * 1024
MAX_ERROR_BYTES = 1024 * 1024
MAX_EVENTS = 1_000_000
_ERROR_BODY_BYTES = 64 * 1024
_BEGUN_BYTES = 1024
_END_NS, _WORDS_NS, _USAGE_NS = 100_000_000, 1_000_000_000, 5_000_000_000
"""Silence after which a reply is over whose server leaves it open: after its end mark; after its usage, or where only
words of a refusal may follow; after its finish reason, when usage may still come."""
_EVENT_BYTES = 120
"""Of memory for an event, beside its text."""
_SIGNS_OF_LIFE = frozenset([b"ping", b"pong", b"heartbeat", b"keepalive", b"keep-alive", b"keep_alive"])
_FIELDS = (b"id:", b"event:", b"retry:", b":")
_STRING = msgspec.json.Decoder(str)
_CHEAPER = 4
"""An event of the known form costs less than a read that is parsed, by this factor and more."""
_AT_A_TIME_MOST = 64
"""Reads that are cut as they came before the form is tried again, where as many in a row were unlike it."""


class Reply(Said):
    """State of one reply. Read the fields once `complete` is set or `close` was called; `failure` is (kind, words)."""

    def __init__(self, dialect: Dialect, wanted: tuple[int, int] | None = None) -> None:
        """`wanted`: inputs and results that were asked for, where the API generates nothing and they are known."""
        super().__init__(dialect)
        self.wanted = wanted
        self.status = 0
        self.complete = False
        self.keep_alive = False
        self.left_open = False
        """Whether its end was not told but concluded, from what it said and from silence."""
        self.bytes = 0

        self._body: list[bytes] = []
        self._cut = Cutter(b"", ok=False)
        self._bare_bytes = 0
        """Bytes since the last of the body: of a head, of trailers, of chunk extensions."""
        self._plain = False
        """Whether the body is known to need no unpacking."""
        self._unpacking: Unpacking | None = None
        self._unpacked = 0
        self._header_done = False
        self._another = False
        self._began = b""
        """What came first, for the words where it is no HTTP."""
        self._between = False
        """Whether a chunk has ended with what was fed last."""
        self._at_a_time = 1
        """Reads that are cut as they came before the form is tried again."""
        self._head = Head()
        self._http: httptools.HttpResponseParser | None = None
        self.on_header = self._head.on_header
        self.on_body = self._body.append
        self._http = httptools.HttpResponseParser(self)

    @property
    def good(self) -> bool:
        """Whether the status says that the request succeeded."""
        return 200 <= self.status < 300

    @property
    def streamed(self) -> bool:
        """Whether its events came one by one, by what it holds and not by the type that it names."""
        return self._cut.streamed

    @property
    def tails(self) -> set[int]:
        """Reads that brought something after the end of their last event: its bytes came no later than theirs."""
        return self._cut.tails

    @property
    def patience_ns(self) -> int | None:
        """How long to wait for more before it is judged by what has been read; None: as long as a request may take."""
        if not self._header_done:
            return None
        if not self.good:
            return _WORDS_NS
        if self.done:
            return _END_NS
        if self.ended:
            return _USAGE_NS if self.usage is None else _WORDS_NS
        if self._cut.rest_bytes > MAX_ERROR_BYTES:  # this is asked again and again: too much to look through
            return None
        return _WORDS_NS if self._cut.is_document() or (self.streamed and self._last_words()) else None

    def _last_words(self) -> bool:
        """Whether an event that nobody has ended yet is an end mark or a failure."""
        rest = b"".join(self._cut.rest).strip()
        payload, name = fields(rest) if rest else (b"", "")
        if payload.startswith(b"{"):
            return self._tells_error(name) or (b'"error"' in payload and payload.endswith(b"}"))
        return bool(payload) and (self._tells_error(name) or self.dialect.is_end(payload))

    def _tells_error(self, name: str) -> bool:
        """Whether an event of this name tells of an error."""
        return name.endswith(FAILED) and name not in self.dialect.harmless

    @property
    def closed(self) -> bool:
        """Whether the reply is over and judged: nothing more is taken."""
        return self._http is None

    # --- called by httptools ---

    def on_message_begin(self) -> None:
        self._another = self.complete
        self._head.clear()

    def on_headers_complete(self) -> None:
        assert self._http is not None
        if self._another:
            raise httptools.HttpParserError("another reply")  # ends the parsing: nothing of it is taken
        self.status = self._http.get_status_code()
        self.keep_alive = self._http.should_keep_alive()
        self._header_done = self.status >= 200
        generates = self.dialect.generates  # else it is one document, however large
        most = MAX_EVENT_BYTES if generates else MAX_REPLY_BYTES
        self._cut = Cutter(self._head.media, ok=self.good and generates, most=most)

    def on_message_complete(self) -> None:
        self.complete = self.status >= 200

    def on_chunk_header(self) -> None:
        self._between = False

    def on_chunk_complete(self) -> None:
        self._between = True

    # --- called by the load ---

    def asked(self, body: bytes) -> None:
        """Take note of what was sent, where the reply is read by it."""

    def take(self, tape: Tape, most: int) -> None:
        """Parse about so many of the reads that wait in a tape: events of the known form at once, others one by one."""
        while most > 0 and tape.stored and not self.closed:
            found = self._scan(tape, _CHEAPER * most)
            if found is not None and self._twin is not None:
                most -= -(-len(found.reads) // _CHEAPER)
                self._at_a_time = 1
                self._alike(found, self._twin)
                continue
            first = tape.taken
            parted = bool(self.reads) and first == self.reads[-1]
            costs = self.dialect.costs
            pieces = tape.pieces(1 if parted else min(-(-most // costs), self._at_a_time))
            if not pieces:  # none of what waited was more than a part of a TLS record
                return
            most -= costs * len(pieces)
            if not self._eager or self._twin is not None:
                self._at_a_time = min(2 * self._at_a_time, _AT_A_TIME_MOST)
            self.feed(pieces, first)
            self._between = self._between and pieces[-1].endswith(b"\r\n")
            if parted and self._cut.rest:
                self._cut.tails.add(first)
        if self.closed:
            self.bytes += tape.drop()

    def _scan(self, tape: Tape, most: int) -> Scan | None:
        """Events of the known form, where the stream is at the begin of a chunk and of an event."""
        twin = self._twin
        if twin is None or not (self._between and self._plain and self.streamed) or self._cut.rest or self.complete:
            return None
        return tape.scan(twin.form, min(most, MAX_EVENTS + 1 - len(self.reads)))

    def _alike(self, found: Scan, twin: Twin) -> None:
        """Take events that differ from a decoded one in their content alone, and in their own numbers."""
        n, last = len(found.reads), self.reads[-1] if self.reads else -1
        self._went_on = self._went_on or self.finish_reason is not None
        self.content.append(_STRING.decode(b'"%b"' % found.text) if b"\\" in found.text else found.text.decode())
        if found.begins != found.reads:  # what came after the end of an event was the begin of the next
            befores = [last, *found.reads]
            self._cut.tails.update(
                begin for begin, end, before in zip(found.begins, found.reads, befores, strict=False)
                if begin == before != end
            )  # fmt: skip
        self.reads += found.reads
        self.kinds += bytes([twin.kind]) * n
        self._count_alike(n, twin, found.told)
        self.sizes += array("i", [size - twin.beside for size in found.sizes]) if twin.beside else found.sizes
        self.bytes += found.taken
        self._bare_bytes = 0
        self._bound()

    def feed(self, reads: Sequence[bytes], first: int) -> None:
        """Take socket reads in order; `first` is the number of the first one. Never raises on what a server sends."""
        http, body = self._http, self._body
        self.bytes += sum(map(len, reads))
        if http is None:
            return
        number = first
        self._began = self._began or reads[0][:_BEGUN_BYTES]
        plain, bare_bytes = self._plain, self._bare_bytes
        try:
            for number, data in enumerate(reads, first):
                if self.complete:
                    self._fail("protocol", phrase("the server sent bytes after the end of its reply"))
                    return
                broken = None
                try:
                    http.feed_data(data)
                except httptools.HttpParserError as error:
                    broken = error  # what came before it counts, as if it had come alone
                if body:
                    piece = body.pop() if len(body) == 1 else b"".join(body)
                    body.clear()
                    bare_bytes = 0
                    if not plain:
                        piece = self._unpack(piece)
                        plain = self._plain
                    if piece:
                        self._take(number, piece)
                else:
                    bare_bytes += len(data)
                if self._another and (broken is None or isinstance(broken, httptools.HttpParserCallbackError)):
                    self._fail("protocol", phrase("the server sent more than one reply"))
                    return
                if broken is not None:
                    raise broken
            self._bare_bytes = bare_bytes
        except httptools.HttpParserUpgrade:
            self._fail("protocol", phrase("the server switched to another protocol"))
            return
        except httptools.HttpParserError as error:
            broke = phrase("not an HTTP/1.1 reply: {}", error) if self._header_done else no_http(self._began, error)
            self._fail("protocol", broke)
            return
        except CodingError as error:
            self._fail("encoding", str(error))
            return
        except TooLarge as error:
            self._fail("too_large", str(error))
            return
        if self._bound():
            return
        if self.bytes > MAX_ERROR_BYTES and self._header_done and not self.good:
            self._finish(number)  # all that is told of it has been read
        elif self._http is not None:
            self._decode()
            if self.complete or self.failure:  # what has failed is not waited for
                self._finish(number)

    def _bound(self) -> bool:
        """Fail what is larger than any reply."""
        if self._bare_bytes > MAX_HEADER_BYTES:
            key = phrase("trailers of more than {} KiB") if self._header_done else phrase("headers of more than {} KiB")
            self._fail("too_large", phrase(key, MAX_HEADER_BYTES // 1024))
        elif self.bytes > MAX_REPLY_BYTES or self._unpacked > MAX_REPLY_BYTES or len(self.reads) > MAX_EVENTS:
            self._fail(
                "too_large", phrase("a reply of more than {} MiB or {:,} events", MAX_REPLY_BYTES >> 20, MAX_EVENTS)
            )
        else:
            return False
        return True

    def close(self, read: int) -> None:
        """The connection ended at read number `read`."""
        http = self._http
        if http is None:
            return
        if not self.complete and not self.bytes:
            self._fail("reset", phrase("the server closed the connection without a reply"))
        elif not self._header_done:
            self._fail("cut", phrase("the connection ended inside the headers of the reply"))
        else:
            self._decode()
            ended = self.ended if self.streamed else not self._head.framed
            if self.complete or ended or not self.good:
                self._finish(read)
            elif self.streamed and self.dialect.ends_with_body and not self._head.framed:
                self._fail("cut", phrase("nothing tells a whole reply from a cut one: its head names no length"))
            else:
                self._fail("cut", phrase("the connection ended before the reply did"))
        self.keep_alive = False

    def weight(self) -> int:
        """Bytes of memory that it takes, about: its text, its events, and what is not cut into events yet."""
        return self.bytes + self._unpacked + _EVENT_BYTES * len(self.reads)

    def give_up(self, read: int) -> None:
        """Nothing more has come for its `patience_ns`: judge it by what there is."""
        if not self.closed:
            self.left_open = not self.complete
            self._decode()
            self._finish(read)

    def _unpack(self, piece: bytes) -> bytes:
        """The piece of a body that may be packed, as far as it can be unpacked by now."""
        unpacking = self._unpacking = self._unpacking or self._head.unpacking(piece)
        if unpacking is None:
            self._plain = True
            return piece
        piece = unpacking.take(piece)
        self._unpacked += len(piece)
        return piece

    def _fail(self, kind: str, words: str) -> None:
        self._decode()  # what came before it may have failed for itself
        self.failure = self.failure or (kind, words)
        self.keep_alive = False
        self._release()

    def _release(self) -> None:
        # httptools holds this object and this object holds httptools: without the collector, only we can free them.
        self._http = None
        self._body.clear()
        self._cut.parts.clear()
        self._cut.drop()

    def _take(self, number: int, data: bytes) -> None:
        """Body bytes of one read: cut out whole events, keep the rest."""
        if not self.good and self._cut.rest_bytes > _ERROR_BODY_BYTES:
            return
        self._cut.take(number, data)
        self._parted = self._cut.between
        if self._twin is None and self._eager:
            self._decode()

    def _decode(self) -> None:
        """Classify the events that were cut out since the last call. The first failure is the last that counts."""
        pending = self._cut.parts
        if not pending or not self.streamed:
            return
        numbers: list[int] = []
        payloads: list[bytes] = []
        leads: list[bytes] = []
        for number, raw in pending:
            lead = DATA
            if raw.startswith(b"data: ") and b"\n" not in raw:
                payload, name = raw[6:], ""
            else:
                payload, name = fields(raw)
                lead = raw.removesuffix(payload)
            if not payload.startswith(b"{"):
                payload = payload.strip()
            if payload.startswith(b"{") and not (name and self._tells_error(name)):
                numbers.append(number)
                payloads.append(payload)
                leads.append(lead)
                continue
            if payloads:
                self._classify(numbers, payloads, leads)
                numbers, payloads, leads = [], [], []
            if self.failure is None:
                self._odd(number, payload, name)
        pending.clear()
        if payloads:
            self._classify(numbers, payloads, leads)

    def _odd(self, number: int, payload: bytes, name: str) -> None:
        """An event that is not a JSON object: the end mark, an error by name, a comment, a sign of life, or junk."""
        if self._tells_error(name):
            self._note(number, KIND_ERROR, None, len(payload))
            self.failure = self.failure or ("stream_error", error_message(payload))
        elif self.dialect.is_end(payload):
            self.done = True
            self._note(number, KIND_DONE, None, len(payload))
        elif not payload:
            return
        elif name not in ("", "message") or payload in EMPTY or payload.strip(b'"[]').lower() in _SIGNS_OF_LIFE:
            self._note(number, KIND_EMPTY, None, len(payload))
        else:
            self._note(number, KIND_ERROR, None, len(payload))
            self.failure = self.failure or (
                "invalid_json",
                phrase("an event is not JSON: {}", error_message(payload[:200])),
            )

    def _finish(self, read: int) -> None:
        """Judge the whole reply."""
        document = self._cut.end(read)
        if not self.complete:
            self.keep_alive = False
        if not self.good:
            self.failure = (f"http_{self.status}", refused(self.status, self._head, document))
        elif self.streamed:
            self.tails.add(read)  # the end of the reply came after its last event
            last = b"\n\n".join(raw for _, raw in self._cut.parts)
            self._decode()
            self.done = self.done or (self.complete and self.dialect.ends_with_body and self.failure is None)
            if not self.ended:
                known = not self.strange or any(kind != KIND_EMPTY for kind in self.kinds)
                self.failure = self.failure or self._no_end(last) if known else self._no_api(self.strange)
        else:
            self._whole(read, document)
        if self.others:
            self.settle()
        if self.failure is None:
            self.failure = self._lacks()
        self._release()

    def _whole(self, read: int, payload: bytes) -> None:
        """A reply that was not streamed: one event that holds everything."""
        try:
            heard = self.dialect.whole(payload)
        except NOT_JSON:
            self.failure = self.failure or ("html" if is_html(payload) else "invalid_json", no_json(payload))
            return
        self._hear(read, heard, payload, b"")
        # Its usage counts the whole reply: there is no first token in it to be timed.
        self.tokens[-1], self.token_source = None, None
        if self.failure is None and not heard.known:
            self.failure = self._no_api(payload)

    def _lacks(self) -> tuple[str, str] | None:
        """What of that which was asked for a reply does not hold, though nothing in it tells of a failure."""
        if not self.dialect.generates:
            return unlike(self.results, self.wanted)
        if 1 in self.outputs():
            return None
        claimed = self.usage.output_tokens if self.usage else None
        key = phrase("the reply holds no output (usage claims {} tokens)")
        return "empty", phrase(key, claimed) if claimed else phrase("the reply holds no output")

    def _no_api(self, payload: bytes) -> tuple[str, str]:
        return "protocol", phrase("the reply has no {}: {}", self.dialect.holds, error_message(payload[:200]))

    def _no_end(self, last: bytes) -> tuple[str, str]:
        """What went wrong with a stream that nobody ended: with what stands at its end in place of events."""
        if is_html(last):
            return "html", no_json(last)
        key = phrase("the stream ended without a finish reason and without {}")
        if self.dialect.strict:
            key = phrase("the stream ended without {}")
        words = phrase(key, self.dialect.ends)
        said = b"" if fields(last)[0] or last.startswith(_FIELDS) else last.strip()
        return "cut", phrase("{}; its last words: {}", words, error_message(said)) if said else words
