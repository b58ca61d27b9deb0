"""Before anything is recorded: find the model, and send one small request to see that the endpoint can be measured.

This is the only traffic outside the schedule. It is sent before the clock starts and is said in the result.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import compress

from loadcell.advice import advice_for, failure_words, says_loading
from loadcell.errors import EndpointError, nearest
from loadcell.load.addresses import answers, is_localhost, why_not
from loadcell.load.exchange import get, post
from loadcell.load.lacking import check_reply, overheard
from loadcell.load.offers import offers
from loadcell.load.route import named_model
from loadcell.load.target import Address, Target, host_of, resolve
from loadcell.load.wire import ConnectError, describe
from loadcell.phrases import phrase
from loadcell.protocol import Dialect, Form, Page, Prompt, Reply, dialect_of, is_html, knows_no_field, no_json, refused
from loadcell.spec import Spec, parse_lengths
from loadcell.workload import probe_with, with_system

PROBE_PROMPT = "Say yes."
PROBE_TOKENS = 3
"""By the packaged tokenizer, as by nearly every one."""
PROBE_SYSTEM = "short answer"
PROBE_SYSTEM_TOKENS = 2
"""What the probe says as the system where the load does: likewise."""
FEW_TOKENS = 16
"""Output tokens asked for where a reply is wanted whole and short, and the server refuses to give a single one."""
_BRIEF_MOST_S = 60.0
"""Such a reply is given up after this time."""
_GO_ON = (408, 429)
"""Statuses of a busy server: the load may run, its failures are counted."""
_NEVER = 501
"""Status of a server that cannot do what is asked, as llama.cpp's that was started for embeddings."""
_NOT_THERE = (404, 405)
_NOT_UP = (502, 503)
"""Statuses of a server, or of a proxy in front of it, that is not up yet."""
_NOBODY = (errno.ECONNREFUSED, errno.ENOENT)
"""Where nothing listens, or a unix socket is not there, yet."""
_AGAIN_S = 0.5
"""Time between two looks whether it is."""


@dataclass
class Endpoint:
    """What was found out about the endpoint."""

    addresses: list[Address]
    """Those of the host to dial that answer, in the order in which connections go to them."""
    model: str
    """Empty where the path alone chooses it."""
    form: Form
    """What its bodies hold."""
    reuse: bool = True
    """Whether a connection can carry more than one request."""
    left_open: bool = False
    """Whether a stream ends with its end mark, for the server leaves it open."""
    probe_first_s: float | None = None
    """From the send of the probe to its first output, or to its end where it was no stream; None if it failed."""
    probe_token_s: float = 0.0
    """And from each of its output events to the next."""
    probe_tokens: int | None = None
    """Prompt tokens of the probe by the server's usage; None if it does not tell."""
    no_usage: str = phrase("its usage tells no prompt tokens")
    """Why it does not, in words."""
    fewest_tokens: int | None = None
    """The fewest output tokens that a short request may ask for, as far as tried; None before the first."""
    notes: list[str] = field(default_factory=list)

    @property
    def address(self) -> Address:
        """The one that was asked."""
        return self.addresses[0]

    def e2e_s(self, output_tokens: float) -> float | None:
        """What a request of so many output tokens takes on the idle server, as far as the probe can tell."""
        if self.probe_first_s is None:
            return None
        return self.probe_first_s + max(0.0, output_tokens - 1) * self.probe_token_s


class NotReady(EndpointError):
    """Nothing listens, or what listens says that it is not up yet."""


Waiting = Callable[[str, float], None]
"""Told why the server is waited for, and for how many seconds it has been."""


def preflight(spec: Spec, target: Target, waiting: Waiting = lambda *_: None) -> Endpoint:
    """Find an address that answers, the model, and the form of body that the server takes; EndpointError says what is
    wrong and what to do. A server that is not up yet is waited for, as long as `load.wait_ready_s`."""
    began, most_s = time.monotonic(), spec.load.wait_ready_s
    while True:
        waited_s = time.monotonic() - began
        try:
            return _look(spec, target, last=waited_s >= most_s)
        except NotReady as error:
            if waited_s >= most_s:
                waited = f" (waited {most_s:g} s for it: --wait-ready sets how long)" if most_s else ""
                raise EndpointError(f"{error}{waited}") from None
            waiting(str(error), waited_s)
            time.sleep(max(0.0, min(_AGAIN_S, most_s - (time.monotonic() - began))))


def _look(spec: Spec, target: Target, *, last: bool) -> Endpoint:
    """As `preflight`, without waiting; NotReady if that may help. The `last` time, a server that has no time for the
    probe is one that is busy: its load may run."""
    notes: list[str] = []
    addresses = all_reachable(target, spec.load.connect_timeout_s, notes)
    model = spec.endpoint.model or _model_of_path(target, notes) or _find_model(spec, target, addresses[0], notes)
    form = dialect_of(spec.endpoint.api).form
    if spec.endpoint.ignore_eos is False:
        form = form._replace(ignore_eos=False)
    found = Endpoint(addresses, model, form, notes=notes)
    _probe(spec, target.of_model(model), found, last=last)
    return found


def _model_of_path(target: Target, notes: list[str]) -> str | None:
    """The model that the path names: then nobody is asked for a list, which may be of all that could be deployed."""
    model = named_model(target.path)
    if model is not None:
        notes.append(phrase("the path names the model: {}", model))
    return model


def reachable(target: Target, timeout_s: float) -> Address:
    """The first address of the host that accepts a connection."""
    return all_reachable(target, timeout_s, [])[0]


def all_reachable(target: Target, timeout_s: float, notes: list[str]) -> list[Address]:
    """The addresses of the host that accept a connection; those that do not are noted, and EndpointError if none does.

    Of localhost's two, which may be two servers, the first alone.
    """
    found = answers(resolve(target), timeout_s)
    good = [address for address, error in found.items() if error is None]
    bad = {address: error for address, error in found.items() if error is not None}
    if good and is_localhost(list(found)):
        return good[:1]
    if good:
        notes += [
            phrase(
                "{} has the address {}, which was left out: {}",
                target.dial[0],
                host_of(address),
                why_not(error, timeout_s),
            )
            for address, error in bad.items()
        ]
        return good
    error = list(bad.values())[-1] if bad else OSError("no address")
    host, port = target.dial
    through = f"proxy {host}:{port} (set by the environment; NO_PROXY exempts hosts)" if target.proxy else target.origin
    kind = NotReady if error.errno in _NOBODY and not target.proxy else EndpointError
    raise kind(f"cannot connect to {through}: {why_not(error, timeout_s)}")


def _timeouts(spec: Spec) -> tuple[float, float]:
    """For the connection, and for the reply, in s."""
    return spec.load.connect_timeout_s, spec.load.timeout_s


@contextmanager
def _asking(request: str, timeout_s: float) -> Iterator[None]:
    """Say why `request` got no reply: NotReady where the server may be about to start, EndpointError else."""
    try:
        yield
    except TimeoutError:
        raise EndpointError(
            f"{request} gave no answer within {timeout_s:g} s; is the server up? (--timeout sets how long to wait)"
        ) from None
    except ConnectError as error:
        kind = NotReady if error.code == errno.ECONNRESET else EndpointError
        raise kind(f"{request}: {error}") from None
    except OSError as error:
        kind = NotReady if isinstance(error, ConnectionError) else EndpointError
        raise kind(f"{request}: {describe(error)}") from None


def _check_model(spec: Spec, target: Target, found: Endpoint) -> None:
    """Raise if the server lists models and the one asked for is not among them."""
    if not dialect_of(spec.endpoint.api).models:
        return
    _, names = list_models(spec, target, found.address)
    if names and found.model not in names:
        raise EndpointError(
            f"{target.origin} has no model {found.model!r}{nearest(found.model, names)}; it lists: {_some(names)}"
        )


def list_models(spec: Spec, target: Target, address: Address) -> tuple[Page, list[str]]:
    """The page of the server's list, and the model names in it; none if it is not such a list."""
    dialect, timeouts = dialect_of(spec.endpoint.api), _timeouts(spec)
    with _asking(_listing(target, dialect), timeouts[1]):
        page = get(target, address, dialect.models, timeouts, payload=dialect.asks_models)
    return page, dialect.listed(bytes(page.body)) or []


def _listing(target: Target, dialect: Dialect) -> str:
    """The request for the list of models, for people."""
    return f"{'GET' if dialect.asks_models is None else 'POST'} {target.origin}{target.prefix}{dialect.models}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def _find_model(spec: Spec, target: Target, address: Address, notes: list[str]) -> str:
    """The first model that the server lists and that generates text; "" where there is no list, and a path by hand."""
    dialect = dialect_of(spec.endpoint.api)
    if not dialect.models:
        raise EndpointError(f"{spec.endpoint.api} does not say where models are listed: name the model with --model")
    asked = _listing(target, dialect)
    page, names = list_models(spec, target, address)
    payload, good = bytes(page.body), 200 <= page.status < 300
    if not names and target.by_hand and (good or page.status in _NOT_THERE):
        notes.append(phrase("the server lists no models: requests name none, the path alone chooses it"))
        return ""
    if not good:
        said = refused(page.status, page.head, payload)
        raise _refusal(spec, target, address, asked, page.status, said, listing=True)
    if is_html(payload):
        raise EndpointError(f"{asked}: {no_json(payload)}; {advice_for('html')}")
    if not names:
        url = asked.partition(" ")[2]
        raise EndpointError(f"{url} lists no model: name it with --model, or check that the URL is the API's base")
    if len(names) > 1:
        notes.append(
            phrase("the server lists {} models ({}); {} was measured, see --model", len(names), _some(names), names[0])
        )
    return names[0]


def _refusal(
    spec: Spec, target: Target, address: Address, asked: str, status: int, said: str, *, listing: bool = False
) -> EndpointError:
    """What a server's refusal of what was `asked` means, in its own words and with what to do; NotReady where waiting
    may help. `listing`: it was a list of models."""
    name, kind = spec.endpoint.api_key_env, f"http_{status}"
    key = f"set {name} to one of this server's, or give --header Authorization=VALUE"
    if not name:  # it was found, not named: no key was sent
        key = "name its URL, and the key in OPENAI_API_KEY is sent; or give --api-key-env"
    path = "check the URL (its path is the API's base, often ending in /v1)"
    advice = advice_for(kind, said)
    if advice == advice_for(kind):  # what is known here of the request says more than the status alone
        none = f"the server lists no models there: name the model with --model, or {path}"
        own = {
            401: f"it refuses the key in {name}: {key}" if os.environ.get(name) else f"the server wants a key: {key}",
            403: f"the key may not do this: {key}",
            404: none if listing else f"{path}, --api and --model",
            405: none if listing else f"{path} and --api",
        }
        advice = own.get(status, advice)
        if status in _NOT_THERE:
            advice = offers(spec.endpoint, target, address).advice or advice
    error = NotReady if status in _NOT_UP or says_loading(said) else EndpointError
    words = f"{asked} gave {failure_words(kind, said).rstrip('.')}"
    return error(f"{words}; {advice}" if advice else words)


def _probe(spec: Spec, target: Target, found: Endpoint, *, last: bool) -> None:
    """Send one request in the form of the load's, dropping optional fields that the server refuses, and learn from it
    all that it tells; EndpointError if no load can succeed."""
    (dialect, told), timeouts = overheard(dialect_of(spec.endpoint.api)), _timeouts(spec)
    asked = f"POST {target.url}"
    for _ in range(4):
        read_s: list[float] = []
        with _asking(asked, timeouts[1]):
            body, wanted = probe_body(spec, found), wanted_of(spec, inputs_of(spec))
            reply = post(target, found.address, dialect, body, timeouts, read_s, wanted=wanted)
        if reply.failure is not None and reply.failure[0] == "html":
            raise EndpointError(f"{asked}: {reply.failure[1]}; {advice_for('html')}")
        if reply.failure is None:
            break
        said = reply.failure[1]
        if reply.good and says_loading(said):
            raise NotReady(f"{asked}: {said}; {advice_for(reply.failure[0], said)}")
        if reply.good:
            break
        if _refuses_field(reply.status, said) and _adapt(found, spec, dialect, said):
            continue
        if reply.status == 404 and spec.endpoint.model is not None:
            _check_model(spec, target, found)
        if not last and not reply.bytes:
            raise NotReady(f"{asked}: {said}")
        if _is_busy(reply.status, said, last=last):
            break
        raise _refusal(spec, target, found.address, asked, reply.status, said)
    check_reply(dialect, told, reply, found.notes)
    if reply.failure is not None:
        found.notes.append(
            phrase(
                "the probe before the load failed ({}: {}); the load ran all the same",
                reply.failure[0],
                reply.failure[1],
            )
        )
        return
    _time_probe(found, reply, read_s)
    keep_alive = reply.keep_alive
    counted = None if spec.media.any else reply  # of text alone
    if not reply.closed or spec.media.any:  # what only the end of a reply tells is asked of a short one
        short = ask_briefly(spec, target, found, PROBE_PROMPT, phrase("a short probe"), dialect, await_end=True)
        if isinstance(short, str):
            found.no_usage = short
        else:
            check_reply(dialect, told, short, found.notes)
            reply = counted = short
            keep_alive = keep_alive and short.keep_alive
    if counted is not None and counted.usage is not None:
        found.probe_tokens = tokens_an_input(counted, inputs_of(spec))
    found.left_open = reply.left_open and reply.done
    if found.left_open and spec.endpoint.http == "2":
        found.notes.append(phrase("the server leaves its streams open after their end mark: each is given up there"))
    elif found.left_open:
        found.reuse = False
        found.notes.append(
            phrase("the server leaves its streams open after their end mark: every request opens a connection")
        )
    elif not keep_alive:
        found.reuse = False
        found.notes.append(phrase("the server closes the connection after each reply: every request opens its own"))


def _is_busy(status: int, said: str, *, last: bool) -> bool:
    """Whether a load may run although its probe failed so: its failures are counted. `last`: it was waited for."""
    if says_loading(said):
        return False
    return status in (0, *_GO_ON) or (status >= 500 and status != _NEVER and (last or status not in _NOT_UP))


def ask_briefly(
    spec: Spec,
    target: Target,
    found: Endpoint,
    prompt: str,
    what: str,
    dialect: Dialect | None = None,
    *,
    await_end: bool = False,
) -> Reply | str:
    """The whole reply to a prompt, of as few output tokens as the server gives, in the form of the load's bodies; or
    why there is none, `what` being what is asked: nothing here fails a run."""
    dialect, most = dialect or dialect_of(spec.endpoint.api), _tokens_of(spec)
    timeouts = (spec.load.connect_timeout_s, min(spec.load.timeout_s, _BRIEF_MOST_S))
    ladder = sorted({1, min(FEW_TOKENS, most), most}) if most else [0]
    for tokens in [found.fewest_tokens] if found.fewest_tokens else ladder:
        payload = dialect.body(prefix_of(spec, found), _prompt(spec, prompt), tokens, found.form.max_tokens_field)
        try:
            reply = post(
                target, found.address, dialect, payload, timeouts, await_end=await_end, wanted=wanted_of(spec, 1)
            )
        except (OSError, ConnectError) as error:
            return phrase("{} got no answer ({})", what, str(error) or type(error).__name__)
        if reply.good:
            found.fewest_tokens = tokens
            return reply
        why = phrase("{} was refused with HTTP {}: {}", what, reply.status, reply.failure and reply.failure[1])
        if reply.status not in (400, 422):
            break
    return why


def _tokens_of(spec: Spec) -> int:
    """Output tokens that the load asks of a request, on average; 0 where there is no output."""
    return max(1, round(spec.workload.mean_output_tokens)) if spec.workload.generates else 0


def inputs_of(spec: Spec) -> int:
    """Inputs of a request of the load, on average; 1 where a file says it, or the API generates."""
    asked = spec.workload.inputs
    return 1 if asked is None else max(1, round(parse_lengths(asked).mean))


def wanted_of(spec: Spec, inputs: int) -> tuple[int, int] | None:
    """What the reply to a request with so many inputs must hold, as of `Reply`."""
    if spec.workload.generates:
        return None
    return inputs, dialect_of(spec.endpoint.api).results(inputs, spec.endpoint.extra_body)


def _prompt(spec: Spec, text: str, inputs: int = 1) -> Prompt:
    """A text as the API takes it: in each of its inputs, held against the short one where there is a query."""
    if spec.workload.hears:
        return probe_with(spec.endpoint.api, spec.media, "")
    if says_system(spec):
        return with_system(PROBE_SYSTEM, text)
    if spec.workload.generates:
        return text
    return [PROBE_PROMPT] * bool(dialect_of(spec.endpoint.api).query) + [text] * inputs


def says_system(spec: Spec) -> bool:
    """Whether the requests of the load have a message of the system: a chat template may have another without one."""
    return spec.prefix.system_tokens is not None and dialect_of(spec.endpoint.api).talks


def tokens_an_input(reply: Reply, inputs: int) -> int | None:
    """Prompt tokens of one of equal inputs, by the server's usage."""
    tokens = None if reply.usage is None else reply.usage.prompt_tokens
    return None if tokens is None else round(tokens / inputs)


def _time_probe(found: Endpoint, reply: Reply, read_s: list[float]) -> None:
    """Note how long the probe took; `read_s` holds when each of its reads came."""
    came_s = [read_s[number] for number in compress(reply.reads, reply.outputs())]
    if not came_s:
        return
    found.probe_first_s = came_s[0 if reply.dialect.generates else -1]
    found.probe_token_s = (came_s[-1] - came_s[0]) / (len(came_s) - 1) if len(came_s) > 1 else 0.0


def probe_body(spec: Spec, found: Endpoint) -> bytes:
    """The body of the probe, in the form of the load's bodies."""
    dialect = dialect_of(spec.endpoint.api)
    prompt = _prompt(spec, PROBE_PROMPT, inputs_of(spec))
    if spec.media.any and not spec.workload.hears:
        prompt = probe_with(spec.endpoint.api, spec.media, PROBE_PROMPT)
    return dialect.body(prefix_of(spec, found), prompt, _tokens_of(spec), found.form.max_tokens_field)


def prefix_of(spec: Spec, found: Endpoint) -> bytes:
    """The part that all bodies of a run share."""
    endpoint = spec.endpoint
    return dialect_of(endpoint.api).prefix(found.model, endpoint.stream, found.form, endpoint.extra_body)


def _refuses_field(status: int, said: str) -> bool:
    """Whether a refusal may be one of a field that it names: some servers say so as their own failure."""
    return status in (400, 422) or (status in (500, 501) and knows_no_field(said))


def _adapt(found: Endpoint, spec: Spec, dialect: Dialect, said: str) -> bool:
    """Leave out, or rename, the optional field that a refusal names; False if it names none that may go."""
    changed = dialect.without(found.form, said, spec.endpoint.ignore_eos is not None)
    if changed is None:
        return False
    found.form, note = changed
    if note is not None:
        found.notes.append(note)
    return True
