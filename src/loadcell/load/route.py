"""Where on a server an API is asked: paths and queries, from the URL, `endpoint.path` and the API itself."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from loadcell.errors import UsageError
from loadcell.protocol import Dialect

MODEL = "{model}"
"""Stands in a path for the model's name."""
_SAFE = "/?%:@!$&'()*+,;=~"
_WHOLE = "/invocations"
"""Ends a URL that names a model's own address, whatever API that speaks: Databricks', SageMaker's, vLLM's."""
_NAMED = (
    re.compile(r"/deployments/([^/]+)/"),  # Azure
    re.compile(r"/(?:serving-endpoints|endpoints)/([^/]+)/invocations$"),  # Databricks, SageMaker
    re.compile(r"/models/([^/]+)/(?:versions/[^/]+/)?generate(?:_stream)?$"),  # Triton
)


class Route(NamedTuple):
    """Paths as they stand in a request line, and what follows them: "" or a query with its mark."""

    prefix: str
    """In front of the paths of the API."""
    query: str
    """After each of these."""
    path: str
    """Of a load's requests, whole; it may hold `MODEL`."""
    path_query: str
    by_hand: bool
    """Whether that path was given whole, and is not the API's own."""


def route_to(url: str, asked: str | None, dialect: Dialect, *, stream: bool) -> Route:
    """The route of an API: at the URL's base, or at `asked` in its place; UsageError if that is no path.

    A path that begins with a slash starts at the host, any other goes on from the URL's.
    """
    parts = urlsplit(url)
    given, query = quote(parts.path, safe=_SAFE).rstrip("/"), _query(parts.query)
    base, whole = _bare(given, dialect), _is_whole(given, dialect)
    prefix = base or dialect.base
    own = prefix + (dialect.path if stream or dialect.whole_path is None else dialect.whole_path)
    if asked is None:
        path = _named_whole(given, own, dialect) if whole else own
        return Route(prefix, query, path, _query(parts.query, path), whole)
    if "://" in asked or re.search(r"[\s#]", asked):
        raise UsageError(f"--path {asked!r} is no path: write /what/follows/the/host?and=its&query")
    path, _, more = asked.partition("?")
    path = MODEL.join(quote(piece, safe=_SAFE) for piece in path.split(MODEL))
    if path and not path.startswith("/"):
        path = f"{base}/{path}"
    more = "&".join(filter(None, (parts.query, more)))
    return Route(prefix, query, path or own, _query(more, path or own), bool(path))


def named_model(path: str) -> str | None:
    """The model that a path names by the habits of those who serve so; None if it names none."""
    found = next(filter(None, (pattern.search(path) for pattern in _NAMED)), None)
    return None if found is None or MODEL in path else unquote(found[1])


def with_model(path: str, model: str) -> str:
    """The path to a model."""
    return path.replace(MODEL, quote(model, safe=""))


def _query(text: str, path: str = "") -> str:
    """What follows a path, which may have a query of its own."""
    return f"{'&' if '?' in path else '?'}{quote(text, safe=_SAFE)}" if text else ""


def _named_whole(given: str, own: str, dialect: Dialect) -> str:
    """A whole path as it was given, but for the method where the API has another for replies that come whole."""
    if dialect.whole_path is None or given.endswith(_WHOLE):
        return given
    return given.rpartition("/")[0] + own[own.rindex("/") :]


def _is_whole(given: str, dialect: Dialect) -> bool:
    """Whether a URL's path is that of a load's requests, which nothing is added to."""
    lead, mark, _ = dialect.path.partition(MODEL)
    ends = {path.rpartition("/")[2] for path in dialect.paths}
    return given.endswith(_WHOLE) or bool(mark and lead in given and given.rpartition("/")[2] in ends)


def _bare(given: str, dialect: Dialect) -> str:
    """The base path of the API: what is given, without a method's own path."""
    lead, mark, _ = dialect.path.partition(MODEL)
    if mark:
        given = given.partition(lead)[0]
    for known in (*dialect.paths, _WHOLE):
        given = given.removesuffix(known)
    return given
