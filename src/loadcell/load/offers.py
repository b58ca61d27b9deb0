"""Which APIs a server has: asked once it has refused the one that was wanted, so that the refusal can name them.

A path is asked by a body that is no JSON: who has the path says so of the body, who has not says 404 or 405, and nobody
generates anything. An API whose path holds a model's name is asked for its models instead.
"""

from __future__ import annotations

import time
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec

from loadcell.api_template import Template
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
    """Whether what was refused is there all the same: then it refuses something else."""
    here: list[Api]
    """APIs at the URL that was given; the one that was wanted only where it was asked at another path."""
    elsewhere: dict[Api, str]
    """Others at the server's root or at their own base, by API, with the URL to give."""
    by_path: Api | None
    """The API for which a path was given, which keeps it from its own; None where none was."""

    @property
    def advice(self) -> str | None:
        """What to ask instead; None where nothing is known to be better."""
        if self.itself or not (self.here or self.elsewhere):
            return None
        if self.here:
            first = self.here[0]
            if self.by_path is None:
                return f"{_row(self.here)} answered there: --api {first}"
            return f"{_row(self.here)} answered there without --path: leave it out{self._with(first)}"
        first, url = next(iter(self.elsewhere.items()))
        same = [one for one, place in self.elsewhere.items() if place == url]
        without = "" if self.by_path is None else ", leave --path out"
        return f"{_row(same)} answered at {url}: name that URL{without}{self._with(first)}"

    def _with(self, name: Api) -> str:
        """A template has no name; and what was given already need not be said."""
        return "" if isinstance(name, Template) or name == self.by_path else f", with --api {name}"


def offers(endpoint: Endpoint, target: Target, address: Address) -> Offers:
    """Ask for every API that there is here, the one that was wanted first, within a few seconds.

    A path that was given is asked as it is, and then every API without it.
    """
    found = Offers(False, [], {}, endpoint.api if endpoint.path else None)
    limit_s = time.monotonic() + _MOST_S
    parts = urlsplit(endpoint.url)
    root = urlunsplit((parts.scheme, parts.netloc, "", parts.query, ""))
    names: list[Api] = [endpoint.api, *(name for name in api_names() if name != endpoint.api)]
    known: dict[tuple[str, Api], bool] = {}
    asks = [(name, url, None) for url in (endpoint.url, root) for name in names]
    for name, url, path in [(endpoint.api, endpoint.url, endpoint.path), *asks][:_MOST]:
        place = _place(endpoint, target, name, url, path)
        asked = place.prefix + place.query
        if (asked, name) in known or time.monotonic() > limit_s:
            continue
        known[asked, name] = _answers(place, address, name)
        if not known[asked, name]:
            continue
        if len(known) == 1:
            return found._replace(itself=True)
        if url == endpoint.url:
            found.here.append(name)
        elif name not in found.here:
            found.elsewhere[name] = target.origin + dialect_of(name).base
    return found


def _place(endpoint: Endpoint, target: Target, name: Api, url: str, path: str | None) -> Target:
    """Where an API would be asked, as the base of a target."""
    dialect = dialect_of(name)
    route = route_to(url, path, dialect, stream=endpoint.stream)
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


def _row(apis: list[Api]) -> str:
    names = ["the template" if isinstance(one, Template) else one for one in apis]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
