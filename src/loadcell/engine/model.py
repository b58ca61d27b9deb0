"""Continuous batching, modelled plainly. Pure: no sockets, no clock; the caller says what time it is.

- `slots` streams are served at a time, the others wait in order of arrival.
- The first token is due at admission + TTFT + prompt tokens that no cache has / prefill rate. From then on the stream
  is active.
- Then a decode step gives `tokens_per_chunk` tokens, or with `draft_tokens` those guesses that hold and one more:
  step = ITL + ITL_per_active x active streams.
- The next due time is the previous *due* time + step, so lateness does not add up to drift. An engine that is behind
  does not burst to catch up: a token that should be out already is due at once, but once, and the ones after it
  keep their distance from it.
- In lockstep all active streams emit at shared boundaries; a stream whose prefill ends between two boundaries
  joins at the next one, and an idle engine starts a new series with the first stream that is ready.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from heapq import heappop, heappush
from typing import Generic, TypeVar

from loadcell.engine.options import EngineOptions
from loadcell.engine.seeded import OFFSET, accepted_counts, mix, step_factors

TABLE = 8192
"""Length of the tables of step factors and texts; a power of two."""


class Stream:
    """One request, as the model sees it. All times in ns on the caller's clock."""

    __slots__ = (
        "admitted", "cached", "drafted", "due", "gone", "offset", "prompt_tokens", "sent", "seq", "stall_after",
        "total",
    )  # fmt: skip

    def __init__(self, seq: int, prompt_tokens: int, total: int, seed: int = 0, stall_after: int = 0) -> None:
        self.seq = seq
        self.prompt_tokens = prompt_tokens
        self.cached = 0
        """Of these, tokens that need no prefill."""
        self.total = total
        """Tokens to give; at least one."""
        self.stall_after = stall_after
        """Tokens after which the stream pauses once; 0: never."""
        self.offset = mix(seed, seq, OFFSET) % TABLE
        """Start of this stream in the tables of step factors and texts."""
        self.admitted: int | None = None
        self.due = 0
        self.sent = 0
        """Tokens given so far, those of the event being emitted included."""
        self.drafted = (0, 0, 0)
        """Steps with a guess, tokens that were guessed, and those that held."""
        self.gone = False


class Drafts:
    """What speculative decoding guessed so far, and how much of it held."""

    def __init__(self, options: EngineOptions) -> None:
        self.most = options.draft_tokens
        self.steps = 0
        """Decode steps with a guess."""
        self.tokens = 0
        self.accepted = [0] * self.most
        """By position in the guess."""
        self._holds = accepted_counts(options.seed, self.most, options.acceptance, TABLE) if self.most else []

    def given(self, stream: Stream) -> int:
        """Tokens that the stream's next step gives. No more is guessed than the output has room for."""
        guessed = min(self.most, stream.total - stream.sent - 1)
        if not stream.sent or not guessed:
            return 1
        steps, tokens, accepted = stream.drafted
        held = min(guessed, self._holds[(stream.offset + steps) % TABLE])
        stream.drafted = steps + 1, tokens + guessed, accepted + held
        self.steps += 1
        self.tokens += guessed
        for position in range(held):
            self.accepted[position] += 1
        return 1 + held


S = TypeVar("S", bound=Stream)


class Model(Generic[S]):
    """Slots, queue and due times of an engine.

    Due times are mostly made in rising order (equal steps added to times taken in order), so they go into a deque at
    the price of an append; the rest (prefills, stalls, jitter, steps that got shorter) go into a heap. The next one is
    the smaller of the two heads: exact, and nearly free in the common case.
    """

    def __init__(self, options: EngineOptions) -> None:
        self.slots = options.slots
        self.running = 0
        self.active = 0
        """Streams past their prefill."""
        self.generated = 0
        """Tokens given since the start."""
        self.waiting: OrderedDict[S, None] = OrderedDict()
        self._ttft_ns = round(options.ttft_s * 1e9)
        self._ns_per_prompt_token = 1e9 / options.prefill_rate if options.prefill_rate else 0.0
        self._itl_ns = options.itl_s * 1e9
        self._itl_per_active_ns = options.itl_per_active_s * 1e9
        self._stall_ns = round(options.stall_s * 1e9)
        self._per_step = options.tokens_per_chunk
        self.drafts = Drafts(options) if options.draft_tokens else None
        self._factors = step_factors(options.seed, options.jitter, TABLE)
        self._ordered: deque[S] = deque()
        self._heap: list[tuple[int, int, S]] = []
        self._lockstep = options.lockstep
        self._members: list[S] = []
        self._boundary = 0
        self._steps = 0

    def step_ns(self) -> int:
        """Length of a decode step now, without jitter."""
        return round(self._itl_ns + self._itl_per_active_ns * self.active)

    def submit(self, stream: S, now: int) -> None:
        """Take a slot for the stream, or a place in the queue."""
        if self.running < self.slots:
            self._admit(stream, now)
        else:
            self.waiting[stream] = None

    def release(self, stream: S, now: int) -> None:
        """The stream is over, whatever the reason; its slot goes to the next in the queue. Once a stream."""
        stream.gone = True
        if stream.admitted is None:
            del self.waiting[stream]
            return
        self.running -= 1
        if stream.sent:
            self.active -= 1
        if self.waiting:
            self._admit(self.waiting.popitem(last=False)[0], now)

    def next_due(self) -> int | None:
        """Time of the next token, in ns; None if nothing runs. May be early if a stream has gone."""
        if self._lockstep and self._members:
            return self._boundary
        if self._ordered:
            due = self._ordered[0].due
            return min(due, self._heap[0][0]) if self._heap else due
        return self._heap[0][0] if self._heap else None

    def advance(self, now: int, limit: int = 64) -> list[S]:
        """Streams that emit now, in order of due time, at most `limit` (lockstep: all of a step).

        `sent` of each counts the new tokens already, and its next due time is after `now`.
        """
        if self._lockstep:
            return self._advance_together(now)
        batch: list[S] = []
        ordered, heap, per_step, factors = self._ordered, self._heap, self._per_step, self._factors
        drafts = self.drafts
        step = self.step_ns()
        while len(batch) < limit:
            if ordered and not (heap and heap[0][0] < ordered[0].due):
                if ordered[0].due > now:
                    break
                stream = ordered.popleft()
            elif heap and heap[0][0] <= now:
                stream = heappop(heap)[2]
            else:
                break
            if stream.gone:
                continue
            sent = stream.sent
            if sent == 0:
                self.active += 1
                step = self.step_ns()
            batch.append(stream)
            if drafts is not None:
                per_step = drafts.given(stream)
            stream.sent = after = min(sent + per_step, stream.total)
            self.generated += after - sent
            if after == stream.total:
                continue
            due = stream.due + (int(step * factors[(stream.offset + sent) % TABLE]) if factors else step)
            stalled = sent < stream.stall_after <= after
            if stalled:
                due += self._stall_ns
            if due <= now:
                due = now + 1
            stream.due = due
            if stalled or (ordered and ordered[-1].due > due):
                heappush(heap, (due, stream.seq, stream))
            else:
                ordered.append(stream)
        return batch

    def _advance_together(self, now: int) -> list[S]:
        heap = self._heap
        while heap and heap[0][2].gone:
            heappop(heap)
        members = [stream for stream in self._members if not stream.gone]
        if not members and heap:
            self._boundary = heap[0][0]
        self._members = members
        if self._boundary > now or not (members or heap):
            return []
        batch = members
        while heap and heap[0][0] <= self._boundary:
            stream = heappop(heap)[2]
            if not stream.gone:
                batch.append(stream)
                self.active += stream.sent == 0
        self._members = []
        for stream in batch:
            sent = stream.sent
            per_step = self._per_step if self.drafts is None else self.drafts.given(stream)
            stream.sent = after = min(sent + per_step, stream.total)
            self.generated += after - sent
            if sent < stream.stall_after <= after < stream.total:
                stream.due = self._boundary + self._stall_ns
                heappush(heap, (stream.due, stream.seq, stream))
            elif after < stream.total:
                self._members.append(stream)
        step: float = self.step_ns()
        if self._factors:
            step *= self._factors[self._steps % TABLE]
        self._steps += 1
        self._boundary = max(self._boundary + int(step), now + 1)
        return batch

    def _admit(self, stream: S, now: int) -> None:
        self.running += 1
        stream.admitted = now
        stream.due = now + self._ttft_ns + round((stream.prompt_tokens - stream.cached) * self._ns_per_prompt_token)
        heappush(self._heap, (stream.due, stream.seq, stream))
