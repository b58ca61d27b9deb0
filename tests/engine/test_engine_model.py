"""Slots, queue and due times, without sockets or clock."""

from __future__ import annotations

import statistics
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from loadcell.engine.model import Model, Stream
from loadcell.engine.options import EngineOptions
from loadcell.engine.seeded import step_factors

MS = 1_000_000


def model(**switches: object) -> Model[Stream]:
    return Model(EngineOptions(**({"ttft_s": 0.05, "itl_s": 0.01} | switches)))  # type: ignore[arg-type]


def play(
    engine: Model[Stream], streams: list[Stream], until: int = 10**12, release: bool = True
) -> dict[int, list[int]]:
    """Submit all at 0 and run on time; emission times by stream."""
    times: dict[int, list[int]] = {stream.seq: [] for stream in streams}
    for stream in streams:
        engine.submit(stream, 0)
    while (due := engine.next_due()) is not None and due <= until:
        for stream in engine.advance(due):
            times[stream.seq].append(due)
            if stream.sent == stream.total and release:
                engine.release(stream, due)
    return times


def test_first_token_after_ttft_then_one_each_step() -> None:
    times = play(model(), [Stream(0, 100, 4)])
    assert times[0] == [50 * MS, 60 * MS, 70 * MS, 80 * MS]


def test_prefill_rate_charges_the_prompt() -> None:
    times = play(model(prefill_rate=1000), [Stream(0, 30, 1)])
    assert times[0] == [80 * MS]


def test_step_grows_with_active_streams_only() -> None:
    engine = model(itl_per_active_s=0.001, slots=8, prefill_rate=1000)
    # the second is still in its prefill when the first decodes, so it does not count yet
    times = play(engine, [Stream(0, 0, 3), Stream(1, 15, 3)])
    assert times[0] == [50 * MS, 61 * MS, 72 * MS]  # 11 ms: one active; the second starts at 65
    assert times[1] == [65 * MS, 77 * MS, 88 * MS]  # 12 ms: two active; then 11


def test_full_slots_queue_first_in_first_out() -> None:
    engine = model(slots=2)
    streams = [Stream(i, 0, total) for i, total in enumerate((3, 1, 2, 1))]
    play(engine, streams)
    assert [stream.admitted for stream in streams] == [0, 0, 50 * MS, 70 * MS]
    assert (engine.running, engine.active, len(engine.waiting)) == (0, 0, 0)
    assert engine.generated == 7


def test_leaving_the_queue_and_a_slot_early() -> None:
    engine = model(slots=1)
    first, second, third = (Stream(i, 0, 100) for i in range(3))
    for stream in (first, second, third):
        engine.submit(stream, 0)
    engine.release(second, 1)
    assert second.admitted is None
    assert list(engine.waiting) == [third]
    engine.release(first, 2)
    assert third.admitted == 2
    assert engine.advance(10**9) == [third]


def test_lateness_does_not_add_up() -> None:
    engine, stream = model(), Stream(0, 0, 100)
    engine.submit(stream, 0)
    for i in range(100):
        due = 50 * MS + i * 10 * MS
        assert engine.next_due() == due
        assert engine.advance(due + 3 * MS) == [stream]


def test_an_engine_behind_does_not_burst() -> None:
    engine, stream = model(), Stream(0, 0, 100)
    engine.submit(stream, 0)
    late = 50 * MS + 200 * MS
    assert engine.advance(late) == [stream]
    assert engine.advance(late) == []
    assert engine.advance(late + 1) == [stream]
    assert engine.advance(late + 2) == []
    assert engine.next_due() == late + 1 + 10 * MS


def test_a_batch_is_limited_and_in_order() -> None:
    engine = model(slots=100)
    streams = [Stream(i, 0, 2) for i in range(10)]
    for i, stream in enumerate(streams):
        engine.submit(stream, i)
    assert engine.advance(10**9, limit=4) == streams[:4]
    assert engine.advance(10**9, limit=100)[:6] == streams[4:]


def test_tokens_per_chunk() -> None:
    stream = Stream(0, 0, 5)
    engine = model(tokens_per_chunk=2)
    assert play(engine, [stream])[0] == [50 * MS, 60 * MS, 70 * MS]
    assert stream.sent == engine.generated == 5


def test_stall_pauses_once_and_holds_nobody_else() -> None:
    engine = model(stall_s=0.5, slots=2)
    times = play(engine, [Stream(0, 0, 4, stall_after=2), Stream(1, 0, 4)])
    assert times[0] == [50 * MS, 60 * MS, 570 * MS, 580 * MS]
    assert times[1] == [50 * MS, 60 * MS, 70 * MS, 80 * MS]


def test_lockstep_joins_at_the_next_boundary() -> None:
    engine = model(lockstep=True, prefill_rate=1000)
    times = play(engine, [Stream(0, 0, 4), Stream(1, 13, 2), Stream(2, 200, 1)])
    assert times[0] == [50 * MS, 60 * MS, 70 * MS, 80 * MS]
    assert times[1] == [70 * MS, 80 * MS]  # ready at 63
    assert times[2] == [250 * MS]  # idle before: a new series
    assert (engine.running, engine.active) == (0, 0)


def test_lockstep_stall_and_late_engine() -> None:
    engine = model(lockstep=True, stall_s=0.015)
    times = play(engine, [Stream(0, 0, 3, stall_after=1), Stream(1, 0, 4)])
    assert times[0] == [50 * MS, 70 * MS, 80 * MS]
    assert times[1] == [50 * MS, 60 * MS, 70 * MS, 80 * MS]
    engine, stream = model(lockstep=True), Stream(0, 0, 9)
    engine.submit(stream, 0)
    assert engine.advance(10**9) == [stream]
    assert engine.advance(10**9) == []


def test_jitter_is_seeded_and_keeps_the_mean() -> None:
    gaps = {
        seed: [b - a for a, b in pairwise(play(model(jitter=0.3, seed=seed), [Stream(0, 0, 2000, seed)])[0])]
        for seed in (1, 2)
    }
    again = play(model(jitter=0.3, seed=1), [Stream(9, 0, 5, 1), Stream(0, 0, 2000, 1)])[0]
    assert [b - a for a, b in pairwise(again)] == gaps[1]  # whatever else runs
    assert gaps[1] != gaps[2]
    factors = step_factors(1, 0.3, 8192)
    assert abs(statistics.mean(factors) - 1) < 0.02
    assert abs(statistics.stdev(factors) - 0.3) < 0.02


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 40), st.integers(0, 4)), min_size=1, max_size=30),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.0005]),
    st.sampled_from([0.0, 0.5]),
    st.integers(1, 3),
    st.booleans(),
)
def test_every_token_comes_once_in_order_of_due_time(
    asked: list[tuple[int, int, int]], slots: int, per_active: float, jitter: float, per_chunk: int, lockstep: bool
) -> None:
    engine = model(
        slots=slots,
        itl_per_active_s=per_active,
        jitter=jitter,
        tokens_per_chunk=per_chunk,
        lockstep=lockstep,
        prefill_rate=1000,
    )
    streams = [Stream(i, prompt, total, 0, stall) for i, (total, prompt, stall) in enumerate(asked)]
    for stream in streams:
        engine.submit(stream, 0)
    admitted, last, emitted = [stream.seq for stream in streams if stream.admitted is not None], 0, 0
    while (due := engine.next_due()) is not None:
        assert due >= last  # nothing was overlooked that was due before
        if not lockstep:
            assert due == min(s.due for s in streams if s.admitted is not None and not s.gone)
        assert engine.running <= slots
        last = due
        for stream in engine.advance(due):
            assert not stream.gone
            if stream.sent == stream.total:
                emitted += stream.total
                before = list(engine.waiting)
                engine.release(stream, due)
                admitted += [s.seq for s in before if s not in engine.waiting]
    assert admitted == list(range(len(asked)))
    assert emitted == engine.generated == sum(total for total, _, _ in asked)
    assert engine.running == engine.active == 0
