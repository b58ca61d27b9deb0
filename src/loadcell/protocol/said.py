"""What the events of a reply say: their kinds, tokens and text, by column. No API, no HTTP, no clock."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

import msgspec

from loadcell.kinds import (
    KIND_ANSWER,
    KIND_DONE,
    KIND_EMPTY,
    KIND_ERROR,
    KIND_FINISH,
    KIND_OUTPUT,
    KIND_REASONING,
    KIND_USAGE,
)
from loadcell.protocol.cumulative import SoFar
from loadcell.protocol.dialect import Dialect, Heard, Told, Usage
from loadcell.protocol.endings import ending
from loadcell.protocol.sound import Sound
from loadcell.protocol.twin import BLANK, Lesson, Twin, learn_twin
from loadcell.protocol.values import counts_as_text, tool_text

_LESSONS = 4
"""Token events that are looked at to learn their form: the first ones may have an odd content."""

_HOLDS_OUTPUT = bytes(bool(kind & KIND_OUTPUT) for kind in range(256))
_EAGER = 12
"""Events with output that are each decoded as they come, so that a form is known soon; later ones in batches."""


class Said:
    """What the events so far said."""

    sound: Sound | None = None
    """What they brought of audio, where the API makes that."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.failure: tuple[str, str] | None = None
        """(kind, words) of the first thing that went wrong."""
        self.finish_reason: str | None = None
        """Why the server ended the output, by a name of `endings`; None while it goes on."""
        self.done = False
        self.usage: Usage | None = None
        self.told = Told()
        # Events, by column.
        self.reads = array("i")
        self.kinds = bytearray()
        self.tokens: list[int | None] = []
        self.sizes = array("i")
        self.token_source: str | None = None
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.tools: list[msgspec.Raw] = []
        """Tool calls as they came, for their text."""
        self.others: dict[str, list[tuple[int, str]]] = {}
        """Text in fields that are not known to hold output, by path: in which event, and what."""
        self.indexes: set[int] = set()
        """Of the outputs (choices) beside the one that is measured: that which came first."""
        self.results: list[int | None] = []
        """Where the API generates nothing: indexes of its results, None where they have none."""
        self.running: list[int] = []
        """Running counts of output tokens, as events with output told them."""

        self.strange = b""
        """The last event without anything that this API knows."""

        self._index: int | None = None
        self._went_on = False
        self._counted = 0
        self._twin: Twin | None = None
        self._parted = b""
        """What ends an event, as far as it is known."""
        self._so_far = SoFar() if dialect.cumulative else None
        self._lessons = _LESSONS if dialect.alike else 0
        self._eager = _EAGER

    @property
    def ended(self) -> bool:
        """Whether the stream says that its output is whole; a reason that more output followed says nothing."""
        return self.done or (self.finish_reason is not None and not self._went_on and not self.dialect.strict)

    def outputs(self) -> bytearray:
        """Of each event 1 if it holds output, else 0."""
        return self.kinds.translate(_HOLDS_OUTPUT)

    def _classify(self, numbers: list[int], payloads: list[bytes], leads: list[bytes]) -> None:
        told = self.dialect.hear(payloads, self._index)
        if self._so_far is not None:
            told = self._so_far.news(told)
        for number, heard, payload, lead in zip(numbers, told, payloads, leads, strict=True):
            if self.failure:  # the first failure ends the reply: nothing after it counts, however the reads fell
                return
            self._hear(number, heard, payload, lead)

    def _hear(self, number: int, heard: Heard, payload: bytes, lead: bytes) -> None:
        kind, tokens, running = heard.kind, None, None
        self._index = heard.index
        self._keep(heard)
        if heard.failure is not None:  # before a finish reason, which says less
            kind |= KIND_ERROR
            self.failure = self.failure or heard.failure
        if kind & KIND_OUTPUT:
            if heard.answer:
                self.content.append(heard.answer)
            if heard.thought:
                self.reasoning.append(heard.thought)
            if heard.tools is not None:
                self.tools += heard.tools
            if heard.others is not None:
                self._unknown(heard.others)
            if heard.tokens is not None or heard.usage is not None or heard.told is not None:
                running = self._running(heard)
                tokens = self._token_count(running, heard.tokens)
            if self.finish_reason is not None:
                self._went_on = True
        if heard.finish is not None:
            kind |= self._end(heard.finish)
        if heard.usage is not None:
            kind |= KIND_USAGE
        if heard.results is not None:
            self.results = heard.results
        if heard.done:
            self.done = True
            kind |= KIND_DONE
        if heard.beside:
            self.indexes.update(heard.beside)
        if not kind and not heard.known:
            self.strange = payload
        self._note(number, kind or KIND_EMPTY, tokens, len(payload))
        if self._eager and kind & KIND_OUTPUT:
            self._eager -= 1
        if self._lessons and kind & ~KIND_USAGE == KIND_ANSWER:
            self._lessons -= 1
            about = Lesson(self.dialect, self._index, lead, self._parted or BLANK)
            self._twin = learn_twin(payload, heard, kind, running, about) or self._twin

    def _count_alike(self, n: int, twin: Twin, told: Sequence[int]) -> None:
        """Count the tokens of events that are alike, with the number that each tells, if any."""
        if told:
            self.tokens += [self._token_count(running, twin.tokens) for running in told]
            for last in dict.fromkeys((next(filter(None, reversed(told)), 0), told[-1])):
                self._keep(twin.heard(last))  # a count of 0 takes no usage back
        else:
            self.tokens += [self._token_count(None, twin.tokens) for _ in range(n)] if twin.tokens else [None] * n

    def _keep(self, heard: Heard) -> None:
        """What the server tells along with its output: the last counts."""
        if heard.told is not None:
            self.told = self.told.then(heard.told)
        # an empty usage takes nothing back
        if heard.usage is not None and (heard.usage.output_tokens or self.usage is None):
            self.usage = heard.usage if heard.usage.prompt_tokens is not None else self._with_prompt(heard.usage)

    def _with_prompt(self, told: Usage) -> Usage:
        """A usage with what an earlier one told of the prompt."""
        if self.usage is not None:
            told.prompt_tokens, told.cached_tokens = self.usage.prompt_tokens, self.usage.cached_tokens
        return told

    def _end(self, told: object) -> int:
        """Kind bits of a finish reason as it was written."""
        reason, gave_up = ending(told)
        if reason is None:
            return 0
        self.finish_reason = reason
        if gave_up is not None:
            self.failure = self.failure or ("gave_up", gave_up)
        return KIND_FINISH

    def _unknown(self, others: Mapping[str, str]) -> None:
        """Text in unknown fields, which may be more than one."""
        for path, text in others.items():
            self.others.setdefault(path, []).append((len(self.kinds), text))
        self._lessons = 0

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

    def _running(self, heard: Heard) -> int | None:
        """Output tokens so far, by an event's usage or timings."""
        running = heard.usage.output_tokens if heard.usage is not None else None
        if running is None and heard.told is not None and heard.told.running is not None:
            running = self.told.running and self.told.running.output_tokens
        return running

    def _token_count(self, running: int | None, listed: int | None) -> int | None:
        """Tokens of an event where the server tells: by what is made so far, or by what ids or logprobs it lists."""
        if running is not None:
            self.running.append(running)
            if running >= self._counted:
                step, self._counted = running - self._counted, running
                self.token_source = "stream"
                return step
        if listed:
            self._counted += listed  # what runs along later may begin with these
            self.token_source = self.token_source or "ids"
        return listed or None

    def _note(self, number: int, kind: int, tokens: int | None, size: int) -> None:
        self.reads.append(number)
        self.kinds.append(kind)
        self.tokens.append(tokens)
        self.sizes.append(size)
