"""Rerankers: Cohere's form by its reference of API v2, 2025, which Jina, vLLM, SGLang, Infinity and llama.cpp have too;
that of TEI (text-embeddings-inference) by its OpenAPI of version 1.8, 2025; and vLLM's scores by its documentation of
2025. Replies of all are read alike."""

from __future__ import annotations

from typing import Any

import msgspec

from loadcell.protocol.dialect import Heard, Usage
from loadcell.protocol.models import listed_alone, listed_for
from loadcell.protocol.results import Claimed, dialect_with_results, lacks, misshapen, results_of, used
from loadcell.protocol.values import ABSENT, as_count, read_as


class _Ranked(msgspec.Struct, gc=False):
    index: Any = None
    relevance_score: float | None = None
    score: float | None = None
    """Of TEI and SGLang."""


class _Tokens(msgspec.Struct, gc=False):
    input_tokens: Any = None


class _Meta(msgspec.Struct, gc=False):
    """Cohere's: what was read, and what is billed, which mostly is searches and no tokens."""

    tokens: _Tokens | None = None
    billed_units: _Tokens | None = None


class _Reply(msgspec.Struct, gc=False):
    results: list[_Ranked] | None = None
    data: list[_Ranked] | None = None
    """Of Voyage, and of vLLM's scores."""
    usage: Claimed | None = None
    meta: _Meta | None = None
    error: msgspec.Raw = ABSENT


_REPLY, _BARE = msgspec.json.Decoder(_Reply), msgspec.json.Decoder(list[_Ranked])


def whole(payload: bytes) -> Heard:
    """What a reply says, in an object or as a bare array; one of NOT_JSON if it is none."""
    try:
        reply = _Reply(results=read_as(_BARE, payload)) if payload.startswith(b"[") else read_as(_REPLY, payload)
    except msgspec.ValidationError as error:
        return misshapen(payload, error)
    found = reply.data if reply.results is None else reply.results
    heard = results_of(payload, [one.index for one in found or []], _usage(reply), reply.error)
    heard.known = found is not None or heard.failure is not None
    empty = next(
        (place for place, one in enumerate(found or []) if one.relevance_score is None and one.score is None), None
    )
    return heard if empty is None or heard.failure is not None else lacks(empty, "score")


def _usage(reply: _Reply) -> Usage | None:
    if reply.usage is not None or reply.meta is None:
        return used(reply.usage)
    told = (as_count(one.input_tokens) for one in (reply.meta.tokens, reply.meta.billed_units) if one is not None)
    return Usage(next((tokens for tokens in told if tokens is not None), None))


_RERANKERS = r"rerank|cross-encoder|text-ranking"
RERANK = dialect_with_results(
    path="/rerank",
    paths=("/rerank",),
    inputs="documents",
    query="query",
    top="top_n",
    whole=whole,
    holds="results",
    listed=listed_for(_RERANKERS),
)
TEI_RERANK = dialect_with_results(
    path="/rerank",
    paths=("/rerank",),
    base="",
    inputs="texts",
    query="query",
    named=False,
    whole=whole,
    holds="array of results",
    models="/info",
    listed=listed_alone,
)
SCORE = dialect_with_results(
    path="/score",
    paths=("/score", "/v1"),
    base="",
    inputs="text_2",
    query="text_1",
    whole=whole,
    holds="data",
    models="/v1/models",
    listed=listed_for(_RERANKERS),
)
