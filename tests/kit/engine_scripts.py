"""The engines' own APIs as scripted servers: what each sends for so many tokens, and what it tells of itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from known import Output
from scripted import LAST_CHUNK, Received, Script, Step, chunked, json_reply

Value = dict[str, Any]
PROMPT, CACHED = 9, 4
QUEUE_NS, PREFILL_NS, DECODE_NS = 2_000_000, 30_000_000, 50_000_000
"""What a server tells of its times: known figures, whatever it really took."""
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"


def _sse(value: Value) -> bytes:
    return b"data: " + _json(value) + b"\n\n"


def _line(value: Value) -> bytes:
    return _json(value) + b"\n"


def _json(value: Value) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Engine:
    """One of them. `parts` gives, for so many tokens, the event of each and what follows the last."""

    path: str
    asked: Callable[[Value], int]
    """Output tokens that a body asks for."""
    parts: Callable[[int], tuple[list[bytes], bytes]]
    whole: Callable[[int], Value]
    error: bytes
    words: str
    """Of that error."""
    models: str
    listed: Value
    finish: str = "length"
    media: bytes = b"text/event-stream"
    path_whole: str = ""
    cached: int | None = None
    times: tuple[int | None, int | None, int | None] = (None, None, None)
    """Of queue, prefill and decode, in ns."""
    prompt_whole: int | None = PROMPT
    """Prompt tokens of a reply that is not streamed."""

    def head(self) -> bytes:
        return _HEAD % self.media

    def stream(self, tokens: int, first_s: float, gap_s: float) -> list[Step]:
        """A whole reply of one-token events."""
        events, after = self.parts(tokens)
        steps: list[Step] = [self.head()]
        for number, data in enumerate(events):
            steps += [gap_s if number else first_s, Output(chunked(data))]
        return [*steps, *([chunked(after)] if after else []), LAST_CHUNK]

    def script(self, first_s: float = 0.01, gap_s: float = 0.001) -> Script:
        """Serves as many tokens as each request asks for, streamed or not by its path or its body."""

        def serve(request: Received) -> list[Step]:
            asked = request.json()
            if request.path == self.path_whole or asked.get("stream") is False:
                return [json_reply(self.whole(self.asked(asked)))]
            return self.stream(self.asked(asked), first_s, gap_s)

        return serve

    def names(self, request: Received) -> list[Step]:
        """Serves the list of its models, or what stands for it."""
        return [json_reply(self.listed if request.path == self.models else {"error": "not here"},
                           200 if request.path == self.models else 404)]  # fmt: skip


# --- SGLang -----------------------------------------------------------------------------------------------------------


def _generated(tokens: int, asked: int) -> Value:
    done = tokens == asked
    meta: Value = {
        "id": "x", "finish_reason": {"type": "length", "length": asked} if done else None, "prompt_tokens": PROMPT,
        "completion_tokens": tokens, "cached_tokens": CACHED,
    }  # fmt: skip
    if done:
        meta |= {
            "queue_time": QUEUE_NS / 1e9, "forward_entry_time": 1_700_000_000.0,
            "prefill_finished_time": 1_700_000_000.0 + PREFILL_NS / 1e9,
            "decode_throughput": (asked - 1) / (DECODE_NS / 1e9) if asked > 1 else 1.0,
        }  # fmt: skip
    return {"text": "word " * tokens, "output_ids": [7] * tokens, "meta_info": meta}


def _sglang(tokens: int) -> tuple[list[bytes], bytes]:
    return [_sse(_generated(n + 1, tokens)) for n in range(tokens)], b"data: [DONE]\n\n"


# --- TGI --------------------------------------------------------------------------------------------------------------


def _tgi(tokens: int) -> tuple[list[bytes], bytes]:
    def event(index: int) -> Value:
        last = index == tokens
        details = {"finish_reason": "length", "generated_tokens": tokens, "seed": None, "input_length": PROMPT}
        return {
            "index": index, "token": {"id": 7, "text": "word ", "logprob": -0.25, "special": False},
            "generated_text": "word " * tokens if last else None, "details": details if last else None,
        }  # fmt: skip

    return [b"data:" + _json(event(n + 1)) + b"\n\n" for n in range(tokens)], b""


def _tgi_whole(tokens: int) -> Value:
    details = {"finish_reason": "length", "generated_tokens": tokens, "seed": None, "prefill": [], "tokens": []}
    return {"generated_text": "word " * tokens, "details": details}


# --- Ollama -----------------------------------------------------------------------------------------------------------


def _ollama(chat: bool) -> tuple[Callable[[int], tuple[list[bytes], bytes]], Callable[[int], Value]]:
    def line(text: str) -> Value:
        said = {"message": {"role": "assistant", "content": text}} if chat else {"response": text}
        return {"model": "m:latest", "created_at": "2025-10-26T17:15:24.097767Z", **said, "done": False}

    def end(tokens: int) -> Value:
        return {
            "done": True, "done_reason": "length", "total_duration": 99_000_000, "load_duration": 1_000_000,
            "prompt_eval_count": PROMPT, "prompt_eval_duration": PREFILL_NS, "eval_count": tokens,
            "eval_duration": DECODE_NS,
        }  # fmt: skip

    def parts(tokens: int) -> tuple[list[bytes], bytes]:
        return [_line(line("word ")) for _ in range(tokens)], _line(line("") | end(tokens))

    return parts, lambda tokens: line("word " * tokens) | end(tokens)


# --- llama.cpp --------------------------------------------------------------------------------------------------------


def _completed(tokens: int, text: str) -> Value:
    timings = {
        "cache_n": CACHED, "prompt_n": PROMPT - CACHED, "prompt_ms": PREFILL_NS / 1e6, "predicted_n": tokens,
        "predicted_ms": DECODE_NS / 1e6,
    }  # fmt: skip
    return {
        "index": 0, "content": text, "tokens": [], "stop": True, "stop_type": "limit", "tokens_predicted": tokens,
        "tokens_evaluated": PROMPT, "tokens_cached": PROMPT + tokens - 1, "timings": timings,
    }  # fmt: skip


def _llamacpp(tokens: int) -> tuple[list[bytes], bytes]:
    def piece(number: int) -> Value:
        return {
            "index": 0, "content": "word ", "tokens": [7], "stop": False, "id_slot": -1, "tokens_predicted": number,
            "tokens_evaluated": PROMPT,
        }  # fmt: skip

    return [_sse(piece(n + 1)) for n in range(tokens)], _sse(_completed(tokens, ""))


_LISTED = {"object": "list", "data": [{"id": "m", "object": "model"}]}
_WORDS = "the model failed to generate a response"
_CHAT, _GENERATE = _ollama(True), _ollama(False)
_TAGS = {"models": [{"name": "m:latest", "model": "m:latest", "details": {"family": "llama"}}]}
ENGINES = {
    "sglang": Engine(
        "/generate", lambda asked: asked["sampling_params"]["max_new_tokens"], _sglang, lambda n: _generated(n, n),
        _sse({"error": {"message": _WORDS}}) + b"data: [DONE]\n\n", _WORDS, "/v1/models", _LISTED,
        cached=CACHED, times=(QUEUE_NS, PREFILL_NS, DECODE_NS),
    ),
    "tgi": Engine(
        "/generate_stream", lambda asked: asked["parameters"]["max_new_tokens"], _tgi, _tgi_whole,
        _sse({"error": _WORDS, "error_type": "generation"}), _WORDS, "/info", {"model_id": "m", "version": "3.3.6"},
        path_whole="/generate", prompt_whole=None,
    ),
    "ollama": Engine(
        "/api/chat", lambda asked: asked["options"]["num_predict"], *_CHAT, _line({"error": _WORDS}), _WORDS,
        "/api/tags", _TAGS, media=b"application/x-ndjson", times=(None, PREFILL_NS, DECODE_NS),
    ),
    "ollama-generate": Engine(
        "/api/generate", lambda asked: asked["options"]["num_predict"], *_GENERATE, _line({"error": _WORDS}), _WORDS,
        "/api/tags", _TAGS, media=b"application/x-ndjson", times=(None, PREFILL_NS, DECODE_NS),
    ),
    "llamacpp": Engine(
        "/completion", lambda asked: asked["n_predict"], _llamacpp, lambda n: _completed(n, "word " * n),
        _sse({"error": {"code": 500, "message": _WORDS, "type": "server_error"}}), _WORDS, "/v1/models", _LISTED,
        finish="limit", cached=CACHED, times=(None, PREFILL_NS, DECODE_NS),
    ),
}  # fmt: skip
