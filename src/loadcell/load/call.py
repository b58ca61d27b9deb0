"""One call of a Python callable, and what comes of it: the counterpart of a `Flight` where there is no server."""

from __future__ import annotations

import inspect
from array import array
from collections.abc import Iterable
from pathlib import PurePath
from threading import Lock
from time import monotonic_ns
from typing import Any

from loadcell.phrases import phrase
from loadcell.protocol.callable import MAX_PIECES, Piece, Spoken
from loadcell.recording.schema import MISSING

_NO_STREAM = (list, tuple, dict, set, frozenset, bytes, bytearray)
"""What can be gone through and is there all at once: no time of any piece of it is known."""
_LONGEST = 2000
"""Characters of an exception's words that are kept."""


class Call:
    """A call from its start to its record. Times are monotonic; MISSING until known."""

    connection: None = None
    fresh = False
    kind = 0
    gave_up: None = None
    reads_slowly = False

    def __init__(
        self, request: int, planned_ns: int, ready_ns: int, input_tokens: int, asked_tokens: int, prompt: Any,
        more: dict[str, Any],
    ) -> None:  # fmt: skip
        self.request, self.planned_ns, self.ready_ns = request, planned_ns, ready_ns
        self.input_tokens, self.asked_tokens = input_tokens, asked_tokens
        self.prompt, self.more = prompt, more
        """What the callable is given besides `asked_tokens`: the prompt, and further arguments by name."""
        self.send_start_ns = self.send_end_ns = self.begun_ns = self.end_ns = MISSING
        self.bytes_sent = len(prompt.encode("utf-8", "surrogatepass")) if isinstance(prompt, str) else 0
        self.failure: tuple[str, str] | None = None
        self.cancelled = False
        self.counted = True
        """False for a call beyond the end of the load."""
        self.over = False
        """Whether nobody waits for it any more: it is to end at its next piece."""
        self._left, self._lock = False, Lock()
        """Whether it was left: how it ended is said, and what it does after that is its own affair."""
        self.interrupts = False
        """Whether it ended by a KeyboardInterrupt, which is meant for the load."""
        self.pieces: list[object] = []
        self.stamps: list[int] = []
        """When each piece was there, in the thread that consumes them."""
        self.streamed = True
        self.awaits = False
        """Whether a plain function answered with something to be awaited: then it is to be called on a loop."""
        self.reply = Spoken()

    def begin(self) -> None:
        """The callable is called right after."""
        self.send_start_ns = self.send_end_ns = monotonic_ns()

    def take(self, answer: object) -> None:
        """Consume an answer that does not come by awaiting it; what it raises is the callable's own."""
        if inspect.isawaitable(answer) or hasattr(answer, "__aiter__"):
            self.awaits = True
            self.unfit(answer)
            if inspect.iscoroutine(answer):
                answer.close()
        elif isinstance(answer, str | Piece):
            self.pieces.append(answer)
            self.stamps.append(monotonic_ns())
            self.streamed = False
        elif not isinstance(answer, Iterable) or isinstance(answer, _NO_STREAM):
            self.unfit(answer)
        else:
            keep, stamp = self.pieces.append, self.stamps.append
            for piece in answer:
                keep(piece)
                stamp(monotonic_ns())
                if self.over or len(self.stamps) > MAX_PIECES:
                    self._leave()
                    if inspect.isgenerator(answer):
                        answer.close()
                    return

    async def take_async(self, answer: Any) -> None:
        """The same of one that is awaited, or comes piece by piece so."""
        if inspect.isawaitable(answer):
            answer = await answer
        if not hasattr(answer, "__aiter__"):
            self.take(answer)
            return
        keep, stamp = self.pieces.append, self.stamps.append
        async for piece in answer:
            keep(piece)
            stamp(monotonic_ns())
            if self.over or len(self.stamps) > MAX_PIECES:
                self._leave()
                if inspect.isasyncgen(answer):
                    await answer.aclose()
                return

    def _leave(self) -> None:
        if not self.over:
            self._fail("too_large", phrase("an answer of more than {:,} pieces", MAX_PIECES))

    def unfit(self, answer: object) -> None:
        """It answered with what no answer can be."""
        words = phrase(
            "the callable returned an object of type {}: it must return a str, a loadcell.Piece, or an iterator of "
            "either, as a generator is",
            type(answer).__name__,
        )
        self._fail("protocol", words)

    def raised(self, error: BaseException) -> None:
        """It ended by an exception, which is told with the line that raised it."""
        from traceback import extract_tb, format_exception_only  # not for load processes, which come by here too

        self.interrupts = isinstance(error, KeyboardInterrupt)
        said = " ".join("".join(format_exception_only(error)).split())  # whatever its own `__str__` does
        where = extract_tb(error.__traceback__)
        line = f" ({PurePath(where[-1].filename).name}, line {where[-1].lineno})" if where else ""
        self._fail("exception", said[:_LONGEST] + line)

    def ended(self) -> None:
        """Nothing more comes of it."""
        with self._lock:
            if not self._left:
                self.end_ns = monotonic_ns()

    def leave(self, failure: tuple[str, str] | None) -> None:
        """It ends here, by `failure` or as it stands: nobody waits for it any more, whatever its thread is at."""
        with self._lock:
            self._left = self.over = True
            self.end_ns = monotonic_ns()
            self.failure = failure or self.failure

    def _fail(self, kind: str, words: str) -> None:
        with self._lock:
            if not self._left:
                self.failure = (kind, words)

    def hear(self) -> array[int]:
        """Read what came by now into `reply`, and judge it if it ended by itself; returns when each piece came."""
        came = len(self.stamps)
        self.reply.take(self.pieces[:came], streamed=self.streamed)
        if self.failure is None and not self.cancelled:
            self.reply.judge()
        return array("q", self.stamps[:came])
