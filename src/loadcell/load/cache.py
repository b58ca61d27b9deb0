"""The server's prefix cache before a load: emptied and looked at, or given what the prompts share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from loadcell.errors import EndpointError
from loadcell.load.exchange import post
from loadcell.load.preflight import Endpoint, ask_briefly, prefix_of
from loadcell.load.progress import Progress
from loadcell.load.resets import Emptied, reset_call, reset_calls
from loadcell.load.scrape import own_page
from loadcell.load.target import Address, Target
from loadcell.load.ways import Way
from loadcell.load.wire import ConnectError
from loadcell.phrases import phrase
from loadcell.protocol import Reply, dialect_of
from loadcell.recording.exposition import read_samples
from loadcell.spec import Spec
from loadcell.workload import Plan, Prompts

PROBE = " ".join(["loadcell asks twice whether these words are known again"] * 12)
"""Longer than any block of a cache; what is in it means nothing."""
_HITS = (
    "vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total", "sglang:cached_tokens_total",
)  # fmt: skip
"""Counters of tokens that a cache had, on the pages of engines."""
_TRIES = 4
_AGAIN_S = 0.25
_TOLD_EVERY_S = 0.25

Watch = Callable[[Progress], None]


class Prepared(NamedTuple):
    """What was done to the caches of a load's servers."""

    told: list[dict[str, Any]]
    """Of each server, or of each class."""
    notes: list[str]


def prepare_cache(
    spec: Spec, ways: Sequence[Way], asked: Sequence[Endpoint], planned: Plan, watch: Watch
) -> Prepared:  # fmt: skip
    """Bring the caches of all servers into the state that the load is to find; EndpointError if that cannot be."""
    if spec.load.cache == "warm":
        assert planned.warm is not None
        return _warm(ways, asked, planned.warm, watch)
    if spec.load.cache == "cold":
        return _cold(spec, ways, asked)
    return Prepared([], [])


# --- cold -------------------------------------------------------------------------------------------------------------


def _cold(spec: Spec, ways: Sequence[Way], asked: Sequence[Endpoint]) -> Prepared:
    servers = {way.of.place: (way, found) for way, found in zip(ways, asked, strict=True)}
    told, notes = list[dict[str, Any]](), list[str]()
    url = spec.load.cache_reset
    for way, found in servers.values():
        calls = (
            [reset_call(way.spec.endpoint, way.target, url)]
            if url is not None
            else reset_calls(way.spec.endpoint, way.target, found.address)
        )
        one = _empty(way.spec, way.target.of_model(found.model), found, calls)
        told.append(one)
        notes.append(
            phrase(
                "the prefix cache of {} was emptied before the load ({} answered {}): {}",
                way.target.origin, one["call"], one["status"], _SEEN[one["seen_by"]],
            )
        )  # fmt: skip
    return Prepared(told, notes)


_SEEN = {
    "usage": phrase("a prompt that it had known was new to it then, by its usage"),
    "page": phrase("a prompt that it had known was new to it then, by its counters"),
    None: phrase("nothing that it tells says whether that helped"),
}


def _empty(
    spec: Spec, target: Target, found: Endpoint, calls: Sequence[Callable[[], Emptied]]
) -> dict[str, Any]:  # fmt: skip
    """Empty the cache of a server and see by a prompt that it knew whether it did; then empty it of that prompt too."""
    known = [_look(spec, target, found) for _ in range(2)][-1]
    for left in range(_TRIES, 0, -1):
        answers = [call() for call in calls]
        after = _look(spec, target, found)
        if after.answered and (known.seen_by is None or not after.cached or after.seen_by != known.seen_by):
            break
        if not after.answered:  # no sign of an empty cache
            known = after if left == 1 else known
        elif left == 1:
            raise EndpointError(
                f"--cache cold: {answers[0].call} of {target.origin} answered HTTP {answers[0].status}, but "
                f"{after.cached:g} tokens of a prompt that it knew were still in its cache{_BESIDES}; or give --cache "
                "as-is"
            )
        time.sleep(_AGAIN_S)
    answers = [call() for call in calls]
    return {
        "state": "cold",
        "server": target.origin,
        "call": answers[0].call,
        "calls": len(answers),
        "status": answers[0].status,
        "answered": answers[0].said,
        "seen_by": known.seen_by,
    }


_BESIDES = (
    ": a second cache may keep it (llama.cpp: --cache-ram 0 turns that off; vLLM, SGLang: their caches on the host)"
)


class _Look(NamedTuple):
    """What a server's cache had of a prompt."""

    cached: float
    seen_by: str | None
    """usage, or page; None where neither tells of any."""
    answered: bool = True
    """Whether there was a reply, without which nothing is known."""


def _look(spec: Spec, target: Target, found: Endpoint) -> _Look:
    before = _hits(spec, target, found.address)
    reply = ask_briefly(spec, target, found, PROBE, phrase("a probe of the cache"), await_end=True)
    if isinstance(reply, Reply) and (cached := cached_of(reply)):
        return _Look(cached, "usage")
    after = _hits(spec, target, found.address)
    gained = None if before is None or after is None else after - before
    return _Look(gained, "page") if gained else _Look(0.0, None, isinstance(reply, Reply))


def cached_of(reply: Reply) -> int | None:
    """Prompt tokens of a reply that its server had in a cache; None if it does not tell."""
    cached = None if reply.usage is None else reply.usage.cached_tokens
    return reply.told.cached_tokens if cached is None else cached


def _hits(spec: Spec, target: Target, address: Address) -> float | None:
    """Tokens that the cache had so far, by the server's page; None if it does not tell."""
    page = own_page(spec.endpoint, target, address)
    samples = [] if page is None else list(read_samples(page))
    for name in _HITS:
        values = [sample.value for sample in samples if sample.name == name]
        if values:
            return sum(values)
    return None


# --- warm -------------------------------------------------------------------------------------------------------------


def _warm(ways: Sequence[Way], asked: Sequence[Endpoint], prompts: Prompts, watch: Watch) -> Prepared:
    told, notes = list[dict[str, Any]](), list[str]()
    began_s = shown_s = time.monotonic()
    for way, found in zip(ways, asked, strict=True):
        spec, target, dialect = way.spec, way.target.of_model(found.model), dialect_of(way.spec.endpoint.api)
        prefix, tokens = prefix_of(spec, found), 0
        for number, prompt in enumerate(prompts):
            payload = dialect.body(prefix, prompt, found.fewest_tokens or 1, found.form.max_tokens_field)
            try:
                reply = post(
                    target, found.address, dialect, payload, (spec.load.connect_timeout_s, spec.load.timeout_s)
                )
            except (OSError, ConnectError) as error:
                raise EndpointError(
                    f"--cache warm: request {number + 1} of {len(prompts)} to {target.origin} got no answer: "
                    f"{error or type(error).__name__}"
                ) from None
            if not reply.good:
                said = reply.failure and reply.failure[1]
                raise EndpointError(
                    f"--cache warm: request {number + 1} of {len(prompts)} to {target.origin} failed (HTTP "
                    f"{reply.status}: {said}): give --cache as-is to do without"
                )
            tokens += 0 if reply.usage is None else reply.usage.prompt_tokens or 0
            now_s = time.monotonic()
            if now_s - shown_s > _TOLD_EVERY_S:
                shown_s = now_s
                watch(Progress("prepare", now_s - began_s))
        told.append({"state": "warm", "server": target.origin, "requests": len(prompts), "tokens": tokens or None})
        notes.append(
            phrase(
                "{:,} requests of {:,} prompt tokens in all warmed the prefix cache of {} before the load: one for "
                "each beginning that prompts share, counted in no figure",
                len(prompts), tokens, target.origin,
            )
            if tokens
            else phrase(
                "{:,} requests warmed the prefix cache of {} before the load: one for each beginning that prompts "
                "share, counted in no figure",
                len(prompts), target.origin,
            )
        )  # fmt: skip
    return Prepared(told, notes)
