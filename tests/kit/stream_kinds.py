"""Streams of a kind: the base stream with one thing other, and what is then true of it.

The base stream has 50 ms to its first token, ten one-token events 20 ms apart, then its finish reason, usage and
`[DONE]`: TTFT 50, TPOT 20, E2E 230 ms, 10 tokens. The server takes no `ignore_eos`, so that nothing else is to be said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from difficult import GAP_S, TOKENS, TTFT_S, Row, Words, spaced
from known import output, sse
from scripted import CLOSE, DONE, Step, delta, event, usage, usage_event

Steps = Callable[[Words, int], list[Step]]
NONE: dict[str, Any] = {"ttft_ms": None, "itl_ms": None, "tpot_ms": None, "e2e_ms": None}
FAILED: dict[str, Any] = {"ok": 0, "source": None, "tokens": None} | NONE


def stream(
    *,
    of: Callable[[Words, int], dict[str, Any]] = lambda api, _: api.part("word "),
    count: int = TOKENS,
    begin: Callable[[Words], dict[str, Any]] | None = None,
    finish: Any = "length",
    told: Any = TOKENS,
    rest: tuple[Step, ...] = (),
    end: bytes = DONE,
) -> Steps:
    """The base stream, but: events made by `of` (with their number), `begin` before them at 5 ms, another finish
    reason, usage (a block, a number of tokens, or None) or end; `rest` stands for all after the last token."""

    def steps(api: Words, _: int) -> list[Step]:
        early = [] if begin is None else [0.005, event(begin(api))]
        words = spaced(TTFT_S - 0.005 * bool(early), [output(event(of(api, number))) for number in range(count)])
        if rest:
            return sse(*early, *words, *rest)
        block = usage(told) if isinstance(told, int) else told
        last = event(api.part(finish=finish)) + (b"" if block is None else event({"choices": [], "usage": block}))
        return sse(*early, *words, last + end)

    return steps


def with_finish(finish: Any) -> Callable[[Words, int], dict[str, Any]]:
    return lambda api, _: api.part("word ", finish=finish)


def in_delta(**fields: Any) -> Callable[[Words, int], dict[str, Any]]:
    """Chat: these fields of the delta; completions: these of the choice, with an empty text."""

    def made_of(api: Words, _: int) -> dict[str, Any]:
        if api.api == "chat":
            return delta(**fields)
        return {"choices": [{"index": 0, "text": "", "finish_reason": None} | fields]}

    return made_of


def with_usage(block: Callable[[int], Any]) -> Callable[[Words, int], dict[str, Any]]:
    """Usage in every event, made of the number of tokens so far."""
    return lambda api, number: api.part("word ") | {"usage": block(number + 1)}


def indexed(api: Words, index: int, text: str | None, finish: str | None = None) -> dict[str, Any]:
    part = api.part(text, finish=finish)
    part["choices"][0]["index"] = index
    return part


def alternating(api: Words, _: int) -> list[Step]:
    """Two outputs, their events in turn, 10 ms apart; usage counts both."""
    events = [
        piece
        for number in range(TOKENS)
        for piece in (
            (GAP_S / 2 if number else TTFT_S), output(event(indexed(api, 0, "word "))), GAP_S / 2,
            event(indexed(api, 1, "term ")),
        )
    ]  # fmt: skip
    ends = event(indexed(api, 0, None, "length")) + event(indexed(api, 1, None, "length"))
    return sse(*events, ends + event(usage_event(2 * TOKENS)) + DONE)


def both_in_one(api: Words, number: int) -> dict[str, Any]:
    part = indexed(api, 0, "word ")
    part["choices"].append(indexed(api, 1, "term ")["choices"][0])
    return part


# --- the kinds -------------------------------------------------------------------------------------------------------

GAVE_UP = ("abort", "error", "cancelled", "timeout", "network_error", "FAILED")
GOOD = ("length", "stop", "content_filter", "STOP", "eos_token", "MAX_TOKENS", "end_turn")
ENDS: dict[str, Row] = {
    "empty reason in every event, cut after 4": Row(
        stream(of=with_finish(""), count=4, rest=(CLOSE,)), error="cut", chunks=4, **FAILED | {"tokens": 4}
    ),
    "the same, ended without a mark": Row(
        stream(of=with_finish(""), count=4, rest=(event({"choices": []}),)), error="cut", chunks=4,
        **FAILED | {"tokens": 4},
    ),
    "empty reason in every event, whole": Row(stream(of=with_finish(""))),
    "the word null in every event, cut": Row(
        stream(of=with_finish("null"), count=4, rest=(CLOSE,)), error="cut", chunks=4, **FAILED | {"tokens": 4}
    ),
    "stop in every event, cut after 4": Row(
        stream(of=with_finish("stop"), count=4, rest=(CLOSE,)), error="cut", chunks=4, **FAILED | {"tokens": 4}
    ),
    "object that names a good reason": Row(stream(finish={"type": "length", "length": 10})),
    "object with a message": Row(
        stream(count=3, finish={"type": "abort", "message": "KV cache exhausted"}, told=3), error="gave_up", chunks=3,
        **FAILED | {"tokens": 3},
    ),
    **{f"finish_reason {reason}": Row(stream(finish=reason)) for reason in GOOD},
    **{
        f"finish_reason {reason} after 3": Row(
            stream(count=3, finish=reason, told=3), error="gave_up", chunks=3, **FAILED | {"tokens": 3}
        )
        for reason in GAVE_UP
    },
}  # fmt: skip

PARTS = [{"type": "text", "text": "word "}]
THOUGHTS = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm "}]}]
ODD_BLOCK: dict[str, Any] = {"prompt_tokens": "7", "completion_tokens": 10.0, "total_tokens": None}


def odd_event(**fields: Any) -> Steps:
    return stream(of=lambda api, _: api.part("word ") | fields)


def odd_choice(**fields: Any) -> Steps:
    def part(api: Words, _: int) -> dict[str, Any]:
        found = api.part("word ")
        found["choices"][0] |= fields
        return found

    return stream(of=part)


def thoughts_then_words(api: Words, number: int) -> dict[str, Any]:
    return delta(content=THOUGHTS if number < 5 else PARTS)


FIELDS: dict[str, Row] = {
    "content as parts": Row(stream(of=in_delta(content=PARTS)), chat_only=True),
    "content as parts, thinking first": Row(stream(of=thoughts_then_words), chat_only=True),
    "text as parts": Row(stream(of=lambda api, _: api.part("") | {"choices": [{"index": 0, "text": PARTS}]})),
    "role a number": Row(stream(of=in_delta(content="word ", role=7)), chat_only=True),
    "tool_calls empty string": Row(stream(of=in_delta(content="word ", tool_calls="")), chat_only=True),
    "logprobs a number": Row(odd_choice(logprobs=3)),
    "index a string": Row(odd_choice(index="0")),
    "created a string, id a number": Row(odd_event(created="now", id=7, model=None, object=5)),
    "error empty": Row(odd_event(error="")),
    "usage a string": Row(odd_event(usage="later")),
    "usage in strings and floats": Row(stream(told=ODD_BLOCK)),
    "usage with null": Row(stream(told={"prompt_tokens": 7, "completion_tokens": None}), source="events"),
    "choices null at first": Row(stream(begin=lambda _: {"choices": None, "id": 1})),
    "choices an object": Row(stream(of=lambda api, _: {"choices": api.part("word ")["choices"][0]})),
}
KNOWN_NAMES = ("reasoning", "reasoning_content", "thinking")
UNKNOWN = {"unheard": "hm ", "audio": {"transcript": "hm "}, "steps": [{"note": "hm "}]}
PATHS = {"unheard": "unheard", "audio": "audio.transcript", "steps": "steps.note"}


def unknown_first(name: str) -> Callable[[Words, int], dict[str, Any]]:
    return lambda api, number: in_delta(**{name: UNKNOWN[name]})(api, number) if number < 5 else api.part("word ")


OTHER_FIELDS: dict[str, Row] = {
    **{f"all output in {name}": Row(stream(of=in_delta(**{name: "hm "}))) for name in KNOWN_NAMES},
    **{f"all output in {name}": Row(stream(of=in_delta(**{name: text}))) for name, text in UNKNOWN.items()},
    **{f"{name} before content": Row(stream(of=unknown_first(name))) for name in UNKNOWN},
    "a label in every event": Row(
        stream(of=in_delta(content="word ", vendor="acme"), begin=lambda _: delta(role="assistant", vendor="acme")),
        chat_only=True,
    ),
}

CHOICES: dict[str, Row] = {
    "two outputs in turn": Row(alternating, source="events"),
    "two outputs an event": Row(stream(of=both_in_one, told=2 * TOKENS), source="events"),
}

EVENTS = {"source": "events"}
LONG: dict[str, Any] = {"tokens": 40, "chunks": 40, "ttft_ms": 50.0, "itl_ms": 5.0, "tpot_ms": 5.0, "e2e_ms": 245.0}
REASONED = {"prompt_tokens": 7, "completion_tokens_details": {"reasoning_tokens": 5}}


def reasoned(api: Words, number: int) -> dict[str, Any]:
    return in_delta(reasoning_content="hm ")(api, number) if number < 5 else api.part("word ")


def forty(api: Words, _: int) -> list[Step]:
    words = [step for n in range(40) for step in (GAP_S / 4 if n else TTFT_S, output(event(api.part("word "))))]
    return sse(*words, event(api.part(finish="length")) + event(usage_event(4)) + DONE)


def pieces_of_a_token(api: Words, _: int) -> list[Step]:
    """A character an event: "word " is one token by usage and by the text."""
    letters = [output(event(api.part(letter))) for letter in "word " * TOKENS]
    words = [step for n, letter in enumerate(letters) for step in (GAP_S / 5 if n else TTFT_S, letter)]
    return sse(*words, event(api.part(finish="length")) + event(usage_event(TOKENS)) + DONE)


STUCK = with_usage(lambda _: usage(1))
COUNTS: dict[str, Row] = {
    "usage absent": Row(stream(told=None), **EVENTS),
    "usage absent, odd words": Row(stream(of=lambda api, _: api.part("tok7 "), told=None, finish="stop"), **EVENTS),
    "usage tenfold, odd words": Row(stream(of=lambda api, _: api.part("tok7 "), told=100, finish="stop"), **EVENTS),
    "usage 0": Row(stream(told=0), **EVENTS),
    "usage a tenth": Row(forty, **EVENTS, **LONG),
    "usage tenfold": Row(stream(told=100), **EVENTS),
    "usage doubled": Row(stream(told=2 * TOKENS), **EVENTS),
    "running usage": Row(stream(of=with_usage(usage), told=None)),
    "running usage stuck at 1": Row(stream(of=STUCK, told=None, finish="stop"), source="stream"),
    "running usage stuck at 1, and at the end": Row(stream(of=STUCK, told=1, finish="stop"), source="stream"),
    "running usage stuck at 0": Row(stream(of=with_usage(lambda _: usage(0)), told=0), **EVENTS),
    "running usage the whole from the start": Row(stream(of=with_usage(lambda _: usage(TOKENS)))),
    "usage with the reasoning": Row(stream(of=reasoned, told=REASONED | {"completion_tokens": 10})),
    "usage without the reasoning": Row(stream(of=reasoned, told=REASONED | {"completion_tokens": 5})),
    "usage with reasoning that is not sent": Row(stream(told=REASONED | {"completion_tokens": 15}), tokens=15),
    "a character an event": Row(
        pieces_of_a_token, tokens=10, chunks=50, itl_ms=4.0, tpot_ms=196 / 9, e2e_ms=246.0
    ),
}  # fmt: skip

ALL = {**ENDS, **FIELDS, **OTHER_FIELDS, **CHOICES, **COUNTS}


def cases(table: dict[str, Row]) -> list[tuple[str, str]]:
    """(API, name) of each stream of a table."""
    apis = ("chat", "completions")
    return [(api, name) for api in apis for name, row in table.items() if api == "chat" or not row.chat_only]
