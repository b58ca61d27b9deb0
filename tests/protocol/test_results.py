"""Replies that hold a result an input, and no output: embeddings and rerankers, in every form that servers write.

After OpenAI's embeddings reference (2025), Cohere's rerank API v2, Jina's rerank (2025), vLLM 0.32's and llama.cpp's
replies, Voyage's rerank (2025), and the OpenAPI of text-embeddings-inference 1.8 (2025).
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.apis import CALLABLE, api_names, find_api, generates
from loadcell.protocol import Reply
from loadcell.protocol.dialect import Dialect
from loadcell.protocol.embeddings import EMBEDDINGS
from loadcell.protocol.rerank import RERANK, TEI_RERANK

VECTOR = [0.125, -3.5e-05, 1]
BASE64 = "AAAAPrKdEr4AAIA/"
EMBED = {
    "OpenAI": {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": VECTOR} for i in range(3)],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    },
    "base64": {
        "object": "list",
        "data": [{"index": i, "embedding": BASE64} for i in range(3)],
        "usage": {"total_tokens": 8},
    },
    "another order": {"data": [{"index": i, "embedding": VECTOR} for i in (2, 0, 1)], "usage": {"prompt_tokens": 8}},
    "without indexes": {"data": [{"embedding": VECTOR}] * 3, "usage": {"prompt_tokens": 8, "completion_tokens": 0}},
    "a vector a token": {
        "data": [{"index": i, "embedding": [VECTOR, VECTOR]} for i in range(3)],
        "usage": {"prompt_tokens": 8},
    },
}
_RANKED = [
    {"index": 2, "relevance_score": 0.98},
    {"index": 0, "relevance_score": 0.2},
    {"index": 1, "relevance_score": -1},
]
RANK: dict[str, tuple[Any, int | None]] = {
    "Cohere": ({"id": "x", "results": _RANKED, "meta": {"billed_units": {"search_units": 1}}}, None),
    "Cohere, tokens": ({"results": _RANKED, "meta": {"billed_units": {}, "tokens": {"input_tokens": 31}}}, 31),
    "Cohere, billed": ({"results": _RANKED, "meta": {"billed_units": {"input_tokens": 31}}}, 31),
    "Jina": ({"model": "jina-reranker-v2", "usage": {"total_tokens": 31}, "results": _RANKED}, 31),
    "vLLM": (
        {"id": "r", "usage": {"prompt_tokens": 31, "total_tokens": 31},
         "results": [one | {"document": {"text": "of it", "multi_modal": None}} for one in _RANKED]}, 31,
    ),
    "llama.cpp": ({"object": "list", "usage": {"prompt_tokens": 31, "total_tokens": 31}, "results": _RANKED}, 31),
    "Voyage": ({"object": "list", "data": _RANKED, "usage": {"total_tokens": 31}}, 31),
    "TEI": ([{"index": i, "score": 0.5 - i, "text": None} for i in (1, 0, 2)], None),
    "SGLang": ([{"score": 0.5, "document": "of it", "index": i, "meta_info": {"id": "x"}} for i in (1, 0, 2)], None),
}  # fmt: skip
EVERY = {
    **{f"embeddings, {name}": (EMBEDDINGS, value) for name, value in EMBED.items()},
    **{f"rerank, {name}": (RERANK, value) for name, (value, _) in RANK.items()},
    **{f"tei-rerank, {name}": (TEI_RERANK, value) for name, (value, _) in RANK.items()},
}
every_form = pytest.mark.parametrize("name", EVERY)


def framed(value: Any, *, chunks: int = 0) -> bytes:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    if not chunks:
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)
    pieces = [data[i : i + chunks] for i in range(0, len(data), chunks)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


def reply_of(dialect: Dialect, value: Any, wanted: tuple[int, int] | None = (3, 3)) -> Reply:
    reply = Reply(dialect, wanted)
    reply.feed([framed(value)], 0)
    assert reply.closed
    return reply


@every_form
def test_every_form_holds_its_results_and_no_output(name: str) -> None:
    dialect, value = EVERY[name]
    reply = reply_of(dialect, value)
    assert reply.failure is None
    assert sorted(i if i is not None else place for place, i in enumerate(reply.results)) == [0, 1, 2]
    assert list(reply.outputs()) == [1] and reply.tokens == [None] and not reply.streamed
    assert reply.text() == "" and reply.token_source is None
    assert reply.usage is None or reply.usage.output_tokens is None


@pytest.mark.parametrize("name", EMBED)
def test_prompt_tokens_of_embeddings(name: str) -> None:
    usage = reply_of(EMBEDDINGS, EMBED[name]).usage
    assert usage is not None and usage.prompt_tokens == 8


@pytest.mark.parametrize("name", RANK)
def test_prompt_tokens_of_rerankers(name: str) -> None:
    value, tokens = RANK[name]
    usage = reply_of(RERANK, value).usage
    assert (None if usage is None else usage.prompt_tokens) == tokens


@every_form
@given(data=st.data())
def test_any_split_of_the_bytes_says_the_same_and_any_cut_has_failed(name: str, data: st.DataObject) -> None:
    dialect, value = EVERY[name]
    whole = framed(value, chunks=data.draw(st.sampled_from([0, 7, 1000])))
    places = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=6)))
    parts = [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]
    split = Reply(dialect, (3, 3))
    for number, part in enumerate(parts):
        split.feed([part], number)
    assert split.closed and split.failure is None
    assert split.results == reply_of(dialect, value).results and split.reads[-1] == len(parts) - 1
    cut = Reply(dialect, (3, 3))
    cut.feed([whole[: data.draw(st.integers(1, len(whole) - 1))]], 0)
    cut.close(0)
    assert cut.failure is not None


@every_form
@given(share=st.floats(0, 0.999))
def test_a_document_that_its_server_cut_has_failed(name: str, share: float) -> None:
    """The framing is whole, and what is in it is not."""
    dialect, value = EVERY[name]
    data = json.dumps(value).encode()
    reply = reply_of(dialect, data[: int(share * len(data))])
    assert reply.failure is not None


@pytest.mark.parametrize(
    ("dialect", "value", "wanted", "kind", "words"),
    [
        (EMBEDDINGS, EMBED["OpenAI"], (4, 4), "results", "the reply holds 3 results where 4 were asked for"),
        (EMBEDDINGS, EMBED["OpenAI"], (2, 2), "results", "the reply holds 3 results where 2 were asked for"),
        (EMBEDDINGS, {"data": []}, (1, 1), "results", "the reply holds no results"),
        (EMBEDDINGS, {"data": []}, None, "results", "the reply holds no results"),
        (EMBEDDINGS, {"data": [{"index": i, "embedding": VECTOR} for i in (0, 1, 1)]}, (3, 3), "results",
         "the reply holds the result of input 1 twice"),
        (EMBEDDINGS, {"data": [{"index": i, "embedding": VECTOR} for i in (0, 1, 3)]}, (3, 3), "results",
         "the reply holds a result of input 3, where 3 were sent (from 0)"),
        (EMBEDDINGS, {"data": [{"index": i, "embedding": VECTOR} for i in (0, 1, "two")]}, (3, 3), "results",
         "the reply holds a result of input -1, where 3 were sent (from 0)"),
        (EMBEDDINGS, {"data": [{"index": 0, "embedding": VECTOR}, {"embedding": VECTOR}]}, (2, 2), "results",
         "1 of 2 results have no index"),
        (EMBEDDINGS, {"data": [{"index": 0, "embedding": VECTOR}, {"index": 1, "embedding": []}]}, (2, 2), "results",
         "result 1 of the reply has no embedding"),
        (EMBEDDINGS, {"data": [{"index": 0}]}, (1, 1), "results", "result 0 of the reply has no embedding"),
        (EMBEDDINGS, {"data": [VECTOR]}, (1, 1), "protocol", "the reply is not as the API says ("),
        (EMBEDDINGS, [VECTOR], (1, 1), "protocol", "the reply is not as the API says ("),
        (EMBEDDINGS, {"choices": [{"message": {"content": "hello"}}]}, (1, 1), "protocol", "the reply has no data: "),
        (EMBEDDINGS, {"error": {"message": "the engine is dead"}}, (1, 1), "stream_error", "the engine is dead"),
        (EMBEDDINGS, {"error": "no room", "data": "none"}, (1, 1), "stream_error", "no room"),
        (EMBEDDINGS, {"object": "error", "message": "no such"}, (1, 1), "protocol", "the reply has no data: no such"),
        (EMBEDDINGS, b"", (1, 1), "invalid_json", "the reply is empty"),
        (EMBEDDINGS, b"data: {}\n\n", (1, 1), "invalid_json", "the reply is not JSON"),
        (RERANK, {"results": _RANKED}, (4, 4), "results", "the reply holds 3 results where 4 were asked for"),
        (RERANK, {"results": [*_RANKED, _RANKED[0]]}, (4, 4), "results", "the reply holds the result of input 2 twice"),
        (RERANK, {"results": [{"index": 0}]}, (1, 1), "results", "result 0 of the reply has no score"),
        (RERANK, {"results": [{"index": 0, "relevance_score": "high"}]}, (1, 1), "protocol", "not as the API says"),
        (RERANK, {"results": []}, (2, 2), "results", "the reply holds no results"),
        (RERANK, {"message": "invalid api token"}, (2, 2), "protocol", "the reply has no results: invalid api token"),
        (TEI_RERANK, [], (2, 2), "results", "the reply holds no results"),
        (TEI_RERANK, {"error": "overloaded", "error_type": "Overloaded"}, (2, 2), "stream_error", "overloaded"),
    ],
)  # fmt: skip
def test_what_is_not_as_asked_has_failed_in_words(
    dialect: Dialect, value: Any, wanted: tuple[int, int] | None, kind: str, words: str
) -> None:
    failure = reply_of(dialect, value, wanted).failure
    assert failure is not None and failure[0] == kind
    assert words in failure[1]


@given(inputs=st.integers(1, 12), most=st.integers(1, 15), data=st.data())
def test_top_n_asks_for_so_many_of_any_documents(inputs: int, most: int, data: st.DataObject) -> None:
    wanted = RERANK.wanted({"documents": ["one"] * inputs, "top_n": most})
    assert wanted == (inputs, min(inputs, most))
    there = data.draw(st.permutations(range(inputs)))
    held = [{"index": i, "relevance_score": 0.5} for i in there[: wanted[1]]]
    assert reply_of(RERANK, {"results": held}, wanted).failure is None
    assert reply_of(RERANK, {"results": held[1:]}, wanted).failure is not None
    assert reply_of(RERANK, {"results": [*held, held[0]]}, wanted).failure is not None


@pytest.mark.parametrize(
    ("api", "fields", "wanted"),
    [
        ("embeddings", {"input": "one text"}, (1, 1)),
        ("embeddings", {"input": [1, 2, 3]}, (1, 1)),
        ("embeddings", {"input": ["one", "two"]}, (2, 2)),
        ("embeddings", {"input": [[1, 2], [3]]}, (2, 2)),
        ("embeddings", {"input": ["one", "two"], "top_n": 1}, (2, 2)),
        ("rerank", {"documents": ["one", {"text": "two"}], "top_n": 1}, (2, 1)),
        ("rerank", {"documents": ["one", "two"], "top_n": 9}, (2, 2)),
        ("rerank", {"documents": ["one", "two"], "top_n": None}, (2, 2)),
        ("tei-rerank", {"texts": ["one", "two"], "top_n": 1}, (2, 2)),
    ],
)
def test_how_many_results_a_body_asks_for(api: str, fields: dict[str, Any], wanted: tuple[int, int]) -> None:
    assert find_api(api).wanted(fields) == wanted


@pytest.mark.parametrize(
    ("dialect", "prompt", "extra", "body"),
    [
        (EMBEDDINGS, ["one", "two"], {}, {"model": "m", "input": ["one", "two"]}),
        (EMBEDDINGS, "one", {"dimensions": 4}, {"model": "m", "dimensions": 4, "input": ["one"]}),
        (EMBEDDINGS, b'{"input":[1,2],"user":"me"}', {}, {"model": "m", "input": [1, 2], "user": "me"}),
        (
            RERANK,
            ["who?", "one", "two"],
            {"top_n": 1},
            {"model": "m", "top_n": 1, "query": "who?", "documents": ["one", "two"]},
        ),
        (TEI_RERANK, ["who?", "one"], {}, {"query": "who?", "texts": ["one"]}),
        (TEI_RERANK, ["who?", "one"], {"raw_scores": True}, {"raw_scores": True, "query": "who?", "texts": ["one"]}),
    ],
)
def test_bodies_hold_no_field_of_an_output(dialect: Dialect, prompt: Any, extra: dict[str, Any], body: Any) -> None:
    prefix = dialect.prefix("m", False, dialect.form, extra)
    made = dialect.body(prefix, prompt, 0, dialect.form.max_tokens_field)
    assert msgspec.json.decode(made) == body


def test_a_reply_larger_than_any_event_is_taken() -> None:
    """2,048 inputs of 1,536 dimensions are some 40 MB."""
    vector = b"[" + b",".join([b"-0.0123456789"] * 1536) + b"]"
    entries = b",".join(b'{"index":%d,"embedding":%b}' % (i, vector) for i in range(1024))
    value = b'{"data":[' + entries + b"]}"
    assert len(value) > 20_000_000
    reply = Reply(EMBEDDINGS, (1024, 1024))
    whole = framed(value)
    for number, start in enumerate(range(0, len(whole), 1 << 20)):
        reply.feed([whole[start : start + (1 << 20)]], number)
    assert reply.failure is None and len(reply.results) == 1024


@pytest.mark.parametrize(
    ("dialect", "names"),
    [
        (EMBEDDINGS, ["bge-m3", "bge-reranker-v2-m3", "llama-3-8b"]),
        (RERANK, ["bge-reranker-v2-m3", "llama-3-8b", "bge-m3"]),
    ],
)
def test_the_model_that_is_for_it_comes_first(dialect: Dialect, names: list[str]) -> None:
    listed = {"data": [{"id": name} for name in ("llama-3-8b", "bge-m3", "bge-reranker-v2-m3")]}
    found = dialect.listed(json.dumps(listed).encode())
    assert found is not None and found[0] == names[0]


def test_a_tei_server_names_its_model_on_a_page_of_its_own() -> None:
    assert TEI_RERANK.models == "/info"
    assert TEI_RERANK.listed(b'{"model_id":"BAAI/bge-reranker-large","model_type":{"reranker":{}}}') == [
        "BAAI/bge-reranker-large"
    ]
    assert TEI_RERANK.listed(b"<html>") is None and TEI_RERANK.listed(b"{}") is None


def test_whether_an_api_generates_is_known_without_loading_it(processes: None) -> None:
    assert all(generates(name) == find_api(name).generates for name in [*api_names(), CALLABLE])
    build = "build_spec({'endpoint': {'url': 'http://a'}, 'load': {'concurrency': 1, 'requests': 1}})"
    asks = f"import sys; from loadcell.spec import build_spec; {build}; sys.exit('loadcell.protocol' in sys.modules)"
    subprocess.run([sys.executable, "-c", asks], check=True)
