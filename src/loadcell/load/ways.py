"""How the classes of a run are reached: each asked on its own before the load, its endpoint dialled once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from loadcell.errors import EndpointError
from loadcell.load.host import Place, server_place
from loadcell.load.job import Lane
from loadcell.load.preflight import Endpoint, list_models, reachable
from loadcell.load.scrape import ANSWER_S, CONNECT_S, FETCH_ERRORS, fetch, metrics_target, name_of, reason
from loadcell.load.target import Address, Target, make_target, secrets_for
from loadcell.phrases import phrase
from loadcell.places import Class, Classes
from loadcell.protocol import dialect_of
from loadcell.recording.exposition import read_page
from loadcell.secrets import scrub, scrub_sentence
from loadcell.spec import Spec

_APART = 0.05
"""Prompt tokens of one probe that are further apart than this are counted differently."""


@dataclass(frozen=True)
class Way:
    """One class before its load."""

    of: Class
    spec: Spec
    """As if the run were of this class alone."""
    target: Target
    keyless: bool = False
    """Whether the key of the run is not sent, for it was given for another host."""


def ways_of(spec: Spec) -> list[Way]:
    """The classes of a run, in the order of their numbers; UsageError as `make_target`.

    The key, the headers and the client certificate of the run go to the hosts of `endpoint.url` alone, and never from
    TLS to plain HTTP, unless `classes.share_key` says so or an endpoint names a key of its own.
    """
    if not (spec.classes.also or spec.classes.models):
        return [Way(spec.dealt[0], spec, make_target(spec.endpoint, os.environ.get(spec.endpoint.api_key_env)))]
    return [_way(spec, of) for of in spec.dealt]


def _way(spec: Spec, of: Class) -> Way:
    endpoint = msgspec.structs.replace(spec.endpoint, url=of.url, model=of.model)
    first = make_target(spec.endpoint, None)
    keyless = False
    if of.place:
        bare = msgspec.structs.replace(endpoint, headers={}, api_key_env="", cert_file=None, key_file=None)
        there = make_target(bare, None)
        own = (there.host, there.socket_path) == (first.host, first.socket_path) and (there.tls or not first.tls)
        variable = spec.classes.also[of.place - 1].api_key_env
        keyless = endpoint != bare and not (own or spec.classes.share_key or variable is not None)
        endpoint = endpoint if own or spec.classes.share_key else bare
        endpoint = endpoint if variable is None else msgspec.structs.replace(endpoint, api_key_env=variable)
    alone = msgspec.structs.replace(spec, endpoint=endpoint, classes=Classes(), slo=of.slo)
    return Way(of, alone, make_target(endpoint, os.environ.get(endpoint.api_key_env)), keyless)


def secrets_of_ways(ways: Sequence[Way]) -> list[str]:
    """Every string of a run that must not be written, the longest first."""
    found = {
        secret
        for way in ways
        for secret in secrets_for(way.spec, way.target, os.environ.get(way.spec.endpoint.api_key_env))
    }
    return sorted(found, key=len, reverse=True)


def ask_others(ways: Sequence[Way], first: Endpoint, ask: Callable[[Spec, Target], Endpoint]) -> list[Endpoint]:
    """What was found out about each class, `first` about the first; EndpointError names the one that cannot be."""
    found = [first]
    for way in ways[1:]:
        try:
            found.append(ask(way.spec, way.target))
        except EndpointError as error:
            key = (
                "; the key is not sent to another host: --share-key sends it, or api_key_env of that endpoint names one"
            )
            raise EndpointError(f"{way.of.name}: {error}{key if way.keyless and _no_key(error) else ''}") from None
    return found


def _no_key(error: EndpointError) -> bool:
    return any(f"HTTP {status}" in str(error) for status in (401, 403))


def told_of(
    ways: Sequence[Way], found: Sequence[Endpoint], secrets: list[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """What a recording tells of its classes, and what a reader must know besides."""
    classes = [
        {
            "name": scrub(way.of.name, secrets),
            "endpoint": scrub(way.of.endpoint, secrets),
            "url": way.target.of_model(one.model).url,
            "model": scrub(one.model, secrets) or None,
            "share": way.of.share,
            "addresses": [str(address[1][0]) for address in one.addresses],
            "ignore_eos": one.form.ignore_eos,
            "reuse_connections": one.reuse,
        }
        for way, one in zip(ways, found, strict=True)
    ]
    said = {(ways[0].of.place, note) for note in found[0].notes}
    notes: list[str] = []
    for way, one in zip(ways[1:], found[1:], strict=True):
        new = [note for note in one.notes if (way.of.place, note) not in said]
        said |= {(way.of.place, note) for note in new}
        notes += [phrase("{}: {}", way.of.name, note) for note in new]
    probes = [one.probe_tokens for one in found if one.probe_tokens]
    if probes and max(probes) > (1 + _APART) * min(probes):
        notes.append(
            phrase(
                "prompts are planned in the tokens of {}; others count the same prompts differently", ways[0].of.name
            )
        )
    for way, one in zip(ways, found, strict=True):
        names = _listed(way, one) if way.of.model is not None else []
        if names and way.of.model not in names:
            notes.append(
                phrase("{} does not list the model {}; it answered all the same", way.of.endpoint, way.of.model)
            )
    return classes, [scrub_sentence(note, secrets) for note in notes]


def _listed(way: Way, found: Endpoint) -> list[str]:
    """The models that an endpoint lists; none where it has no such list. It has answered: nothing here fails a run."""
    if not dialect_of(way.spec.endpoint.api).models:
        return []
    try:
        return list_models(way.spec, way.target, found.address)[1]
    except EndpointError:
        return []


def _endpoints(ways: Sequence[Way], found: Sequence[Endpoint]) -> list[tuple[Way, Endpoint]]:
    """Each endpoint once, with the first of its classes."""
    return list({way.of.place: (way, one) for way, one in reversed(list(zip(ways, found, strict=True)))}.values())[::-1]


def pages_of(
    ways: Sequence[Way], found: Sequence[Endpoint], secrets: list[str]
) -> tuple[list[tuple[Target, Address]], list[str]]:
    """The Prometheus pages of several endpoints that have one, and notes on those that have none; of one, nothing."""
    endpoints = _endpoints(ways, found)
    pages: list[tuple[Target, Address]] = []
    notes: list[str] = []
    if len(endpoints) == 1 or ways[0].spec.endpoint.metrics_url == "none" or not ways[0].spec.observe.every_s:
        return pages, notes
    for way, one in endpoints:
        page = metrics_target(
            way.spec.endpoint, way.spec.endpoint.metrics_url if not way.of.place else None, way.target
        )
        try:
            where = one.address if page.dial == way.target.dial else reachable(page, CONNECT_S)
            read_page(fetch(page, where, CONNECT_S, ANSWER_S))
        except FETCH_ERRORS as error:
            notes.append(
                scrub_sentence(phrase("no server metrics from {}: {}", name_of(page), reason(error, ANSWER_S)), secrets)
            )
        else:
            pages.append((page, where))
    return pages, notes


_NEAREST: tuple[Place | None, ...] = ("same cores", "this machine", "other cores", None, "elsewhere")


def place_of_ways(
    ways: Sequence[Way], found: Sequence[Endpoint], cores: set[int]
) -> tuple[Place | None, Address | None]:
    """Where the server runs that is nearest to the load, and its address, None behind a proxy; as `server_place`."""
    places = [
        (server_place(way.target, one.address, cores), None if way.target.proxy else one.address)
        for way, one in _endpoints(ways, found)
    ]
    return min(places, key=lambda place: _NEAREST.index(place[0]))


def lanes_of(ways: Sequence[Way], found: Sequence[Endpoint], users: int, workers: int, most: int) -> list[Lane]:
    """The endpoints of a run for a worker, each once; of `users` in all, a lane opens what its share is likely to need,
    and `most` at most."""
    lanes: dict[int, Lane] = {}
    for way, one in zip(ways, found, strict=True):
        share = sum(other.of.share for other in ways if other.of.place == way.of.place)
        mean = users * min(share, 1.0) / workers
        pool = -(-users // workers) if len(ways) == 1 else round(mean + 3 * mean**0.5 + 0.5)
        lanes[way.of.place] = Lane(
            target=way.target,
            addresses=one.addresses,
            connect_timeout_s=way.spec.load.connect_timeout_s,
            reuse=one.reuse,
            left_open=one.left_open,
            pool=min(pool, -(-users // workers), most),
        )
    return [lanes[place] for place in sorted(lanes)]


def heads_of(ways: Sequence[Way], found: Sequence[Endpoint]) -> list[tuple[int, bytes, Target | None]]:
    """Of each class the lane that its requests take, the head of these but for their lengths, and what signs them."""
    return [(way.of.place, *_head_of(way, one)) for way, one in zip(ways, found, strict=True)]


def _head_of(way: Way, found: Endpoint) -> tuple[bytes, Target | None]:
    dialect, target = dialect_of(way.spec.endpoint.api), way.target.of_model(found.model)
    head = target.post_head(stream=way.spec.endpoint.stream, content_type=dialect.content_type, audio=dialect.audio)
    return head, target.asking() if target.aws is not None else None
