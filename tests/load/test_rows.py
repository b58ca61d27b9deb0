"""Rows of events made of many replies at once, against the same told one event at a time."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import chain, repeat
from random import Random

import numpy as np
import pytest

from loadcell.core import LOOK_NS
from loadcell.kinds import KIND_ANSWER, KIND_DONE, MISSING
from loadcell.load.looks import Looks
from loadcell.load.rows import Brought, Events
from loadcell.recording.write import MISSING_INT

US, MS = 1_000, 1_000_000
T0 = 5 * MS
MOST_NS = 55 * MS
PROMPT_NS = 50 * US
Spells = list[tuple[int, int]]


def made_looks(at_ns: list[int], waited_ns: list[int], monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Samples of a loop that had waited so long for a core at these times."""
    clock, count = chain(at_ns, repeat(at_ns[-1])), chain(waited_ns, repeat(waited_ns[-1]))
    monkeypatch.setattr("loadcell.load.looks.monotonic_ns", lambda: next(clock))
    monkeypatch.setattr("loadcell.load.looks.waited_ns_of_this_thread", lambda: lambda: next(count))
    looks = Looks(MOST_NS)
    looks.begin()
    for _ in at_ns[1:]:
        looks.sample()
    return looks


def earliest(look: tuple[int, int, int], at_ns: list[int], waited_ns: list[int], spells: Spells) -> int:
    """As `Looks.earliest` says it, of one look."""
    looked, asked, woke = look
    before, after = bisect_right(at_ns, asked) - 1, bisect_left(at_ns, woke)
    if woke - asked > MOST_NS or before < 0:
        return looked
    writing = any(began <= woke and ended >= asked for began, ended in spells)
    late = waited_ns[after] - waited_ns[before] + (LOOK_NS if writing else PROMPT_NS)
    return max(looked, woke - late) if late < woke - asked else looked


def test_how_early_something_came_is_said_of_many_looks_as_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = Random(5)
    at_ns = sorted(rng.sample(range(1000 * MS), 60))
    waited_ns = np.cumsum([rng.choice([0, 20 * US, 3 * MS]) for _ in at_ns]).tolist()
    edges = sorted(rng.sample(range(1000 * MS), 16))
    spells: Spells = list(zip(edges[::2], edges[1::2], strict=True))
    looks = []
    for _ in range(2000):
        asked = rng.randrange(at_ns[-1] - 60 * MS)
        woke = asked + rng.choice([10 * US, 400 * US, 9 * MS, 60 * MS])
        looks.append((asked - rng.choice([0, MS, 30 * MS]), asked, min(woke, at_ns[-1])))
    found = made_looks(at_ns, waited_ns, monkeypatch).earliest(np.array(looks), spells)
    assert found.tolist() == [earliest(look, at_ns, waited_ns, spells) for look in looks]
    assert len({int(time) - look[0] > 0 for time, look in zip(found, looks, strict=True)}) == 2


def test_without_a_count_of_its_waits_the_look_before_is_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadcell.load.looks.waited_ns_of_this_thread", lambda: None)
    looks = Looks(MOST_NS)
    looks.begin()
    assert looks.earliest(np.array([[1, 9 * MS, 20 * MS]]), []).tolist() == [1]


def test_rows_of_many_replies_are_theirs_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = Random(6)
    at_ns = list(range(0, 2000 * MS, 50 * MS))
    waited_ns = [7 * US * i for i in range(len(at_ns))]
    spells: Spells = [(300 * MS, 320 * MS), (900 * MS, 901 * MS)]
    events = Events(made_looks(at_ns, waited_ns, monkeypatch), spells)
    events.t0_ns = T0
    expected: list[tuple[int, ...]] = []
    for request in range(40):
        stamps, reads = array("q"), array("i")
        for read in range(rng.randrange(1, 30)):
            time = rng.randrange(100 * MS, 1900 * MS)
            asked = time - rng.choice([5 * US, MS])
            stamps.extend([time, rng.choice([MISSING, 40 * US, 40 * US]), asked - MS, asked, time + 30 * US])
            reads.extend([read] * rng.choice([0, 1, 1, 1, 3]))
        tails = {read for read in set(reads) if rng.random() < 0.2}
        one = Brought(
            request, reads, bytearray(rng.choice([KIND_ANSWER, KIND_DONE]) for _ in reads),
            array("i", (rng.choice([1, MISSING_INT]) for _ in reads)), array("i", (rng.randrange(300) for _ in reads)),
            tails, stamps,
        )  # fmt: skip
        events.add(one)
        for k, read in enumerate(reads):
            time, lag, *look = stamps[5 * read : 5 * read + 5]
            shared = read in tails or lag == MISSING or read == (*reads, -1)[k + 1]
            poll = earliest((look[0], look[1], look[2]), at_ns, waited_ns, spells) - T0 if shared else MISSING
            expected.append((request, read, time - T0, lag, poll, one.kinds[k], one.tokens[k], one.sizes[k]))
    assert len(events) == len(expected)
    columns = events.take()()
    names = ("request", "read", "t_ns", "lag_ns", "poll_ns", "kind", "tokens", "bytes")
    assert [tuple(map(int, row)) for row in zip(*(columns[name] for name in names), strict=True)] == expected
    assert len(events) == 0
