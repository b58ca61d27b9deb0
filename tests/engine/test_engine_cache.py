"""The prefix cache of the engine: what it knows, forgets and tells."""

from __future__ import annotations

import json
import random

import pytest
from engine_client import FAST, Start
from hypothesis import given
from hypothesis import strategies as st

from loadcell.engine.prefix_cache import PrefixCache


@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=12), min_size=1, max_size=20),
    st.integers(1, 4),
)
def test_a_cache_with_room_has_the_longest_beginning_in_whole_blocks(prompts: list[list[str]], block: int) -> None:
    cache = PrefixCache(10_000, block)
    for number, words in enumerate(prompts):
        known = 0
        for other in prompts[:number]:
            common = next((i for i, (a, b) in enumerate(zip(words, other, strict=False)) if a != b),
                          min(len(words), len(other)))  # fmt: skip
            known = max(known, common // block * block)
        assert cache.take(words) == min(known, (len(words) - 1) // block * block), "the last token is always read"


def test_the_least_recently_used_go_first_and_the_end_of_a_prompt_before_its_start() -> None:
    cache = PrefixCache(8, 2)
    assert cache.take(list("abcdefgh")) == 0
    assert cache.take(list("xy")) == 0
    assert cache.take(list("abcdefghi")) == 6, "gh made room"
    cache.clear()
    assert cache.take(list("abcdefghi")) == 0


def test_usage_page_and_truth_tell_the_same_and_prefill_costs_what_is_not_known(start: Start) -> None:
    engine = start(*FAST, "--cache-tokens", "1000", "--cache-block", "4", "--prefill-rate", "1000")
    words = [random.Random(7).choice("abcdefghij") for _ in range(43)]

    def ask(path: str, **body: object) -> dict[str, int]:
        usage = engine.ask("POST", path, json.dumps({"max_tokens": 1, **body}).encode()).json()["usage"]
        found: dict[str, int] = usage["prompt_tokens_details"]
        return found

    messages = [{"role": "system", "content": " ".join(words[:20])}, {"role": "user", "content": " ".join(words[20:])}]
    assert ask("/v1/chat/completions", messages=messages) == {"cached_tokens": 0}
    assert ask("/v1/completions", prompt=" ".join([*words[:22], "z"])) == {"cached_tokens": 20}
    assert ask("/v1/chat/completions", messages=messages) == {"cached_tokens": 40}
    said = engine.ask("POST", "/v1/responses", json.dumps({"input": " ".join(words), "max_output_tokens": 1}).encode())
    assert said.json()["usage"]["input_tokens_details"] == {"cached_tokens": 40}
    truths = engine.truth()
    assert [truth["cached_tokens"] for truth in truths] == [0, 20, 40, 40]
    for truth in truths:
        waited_s = (truth["tokens_ns"][0] - truth["arrival_ns"]) / 1e9
        assert waited_s >= (truth["prompt_tokens"] - truth["cached_tokens"]) / 1000
    page = engine.ask("GET", "/metrics").body.decode()
    assert 'vllm:prefix_cache_hits_total{engine="0",model_name="loadcell-engine"} 100' in page
    assert engine.ask("POST", "/reset_prefix_cache").status == 200
    assert ask("/v1/chat/completions", messages=messages) == {"cached_tokens": 0}


def test_without_a_cache_nothing_tells_of_one(start: Start) -> None:
    engine = start(*FAST)
    assert engine.ask("POST", "/reset_prefix_cache").status == 404
    said = engine.ask("POST", "/v1/completions", b'{"prompt": "a b c", "max_tokens": 1}').json()
    assert "prompt_tokens_details" not in said["usage"]


def test_a_cache_that_cannot_be_is_refused(start: Start) -> None:
    with pytest.raises(AssertionError, match="cache_block is 0"):
        start(*FAST, "--cache-block", "0")
