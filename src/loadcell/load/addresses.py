"""The addresses of a name: which of them answer, and in what order connections go to them."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections.abc import Sequence

from loadcell.load.target import Address, place_of
from loadcell.load.wire import describe
from loadcell.phrases import phrase

_OTHERS_S = 1.0
"""Once one address has answered, the others are waited for so long."""
_LOOPBACK = {"127.0.0.1", "::1"}


def is_localhost(addresses: Sequence[Address]) -> bool:
    """Whether these are the two names of this machine's own loopback."""
    return {where[0] for _, where in addresses} == _LOOPBACK


def answers(addresses: Sequence[Address], timeout_s: float) -> dict[Address, OSError | None]:
    """Dial all at once: for each address None if it accepts a connection, else why not, in the order given.

    Those still silent some time after another has answered are taken for timed out.
    """
    found: dict[Address, OSError | None] = {}
    limit = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        sockets = []
        for one in addresses:
            try:
                sock = socket.socket(one[0], socket.SOCK_STREAM)
                sockets.append(sock)
                sock.setblocking(False)
                code = sock.connect_ex(place_of(one))
            except OSError as error:
                found[one] = error
                continue
            if code in (0, errno.EINPROGRESS):
                selector.register(sock, selectors.EVENT_WRITE, one)
            else:
                found[one] = OSError(code, os.strerror(code))
        while selector.get_map() and (left_s := limit - time.monotonic()) > 0:
            for key, _ in selector.select(left_s):
                code = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # type: ignore[union-attr]
                found[key.data] = OSError(code, os.strerror(code)) if code else None
                selector.unregister(key.fileobj)
                if not code:
                    limit = min(limit, time.monotonic() + _OTHERS_S)
        for sock in sockets:
            sock.close()
    return {one: found.get(one, TimeoutError()) for one in addresses}


def why_not(error: OSError, timeout_s: float) -> str:
    """Why an address was not reached, in words."""
    return phrase("no answer within {:g} s", timeout_s) if isinstance(error, TimeoutError) else describe(error)
