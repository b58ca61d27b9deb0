"""A Python callable in place of a server: what it is asked, and what the pieces of its answer say.

The only API without a wire: it is loaded by `loadcell.run(fn, ...)`, and no URL has it.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, Literal

import msgspec

from loadcell.kinds import KIND_ANSWER, KIND_EMPTY, KIND_REASONING, KIND_TOOL, KIND_USAGE
from loadcell.phrases import phrase
from loadcell.protocol.dialect import Dialect, Form, Heard, Prompt, Usage, hear_each
from loadcell.protocol.said import Said
from loadcell.protocol.values import MOST_TOKENS

MAX_PIECES = 1_000_000
_KINDS = {"answer": KIND_ANSWER, "reasoning": KIND_REASONING, "tool": KIND_TOOL}


class Piece(msgspec.Struct, frozen=True):
    """One piece of a callable's answer, where it has more to tell than a text. The last may tell what the whole took.

    A field that is None is not told. TypeError or ValueError for what no piece can be.
    """

    text: str = ""
    kind: Literal["answer", "reasoning", "tool"] = "answer"
    tokens: int | None = None
    """Output tokens of this piece."""
    output_tokens: int | None = None
    """Of the whole answer, the engine's own count: its usage."""
    prompt_tokens: int | None = None
    """Of the prompt, likewise, with whatever the engine puts around it."""
    cached_tokens: int | None = None
    """Of these: those that the engine took from a cache."""
    finish: str | None = None
    """Why the answer ends, as servers write it: "stop", "length"."""

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TypeError(f"the text of a Piece must be a str, found {type(self.text).__name__}")
        if self.kind not in _KINDS:
            raise ValueError(f"the kind of a Piece must be one of {', '.join(_KINDS)}, found {self.kind!r}")
        for name in ("tokens", "output_tokens", "prompt_tokens", "cached_tokens"):
            value = getattr(self, name)
            if value is not None and not 0 <= operator.index(value) < MOST_TOKENS:
                raise ValueError(f"{name} of a Piece must be a number of tokens, found {value!r}")


def heard_of(piece: Piece) -> Heard:
    """What a piece says."""
    text = _written(piece.text)[0] or None
    return Heard(
        _KINDS[piece.kind] if text else 0,
        answer=text if piece.kind == "answer" else None,
        thought=text if piece.kind == "reasoning" else None,
        tools=[msgspec.Raw(msgspec.json.encode({"arguments": text}))] if text and piece.kind == "tool" else None,
        tokens=_whole(piece.tokens),
        usage=_usage(piece),
        finish=piece.finish,
    )


def _written(text: str) -> tuple[str, int]:
    """A text as it can be written, halves of characters replaced, and its size in bytes."""
    try:
        return text, len(text.encode())
    except UnicodeEncodeError:
        data = text.encode("utf-8", "replace")
        return data.decode(), len(data)


def _usage(piece: Piece) -> Usage | None:
    counts = [_whole(count) for count in (piece.prompt_tokens, piece.output_tokens, piece.cached_tokens)]
    return None if counts == [None] * 3 else Usage(*counts)


def _whole(count: int | None) -> int | None:
    return None if count is None else operator.index(count)


class Spoken(Said):
    """What a callable answered. `failure` is (kind, words) of what is wrong with it."""

    status = 0
    """Of HTTP: there is none."""
    wanted: tuple[int, int] | None = None
    """Of inputs: there are none."""

    def __init__(self) -> None:
        super().__init__(CALLABLE)
        self.streamed = True
        """Whether it came in pieces; else it was there all at once, and nobody knows when its first token was."""
        self.bytes = 0
        self.tails: set[int] = set()
        self._lessons = 0  # nothing is parsed, so no form is to be learnt

    def take(self, pieces: Sequence[object], *, streamed: bool) -> None:
        """Take the answer, in the order in which its pieces came: each is an event, and a read of its own."""
        self.streamed = streamed
        texts = list(takewhile(lambda piece: isinstance(piece, str), pieces))
        self._take_texts(texts)
        for number, piece in enumerate(pieces[len(texts) :], len(texts)):
            if isinstance(piece, str):
                size = self._piece(number, Piece(piece))
            elif isinstance(piece, Piece):
                size = self._piece(number, piece)
            else:
                name = type(piece).__name__
                words = phrase(
                    "piece {} of the answer is of type {}: it must be a str or a loadcell.Piece", number, name
                )
                self.failure = ("protocol", words)
                return
            self.bytes += size
        if not streamed:  # its tokens count when it is there: there is no first one in it to be timed
            self.tokens[:], self.token_source = [None] * len(self.tokens), None

    def _take_texts(self, texts: Sequence[Any]) -> None:
        """Take the first pieces, which are texts: all at once, for most answers are nothing else."""
        written = [_written(text) for text in texts]
        sizes = [size for _, size in written]
        self.content += [text for text, _ in written]
        self.reads.extend(range(len(texts)))
        self.kinds.extend(KIND_ANSWER if size else KIND_EMPTY for size in sizes)
        self.tokens += [None] * len(texts)
        self.sizes.extend(sizes)
        self.bytes += sum(sizes)

    def judge(self) -> None:
        """After the last piece of an answer that came to its end: one without output failed."""
        if self.failure is None and 1 not in self.outputs():
            self.failure = ("empty", phrase("the reply holds no output"))

    def _piece(self, number: int, piece: Piece) -> int:
        """Take a piece that tells more than a text; returns its size in bytes."""
        heard = heard_of(piece)
        kind = heard.kind
        if heard.answer:
            self.content.append(heard.answer)
        if heard.thought:
            self.reasoning.append(heard.thought)
        self.tools += heard.tools or ()
        if heard.tokens is not None and kind:
            self.token_source = "ids"
        if heard.usage is not None:
            kind |= KIND_USAGE
            self.usage = heard.usage
        if heard.finish is not None:
            kind |= self._end(heard.finish)
        size = _written(piece.text)[1]
        self._note(number, kind or KIND_EMPTY, heard.tokens if heard.kind else None, size)
        return size


def _prefix(model: str, stream: bool, form: Form, more: Mapping[str, Any]) -> bytes:
    """Further arguments of every call."""
    return msgspec.json.encode(dict(more))


def _body(prefix: bytes, prompt: Prompt, most: int, field: str) -> bytes:
    """The arguments of one call by name: those of all, those of its row, and `max_tokens`."""
    own = msgspec.json.decode(prompt) if isinstance(prompt, bytes) else {"prompt": prompt}
    return msgspec.json.encode({**msgspec.json.decode(prefix), **own, field: most})


def _whole_piece(payload: bytes) -> Heard:
    return heard_of(msgspec.json.decode(payload, type=Piece))


CALLABLE = Dialect(
    path="",
    paths=(),
    base="",
    talks=False,
    takes_ids=False,
    form=Form(ignore_eos=False, usage=False),
    prefix=_prefix,
    body=_body,
    hear=hear_each(_whole_piece),
    whole=_whole_piece,
    ends="its end",
    holds="output",
)
