"""How the prefix cache of a server is emptied: which engine it is, and that engine's own call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from loadcell.errors import EndpointError, LoadcellError
from loadcell.load.exchange import get
from loadcell.load.preflight import reachable
from loadcell.load.scrape import CONNECT_S, metrics_target, own_page
from loadcell.load.target import Address, Target
from loadcell.load.wire import ConnectError
from loadcell.spec import Endpoint

_ANSWER_S, _PAGE_S, _PAGE_BYTES = 30.0, 2.0, 1 << 20
_BUSY_S, _AGAIN_S = 5.0, 0.25
"""An engine refuses while it still clears up after a request: asked again for so long."""
_SAID_MOST = 200


class Emptied(NamedTuple):
    """What a call answered."""

    call: str
    status: int
    said: str


class _Engine(NamedTuple):
    """An engine with a call that empties its cache."""

    name: str
    page: str
    """What the names of its Prometheus page begin with."""
    told_at: str
    """A path that it has, where it has no such page, and..."""
    tells: bytes
    """...what stands there."""
    paths: Callable[[Target, Address], list[str]]
    """Where to POST."""
    lacks: str
    """What to do where there is no such call."""


def _slots(target: Target, address: Address) -> list[str]:
    """The erasing of each slot of llama.cpp."""

    class Props(msgspec.Struct):
        total_slots: int

    page = get(_at(target, "/props"), address, "", (CONNECT_S, _PAGE_S))
    try:
        slots = msgspec.json.decode(bytes(page.body), type=Props).total_slots
    except msgspec.DecodeError:
        raise EndpointError(
            f"GET {target.origin}/props of llama.cpp does not tell its slots (HTTP {page.status}): name a call that "
            "empties its cache with --cache-reset URL"
        ) from None
    return [f"/slots/{number}?action=erase" for number in range(slots)]


ENGINES = (
    _Engine(
        "vLLM", "vllm:", "/version", b'"version"', lambda *_: ["/reset_prefix_cache"],
        "vLLM has it in its development mode alone: start it with "
        "VLLM_SERVER_DEV_MODE=1 (loadcell serve: with --cache-tokens N)",
    ),
    _Engine(
        "SGLang", "sglang:", "/get_model_info", b'"model_path"', lambda *_: ["/flush_cache"],
        "SGLang has it where nothing in front of it hides it, and needs its admin key where it was given one",
    ),
    _Engine(
        "llama.cpp", "llamacpp:", "/props", b'"total_slots"', _slots,
        "llama.cpp has it where it was started with --slot-save-path DIR",
    ),
)  # fmt: skip


def engine_of(endpoint: Endpoint, target: Target, address: Address) -> _Engine | None:
    """Which engine a server is, by its Prometheus page or by a path that no other has; None if it tells neither."""
    page = own_page(endpoint, target, address) or ""
    for engine in ENGINES:
        if f"\n{engine.page}" in f"\n{page}":
            return engine
    for engine in ENGINES:
        try:
            told = get(_at(target, engine.told_at), address, "", (CONNECT_S, _PAGE_S), _PAGE_BYTES)
        except (OSError, ConnectError, LoadcellError):  # silence is no sign of it
            continue
        if told.status == 200 and engine.tells in bytes(told.body):
            return engine
    return None


def reset_calls(endpoint: Endpoint, target: Target, address: Address) -> list[Callable[[], Emptied]]:
    """The calls that empty the cache of a server; EndpointError if nobody knows any, with what to do."""
    engine = engine_of(endpoint, target, address)
    if engine is None:
        names = ", ".join(one.name for one in ENGINES)
        raise EndpointError(
            f"--cache cold: {target.origin} does not tell which engine it is ({names}), so nobody knows how its cache "
            "is emptied: name the call with --cache-reset URL, or restart the server before each run and give "
            "--cache as-is"
        )
    try:
        paths = engine.paths(target, address)
    except (OSError, ConnectError) as error:
        raise EndpointError(f"--cache cold: {target.origin} did not tell how its cache is emptied: {error}") from None
    return [_call(_at(target, path), address, path, engine.lacks) for path in paths]


def reset_call(endpoint: Endpoint, target: Target, url: str) -> Callable[[], Emptied]:
    """The call to a URL that empties a cache."""
    there = metrics_target(endpoint, url, target)
    parts = urlsplit(url)
    there = msgspec.structs.replace(there, prefix=parts.path or "/", query=f"?{parts.query}" if parts.query else "")
    return _call(there, reachable(there, CONNECT_S), there.prefix, "See what the URL of --cache-reset is for")


def _call(target: Target, address: Address, path: str, lacks: str) -> Callable[[], Emptied]:
    """The call to a path, which is named without what a query may hold."""
    name = f"POST {target.origin}{path}"

    def call() -> Emptied:
        until_s = time.monotonic() + _BUSY_S
        while True:
            try:
                page = get(target, address, "", (CONNECT_S, _ANSWER_S), payload=b"{}")
            except (OSError, ConnectError) as error:
                raise EndpointError(f"--cache cold: {name} got no answer: {error or type(error).__name__}") from None
            said = bytes(page.body[:_SAID_MOST]).decode("utf-8", "replace").strip()
            refused = b'"success":false' in bytes(page.body).replace(b" ", b"")
            if 200 <= page.status < 300 and not refused:
                return Emptied(f"POST {path}", page.status, said)
            if not (refused or page.status in (400, 409, 503)) or time.monotonic() > until_s:
                raise EndpointError(
                    f"--cache cold: {name} answered HTTP {page.status}{f' ({said})' if said else ''}: the cache is not "
                    f"emptied. {lacks}; or give --cache as-is"
                )
            time.sleep(_AGAIN_S)

    return call


def _at(target: Target, path: str) -> Target:
    """A path at the root of a server."""
    place, _, query = path.partition("?")
    return msgspec.structs.replace(target, prefix=place, query=f"?{query}" if query else "")
