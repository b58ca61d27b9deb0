"""LLM servers on this machine: who answers on the ports that servers usually take. Only the loopback is asked."""

from __future__ import annotations

import http.client
import threading
import time
from typing import NamedTuple

from loadcell.protocol import is_object, listed_models

USUAL = (
    (8000, "vLLM"),
    (30000, "SGLang"),
    (8080, "llama.cpp"),
    (11434, "Ollama"),
    (1234, "LM Studio"),
    (3000, "TGI"),
)
"""Ports, and whose default each is; also the order of preference."""
_HOSTS = ("127.0.0.1", "::1")
_CONNECT_S, _ANSWER_S = 0.3, 2.0
"""On the loopback a port opens at once; a busy server may take some time to list its models."""
_MOST_BYTES = 4 * 1024 * 1024


class Local(NamedTuple):
    """What answered on a usual port as an LLM server does."""

    url: str
    usual: str
    """Whose default port it is: the server need not be that one."""
    models: list[str]
    """Empty where it lists none, or wants a key first."""
    wants_key: bool = False


def local_servers() -> list[Local]:
    """The servers that list models on the usual ports, or refuse to without a key, in the order of preference.

    All are asked at the same time, none is sent a key, and one that is silent or no LLM server is left out.
    """
    found: dict[int, Local] = {}

    def look(port: int, name: str) -> None:
        if (local := _ask(port, name)) is not None:
            found[port] = local

    threads = [threading.Thread(target=look, args=place, daemon=True) for place in USUAL]
    for thread in threads:
        thread.start()
    end = time.monotonic() + _CONNECT_S + _ANSWER_S
    for thread in threads:  # one that drips its answer is left behind
        thread.join(max(0.0, end - time.monotonic()))
    answered = dict(found)
    return [answered[port] for port, _ in USUAL if port in answered]


def _ask(port: int, name: str) -> Local | None:
    for host in _HOSTS:
        connection = http.client.HTTPConnection(host, port, timeout=_CONNECT_S)
        try:
            connection.connect()
        except OSError:  # nothing listens there: the other address may have it
            continue
        try:
            connection.sock.settimeout(_ANSWER_S)
            connection.request("GET", "/v1/models", headers={"Accept-Encoding": "identity", "Connection": "close"})
            reply = connection.getresponse()
            status, payload = reply.status, reply.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException):  # it speaks something else
            return None
        finally:
            connection.close()
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        if status in (401, 403) and is_object(payload):  # an API's: login pages of other services are HTML
            return Local(url, name, [], wants_key=True)
        models = listed_models(payload) if 200 <= status < 300 else None
        return None if models is None else Local(url, name, models)
    return None
