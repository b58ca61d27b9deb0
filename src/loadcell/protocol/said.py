"""What the events of a reply say: their kinds, tokens and text, by column. No bytes of HTTP or SSE, no clock."""

from __future__ import annotations

import msgspec

from loadcell.kinds import (
    KIND_ANSWER,
    KIND_EMPTY,
    KIND_ERROR,
    KIND_FINISH,
    KIND_OUTPUT,
    KIND_REASONING,
    KIND_TOOL,
    KIND_USAGE,
)
from loadcell.protocol.openai import (
    ABSENT,
    NOT_JSON,
    Choice,
    Event,
    Usage,
    decode_event,
    error_message,
    logprob_tokens,
    present,
)
from loadcell.protocol.told import Told
from loadcell.protocol.twin import Twin, learn_twin

_EVENTS = msgspec.json.Decoder(list[Event])
_LESSONS = 4
"""Token events that are looked at to learn their form: the first ones may have an odd content."""
_EMPTY_TOOLS = (b"", b"null", b"[]", b"{}")


class Said:
    """What the events so far said."""

    def __init__(self) -> None:
        self.failure: tuple[str, str] | None = None
        """(kind, words) of the first thing that went wrong."""
        self.finish_reason: str | None = None
        self.done = False
        self.usage: Usage | None = None
        self.told = Told()
        # Events, by column.
        self.reads: list[int] = []
        self.kinds: list[int] = []
        self.tokens: list[int | None] = []
        self.sizes: list[int] = []
        self.token_source: str | None = None
        self.content: list[str] = []
        self.reasoning: list[str] = []

        self._counted = 0
        self._twin: Twin | None = None
        self._lessons = _LESSONS

    def _classify(self, numbers: list[int], payloads: list[bytes]) -> None:
        try:
            events = _EVENTS.decode(b"[%b]" % b",".join(payloads))
        except NOT_JSON:
            events = []
        if len(events) != len(payloads):  # one of them is bad: find out which
            for number, payload in zip(numbers, payloads, strict=True):
                try:
                    self._event(number, decode_event(payload), payload)
                except NOT_JSON as error:
                    self._note(number, KIND_ERROR, None, len(payload))
                    self.failure = self.failure or (
                        "invalid_json",
                        f"an event is not as the API says ({error}): {error_message(payload[:200])}",
                    )
            return
        for number, event, payload in zip(numbers, events, payloads, strict=True):
            self._event(number, event, payload)

    def _event(self, number: int, event: Event, payload: bytes) -> None:
        kind = 0
        tokens: int | None = None
        if event.timings is not ABSENT or event.metrics is not ABSENT:
            self.told.take(event)
        if event.choices:
            choice = event.choices[0]
            kind = self._output(choice)
            if choice.finish_reason is not None:
                kind |= KIND_FINISH
                self.finish_reason = choice.finish_reason
            if kind & KIND_OUTPUT:
                tokens = self._token_count(choice, event)
        if event.usage is not None:
            kind |= KIND_USAGE
            self.usage = event.usage
        if event.object == "error" or present(event.error):
            kind |= KIND_ERROR
            self.failure = self.failure or ("stream_error", error_message(payload))
        self._note(number, kind or KIND_EMPTY, tokens, len(payload))
        if kind == KIND_ANSWER and tokens is None and self._lessons:
            self._lessons -= 1
            self._twin = learn_twin(payload, self.content[-1]) or self._twin

    def _output(self, choice: Choice) -> int:
        """Kind bits of the output in a choice; its text is kept until the reply ends."""
        delta = choice.delta or choice.message
        if delta is None:
            if choice.text:
                self.content.append(choice.text)
                return KIND_ANSWER
            return 0
        kind = 0
        text = delta.content or delta.refusal
        if text:
            self.content.append(text)
            kind = KIND_ANSWER
        thought = delta.reasoning_content or delta.reasoning
        if thought:
            self.reasoning.append(thought)
            kind |= KIND_REASONING
        for call in (delta.tool_calls, delta.function_call):
            if bytes(call) not in _EMPTY_TOOLS:
                kind |= KIND_TOOL
        return kind

    def _token_count(self, choice: Choice, event: Event) -> int | None:
        """Tokens of this event where the server tells: running usage, running timings, token ids or logprobs."""
        running = event.usage.completion_tokens if event.usage is not None else None
        if running is None and event.timings is not ABSENT:
            running = self.told.running_tokens
        if running is not None and running >= self._counted:
            step, self._counted = running - self._counted, running
            self.token_source = "stream"
            return step
        listed = len(choice.token_ids) if choice.token_ids is not None else None
        if listed is None and present(choice.logprobs):
            listed = logprob_tokens(choice.logprobs)
        if listed is not None:
            self.token_source = self.token_source or "ids"
        return listed

    def _note(self, number: int, kind: int, tokens: int | None, size: int) -> None:
        self.reads.append(number)
        self.kinds.append(kind)
        self.tokens.append(tokens)
        self.sizes.append(size)
