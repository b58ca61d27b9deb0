"""OpenAI's chat and completions, the server's half, as vLLM speaks them: bodies in, events out. Pure functions.

What other APIs need too stands here: words, refusals, what is asked for.

A word is a token. All words are four letters long and single tokens, with their leading space, in GPT-2-like
vocabularies, so that every token event of a stream has the same size.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from loadcell.engine.http import LAST_CHUNK, chunk
from loadcell.engine.model import TABLE
from loadcell.engine.options import EngineOptions
from loadcell.engine.seeded import text_indices
from loadcell.engine.vectors import Vectors

MAX_MODEL_LEN = 131_072
DEFAULT_MAX_TOKENS = 128
WORDS = (
    "time", "year", "work", "life", "part", "home", "hand", "week", "case", "fact", "team", "book",
    "word", "game", "door", "name", "line", "city", "road", "idea", "body", "back", "face", "food",
    "room", "area", "mind", "side", "kind", "head", "help", "turn", "play", "move", "live", "hold",
    "next", "last", "long", "high", "best", "full", "free", "open", "able", "sure", "true", "real",
    "hard", "late", "dark", "blue", "rich", "fire", "land", "star", "wind", "ship", "bank", "town",
)  # fmt: skip


class ApiError(Exception):
    """A request that is understood and refused; the connection lives on."""

    def __init__(self, status: int, message: str, kind: str = "BadRequestError", param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.param = status, message, kind, param

    @property
    def body(self) -> bytes:
        """In the form of OpenAI's APIs."""
        return error_body(self.status, self.message, self.kind, self.param)


def error_body(status: int, message: str, kind: str, param: str | None = None) -> bytes:
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": status}})


# --- in ---------------------------------------------------------------------------------------------------------------


class Part(msgspec.Struct):
    text: str = ""


class Message(msgspec.Struct):
    role: str
    content: str | list[Part] | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class _Body(msgspec.Struct):
    model: str | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    messages: list[Message] | None = None
    prompt: str | list[int | str | list[int]] | None = None


_decoder = msgspec.json.Decoder(_Body)


class Pooled(NamedTuple):
    """What a request asks for that generates nothing."""

    inputs: int
    results: int
    packed: bool = False
    """Vectors as base64."""


class Asked(NamedTuple):
    """What a request asks for."""

    prompt_tokens: int
    max_tokens: int
    stream: bool
    usage: bool = True
    """In a stream: a usage event at the end."""
    continuous_usage: bool = False
    chat: bool = False
    texts: tuple[str, ...] = ()
    """What a prefix cache may know of it, in the order of the prompt."""
    cached: int | None = None
    """Prompt tokens that such a cache had; None where there is none."""
    pooled: Pooled | None = None
    """Then `max_tokens` is 1, and stands for the whole reply: no token is made."""
    said: tuple[int, ...] = ()
    """Of each message its CRC-32, where it is one text."""


B = TypeVar("B")


def decoded(decoder: msgspec.json.Decoder[B], body: bytes) -> B:
    """The body of a request; ApiError if it is none."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"The body cannot be read: {error}") from None


def check_model(asked: str | None, model: str) -> None:
    """ApiError if another model is asked for."""
    if asked is not None and asked != model:
        raise ApiError(404, f"The model `{asked}` does not exist.", "NotFoundError", "model")


def check_tokens(prompt_tokens: int, max_tokens: int, field: str) -> None:
    """ApiError if so many output tokens cannot be served."""
    if max_tokens < 1:
        raise ApiError(400, f"{field} must be at least 1, got {max_tokens}.", param=field)
    if prompt_tokens + max_tokens > MAX_MODEL_LEN:
        raise ApiError(
            400,
            f"This model's maximum context length is {MAX_MODEL_LEN} tokens. However, you requested {max_tokens} "
            f"output tokens and your prompt contains {prompt_tokens} input tokens.",
        )


def read_request(body: bytes, chat: bool, model: str) -> Asked:
    """The request in `body`; ApiError if it cannot be served."""
    asked = decoded(_decoder, body)
    check_model(asked.model, model)
    if asked.n not in (None, 1):
        raise ApiError(400, "n must be 1.", param="n")
    if asked.stream_options and not asked.stream:
        raise ApiError(400, "Stream options can only be defined when `stream=True`.", param="stream_options")
    prompt_tokens = chat_tokens(asked.messages) if chat else _prompt_tokens(asked.prompt)
    max_tokens = asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens
    if max_tokens is None:
        max_tokens = DEFAULT_MAX_TOKENS
    check_tokens(prompt_tokens, max_tokens, "max_tokens")
    wanted = asked.stream_options or _StreamOptions()
    return Asked(
        chat=chat,
        said=said_in(asked.messages if chat else None),
        prompt_tokens=prompt_tokens,
        texts=texts_of(*(message.content for message in asked.messages or ())) if chat else _prompt_texts(asked.prompt),
        max_tokens=max_tokens,
        stream=bool(asked.stream),
        usage=bool(wanted.include_usage),
        continuous_usage=bool(wanted.include_usage and wanted.continuous_usage_stats),
    )


def chat_tokens(messages: list[Message] | None, field: str = "messages") -> int:
    """Words of messages; ApiError if there is none."""
    if not messages:
        raise ApiError(400, f"{field}: at least one message is required.", param=field)
    return sum(content_tokens(message.content) for message in messages)


def said_in(messages: list[Message] | None) -> tuple[int, ...]:
    """The CRC-32 of each message; 0 of one that is no text."""
    texts = (message.content if isinstance(message.content, str) else "" for message in messages or ())
    return tuple(zlib.crc32(text.encode()) for text in texts)


def content_tokens(content: str | list[Part] | None) -> int:
    texts = [content] if isinstance(content, str) else [part.text for part in content or ()]
    return sum(len(text.split()) for text in texts)


def texts_of(*contents: str | list[Part] | None) -> tuple[str, ...]:
    """The texts of contents, in order."""
    parts = ([one] if isinstance(one, str) else [part.text for part in one or ()] for one in contents)
    return tuple(text for texts in parts for text in texts)


def _prompt_texts(prompt: object) -> tuple[str, ...]:
    """The text of a prompt that was checked; a token is a word."""
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    return (prompt,) if isinstance(prompt, str) else (" ".join(map(str, prompt)),) if isinstance(prompt, list) else ()


def _prompt_tokens(prompt: object) -> int:
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return len(prompt.split())
    if isinstance(prompt, list) and prompt and all(isinstance(token, int) for token in prompt):
        return len(prompt)
    raise ApiError(400, "prompt: one text or one list of token ids is required.", param="prompt")


# --- out --------------------------------------------------------------------------------------------------------------


class Shape(NamedTuple):
    """The bytes round the text of an event's choices, by API."""

    id: str
    event: str
    whole: str
    before: bytes
    after: bytes
    finish: bytes


_CHAT = Shape(
    "chatcmpl-",
    "chat.completion.chunk",
    "chat.completion",
    b'[{"index":0,"delta":{"content":"',
    b'"},"logprobs":null,"finish_reason":null}]',
    b'[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length","stop_reason":null}]',
)
_TEXT = Shape(
    "cmpl-",
    "text_completion",
    "text_completion",
    b'[{"index":0,"text":"',
    b'","logprobs":null,"finish_reason":null,"stop_reason":null}]',
    b'[{"index":0,"text":"","logprobs":null,"finish_reason":"length","stop_reason":null}]',
)
_ROLE = b'[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]'


class Times(NamedTuple):
    """Parts of a request's time, in ns."""

    queue: int
    prefill: int
    """From the slot to the first token."""
    decode: int
    """From the first token to the last."""
    drafted: tuple[int, int, int] | None = None
    """Speculative decoding: steps with a guess, tokens that were guessed, and those that held."""


class Phrases:
    """What does not change between requests, made once."""

    def __init__(self, options: EngineOptions) -> None:
        self.model = msgspec.json.encode(options.model)
        self.eol = b"\r\n" if options.crlf else b"\n"
        self.done = b"" if options.no_done else self.event(b"[DONE]")
        self.usage = not options.no_usage
        self.request_metrics = options.request_metrics
        self.words = [b" " + WORDS[i].encode() for i in text_indices(options.seed, len(WORDS), TABLE)]
        self.vectors = Vectors(options.seed)
        self._tails: dict[bytes, list[bytes]] = {}

    def tails(self, after: bytes) -> list[bytes]:
        """What follows the opening of an event of one token: each word, then this, and the ends of event and chunk."""
        if after not in self._tails:
            self._tails[after] = [word + after + self.eol * 2 + b"\r\n" for word in self.words]
        return self._tails[after]

    def text(self, first: int, count: int) -> bytes:
        """So many words from a place of the table on."""
        return b"".join([self.words[i % TABLE] for i in range(first, first + count)])

    def event(self, data: bytes, name: bytes = b"") -> bytes:
        """One server-sent event in one HTTP chunk."""
        return chunk(self.begun(data, name) + self.eol * 2)

    def begun(self, data: bytes, name: bytes) -> bytes:
        """An event without its end."""
        return (b"event: " + name + self.eol if name else b"") + b"data: " + data


class Voice(Protocol):
    """The words of one response. Positions are those of its tokens in the stream, from 0."""

    tails: list[bytes]
    """Token i of the stream as one event: prefix + tails[(offset + i) % TABLE]."""
    prefix: bytes
    alike: bool
    """Whether that is so: in some APIs each event has its number."""

    def role(self) -> bytes:
        """What comes before the first token."""

    def tokens(self, first: int, count: int) -> bytes:
        """One event with `count` tokens."""

    def finish(self, count: int, times: Times) -> bytes:
        """All that follows the last of `count` tokens, up to the end of the body."""

    def stream_error(self, message: str) -> bytes:
        """An error inside a stream, and the end of the stream."""

    def whole(self, count: int, times: Times) -> bytes:
        """The body of a response that is not streamed."""


class OpenAIVoice:
    """That of chat and completions."""

    shape: Shape | None = None
    """Of an API beside the two."""
    __slots__ = ("_asked", "_created_s", "_offset", "_phrases", "_shape", "_start", "alike", "id", "prefix", "tails")

    def __init__(self, phrases: Phrases, asked: Asked, name: str, created_s: int, offset: int) -> None:
        shape = self.shape or (_CHAT if asked.chat else _TEXT)
        self._phrases, self._shape, self._asked = phrases, shape, asked
        self._created_s, self._offset = created_s, offset
        self.id = msgspec.json.encode(shape.id + name)
        self._start = self._opening(shape.event)
        opening = b"data: " + self._start + shape.before
        self.tails = phrases.tails(shape.after + b"}")
        self.alike = not asked.continuous_usage
        self.prefix = b"%x\r\n" % (len(opening) + len(self.tails[0]) - 2) + opening

    def _opening(self, kind: str) -> bytes:
        return b'{"id":%b,"object":"%b","created":%d,"model":%b,"choices":' % (
            self.id,
            kind.encode(),
            self._created_s,
            self._phrases.model,
        )

    def role(self) -> bytes:
        """What comes before the first token: the role in a chat, nothing in a completion."""
        return self._event(_ROLE, 0) if self._asked.chat else b""

    def tokens(self, first: int, count: int) -> bytes:
        """One event with `count` tokens."""
        return self._event(self._shape.before + self._text(first, count) + self._shape.after, first + count)

    def finish(self, count: int, times: Times) -> bytes:
        """All that follows the last of `count` tokens: finish reason, usage if asked for, [DONE], end of body."""
        parts = [self._event(self._shape.finish, count)]
        if self._asked.usage and self._phrases.usage:
            told = self._usage(count) + self._metrics(count, times)
            parts.append(self._phrases.event(self._start + b"[]" + told + b"}"))
        return b"".join([*parts, self._phrases.done, LAST_CHUNK])

    def stream_error(self, message: str) -> bytes:
        """An error inside a stream, and the end of the stream."""
        phrases = self._phrases
        return phrases.event(error_body(500, message, "InternalServerError")) + phrases.done + LAST_CHUNK

    def whole(self, count: int, times: Times) -> bytes:
        """The body of a response that is not streamed."""
        text = self._text(0, count)
        inner = (b'"message":{"role":"assistant","content":"%b"}' if self._asked.chat else b'"text":"%b"') % text
        choices = b'[{"index":0,%b,"logprobs":null,"finish_reason":"length","stop_reason":null}]' % inner
        usage = self._usage(count) if self._phrases.usage else b""
        return self._opening(self._shape.whole) + choices + usage + self._metrics(count, times) + b"}"

    def _event(self, choices: bytes, count: int) -> bytes:
        usage = self._usage(count) if self._asked.continuous_usage and self._phrases.usage else b""
        return self._phrases.event(self._start + choices + usage + b"}")

    def _text(self, first: int, count: int) -> bytes:
        return self._phrases.text(self._offset + first, count)

    def _usage(self, count: int) -> bytes:
        prompt = self._asked.prompt_tokens
        told = b',"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d' % (
            prompt,
            prompt + count,
            count,
        )
        cached = self._asked.cached
        return told + (b"}" if cached is None else b',"prompt_tokens_details":{"cached_tokens":%d}}' % cached)

    def _metrics(self, count: int, times: Times) -> bytes:
        if not self._phrases.request_metrics:
            return b""
        told: dict[str, object] = {
            "time_to_first_token_ms": times.prefill / 1e6,
            "generation_time_ms": times.decode / 1e6,
            "queue_time_ms": times.queue / 1e6,
            "mean_itl_ms": times.decode / (count - 1) / 1e6 if count > 1 else None,
            "tokens_per_second": count * 1e9 / times.decode if times.decode else None,
        }
        if times.drafted is not None:
            names = ("num_spec_steps", "num_draft_tokens", "num_accepted_draft_tokens")
            told["speculative_decoding"] = dict(zip(names, times.drafted, strict=True))
        return b',"metrics":' + msgspec.json.encode(told)


def models_body(model: str, created_s: int) -> bytes:
    """GET /v1/models."""
    card = {
        "id": model,
        "object": "model",
        "created": created_s,
        "owned_by": "loadcell",
        "root": model,
        "parent": None,
        "max_model_len": MAX_MODEL_LEN,
    }
    return msgspec.json.encode({"object": "list", "data": [card]})
