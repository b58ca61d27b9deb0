"""The load of a Python callable while it runs: what is due is called, what has ended is recorded, by one thread."""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic_ns
from typing import IO, Any

import msgspec
import numpy as np

from loadcell.core import STALL_NS, STAMP_COLUMNS
from loadcell.load.audit import Audit
from loadcell.load.call import Call
from loadcell.load.callers import Caller, Lateness
from loadcell.load.due import Due
from loadcell.load.ending import ran_out
from loadcell.load.job import Slice
from loadcell.load.landing import Book
from loadcell.load.live import Count, Live
from loadcell.load.looks import Looks
from loadcell.load.process import count_tokens
from loadcell.load.rows import Events, Ledger
from loadcell.load.sharing import Sharing
from loadcell.load.tail import Tail
from loadcell.phrases import phrase
from loadcell.protocol import Prompt
from loadcell.protocol.callable import CALLABLE
from loadcell.recording.schema import MISSING, Manifest
from loadcell.recording.write import PartWriter, write_audit
from loadcell.spec import Spec
from loadcell.workload import Plan

TICK_NS = 100_000_000
_FLUSH_NS, _FLUSH_ROWS = 5_000_000_000, 250_000
_PROMPTS_AHEAD, _CALLS_AHEAD = 256, 1024
"""So many are there before they are due: prompts, and threads that wait for a call."""
_BESIDE = ("part-writer", "observe-")
"""Names of the load's threads besides, whose CPU time is its own."""
_NOT_TOLD = (
    "clock_steps", "stamps_dropped", "busy_ns_by_s", "connections_before", "connections_opened",
    "connections_by_address", "connect_failures", "no_ports", "no_descriptors", "min_rtt_ns", "idle_closed",
    "closed_by_server", "closed_after_failure", "cpu_system_s", "memory_peak_bytes",
)  # fmt: skip
"""Of an audit: what there is none of without a server, and what cannot be told from the callable's own part."""


class _NoAlarm:
    """The conductor looks when the next thing is due by itself."""

    def arm(self, when_ns: int) -> None:
        """Nothing is to be done."""


class Conductor:
    """One load. `prepare`, `run`, `wait`, `end`, in this order, all by one thread."""

    def __init__(
        self, mine: Slice, spec: Spec, live: Live, planned: Plan, caller: Caller, back: SimpleQueue[Call],
        folder: Path, uncounted: IO[str], secrets: list[str],
    ) -> None:  # fmt: skip
        self._mine, self._spec, self._live, self._caller, self._back = mine, spec, live, caller, back
        self._folder, self._uncounted = folder, uncounted
        schedule = planned.schedule
        self._input, self._output = schedule.input_tokens.tolist(), schedule.output_tokens.tolist()
        self._source = planned.prompts.select(np.arange(len(schedule)))
        self._ahead: dict[int, Prompt] = {}
        self._made = 0
        """Rows whose prompts were made."""
        self._count, self._tail, self._audit = live.cells(0), Tail(mine, live), Audit(0, None)
        pauses = schedule.delay_ns.tolist() if mine.pauses and schedule.delay_ns is not None else None
        times = array("q") if schedule.planned_ns is None else array("q", schedule.planned_ns.tobytes())
        self._due = Due(mine, live, self._tail, times, _NoAlarm(), self._audit, self._request, pauses)
        spells: list[tuple[int, int]] = []
        self._events = Events(Looks(0), spells)  # looks that have not begun: what the stamps say of themselves holds
        self._writer = PartWriter(folder, 0, self._events, spells)
        kept = uncounted if spec.workload.tokenizer != "none" else None
        self._ledger = Ledger(0, self._writer, self._events, kept, secrets)
        self._book = Book(mine, live, self._ledger)
        self._late = Lateness(caller.loop)
        self._noted = 0
        """Looks of those that the audit has."""
        self._waiting: deque[Call] = deque()
        self._air: set[Call] = set()
        self._left: set[Call] = set()
        """Given up, and not back."""
        self._t0 = self._flushed_ns = self._cpu_ns = 0
        self.interrupted = False

    def prepare(self) -> None:
        """Before the clock starts: threads and prompts are there."""
        self._caller.reach(min(self._spec.load.concurrency or 0, _CALLS_AHEAD))
        self._late.begin()
        self._make_prompts()
        while not len(self._late) and not self._live.stop:
            time.sleep(0.001)

    def run(self, t0_ns: int, look: Callable[[int], None]) -> None:
        """Call, record and `look` on, until everything has ended, or until told to stop."""
        self._events.t0_ns = self._flushed_ns = self._t0 = t0_ns
        self._cpu_ns = time.thread_time_ns()
        self._audit.begin(t0_ns)
        due, next_tick = self._due, t0_ns
        due.begin(t0_ns)
        try:
            while True:
                until = min(next_tick, due.at_ns) if due.at_ns else next_tick
                for call in self._ended(until):
                    self._over(call)
                    if monotonic_ns() >= until:
                        break
                now = monotonic_ns()
                if due.at_ns and now >= due.at_ns:
                    due.send(now)
                if now >= next_tick:
                    next_tick = now + TICK_NS
                    if self._tick(now):
                        return
                    look(now)
        finally:
            self._cpu_ns = time.thread_time_ns() - self._cpu_ns
            self._audit.end_load()

    def wait(self, manifest: Manifest, leave: Callable[[], bool]) -> None:
        """Let calls come back that were given up, unless told to `leave` them: the callable goes on with each."""
        limit_ns = monotonic_ns() + int(self._mine.timeout_s * 1e9)
        while self._left and (now := monotonic_ns()) < limit_ns and not leave():
            self._left.difference_update(self._ended(min(now + TICK_NS, limit_ns)))
        if self._left:
            words = phrase(
                "{:,} requests had not come back {:g} s after the load", len(self._left), self._mine.timeout_s
            )
            manifest.notes.append(words)

    def end(self, manifest: Manifest) -> Sharing:
        """Write what is left, and the audit; returns what the load took from the callable, by its own CPU time."""
        self._late.end()
        self._cpu_ns += self._late.cpu_ns + sum(map(_cpu_ns, threading.enumerate()))
        self._writer.close()
        audit, count = self._audit, self._count
        audit.issued, audit.beyond = count[Count.ISSUED], count[Count.BEYOND]
        audit.died = self._writer.error
        if not audit.died and self._uncounted.tell():
            count_tokens(self._uncounted, self._spec.workload.tokenizer, self._folder, 0)
        if audit.exhausted:
            manifest.notes.append(ran_out(self._live))
        if audit.died:
            manifest.state = "broken"
            manifest.invalid.append(phrase("worker {} could not write its data: {}", 0, audit.died))
        audit.cpu_s = self._cpu_ns / 1e9
        told = {name: value for name, value in audit.as_dict().items() if name not in _NOT_TOLD}
        write_audit(self._folder, 0, {**told, "phrases": self._ledger.phrases})
        sharing = Sharing(None)
        sharing.told = {"load_ns": audit.load_ns, "parent_cpu_ns": 0}
        return sharing

    # --- what is due ---

    def _make_prompts(self, until: int = 0) -> None:
        """Prompts ahead, and in any case those of the rows before `until`."""
        while len(self._ahead) < _PROMPTS_AHEAD or self._made < until:
            prompt = next(self._source, None)
            if prompt is None:
                return
            self._ahead[self._made] = prompt
            self._made += 1

    def _request(self, request: int, planned_ns: int, ready_ns: int) -> None:
        if request >= self._made:
            self._audit.late_bodies += 1
            self._make_prompts(request + 1)
        prompt, more = self._ahead.pop(request), dict(self._spec.endpoint.extra_body)
        text: Any = prompt
        if isinstance(prompt, bytes):
            more |= msgspec.json.decode(prompt)
            text = more.pop("prompt")
        call = Call(request, planned_ns, ready_ns, self._input[request], self._output[request], text, more)
        call.counted = self._tail.counts(ready_ns if planned_ns == MISSING else planned_ns)
        if call.counted:
            self._tail.begun()
        self._waiting.append(call)
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        """Call what waits, first come first served, as far as the cap allows."""
        while self._waiting and not self._live.stop and (self._mine.cap is None or len(self._air) < self._mine.cap):
            call = self._waiting.popleft()
            self._issue(call)
            self._air.add(call)
            self._count[Count.IN_FLIGHT] = len(self._air)
            self._caller.begin(call)

    def _issue(self, call: Call) -> None:
        self._count[Count.ISSUED] += 1
        self._count[Count.BEYOND] += not call.counted

    # --- what has ended ---

    def _ended(self, until_ns: int) -> Iterator[Call]:
        """Calls that have ended, waiting for the first of them until some time."""
        try:
            yield self._back.get(timeout=max(0, until_ns - monotonic_ns()) / 1e9)
            while True:
                yield self._back.get_nowait()
        except Empty:
            return

    def _over(self, call: Call) -> None:
        """A call came back: its user goes on, unless nobody waits for it any more."""
        self._left.discard(call)
        if call.interrupts:
            self.interrupted = self._live.stop = True
        if call in self._air:
            self._land(call)

    def _give_up(self, call: Call, failure: tuple[str, str] | None = None) -> None:
        """Nobody waits for a call any more, though it goes on."""
        call.leave(failure)
        self._left.add(call)
        self._caller.give_up(call)
        self._land(call)

    def _land(self, call: Call) -> None:
        self._air.discard(call)
        self._count[Count.IN_FLIGHT] = len(self._air)
        if call.counted:
            self._tail.ended()
        came = call.hear()
        if self._mine.users is not None and not call.cancelled:
            self._due.go_on(call, monotonic_ns(), None, alone=not self._air and not self._waiting)
        self._serve_waiting()
        self._record(call, came)

    def _record(self, call: Call, came: array[int]) -> None:
        stamps = np.full((len(came), STAMP_COLUMNS), MISSING, np.int64)
        if came:
            stamps[:, 0] = stamps[:, 3] = stamps[:, 4] = came
            stamps[:, 2] = np.maximum(self._late.earliest(came), call.send_start_ns)
        self._audit.reads += len(came)
        self._audit.reads_without_stamp += len(came)
        body = None
        if self._mine.keep_text:
            own = msgspec.json.encode({"prompt": call.prompt, **call.more})
            body = CALLABLE.body(b"{}", own, call.asked_tokens, CALLABLE.form.max_tokens_field).decode()
        self._book.enter(call, body, array("q", stamps.tobytes()))

    # --- now and then ---

    def _tick(self, now: int) -> bool:
        """What is done some times a second; True when the load is over."""
        self._note_lateness()
        self._due.past_end()
        if self._live.stop:
            self._cancel()
        elif self._tail.is_last(now - self._t0, self._due.at_ns - self._t0 if self._due.at_ns else None):
            self._tail.over = True
            self._waiting.clear()
            self._due.none()
            self._cancel_air()
        self._time_out(now)
        self._serve_waiting()
        self._make_prompts()
        if len(self._events) > _FLUSH_ROWS or now - self._flushed_ns > _FLUSH_NS:
            self._flushed_ns = now
            self._writer.flush()
            if self._writer.error:
                self._live.stop = True
        return not (self._air or self._waiting or self._due.at_ns)

    def _note_lateness(self) -> None:
        """Put into the audit what came late."""
        known, least_ns = len(self._late), min(self._audit.longest_turn_ns, STALL_NS)
        for number in range(self._noted, known):
            asked, late = self._late.of(number)
            if late > least_ns:
                least_ns = self._audit.turn(asked, late)
        self._noted = known
        self._count[Count.STALL_NS] = self._audit.stalled_ns

    def _time_out(self, now: int) -> None:
        limit_ns = int(self._mine.timeout_s * 1e9)
        for call in [call for call in self._air if call.send_start_ns != MISSING]:
            if now - call.send_start_ns > limit_ns:
                came = phrase("after {} events", len(call.stamps)) if call.stamps else phrase("without any output")
                words = phrase("not complete after {:g} s, {}", self._mine.timeout_s, came)
                self._give_up(call, ("timeout", words))

    def _cancel(self) -> None:
        """Stop: nothing more is called, what is in the air is given up and recorded as cancelled.

        After an ordered end that is all that was planned before it, called or not, so that the accounts close.
        """
        if self._live.end_ns:
            self._due.send(monotonic_ns())
            for call in self._waiting:
                call.cancelled, call.end_ns = True, monotonic_ns()
                self._issue(call)
                self._record(call, call.hear())
        self._waiting.clear()
        self._due.end()
        self._cancel_air()

    def _cancel_air(self) -> None:
        for call in list(self._air):
            call.cancelled = True
            self._give_up(call)


def _cpu_ns(thread: threading.Thread) -> int:
    """CPU time of one of the load's own threads; 0 for any other."""
    if thread.ident is None or not thread.name.startswith(_BESIDE):
        return 0
    return time.clock_gettime_ns(time.pthread_getcpuclockid(thread.ident))
