"""The engine on a socket: one process, one thread, one loop.

The price of a token is a clock reading, a concatenation, a send and an append; all else happens when a request
starts, ends or meets trouble. A streamed response sends its headers when the request has arrived, whatever the
queue; the first token's write holds the role event too, the last one's the finish, usage and end events, so each
token is one segment and no event without a token disturbs the timing.
"""

from __future__ import annotations

import errno
import gc
import socket
import sys
import time
from array import array
from collections.abc import Callable, Iterator

from loadcell.engine import http
from loadcell.engine.api import ApiError, Asked, Phrases, Times, Voice, error_body, models_body
from loadcell.engine.apis import APIS, OPENAI, Api
from loadcell.engine.connection import Connection
from loadcell.engine.model import TABLE, Model, Stream
from loadcell.engine.options import EngineOptions
from loadcell.engine.poller import READ, WRITE, open_poller
from loadcell.engine.pooling import info_body
from loadcell.engine.prefix_cache import PrefixCache
from loadcell.engine.prometheus import Metrics
from loadcell.engine.seeded import NAME, NAME2, fate, mix
from loadcell.engine.start import bind_to_cpu, listen, tls_context
from loadcell.engine.truth import Truth, TruthLog

_TOKENS_PER_POLL = 64
_ACCEPTS_PER_POLL = 64
_ACCEPT_RETRY_NS = 100_000_000
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_FAILED = "The engine failed, as it was asked to."

_now = time.monotonic_ns


class Exchange(Stream):
    """A request that is being answered."""

    __slots__ = (
        "api",
        "arrival_ns",
        "asked",
        "conn",
        "gone_ns",
        "plain_until",
        "request_id",
        "session",
        "stamps",
        "trouble",
        "trouble_at",
        "voice",
        "whole",
    )

    conn: Connection[Exchange]
    arrival_ns: int
    api: Api
    asked: Asked
    voice: Voice
    """Not there where nothing is generated."""
    whole: Callable[[int, Times], bytes]
    """The body of its response where that is not streamed."""
    gone_ns: int | None
    """When its client was seen to have gone."""
    request_id: str | None
    session: str | None
    stamps: array[int]
    trouble: str | None
    trouble_at: int
    """Tokens after which the trouble comes; 0: none."""
    plain_until: int
    """While fewer tokens than this are out, one more is just a token; 0 before the first."""


class Server:
    """The listening engine. OSError if it cannot listen, ValueError if its options cannot be met here."""

    def __init__(self, options: EngineOptions) -> None:
        self._options = options
        self._several = options.tokens_per_chunk > 1 or options.draft_tokens > 0
        self._tls = tls_context(options)
        if options.cpu is not None:
            bind_to_cpu(options.cpu)
        self._phrases = Phrases(options)
        self._model: Model[Exchange] = Model(options)
        self._truth = TruthLog()
        self._metrics = Metrics(options.model)
        self._seq = 0
        self._pooled = 0
        """Whole replies of what generates nothing, which the model counts as a token each."""
        self._created_s = int(time.time())
        self._conns: dict[int, Connection[Exchange]] = {}
        self._routes: dict[str, dict[str, Callable[[Connection[Exchange]], None]]] = {
            "/v1/models": {
                "GET": lambda conn: conn.write(http.response(200, models_body(options.model, self._created_s)))
            },
            "/info": {"GET": lambda conn: conn.write(http.response(200, info_body(options.model)))},
            "/health": {"GET": lambda conn: conn.write(http.response(200, b""))},
            "/metrics": {"GET": self._get_metrics},
            "/truth": {"GET": self._get_truth, "DELETE": self._delete_truth},
        }
        self._cache = PrefixCache(options.cache_tokens, options.cache_block) if options.cache_tokens else None
        if self._cache is not None:
            self._routes["/reset_prefix_cache"] = {"POST": self._reset_cache}
        self._listener = listen(options.host, options.port)
        self._accept_at: int | None = None
        self._poller = open_poller()
        self._poller.register(self._listener, READ)

    @property
    def url(self) -> str:
        """Base URL; the port is the one taken."""
        host, port = self._listener.getsockname()[:2]
        scheme = "https" if self._tls else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def close(self) -> None:
        for conn in list(self._conns.values()):
            conn.close()
        self._poller.unregister(self._listener)
        self._listener.close()
        self._poller.close()

    def run(self) -> None:
        """Serve for ever, with the garbage collector off: the process belongs to the engine now."""
        gc.collect()
        gc.freeze()
        gc.disable()
        model, poller, conns = self._model, self._poller, self._conns
        listener = self._listener.fileno()
        while True:
            emitted = 0
            while emitted < _TOKENS_PER_POLL and (batch := model.advance(_now(), _TOKENS_PER_POLL)):
                self._emit(batch)
                emitted += len(batch)
            wake = model.next_due()
            accept_at = self._accept_at
            if accept_at is not None and (wake is None or accept_at < wake):
                wake = accept_at
            for fd, mask in poller.wait(wake):
                if fd == listener:
                    self._accept_ready()
                    continue
                if mask & WRITE and (conn := conns.get(fd)):
                    self._writable(conn)
                if mask & READ and (conn := conns.get(fd)):
                    self._readable(conn)
            if accept_at is not None and _now() >= accept_at:
                self._accept_at = None
                self._poller.modify(self._listener, READ)
                self._accept(1 if self._options.slow_accept_s else _ACCEPTS_PER_POLL)

    # --- tokens out ---------------------------------------------------------------------------------------------------

    def _emit(self, batch: list[Exchange]) -> None:
        clock = _now
        for exchange in batch:
            sent = exchange.sent
            if sent <= exchange.plain_until:
                voice = exchange.voice
                data = voice.prefix + voice.tails[(exchange.offset + sent - 1) % TABLE]
                conn = exchange.conn
                try:
                    stamp = clock()
                    count = conn.send(data)
                except BlockingIOError:
                    count = 0
                except OSError:
                    self._drop(conn)
                    continue
                exchange.stamps.append(stamp)
                if count != len(data):
                    conn.hold(data[count:])
            elif not exchange.gone:
                try:
                    self._emit_special(exchange)
                except OSError:
                    self._drop(exchange.conn)

    def _emit_special(self, exchange: Exchange) -> None:
        """First and last tokens, those before trouble, several at once, those with usage, those not streamed."""
        conn, stamps = exchange.conn, exchange.stamps
        first, sent = len(stamps), exchange.sent
        met = exchange.trouble if 0 < exchange.trouble_at <= sent else None
        ended = sent == exchange.total and met in (None, "stall")
        parts: list[bytes] = []
        if exchange.asked.stream:
            voice = exchange.voice
            parts = [voice.role()] if first == 0 else []
            parts.append(voice.tokens(first, sent - first))
            if ended:
                parts.append(voice.finish(sent, self._times(exchange)))
            elif met == "stream_error":
                parts.append(voice.stream_error(_FAILED))
            elif met == "short":
                parts.append(http.LAST_CHUNK)
        elif ended:
            whole = exchange.whole(sent, self._times(exchange))
            parts = [http.response(200, whole, exchange.api.media, close=conn.closing)]
        elif met == "stream_error":
            parts = [exchange.api.response(ApiError(500, _FAILED, "InternalServerError"))]
        data = b"".join(parts)
        stamp = _now()
        if data:
            conn.write(data)
        if exchange.asked.pooled is None:
            stamps.extend([stamp] * (sent - first))
        else:
            self._pooled += 1
        exchange.plain_until = self._plain_until(exchange)
        if ended:
            self._finish(exchange, "ok", stamp)
        elif met == "stream_error":
            self._finish(exchange, "error", stamp)
        elif met == "short":
            self._finish(exchange, "short", stamp)
        elif met == "cut":
            self._finish(exchange, "cut", _now())
            self._drop(conn)

    def _plain_until(self, exchange: Exchange) -> int:
        """The count up to which tokens are plain events: before trouble and before the last."""
        if not exchange.asked.stream or not exchange.voice.alike or self._several:
            return 0
        if exchange.sent < exchange.trouble_at and exchange.trouble != "stall":
            return exchange.trouble_at - 1
        return exchange.total - 1

    # --- requests in --------------------------------------------------------------------------------------------------

    def _accept_ready(self) -> None:
        if self._options.slow_accept_s:
            self._accept_later(round(self._options.slow_accept_s * 1e9))
        else:
            self._accept(_ACCEPTS_PER_POLL)

    def _accept_later(self, delay_ns: int) -> None:
        self._accept_at = _now() + delay_ns
        self._poller.modify(self._listener, 0)

    def _accept(self, limit: int) -> None:
        for _ in range(limit):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                sys.stderr.write(f"cannot accept a connection, trying again: {error.strerror}\n")
                self._accept_later(_ACCEPT_RETRY_NS)
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conn: Connection[Exchange] = Connection(sock, self._poller, self._tls)
            self._conns[conn.fd] = conn

    # A connection that breaks is dropped, and harms no other. ssl.SSLError is an OSError too.

    def _readable(self, conn: Connection[Exchange]) -> None:
        try:
            more = conn.receive()
            self._serve_buffered(conn)
        except OSError:
            more = False
        if not more:
            self._drop(conn)

    def _writable(self, conn: Connection[Exchange]) -> None:
        try:
            if conn.flush():
                if conn.closing and conn.exchange is None:
                    conn.finish_output()
                self._serve_buffered(conn)
        except OSError:
            self._drop(conn)

    def _drop(self, conn: Connection[Exchange]) -> None:
        if conn.fd not in self._conns or self._conns[conn.fd] is not conn:
            return
        del self._conns[conn.fd]
        exchange = conn.exchange
        conn.close()
        if exchange is None:
            return
        exchange.gone_ns = _now()
        if self._options.deaf:
            conn.play_deaf()
        else:
            self._finish(exchange, "disconnected", exchange.gone_ns)

    def _serve_buffered(self, conn: Connection[Exchange]) -> None:
        """Answer the requests that are all there, one after the other."""
        while conn.idle and (conn.buffer or conn.head):
            try:
                if conn.head is None:
                    taken = http.take_head(conn.buffer)
                    if taken is None:
                        return
                    conn.head, size = taken
                    conn.took(size)
                    if (
                        conn.head.length > len(conn.buffer)
                        and conn.head.headers.get("expect", "").lower() == "100-continue"
                    ):
                        conn.write(http.CONTINUE)
                head = conn.head
                if len(conn.buffer) < head.length:
                    return
            except http.HttpError as error:
                conn.write(OPENAI.response(ApiError(error.status, error.message), close=True))
                self._end_connection(conn)
                return
            body = bytes(conn.buffer[: head.length])
            del conn.buffer[: head.length]
            conn.took(head.length)
            conn.head = None
            try:
                self._route(conn, head, body)
            except ApiError as error:
                conn.write(APIS.get(head.path, OPENAI).response(error))
            if not head.keep_alive:
                self._end_connection(conn)

    def _end_connection(self, conn: Connection[Exchange]) -> None:
        """Take no further request, and close once the output is out."""
        conn.closing = True
        if conn.exchange is None and conn.flush():
            conn.finish_output()

    def _route(self, conn: Connection[Exchange], head: http.Head, body: bytes) -> None:
        path, key = head.path, self._options.api_key
        sent = (head.headers.get("authorization"), head.headers.get("x-api-key"))
        if key is not None and path.startswith("/v1/") and sent[0] != f"Bearer {key}" and sent[1] != key:
            raise ApiError(401, "Unauthorized: send the server's API key as a bearer token.", "AuthenticationError")
        api = APIS.get(path)
        methods = ["POST"] if api else list(self._routes.get(path, ()))
        if not methods:
            raise ApiError(404, f"There is no {path} here.", "NotFoundError")
        if head.method not in methods:
            error = error_body(405, f"{path} takes {' and '.join(methods)}.", "MethodNotAllowedError")
            conn.write(http.response(405, error, extra=f"allow: {', '.join(methods)}\r\n"))
        elif api:
            self._generate(conn, head, api, api.read(body, head.headers, self._options.model))
        else:
            self._routes[path][head.method](conn)

    def _generate(self, conn: Connection[Exchange], head: http.Head, api: Api, asked: Asked) -> None:
        seed, seq = self._options.seed, self._seq
        self._seq += 1
        trouble = fate(self._options, seq)
        if self._cache is not None and asked.texts and trouble not in ("reject", "error"):
            asked = asked._replace(cached=self._cache.take(" ".join(asked.texts).split()))
        half = max(1, asked.max_tokens // 2)
        exchange = Exchange(seq, asked.prompt_tokens, asked.max_tokens, seed, half if trouble == "stall" else 0)
        exchange.cached = asked.cached or 0
        request_id = head.headers.get("x-request-id")
        name = request_id or f"{mix(seed, seq, NAME):016x}{mix(seed, seq, NAME2):016x}"
        exchange.conn, exchange.asked, exchange.request_id = conn, asked, request_id
        exchange.session = head.headers.get("x-session-id")
        said = (self._phrases, asked, name, int(time.time()), exchange.offset)
        exchange.api = api
        if api.voice is not None:
            exchange.voice = api.voice(*said)
            exchange.whole = exchange.voice.whole
        elif api.answer is not None:
            exchange.whole = api.answer(*said)
        exchange.arrival_ns = conn.arrival_ns()
        exchange.stamps, exchange.gone_ns = array("q"), None
        if trouble == "short" and not asked.stream:
            trouble = None
        exchange.trouble, exchange.trouble_at = trouble, half if trouble else 0
        exchange.plain_until = 0
        if trouble in ("reject", "error"):
            refused = trouble == "reject"
            self._truth.add(_truth_of(exchange, "rejected" if refused else "error", _now()))
            failed = ApiError(500, _FAILED, "InternalServerError")
            if refused:
                failed = ApiError(429, "Too many requests, as was asked for.", "RateLimitError")
            conn.write(api.response(failed, extra="retry-after: 1\r\n" if refused else ""))
            return
        if asked.stream:
            kind = "text/event-stream; charset=utf-8"
            conn.write(http.response_head(200, kind, None, close=not head.keep_alive))
        conn.exchange = exchange
        self._model.submit(exchange, _now())

    def _finish(self, exchange: Exchange, outcome: str, end_ns: int) -> None:
        """The request is over: its slot is free, its truth is kept, its connection may go on."""
        conn = exchange.conn
        outcome = outcome if exchange.gone_ns is None else "disconnected"
        self._model.release(exchange, _now())
        truth = _truth_of(exchange, outcome, end_ns)
        self._truth.add(truth)
        self._metrics.observe(truth)
        conn.exchange = None
        if conn.fd in self._conns and outcome in ("ok", "error", "short"):
            if conn.closing:
                self._end_connection(conn)
            else:
                self._serve_buffered(conn)

    def _times(self, exchange: Exchange) -> Times:
        """The times of a request whose last token is due now."""
        now, admitted = _now(), exchange.admitted
        assert admitted is not None
        first = exchange.stamps[0] if exchange.stamps else now
        drafted = None if self._model.drafts is None else exchange.drafted
        return Times(max(0, admitted - exchange.arrival_ns), first - admitted, now - first, drafted)

    # --- pages --------------------------------------------------------------------------------------------------------

    def _get_metrics(self, conn: Connection[Exchange]) -> None:
        model = self._model
        page = self._metrics.render(
            model.running, len(model.waiting), model.slots, model.generated - self._pooled, model.drafts
        )
        conn.write(http.response(200, page, "text/plain; version=0.0.4; charset=utf-8"))

    def _reset_cache(self, conn: Connection[Exchange]) -> None:
        assert self._cache is not None
        self._cache.clear()
        conn.write(http.response(200, b""))

    def _get_truth(self, conn: Connection[Exchange]) -> None:
        def pieces() -> Iterator[bytes]:
            yield http.response_head(200, "application/x-ndjson", None)
            yield from map(http.chunk, self._truth.ndjson())
            yield http.LAST_CHUNK

        conn.pieces = pieces()
        conn.flush()

    def _delete_truth(self, conn: Connection[Exchange]) -> None:
        self._truth.clear()
        conn.write(http.response(200, b""))


def _truth_of(exchange: Exchange, outcome: str, end_ns: int) -> Truth:
    return Truth(
        id=exchange.request_id,
        seq=exchange.seq,
        arrival_ns=exchange.arrival_ns,
        admitted_ns=exchange.admitted,
        tokens_ns=exchange.stamps,
        end_ns=end_ns,
        prompt_tokens=exchange.prompt_tokens,
        completion_tokens=len(exchange.stamps),
        cached_tokens=exchange.cached,
        pooled=exchange.asked.pooled is not None,
        said=exchange.asked.said,
        session=exchange.session,
        peer=exchange.conn.peer,
        gone_ns=exchange.gone_ns,
        outcome=outcome,
    )
