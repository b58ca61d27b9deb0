"""Change under load: found where the truth changes, not cried where it wanders by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from made import MS, ok_request

from loadcell.metrics import build_result
from loadcell.metrics.change import BATCHES, batch_medians, changes, has_trend, step_of
from loadcell.metrics.checks_server import change_says
from loadcell.metrics.model import Change
from loadcell.metrics.rows import Rows
from loadcell.metrics.window import Span

Make = Callable[..., Any]
S = 1e9


def rows_of(sent: Any, first: Any, last: Any, tokens: Any) -> Rows:
    """Requests with these stamps in ns, all ok."""
    n = len(sent)
    order = np.argsort(sent, kind="stable")
    nan = np.full(n, np.nan)
    given: dict[str, Any] = {
        "request": np.arange(n), "worker": np.zeros(n, int), "ok": np.ones(n, bool), "failed": np.zeros(n, bool),
        "cancelled": np.zeros(n, bool), "counted": np.ones(n, bool), "token_source": {}, "failures": {},
        "send_start": np.asarray(sent, float)[order], "first_any": np.asarray(first, float)[order],
        "last": np.asarray(last, float)[order], "end": np.asarray(last, float)[order],
        "output_tokens": np.asarray(tokens, float)[order], "output_chunks": np.asarray(tokens, float)[order],
        "first_tokens": np.ones(n), "later_tokens": np.asarray(tokens, float)[order] - 1,
    }  # fmt: skip
    fields = {f.name for f in dataclasses.fields(Rows) if f.default is dataclasses.MISSING}
    return Rows(**{name: given.get(name, nan) for name in fields})


def found_in(rows: Rows, until_s: float) -> dict[str, Change]:
    span = Span(0.0, until_s * S, "", "found", until_s * S)
    return changes(rows, rows.ok & (rows.send_start <= until_s * S), span)


def closed_loop(
    rng: np.random.Generator, pace_ms: Callable[[float], float], *, users: int = 16, seconds: float = 60.0,
    tokens: int = 128, spread: float = 0.5, noise: float = 0.03, ttft_ms: float = 20.0, one_prefill: bool = False,
) -> Rows:  # fmt: skip
    """Users of a server with a pace that depends on time alone; it keeps being loaded until the last has ended.

    `one_prefill`: prefills queue for one another.
    """
    ready = [0.010 * k for k in range(users)]
    sent, first, last, count, free = [], [], [], [], 0.0
    while min(ready) < seconds + 3:
        user = int(np.argmin(ready))
        start = ready[user]
        begin = max(start, free) if one_prefill else start
        begun = begin + ttft_ms / 1e3 * (1 + noise * rng.standard_normal())
        free = begun
        n = int(rng.integers(round(tokens * (1 - spread)), round(tokens * (1 + spread)) + 1))
        now = begun
        for _ in range(8):  # the pace is taken eight times a reply
            now += (n - 1) / 8 * pace_ms(now) / 1e3 * (1 + noise * rng.standard_normal())
        sent.append(start), first.append(begun), last.append(now), count.append(n)
        ready[user] = now
    return rows_of(*(np.array(x) * S for x in (sent, first, last)), count)


def batcher(
    rng: np.random.Generator, users: int, seconds: float = 60.0, spread: float = 0.5, tokens: int = 128
) -> Rows:
    """A server of steps, 8 ms and 0.4 ms for each request in its batch, which all wait for."""
    left = np.zeros(users, int)
    start, first, total = np.zeros(users), np.zeros(users), np.zeros(users, int)
    done: list[tuple[float, float, float, int]] = []
    now = 0.0
    live = np.zeros(users, bool)
    while now < seconds + 5:
        for user in np.flatnonzero(~live):
            start[user] = now if done else 0.01 * user
            total[user] = left[user] = int(rng.integers(round(tokens * (1 - spread)), round(tokens * (1 + spread)) + 1))
            first[user] = np.nan
        live[:] = True
        now += (8 + 0.4 * users) / 1e3
        fresh = np.isnan(first)
        first[fresh] = now
        left -= 1
        for user in np.flatnonzero(left == 0):
            done.append((start[user], first[user], now, int(total[user])))
            live[user] = False
    sent, begun, last, count = zip(*done, strict=True)
    return rows_of(*(np.array(x) * S for x in (sent, begun, last)), count)


def single_server(rng: np.random.Generator, load: float, n: int) -> Rows:
    """An M/M/1 queue from its stationary state: the TTFT of each is its wait and a prefill, its pace a constant."""
    gaps, service = rng.exponential(1 / load, n), rng.exponential(1, n)
    walk = np.concatenate(([0.0], np.cumsum(service[:-1] - gaps[1:])))
    begun = rng.exponential(1 / (1 - load)) if rng.random() < load else 0.0
    wait = np.maximum(begun + walk, walk - np.minimum.accumulate(walk))
    sent = np.cumsum(gaps)
    first = sent + wait + 0.5
    return rows_of(sent * S, first * S, (first + 1) * S, np.full(n, 101))


# --- truths that change ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.2])
def test_a_pace_that_rises_evenly_is_a_trend(noise: float) -> None:
    """From 5 to 8 ms through the minute."""
    rng = np.random.default_rng(1)
    found = [
        found_in(closed_loop(rng, lambda t: 5 + 3 * min(t, 60) / 60, noise=noise), 60)["tpot_ms"] for _ in range(20)
    ]
    assert sum(one.kind == "trend" for one in found) >= 19
    for one in found:
        assert one.share == pytest.approx(7.7 / 5.3 - 1, abs=0.06)


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.2])
def test_a_pace_that_steps_is_found_where_it_does(noise: float) -> None:
    """From 5 to 8 ms at 40 of 60 s."""
    rng = np.random.default_rng(2)
    found = [
        found_in(closed_loop(rng, lambda t: 5.0 if t < 40 else 8.0, noise=noise), 60)["tpot_ms"] for _ in range(20)
    ]
    assert sum(one.kind == "step" for one in found) >= 19
    for one in found:
        assert one.at_s == pytest.approx(40, abs=0.5)
        assert one.share == pytest.approx(0.6, abs=0.02 + noise / 10)
        assert (one.before_ms, one.after_ms) == (pytest.approx(5, rel=0.03), pytest.approx(8, rel=0.03))


def test_a_step_down_in_an_open_loop_is_found() -> None:
    rng = np.random.default_rng(3)
    sent = np.cumsum(rng.exponential(0.05, 1200))
    first = sent + np.where(sent < 20, 0.05, 0.03) * rng.uniform(0.9, 1.1, 1200)
    one = found_in(rows_of(sent * S, first * S, (first + 1) * S, np.full(1200, 101)), 58)
    assert one["ttft_ms"].kind == "step" and one["ttft_ms"].at_s == pytest.approx(20, abs=0.5)
    assert one["ttft_ms"].share == pytest.approx(-0.4, abs=0.02)
    assert one["tpot_ms"].kind == "none"


# --- truths that do not ----------------------------------------------------------------------------------------------


def cries(make_rows: Callable[[np.random.Generator], Rows], runs: int, until_s: float, seed: int = 4) -> float:
    """Share of runs in which any of the metrics is said to have changed."""
    rng = np.random.default_rng(seed)
    said = [
        any(one.kind not in (None, "none") for one in found_in(make_rows(rng), until_s).values()) for _ in range(runs)
    ]
    return float(np.mean(said))


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize("n", [150, 400, 1000, 3000])
@pytest.mark.parametrize("load", [0.7, 0.9])
def test_a_queue_near_saturation_wanders_without_a_change(load: float, n: int) -> None:
    assert cries(lambda rng: single_server(rng, load, n), 600, 0.97 * n / load) <= 0.02


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize(("users", "spread"), [(16, 0.5), (64, 0.5), (16, 0.0), (64, 0.0)])
def test_a_batcher_that_is_steady_does_not_change(users: int, spread: float) -> None:
    assert cries(lambda rng: batcher(rng, users, spread=spread), 60, 60) <= 0.02


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize("spread", [0.0, 0.5])
@pytest.mark.parametrize("seconds", [10.0, 30.0])
def test_users_in_step_at_one_prefill_at_a_time_do_not_change(spread: float, seconds: float) -> None:
    def made(rng: np.random.Generator) -> Rows:
        return closed_loop(rng, lambda t: 5.0, seconds=seconds, spread=spread, one_prefill=True)

    assert cries(made, 100, seconds) <= 0.02


@pytest.mark.usefixtures("thorough")
def test_a_random_walk_passes_neither_bound_by_itself() -> None:
    rng = np.random.default_rng(6)
    walks = rng.standard_normal((4000, BATCHES)).cumsum(axis=1)
    assert np.mean([has_trend(walk) for walk in walks]) <= 0.02
    assert np.mean([step_of(walk)[1] > 450 for walk in walks]) <= 0.01


# --- its edges -------------------------------------------------------------------------------------------------------


def test_a_change_too_small_to_matter_is_none() -> None:
    rng = np.random.default_rng(7)
    one = found_in(closed_loop(rng, lambda t: 5.0 if t < 40 else 5.2, noise=0.0), 60)["tpot_ms"]
    assert one.kind == "none"


def test_what_ends_in_the_drain_is_left_out() -> None:
    """A load that ends leaves its last requests a faster server: no change of the server."""
    sent = np.arange(0, 60, 0.1)
    pace = np.where(sent < 50, 0.01, 0.004)
    rows = rows_of(sent * S, (sent + 0.1) * S, (sent + 10.1) * S, 1 + np.round(10 / pace))
    assert found_in(rows, 60)["tpot_ms"].kind == "none"
    after = np.arange(60, 71, 0.1)
    kept = rows_of(
        np.concatenate((sent, after)) * S, np.concatenate((sent, after)) * S + 0.1 * S,
        np.concatenate((sent, after)) * S + 10.1 * S, np.concatenate((1 + np.round(10 / pace), np.full(110, 2501))),
    )  # fmt: skip
    assert found_in(kept, 60)["tpot_ms"].kind == "step", "a load that is kept on shows them under it"


def test_too_few_requests_tell_nothing() -> None:
    sent = np.arange(99) * 0.1
    assert found_in(rows_of(sent * S, (sent + 0.1) * S, (sent + 0.2) * S, np.full(99, 10)), 60)["ttft_ms"].kind is None


def test_the_medians_recomputed() -> None:
    values = np.random.default_rng(8).exponential(1, 437)
    low, expected = 0, []
    for k in range(BATCHES):
        size = 437 // BATCHES + (k < 437 % BATCHES)
        expected.append(sorted(values[low : low + size]))
        low += size
    assert batch_medians(values).tolist() == pytest.approx(
        [(part[(len(part) - 1) // 2] + part[len(part) // 2]) / 2 for part in expected]
    )


def test_the_verdict_says_it_with_both_figures(make: Make) -> None:
    def row(i: int) -> dict[str, Any]:
        start, step = 50 * i, 5 if i < 400 else 8
        one = ok_request(i, start_ms=start, planned_ns=start * MS, ready_ns=None)
        last = one["first_any_ns"] + 9 * step * MS
        return one | {"last_ns": last, "end_ns": last}

    recording = make([row(i) for i in range(600)], loop="open", planned=[50.0 * i for i in range(600)])
    result = build_result(recording)
    assert result.change["tpot_ms"].kind == "step" and result.change["ttft_ms"].kind == "none"
    (check,) = [check for check in result.verdict.checks if check.name == "change"]
    assert check.word == "SUSPECT"
    assert check.says == "TPOT rose by 60 % at 20.1 s: p50 5 ms before, 8 ms after"
    assert result.verdict.word == "SUSPECT" and any(check.says in reason for reason in result.verdict.reasons)


def test_a_trend_in_words() -> None:
    found = Change(kind="trend", at_s=None, before_ms=8.0, after_ms=5.0, share=-0.375)
    assert change_says("tpot_ms", found) == "TPOT fell by 38 % through the window: p50 8 ms at first, 5 ms at last"
