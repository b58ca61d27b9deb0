"""The engine's embeddings and rerankers: their forms, their known timing, and what they refuse."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from engine_client import Engine, Reply, Start

from loadcell.engine.pooling import MOST_INPUTS
from loadcell.engine.vectors import DIMENSION

pytestmark = pytest.mark.usefixtures("alone")

MS = 1_000_000
FAST = ("--ttft", "2ms")


def ask(engine: Engine, path: str = "/v1/embeddings", request_id: str = "", **fields: Any) -> Reply:
    headers = {"X-Request-Id": request_id} if request_id else {}
    return engine.ask("POST", path, json.dumps(fields).encode(), headers)


def test_each_input_has_its_seeded_vector(start: Start) -> None:
    engine = start(*FAST, "--seed", "7")
    reply = ask(engine, input=["three short words", "two words"], model="loadcell-engine").json()
    assert [one["index"] for one in reply["data"]] == [0, 1]
    assert all(len(one["embedding"]) == DIMENSION for one in reply["data"])
    assert reply["data"][0]["embedding"] != reply["data"][1]["embedding"]
    assert reply["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    packed = ask(engine, input="one", encoding_format="base64").json()["data"][0]["embedding"]
    assert all(-1 <= value <= 1 for value in struct.unpack(f"<{DIMENSION}f", base64.b64decode(packed)))
    again = start(*FAST, "--seed", "7")
    assert ask(again, input=["other words", "than before"]).json()["data"] == reply["data"]


@pytest.mark.parametrize(("given", "inputs", "tokens"), [("a b", 1, 2), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3)])
def test_inputs_are_texts_or_token_ids(start: Start, given: Any, inputs: int, tokens: int) -> None:
    reply = ask(start(*FAST), input=given).json()
    assert (len(reply["data"]), reply["usage"]["prompt_tokens"]) == (inputs, tokens)


def test_a_reranker_has_the_best_first_and_no_more_than_were_asked_for(start: Start) -> None:
    engine = start(*FAST)
    for path in ("/v1/rerank", "/v2/rerank"):
        fields = {"query": "which word", "documents": ["one", {"text": "two words"}, "three"]}
        reply = ask(engine, path, **fields).json()
        scores = [one["relevance_score"] for one in reply["results"]]
        assert sorted(one["index"] for one in reply["results"]) == [0, 1, 2]
        assert scores == sorted(scores, reverse=True)
        assert reply["usage"]["total_tokens"] == 3 * 2 + 4, "the query is read with each document"
        assert len(ask(engine, path, **fields, top_n=2).json()["results"]) == 2
    bare = ask(engine, "/rerank", query="which word", texts=["one", "two words"]).json()
    assert sorted(one["index"] for one in bare) == [0, 1] and all("score" in one for one in bare)
    assert engine.ask("GET", "/info").json()["model_id"] == "loadcell-engine"


def test_one_wait_of_ttft_and_prefill_then_the_whole_reply(start: Start) -> None:
    engine = start("--ttft", "30ms", "--prefill-rate", "1000", "--slots", "1")
    ask(engine, input=["ten " * 10, "ten " * 10], request_id="me")
    truth = engine.truth_of("me")
    took = truth["end_ns"] - truth["arrival_ns"]
    assert 50 * MS <= took < 110 * MS
    assert truth["pooled"] and truth["prompt_tokens"] == 20
    assert truth["tokens_ns"] == [] and truth["completion_tokens"] == 0
    page = engine.ask("GET", "/metrics").body.decode()
    told = {"prompt_tokens_total": "20", "generation_tokens_total": "0", "e2e_request_latency_seconds_count": "1",
            "time_to_first_token_seconds_count": "0"}  # fmt: skip
    for name, value in told.items():
        assert any(name in line and line.endswith(f" {value}") for line in page.splitlines()), name


@pytest.mark.parametrize(
    ("path", "fields", "status", "words"),
    [
        ("/v1/embeddings", {}, 400, "input: a text at least"),
        ("/v1/embeddings", {"input": []}, 400, "input: a text at least"),
        ("/v1/embeddings", {"input": ["a", ""]}, 400, "none may be empty"),
        ("/v1/embeddings", {"input": "a", "model": "another"}, 404, "does not exist"),
        ("/v1/embeddings", {"input": "a", "dimensions": 4}, 400, f"embeddings here have {DIMENSION}"),
        ("/v1/embeddings", {"input": "a", "encoding_format": "hex"}, 400, "encoding_format"),
        ("/v1/embeddings", {"input": ["a"] * (MOST_INPUTS + 1)}, 413, f"more than {MOST_INPUTS}"),
        ("/v1/rerank", {"documents": ["a"]}, 400, "query: a text is required"),
        ("/v1/rerank", {"query": "a"}, 400, "documents: a text at least"),
        ("/v1/rerank", {"query": "a", "documents": ["b"], "top_n": 0}, 400, "top_n must be at least 1"),
        ("/rerank", {"query": "a", "documents": ["b"]}, 400, "texts: a text at least"),
    ],
)
def test_what_cannot_be_served_is_refused(
    start: Start, path: str, fields: dict[str, Any], status: int, words: str
) -> None:
    reply = ask(start(*FAST), path, **fields)
    assert reply.status == status
    assert words in reply.json()["error"]["message"]


def test_usage_is_left_out_where_none_is_wanted(start: Start) -> None:
    engine = start(*FAST, "--no-usage")
    assert "usage" not in ask(engine, input="a").json()
    assert "usage" not in ask(engine, "/v1/rerank", query="a", documents=["b"]).json()
