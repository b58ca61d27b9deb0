"""The same stream in every API: what the tests of replies say in each of them."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from heard import NO_SIZE, wav

from loadcell.api_template import read_template
from loadcell.protocol import Dialect, Reply, dialect_of
from loadcell.protocol.engines.llamacpp import LLAMACPP
from loadcell.protocol.engines.ollama import CHAT as OLLAMA_CHAT
from loadcell.protocol.engines.ollama import GENERATE as OLLAMA_GENERATE
from loadcell.protocol.engines.sglang import SGLANG
from loadcell.protocol.engines.tgi import TGI
from loadcell.protocol.messages import MESSAGES
from loadcell.protocol.openai.dialect import CHAT, COMPLETIONS
from loadcell.protocol.openai.hearing import TRANSCRIPTIONS, TRANSLATIONS
from loadcell.protocol.openai.responses import RESPONSES
from loadcell.protocol.triton import TRITON

Value = dict[str, Any]
_EXAMPLES = Path(__file__).parents[2] / "examples/apis"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LINES_HEAD = HEAD.replace(b"text/event-stream", b"application/x-ndjson")
LAST = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(value: Any, eol: bytes = b"\n", ascii_only: bool = True) -> bytes:
    """An event; one that says its type is named after it."""
    name = f"event: {value['type']}".encode() + eol if isinstance(value, dict) and "type" in value else b""
    return name + b"data: " + json.dumps(value, ensure_ascii=ascii_only).encode() + 2 * eol


def line(value: Any, eol: bytes = b"\n", ascii_only: bool = True) -> bytes:
    """An event as a line of JSON."""
    return json.dumps(value, ensure_ascii=ascii_only).encode() + eol


def streamed(dialect: Dialect, values: Iterable[Value], mark: bytes = b"", lines: bool = False) -> Reply:
    """A reply of these events, each read by itself, and of an end mark."""
    reply, write = Reply(dialect), line if lines else event
    events = [*map(write, values), *([mark] if mark else [])]
    for number, read in enumerate([LINES_HEAD if lines else HEAD, *map(chunk, events), LAST]):
        reply.feed([read], number)
    assert reply.closed
    return reply


def at_once(dialect: Dialect, value: Value) -> Reply:
    """A reply that is not streamed."""
    data = json.dumps(value).encode()
    reply = Reply(dialect)
    reply.feed([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)], 0)
    return reply


@dataclass(frozen=True)
class Spoken:
    """An API as a server speaks it."""

    dialect: Dialect
    token: Callable[[str], Value]
    thought: Callable[[str], Value]
    error: Value
    end: tuple[Value, ...]
    """What follows the last token: reason, seven output tokens by its usage."""
    begin: tuple[Value, ...] = ()
    mark: bytes = b""
    """And an end mark that is no JSON."""
    finish: str | None = "stop"
    fields: str = ""
    """Names of its fields, for events of any JSON."""
    more: tuple[Value, ...] = field(default=())
    """Events that hold something odd among tokens and end nothing."""
    usage: int | None = 7
    """Output tokens that its usage tells."""
    own: Callable[[int], Value] | None = None
    """What each event has for itself, by its number."""
    lines: bool = False
    """Whether its events are lines of JSON."""
    so_far: str = ""
    """The field that holds all text so far."""
    alike: bool = True
    """Whether its token events differ in nothing but their text and what they have for themselves."""

    @property
    def head(self) -> bytes:
        return LINES_HEAD if self.lines else HEAD

    def event(self, value: Any, eol: bytes = b"\n", ascii_only: bool = True) -> bytes:
        return (line if self.lines else event)(value, eol, ascii_only)

    def stream(self, texts: list[str], eol: bytes = b"\n", ascii_only: bool = True) -> list[bytes]:
        """The events of a whole stream."""
        tokens = [self.token(text) for text in (accumulate(texts) if self.so_far else texts)]
        end = [value | {self.so_far: "".join(texts)} for value in self.end] if self.so_far else self.end
        values = [*self.begin, *tokens, *end]
        if self.own:
            values[: -len(self.end)] = [_within(value, self.own(n)) for n, value in enumerate(values[: -len(self.end)])]
        events = [self.event(value, eol, ascii_only) for value in values]
        return [*events, *([self.mark + 2 * eol] if self.mark else [])]

    def reply(self, texts: list[str]) -> bytes:
        """The same as a reply."""
        return self.head + b"".join(map(chunk, self.stream(texts))) + LAST


def _within(value: Value, own: Value) -> Value:
    """The value with these fields, those of objects in it too."""
    return value | {k: _within(value[k], v) if isinstance(value.get(k), dict) else v for k, v in own.items()}


def _chat(finish: str | None = None, **delta: Any) -> Value:
    return {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def _text(text: str, finish: str | None = None) -> Value:
    return {"id": "x", "choices": [{"index": 0, "text": text, "finish_reason": finish}]}


def _delta(kind: str, **delta: Any) -> Value:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, **delta}}


def _response(kind: str, **fields: Any) -> Value:
    return {"type": f"response.{kind}", "response": {"id": "resp_1", "object": "response"} | fields}


def _part(kind: str, **fields: Any) -> Value:
    return {"type": f"response.{kind}", "item_id": "msg_1", "output_index": 0, "content_index": 0} | fields


def _generated(text: str, made: int = 1, why: Any = None, **more: Any) -> Value:
    return {"text": text, "output_ids": [5] * made, "meta_info": {
        "id": "x", "finish_reason": why, "prompt_tokens": 9, "completion_tokens": made, "cached_tokens": 0,
    }, **more}  # fmt: skip


def _token(text: str, special: bool = False, **more: Any) -> Value:
    token = {"id": 5, "text": text, "logprob": -0.5, "special": special}
    return {"index": 1, "token": token, "generated_text": None, "details": None} | more


def _said(text: str, **more: Any) -> Value:
    message = {"role": "assistant", "content": text}
    return {"model": "m", "created_at": "2025-10-26T17:15:24.09Z", "message": message, "done": False} | more


def _response_line(text: str, **more: Any) -> Value:
    return {"model": "m", "created_at": "2025-10-26T17:15:24.09Z", "response": text, "done": False} | more


def _completion(text: str, **more: Any) -> Value:
    found = {"index": 0, "content": text, "tokens": [5], "stop": False, "id_slot": -1, "tokens_predicted": 1}
    return found | {"tokens_evaluated": 9} | more


_DONE = {
    "done": True, "done_reason": "stop", "total_duration": 174560334, "load_duration": 101397084,
    "prompt_eval_count": 9, "prompt_eval_duration": 13074791, "eval_count": 7, "eval_duration": 52479709,
}  # fmt: skip
_OLLAMA = (
    "message content thinking tool_calls function name arguments response done eval_count error logprobs done_reason"
)
_USAGE = {"choices": [], "usage": {"completion_tokens": 7}}
_OPENAI = """choices delta message content text usage completion_tokens timings predicted_n error logprobs token_ids
tool_calls finish_reason object"""
SPOKEN = {
    "chat": Spoken(
        CHAT,
        lambda text: _chat(content=text),
        lambda text: _chat(reasoning=text),
        {"error": "broken"},
        (_chat("stop"), _USAGE),
        mark=b"data: [DONE]",
        fields=_OPENAI,
        more=(_chat(content="word") | {"usage": {"completion_tokens": 3}}, _chat("stop")),
    ),
    "completions": Spoken(
        COMPLETIONS,
        _text,
        lambda text: _chat(reasoning=text),
        {"error": "broken"},
        (_text("", "stop"), _USAGE),
        mark=b"data: [DONE]",
        fields=_OPENAI,
        more=(_text("word") | {"usage": {"completion_tokens": 3}}, _text("", "stop")),
    ),
    "messages": Spoken(
        MESSAGES,
        lambda text: _delta("text_delta", text=text),
        lambda text: _delta("thinking_delta", thinking=text),
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        (
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
            {"type": "message_stop"},
        ),
        (
            {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "ping"},
        ),
        finish="end_turn",
        fields="type delta content_block message usage output_tokens input_tokens error content stop_reason text "
        "thinking partial_json",
        more=(
            {"type": "ping"},
            _delta("signature_delta", signature="x"),
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        ),
    ),
    "responses": Spoken(
        RESPONSES,
        lambda text: _part("output_text.delta", delta=text),
        lambda text: _part("reasoning_text.delta", delta=text),
        {"type": "error", "code": "server_error", "message": "The server had an error", "param": None},
        (
            _part("output_text.done", text="all of it"),
            _part("content_part.done", part={"type": "output_text", "text": "all of it"}),
            {"type": "response.output_item.done", "output_index": 0, "item": {"id": "msg_1", "type": "message"}},
            _response("completed", status="completed", usage={"input_tokens": 9, "output_tokens": 7}),
        ),
        (
            _response("created", status="in_progress", usage=None),
            _response("in_progress", status="in_progress", usage=None),
            {"type": "response.output_item.added", "output_index": 0, "item": {"id": "msg_1", "type": "message"}},
            _part("content_part.added", part={"type": "output_text", "text": ""}),
        ),
        finish="completed",
        fields="type delta response item usage output_tokens input_tokens error output status incomplete_details "
        "reason logprobs content text timings",
        more=(
            _part("output_text.delta", delta="word", logprobs=[{"token": "word", "logprob": -0.1}]),
            {"type": "response.mcp_call.failed", "item_id": "mcp_1", "output_index": 1},
            {"type": "response.queued", "response": {}},
        ),
    ),
    "sglang": Spoken(
        SGLANG,
        _generated,
        _generated,
        {"error": {"message": "The input is longer than the context."}},
        (_generated("", 7, {"type": "stop", "matched": 2}),),
        mark=b"data: [DONE]",
        fields="text output_ids meta_info finish_reason completion_tokens prompt_tokens cached_tokens type error "
        "message queue_time forward_entry_time prefill_finished_time decode_throughput",
        more=(_generated("other text", 9), _generated("w", 9), {"text": "word and more"}, {"output_ids": [1, 2]}),
        so_far="text",
        alike=False,
    ),
    "tgi": Spoken(
        TGI,
        _token,
        _token,
        {"error": "Request failed during generation", "error_type": "generation"},
        (
            _token("</s>", True, index=7, generated_text="all of it", details={
                "finish_reason": "eos_token", "generated_tokens": 7, "seed": None, "input_length": 9,
            }),
        ),
        finish="eos_token",
        fields="index token id text special generated_text details finish_reason generated_tokens input_length error",
        more=(_token("<b>", True), _token("word", index=4), {"token": {"text": "no id"}}),
    ),
    "ollama": Spoken(
        OLLAMA_CHAT,
        _said,
        lambda text: _said("") | {"message": {"role": "assistant", "content": "", "thinking": text}},
        {"error": "an error was encountered while running the model"},
        (_said("", **_DONE),),
        fields=_OLLAMA,
        more=(
            _said("") | {"message": {"tool_calls": [{"function": {"name": "f", "arguments": {}}}]}},
            _said("word", logprobs=[{"token": "word", "logprob": -0.1}]),
        ),
        lines=True,
    ),
    "ollama-generate": Spoken(
        OLLAMA_GENERATE,
        _response_line,
        lambda text: _response_line("", thinking=text),
        {"error": "an error was encountered while running the model"},
        (_response_line("", context=[1, 2, 3], **_DONE),),
        fields=_OLLAMA,
        more=(_response_line("word", logprobs=[{"token": "word", "logprob": -0.1}]),),
        lines=True,
    ),
    "llamacpp": Spoken(
        LLAMACPP,
        _completion,
        _completion,
        {"error": {"code": 500, "message": "context shift is disabled", "type": "server_error"}},
        (
            _completion("", tokens=[], stop=True, stop_type="eos", stopping_word="", tokens_predicted=7, timings={
                "cache_n": 0, "prompt_n": 9, "prompt_ms": 20.5, "predicted_n": 7, "predicted_ms": 60.25,
            }),
        ),
        finish="eos",
        fields="content tokens stop stop_type tokens_predicted tokens_evaluated timings predicted_n prompt_ms cache_n "
        "error stopped_limit",
        more=(
            _completion("word", timings={"predicted_n": 3, "prompt_ms": 1}),
            _completion("", prompt_progress={"total": 9, "cache": 0, "processed": 3, "time_ms": 5}),
            _completion("wo", tokens=[7, 8], tokens_predicted=4),
        ),
    ),
}  # fmt: skip


def by_template(name: str) -> Dialect:
    """The example of a template for an API."""
    return dialect_of(read_template(str(_EXAMPLES / f"{name}.yaml"), "examples"))


SPOKEN |= {f"{name}, by template": replace(SPOKEN[name], dialect=by_template(name)) for name in ("chat", "messages")}
_OWN: dict[str, Callable[[int], Value]] = {
    "responses": lambda n: {"sequence_number": n},
    "chat": lambda n: {"created": 1_700_000_000 + n // 3, "usage": {"completion_tokens": n, "total_tokens": 9 + n}},
    "tgi": lambda n: {"index": n, "token": {"id": 3 * n, "logprob": -n / 7}},
    "llamacpp": lambda n: {"tokens": [3 * n], "tokens_predicted": n},
    "ollama": lambda n: {"created_at": f"2025-10-26T17:15:{24 + n % 30}.{n}Z"},
}
SPOKEN |= {f"{name}, numbered": replace(SPOKEN[name], own=own) for name, own in _OWN.items()}


def _output(text: str, **more: Any) -> Value:
    """What Triton gives for a piece of a model's output."""
    around = {"model_name": "ensemble", "model_version": "1", "sequence_end": False, "sequence_id": 0}
    return around | {"sequence_start": False, "text_output": text} | more


_TRITON = Spoken(
    TRITON,
    _output,
    lambda _: _output("", context_logits=0.0),
    {"error": "in ensemble 'ensemble', the request was cancelled"},
    (),
    finish=None,
    usage=None,
    fields="text_output model_name finish_reason num_output_tokens num_input_tokens error",
    more=(_output("word", cum_log_probs=-0.5, output_log_probs=[-0.5, -0.1]), _output("")),
)
SPOKEN["triton"] = _TRITON
SPOKEN["triton, vLLM's"] = replace(
    _TRITON,
    end=(_output("", finish_reason="stop", num_input_tokens=9, num_output_tokens=0),),
    finish="stop",
    more=(_output("word", finish_reason=None, num_input_tokens=9, num_output_tokens=1),),
)


def _transcript(kind: str, **fields: Any) -> Value:
    return {"type": f"transcript.text.{kind}"} | fields


def _translation(text: str, finish: str | None = None) -> Value:
    """A chunk of vLLM's, which has no index."""
    choice = {"delta": {"content": text}, "finish_reason": finish, "stop_reason": None}
    return {"id": "trsl-1", "object": "translation.chunk", "created": 1, "model": "m", "choices": [choice]}


# OpenAI's API reference, "Transcription streaming events", read 2026-12-01.
SPOKEN["transcriptions"] = Spoken(
    TRANSCRIPTIONS,
    lambda text: _transcript("delta", delta=text),
    lambda text: _transcript("delta", delta=text),
    {"error": {"message": "The server had an error", "type": "server_error"}},
    (
        _transcript("done", text="all of it", usage={
            "type": "tokens", "input_tokens": 14, "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
            "output_tokens": 7, "total_tokens": 21,
        }),
    ),
    finish=None,
    fields="type delta text usage input_tokens output_tokens logprobs error choices",
    more=(
        _transcript("segment", id="seg_001", start=0.0, end=2.5, speaker="A", text="word"),
        _transcript("delta", delta="word", logprobs=[{"token": "word", "logprob": -0.1, "bytes": [119]}]),
        _transcript("delta", delta=""),
    ),
)  # fmt: skip
# vLLM's speech_to_text server code, read 2026-12-01: a reason after each piece of long audio, then usage and the mark.
SPOKEN["translations, vLLM's"] = Spoken(
    TRANSLATIONS,
    _translation,
    _translation,
    {"error": {"message": "broken", "type": "BadRequestError", "code": 400}},
    (_translation("", "stop"), {"object": "translation.chunk", "choices": [], "usage": {"completion_tokens": 7}}),
    mark=b"data: [DONE]",
    fields=_OPENAI,
    more=(_translation("word", "stop"), _translation("word") | {"usage": {"completion_tokens": 3}}),
)


def _sound(text: str) -> Value:
    return {"type": "speech.audio.delta", "audio": b64encode(text.encode("utf-8", "replace")).decode()}


@dataclass(frozen=True)
class SpokenBytes(Spoken):
    """An API whose reply is audio as it is: a WAV whose header names no size."""

    @property
    def head(self) -> bytes:
        return HEAD.replace(b"text/event-stream", b"audio/wav")

    def stream(self, texts: list[str], eol: bytes = b"\n", ascii_only: bool = True) -> list[bytes]:
        return [wav(0, named=NO_SIZE), *(text.encode("utf-8", "replace") for text in texts)]


_DONE = {"type": "speech.audio.done", "usage": {"input_tokens": 9, "output_tokens": 7}}
SOUNDING = {
    name: kind(
        dialect=dialect_of("speech"), token=_sound, thought=_sound, error={"type": "error", "error": {"message": "no"}},
        end=(_DONE,), more=({"type": "speech.audio.delta"}, {"type": "speech.audio.delta", "audio": "%"}), usage=None,
    )
    for name, kind in (("speech", Spoken), ("speech as bytes", SpokenBytes))
}  # fmt: skip
"""Those whose output is no text."""
