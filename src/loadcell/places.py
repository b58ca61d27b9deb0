"""Where the requests of one run go: several endpoints, several models or adapters, each with its share and its SLO.

What two requests may differ in is their class: an endpoint with a model. A run without any of this has one class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from loadcell.errors import UsageError, nearest
from loadcell.secrets import bare_url
from loadcell.urls import full_url

Doc = msgspec.Meta
_WRITE_ALSO = "write URL or URL=WEIGHT, as in http://b:8000=2"


class Slo(msgspec.Struct, frozen=True, kw_only=True):
    """Limits that a request must keep to count as good; response times, so they start at the planned time."""

    ttft_ms: Annotated[float | None, Doc(description="time to first token, at most")] = None
    tpot_ms: Annotated[float | None, Doc(description="time per output token, at most")] = None
    e2e_ms: Annotated[float | None, Doc(description="end-to-end latency, at most")] = None
    first_audio_ms: Annotated[float | None, Doc(description="of speech: time to first audio, at most")] = None

    @property
    def limits(self) -> dict[str, float]:
        """The limits that were given, in ms, by field."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


class Also(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further endpoint. It speaks the API of the run, and has its settings but for what stands here."""

    url: str
    weight: float = 1.0
    model: str | None = None
    """None: as of the run."""
    name: str | None = None
    """What the result calls it; None: its host and port."""
    api_key_env: str | None = None
    """Environment variable of its key; None: the run's key where its host is the run's, else none."""


class Classes(msgspec.Struct, frozen=True, kw_only=True):
    """Several endpoints or models in one run, and which of them each request is for."""

    also: Annotated[
        list[Also], Doc(description="further endpoints: URL, URL=WEIGHT, or url, weight, model, name and api_key_env")
    ] = []
    weight: Annotated[float, Doc(description="share of endpoint.url, beside the weights of the others")] = 1.0
    models: Annotated[
        dict[str, float], Doc(description="models or LoRA adapters by name, with their shares: a=0.7,b=0.3")
    ] = {}
    deal: Annotated[
        Literal["weights", "round-robin"],
        Doc(
            description="weights: each request is drawn from the seed by the shares; round-robin: the same shares in "
            "every stretch of requests, in an order drawn from the seed"
        ),
    ] = "weights"
    share_key: Annotated[bool, Doc(description="send the key, headers and client certificate to further hosts too")] = (
        False
    )
    slo_of: Annotated[
        dict[str, Slo], Doc(description="limits of a class, an endpoint or a model, in place of the run's")
    ] = {}


class Class(NamedTuple):
    """What requests of one class have in common."""

    name: str
    endpoint: str
    """What its endpoint is called."""
    url: str
    place: int
    """Number of its endpoint: 0 is endpoint.url."""
    model: str | None
    share: float
    """Of all requests; the shares add up to 1."""
    slo: Slo


def classes_of(classes: Classes, url: str, model: str | None, slo: Slo) -> list[Class]:
    """The classes of a run on the endpoint `url`, at least one; UsageError says which cannot be."""
    endpoints = [Also(url=url, weight=classes.weight, model=model), *classes.also]
    names = [one.name or _called(one.url) for one in endpoints]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise UsageError(
                f"two endpoints are called {name}: give one of them a weight of both, or each a name of its own "
                "(classes.also in a spec: url and name)"
            )
    if model is not None and classes.models:
        raise UsageError("give either a model or classes.models (--models), which names them all")
    for name, weight in (*zip(names, (one.weight for one in endpoints), strict=True), *classes.models.items()):
        if not (weight > 0 and math.isfinite(weight)):
            raise UsageError(f"{name} has the weight {weight:g}: it must be more than 0; leave out what gets nothing")
    found: list[tuple[str, int, str | None, float]] = []
    whole, several = sum(one.weight for one in endpoints), len(endpoints) > 1
    for place, one in enumerate(endpoints):
        own = {} if one.model is not None else classes.models
        if not own:
            found.append((names[place], place, one.model or model, one.weight / whole))
        for each, weight in own.items():
            name = f"{each}@{names[place]}" if several else each
            found.append((name, place, each, one.weight / whole * weight / sum(own.values())))
    if classes.deal != "weights" and len(found) == 1:
        raise UsageError("classes.deal (--deal) wants several endpoints or models: --also URL, --models a,b")
    if classes.share_key and not classes.also:
        raise UsageError("classes.share_key (--share-key) is for further endpoints: --also URL names them")
    limits = _limits(classes.slo_of, found, names, slo)
    return [
        Class(name, names[place], endpoints[place].url, place, each, share, limit)
        for (name, place, each, share), limit in zip(found, limits, strict=True)
    ]


def _limits(
    asked: Mapping[str, Slo], found: list[tuple[str, int, str | None, float]], names: list[str], usual: Slo
) -> list[Slo]:
    """The SLO of each class: what is asked of it by name goes before its model's, and that before its endpoint's."""
    if asked and len(found) == 1:
        raise UsageError(
            "classes.slo_of (--slo-of) wants several endpoints or models: limits of all requests are --slo"
        )
    called = [[name, *([] if each is None else [each]), names[place]] for name, place, each, _ in found]
    for name in asked:
        known = dict.fromkeys(word for words in called for word in words)
        if name not in known:
            raise UsageError(
                f"--slo-of {name}: there is no such class{nearest(name, known)}; there are: {', '.join(known)}"
            )
    return [next((asked[word] for word in words if word in asked), usual) for words in called]


def _called(url: str) -> str:
    """What an endpoint is called that has no name: its host and port, and a path that is not the usual one."""
    parts = urlsplit(bare_url(url))
    path = parts.path.rstrip("/")
    return parts.netloc.rpartition("@")[2] + ("" if path in ("", "/v1") else path)


def parse_also(text: str) -> Also:
    """The endpoint that URL or URL=WEIGHT names; UsageError else."""
    url, mark, weight = text.strip().rpartition("=")
    _, query, pairs = url.partition("?")
    weighed = mark and (not query or "=" in pairs.rpartition("&")[2])  # else that is the value of the query's last part
    try:
        return Also(url=full_url(url), weight=float(weight)) if weighed else Also(url=full_url(text))
    except ValueError:
        raise UsageError(f"{bare_url(text)!r} is not an endpoint with a weight: {_WRITE_ALSO}") from None


def parse_models(text: str) -> dict[str, float]:
    """The shares of "a=0.7,b=0.3", or equal ones of "a,b"; UsageError else."""
    found: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, weight = part.rpartition("=") if "=" in part else (part, "", "1")
        try:
            share = float(weight)
        except ValueError:
            raise UsageError(f"{part!r} is not a model with its share: write a=0.7,b=0.3") from None
        if not name or name in found:
            raise UsageError(f"{name or part!r} is named twice or not at all: write a=0.7,b=0.3")
        found[name] = share
    return found


def parse_slo_of(text: str, parse_slo: Callable[[str], Slo]) -> tuple[str, Slo]:
    """The class and its limits of CLASS=ttft=500ms,tpot=30ms; UsageError else."""
    name, mark, limits = text.partition("=")
    if not mark or not name.strip() or not (slo := parse_slo(limits)).limits:
        raise UsageError(f"--slo-of {text!r}: write CLASS=ttft=500ms,tpot=30ms")
    return name.strip(), slo


def written_out(section: dict[str, Any], parse_slo: Callable[[str], Slo]) -> None:
    """Write out what a person may write short in the section `classes` of a spec."""
    if isinstance(also := section.get("also"), str | list):
        section["also"] = [_also(one) for one in (also.split(",") if isinstance(also, str) else also)]
    if isinstance(models := section.get("models"), str | list):
        section["models"] = parse_models(models if isinstance(models, str) else ",".join(map(str, models)))
    if isinstance(limits := section.get("slo_of"), dict):
        section["slo_of"] = {name: parse_slo(one) if isinstance(one, str) else one for name, one in limits.items()}
    for key in ("also", "slo_of"):
        if key in section:
            section[key] = msgspec.to_builtins(section[key])


def _also(one: Any) -> Any:
    if isinstance(one, str):
        return parse_also(one)
    if isinstance(one, dict) and "api" in one:
        raise UsageError("classes.also: all endpoints of a run speak one API, that of endpoint.api: leave api out")
    return {**one, "url": full_url(one["url"])} if isinstance(one, dict) and isinstance(one.get("url"), str) else one


def bare(classes: Classes) -> Classes:
    """The section as it may be written down: no credentials or query in URLs."""
    also = [msgspec.structs.replace(one, url=bare_url(one.url)) for one in classes.also]
    return msgspec.structs.replace(classes, also=also)
