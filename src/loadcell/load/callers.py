"""How a Python callable is called: in threads, or on one asyncio loop; and how late this process lets either run.

The harness and the callable share an interpreter: a piece is stamped when its consumer gets to run, which may be after
it was there. How late a thread (or the loop) gets to run is looked at all the time beside the calls.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import inspect
import sys
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from time import monotonic_ns
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from loadcell.load.call import Call

Fn = Callable[..., Any]
"""(prompt, most output tokens) to its answer: see `loadcell.run`."""
EVERY_NS = 10_000_000
"""Time between two looks at how late a thread gets to run."""
_BESIDE = 3
"""A piece may be as late as the latest of so many looks before it, and after it."""
_SLACK_OPTION = 29
"""PR_SET_TIMERSLACK of prctl(2): else each sleep is 50 µs longer than it must be."""
_LEAVE_S = 1.0


class InThreads:
    """Calls are made in threads, one for each call in the air; a call that has ended goes into the queue `back`."""

    says = "threads"
    loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, fn: Fn, back: SimpleQueue[Call], threads: int) -> None:
        self._fn, self._back = fn, back
        self._todo: SimpleQueue[Call | None] = SimpleQueue()
        self._threads = self._busy = 0
        self._lock = threading.Lock()
        for _ in range(threads):
            self._start()

    def begin(self, call: Call) -> None:
        """Make a call in a thread that waits, or in a new one; it fails where there can be no more of them."""
        with self._lock:
            self._busy += 1
            enough = self._busy <= self._threads
        try:
            if not enough:
                self._start()
            self._todo.put(call)
        except RuntimeError as error:
            call.raised(error)
            self._end(call)

    def reach(self, calls: int) -> None:
        """Be ready for so many calls at once."""
        while self._threads < calls:
            self._start()

    def give_up(self, call: Call) -> None:
        """It ends at its next piece: nothing can stop a thread from outside."""
        call.over = True

    def close(self) -> None:
        """Threads end when they wait; one that never comes back does not keep the process."""
        for _ in range(self._threads):
            self._todo.put(None)

    def _start(self) -> None:
        threading.Thread(target=self._work, name="loadcell-call", daemon=True).start()
        self._threads += 1

    def _work(self) -> None:
        while (call := self._todo.get()) is not None:
            call.begin()
            try:
                call.take(self._fn(call.prompt, call.asked_tokens, **call.more))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is what the callable answered
                call.raised(error)
            self._end(call)

    def _end(self, call: Call) -> None:
        call.ended()
        with self._lock:
            self._busy -= 1
        self._back.put(call)


class OnLoop:
    """Calls are made on one asyncio loop in a thread of its own."""

    says = "asyncio"

    def __init__(self, fn: Fn, back: SimpleQueue[Call]) -> None:
        self._fn, self._back = fn, back
        self.loop = asyncio.new_event_loop()
        self._tasks: dict[Call, asyncio.Task[None]] = {}
        self._thread = threading.Thread(target=self._run, name="loadcell-loop", daemon=True)
        self._thread.start()

    def begin(self, call: Call) -> None:
        """Make a call."""
        self.loop.call_soon_threadsafe(self._begin, call)

    def reach(self, calls: int) -> None:
        """Be ready for so many calls at once: a loop is, for any number."""

    def give_up(self, call: Call) -> None:
        """It is cancelled where it waits."""
        call.over = True
        self.loop.call_soon_threadsafe(self._cancel, call)

    def close(self) -> None:
        """Give up what is still in the air, and end the loop; one that does not answer does not keep the process."""
        with suppress(RuntimeError):  # it has ended
            self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_LEAVE_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()

    def _begin(self, call: Call) -> None:
        self._tasks[call] = self.loop.create_task(self._work(call))

    def _cancel(self, call: Call) -> None:
        if call in self._tasks:
            self._tasks[call].cancel()

    async def _work(self, call: Call) -> None:
        call.begin()
        try:
            await call.take_async(self._fn(call.prompt, call.asked_tokens, **call.more))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is what the callable answered
            call.raised(error)
        call.ended()
        self._tasks.pop(call, None)
        self._back.put(call)


Caller = InThreads | OnLoop


def declared_async(fn: Fn) -> bool:
    """Whether a callable says itself that it is to be awaited."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    ways = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    return any(way(one) for way in ways for one in (fn, type(fn).__call__))


class Lateness:
    """Looks all the time how late a thread of this process, or its asyncio loop, gets to run."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._asked, self._late = array("q"), array("q")
        """Of each look: when it was due, and by how much later it came."""
        self._due_ns = monotonic_ns() + EVERY_NS
        """When the look is due, or was, that is waited for."""
        self._posted = self._over = False
        self._thread = threading.Thread(target=self._tick, name="loadcell-lateness", daemon=True)
        self.cpu_ns = 0

    def begin(self) -> None:
        """Start to look."""
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._over = True
        self._thread.join()

    def __len__(self) -> int:
        return len(self._late)

    def of(self, number: int) -> tuple[int, int]:
        """When a look was due, and by how much later it came."""
        return self._asked[number], self._late[number]

    def earliest(self, stamps: array[int]) -> npt.NDArray[np.int64]:
        """The earliest time that each of some pieces, in order, can have been there: before its stamp by as much as the
        looks around it were late."""
        at = np.array(stamps, np.int64)
        known = len(self._late)
        first = max(0, bisect_left(self._asked, int(at[0]), 0, known) - _BESIDE)
        asked, late = np.array(self._asked[first:known]), np.array(self._late[first:known])
        waiting = monotonic_ns() - self._due_ns
        asked, late = np.append(asked, self._due_ns), np.append(late, max(0, waiting))  # that which is due
        padded = np.concatenate((late[:1].repeat(_BESIDE), late, late[-1:].repeat(_BESIDE)))
        latest = sliding_window_view(padded, 2 * _BESIDE).max(axis=1)  # of those before each look, and from it on
        earliest: npt.NDArray[np.int64] = at - latest[np.searchsorted(asked, at)]
        return earliest

    def _tick(self) -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_SLACK_OPTION, 1, 0, 0, 0)
        due = self._due_ns
        while not self._over:
            time.sleep(max(0, due - monotonic_ns()) / 1e9)
            if self._loop is None:
                self._came()
            elif not self._posted:
                self._due_ns, self._posted = monotonic_ns(), True
                with suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(self._came)
            due = self._due_ns if self._loop is None else monotonic_ns() + EVERY_NS
            self.cpu_ns = time.thread_time_ns()

    def _came(self) -> None:
        now = monotonic_ns()
        self._asked.append(self._due_ns)
        self._late.append(max(0, now - self._due_ns))
        self._due_ns, self._posted = now + EVERY_NS, False
