"""Bodies of prompts that share beginnings: where each API has the system prompt, and what their hash tells apart."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from loadcell.load.bodies import Source
from loadcell.protocol import dialect_of
from loadcell.spec import build_spec
from loadcell.workload import plan


def source_of(api: str = "chat", salt: str = "s", **prefix: Any) -> Source:
    prefix = prefix or {"system_tokens": 12, "groups": 2, "tokens": 20}
    load = {"concurrency": 2, "requests": 10}
    tree = {"endpoint": {"url": "localhost:1", "api": api}, "load": load, "prefix": prefix,
            "workload": {"input_tokens": "60", "output_tokens": "4"}, "run": {"salt": salt}}  # fmt: skip
    spec = build_spec(tree)
    dialect, planned = dialect_of(api), plan(spec)
    start = dialect.prefix("m", True, dialect.form, {})
    return Source(api, [(start, dialect.form.max_tokens_field)], planned.prompts, planned.schedule.output_tokens)


def bodies(source: Source) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in source.bodies(0) if isinstance(payload, bytes)]


def said(api: str, body: dict[str, Any]) -> tuple[str, str]:
    """What the system says in a body, and what the user does."""
    if api == "messages":
        (message,) = body["messages"]
        return str(body["system"]), str(message["content"])
    system, user = body["input" if api == "responses" else "messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    return str(system["content"]), str(user["content"])


@pytest.mark.parametrize("api", ["chat", "messages", "responses", "ollama"])
def test_an_api_that_talks_has_the_system_prompt_as_its_own_message(api: str) -> None:
    systems, users = zip(*(said(api, body) for body in bodies(source_of(api))), strict=True)
    assert len(set(systems)) == 1 and len(systems[0].split()) == 12
    assert {len(user.split()) for user in users} == {48}
    assert len({user.split()[0] for user in users}) == 2, "two groups begin in two ways"
    assert len(set(users)) == 10


@pytest.mark.parametrize("api", ["completions", "sglang", "llamacpp", "tgi"])
def test_an_api_that_takes_a_text_has_it_at_the_start(api: str) -> None:
    key = {"completions": "prompt", "llamacpp": "prompt", "sglang": "text", "tgi": "inputs"}[api]
    texts = [body[key].split() for body in bodies(source_of(api))]
    assert {len(words) for words in texts} == {60}
    assert len({tuple(words[:12]) for words in texts}) == 1
    assert len({tuple(words[:32]) for words in texts}) == 2


def test_the_hash_follows_what_is_shared() -> None:
    one = source_of().hash(10)
    assert one == source_of().hash(10)
    others = [
        source_of(salt="t"), source_of(system_tokens=12), source_of(system_tokens=11, groups=2, tokens=20),
        source_of(system_tokens=12, groups=3, tokens=20), source_of(system_tokens=12, groups=2, tokens=21),
        source_of("completions"),
    ]  # fmt: skip
    assert len({one, *(other.hash(10) for other in others)}) == 7


def test_bodies_that_are_made_later_are_the_same() -> None:
    source = source_of()
    assert list(source.bodies(0))[4:] == list(source.bodies(4))
    picked = list(source.prompts.select(np.array([7, 2, 2])))
    every = list(source.prompts)
    assert picked == [every[7], every[2], every[2]]
