"""One blocking request by HTTP/2, for what is asked before and beside the load."""

from __future__ import annotations

import socket
import ssl
import time
from types import TracebackType

from loadcell.load.streams import no_alpn
from loadcell.load.wire import ConnectError
from loadcell.protocol.http2 import Http2

_READ_BYTES = 65536


class StreamSocket:
    """A socket for one request, on which both sides seem to speak HTTP/1.1. ConnectError says what a stream or its
    connection ended by, TimeoutError comes as of a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._http2 = sock, Http2(tls=isinstance(sock, ssl.SSLSocket))
        self._data = b""
        self._failure: str | None = None
        if isinstance(sock, ssl.SSLSocket) and (chosen := sock.selected_alpn_protocol()) != "h2":
            raise ConnectError(no_alpn(chosen or ""))

    def settimeout(self, timeout_s: float | None) -> None:
        """As of a socket."""
        self._sock.settimeout(timeout_s)

    def sendall(self, request: bytes) -> None:
        """Send a request as far as the server's windows are open; the rest follows while its reply is awaited."""
        self._http2.begin(request)
        self._sock.sendall(self._http2.to_send())

    def recv(self, size: int) -> bytes:
        """What has come of the reply, b"" where the connection ended; `size` is that of a read."""
        limit_s = time.monotonic() + (self._sock.gettimeout() or 0.0)
        while not self._data:
            if self._failure is not None:
                raise ConnectError(self._failure)
            if not self._read():
                break
            self._sock.settimeout(max(1e-3, limit_s - time.monotonic()))
        data, self._data = self._data, b""
        return data

    def close(self) -> None:
        """As of a socket."""
        self._sock.close()

    def __enter__(self) -> StreamSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> bool:
        """Read once; False at the end of the connection."""
        data = self._sock.recv(_READ_BYTES)
        came = self._http2.receive(data) if data else self._http2.end()
        if self._http2.broken is not None:
            raise ConnectError(self._http2.broken)
        for what in came.values():
            self._data += b"".join(what.data)
            if what.failure is not None and (data or self._http2.away):
                self._failure = what.failure[1]
        if data:
            self._sock.sendall(self._http2.to_send())
        return bool(data)
