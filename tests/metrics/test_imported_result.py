"""What a Result says of runs that other tools made: figures of their rows, null for what nobody knows, and a verdict
that does not pretend to know the client."""

import duckdb
import msgspec
import numpy as np
import pytest
from made import build, ok_request
from made_import import a_placed, a_told, an_unplaced, failed, placed_rows, row, told_figures, write_import

from loadcell.errors import UsageError
from loadcell.metrics import build_result
from loadcell.metrics.imported import NOT_TOLD, TOLD, UNPLACED
from loadcell.recording.imported import Missing, Told
from loadcell.recording.read import open_recording
from loadcell.spec import Slo

PERCENTILES = ("p50", "p90", "p95", "p99", "p99_9")


def budgets(result):
    """Every budget that the result holds, by its path."""
    found = []

    def look(value, path):
        if isinstance(value, dict):
            for key, inner in value.items():
                if "budget" in key and inner is not None:
                    found.append(f"{path}.{key}")
                look(inner, f"{path}.{key}")
        elif isinstance(value, list):
            for inner in value:
                look(inner, path)

    tree = msgspec.to_builtins(result)
    look({name: value for name, value in tree.items() if name != "verdict"}, "")
    return found


# --- rows on one clock -----------------------------------------------------------------------------------------------


def test_latencies_and_rates_are_those_of_the_rows_by_a_recomputation_that_shares_no_code(tmp_path):
    recording = a_placed(tmp_path / "run", chunks=True)
    result = build_result(recording)
    window = result.methodology.window
    sql = f"""
        select count(*), quantile_disc((first_any_ns - send_start_ns) / 1e6, 0.5),
            avg((last_ns - first_any_ns) / 1e6 / (output_tokens - 1)), avg((last_ns - send_start_ns) / 1e6)
        from '{tmp_path}/run/requests-*.parquet'
        where send_start_ns between {window.start_s} * 1e9 and {window.end_s} * 1e9"""
    database = duckdb.connect()
    n, ttft, tpot, e2e = database.execute(sql).fetchone()
    latency = result.latency
    assert result.counts.window.ok == n
    assert latency["ttft_ms"].service.p50.value == pytest.approx(ttft)
    assert latency["tpot_ms"].service.mean == pytest.approx(tpot)
    assert latency["e2e_ms"].service.mean == pytest.approx(e2e)
    gaps = database.execute(
        f"select t_ns - lag(t_ns) over (partition by request order by t_ns) as gap "
        f"from '{tmp_path}/run/chunks-*.parquet' qualify gap is not null"
    ).fetchnumpy()["gap"]
    assert latency["itl_ms"].service.mean == pytest.approx(gaps.mean() / 1e6, rel=1e-3)


@pytest.mark.parametrize("chunks", [True, False])
def test_output_tokens_per_s_needs_no_times_of_events(tmp_path, chunks):
    result = build_result(a_placed(tmp_path / "run", chunks=chunks))
    rates = result.throughput
    span = rates.to_s - rates.from_s
    assert rates.output_tokens_per_s == pytest.approx(11 * 400 / span, rel=0.02)
    assert rates.output_tokens_interval is not None
    assert any("spread evenly" in note for note in result.notes) is not chunks
    assert (result.latency["itl_ms"].service.n > 0) is chunks


def test_intervals_hold_the_truth_as_often_as_they_say(tmp_path):
    """Seeds are fixed: 60 runs of 150 independent requests; 95 % would be 57."""
    median, holds, means = 60.0, 0, 0
    mean = 20.0 * np.exp(0.1**2 / 2)
    for seed in range(60):
        result = build_result(write_import(tmp_path / str(seed), placed_rows(150, seed=seed)))
        p50, tpot = result.latency["ttft_ms"].service.p50, result.latency["tpot_ms"].service
        holds += p50.low <= median <= p50.high
        means += tpot.mean_interval.low <= mean <= tpot.mean_interval.high
    assert holds >= 52
    assert means >= 52


def test_without_a_schedule_there_are_no_response_times_and_an_slo_is_judged_from_the_send(tmp_path):
    result = build_result(a_placed(tmp_path / "run"), Slo(ttft_ms=70.0))
    assert all(one.response is None for one in result.latency.values())
    good = result.goodput
    assert good is not None
    assert good.anchor == "service"
    assert good.attainment.value == pytest.approx(0.7, abs=0.1)
    assert good.attainment_budget is None
    assert result.instrument.send_lateness.n == 0
    assert result.instrument.on_time_share is None
    assert not any(msgspec.structs.asdict(result.instrument.arrivals).values())


def test_with_a_schedule_response_times_start_from_it(tmp_path):
    result = build_result(a_placed(tmp_path / "run", scheduled=True), Slo(ttft_ms=70.0))
    ttft = result.latency["ttft_ms"]
    assert ttft.response is not None
    # The first request cannot be planned before the start.
    assert ttft.response.p50.value - ttft.service.p50.value == pytest.approx(1.0, abs=0.01)
    assert result.goodput is not None
    assert result.goodput.anchor == "response"
    assert result.instrument.send_lateness.p50_ms == pytest.approx(1.0, abs=0.01)
    assert {"arrivals", "gaps"} <= {check.name for check in result.verdict.checks}


@pytest.mark.parametrize("make", [a_placed, an_unplaced, a_told])
def test_nobody_knows_how_wrong_the_client_was(tmp_path, make):
    result = build_result(make(tmp_path / "run"))
    itself = result.instrument
    assert budgets(result) == []
    assert itself.read_lag.n == 0
    assert itself.merged_share is None
    assert itself.merged_by_client_share is None
    assert itself.reads is None
    assert itself.cpu_us_per_token is None
    assert itself.longest_stall_ms is None
    assert (itself.connections.new, itself.connections.reused) == (0, 0)
    assert itself.tokens.prompt_ratio is None
    assert itself.workers == []
    assert result.calibration is None
    assert result.server == []
    assert result.delivered is None
    assert result.replies is None


def test_events_that_came_together_are_told_and_blamed_on_nobody(tmp_path):
    rows = [row(i, 100 * i, gap_ms=0.0) for i in range(80)]
    result = build_result(write_import(tmp_path / "run", rows, chunks=True))
    assert any("were sent so, or its client read them together" in note for note in result.notes)
    assert result.latency["itl_ms"].service.n > 0
    assert result.latency["tpot_ms"].service.n > 0


@pytest.mark.parametrize("source", ["asked", "unknown"])
def test_counts_that_nobody_made_are_doubted(tmp_path, source):
    rows = [each | {"token_source": source, "asked_tokens": each["output_tokens"]} for each in placed_rows(60)]
    result = build_result(write_import(tmp_path / "run", rows))
    assert result.methodology.token_source == {source: 60}
    assert result.instrument.tokens.short_share is None
    assert any("output tokens of 60 requests" in note for note in result.notes)


def test_an_unknown_loop_is_no_closed_one(tmp_path):
    result = build_result(write_import(tmp_path / "run", placed_rows(100), loop=None))
    assert result.methodology.loop == "unknown"
    assert not {"concurrency", "lasted", "stability"} & {check.name for check in result.verdict.checks}


# --- rows that have each their own zero ------------------------------------------------------------------------------


def test_without_a_common_clock_only_figures_of_single_requests_are_left(tmp_path):
    placed = build_result(a_placed(tmp_path / "a"))
    result = build_result(an_unplaced(tmp_path / "b", about={"told": []}), Slo(e2e_ms=280.0))
    for name in ("ttft_ms", "tpot_ms", "e2e_ms", "ntpot_ms"):
        alone, beside = result.latency[name].service, placed.latency[name].service
        assert alone.mean == pytest.approx(beside.mean, rel=1e-6)
        assert alone.effective is None
        assert alone.mean_interval is None
        for percentile in ("p50", "p90", "p99"):
            estimate = getattr(alone, percentile)
            assert estimate.value == pytest.approx(getattr(beside, percentile).value, rel=1e-6)
            assert (estimate.low, estimate.high, estimate.caveat) == (None, None, UNPLACED)
    rates = msgspec.structs.asdict(result.throughput)
    assert not [name for name, value in rates.items() if value is not None and name != "user_tokens_per_s"]
    flight, state = result.concurrency, result.steady
    assert (flight.mean, flight.max, flight.series) == (None, None, [])
    assert (state.stable, state.warmup_s, state.drain_s, state.littles_ratio) == (None, None, None, None)
    assert state.growth_per_s.value is None
    assert (result.change, result.whole_run, result.run_rates, result.failing) == ({}, None, None, None)
    assert result.run.duration_s is None
    assert result.goodput is not None
    assert result.goodput.goodput_per_s is None
    assert result.goodput.attainment.value is not None
    assert result.goodput.attainment.low is None
    assert [check.name for check in result.verdict.checks] == ["imported", "accounting", "failures"]


def test_without_a_common_clock_there_is_no_window_to_choose(tmp_path):
    with pytest.raises(UsageError, match="--window needs send times"):
        build_result(an_unplaced(tmp_path / "run"), window_s=(0, 10))


def test_rates_that_cannot_be_computed_are_those_that_the_tool_told_and_marked(tmp_path):
    result = build_result(an_unplaced(tmp_path / "run"))
    assert result.throughput.told == ["requests_per_s", "output_tokens_per_s", "total_tokens_per_s"]
    assert result.throughput.requests_per_s == 9.75
    assert result.throughput.requests_interval is None
    assert result.latency["itl_ms"].service.told  # there are no times of events
    assert not result.latency["ttft_ms"].service.told  # computed of the rows: what was told does not replace it


# --- what the tool told, and no rows ---------------------------------------------------------------------------------


def test_told_figures_stand_where_they_belong_without_intervals(tmp_path):
    result = build_result(a_told(tmp_path / "run"))
    ttft = result.latency["ttft_ms"].service
    assert (ttft.told, ttft.n, ttft.mean, ttft.sd, ttft.max) == (True, 0, 61.0, 12.0, None)
    assert (ttft.p50.value, ttft.p90.value, ttft.p99.value) == (58.5, 80.25, 101.5)
    assert (ttft.p50.low, ttft.p50.high, ttft.p50.caveat) == (None, None, TOLD)
    assert (ttft.p95.value, ttft.p95.withheld) == (None, NOT_TOLD)
    assert not result.latency["e2e_ms"].service.told
    assert result.latency["e2e_ms"].service.mean is None
    assert result.throughput.input_tokens_per_s is None
    assert result.throughput.user_tokens_per_s["p50"].value == pytest.approx(1000 / 20.25)
    assert result.imported is not None
    assert len(result.imported.told) == len(told_figures())


def test_seconds_become_milliseconds_and_odd_units_nothing(tmp_path):
    told = [
        Told(key="ttft.median", value=0.25, unit="s", metric="ttft", stat="median"),
        Told(key="e2e.p50", value=3.0, unit="furlongs", metric="e2e", stat="p50"),
        Told(key="tpot.p99.9", value=31.0, unit="ms", metric="tpot_ms", stat="p99.9"),
    ]
    result = build_result(a_told(tmp_path / "run", about={"told": told}))
    assert result.latency["ttft_ms"].service.p50.value == 250.0
    assert result.latency["tpot_ms"].service.p99_9.value == 31.0
    assert not result.latency["e2e_ms"].service.told


def test_rates_a_minute_become_rates_a_second_and_odd_units_nothing(tmp_path):
    told = [
        Told(key="per_min", value=600.0, unit="requests/min", metric="requests_per_s"),
        Told(key="odd", value=7.0, unit="tokens", metric="output_tokens_per_s"),
    ]
    rates = build_result(a_told(tmp_path / "run", about={"told": told})).throughput
    assert rates.requests_per_s == pytest.approx(10.0)
    assert rates.output_tokens_per_s is None
    assert rates.told == ["requests_per_s"]


def test_what_the_tool_counted_is_accounted_for(tmp_path):
    result = build_result(a_told(tmp_path / "run"))
    run = result.counts.run
    assert (run.planned, run.ok, run.failed, run.unsent) == (400, 390, 10, 0)
    assert result.counts.window == run
    failures = next(check for check in result.verdict.checks if check.name == "failures")
    assert (failures.word, failures.value) == ("VALID", 0.025)


def test_failures_without_rows_are_failures_and_not_requests_that_were_never_sent(tmp_path):
    recording = write_import(tmp_path / "run", placed_rows(97), loop="closed", about={"failed": 3}, planned=100)
    run = build_result(recording).counts.run
    assert (run.planned, run.ok, run.failed, run.unsent) == (100, 97, 3, 0)


# --- the verdict -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [a_placed, an_unplaced, a_told])
def test_an_import_is_suspect_for_one_reason_where_nothing_is_wrong(tmp_path, make):
    result = build_result(make(tmp_path / "run"))
    assert result.verdict.word == "SUSPECT"
    assert len(result.verdict.reasons) == 1
    assert "nobody judged its client" in result.verdict.reasons[0]
    assert ("whether the load was steady" in result.verdict.reasons[0]) is (make is not a_placed)


def test_what_its_rows_show_fires_without_advice_on_flags_of_ours(tmp_path):
    rows = [failed(i, 100 * i) if i % 4 == 0 else row(i, 100 * i) for i in range(200)]
    result = build_result(write_import(tmp_path / "run", rows))
    assert result.verdict.word == "SUSPECT"
    assert "25 % of requests failed" in result.verdict.reasons[1]
    assert not any(check.advice for check in result.verdict.checks)
    assert result.errors[0].kind == "http"


def test_a_growing_queue_is_seen_in_another_tools_rows(tmp_path):
    rows = [row(i, 50 * i, ttft_ms=50 + 25 * i) for i in range(400)]
    result = build_result(write_import(tmp_path / "run", rows))
    assert result.steady.stable is False
    assert any("the queue grows" in reason for reason in result.verdict.reasons)


def test_damage_makes_it_invalid(tmp_path):
    a_placed(tmp_path / "run")
    (tmp_path / "run" / "requests-0-00000.parquet").write_bytes(b"PAR1")
    result = build_result(open_recording(tmp_path / "run"))
    assert result.verdict.word == "INVALID"


def test_a_load_that_was_not_the_one_planned_is_a_matter_of_care(tmp_path):
    rows = [each | {"planned_ns": each["send_start_ns"] // 2} for each in placed_rows(200)]
    result = build_result(write_import(tmp_path / "run", rows))
    arrivals = next(check for check in result.verdict.checks if check.name == "arrivals")
    assert arrivals.word == "SUSPECT"
    assert result.verdict.word == "SUSPECT"


# --- where it comes from ---------------------------------------------------------------------------------------------


def test_a_form_without_a_real_file_and_what_is_missing_are_said(tmp_path):
    missing = [Missing(field="chunks", why="not saved"), Missing(field="run.seed", why="not written")]
    recording = a_placed(tmp_path / "run", about={"tested": False, "missing": missing, "derived": ["last_ns: of e2e"]})
    notes = build_result(recording).notes
    assert any("untested against a real file" in note for note in notes)
    assert "not in its files: times of the events (not saved); seed (not written)" in notes
    assert "computed of other columns: last_ns: of e2e" in notes


def test_its_fingerprint_is_that_of_no_other_run(tmp_path):
    first, second = (
        build_result(a_placed(tmp_path / name, about={"files": {"r.json": name * 64}})).methodology.fingerprint
        for name in ("a", "b")
    )
    again = build_result(a_placed(tmp_path / "c", about={"files": {"r.json": "a" * 64}})).methodology.fingerprint
    measured = a_placed(tmp_path / "d", about={"files": {"r.json": "a" * 64}})
    (tmp_path / "d" / "imported.json").unlink()
    ours = build_result(open_recording(measured.path)).methodology.fingerprint
    assert first == again
    assert len({first, second, ours}) == 3


def test_a_measured_run_has_nothing_of_it(tmp_path):
    result = build_result(build(tmp_path / "run", [ok_request(i, start_ms=50 * i) for i in range(60)]))
    assert result.imported is None
    assert result.throughput.told is None
    assert not any(one.service.told for one in result.latency.values())
    assert "imported" not in {check.name for check in result.verdict.checks}
