"""Embeddings and rerank, the server's half: OpenAI's reference of 2025, Cohere's API v2 and TEI's form. Pure functions.

A request takes a slot for its TTFT and what its tokens take of prefill, and then its whole reply is sent. Vectors and
scores follow from the seed and the number of the request. A query is read with each of its documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from loadcell.engine.api import ApiError, Asked, Phrases, Pooled, Times, check_model, check_tokens, decoded
from loadcell.engine.vectors import DIMENSION, TABLE

MOST_INPUTS = 2048

Answer = Callable[[int, Times], bytes]


class _Embeddings(msgspec.Struct):
    model: str | None = None
    input: str | list[str | int | list[int]] | None = None
    encoding_format: str | None = None
    dimensions: int | None = None


class _Document(msgspec.Struct):
    text: str = ""


class _Rerank(msgspec.Struct):
    """A rerank request of Cohere's form, or of TEI's (`texts`)."""

    model: str | None = None
    query: str | None = None
    documents: list[str | _Document] | None = None
    texts: list[str] | None = None
    top_n: int | None = None


class _Score(msgspec.Struct):
    model: str | None = None
    text_1: str | None = None
    text_2: str | list[str] | None = None


_embeddings, _rerank = msgspec.json.Decoder(_Embeddings), msgspec.json.Decoder(_Rerank)
_score = msgspec.json.Decoder(_Score)


def read_embeddings(body: bytes, _: Mapping[str, str], model: str) -> Asked:
    """The request in `body`; ApiError if it cannot be served."""
    asked = decoded(_embeddings, body)
    check_model(asked.model, model)
    if asked.dimensions not in (None, DIMENSION):
        raise ApiError(400, f"dimensions: embeddings here have {DIMENSION}.", param="dimensions")
    if asked.encoding_format not in (None, "float", "base64"):
        raise ApiError(400, "encoding_format must be float or base64.", param="encoding_format")
    given = asked.input
    inputs = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else given
    lengths = [
        len(one.split()) if isinstance(one, str) else len(one) for one in inputs or [] if not isinstance(one, int)
    ]
    return _asked(lengths, "input", Pooled(len(lengths), len(lengths), asked.encoding_format == "base64"))


def read_rerank(body: bytes, _: Mapping[str, str], model: str) -> Asked:
    """Likewise, in Cohere's form."""
    asked = decoded(_rerank, body)
    check_model(asked.model, model)
    texts = [one if isinstance(one, str) else one.text for one in asked.documents or []]
    if asked.top_n is not None and asked.top_n < 1:
        raise ApiError(400, f"top_n must be at least 1, got {asked.top_n}.", param="top_n")
    return _ranked(asked.query, texts, "documents", asked.top_n or len(texts))


def read_tei_rerank(body: bytes, _: Mapping[str, str], __: str) -> Asked:
    """Likewise, in TEI's form, which names no model."""
    asked = decoded(_rerank, body)
    return _ranked(asked.query, asked.texts or [], "texts", len(asked.texts or []))


def read_score(body: bytes, _: Mapping[str, str], model: str) -> Asked:
    """Likewise, in the form of vLLM's scores."""
    asked = decoded(_score, body)
    check_model(asked.model, model)
    texts = [asked.text_2] if isinstance(asked.text_2, str) else asked.text_2 or []
    return _ranked(asked.text_1, texts, "text_2", len(texts))


def _ranked(query: str | None, texts: list[str], field: str, most: int) -> Asked:
    if not query:
        raise ApiError(400, "query: a text is required.", param="query")
    lengths = [len(query.split()) + len(text.split()) for text in texts]
    return _asked(lengths, field, Pooled(len(texts), min(most, len(texts))))


def _asked(lengths: list[int], field: str, pooled: Pooled) -> Asked:
    if not lengths or not all(lengths):
        raise ApiError(400, f"{field}: a text at least is required, and none may be empty.", param=field)
    if len(lengths) > MOST_INPUTS:
        raise ApiError(413, f"{field}: {len(lengths)} inputs are more than {MOST_INPUTS}.", param=field)
    check_tokens(max(lengths), 1, field)
    return Asked(prompt_tokens=sum(lengths), max_tokens=1, stream=False, pooled=pooled)


# --- out --------------------------------------------------------------------------------------------------------------


def embed(phrases: Phrases, asked: Asked, _: str, __: int, offset: int) -> Answer:
    """The embeddings of each input, in their order."""
    pooled = _pooled(asked)
    table = phrases.vectors.base64 if pooled.packed else phrases.vectors.floats

    def whole(_: int, __: Times) -> bytes:
        entries = b",".join(
            b'{"object":"embedding","index":%d,"embedding":%b}' % (i, table[(offset + i) % TABLE])
            for i in range(pooled.inputs)
        )
        return b'{"object":"list","data":[%b],"model":%b%b}' % (entries, phrases.model, _usage(phrases, asked))

    return whole


def pool(phrases: Phrases, asked: Asked, _: str, __: int, offset: int) -> Answer:
    """The same in the form of vLLM's `/pooling`."""
    embedded = embed(phrases, asked, _, __, offset)
    names = (b'"object":"embedding"', b'"object":"pooling"'), (b'"embedding":', b'"data":')

    def whole(count: int, times: Times) -> bytes:
        told = embedded(count, times)
        for name, other in names:
            told = told.replace(name, other)
        return told

    return whole


def rerank(phrases: Phrases, asked: Asked, name: str, _: int, offset: int) -> Answer:
    """The documents' scores, the best first, in Cohere's form."""

    def whole(_: int, __: Times) -> bytes:
        results = [{"index": i, "relevance_score": score} for i, score in _best(phrases, asked, offset)]
        told = msgspec.json.encode({"id": f"rerank-{name}", "results": results})
        return told[:-1] + b',"model":%b%b}' % (phrases.model, _usage(phrases, asked))

    return whole


def score(phrases: Phrases, asked: Asked, _: str, __: int, offset: int) -> Answer:
    """A score a text, in their order, in the form of vLLM."""

    def whole(_: int, __: Times) -> bytes:
        found = [{"index": i, "object": "score", "score": s} for i, s in sorted(_best(phrases, asked, offset))]
        told = msgspec.json.encode({"object": "list", "data": found})
        return told[:-1] + b',"model":%b%b}' % (phrases.model, _usage(phrases, asked))

    return whole


def tei_rerank(phrases: Phrases, asked: Asked, _: str, __: int, offset: int) -> Answer:
    """The same as a bare array, which tells no usage."""
    return lambda *_: msgspec.json.encode([{"index": i, "score": s} for i, s in _best(phrases, asked, offset)])


def info_body(model: str) -> bytes:
    """GET /info, by which TEI names its one model."""
    return msgspec.json.encode(
        {"model_id": model, "model_type": {"reranker": {}}, "max_client_batch_size": MOST_INPUTS}
    )


def _best(phrases: Phrases, asked: Asked, offset: int) -> list[tuple[int, float]]:
    pooled, scores = _pooled(asked), phrases.vectors.scores
    found: list[tuple[int, float]] = [(i, scores[(offset + i) % TABLE]) for i in range(pooled.inputs)]
    return sorted(found, key=lambda one: -one[1])[: pooled.results]


def _pooled(asked: Asked) -> Pooled:
    assert asked.pooled is not None
    return asked.pooled


def _usage(phrases: Phrases, asked: Asked) -> bytes:
    tokens = asked.prompt_tokens
    return b',"usage":{"prompt_tokens":%d,"total_tokens":%d}' % (tokens, tokens) if phrases.usage else b""
