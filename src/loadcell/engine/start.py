"""What is done once, before the first connection: the listening socket, the certificate, the CPU."""

from __future__ import annotations

import os
import socket
import ssl

from loadcell.engine.connection import stamp_arrivals
from loadcell.engine.options import EngineOptions


def listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stamp_arrivals(listener)
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(4096)
    except OSError:
        listener.close()
        raise
    return listener


def tls_context(options: EngineOptions) -> ssl.SSLContext | None:
    if not (options.tls_cert and options.tls_key):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except OSError as error:
        raise ValueError(f"cannot use {options.tls_cert} and {options.tls_key} for TLS: {error}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def bind_to_cpu(cpu: int) -> None:
    if not hasattr(os, "sched_setaffinity"):
        raise ValueError("this platform cannot bind a process to a CPU")
    try:
        os.sched_setaffinity(0, {cpu})
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot bind to CPU {cpu}: {error}") from None
