"""What fails while a load runs: how much, since when and why; and the order to end it once that is beyond doubt.

A request whose first output has come stands against the failures, ended or not, and so does a stream that goes on: a
server that answers slowly is alive.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from loadcell.advice import failure_words
from loadcell.context import TooLong, told_too_long
from loadcell.load.live import BINS, SLOTS, Count, Live
from loadcell.load.progress import Failing
from loadcell.load.steer import Stop
from loadcell.onset import BEYOND_DOUBT, evidence, onset
from loadcell.phrases import phrase
from loadcell.workload.schedule import Schedule

_EVERY_NS = 250_000_000
_LOOKS = 4_000
"""Looks that are kept: beyond, every second one of them is left out."""
_RECENT_NS = 10_000_000_000
"""Failures are shown while the last of them is no older."""
_DEAD_NS = 5_000_000_000
"""A load of which nothing has succeeded for so long may be ended. A shorter trouble may pass."""
_STRETCHES_S = (10, 20, 40, 80, 160, 320, 640)
"""Else the latest so many seconds of it, and the whole, must fail by more than the share allowed."""
_NEARLY_ALL = 0.9
_TOO_LONG, _ALL_TOO_LONG = 3, 10
"""Failures, the last of which is one of the context's length, that end a load: where its plan shows that more are as
long than may fail; and where its plan does not tell, and nothing but such has ended."""
_NOBODY = 3
"""Connections that were not opened, all of them for `_DEAD_NS`, which show that nobody listens any more."""


Lengths = npt.NDArray[np.int64]


class FailureWatch:
    """The failures of one load. `look` is called often; times since its start."""

    def __init__(self, live: Live, most_share: float, lengths: Lengths | None = None) -> None:
        """`lengths`: planned tokens of each request, prompt and output; None where that is not known."""
        self._lengths = lengths
        self._cells = np.frombuffer(live.all_cells(), np.int64).reshape(live.workers, SLOTS)
        self._live, self._most = live, most_share
        self._at_ns, self._good, self._bad, self._air = [0], [0], [0], [0]
        """When it was looked, what had been counted by then, and how many streams were in the air."""
        self._reads = 0
        self._good_ns = self._bad_ns = 0
        """When a success, or output of a stream in the air, and when a failure was seen last."""
        self.shown: Failing | None = None
        """What there is to say of the failures; None while there are none of late."""

    def look(self, now_ns: int) -> None:
        """Count what has ended by now."""
        if now_ns - self._at_ns[-1] < _EVERY_NS:
            return
        total = self._cells.sum(axis=0)
        good, bad = int(total[SLOTS - BINS :].sum() - total[Count.FIRST_LOST]), int(total[Count.FAILED])
        air, reads = good - int(total[Count.OK]), int(total[Count.READS] + total[Count.AIR_READS])
        if good > self._good[-1] or (air > 0 and reads > self._reads):
            self._good_ns = now_ns
        self._reads = reads
        self._bad_ns = now_ns if bad > self._bad[-1] else self._bad_ns
        for column, value in ((self._at_ns, now_ns), (self._good, good), (self._bad, bad), (self._air, max(0, air))):
            if len(column) > _LOOKS:
                del column[1 : _LOOKS // 2 : 2]
            column.append(value)
        self.shown = self._found() if bad and now_ns - self._bad_ns < _RECENT_NS else None

    def stop(self, now_ns: int) -> Stop | None:
        """The order to end the load, once its failures leave no doubt."""
        if self._most >= 1 or not self._bad[-1]:
            return None
        if (why := self._too_long()) is not None:
            return Stop("failures", why, cancel=True)
        if not (self._is_dead(now_ns) or self._fails_too_often(now_ns)):
            return None
        return Stop("failures", failing_words(self._found()), cancel=True)

    def _too_long(self) -> str | None:
        """That more requests are longer than the model's context than may fail, in words; None where that is not so.

        A server's first refusals tell it: nobody need wait until as many have failed.
        """
        kind, said = self._live.failure or ("", "")
        told = told_too_long(kind, said) if self._bad[-1] >= _TOO_LONG else None
        if told is None or self._bad[-1] <= self._most * (self._good[-1] + self._air[-1] + self._bad[-1]):
            return None
        share = None
        if told.limit is not None and self._lengths is not None:
            share = float(np.count_nonzero(self._lengths > told.limit)) / max(1, len(self._lengths))
        if share is None and (self._good[-1] or self._air[-1] or self._bad[-1] < _ALL_TOO_LONG):
            return None
        if share is not None and share <= self._most:
            return None
        return too_long_words(told, share, failure_words(kind, said))

    def _is_dead(self, now_ns: int) -> bool:
        """Whether nothing has succeeded for a while, and enough has failed since."""
        if now_ns - self._good_ns < _DEAD_NS:
            return False
        failed = self._bad[-1] - self._bad[int(np.searchsorted(self._at_ns, self._good_ns))]
        kind = (self._live.failure or ("", ""))[0]
        nobody = kind == "connect" and failed >= _NOBODY
        return nobody or evidence(0, failed, self._most) >= BEYOND_DOUBT

    def _fails_too_often(self, now_ns: int) -> bool:
        starts = [now_ns - length * 1_000_000_000 for length in _STRETCHES_S if length * 1_000_000_000 < now_ns]
        places = np.searchsorted(self._at_ns, [0, *starts] if starts else []).tolist()  # the whole is as long, too
        ended = (
            (max(0, self._good[-1] - self._good[at]) + self._air[at], self._bad[-1] - self._bad[at]) for at in places
        )
        return any(evidence(good, bad, self._most) >= BEYOND_DOUBT for good, bad in ended)

    def _found(self) -> Failing:
        good, bad = np.maximum(np.diff(self._good), 0), np.diff(self._bad)
        place = onset(good, bad) or 0
        last = int(np.flatnonzero(good)[-1]) + 1 if good.any() else 0
        if bad[last:].sum() > _NEARLY_ALL * bad[place:].sum():  # the last success came while the failures began
            place = max(place, last)
        first = place + int(np.argmax(bad[place:] > 0))
        failed, succeeded = int(bad[place:].sum()), int(good[place:].sum())
        since = self._at_ns[first] if place or not good[:first].sum() else None
        kind, said = self._live.failure or ("unknown", "")
        return Failing(failed, failed + succeeded, None if since is None else since / 1e9, failure_words(kind, said))


def lengths_of(schedule: Schedule) -> Lengths | None:
    """Planned tokens of each request, prompt and output; None where nothing is generated."""
    if schedule.wanted is not None:
        return None
    rows = len(schedule) if schedule.planned is None else schedule.planned
    return np.asarray(schedule.input_tokens[:rows], np.int64) + schedule.output_tokens[:rows]


def too_long_words(told: TooLong, share: float | None, why: str) -> str:
    """That requests are longer than the model's context, with the arithmetic as far as the server told it."""
    what = phrase("requests are longer than the model's context")
    if told.total is not None and told.limit is not None:
        asked = phrase("{:,} tokens", told.total)
        if told.input is not None and told.output is not None:
            asked = phrase("{:,} tokens in + {:,} out = {:,}", told.input, told.output, told.input + told.output)
        what = phrase("{} ({} for {:,})", what, asked, told.limit)
    elif told.limit is not None:
        what = phrase("{} of {:,} tokens", what, told.limit)
    if share is not None:
        what = phrase("{}, and so are {:.0%} of those planned", what, share)
    return phrase("{}: {}", what, why)


def failing_words(found: Failing) -> str:
    """The failures in words, as in "every request failed since 3.1 s: HTTP 401: no key"."""
    every = found.failed == found.ended
    what = (
        phrase("every request failed") if every else phrase("{:,} of {:,} requests failed", found.failed, found.ended)
    )
    if found.since_s is not None:
        what = phrase("{} since {:.3g} s", what, found.since_s)
    return phrase("{}: {}", what, found.why)
