"""The Detail of every kind of recording: the same samples as the Result's, and never a crash."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import made_laws
import msgspec
import numpy as np
import pytest
from made import failed_request, ok_request

from loadcell.kinds import KIND_ANSWER
from loadcell.metrics import Result, build_result
from loadcell.recording.read import Recording, open_recording
from loadcell.report.detail import Detail, build_both, build_detail

pytestmark = pytest.mark.usefixtures("thorough")

Make = Callable[..., Recording]
Rows = list[dict[str, Any]]
MS = 1_000_000


def both(recording: Recording, window_s: tuple[float, float] | None = None) -> tuple[Result, Detail]:
    """Result and Detail, made at once and one after the other, to the same; all laws hold."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result, detail = build_both(recording, window_s=window_s)
        assert result == build_result(recording, window_s=window_s)
        assert detail == build_detail(recording, result)
    made_laws.check_laws(recording, result, detail)
    return result, detail


def traffic(
    count: int, *, rate: float = 50.0, tokens: int = 6, loop: str = "open", failed: float = 0.0, slow_until: int = 0
) -> tuple[Rows, Rows, list[float]]:
    """(requests, their events, planned times in ms) of a Poisson load with lognormal latencies, some of it failing."""
    rng = np.random.default_rng(count)
    planned = np.cumsum(rng.exponential(1000 / rate, count))
    rows, events = [], []
    for i, at in enumerate(planned.tolist()):
        sent = round((at + rng.gamma(2, 0.05)) * MS)
        more: dict[str, Any] = {"planned_ns": round(at * MS), "ready_ns": None} if loop == "open" else {}
        if rng.random() < failed:
            rows.append(failed_request(i, "timeout", start_ms=sent / MS) | more | {"send_start_ns": sent})
            continue
        scale = 4 if i < slow_until else 1
        gaps = np.append(rng.lognormal(4, 0.3), rng.lognormal(2.5, 0.4, tokens - 1)) * MS * scale
        times = sent + np.cumsum(gaps.astype(np.int64))
        first, last = int(times[0]), int(times[-1])
        rows.append(
            ok_request(i, tokens=tokens)
            | {"send_start_ns": sent, "ready_ns": sent, "first_any_ns": first, "first_answer_ns": first}
            | {"last_ns": last, "end_ns": last + MS, "send_end_ns": sent + 1}
            | more
        )
        events += [
            {"request": i, "read": n, "t_ns": t, "lag_ns": 20_000, "kind": KIND_ANSWER, "bytes": 200, "tokens": 1}
            for n, t in enumerate(times.tolist())
        ]
    return rows, events, planned.tolist()


@pytest.fixture
def busy(make: Make) -> Recording:
    """An open loop of 600 requests, one in ten of which fails."""
    rows, events, planned = traffic(600, failed=0.1)
    return make(rows, events=events, planned=planned, loop="open", load={"rate": 50.0})


def test_an_open_loop(busy: Recording) -> None:
    result, detail = both(busy)
    assert detail.anchor == "response" and set(detail.ecdf) == {"ttft_ms", "itl_ms", "tpot_ms", "e2e_ms"}
    assert detail.timeline is not None and detail.dots is not None and detail.stalls is not None
    assert not detail.missing and len(detail.levels) > 3
    assert detail.timeline.output_tokens_per_s is not None
    tokens = sum(rate or 0.0 for rate in detail.timeline.output_tokens_per_s) * detail.timeline.step_s
    assert tokens == pytest.approx(6 * result.counts.run.ok, rel=1e-6)
    assert detail.dots.status.count("failed") == result.counts.run.failed > 20


@pytest.mark.parametrize("window_s", [(1.0, 9.0), (0.1, 5.1), (2.3, 7.7), (0.123456789, 6.0000000004)])
def test_a_window_chosen_by_hand(busy: Recording, window_s: tuple[float, float]) -> None:
    result, detail = both(busy, window_s)
    assert detail.ecdf["e2e_ms"].n == result.counts.window.ok < result.counts.run.ok
    assert detail.dots is not None and len(detail.dots.request) == 600  # the whole run is drawn


@pytest.mark.parametrize("edge_ms", [290, 1070, 2010, 4180, 5100])  # most are no whole nanoseconds as floats
def test_requests_on_the_edge_of_a_window(make: Make, edge_ms: int) -> None:
    rows = [ok_request(i, start_ms=i * 10, planned_ns=i * 10 * MS, ready_ns=None) for i in range(600)]
    recording = make(rows, planned=[i * 10.0 for i in range(600)], loop="open", load={"rate": 100.0})
    for window_s in ((edge_ms / 1000, 6.0), (0.01, edge_ms / 1000)):
        result, detail = both(recording, window_s)
        assert detail.ecdf["e2e_ms"].n == result.counts.window.ok


@pytest.mark.parametrize(
    "load",
    [{"rate": 50.0, "warmup_s": 2.1}, {"rate": 50.0, "warmup_requests": 77}, {"rate": 50.0}],
    ids=["seconds", "requests", "found"],
)
def test_a_warm_up_is_left_out(make: Make, load: dict[str, Any]) -> None:
    rows, events, planned = traffic(600, slow_until=150)
    result, detail = both(make(rows, events=events, planned=planned, loop="open", load=load))
    assert result.whole_run is not None
    assert detail.ecdf["ttft_ms"].n == result.counts.window.ok < 600
    assert detail.timeline is not None and sum(detail.timeline.latency["itl_ms"].n) == 5 * 600


def test_a_warm_up_by_number_goes_by_the_schedule(make: Make) -> None:
    starts = (0, 500, 400, 600)  # request 1 is warm-up although it was sent after request 2
    rows = [ok_request(i, start_ms=start) for i, start in enumerate(starts)]
    _, detail = both(make(rows, load={"concurrency": 2, "warmup_requests": 2}))
    assert detail.ecdf["ttft_ms"].n == 2


def test_a_closed_loop(make: Make) -> None:
    rows, events, _ = traffic(200, loop="closed")
    result, detail = both(make(rows, events=events, load={"concurrency": 4}))
    assert detail.anchor == "service" and detail.ecdf["ttft_ms"].n == result.counts.window.ok
    assert [part.name for part in detail.parts] == ["first", "stream"]


def test_slow_readers_are_in_no_figure_and_who_left_in_that_of_its_first_output(make: Make) -> None:
    rows, events, _ = traffic(200, loop="closed")
    for i in range(7, 200, 10):
        rows[i] |= {"status": "abandoned", "gave_up": "tokens"}
    plan = [{"read_tokens_per_s": 1.0 if i % 10 == 3 else None} for i in range(200)]
    users = {"slow_readers": "10%@1t/s", "cancel": ["10%@5t"]}
    _, detail = both(make(rows, events=events, carried=plan, behaviour=users, load={"concurrency": 4}))
    assert detail.dots is not None
    assert set(detail.dots.status) == {"ok", "abandoned"}
    slow = [request % 10 in (3, 7) for request in detail.dots.request]
    assert [value is None for value in detail.dots.ttft_ms] == slow


def test_no_request_ended(make: Make) -> None:
    _, detail = both(make([], planned=5, state="interrupted", ended_ns=0))
    assert (detail.ecdf, detail.timeline, detail.dots, detail.levels, detail.stalls, detail.parts) == (
        {}, None, None, [], None, []
    )  # fmt: skip
    assert detail.missing == ["no request ended: there is nothing to draw"] and not detail.thinned


def test_all_failed(make: Make) -> None:
    _, detail = both(make([failed_request(i, "timeout", start_ms=i * 20) for i in range(30)]))
    assert not detail.ecdf and detail.timeline is not None and sum(detail.timeline.failed) == 30
    assert "no ok request in the window: there are no latencies to draw" in detail.missing


def test_never_sent(make: Make) -> None:
    rows = [failed_request(i, "connect", send_start_ns=None, ready_ns=i * MS, end_ns=i * MS + 1) for i in range(3)]
    _, detail = both(make(rows))
    assert detail.timeline is not None and detail.timeline.in_flight == [None] * len(detail.timeline.t_s)
    assert sum(detail.timeline.arrivals_per_s) == 0


def test_replies_that_were_not_streamed(make: Make) -> None:
    none = {"first_any_ns": None, "first_answer_ns": None, "first_tokens": None, "output_chunks": None}
    _, detail = both(make([ok_request(i, start_ms=i * 300, **none) for i in range(5)]))
    assert set(detail.ecdf) == {"e2e_ms"} and detail.stalls is None
    assert [(part.name, part.share) for part in detail.parts] == [("reply", 1.0)]
    assert detail.missing == [f"no ok request of the window shows its {name}" for name in ("TTFT", "ITL", "TPOT")]
    assert detail.timeline is not None
    assert sum(x or 0 for x in detail.timeline.output_tokens_per_s) * detail.timeline.step_s == pytest.approx(50)


def test_one_token_each(make: Make) -> None:
    _, detail = both(make([ok_request(i, start_ms=i * 100, tokens=1) for i in range(5)]))
    assert set(detail.ecdf) == {"ttft_ms", "e2e_ms"} and detail.stalls is None
    assert [part.name for part in detail.parts] == ["first"]


def test_events_that_are_missing(busy: Recording) -> None:
    file = Path(busy.chunk_parts[0])
    rows = f"select * from read_parquet('{file}') where request % 3 > 0"
    duckdb.sql(f"copy ({rows}) to '{file}.new' (format parquet)")
    Path(f"{file}.new").replace(file)
    _, detail = both(open_recording(busy.path))
    assert detail.timeline is not None and set(detail.timeline.output_tokens_per_s) == {None}
    assert any("received events are missing" in words for words in detail.missing)


def test_a_damaged_part(busy: Recording) -> None:
    Path(busy.chunk_parts[0]).write_bytes(b"PAR1 of what was")
    _, detail = both(open_recording(busy.path))
    assert "itl_ms" not in detail.ecdf and detail.ecdf["e2e_ms"].n > 0
    assert "no ok request of the window shows its ITL" in detail.missing


NEVER_TOLD = ("conn_start_ns", "first_tokens", "server_queue_ns", "server_prefill_ns", "output_tokens", "asked_tokens",
              "prompt_tokens", "cached_tokens", "input_tokens", "worker", "planned_ns")  # fmt: skip


@pytest.mark.parametrize("how", ["null", "absent"])
def test_half_of_the_columns(busy: Recording, how: str) -> None:
    """As an older version left them out, or an import had nothing to put in."""
    for parts, names in ((busy.request_parts, NEVER_TOLD), (busy.chunk_parts, ("lag_ns", "tokens", "bytes"))):
        columns = ", ".join(names)
        nulls = ", ".join(f"nullif({name}, {name}) as {name}" for name in names)
        picked = f"* exclude ({columns})" if how == "absent" else f"* replace ({nulls})"
        for file in parts:
            duckdb.sql(f"copy (select {picked} from read_parquet('{file}')) to '{file}.new' (format parquet)")
            Path(f"{file}.new").replace(file)
    recording = open_recording(busy.path)
    detail = build_detail(recording, build_result(recording))
    made_laws.check_finite(msgspec.to_builtins(detail))
    assert "itl_ms" in detail.ecdf and "tpot_ms" not in detail.ecdf and "e2e_ms" not in detail.ecdf
    assert "no ok request of the window shows its E2E" in detail.missing


@pytest.mark.parametrize(("every_ms", "step_s"), [(0.1, 0.002), (50, 0.1), (360_000, 1000.0)])
def test_runs_of_100_ms_and_of_10_hours(make: Make, every_ms: float, step_s: float) -> None:
    recording = make([ok_request(i, start_ms=i * every_ms, tokens=2) for i in range(100)], load={"concurrency": 99})
    _, detail = both(recording)
    assert detail.timeline is not None and detail.timeline.step_s == pytest.approx(step_s)


def test_many_requests_are_thinned_and_it_is_said(make: Make) -> None:
    rows = [ok_request(i, start_ms=i * 5, tokens=1) if i % 4 else failed_request(i, "http", start_ms=i * 5)
            for i in range(4000)]  # fmt: skip
    rows[2001] = ok_request(2001, start_ms=2001 * 5, tokens=1, first_any_ns=12_000 * MS, last_ns=12_000 * MS)
    _, detail = both(make(rows))
    dots = detail.dots
    assert dots is not None and (dots.of, len(dots.request)) == (4000, 2000)
    assert dots.extreme[dots.request.index(2001)]
    assert dots.status.count("failed") == 500
    assert detail.thinned[0] == (
        "2,000 of 4,000 requests are drawn: the extremes of each latency, 500 of 1,000 failures, and of the others a "
        "sample drawn by lot"
    )
