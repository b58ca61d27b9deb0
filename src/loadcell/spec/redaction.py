"""The Spec as it may be written down."""

from __future__ import annotations

import os

import msgspec

from loadcell.api_template import Template
from loadcell.apis import Api
from loadcell.places import bare
from loadcell.secrets import REDACTED, bare_body, bare_url, of_body, of_headers, of_url, scrub_tree
from loadcell.spec.model import Spec

_SURE = 8
"""Characters from which on a secret is none by chance."""


def secrets_of(spec: Spec, api_key: str | None) -> set[str]:
    """Strings that must never be written: the API key, and what headers, URLs and further body fields hold."""
    endpoint = spec.endpoint
    also = (one.url for one in spec.classes.also)
    urls = filter(
        None, (endpoint.url, endpoint.path, endpoint.metrics_url, spec.load.cache_reset, *spec.observe.urls, *also)
    )
    found = {api_key or "", *of_headers(endpoint.headers), *of_body(endpoint.extra_body)}
    return found.union(*map(of_url, urls)) - {""}


def redact(spec: Spec) -> Spec:
    """The Spec as it may be written down: no header values, no credentials or query in URLs, no keys in the body."""
    # A key may stand in a field of any name; a value that could be a word by chance is left alone.
    keys = {os.environ.get(one.api_key_env or "", "") for one in spec.classes.also}
    found = secrets_of(spec, os.environ.get(spec.endpoint.api_key_env)) | keys
    known = [value for value in found if len(value) >= _SURE]
    endpoint = msgspec.structs.replace(
        spec.endpoint,
        url=bare_url(spec.endpoint.url),
        path=spec.endpoint.path and bare_url(spec.endpoint.path),
        metrics_url=spec.endpoint.metrics_url and bare_url(spec.endpoint.metrics_url),
        headers=dict.fromkeys(spec.endpoint.headers, REDACTED),
        extra_body=scrub_tree(bare_body(spec.endpoint.extra_body), known),
        api=_scrubbed(spec.endpoint.api, known),
    )
    observe = msgspec.structs.replace(spec.observe, urls=[bare_url(url) for url in spec.observe.urls])
    load = msgspec.structs.replace(spec.load, cache_reset=spec.load.cache_reset and bare_url(spec.load.cache_reset))
    return msgspec.structs.replace(spec, endpoint=endpoint, load=load, observe=observe, classes=bare(spec.classes))


def _scrubbed(api: Api, secrets: list[str]) -> Api:
    if isinstance(api, str):
        return api
    return msgspec.convert(scrub_tree(msgspec.to_builtins(api), secrets), Template)
