"""Triton's generate extension as its reference has it (triton-inference-server/server, docs/protocol, 2025).

TensorRT-LLM's models are served so, and vLLM's by Triton's backend. What a model takes and gives beside the text is its
own affair: names here are those that both have, else either's, for an unknown one is passed on as a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from loadcell.kinds import KIND_ANSWER
from loadcell.protocol.asking import begun, ended, ended_own, without_ignore_eos
from loadcell.protocol.dialect import Dialect, Form, Heard, Prompt, Usage, hear_each
from loadcell.protocol.refusal import error_message
from loadcell.protocol.values import ABSENT, NOT_JSON, as_count, present, read_as

_TEXT = "text_input"
_ECHO = "exclude_input_in_output"
"""Not to say the prompt again: the default of streams, by most, and of whole replies by none."""
_PATH = "/v2/models/{model}/generate"
_WHOLE_MODELS = ("ensemble", "tensorrt_llm_bls")
_PARTS = ("preprocessing", "postprocessing", "tensorrt_llm")
"""What TensorRT-LLM's models are named in its own repository: those that take text, and what they consist of."""


class _Response(msgspec.Struct, gc=False):
    """What a model gives: an output of one element as itself, of more as a list."""

    text_output: Any = None
    finish_reason: Any = None
    num_input_tokens: Any = None
    num_output_tokens: Any = None
    error: msgspec.Raw = ABSENT


class _Indexed(msgspec.Struct, gc=False):
    name: str
    state: str = ""


_RESPONSE = msgspec.json.Decoder(_Response)
_INDEX = msgspec.json.Decoder(list[_Indexed])


def read(payload: bytes) -> Heard:
    """What an event says; one of NOT_JSON if it is none. Tokens are told of each, where they are asked for."""
    response = read_as(_RESPONSE, payload)
    text = _first(response.text_output)
    heard = Heard(known=response.text_output is not None)
    if isinstance(text, str) and text:
        heard.kind, heard.answer = KIND_ANSWER, text
    heard.finish = _first(response.finish_reason)
    heard.tokens = as_count(_first(response.num_output_tokens))
    prompt = as_count(_first(response.num_input_tokens))
    if prompt is not None:
        heard.usage = Usage(prompt)
    if present(response.error):
        heard.failure = ("stream_error", error_message(payload))
    return heard


def _whole(payload: bytes) -> Heard:
    """The same of a reply that was not streamed, whose tokens are those of all of it."""
    heard = read(payload)
    if heard.tokens is not None:
        heard.usage = Usage(heard.usage.prompt_tokens if heard.usage else None, heard.tokens)
    return heard


def _first(told: Any) -> Any:
    """The one output that is measured, where there may be more."""
    return (told[0] if told else None) if isinstance(told, list) else told


def listed(payload: bytes) -> list[str] | None:
    """Names of the models in a repository's index, those that take text by TensorRT-LLM's names first; None: none."""
    try:
        index = _INDEX.decode(payload)
    except NOT_JSON:
        return None
    ready = dict.fromkeys(one.name for one in index if one.state in ("READY", ""))
    return sorted(ready, key=_place)


def _place(name: str) -> int:
    if name in _WHOLE_MODELS:
        return _WHOLE_MODELS.index(name)
    return len(_WHOLE_MODELS) + (name in _PARTS)


# --- requests out -----------------------------------------------------------------------------------------------------


def _prefix(model: str, stream: bool, form: Form, extra: Mapping[str, Any]) -> bytes:
    return begun({"stream": stream, _ECHO: True}, form, extra, {_TEXT})


def _body(prefix: bytes, prompt: Prompt, most: int, field: str) -> bytes:
    if isinstance(prompt, bytes):
        own: dict[str, Any] = msgspec.json.decode(prompt, type=dict[str, msgspec.Raw])  # values stay as written
        own = {_TEXT: own.pop("prompt"), **own} if "prompt" in own else own
        return ended_own(prefix, msgspec.json.encode(own), most, field, ("ignore_eos", _ECHO))
    return ended(prefix, b'"%b":%b' % (_TEXT.encode(), msgspec.json.encode(prompt)), most, field)


TRITON = Dialect(
    path=f"{_PATH}_stream",
    whole_path=_PATH,
    paths=(f"{_PATH}_stream", _PATH),
    base="",
    talks=False,
    takes_ids=False,
    form=Form(ignore_eos=True),
    prefix=_prefix,
    body=_body,
    without=without_ignore_eos,
    hear=hear_each(read),
    whole=_whole,
    ends="the end of its body",
    strict=True,
    ends_with_body=True,
    holds="text_output",
    models="/v2/repository/index",
    asks_models=b'{"ready":true}',
    listed=listed,
)
