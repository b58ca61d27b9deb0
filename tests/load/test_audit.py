"""What a worker counts about itself."""

from __future__ import annotations

import errno
import gc
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.core import STALL_NS
from loadcell.load import audit as audit_module
from loadcell.load.audit import Audit

MS = 1_000_000
SECOND = 1_000_000_000
T0 = 1_000 * SECOND


@pytest.fixture
def audit() -> Audit:
    """One whose clock started at `T0`, which is not now."""
    made = Audit(0, None)
    made._t0_ns = T0
    return made


def noted(audit: Audit) -> list[tuple[int, int]]:
    return sorted((begin, length) for length, begin in audit._longest)


# --- busy time -------------------------------------------------------------------------------------------------------

steps = st.lists(st.tuples(st.integers(1, 3 * SECOND), st.floats(0, 1)), min_size=1, max_size=40)


@given(steps)
def test_busy_time_is_neither_lost_nor_more_than_a_second_a_second(steps: list[tuple[int, float]]) -> None:
    audit, now, total = Audit(0, None), T0, 0
    audit._t0_ns = T0
    for length, share in steps:
        now += length
        total += int(length * share)
        audit.busy(int(length * share), now)
    seconds = audit.busy_ns_by_s
    assert len(seconds) == (now - T0) // SECOND + 1
    assert sum(seconds) == pytest.approx(total, abs=len(steps) * 8)  # a fraction of a nanosecond for each part
    assert all(0 <= busy <= SECOND for busy in seconds)


def test_a_long_turn_is_spread_over_the_seconds_that_it_took(audit: Audit) -> None:
    audit.busy(0, T0 + SECOND // 2)
    audit.busy(2 * SECOND, T0 + SECOND // 2 + 2 * SECOND)
    assert audit.busy_ns_by_s == [SECOND // 2, SECOND, SECOND // 2]


# --- stalls ----------------------------------------------------------------------------------------------------------


def test_turns_above_five_ms_are_stalls_and_the_longest_is_kept(audit: Audit) -> None:
    tell_above = 0
    for begin, length in ((T0, 2 * MS), (T0 + 10 * MS, 3 * MS), (T0 + 20 * MS, 30 * MS), (T0 + 60 * MS, 6 * MS)):
        if length > tell_above:
            tell_above = audit.turn(begin, length)
    assert tell_above == STALL_NS
    assert audit.longest_turn_ns == 30 * MS
    assert noted(audit) == [(20 * MS, 30 * MS), (60 * MS, 6 * MS)]


def test_what_was_over_before_the_clock_started_is_no_stall(audit: Audit) -> None:
    audit.stall(T0 - 30 * MS, 20 * MS)
    audit.stall(T0 - 30 * MS, 34 * MS)
    assert noted(audit) == []
    audit.stall(T0 - 30 * MS, 40 * MS)
    assert noted(audit) == [(0, 10 * MS)]


def test_of_too_many_stalls_the_longest_are_kept(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "_STALLS_MOST", 3)
    for length in (9, 6, 8, 7, 10):
        audit.stall(T0 + length * SECOND, length * MS)
    assert noted(audit) == [(8 * SECOND, 8 * MS), (9 * SECOND, 9 * MS), (10 * SECOND, 10 * MS)]


# --- over the load ---------------------------------------------------------------------------------------------------


def test_a_garbage_collection_inside_the_load_is_counted_and_a_stall() -> None:
    def hold(phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            time.sleep(0.03)

    audit = Audit(0, None)
    t0_ns = time.monotonic_ns()
    audit.begin(t0_ns)
    gc.callbacks.append(hold)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(hold)
    audit.end_load()
    gc.collect()
    assert audit.gc_pauses == 1
    assert audit.gc_pause_max_ns > 30 * MS
    (pause,) = [at for at, length in audit.stalls if length == audit.gc_pause_max_ns]  # a busy machine may add others
    assert 0 <= pause < audit.load_ns


def test_a_loop_that_begins_too_late_stood_still() -> None:
    audit = Audit(0, None)
    audit.begin(time.monotonic_ns() - 40 * MS)
    audit.end_load()
    assert audit.stalls[0][0] == 0 and audit.stalls[0][1] >= 40 * MS


def test_switches_and_waits_are_those_of_the_load() -> None:
    audit = Audit(0, None)
    audit.begin(time.monotonic_ns())
    for _ in range(20):
        time.sleep(0.001)
    audit.end_load()
    counted = audit.switches_voluntary
    for _ in range(20):
        time.sleep(0.001)
    audit.end()
    assert audit.switches_voluntary == counted
    assert 20 <= counted < 40
    assert audit.load_ns >= 20 * MS
    assert audit.core_wait_ns is None or 0 <= audit.core_wait_ns < audit.load_ns


def test_failures_for_want_of_ports_and_descriptors_are_counted_apart(audit: Audit) -> None:
    for code in (errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ECONNREFUSED, None):
        audit.no_connection(code)
    assert (audit.connect_failures, audit.no_ports, audit.no_descriptors) == (5, 1, 2)


def test_the_rtt_is_the_median_of_those_that_are_known(audit: Audit) -> None:
    audit.begin(T0)
    audit.end_load()
    audit.end()
    assert audit.min_rtt_ns is None
    for min_rtt_ns in (None, 5, 900, 7):
        audit.parted(min_rtt_ns)
    audit.end()
    assert audit.min_rtt_ns == 7
