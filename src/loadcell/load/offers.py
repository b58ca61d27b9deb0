"""Which APIs a server has: asked once it has refused the one that was wanted, so that the refusal can name them.

A path is asked by a body that is no JSON: who has the path says so of the body, who has not says 404 or 405, and nobody
generates anything. An API whose path holds a model's name is asked for its models instead.
"""

from __future__ import annotations

import time
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec

from loadcell.apis import Api, api_names
from loadcell.errors import LoadcellError
from loadcell.load.exchange import get
from loadcell.load.route import MODEL, route_to
from loadcell.load.target import Address, Target
from loadcell.load.wire import ConnectError
from loadcell.protocol import dialect_of
from loadcell.spec import Endpoint

_NO_JSON = b"{"
_TAKEN = frozenset((400, 413, 415, 422, 500))
"""Statuses of a server that has looked at such a body."""
_MOST, _MOST_S, _EACH_S = 64, 4.0, 1.0
_BYTES = 1 << 20


class Offers(NamedTuple):
    """What answered."""

    itself: bool
    """Whether the path that was refused is there all the same: then it refuses something else."""
    here: list[str]
    """APIs at the URL that was given."""
    elsewhere: dict[str, str]
    """Others at the server's root or at their own base, by name, with the URL to give."""

    @property
    def advice(self) -> str | None:
        """What to ask instead; None where nothing is known to be better."""
        if self.itself or not (self.here or self.elsewhere):
            return None
        if self.here:
            return f"{_row(self.here)} answered there: --api {self.here[0]}"
        name, url = next(iter(self.elsewhere.items()))
        same = [one for one, place in self.elsewhere.items() if place == url]
        return f"{_row(same)} answered at {url}: name that URL, with --api {name}"


def offers(endpoint: Endpoint, target: Target, address: Address) -> Offers:
    """Ask for every API that there is here, the one that was wanted first, within a few seconds."""
    found, limit_s = Offers(False, [], {}), time.monotonic() + _MOST_S
    parts = urlsplit(endpoint.url)
    root = urlunsplit((parts.scheme, parts.netloc, "", parts.query, ""))
    names: list[Api] = [endpoint.api, *(name for name in api_names() if name != endpoint.api)]
    known: dict[tuple[str, Api], bool] = {}
    for name, url in [(name, url) for url in (endpoint.url, root) for name in names][:_MOST]:
        place = _place(endpoint, target, name, url)
        path = place.prefix + place.query
        if (path, name) in known or time.monotonic() > limit_s:
            continue
        known[path, name] = _answers(place, address, name)
        if not known[path, name]:
            continue
        if url == endpoint.url and name == endpoint.api:
            return found._replace(itself=True)
        if url == endpoint.url:
            found.here.append(str(name))
        elif str(name) not in found.here:
            found.elsewhere[str(name)] = target.origin + dialect_of(name).base
    return found


def _place(endpoint: Endpoint, target: Target, name: Api, url: str) -> Target:
    """Where an API would be asked, as the base of a target."""
    own = endpoint.path if (name, url) == (endpoint.api, endpoint.url) else None
    dialect = dialect_of(name)
    route = route_to(url, own, dialect, stream=endpoint.stream)
    if MODEL in route.path:
        return msgspec.structs.replace(target, prefix=route.prefix + dialect.models, query=route.query)
    return msgspec.structs.replace(target, prefix=route.path, query=route.path_query)


def _answers(place: Target, address: Address, name: Api) -> bool:
    dialect = dialect_of(name)
    lists = MODEL in dialect.path
    try:
        payload = dialect.asks_models if lists else _NO_JSON
        page = get(place, address, "", (_EACH_S, _EACH_S), _BYTES, payload)
    except (OSError, ConnectError, LoadcellError):  # silence is no answer
        return False
    if lists:
        return 200 <= page.status < 300 and bool(dialect.listed(bytes(page.body)))
    return page.status in _TAKEN


def _row(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
