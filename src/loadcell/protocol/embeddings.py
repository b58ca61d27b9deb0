"""OpenAI's embeddings, by its reference of 2025: what vLLM, SGLang, TEI, llama.cpp, Infinity and Ollama speak too. And
vLLM's `/pooling` by its documentation of 2025, which gives what any pooling model makes of a text in the same form."""

from __future__ import annotations

from typing import Any

import msgspec

from loadcell.protocol.dialect import Heard
from loadcell.protocol.models import listed_for
from loadcell.protocol.results import Claimed, dialect_with_results, lacks, misshapen, results_of, used
from loadcell.protocol.values import ABSENT, present, read_as


class _Entry(msgspec.Struct, gc=False):
    index: Any = None
    embedding: msgspec.Raw = ABSENT
    """Numbers, or base64 of them: not looked into, which would take longer than all else."""
    data: msgspec.Raw = ABSENT
    """Its name in `/pooling`."""


class _Reply(msgspec.Struct, gc=False):
    data: list[_Entry] | None = None
    usage: Claimed | None = None
    error: msgspec.Raw = ABSENT


_REPLY = msgspec.json.Decoder(_Reply)


def whole(payload: bytes) -> Heard:
    """What a reply says; one of NOT_JSON if it is none."""
    try:
        reply = read_as(_REPLY, payload)
    except msgspec.ValidationError as error:
        return misshapen(payload, error)
    entries = reply.data or []
    heard = results_of(payload, [one.index for one in entries], used(reply.usage), reply.error)
    heard.known = reply.data is not None or heard.failure is not None
    empty = next(
        (place for place, one in enumerate(entries) if not (present(one.embedding) or present(one.data))), None
    )
    return heard if empty is None or heard.failure is not None else lacks(empty, "embedding")


EMBEDDINGS = dialect_with_results(
    path="/embeddings",
    paths=("/embeddings",),
    inputs="input",
    whole=whole,
    holds="data",
    listed=listed_for(r"embed|feature-extraction|sentence-similarity|(?:^|[/_-])(?:bge|gte|e5)-(?!.*rerank)"),
)
POOLING = dialect_with_results(
    path="/pooling",
    paths=("/pooling", "/v1"),
    base="",
    inputs="input",
    whole=whole,
    holds="data",
    models="/v1/models",
    listed=listed_for(r"embed|pooling|reward|classif|rerank|(?:^|[/_-])(?:bge|gte|e5)-"),
)
