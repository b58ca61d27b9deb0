"""A connection: a plain non-blocking socket, with TLS on top of it in memory so that reads keep their kernel stamps."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Collection
from time import monotonic_ns

from loadcell.core import READ_BYTES, Records, Sealed, make_records
from loadcell.core.clock import STAMP_BYTES, Message, enable_kernel_stamps
from loadcell.core.poller import READABLE, WRITABLE
from loadcell.load.target import Address, Target, place_of
from loadcell.load.tls_words import is_alert, tls_words
from loadcell.phrases import phrase
from loadcell.protocol import error_message

_MAX_PROXY_REPLY = 16 * 1024


_MIN_RTT = struct.Struct("=148xI")
"""Linux's tcp_info (linux/tcp.h) up to tcpi_min_rtt in us, which kernels have since 4.6."""


class ConnectError(Exception):
    """A connection could not be opened; the message says why, `code` is the system's error number if it was that."""

    def __init__(self, why: str, code: int | None = None) -> None:
        super().__init__(why)
        self.code = code


class Broken(OSError):
    """A stream of HTTP/2 came to no end; `failure` is why, as of a request."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.failure = (kind, words)


class Connection:
    """One HTTP/1.1 connection. It opens step by step through `advance`; afterwards `recvmsg` and `send` move bytes.

    `recvmsg` raises BlockingIOError when there is nothing to hand over, OSError when the connection is lost.
    """

    __slots__ = (
        "_context", "_in", "_local", "_out", "_records", "_reply", "_send_rest", "_sock", "_step", "_target", "_tls",
        "address", "fd", "idle_since_ns", "keep_s", "number", "recvmsg", "served", "start_ns", "tcp_ns", "tls_ns",
    )  # fmt: skip

    mixed: Collection[int] = ()
    """Reads that brought more than bytes of its own after these: none, but of a stream of HTTP/2."""

    def __init__(
        self,
        number: int,
        target: Target,
        address: Address,
        context: ssl.SSLContext | None,
        receive_bytes: int | None = None,
    ) -> None:
        self.number = number
        self.address = address
        self.served = 0
        self.keep_s: float | None = None
        """How long the server keeps an idle connection, as it announced."""
        self.idle_since_ns = 0
        self._target, self._context = target, context
        self._tls: ssl.SSLObject | None = None
        self._records: Records | None = None
        self._send_rest = b""
        self._reply = b""
        family, _ = address
        self._local = family == socket.AF_UNIX
        self.start_ns = monotonic_ns()
        self.tcp_ns: int | None = None
        self.tls_ns: int | None = None
        try:
            self._sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise ConnectError(describe(error), error.errno) from None
        self.fd = self._sock.fileno()
        self.recvmsg: Callable[[int, int], Message] = self._sock.recvmsg
        self._step = self._finish_tcp
        try:
            self._sock.setblocking(False)
            if receive_bytes is not None:  # before it connects: what was offered to the server once stays offered
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            if not self._local:
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                enable_kernel_stamps(self._sock)
            self._sock.connect(place_of(address))
        except BlockingIOError as error:
            if self._local:  # such a connection is open at once, or not at all: nothing tells when there is room
                self.close()
                raise ConnectError(phrase("the socket's queue of connections is full"), error.errno) from None
        except OSError as error:
            self.close()
            raise ConnectError(describe(error), error.errno) from None

    def advance(self) -> int | None:
        """Do the next step of opening. Returns what to poll for, or None when the connection is open; ConnectError."""
        try:
            return self._step()
        except OSError as error:
            raise ConnectError(describe(error), error.errno) from None

    def _finish_tcp(self) -> int | None:
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        try:
            self._sock.getpeername()
        except OSError as error:
            if error.errno == errno.ENOTCONN:
                return WRITABLE
            raise
        self.tcp_ns = monotonic_ns()
        if self._target.tunnel:
            self._sock.send(self._target.connect_request())
            self._step = self._read_proxy_reply
            return READABLE
        return self._start_tls()

    def _read_proxy_reply(self) -> int | None:
        try:
            data = self._sock.recv(4096)
        except BlockingIOError:
            return READABLE
        self._reply += data
        if has_tunnel(self._target, self._reply):
            self._reply = b""
            return self._start_tls()
        if not data:
            raise ConnectError(phrase("the proxy {} gave no answer to CONNECT", self._target.proxy))
        return READABLE

    def _start_tls(self) -> int | None:
        if self._context is None:
            return None
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = self._context.wrap_bio(self._in, self._out, server_hostname=self._target.server_name)
        self._records = make_records()
        self._step = self._shake_hands
        return self._shake_hands()

    def _shake_hands(self) -> int | None:
        assert self._tls is not None
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._push(self._out.read())
                try:
                    data = self._sock.recv(READ_BYTES)
                except BlockingIOError:
                    return READABLE | (WRITABLE if self._send_rest else 0)
                if not data:
                    raise ConnectError(tls_words(ssl.SSLEOFError())) from None
                self._in.write(data)
                if self._records:
                    self._records.walk(data)
            else:
                self._push(self._out.read())
                self.tls_ns = monotonic_ns()
                self.recvmsg = self._recv_tls
                return None

    def _recv_tls(self, size: int, ancillary: int) -> Message:
        """As `socket.recvmsg`, with plain text: the stamp is that of the read that completed the record."""
        data, notes, flags, address = self._sock.recvmsg(size, ancillary)
        if self._records:
            self._records.walk(data)
        return self._open(data), notes, flags, address

    def _open(self, data: bytes) -> bytes:
        """What the records hold that these bytes complete; b"" for the end, errors as of `recvmsg`."""
        assert self._tls is not None
        self._in.write(data)
        plain = []
        try:
            while self._in.pending and (piece := self._tls.read(READ_BYTES)):
                plain.append(piece)
        except ssl.SSLWantReadError:
            if not plain:  # session tickets, or part of a record
                raise BlockingIOError from None
        except ssl.SSLError as error:
            if not plain and is_alert(error):
                raise
            # Else a close without notice: HTTP's own framing tells whether the reply was whole.
        return plain[0] if len(plain) == 1 else b"".join(plain)

    @property
    def alpn(self) -> str | None:
        """The protocol that a TLS server chose, "" for none; None without TLS."""
        return None if self._tls is None else self._tls.selected_alpn_protocol() or ""

    @property
    def plain(self) -> bool:
        """Whether its bytes are those of its socket."""
        return self._tls is None

    @property
    def sealed(self) -> Sealed | None:
        """What makes plain text of its bytes later than they are read, where the core can do without for a while."""
        return (self._records, self._open) if self._records else None

    def send(self, data: bytes) -> bool:
        """Give bytes to the kernel; False if some are left for `flush`."""
        if self._tls is None:
            return self._push(data)
        self._tls.write(data)
        return self._push(self._out.read())

    def flush(self) -> bool:
        """Send what is left; True when all is out."""
        return self._push(b"")

    def _push(self, data: bytes) -> bool:
        rest = self._send_rest + data if self._send_rest else data
        while rest:
            try:
                sent = self._sock.send(rest)
            except BlockingIOError:
                break
            rest = rest[sent:] if sent < len(rest) else b""
        self._send_rest = rest
        return not rest

    def is_stale(self) -> bool:
        """Whether the server has closed this idle connection, or said something nobody asked for."""
        try:
            self.recvmsg(READ_BYTES, STAMP_BYTES)
        except BlockingIOError:  # silence, or session tickets
            return False
        except OSError:
            return True
        return True

    def min_rtt_ns(self) -> int | None:
        """Least round-trip time: the kernel's, else how long the TCP handshake took; None if it was never connected,
        and of a unix socket, on which nothing travels.

        The kernel's smoothed one holds a server's thinking too, where its acknowledgements wait for its answers.
        """
        if self.tcp_ns is None or self._local:
            return None
        if sys.platform == "linux":
            told = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _MIN_RTT.size)
            (rtt_us,) = _MIN_RTT.unpack(told) if len(told) == _MIN_RTT.size else (0,)
            if 0 < rtt_us < 2**32 - 1:  # at the start, the kernel's least is the greatest number
                return int(rtt_us) * 1000
        return self.tcp_ns - self.start_ns

    def close(self) -> None:
        self._sock.close()
        # The object and its own bound methods hold one another; the collector is off.
        del self.recvmsg, self._step


def has_tunnel(target: Target, answer: bytes) -> bool:
    """Whether the proxy has opened the tunnel by what it answered so far; ConnectError if it will not."""
    while True:
        head, end, answer = answer.partition(b"\r\n\r\n")
        if not end:
            if len(head) > _MAX_PROXY_REPLY:
                raise ConnectError(
                    phrase("the proxy {} answers CONNECT with more than {} KiB", target.proxy, _MAX_PROXY_REPLY >> 10)
                )
            return False
        status = error_message(head.split(b"\r\n", 1)[0])
        code = status.split(" ")[1:2]
        if code and code[0].startswith("1"):  # more is to come
            continue
        if not (code and code[0].startswith("2")):
            raise ConnectError(phrase("the proxy {} refused the tunnel: {}", target.proxy, status))
        return True


def describe(error: OSError) -> str:
    """The reason of a failed connection, with what to do about it where that is known."""
    if isinstance(error, ssl.SSLError):
        return tls_words(error)
    text = error.strerror or str(error)
    hints = {
        errno.ECONNREFUSED: phrase("nothing listens there: is the server running, and is the port right?"),
        errno.ENOENT: phrase("no socket is there: is the server running, and is the path right?"),
        errno.EMFILE: phrase(
            "every connection is a file: raise the hard limit with `ulimit -n`, or ask for less concurrency"
        ),
        errno.ENFILE: phrase(
            "this machine's limit of open files: raise it with `sysctl fs.file-max`, or lower the load"
        ),
        errno.EADDRNOTAVAIL: phrase(
            "no local port is free: widen `sysctl net.ipv4.ip_local_port_range`, open fewer new "
            "connections, or wait a minute for the ports of closed ones"
        ),
    }
    hint = hints.get(error.errno or 0)
    return phrase("{} ({})", text, hint) if hint else text
