"""How long a request may be, by what a server tells of itself: its list of models, or a page that its engine has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec

from loadcell.errors import LoadcellError
from loadcell.load.exchange import get
from loadcell.load.preflight import PROBE_TOKENS, Endpoint, ask_briefly
from loadcell.load.target import Target
from loadcell.load.wire import ConnectError
from loadcell.phrases import phrase
from loadcell.protocol import dialect_of
from loadcell.spec import Spec
from loadcell.workload import Context, Server

_OF_A_MODEL = ("max_model_len", "loaded_context_length", "context_length", "context_window", "max_context_length")
"""Fields of a list of models that tell it: of vLLM and SGLang, of LM Studio, and of services."""
_MOST_S, _BYTES = 5.0, 1 << 20
_PAGES: dict[str, tuple[tuple[str, Callable[[dict[str, Any]], tuple[Any, Any, str]]], ...]] = {
    "llamacpp": (("/props", lambda told: (_within(told, "default_generation_settings", "n_ctx"), None, "n_ctx")),),
    "sglang": (
        (
            "/get_server_info",
            lambda told: (told.get("context_length"), told.get("max_req_input_len"), "context_length"),
        ),
    ),
    "tgi": (
        (
            "/info",
            lambda told: (
                told.get("max_total_tokens"),
                told.get("max_input_tokens", told.get("max_input_length")),
                "max_total_tokens",
            ),
        ),
    ),
}
"""By engine: where it tells its context and the most of a prompt, and by what name."""


def server_of(asked: Sequence[tuple[Spec, Target, Endpoint]]) -> Server:
    """What the servers of a run can tell of lengths: the shortest context, and how the first counts. They are asked
    once, and only if anybody wants to know."""
    spec, target, found = asked[0]

    @cache
    def context() -> Context | None:
        told = [known for one in asked if (known := learn_context(*one)) is not None]
        return min(told, key=lambda known: known.tokens, default=None)

    @cache
    def count(text: str) -> int | None:
        reply = ask_briefly(spec, target, found, text, phrase("a probe with a piece of the prompts"))
        return None if isinstance(reply, str) or reply.usage is None else reply.usage.prompt_tokens

    template = None if not found.probe_tokens else max(0, found.probe_tokens - PROBE_TOKENS)
    return Server(context, count, template)


def learn_context(spec: Spec, target: Target, found: Endpoint) -> Context | None:
    """The context of the model that is asked, by the server; None if it does not tell.

    Beside the list of models, a page is asked only of an engine that is known to have it: by the API, or by whom the
    list says its models are owned.
    """
    dialect = dialect_of(spec.endpoint.api)
    models = _model_of(_page(spec, target, found, dialect.models, dialect.asks_models), found.model)
    for name in _OF_A_MODEL:
        if (tokens := _count(models.get(name))) is not None:
            return Context(tokens, phrase("{} of {}", name, dialect.models))
    if (tokens := _count(_within(models, "meta", "n_ctx"))) is not None:
        return Context(tokens, phrase("{} of {}", "n_ctx", dialect.models))
    root = msgspec.structs.replace(target, prefix=target.prefix.removesuffix("/v1"), query="")
    for path, read in _PAGES.get(str(models.get("owned_by", "")), _PAGES.get(str(spec.endpoint.api), ())):
        tokens, most, name = read(_page(spec, root, found, path))
        if _count(tokens) is not None or _count(most) is not None:
            whole = _count(tokens) or _count(most) or 0
            return Context(whole, phrase("{} of {}", name, path), _count(most))
    return None


def _page(spec: Spec, target: Target, found: Endpoint, path: str, payload: bytes | None = None) -> dict[str, Any]:
    """The JSON object at a path; empty where there is none, which is no answer."""
    if not path:
        return {}
    timeouts = (spec.load.connect_timeout_s, min(spec.load.timeout_s, _MOST_S))
    try:
        page = get(target, found.address, path, timeouts, _BYTES, payload)
        told = msgspec.json.decode(bytes(page.body)) if 200 <= page.status < 300 else None
    except (OSError, ConnectError, LoadcellError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _model_of(told: dict[str, Any], model: str) -> dict[str, Any]:
    """What a list says of a model; of the only one, whatever it is called. Empty where it says nothing."""
    each = told.get("data")
    listed = [one for one in each if isinstance(one, dict)] if isinstance(each, list) else []
    named = [one for one in listed if model in (one.get("id"), one.get("name"))]
    return (named or (listed if len(listed) == 1 else [{}]))[0]


def _within(told: dict[str, Any], *path: str) -> Any:
    value: Any = told
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _count(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None
