"""Before anything is recorded: find the model, and send one small request to see that the endpoint can be measured.

This is the only traffic outside the schedule. It is sent before the clock starts and is said in the result.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass, field
from typing import Any

import httptools
import msgspec

from loadcell.errors import EndpointError, nearest
from loadcell.kinds import KIND_OUTPUT
from loadcell.load.target import Address, Target, resolve
from loadcell.load.wire import ConnectError, describe
from loadcell.protocol import PATHS, Reply, body, body_prefix, error_message
from loadcell.spec import Spec

PROBE_PROMPT = "Say yes."
"""Three tokens by nearly every tokenizer."""
_PROBE_TOKENS = 2
_HANG_UP_S, _HANG_UP_MOST_S = 0.05, 0.5
"""How long the end of a connection is awaited after a reply: as long as the reply took, within these."""
_MODELS_BYTES = 4 * 1024 * 1024
_PROXY_REPLY_BYTES = 16 * 1024
_GO_ON = (408, 429)
"""Statuses of a busy server: the load may run, its failures are counted."""


@dataclass
class Endpoint:
    """What was found out about the endpoint."""

    address: Address
    model: str
    ignore_eos: bool
    include_usage: bool = True
    max_tokens_field: str = "max_tokens"
    reuse: bool = True
    """Whether a connection can carry more than one request."""
    probe_first_s: float | None = None
    """From the send of the probe to its first output, or to its end where it was no stream; None if it failed."""
    probe_token_s: float = 0.0
    """And from each of its output events to the next."""
    probe_tokens: int | None = None
    """Prompt tokens of the probe by the server's usage; None if it does not tell."""
    notes: list[str] = field(default_factory=list)

    def e2e_s(self, output_tokens: float) -> float | None:
        """What a request of so many output tokens takes on the idle server, as far as the probe can tell."""
        if self.probe_first_s is None:
            return None
        return self.probe_first_s + max(0.0, output_tokens - 1) * self.probe_token_s


def preflight(spec: Spec, target: Target) -> Endpoint:
    """Find an address that answers, the model, and the form of body that the server takes; EndpointError says what is
    wrong and what to do."""
    address = reachable(target, spec.load.connect_timeout_s)
    notes: list[str] = []
    model = spec.endpoint.model or _find_model(spec, target, address, notes)
    found = Endpoint(address, model, spec.endpoint.ignore_eos is not False, notes=notes)
    _probe(spec, target, found)
    return found


def reachable(target: Target, timeout_s: float) -> Address:
    """The first address of the host that accepts a connection."""
    why = "no address"
    for family, where in resolve(target):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.settimeout(timeout_s)
                sock.connect(where)
                return family, where
        except TimeoutError:
            why = f"no answer within {timeout_s:g} s"
        except OSError as error:
            why = describe(error)
    host, port = target.dial
    through = f"proxy {host}:{port} (set by the environment; NO_PROXY exempts hosts)" if target.proxy else target.origin
    raise EndpointError(f"cannot connect to {through}: {why}")


def exchange(
    target: Target,
    address: Address,
    method: str,
    path: str,
    payload: bytes,
    timeouts: tuple[float, float],
    most_bytes: int = _MODELS_BYTES,
    read_s: list[float] | None = None,
) -> Reply | tuple[int, bytes]:
    """One blocking request on its own connection; a POST gives the `Reply`, a GET (status, body).

    `timeouts` are for the connection and, from then on, for the reply. The body of a GET is read up to `most_bytes`
    or little more. `read_s` takes when each read of a POST's reply came, in s since its send began. OSError or
    ConnectError if there is no reply.
    """
    connect_s, total_s = timeouts
    sock = _open(target, address, connect_s)
    start_s = time.monotonic()
    limit_s = start_s + total_s
    try:
        sock.settimeout(total_s)
        fields = {"Content-Type": "application/json"} | ({"Connection": "close"} if method == "GET" else {})
        head = target.head(method, path, fields)
        sock.sendall(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(payload), payload))
        if method == "GET":
            plain = _Plain()
            while not plain.complete and len(plain.body) < most_bytes and (data := _receive(sock, limit_s)):
                plain.feed(data)
            if not plain.status:
                raise ConnectError("the server closed the connection without a reply")
            return plain.status, bytes(plain.body)
        reply, number = Reply(), 0
        while not reply.closed and (data := _receive(sock, limit_s)):
            if read_s is not None:
                read_s.append(time.monotonic() - start_s)
            reply.feed([data], number)
            number += 1
        reply.close(max(number - 1, 0))
        if reply.complete and reply.keep_alive:
            reply.keep_alive = not _hangs_up(sock, time.monotonic() - start_s)
        return reply
    finally:
        sock.close()


def _hangs_up(sock: socket.socket, took_s: float) -> bool:
    """Whether the server closes a connection right after a reply that said nothing of it, as llama.cpp's does.

    One that was slow to reply, for its machine is busy, is slow to hang up too.
    """
    sock.settimeout(min(max(_HANG_UP_S, took_s), _HANG_UP_MOST_S))
    try:
        return not sock.recv(65536)
    except TimeoutError:
        return False
    except OSError:
        return True


class _Plain:
    """A reply that is wanted as it is."""

    def __init__(self) -> None:
        self.status = 0
        self.body = bytearray()
        self.complete = False
        self._http = httptools.HttpResponseParser(self)

    def on_headers_complete(self) -> None:
        self.status = self._http.get_status_code()

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = self.status >= 200

    def feed(self, data: bytes) -> None:
        """Take what came; ConnectError if it is not HTTP."""
        try:
            self._http.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise ConnectError(f"the reply is not HTTP/1.1 ({error}): check the URL's scheme and port") from None


def _receive(sock: socket.socket, limit_s: float) -> bytes:
    """What has come, b"" at the end or where the connection broke; TimeoutError at the monotonic time `limit_s`."""
    left_s = limit_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    sock.settimeout(left_s)
    try:
        return sock.recv(65536)
    except ConnectionError:
        return b""


def _open(target: Target, address: Address, timeout_s: float) -> socket.socket:
    """A blocking connection, through a tunnel and with TLS where the target asks for them."""
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect(where)
        if target.tunnel:
            sock.sendall(target.connect_request())
            answer = b""
            while b"\r\n\r\n" not in answer and len(answer) < _PROXY_REPLY_BYTES and (data := sock.recv(4096)):
                answer += data
            status = answer.split(b"\r\n", 1)[0].decode("latin-1")
            if status.split(" ")[1:2] != ["200"]:
                raise ConnectError(f"the proxy {target.proxy} refused the tunnel: {status or 'no answer'}")
        if target.tls:
            return target.tls_context().wrap_socket(sock, server_hostname=target.host)
    except BaseException:
        sock.close()
        raise
    return sock


def _ask(
    target: Target,
    address: Address,
    method: str,
    path: str,
    payload: bytes,
    spec: Spec,
    read_s: list[float] | None = None,
) -> Any:
    url = target.origin + target.prefix + path
    timeouts = (spec.load.connect_timeout_s, spec.load.timeout_s)
    try:
        return exchange(target, address, method, path, payload, timeouts, read_s=read_s)
    except TimeoutError:
        raise EndpointError(
            f"{url} gave no answer within {timeouts[1]:g} s: is the server up? (--timeout sets how long to wait)"
        ) from None
    except ConnectError as error:
        raise EndpointError(f"{url}: {error}") from None
    except OSError as error:
        raise EndpointError(f"{url}: {describe(error)}") from None


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model] = []


def _check_model(spec: Spec, target: Target, found: Endpoint) -> None:
    """Raise if the server lists models and the one asked for is not among them."""
    _, _, names = _list_models(spec, target, found.address)
    if names and found.model not in names:
        raise EndpointError(
            f"{target.origin} has no model {found.model!r}{nearest(found.model, names)}; it lists: {_some(names)}"
        )


def _list_models(spec: Spec, target: Target, address: Address) -> tuple[int, bytes, list[str]]:
    """Status, body and model names of the server's list; no names if it is not such a list."""
    status, payload = _ask(target, address, "GET", "/models", b"", spec)
    try:
        return status, payload, [model.id for model in msgspec.json.decode(payload, type=_Models).data]
    except msgspec.DecodeError:
        return status, payload, []


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def _find_model(spec: Spec, target: Target, address: Address, notes: list[str]) -> str:
    """The first model that the server lists."""
    url = f"{target.origin}{target.prefix}/models"
    status, payload, names = _list_models(spec, target, address)
    if status != 200:
        _refuse(url, status, error_message(payload), spec)
        raise EndpointError(f"{url} answers HTTP {status}: name the model with --model")
    if not names:
        raise EndpointError(f"{url} lists no model: name it with --model, or check that the URL is the API's base")
    if len(names) > 1:
        notes.append(f"the server lists {len(names)} models ({_some(names)}); the first was measured, see --model")
    return names[0]


def _refuse(url: str, status: int, said: str, spec: Spec) -> None:
    """Raise for the statuses that no load will cure, with what to do."""
    name = spec.endpoint.api_key_env
    key = f"set {name}, or give --header 'Authorization=Bearer …'"
    advice = {
        401: f"it refuses the key in {name}: {key}" if os.environ.get(name) else f"the server wants a key: {key}",
        403: f"the key may not do this: {key}",
        404: "check the URL (its path is the API's base, often ending in /v1), --api and --model",
        405: "check the URL (its path is the API's base, often ending in /v1)",
    }.get(status)
    if advice:
        raise EndpointError(f"{url} answers HTTP {status}: {said.rstrip('.')}; {advice}")


def _probe(spec: Spec, target: Target, found: Endpoint) -> None:
    """Send one small request, dropping optional fields that the server refuses; raise if no load can succeed."""
    path = PATHS[spec.endpoint.api]
    url = target.origin + target.prefix + path
    for _ in range(4):
        read_s: list[float] = []
        reply: Reply = _ask(target, found.address, "POST", path, probe_body(spec, found), spec, read_s)
        if reply.failure is None or reply.status == 200:
            break
        said = reply.failure[1]
        if reply.status in (400, 422) and _adapt(found, spec, said):
            continue
        if reply.status == 404 and spec.endpoint.model is not None:
            _check_model(spec, target, found)
        if reply.status in (0, *_GO_ON) or reply.status >= 500:
            break
        _refuse(url, reply.status, said, spec)
        raise EndpointError(f"{url} refuses the request with HTTP {reply.status}: {said}")
    if reply.failure is None:
        _time_probe(found, reply, read_s)
    if reply.status == 200 and reply.usage is not None:
        found.probe_tokens = reply.usage.prompt_tokens
    if reply.failure is None and not reply.keep_alive:
        found.reuse = False
        found.notes.append("the server closes the connection after each reply: every request opens its own")
    if reply.failure is not None:
        found.notes.append(
            f"the probe before the load failed ({reply.failure[0]}: {reply.failure[1]}); the load ran all the same"
        )


def _time_probe(found: Endpoint, reply: Reply, read_s: list[float]) -> None:
    """Note how long the probe took; `read_s` holds when each of its reads came."""
    came_s = [read_s[number] for number, kind in zip(reply.reads, reply.kinds, strict=True) if kind & KIND_OUTPUT]
    if not came_s:
        return
    found.probe_first_s = came_s[0]
    found.probe_token_s = (came_s[-1] - came_s[0]) / (len(came_s) - 1) if len(came_s) > 1 else 0.0


def probe_body(spec: Spec, found: Endpoint) -> bytes:
    """The body of the probe, in the form of the load's bodies."""
    return body(spec.endpoint.api, prefix_of(spec, found), PROBE_PROMPT, _PROBE_TOKENS, found.max_tokens_field)


def prefix_of(spec: Spec, found: Endpoint) -> bytes:
    """The part that all bodies of a run share."""
    return body_prefix(
        model=found.model,
        stream=spec.endpoint.stream,
        ignore_eos=found.ignore_eos,
        extra=spec.endpoint.extra_body,
        max_tokens_field=found.max_tokens_field,
        usage=found.include_usage,
    )


def _adapt(found: Endpoint, spec: Spec, said: str) -> bool:
    """Leave out, or rename, the optional field that a refusal names; False if it names none that may go."""
    if "ignore_eos" in said and found.ignore_eos and spec.endpoint.ignore_eos is None:
        found.ignore_eos = False
        found.notes.append("the server refuses ignore_eos: outputs may be shorter than asked")
    elif "stream_options" in said and found.include_usage:
        found.include_usage = False
        found.notes.append("the server refuses stream_options: it sends no usage")
    elif "max_completion_tokens" in said and found.max_tokens_field == "max_tokens":
        found.max_tokens_field = "max_completion_tokens"
    else:
        return False
    return True
