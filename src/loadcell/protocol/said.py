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
from loadcell.protocol.endings import ending
from loadcell.protocol.odd import OddChoice, counts_as_text, decode_event, is_error, tells_error, tool_text
from loadcell.protocol.openai import (
    ABSENT,
    NOT_JSON,
    Choice,
    Event,
    Usage,
    logprob_tokens,
    present,
)
from loadcell.protocol.refusal import error_message
from loadcell.protocol.told import Told
from loadcell.protocol.twin import Twin, learn_twin

_EVENTS = msgspec.json.Decoder(list[Event])
_LESSONS = 4
"""Token events that are looked at to learn their form: the first ones may have an odd content."""

_EAGER = 12
"""Events with output that are each decoded as they come, so that a form is known soon; later ones in batches."""


class Said:
    """What the events so far said."""

    def __init__(self) -> None:
        self.failure: tuple[str, str] | None = None
        """(kind, words) of the first thing that went wrong."""
        self.finish_reason: str | None = None
        """Why the server ended the output, by a name of `endings`; None while it goes on."""
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
        self.tools: list[msgspec.Raw] = []
        """Tool calls as they came, for their text."""
        self.others: dict[str, list[tuple[int, str]]] = {}
        """Text in fields that are not known to hold output, by path: in which event, and what."""
        self.indexes: set[int] = set()
        """Of the outputs (choices) beside the one that is measured: that which came first."""
        self.running: list[int] = []
        """Running counts of output tokens, as events with output told them."""

        self.strange = b""
        """The last event without anything that this API knows."""

        self._index: int | None = None
        self._went_on = False
        self._counted = 0
        self._twin: Twin | None = None
        self._lessons = _LESSONS
        self._eager = _EAGER

    @property
    def ended(self) -> bool:
        """Whether the stream says that its output is whole; a reason that more output followed says nothing."""
        return self.done or (self.finish_reason is not None and not self._went_on)

    def _classify(self, numbers: list[int], payloads: list[bytes]) -> None:
        try:
            events = _EVENTS.decode(b"[%b]" % b",".join(payloads))
        except NOT_JSON:
            events = []
        if len(events) != len(payloads):  # one of them is bad: find out which
            for number, payload in zip(numbers, payloads, strict=True):
                if self.failure:
                    return
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
            if self.failure:  # the first failure ends the reply: nothing after it counts, however the reads fell
                return
            self._event(number, event, payload)

    def _event(self, number: int, event: Event, payload: bytes) -> None:
        kind = 0
        tokens: int | None = None
        if event.timings is not ABSENT or event.metrics is not ABSENT:
            self.told.take(event)
        # Before a finish reason, which says less.
        if event.object == "error" or (present(event.error) and is_error(event.error)):
            kind = KIND_ERROR
            self.failure = self.failure or ("stream_error", error_message(payload))
        choice = None
        if event.choices:
            choice = event.choices[0]
            if choice.index != self._index or self._index is None or len(event.choices) > 1:
                choice = self._measured(event.choices)
        if choice is not None:
            kind |= self._output(choice)
            if kind & KIND_OUTPUT:
                if (
                    event.usage is not None
                    or choice.logprobs is not ABSENT
                    or choice.token_ids is not None
                    or event.timings is not ABSENT
                ):
                    tokens = self._token_count(choice, event)
                if self.finish_reason is not None:
                    self._went_on = True
            if choice.finish_reason is not None:
                kind |= self._end(choice.finish_reason)
        if event.usage is not None:
            kind |= KIND_USAGE
            if event.usage.completion_tokens or self.usage is None:  # an empty one takes nothing back
                self.usage = event.usage
        if not kind and not event.choices and tells_error(payload):
            kind = KIND_ERROR
            self.failure = self.failure or ("stream_error", error_message(payload))
        if not kind and event.choices is None:
            self.strange = payload
        self._note(number, kind or KIND_EMPTY, tokens, len(payload))
        if self._eager and kind & KIND_OUTPUT:
            self._eager -= 1
        if kind == KIND_ANSWER and tokens is None and self._lessons:
            self._lessons -= 1
            self._twin = learn_twin(payload, self.content[-1]) or self._twin

    def _measured(self, choices: list[Choice]) -> Choice | None:
        """The next piece of the output that is measured, the first to bring any; the others are only noted."""
        found = None
        for choice in choices:
            index = choice.index or 0
            brings = _brings_output(choice)
            if self._index is None and brings:
                self._index = index
            if self._index in (None, index):
                found = found or choice
            elif brings:
                self.indexes.add(index)
        return found

    def _end(self, told: object) -> int:
        """Kind bits of a finish reason as it was written."""
        reason, gave_up = ending(told)
        if reason is None:
            return 0
        self.finish_reason = reason
        if gave_up is not None:
            self.failure = self.failure or ("gave_up", gave_up)
        return KIND_FINISH

    def _output(self, choice: Choice) -> int:
        """Kind bits of the output in a choice; its text is kept until the reply ends."""
        delta = choice.delta or choice.message
        kind = 0
        if delta is not None:
            text = delta.content or delta.refusal
            if text:
                self.content.append(text)
                kind = KIND_ANSWER
            thought = delta.reasoning_content or delta.reasoning or delta.thinking
            if thought:
                self.reasoning.append(thought)
                kind |= KIND_REASONING
            for call in (delta.tool_calls, delta.function_call):
                if call is not ABSENT and present(call):
                    self.tools.append(call)
                    kind |= KIND_TOOL
        if not kind and choice.text:
            self.content.append(choice.text)
            kind = KIND_ANSWER
        if type(choice) is OddChoice and choice.others:
            kind = self._unknown(choice.others, kind)
        return kind

    def _unknown(self, others: dict[str, str], kind: int) -> int:
        """Text in unknown fields is output of some kind, though nobody knows whether it is seen."""
        for path, text in others.items():
            self.others.setdefault(path, []).append((len(self.kinds), text))
        self._lessons = 0
        return kind or KIND_REASONING

    def settle(self) -> None:
        """After the last event: a text that stands unchanged beside known output is a label of its events."""
        for path, found in list(self.others.items()):
            beside = any(self.kinds[event] & KIND_ANSWER for event, _ in found)
            if beside and len(found) > 1 and len({text for _, text in found}) == 1:
                del self.others[path]
                for event, _ in found:
                    alone = not any(event == other for rest in self.others.values() for other, _ in rest)
                    if alone and self.kinds[event] & KIND_OUTPUT == KIND_REASONING:
                        self.kinds[event] = self.kinds[event] & ~KIND_OUTPUT or KIND_EMPTY
                        self.tokens[event] = None

    def thoughts(self) -> str:
        """All text that is not known to be the answer."""
        others = [text for path, found in self.others.items() if counts_as_text(path) for _, text in found]
        return "".join((*self.reasoning, *others))

    def text(self) -> str:
        """All text of the output, known or not, thoughts first."""
        return "".join((self.thoughts(), *map(tool_text, self.tools), *self.content))

    def _token_count(self, choice: Choice, event: Event) -> int | None:
        """Tokens of this event where the server tells: running usage, running timings, token ids or logprobs."""
        running = event.usage.completion_tokens if event.usage is not None else None
        if running is None and event.timings is not ABSENT:
            running = self.told.running_tokens
        if running is not None:
            self.running.append(running)
            if running >= self._counted:
                step, self._counted = running - self._counted, running
                self.token_source = "stream"
                return step
        listed = len(choice.token_ids) if choice.token_ids else None
        if listed is None and present(choice.logprobs):
            listed = logprob_tokens(choice.logprobs)
        if listed:
            self.token_source = self.token_source or "ids"
        return listed or None

    def _note(self, number: int, kind: int, tokens: int | None, size: int) -> None:
        self.reads.append(number)
        self.kinds.append(kind)
        self.tokens.append(tokens)
        self.sizes.append(size)


def _brings_output(choice: Choice) -> bool:
    for delta in (choice.delta, choice.message):
        if delta is None:
            continue
        if delta.content or delta.refusal or delta.reasoning_content or delta.reasoning or delta.thinking:
            return True
        if present(delta.tool_calls) or present(delta.function_call):
            return True
    return bool(choice.text or (type(choice) is OddChoice and choice.others))
