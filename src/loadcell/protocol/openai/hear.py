"""What the events of a reply say, out of what stands in their choices."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from loadcell.kinds import KIND_ANSWER, KIND_REASONING, KIND_TOOL
from loadcell.protocol.dialect import Heard, Usage, not_heard
from loadcell.protocol.openai.events import Choice, Event, logprob_tokens
from loadcell.protocol.openai.events import Usage as Claimed
from loadcell.protocol.openai.odd import OddChoice, decode_event, is_error, tells_error
from loadcell.protocol.openai.told import told_of
from loadcell.protocol.refusal import error_message
from loadcell.protocol.values import ABSENT, NOT_JSON, present

_EVENTS = msgspec.json.Decoder(list[Event])


def hear(payloads: list[bytes], index: int | None) -> Iterator[Heard]:
    """What each event says; `index` is that of the choice which is measured, the first to bring any output."""
    try:
        events = _EVENTS.decode(b"[%b]" % b",".join(payloads))
    except NOT_JSON:
        events = []
    if len(events) == len(payloads):
        for event, payload in zip(events, payloads, strict=True):
            heard = _heard(event, payload, index)
            index = heard.index
            yield heard
        return
    for payload in payloads:  # one of them is bad: find out which
        try:
            heard = _heard(decode_event(payload), payload, index)
        except NOT_JSON as error:
            heard = not_heard(payload, error)
        index = heard.index
        yield heard


def whole(payload: bytes) -> Heard:
    """What a reply says that was not streamed."""
    event = decode_event(payload)
    heard = _heard(event, payload, None)
    heard.known = bool(event.choices)
    return heard


def _heard(event: Event, payload: bytes, index: int | None) -> Heard:
    choices, choice = event.choices, None
    beside: tuple[int, ...] = ()
    if choices:
        choice = choices[0]
        if choice.index != index or index is None or len(choices) > 1:
            choice, index, beside = _measured(choices, index)
    heard = Heard(index=index, known=choices is not None) if choice is None else _output(choice, index)
    if beside:
        heard.beside = beside
    if event.usage is not None:
        heard.usage = _usage(event.usage)
    if event.timings is not ABSENT or event.metrics is not ABSENT:
        heard.told = told_of(event.metrics, event.timings)
    if (
        event.object == "error"
        or (event.error is not ABSENT and present(event.error) and is_error(event.error))
        or (not choices and event.usage is None and tells_error(payload))
    ):
        heard.failure = ("stream_error", error_message(payload))
    return heard


def _output(choice: Choice, index: int | None) -> Heard:
    """The output in a choice, and why it ends."""
    delta = choice.delta or choice.message
    kind, answer, thought, tools = 0, None, None, None
    if delta is not None:
        answer = delta.content or delta.refusal
        if answer:
            kind = KIND_ANSWER
        thought = delta.reasoning_content or delta.reasoning or delta.thinking
        if thought:
            kind |= KIND_REASONING
        if delta.tool_calls is not ABSENT or delta.function_call is not ABSENT:
            tools = [call for call in (delta.tool_calls, delta.function_call) if present(call)]
            if tools:
                kind |= KIND_TOOL
    if not kind and choice.text:
        kind, answer = KIND_ANSWER, choice.text
    heard = Heard(kind, answer, thought, choice.finish_reason, index)
    if tools:
        heard.tools = tools
    if type(choice) is OddChoice and choice.others:  # of some kind, though nobody knows whether it is seen
        heard.others, heard.kind = choice.others, kind or KIND_REASONING
    if choice.token_ids:
        heard.ids, heard.tokens = choice.token_ids, len(choice.token_ids)
    elif choice.logprobs is not ABSENT and present(choice.logprobs):
        heard.tokens = logprob_tokens(choice.logprobs)
    return heard


def _measured(choices: list[Choice], index: int | None) -> tuple[Choice | None, int | None, tuple[int, ...]]:
    """The next piece of the output that is measured, its index, and those of others that bring some."""
    found, beside = None, []
    for choice in choices:
        own = choice.index or 0
        brings = _brings_output(choice)
        if index is None and brings:
            index = own
        if index in (None, own):
            found = found or choice
        elif brings:
            beside.append(own)
    return found, index, tuple(beside)


def _brings_output(choice: Choice) -> bool:
    for delta in (choice.delta, choice.message):
        if delta is None:
            continue
        if delta.content or delta.refusal or delta.reasoning_content or delta.reasoning or delta.thinking:
            return True
        if present(delta.tool_calls) or present(delta.function_call):
            return True
    return bool(choice.text or (type(choice) is OddChoice and choice.others))


def _usage(claimed: Claimed) -> Usage:
    prompt, output = claimed.prompt_tokens_details, claimed.completion_tokens_details
    return Usage(
        claimed.prompt_tokens,
        claimed.completion_tokens,
        None if prompt is None else prompt.cached_tokens,
        None if output is None else output.reasoning_tokens,
    )
