"""Receive stamps on the monotonic clock, and what a stepped wall clock must not do to them; the timer."""

from __future__ import annotations

import select
import struct
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.core.clock import OFFSET_SLACK_NS, Timer, clock_offset, stamps
from loadcell.recording.schema import MISSING

OFFSET = 1_700_000_000_000_000_000
MS = 1_000_000


def kernel(mono_ns: int, offset: int = OFFSET) -> bytes:
    """The kernel's stamp of a packet that came at a monotonic time."""
    return struct.pack("=qq", *divmod(mono_ns + offset, 1_000_000_000))


GAPS = st.lists(st.tuples(st.integers(0, 100 * MS), st.integers(0, 5 * MS)), min_size=1, max_size=20)


@given(st.integers(0, 10**15), GAPS)
def test_times_are_the_kernels_and_lags_are_what_the_reads_were_late(start: int, gaps: list[tuple[int, int]]) -> None:
    came, read, now = [], [], start
    for gap, lag in gaps:
        now += gap
        came.append(now)
        now += lag
        read.append(now)
    times, lags, dropped = stamps([kernel(t) for t in came], read, [OFFSET] * len(came), start)
    assert times == came
    assert lags == [r - t for r, t in zip(read, came, strict=True)]
    assert dropped == 0


@given(st.lists(st.one_of(st.none(), st.integers(-(10**12), 10**12)), min_size=1, max_size=12))
def test_whatever_the_stamps_say_times_stay_between_send_and_read(errors: list[int | None]) -> None:
    """Stamps that are missing, or wrong by up to 1000 s either way."""
    start = 10**13
    read = [start + (i + 1) * 10 * MS for i in range(len(errors))]
    raw = [b"" if e is None else kernel(t + e) for t, e in zip(read, errors, strict=True)]
    times, lags, dropped = stamps(raw, read, [OFFSET] * len(read), start)
    tolerance = 10_000
    for i, (time_ns, lag) in enumerate(zip(times, lags, strict=True)):
        assert (times[i - 1] if i else start) - tolerance <= time_ns <= read[i]
        assert lag == MISSING or lag == read[i] - time_ns
    unusable = sum(lag == MISSING for lag in lags)
    assert unusable == dropped + errors.count(None)


@pytest.mark.parametrize("step_ns", [-3600 * 10**9, -50 * MS, 50 * MS, 3600 * 10**9])
def test_a_step_of_the_wall_clock_moves_no_time(step_ns: int) -> None:
    """The step comes between two reads; the offset was measured anew after it, as the loop does."""
    came = [10**12 + i * 20 * MS for i in range(6)]
    read = [t + 50_000 for t in came]
    offsets = [OFFSET] * 3 + [OFFSET + step_ns] * 3
    raw = [kernel(t, offset) for t, offset in zip(came, offsets, strict=True)]
    assert stamps(raw, read, offsets, 10**12) == (came, [50_000] * 6, 0)


@pytest.mark.parametrize("step_ns", [-3600 * 10**9, 3600 * 10**9])
def test_a_packet_from_before_a_step_falls_back_to_user_time(step_ns: int) -> None:
    came = [10**12 + i * 20 * MS for i in range(3)]
    read = [t + 50_000 for t in came]
    offsets = [OFFSET, OFFSET + step_ns, OFFSET + step_ns]
    raw = [kernel(came[0]), kernel(came[1]), kernel(came[2], OFFSET + step_ns)]
    times, lags, dropped = stamps(raw, read, offsets, 10**12)
    assert dropped == 1
    assert (times[0], times[1], times[2]) == (came[0], read[1], came[2])
    assert lags == [50_000, MISSING, 50_000]


def test_without_stamps_times_are_the_users() -> None:
    assert stamps([b"", b""], [5, 9], [OFFSET, OFFSET], 1) == ([5, 9], [MISSING, MISSING], 0)


def test_the_offset_moves_one_clock_onto_the_other() -> None:
    worst = min(abs(time.time_ns() - time.monotonic_ns() - clock_offset()) for _ in range(20))
    assert worst < 50 * OFFSET_SLACK_NS


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
def test_the_timer_fires_at_an_absolute_time_and_not_before() -> None:
    timer = Timer()
    assert timer.fd is not None
    due = time.monotonic_ns() + 15 * MS
    timer.arm(due)
    assert select.select([timer.fd], [], [], 0)[0] == []
    assert select.select([timer.fd], [], [], 2)[0] == [timer.fd]
    assert time.monotonic_ns() >= due
    timer.clear()
    assert select.select([timer.fd], [], [], 0)[0] == []
    timer.clear()  # there is nothing to take: no error


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
def test_a_time_in_the_past_fires_at_once() -> None:
    timer = Timer()
    timer.arm(0)
    assert select.select([timer.fd], [], [], 2)[0] == [timer.fd]
