"""Rates without edge effects: against computed truth, Little's law, and other code over the Parquet files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import made
import made_loop
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import MS, events_of, failed_request, ok_request

from loadcell.errors import UsageError
from loadcell.metrics import Result, build_result
from loadcell.metrics.full_load import full_load
from loadcell.metrics.interval import rate_interval
from loadcell.metrics.life import batched, deviation_of_lives, requests_in
from loadcell.metrics.rows import Floats
from loadcell.metrics.throughput import widened
from loadcell.metrics.window import Span
from loadcell.recording.read import Recording
from loadcell.recording.schema import Manifest
from loadcell.spec import build_spec, parse_arrivals
from loadcell.workload.arrivals import planned_ns

pytestmark = pytest.mark.usefixtures("thorough")

Make = Callable[..., Recording]


def users(
    count: int, e2e_ms: float, until_ms: float, *, ramp_ms: float = 160, tokens: int = 10
) -> list[dict[str, Any]]:
    """A closed loop of constant requests: users start over a ramp, then each sends as its last reply ends."""
    starts = sorted(
        (u * ramp_ms / count + r * e2e_ms, u)
        for u in range(count)
        for r in range(int(until_ms / e2e_ms) + 1)
        if u * ramp_ms / count + r * e2e_ms < until_ms
    )
    return [
        ok_request(
            i, start_ms=s, tokens=tokens, first_any_ns=round((s + 50) * MS), first_answer_ns=round((s + 50) * MS),
            last_ns=round((s + e2e_ms) * MS), end_ns=round((s + e2e_ms) * MS),
        )
        for i, (s, _) in enumerate(starts)
    ]  # fmt: skip


@pytest.mark.parametrize("e2e_s", [0.5, 1, 2, 2.9967, 5, 7.9])
def test_constant_answers_in_bursts_have_the_rate_of_little(make: Make, e2e_s: float) -> None:
    """16 users in step for 30 s: as many a second as users / E2E, whatever part of a round the window cuts."""
    rows = users(16, e2e_s * 1e3, 30_000)
    load = {"concurrency": 16, "duration_s": 30.0}
    result = build_result(
        make(rows, load=load, window_end_ns=30_000 * MS, closed_for_a_time=True, effective={"ramp_s": 0.16})
    )
    rates = result.throughput
    assert rates.requests_per_s == pytest.approx(16 / e2e_s, rel=5e-3)
    assert rates.input_tokens_per_s == pytest.approx(16 / e2e_s * 110, rel=5e-3)  # though read in bursts of 50 ms
    assert rates.requests_counted == "by life"
    if rates.requests_interval is not None:
        low, high = rates.requests_interval.low, rates.requests_interval.high
        assert low <= 16 / e2e_s <= high and high - low < 0.01 * 16 / e2e_s


@pytest.mark.parametrize("e2e_s", [15, 20, 25, 40])
def test_a_run_short_beside_its_answers_leaves_ramp_and_drain_out(make: Make, e2e_s: float) -> None:
    """Too short for a window: rates and concurrency are of the time in which all were at work, and SUSPECT."""
    rows = users(16, e2e_s * 1e3, 30_000, tokens=500)
    load = {"concurrency": 16, "duration_s": 30.0}
    result = build_result(
        make(rows, load=load, window_end_ns=30_000 * MS, closed_for_a_time=True, effective={"ramp_s": 0.16})
    )
    rates = result.throughput
    assert result.steady.method == "whole"
    assert rates.requests_per_s == pytest.approx(16 / e2e_s, rel=5e-3)
    assert rates.output_tokens_per_s == pytest.approx(16 / e2e_s * 500, rel=5e-3)
    assert rates.from_s == pytest.approx(0.21) and rates.to_s == pytest.approx(-(-30 // e2e_s) * e2e_s)
    assert result.concurrency.mean == pytest.approx(16, rel=1e-3)
    lasted = next(check for check in result.verdict.checks if check.name == "lasted")
    assert lasted.word == "SUSPECT" and lasted.advice is not None
    assert f"--duration {int(np.ceil(0.16 + 5 * e2e_s))}s" in lasted.advice
    assert result.whole_run is not None and rates.output_tokens_per_s > (
        result.whole_run.throughput.output_tokens_per_s or 0
    )


def open_loop(times_s: Floats, e2e_s: float) -> list[dict[str, Any]]:
    """Requests of 10 tokens at these times, each answered in the same time."""
    return [
        ok_request(
            i, start_ms=s * 1e3, planned_ns=round(s * 1e9), first_any_ns=round((s + 0.2 * e2e_s) * 1e9),
            first_answer_ns=round((s + 0.2 * e2e_s) * 1e9),
            last_ns=round((s + e2e_s) * 1e9), end_ns=round((s + e2e_s) * 1e9),
        )
        for i, s in enumerate(times_s)
    ]  # fmt: skip


@pytest.mark.parametrize("ended_by", ["requests", "duration"])
@pytest.mark.parametrize(("rate", "count"), [(1.0, 2), (1.0, 3), (1.0, 15), (8.0, 15), (3.0, 40), (0.1, 7)])
@pytest.mark.parametrize("gaps", [0.05, 0.9, 1.0, 2.5])
def test_so_many_requests_at_a_constant_rate_have_that_rate(
    make: Make, rate: float, count: int, gaps: float, ended_by: str
) -> None:
    """15 requests at 1 a second are no 1.068 requests/s: to the last of them there are 14 gaps. Tokens likewise."""
    times, e2e_s = np.arange(count) / rate, gaps / rate
    if count < 7 and gaps > 1:
        pytest.skip("replies as long as the sending: see the next test")
    until = {"load": {"rate": rate, "arrivals": "constant", "requests": count}}
    if ended_by == "duration":
        seconds = (count - 1 + 0.37) / rate  # cut somewhere in a gap
        until = {"load": {"rate": rate, "arrivals": "constant", "duration_s": seconds}}
        until |= {"window_end_ns": round(seconds * 1e9)}
    rows = open_loop(times, e2e_s)
    result = build_result(make(rows, loop="open", planned=list(times * 1e3), **until))
    assert result.steady.method == "whole"
    assert result.throughput.requests_per_s == pytest.approx(rate, rel=1e-6)
    assert result.throughput.input_tokens_per_s == pytest.approx(rate * 110, rel=0.25 if count < 7 else 0.1)


@pytest.mark.parametrize(("rate", "count", "e2e_s"), [(1.0, 1, 0.05), (8.0, 5, 2.5), (2.0, 1, 3.0)])
def test_replies_as_long_as_the_sending_have_no_more_than_the_rate(
    make: Make, rate: float, count: int, e2e_s: float
) -> None:
    """Then the rate is of the whole run, the drain included, and of one gap after the last request at least."""
    times = np.arange(count) / rate
    load = {"rate": rate, "arrivals": "constant", "requests": count}
    result = build_result(make(open_loop(times, e2e_s), loop="open", planned=list(times * 1e3), load=load))
    lasted = max(times[-1] + e2e_s, count / rate)
    assert result.throughput.requests_per_s == pytest.approx(count / lasted) and count / lasted <= rate + 1e-9


@pytest.mark.parametrize(("count", "e2e_gaps"), [(5, 0.05), (15, 0.05), (15, 2.5), (40, 7.2)])
@pytest.mark.parametrize("ended_by", ["requests", "duration"])
def test_the_rate_of_random_arrivals_is_right_in_the_mean(count: int, e2e_gaps: float, ended_by: str) -> None:
    """Over 400 schedules of 1 a second, within four standard errors and 6 % of it, and never that much above."""
    spec = build_spec({"endpoint": {"url": "http://h"}, "load": {"rate": 1.0}})
    manifest = Manifest(
        id="x", loop="open", state="complete", loadcell="", started_at="", planned=count, workers=1,
        schedule_hash="", clock="kernel",
    )  # fmt: skip
    found = []
    for seed in range(400):
        many = {"requests": count} if ended_by == "requests" else {"duration_s": float(count)}
        times = planned_ns(parse_arrivals("poisson"), 1.0, seed=seed, **many).astype(np.float64)
        if not times.size:
            continue
        rows = made_loop.answered(times, e2e_gaps * 1e9)
        until = times[-1] if ended_by == "requests" else count * 1e9
        span = Span(0.0, float(rows.end.max()), "", "whole", min(until, float(rows.end.max())))
        full = full_load(span, manifest, spec, rows, until)
        assert full.length_s is not None
        found.append(float(requests_in(rows, rows.ok, full).sum()) / full.length_s)
    error = 4 * np.std(found) / np.sqrt(len(found))
    assert 0.94 - error <= np.mean(found) <= 1 + error


lives = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 1500)), min_size=1, max_size=30)


@given(lives, st.integers(0, 1500), st.integers(1, 2500))
def test_the_parts_of_lives_are_as_counted_by_hand(pairs: list[tuple[int, int]], start: int, length: int) -> None:
    """Each batch, lives without a length too; and Little's law over any window: rate x mean life = mean in flight."""
    starts, ends = (np.array(x, dtype=np.float64) for x in zip(*((s, s + n) for s, n in pairs), strict=True))
    span = Span(float(start), float(start + length), "", "found", float(start + length))
    held = batched(span, starts, ends)

    def part(s: float, e: float) -> float:
        if e == s:
            return float(start <= s <= start + length)
        return max(0.0, min(e, span.end) - max(s, span.start)) / (e - s)

    parts = [part(s, e) for s, e in zip(starts, ends, strict=True)]
    assert held.size == 20 and held.sum() == pytest.approx(sum(parts), abs=1e-9)
    in_flight = sum(max(0.0, min(e, span.end) - max(s, span.start)) for s, e in zip(starts, ends, strict=True)) / length
    mean_life = sum(p * (e - s) for p, s, e in zip(parts, starts, ends, strict=True)) / max(sum(parts), 1e-300)
    assert held.sum() / length * mean_life == pytest.approx(in_flight, abs=1e-9)


rounds = st.lists(st.integers(20, 900), min_size=5, max_size=40)


@settings(deadline=None, max_examples=25)
@given(st.lists(rounds, min_size=2, max_size=4), st.data())
def test_littles_law_holds_over_any_window_without_think_time(lives_ms: list[list[int]], data: st.DataObject) -> None:
    """Users that send as soon as they are answered: requests/s x mean life = users, of a Result, over any window."""
    rows = []
    for mine in lives_ms:
        now = 0
        for length in mine:
            rows.append((now, length))
            now += length
    busy = min(sum(mine) for mine in lives_ms)
    low = data.draw(st.integers(0, busy - 1))
    high = data.draw(st.integers(low + 1, busy))
    requests = [
        ok_request(i, start_ms=s, tokens=2, first_any_ns=(s + 10) * MS, last_ns=(s + n) * MS, end_ns=(s + n) * MS)
        for i, (s, n) in enumerate(sorted(rows))
    ]
    with made_folder() as folder:
        recording = made.build(folder, requests, load={"concurrency": len(lives_ms)})
        try:
            result = build_result(recording, window_s=(low / 1e3, high / 1e3))
        except UsageError as error:  # a window may hold no send
            assert "holds no request" in str(error)
            return
    parts = [(max(0, min(s + n, high) - max(s, low)) / n, n / 1e3) for s, n in rows]
    mean_life_s = sum(p * n for p, n in parts) / sum(p for p, _ in parts)
    assert result.throughput.requests_per_s is not None
    assert result.throughput.requests_per_s * mean_life_s == pytest.approx(len(lives_ms), rel=1e-9)


def made_folder() -> Any:
    from contextlib import contextmanager
    from tempfile import TemporaryDirectory

    @contextmanager
    def folder() -> Any:
        with TemporaryDirectory() as path:
            yield Path(path) / "run"

    return folder()


# --- how well the interval covers ------------------------------------------------------------------------------------


def _found(loop: made_loop.Loop, start_s: float, end_s: float) -> tuple[float, float, float]:
    rows, span = loop.rows(), Span(start_s * 1e9, end_s * 1e9, "", "found", end_s * 1e9)
    held = requests_in(rows, rows.sent, span)
    value = float(held.sum()) / (end_s - start_s)
    found = widened(
        rate_interval(held, end_s - start_s, 1000), value, deviation_of_lives(rows, rows.sent, span) / (end_s - start_s)
    )
    assert found is not None
    return value, found.low, found.high


@pytest.mark.parametrize("tokens", [35, 139, 556])
def test_users_in_step_are_exact_on_a_server_that_batches(tokens: int) -> None:
    """16 users x 0.5, 2 and 8 s on steps of 8 ms + 0.4 ms a stream: 30 s give the rate of for ever."""
    loop = made_loop.closed_loop(16, 30.0, made_loop.fixed(tokens), keep_on=True)
    truth = 16 / (tokens * 0.0144)
    value, low, high = _found(loop, 0.16 + tokens * 0.0144, 30.0)
    assert value == pytest.approx(truth, rel=1e-3)
    assert low <= value <= high and high - low < 2e-3 * truth


@pytest.mark.parametrize(("users_", "tokens", "runs"), [(16, 139, 80), (16, 556, 120), (64, 238, 60)])
def test_lengths_that_vary_are_covered(users_: int, tokens: int, runs: int) -> None:
    """± 50 %: no bias beyond its own noise, and the interval holds the truth as often as it says."""
    e2e_s = tokens * (0.008 + 0.0004 * users_)
    truth = users_ / e2e_s
    found = [
        _found(made_loop.closed_loop(users_, 30.0, made_loop.around(tokens), seed=s, keep_on=True), 0.16 + e2e_s, 30.0)
        for s in range(runs)
    ]
    values = np.array([value for value, _, _ in found])
    assert abs(values.mean() / truth - 1) < 0.003 + 3 * values.std() / truth / np.sqrt(runs)
    hits = sum(low <= truth <= high for _, low, high in found)
    assert hits >= 0.90 * runs


@pytest.mark.parametrize(("rate", "life_s"), [(5.0, 0.1), (5.0, 5.0), (30.0, 1.0)])
def test_poisson_arrivals_are_covered(rate: float, life_s: float) -> None:
    runs, hits, errors = 200, 0, []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        end_s = 30.0 + 2 * life_s
        sent = np.sort(rng.uniform(0, end_s, rng.poisson(rate * end_s)))
        last = sent + life_s * rng.uniform(0.5, 1.5, sent.size)
        n = sent.size
        loop = made_loop.Loop(
            1, 0, end_s, sent, sent, last, np.full(n, 10.0), np.ones(n, bool), np.empty(0), np.empty(0)
        )
        value, low, high = _found(loop, 2 * life_s, end_s)
        hits += low <= rate <= high
        errors.append(value / rate - 1)
    assert hits >= 0.90 * runs
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(runs)


# --- by other code, from the files ------------------------------------------------------------------------------------


def recomputed(folder: Path, start_s: float, end_s: float, *, limit_ms: float | None = None) -> dict[str, float]:
    """Rates from the Parquet files by plain Python: loops over rows, no code of the metrics."""
    requests = duckdb.sql(
        "select status, send_start_ns, last_ns, end_ns, prompt_tokens, output_tokens, output_chunks, "
        f"request, coalesce(counted, true) from '{folder}/requests-*.parquet'"
    ).fetchall()
    events = duckdb.sql(f"select request, t_ns, tokens from '{folder}/chunks-*.parquet'").fetchall()
    low, high = start_s * 1e9, end_s * 1e9
    seconds = end_s - start_s
    found = dict.fromkeys(("requests", "input", "output", "failed", "good"), 0.0)
    share, status_of = {}, {}
    for status, sent, last, end, prompt, output, chunks, request, counted in requests:
        status_of[request] = status if counted else "beyond"
        share[request] = output / chunks if output and chunks else 0.0
        if status != "ok" or not counted:
            continue
        part = max(0.0, min(end, high) - max(sent, low)) / (end - sent)
        found["requests"] += part
        found["input"] += prompt * part
        if limit_ms is not None and (last - sent) / 1e6 <= limit_ms:
            found["good"] += part
    for request, t_ns, tokens in events:
        if low <= t_ns <= high and status_of.get(request) in ("ok", "cancelled"):
            found["output"] += share[request] if tokens is None else tokens
        elif low <= t_ns <= high and status_of.get(request) == "failed":
            found["failed"] += share[request] if tokens is None else tokens
    return {name: value / seconds for name, value in found.items()}


def test_other_code_finds_the_same_in_the_files(make: Make) -> None:
    rng = np.random.default_rng(5)
    rows, now = [], np.zeros(8)
    for i in range(400):
        user = int(now.argmin())
        length = float(rng.uniform(60, 900))
        start = float(now[user])
        last = round((start + length) * MS)
        row = ok_request(i, start_ms=start, tokens=6, first_any_ns=round((start + 50) * MS), last_ns=last, end_ns=last)
        if i % 17 == 0:
            row |= {"status": "failed", "error_kind": "cut", "error": "x"}
        rows.append(row | {"counted": start <= 20_000})
        now[user] += length + 3
    events = [event for row in rows for event in events_of(row)]
    recording = make(
        rows, events=events, load={"concurrency": 8, "duration_s": 20.0}, window_end_ns=20_000 * MS,
        closed_for_a_time=True, slo={"e2e_ms": 500},
    )  # fmt: skip
    result = build_result(recording)
    rates = result.throughput
    assert result.counts.beyond > 0 and rates.from_s is not None and rates.to_s == 20.0
    told = recomputed(recording.path, rates.from_s, rates.to_s, limit_ms=500)
    assert rates.requests_per_s == pytest.approx(told["requests"], rel=1e-9)
    assert rates.input_tokens_per_s == pytest.approx(told["input"], rel=1e-9)
    assert rates.output_tokens_per_s == pytest.approx(told["output"], rel=1e-9)
    assert rates.failed_tokens_per_s == pytest.approx(told["failed"], rel=1e-9)
    assert result.goodput is not None and result.goodput.goodput_per_s == pytest.approx(told["good"], rel=1e-9)
    assert 0 < result.goodput.goodput_per_s < rates.requests_per_s


# --- what counts otherwise -------------------------------------------------------------------------------------------


def test_an_open_loop_serves_what_is_sent(make: Make) -> None:
    """At a rate that the server holds, the rate of sends and of requests agree, though ends lag behind (README)."""
    planned = [50.0 * i for i in range(400)]
    rows = [
        ok_request(i, start_ms=t, planned_ns=round(t * MS), ready_ns=None, end_ns=round((t + 2000) * MS))
        for i, t in enumerate(planned)
    ]
    result = build_result(make(rows, loop="open", planned=planned, load={"rate": 20.0, "warmup_s": 5.0}))
    assert result.throughput.requests_per_s == pytest.approx(20, rel=5e-3)
    assert result.instrument.arrivals.sent_rate == pytest.approx(20, rel=5e-3)


def test_a_queue_that_grows_counts_by_ends(make: Make) -> None:
    """20/s to a server of 10/s: it serves 10/s; the parts of lives that grow with the queue would tell of more."""
    planned = [50.0 * i for i in range(400)]
    rows = [
        ok_request(
            i, start_ms=t, planned_ns=round(t * MS), ready_ns=None, tokens=2,
            **{name: round((100 * i + 100) * MS) for name in ("first_any_ns", "last_ns", "end_ns")},
        )
        for i, t in enumerate(planned)
    ]  # fmt: skip
    result = build_result(make(rows, loop="open", planned=planned, load={"rate": 20.0}))
    assert result.steady.stable is False
    assert result.throughput.requests_counted == "by end"
    assert result.throughput.requests_per_s == pytest.approx(10, rel=0.01)


def test_failed_requests_are_in_no_rate(make: Make) -> None:
    rows = users(4, 250, 10_000)
    for row in rows[::2]:
        row |= {"status": "failed", "error_kind": "cut", "error": "x"}
    load = {"concurrency": 4, "duration_s": 10.0}
    events = [event for row in rows for event in events_of(row)]
    result = build_result(make(rows, events=events, load=load, window_end_ns=10_000 * MS, closed_for_a_time=True))
    rates = result.throughput
    assert rates.requests_per_s == pytest.approx(8, rel=0.02)
    assert rates.output_tokens_per_s == pytest.approx(80, rel=0.02)
    assert rates.failed_tokens_per_s == pytest.approx(80, rel=0.02)
    assert rates.input_tokens_per_s == pytest.approx(8 * 110, rel=0.02)


def test_replies_without_a_length_count_where_they_are(make: Make) -> None:
    rows = [
        ok_request(
            i, start_ms=10 * i, **dict.fromkeys(("first_any_ns", "first_answer_ns", "last_ns", "end_ns"), 10 * i * MS)
        )
        for i in range(60)
    ]
    rates = build_result(make(rows, events=[], load={"concurrency": 1}), window_s=(0.1, 0.3)).throughput
    assert rates.requests_per_s == pytest.approx(21 / 0.2)  # both edges are inside


def test_an_interrupted_loop_ends_its_rates_before_what_was_given_up(make: Make) -> None:
    """The lives of the four in flight are not known: the rates end before the first of their sends."""
    rows = users(4, 250, 10_000)
    for row in rows[-4:]:
        row |= {"status": "cancelled"} | dict.fromkeys(("last_ns", "end_ns"), rows[-1]["send_start_ns"] + 100 * MS)
    load = {"concurrency": 4, "duration_s": 60.0}
    result = build_result(make(rows, load=load, window_end_ns=60_000 * MS, closed_for_a_time=True, state="interrupted"))
    assert result.throughput.to_s == pytest.approx(rows[-4]["send_start_ns"] / 1e9)
    assert result.throughput.requests_per_s == pytest.approx(16, rel=5e-3)


# --- the drain -------------------------------------------------------------------------------------------------------


def _drained(result: Result) -> tuple[float | None, str | None]:
    return result.steady.drained_share, next(c.word for c in result.verdict.checks if c.name == "drained")


def _varied(n: int, count: int) -> list[dict[str, Any]]:
    rng, rows, now = np.random.default_rng(1), [], np.arange(count) * 10.0
    for i in range(n):
        user = int(now.argmin())
        last = round((now[user] + rng.uniform(500, 1500)) * MS)
        rows.append(ok_request(i, start_ms=float(now[user]), last_ns=last, end_ns=last))
        now[user] = last / MS
    return rows


def test_replies_of_an_emptying_server_are_said(make: Make) -> None:
    """60 requests of 16 users: those that end after the first user had no more to send."""
    rows = _varied(60, 16)
    result = build_result(make(rows, load={"concurrency": 16, "requests": 60}))
    inside = [row for row in rows if row["send_start_ns"] >= result.methodology.window.start_s * 1e9]
    full_until = min(row["end_ns"] for row in rows if row["end_ns"] >= rows[-1]["send_start_ns"])
    late = sum(row["end_ns"] > full_until for row in inside)
    assert (late, len(inside)) == (16, 36)
    assert _drained(result) == (pytest.approx(late / len(inside)), "SUSPECT")
    reason = next(c.says for c in result.verdict.checks if c.name == "drained")
    assert reason == "44 % of replies ended after the load did, beside fewer and fewer others (limit 10 %)"


def test_few_of_many_are_no_matter(make: Make) -> None:
    share, word = _drained(build_result(make(_varied(400, 16), load={"concurrency": 16, "requests": 400})))
    assert word == "VALID" and share is not None and 0.03 < share < 0.05


def test_a_load_that_was_kept_on_drains_nothing(make: Make) -> None:
    rows = _varied(100, 16)
    stop = rows[60]["send_start_ns"]
    rows = [row | {"counted": row["send_start_ns"] <= stop} for row in rows]
    load = {"concurrency": 16, "duration_s": stop / 1e9}
    assert _drained(build_result(make(rows, load=load, window_end_ns=stop, closed_for_a_time=True))) == (0, "VALID")


def test_a_user_alone_and_users_in_lockstep_leave_nobody_behind(make: Make, tmp_path: Path) -> None:
    assert _drained(build_result(make(users(1, 250, 2000), load={"concurrency": 1}))) == (0, "VALID")
    together = made.build(tmp_path / "together", users(8, 250, 2000), load={"concurrency": 8, "lockstep": True})
    assert _drained(build_result(together)) == (None, None)


def test_no_reply_has_no_drain(make: Make) -> None:
    assert _drained(build_result(make([failed_request(0, "timeout")]))) == (None, None)


@pytest.mark.parametrize(("unknown", "known"), [(100, False), (50, False), (2, False), (1, True), (0, True)])
def test_tokens_that_nobody_counted_are_no_rate_of_nothing(make: Make, unknown: int, known: bool) -> None:
    """Whole replies without usage were "0 output tokens/s", and half of them half of the rate."""
    whole = {"first_any_ns": None, "first_answer_ns": None, "first_tokens": None, "output_chunks": 0}
    silent = {"output_tokens": None, "token_source": None}
    rows = [ok_request(i, start_ms=300 * i, **whole, **(silent if i < unknown else {})) for i in range(100)]
    rates = build_result(make(rows)).throughput
    assert (rates.output_tokens_per_s is not None) is known
    assert (rates.total_tokens_per_s is not None) is known
    assert (rates.output_tokens_interval is not None) is known
    assert rates.requests_per_s and rates.input_tokens_per_s


def test_where_events_are_missing_no_rate_is_of_those_that_are_left(make: Make) -> None:
    rows = [ok_request(i, start_ms=300 * i) for i in range(20)]
    rates = build_result(make(rows, events=[event for row in rows[:10] for event in events_of(row)])).throughput
    assert (rates.output_tokens_per_s, rates.total_tokens_per_s, rates.total_tokens_budget) == (None, None, None)
    assert rates.input_tokens_per_s


@pytest.mark.parametrize(("window", "word"), [((0.0, 1.0), "SUSPECT"), ((10.0, 11.0), "VALID")])
def test_a_window_chosen_in_the_ramp_has_the_concurrency_of_its_rates(
    make: Make, window: tuple[float, float], word: str
) -> None:
    """The rate was of the ramp, the mean concurrency of what came after it: "8 of 8 users", 17 % fewer requests/s."""
    rows = users(8, 2000, 30_000, ramp_ms=800)
    load = {"concurrency": 8, "duration_s": 30.0}
    recording = make(rows, load=load, window_end_ns=30_000 * MS, closed_for_a_time=True, effective={"ramp_s": 0.8})
    result = build_result(recording, None, window)
    rates, flight = result.throughput, result.concurrency
    assert rates.requests_per_s is not None and flight.mean is not None
    assert rates.requests_per_s * 2 == pytest.approx(flight.mean, rel=1e-6)
    assert next(check.word for check in result.verdict.checks if check.name == "concurrency") == word
