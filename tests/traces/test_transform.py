"""What is done to a trace before it is sent: sessions stay whole, counts add up, order is kept."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_traces import BLOCK, made_requests, made_sessions

from loadcell.errors import UsageError
from loadcell.replaying import Window, parse_window
from loadcell.traces import Trace
from loadcell.traces import transform as change
from loadcell.traces.read import read_trace


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def kept_whole(before: Trace, after: Trace) -> None:
    """Every session that is there is there with all of its rows, waits and lengths."""
    assert before.session is not None and after.session is not None and after.waits is not None
    sizes = Counter(map(tuple, _sessions(before)))
    for one in _sessions(after):
        assert sizes[tuple(one)] > 0


def _sessions(trace: Trace) -> list[list[tuple[int, int, int, int]]]:
    """Of each session its rows: lengths, how many they wait for, how many blocks."""
    assert trace.session is not None
    waits = np.zeros(len(trace), int) if trace.waits is None else trace.waits.counts
    blocks = np.zeros(len(trace), int) if trace.blocks is None else trace.blocks.counts
    rows: dict[int, list[tuple[int, int, int, int]]] = {}
    for row, session in enumerate(trace.session.tolist()):
        rows.setdefault(session, []).append(
            (int(trace.input_tokens[row]), int(trace.output_tokens[row]), int(waits[row]), int(blocks[row]))
        )
    return list(rows.values())


def well_formed(trace: Trace) -> None:
    """Times in order, waits of earlier rows of the same session, times for those alone that wait for none."""
    assert trace.t_s is not None
    assert np.all(np.diff(trace.t_s[~np.isnan(trace.t_s)]) >= 0)
    if trace.waits is not None and trace.session is not None:
        for row in range(len(trace)):
            for other in trace.waits.of(row).tolist():
                assert other < row
                assert trace.session[other] == trace.session[row]
        assert np.array_equal(np.isnan(trace.t_s), trace.waits.counts > 0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 60), st.floats(0.05, 4.0).filter(lambda factor: factor != 1))
def test_scaling_keeps_sessions_whole_and_counts_what_it_did(seed: int, count: int, factor: float) -> None:
    whole = change.timed(made_sessions(seed, count))
    try:
        scaled = change.scaled(whole, factor, rng(seed))
    except UsageError as error:  # a small share of few sessions
        assert "leaves nothing" in str(error)
        return
    kept_whole(whole.trace, scaled.trace)
    well_formed(scaled.trace)
    assert scaled.length_s == whole.length_s
    did = scaled.trace.changes[-1]
    assert did.what == ("thin" if factor < 1 else "superpose")
    assert did.rows == abs(len(scaled.trace) - len(whole.trace))
    starts = scaled.trace.t_s
    assert starts is not None and whole.length_s is not None
    assert np.nanmin(starts) >= 0 and np.nanmax(starts) < whole.length_s


@pytest.mark.parametrize("factor", [0.3, 0.7, 2.5])
def test_five_hundred_sessions_stay_whole_and_as_many_as_asked(factor: float) -> None:
    whole = change.timed(made_sessions(7, 500))
    trace = change.scaled(whole, factor, rng()).trace
    kept_whole(whole.trace, trace)
    assert trace.session is not None
    sessions = len(_sessions(trace))
    assert sessions == int(trace.session.max()) + 1
    assert abs(sessions - 500 * factor) < 4 * np.sqrt(500 * 0.25)


def test_a_scale_of_one_changes_nothing() -> None:
    whole = change.timed(made_sessions(3, 20))
    assert change.scaled(whole, 1.0, rng()) is whole
    assert change.faster(whole, 1.0) is whole


def test_a_smaller_scale_keeps_a_part_of_what_a_larger_one_keeps() -> None:
    whole = change.timed(made_requests(np.linspace(0, 99, 400).tolist()))
    sizes = [set(change.scaled(whole, share, rng()).trace.input_tokens.tolist()) for share in (0.2, 0.5, 0.9)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_copies_have_text_of_their_own_unless_asked() -> None:
    whole = change.timed(made_sessions(5, 30))
    assert whole.trace.blocks is not None
    numbers = len(np.unique(whole.trace.blocks.values))
    for shared, times in ((False, 3), (True, 1)):
        trace = change.scaled(whole, 3.0, rng(), share_copies=shared).trace
        assert trace.blocks is not None
        assert len(np.unique(trace.blocks.values)) == times * numbers


def test_thinning_keeps_dispersion_as_theory_says() -> None:
    """The Azure code trace: an index D of counts in 10 s becomes 1 + p (D - 1) on average over seeds."""
    whole = change.timed(read_trace("azure-code"))
    assert whole.trace.t_s is not None
    index = dispersion(whole.trace.t_s)
    assert index == pytest.approx(71.6, rel=0.01)
    found = [dispersion(_times(change.scaled(whole, 0.5, rng(seed)).trace)) for seed in range(40)]
    assert np.mean(found) == pytest.approx(1 + 0.5 * (index - 1), rel=0.02)


def _times(trace: Trace) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    assert trace.t_s is not None
    return trace.t_s


def dispersion(t_s: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    counts = np.histogram(t_s, np.arange(0, 3431, 10))[0]
    return float(counts.var(ddof=1) / counts.mean())


# --- spread ----------------------------------------------------------------------------------------------------------


def test_rounded_stamps_are_found_and_spread_within_their_step() -> None:
    times = np.sort(rng().uniform(0, 300, 500))
    trace = made_requests(times.tolist(), step=3.0)
    spread = change.spread(change.timed(trace), rng(2))
    assert spread.trace.t_s is not None and trace.t_s is not None
    moved = spread.trace.t_s - trace.t_s
    assert np.all((moved >= 0) & (moved < 3.0))
    assert np.all(np.diff(spread.trace.t_s) >= 0)
    assert 1.3 < moved.mean() < 1.7
    assert spread.trace.changes[-1].rows == 500
    again = change.spread(change.timed(trace), rng(2)).trace.t_s
    assert again is not None and np.array_equal(again, spread.trace.t_s)


@pytest.mark.parametrize(
    "times",
    [
        np.arange(0, 200, 1.0).tolist(),  # evenly spaced, one a stamp: no rounding
        np.sort(np.random.default_rng(4).uniform(0, 200, 300)).round(3).tolist(),
        [0.0, 1.0],
        [0.0],
    ],
)
def test_fine_stamps_stay_as_they_are(times: list[float]) -> None:
    whole = change.timed(made_requests(times))
    assert change.spread(whole, rng()) is whole


def test_mooncake_is_rounded_and_azure_is_not() -> None:
    for name in ("mooncake-conversation", "mooncake-synthetic", "azure-code", "azure-conv"):
        spread = change.spread(change.timed(read_trace(name)), rng()).trace
        assert bool(spread.changes) == (name == "mooncake-conversation")


# --- window, speed, caps ---------------------------------------------------------------------------------------------


def test_a_window_takes_sessions_by_their_first_request() -> None:
    whole = change.timed(made_sessions(11, 200))
    cut = change.window(whole, Window(100.0, 200.0), "100..300")
    kept_whole(whole.trace, cut.trace)
    well_formed(cut.trace)
    first = change.first_s(whole.trace)
    assert len(cut.trace) == np.count_nonzero((first >= 100) & (first < 300))
    assert cut.length_s == 200
    assert cut.trace.changes[-1].rows == len(whole.trace) - len(cut.trace)


def test_the_busiest_window_has_the_most() -> None:
    times = [0.0, 10.0, 20.0, 21.0, 22.0, 23.0, 40.0]
    cut = change.window(change.timed(made_requests(times)), Window(None, 5.0), "busiest:5s")
    assert _times(cut.trace).tolist() == [0.0, 1.0, 2.0, 3.0]


def test_an_empty_window_says_how_long_the_trace_is() -> None:
    with pytest.raises(UsageError, match="the trace lasts for 2 s"):
        change.window(change.timed(made_requests([0.0, 1.0])), Window(50.0, 5.0), "50..55")


def test_speed_moves_waits_too_and_is_told_apart_from_a_scale() -> None:
    whole = change.timed(made_sessions(2, 10))
    fast = change.faster(whole, 2.0)
    assert whole.length_s is not None and fast.length_s == whole.length_s / 2
    assert whole.trace.delay_s is not None and fast.trace.delay_s is not None
    assert np.allclose(np.nan_to_num(fast.trace.delay_s) * 2, np.nan_to_num(whole.trace.delay_s))
    assert len(fast.trace) == len(whole.trace)
    assert fast.trace.changes[-1].what == "speed"


def test_long_prompts_are_clipped_dropped_or_refused_and_counted() -> None:
    trace = made_sessions(9, 40)
    long = trace.input_tokens > 60
    clipped = change.capped(trace, 60, "input", "clip")
    assert clipped.changes[-1].rows == long.sum()
    assert np.array_equal(clipped.input_tokens, np.minimum(trace.input_tokens, 60))
    assert clipped.blocks is not None and trace.blocks is not None
    assert np.array_equal(clipped.blocks.counts, -(-clipped.input_tokens // BLOCK))
    for row in range(len(trace)):
        assert np.array_equal(clipped.blocks.of(row), trace.blocks.of(row)[: int(clipped.blocks.counts[row])])
    dropped = change.capped(trace, 60, "input", "drop")
    kept_whole(trace, dropped)
    assert dropped.input_tokens.max() <= 60
    assert dropped.changes[-1].rows == len(trace) - len(dropped)
    assert trace.session is not None
    assert len(_sessions(dropped)) == len(_sessions(trace)) - len(np.unique(trace.session[long]))
    with pytest.raises(UsageError, match=rf"{long.sum()} of {len(trace)} requests of made have more than 60 input"):
        change.capped(trace, 60, "input", "refuse")
    outputs = change.capped(trace, 20, "output", "clip")
    assert outputs.output_tokens.max() == 20
    assert change.capped(trace, 10_000, "input", "refuse") is trace


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("10m..15m", Window(600, 300)),
        ("90..", Window(90, None)),
        ("..1h", Window(0, 3600)),
        ("busiest:5m", Window(None, 300)),
    ],
)
def test_windows_are_read(text: str, part: Window) -> None:
    assert parse_window(text) == part


@pytest.mark.parametrize("text", ["", "..", "5m", "5m..5m", "busy:5m", "busiest:", "10m-15m", "a..b"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"trace\.window"):
        parse_window(text)
