"""APIs that generate nothing: a request has several inputs, and its reply, which comes whole, a result for each.

Bodies out, and whether a reply holds what was asked. What a result is made of says the API's own file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from loadcell.kinds import KIND_ANSWER
from loadcell.phrases import phrase
from loadcell.protocol.dialect import Dialect, Form, Heard, Prompt, Usage, hear_each
from loadcell.protocol.refusal import error_message
from loadcell.protocol.values import ABSENT, NOT_JSON, as_count, present


def dialect_with_results(
    *,
    path: str,
    inputs: str,
    whole: Callable[[bytes], Heard],
    query: str = "",
    named: bool = True,
    one: bool = False,
    **more: Any,
) -> Dialect:
    """The dialect of such an API: `inputs` and `query` are fields of its bodies, `named` whether these name the model;
    `more` is what else a Dialect says, in place of what is said here."""
    own = {inputs, query} - {""}
    usual: dict[str, Any] = {
        "prefix": partial(prefix_of, own, named),
        "body": partial(body_of, inputs, query, one),
        "hear": hear_each(whole),
        "ends": "the end of the reply",
        "refused": partial(refused_fields, own),
    }
    return Dialect(
        path=path,
        inputs=inputs,
        query=query,
        one=one,
        talks=False,
        form=Form(ignore_eos=False, usage=False),
        whole=whole,
        strict=True,
        alike=False,
        **(usual | more),
    )


# --- requests out -----------------------------------------------------------------------------------------------------


def prefix_of(own: set[str], named: bool, model: str, _: bool, __: Form, extra: Mapping[str, Any]) -> bytes:
    """What all bodies begin with, but for the fields that are each request's `own`."""
    fields = ({"model": model} if named else {}) | {key: value for key, value in extra.items() if key not in own}
    return msgspec.json.encode(fields)[:-1]


def body_of(inputs: str, query: str, one: bool, prefix: bytes, prompt: Prompt, _: int, __: str) -> bytes:
    """Texts are the inputs, or the `one` that there is; the first of them the query where there is one."""
    if isinstance(prompt, bytes):
        own = prompt
    else:
        texts = [prompt] if isinstance(prompt, str) else prompt
        asked = {query: texts[0], inputs: texts[1:]} if query else {inputs: texts[0] if one else texts}
        own = msgspec.json.encode(asked)
    return b"%b%b%b" % (prefix, b"," if len(prefix) > 1 else b"", own[1:])


def refused_fields(own: set[str], extra: Mapping[str, Any]) -> str | None:
    """What of the further fields the workload makes, in words."""
    there = sorted(own & extra.keys())
    key = phrase("holds {}: the workload makes what is sent there, or --prompts names a file")
    return phrase(key, ", ".join(there)) if there else None


# --- replies in -------------------------------------------------------------------------------------------------------


class Claimed(msgspec.Struct, gc=False):
    """Usage as servers write it: all tokens are those of the inputs."""

    prompt_tokens: Any = None
    total_tokens: Any = None


def results_of(payload: bytes, indexes: Sequence[Any], usage: Usage | None, error: msgspec.Raw) -> Heard:
    """What a whole reply says that holds results with these indexes, as they came."""
    heard = Heard(KIND_ANSWER if indexes else 0, results=[_index(one) for one in indexes], usage=usage)
    if present(error):
        heard.failure = ("stream_error", error_message(payload))
    return heard


def misshapen(payload: bytes, error: Exception) -> Heard:
    """What is heard of JSON that is not of the API's shape: what it tells of an error, else what is wrong with it."""
    try:
        told = msgspec.json.decode(payload, type=_Told)
    except NOT_JSON:
        told = _Told()
    if present(told.error):
        return Heard(failure=("stream_error", error_message(payload)))
    return Heard(failure=("protocol", phrase("the reply is not as the API says ({}): {}", error, _start(payload))))


def lacks(place: int, what: str) -> Heard:
    """What is heard of a reply of which one result holds nothing."""
    return Heard(failure=("results", phrase("result {} of the reply has no {}", place, what)))


def used(claimed: Claimed | None) -> Usage | None:
    """The tokens of the inputs, by the server."""
    if claimed is None:
        return None
    tokens = as_count(claimed.prompt_tokens)
    return Usage(as_count(claimed.total_tokens) if tokens is None else tokens)


def unlike(results: Sequence[int | None], wanted: tuple[int, int] | None) -> tuple[str, str] | None:
    """(kind, words) where a reply does not hold the results that were asked for, each once; `wanted`: of how many
    inputs, and how many of them."""
    known = [index for index in results if index is not None]
    words = None
    if not results:
        words = phrase("the reply holds no results")
    elif wanted is not None and len(results) != wanted[1]:
        words = phrase("the reply holds {} results where {} were asked for", len(results), wanted[1])
    elif known and len(known) < len(results):
        words = phrase("{} of {} results have no index", len(results) - len(known), len(results))
    elif len(set(known)) < len(known):
        twice = next(index for index in known if known.count(index) > 1)
        words = phrase("the reply holds the result of input {} twice", twice)
    elif wanted is not None and (beyond := [index for index in known if not 0 <= index < wanted[0]]):
        words = phrase("the reply holds a result of input {}, where {} were sent (from 0)", beyond[0], wanted[0])
    return None if words is None else ("results", words)


class _Told(msgspec.Struct):
    error: msgspec.Raw = ABSENT


def _index(told: Any) -> int | None:
    """An index; -1, which is none of an input, for what cannot be one; None where there is none."""
    if told is None:
        return None
    index = as_count(told)
    return -1 if index is None else index


def _start(payload: bytes) -> str:
    return error_message(payload[:200])
