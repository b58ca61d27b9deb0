"""Before anything is recorded: find the model, and send one small request to see that the endpoint can be measured.

This is the only traffic outside the schedule. It is sent before the clock starts and is said in the result.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from typing import Any

import msgspec

from loadcell.errors import EndpointError, nearest
from loadcell.kinds import KIND_OUTPUT
from loadcell.load.exchange import exchange
from loadcell.load.target import Address, Target, resolve
from loadcell.load.wire import ConnectError, describe
from loadcell.protocol import PATHS, Reply, body, body_prefix, error_message
from loadcell.spec import Spec, parse_lengths

PROBE_PROMPT = "Say yes."
"""Three tokens by nearly every tokenizer."""
FEW_TOKENS = 16
"""Output tokens asked for where a reply is wanted whole and short, and the server refuses to give a single one."""
_BRIEF_MOST_S = 60.0
"""Such a reply is given up after this time."""
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
    no_usage: str = "its usage tells no prompt tokens"
    """Why it does not, in words."""
    fewest_tokens: int | None = None
    """The fewest output tokens that a short request may ask for, as far as tried; None before the first."""
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
    """Send one request in the form of the load's, dropping optional fields that the server refuses, and learn from it
    all that it tells; EndpointError if no load can succeed."""
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
    if reply.failure is not None:
        found.notes.append(
            f"the probe before the load failed ({reply.failure[0]}: {reply.failure[1]}); the load ran all the same"
        )
        return
    _time_probe(found, reply, read_s)
    keep_alive = reply.keep_alive
    if not reply.closed:  # what only the end of a reply tells is asked of a short one
        short = ask_briefly(spec, target, found, PROBE_PROMPT)
        if isinstance(short, str):
            found.no_usage = f"a short probe {short}"
        else:
            reply, keep_alive = short, keep_alive and short.keep_alive
    if reply.usage is not None:
        found.probe_tokens = reply.usage.prompt_tokens
    if not keep_alive:
        found.reuse = False
        found.notes.append("the server closes the connection after each reply: every request opens its own")


def ask_briefly(spec: Spec, target: Target, found: Endpoint, prompt: str) -> Reply | str:
    """The whole reply to a prompt, of as few output tokens as the server gives, in the form of the load's bodies; or
    why there is none, after "the probe ...": nothing here fails a run."""
    path, most = PATHS[spec.endpoint.api], _tokens_of(spec)
    timeouts = (spec.load.connect_timeout_s, min(spec.load.timeout_s, _BRIEF_MOST_S))
    ladder = sorted({1, min(FEW_TOKENS, most), most})
    for tokens in [found.fewest_tokens] if found.fewest_tokens else ladder:
        payload = body(spec.endpoint.api, prefix_of(spec, found), prompt, tokens, found.max_tokens_field)
        try:
            reply = exchange(target, found.address, "POST", path, payload, timeouts)
        except (OSError, ConnectError) as error:
            return f"got no answer ({str(error) or type(error).__name__})"
        assert isinstance(reply, Reply)
        if reply.status == 200:
            found.fewest_tokens = tokens
            return reply
        why = f"was refused with HTTP {reply.status}: {reply.failure[1] if reply.failure else ''}"
        if reply.status not in (400, 422):
            break
    return why


def _tokens_of(spec: Spec) -> int:
    """Output tokens that the load asks of a request, on average."""
    return max(1, round(parse_lengths(spec.workload.output_tokens).mean))


def _time_probe(found: Endpoint, reply: Reply, read_s: list[float]) -> None:
    """Note how long the probe took; `read_s` holds when each of its reads came."""
    came_s = [read_s[number] for number, kind in zip(reply.reads, reply.kinds, strict=True) if kind & KIND_OUTPUT]
    if not came_s:
        return
    found.probe_first_s = came_s[0]
    found.probe_token_s = (came_s[-1] - came_s[0]) / (len(came_s) - 1) if len(came_s) > 1 else 0.0


def probe_body(spec: Spec, found: Endpoint) -> bytes:
    """The body of the probe, in the form of the load's bodies."""
    return body(spec.endpoint.api, prefix_of(spec, found), PROBE_PROMPT, _tokens_of(spec), found.max_tokens_field)


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
