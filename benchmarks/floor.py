"""The floor: what receiving the same stream costs in plain Python when nothing is done with it.

One process, one bare epoll loop: wait, `recvmsg` with the kernel's stamp, two clocks, an append. The end of a reply is
seen from its last bytes; nothing is parsed, timed, counted or written. What a client costs beyond this is its own.

`python floor.py PORT STREAMS OUTPUT_TOKENS SECONDS RAMP_S` prints {"tokens": ..., "cpu_s": ...}.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import socket
import sys
from collections.abc import Callable
from time import monotonic_ns, time_ns
from typing import Any

SO_TIMESTAMPNS = 35
_PROMPT = " word" * 128


def receive(port: int, streams: int, output_tokens: int, seconds: float, ramp_s: float) -> dict[str, float]:
    """Hold `streams` closed-loop streams for `seconds`, then drain; tokens received and CPU seconds of the loop."""
    body = json.dumps(
        {"messages": [{"role": "user", "content": _PROMPT}], "max_tokens": output_tokens, "stream": True}
    ).encode()
    request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    epoll = select.epoll()
    sockets = [_connect(port) for _ in range(streams)]
    streams_of: dict[int, tuple[Callable[..., Any], Callable[[Any], None], list[Any], socket.socket]] = {}
    for sock in sockets:
        stored: list[Any] = []
        streams_of[sock.fileno()] = (sock.recvmsg, stored.append, stored, sock)
        epoll.register(sock.fileno(), select.EPOLLIN)
    room, ended, flying, waiting = socket.CMSG_SPACE(16), 0, 0, list(reversed(sockets))
    gc.collect()
    gc.freeze()
    gc.disable()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    start, step = monotonic_ns(), int(ramp_s * 1e9 / streams)
    stop = start + int(seconds * 1e9)
    while flying or waiting:
        while waiting and monotonic_ns() >= start + (streams - len(waiting)) * step:
            waiting.pop().send(request)
            flying += 1
        if monotonic_ns() > stop + 60_000_000_000:
            raise RuntimeError(f"{flying} replies did not end")
        for fd, _ in epoll.poll(0.001 if waiting else 1.0):
            recvmsg, append, stored, sock = streams_of[fd]
            message = recvmsg(65536, room)
            append((message, monotonic_ns(), time_ns()))
            data = message[0]
            if data[-5:] == b"0\r\n\r\n":
                ended += 1
                stored.clear()
                if monotonic_ns() < stop:
                    sock.send(request)
                else:
                    flying -= 1
            elif not data:
                raise RuntimeError("the engine closed a connection")
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    return {"tokens": ended * output_tokens, "cpu_s": cpu_s}


def _connect(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    numbers = sys.argv[1:]
    found = receive(int(numbers[0]), int(numbers[1]), int(numbers[2]), float(numbers[3]), float(numbers[4]))
    print(json.dumps(found))
