"""Defects 44 to 60: what the figures mean."""

from __future__ import annotations

import json
from statistics import median
from typing import Any

import numpy as np
import plain_figures as plain
import pytest
from contract_runs import Ran, Run, run_once
from difficult import EACH, REFUSED, Said
from known import Witness, lies_in, output, reply, sse
from made import MS, build, events_of, failed_request, ok_request
from scripted import DONE, RESET, Received, Scripted, Step, delta, event, serve, token, usage_event, whole

from loadcell.metrics import Latency, Summary, build_result
from loadcell.metrics.interval import summarise_array
from loadcell.report import to_csv, to_json

pytestmark = pytest.mark.usefixtures("alone")

PERCENTILES = ("p50", "p90", "p95", "p99", "p99_9")


def figures(latency: dict[str, Latency]) -> list[float | None]:
    """Every figure of every latency."""
    summaries = [s for one in latency.values() for s in (one.service, one.response) if s is not None]
    return [value for s in summaries for value in (s.mean, s.max, *(getattr(s, p).value for p in PERCENTILES))]


# --- missing and failed ----------------------------------------------------------------------------------------------


def test_44_missing_is_null(run: Run) -> None:
    """A reply in one piece shows neither a first token nor gaps; one without usage tells no prompt and no cache."""
    with serve(lambda _: [whole(4).replace(b"usage", b"usagE")]) as server:
        ran = run(server.url, requests=6, stream=False)
    result = ran.result
    assert result.counts.run.ok == 6
    for name in ("ttft_ms", "ttfa_ms", "itl_ms", "tpot_ms"):
        assert set(figures({name: result.latency[name]})) == {None}
    tokens = result.instrument.tokens
    assert (tokens.cached_share, tokens.prompt_ratio, tokens.difference_share) == (None, None, None)
    assert json.loads(to_json(result))["latency"]["ttft_ms"]["service"]["mean"] is None
    assert "ttft,service,mean,ms,,,,0,,\n" in to_csv(result)


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scripted, Witness, Ran]:
    """Two users, 20 requests: every second one fails at once, by an HTTP 500 or a reset, the others take 80 ms."""
    witness = Witness()

    def script(request: Received) -> list[Step]:
        return reply(4, 0.05, 0.01) if request.number % 2 == 0 else [REFUSED, RESET][request.number // 2 % 2 :][:1]

    with serve(witness(script)) as server:
        folder = tmp_path_factory.mktemp("half") / "run"
        return server, witness, run_once(server.url, folder, requests=20, concurrency=2, e2e_ms=2000.0)


def test_45_failures_lower_no_latency_and_raise_no_throughput(half: tuple[Scripted, Witness, Ran]) -> None:
    _, witness, ran = half
    rows, result = ran.rows, ran.result
    ok = [row for row in rows if row["status"] == "ok"]
    bounds = witness.bounds_ms(ok, witness.t0_ns(ok))
    for name in ("ttft", "e2e"):
        assert result.latency[f"{name}_ms"].service.n == 10
        assert lies_in(result.latency[f"{name}_ms"].service.mean, bounds[name], 5)
    rates = result.throughput
    assert rates.from_s is not None and rates.to_s is not None and rates.requests_counted == "by life"
    low, high = rates.from_s * 1e9, rates.to_s * 1e9
    lives = [(row["send_start_ns"], row["end_ns"]) for row in ok]
    parts = [max(0.0, min(end, high) - max(start, low)) / (end - start) for start, end in lives]
    assert rates.requests_per_s == pytest.approx(sum(parts) * 1e9 / (high - low))


def test_46_failures_stay_in_the_denominators(half: tuple[Scripted, Witness, Ran]) -> None:
    result = half[2].result
    assert result.goodput is not None
    assert (result.goodput.planned, result.goodput.good) == (20, 10)
    assert result.goodput.attainment.value == 0.5


def test_47_failures_are_counted(half: tuple[Scripted, Witness, Ran]) -> None:
    counts = half[2].result.counts.run
    assert (counts.planned, counts.ok, counts.failed) == (20, 10, 10)
    assert half[2].kinds() == {"http_500": 5, "reset": 5}


# --- throughput and concurrency --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Witness, Ran]:
    """Two users, 24 requests: 5 events of 4 tokens, 10 ms apart, by usage 20 tokens, 112 prompt tokens."""
    witness, four = Witness(), output(event(token("four words in here ")))
    end = event(delta(finish="stop")) + event(usage_event(20)).replace(b'_tokens": 7', b'_tokens": 112') + DONE
    steps = sse(*[step for _ in range(5) for step in (0.01, four)], end)
    with serve(witness(lambda _: steps)) as server:
        folder = tmp_path_factory.mktemp("bundled") / "run"
        return witness, run_once(server.url, folder, requests=24, concurrency=2, output_tokens=64)


def read_s(witness: Witness, ran: Ran, pause_s: float) -> list[float]:
    """When the client read every event of output: after the server sent it, and mostly before the pause was over."""
    chunks, t0_ns, times_s, late_s = plain.read(ran.folder, "chunks"), witness.t0_ns(ran.rows), [], []
    for request, seen in witness.seen.items():
        read = sorted(row["t_ns"] for row in chunks if row["request"] == request and row["kind"] & plain.OUTPUT_KINDS)
        late_s += [(t0_ns + moment - sent) / 1e9 for moment, sent in zip(read, seen.before_ns, strict=True)]
        times_s += [moment / 1e9 for moment in read]
    assert min(late_s) > 0 and median(late_s) < pause_s
    return times_s


def test_48_a_window_cuts_what_is_counted_and_its_length_alike(bundled: tuple[Witness, Ran]) -> None:
    witness, ran = bundled
    times_s, end_s = read_s(witness, ran, 0.01), max(row["end_ns"] for row in ran.rows) / 1e9
    for window in ((0.0, end_s), (end_s * 0.25, end_s * 0.75), (end_s * 0.5, end_s * 0.6)):
        rate = build_result(ran.recording, window_s=window).throughput.output_tokens_per_s
        assert rate is not None
        events = sum(window[0] <= moment <= window[1] for moment in times_s)
        assert rate * (window[1] - window[0]) == pytest.approx(4 * events)


def test_49_throughput_counts_tokens_and_not_events(bundled: tuple[Witness, Ran]) -> None:
    _, ran = bundled
    whole_run = build_result(ran.recording, window_s=(0.0, 60.0)).throughput
    assert whole_run.output_tokens_per_s == pytest.approx(24 * 20 / 60)
    assert whole_run.chunks_per_token == pytest.approx(0.25)


def test_50_concurrency_is_of_requests_at_the_same_time(kept: tuple[Scripted, Witness, Ran]) -> None:
    """48 requests touch the one second, 12 are in flight."""
    flight = kept[2].result.concurrency
    assert (flight.asked, flight.max) == (12, 12)
    assert max(flight.series) <= 12
    assert flight.mean is None or flight.mean <= 12


# --- definitions -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Requests of 10, 1 and 4 tokens in known times; the second has no gap, the last's gaps are 20, 200 and 20 ms."""
    rows = [
        ok_request(0),
        ok_request(1, start_ms=10, tokens=1),
        ok_request(2, start_ms=20, tokens=4, last_ns=310 * MS, end_ns=330 * MS),
    ]
    events = [event for row in rows for event in events_of(row)]
    for place, at_ms in enumerate((70, 90, 290, 310)):
        events[11 + place]["t_ns"] = at_ms * MS
    return build(tmp_path_factory.mktemp("golden") / "run", rows, events=events, slo={"ttft_ms": 60.0, "tpot_ms": 30.0})


def test_51_every_name_has_one_formula(golden: Any) -> None:
    latency = build_result(golden).latency
    means = {name: latency[name].service.mean for name in ("ttft_ms", "itl_ms", "tpot_ms", "ntpot_ms", "e2e_ms")}
    assert means == {
        "ttft_ms": pytest.approx(50),
        "itl_ms": pytest.approx((9 * 20 + 20 + 200 + 20) / 12),  # all gaps pooled
        "tpot_ms": pytest.approx((180 / 9 + 240 / 3) / 2),  # a mean a request; one token has none
        "ntpot_ms": pytest.approx((230 / 10 + 50 / 1 + 290 / 4) / 3),
        "e2e_ms": pytest.approx((230 + 50 + 290) / 3),  # to the last token, not to the end of the stream
    }
    assert [latency[name].service.n for name in ("ttft_ms", "itl_ms", "tpot_ms")] == [3, 12, 2]


def test_52_bundled_events_are_told(chat: dict[str, Said]) -> None:
    """4 tokens an event: gaps are those of events. 5 events in one write: the result says that they came together."""
    bundles, together = chat["4 tokens per event"], chat["5 events in one write"]
    low, high = bundles.bounds_ms["spread"]
    assert lies_in(bundles.service_ms("itl_ms"), (low / 4, high / 4), 1)
    assert lies_in(bundles.service_ms("tpot_ms"), (low / 16, high / 16), 1)
    audit = together.result.instrument
    assert audit.merged_share == pytest.approx(0.8)
    low, high = together.bounds_ms["spread"]
    assert lies_in(together.service_ms("tpot_ms"), (low / 5, high / 5), 1)
    assert together.service_ms("itl_ms") is None, "no gap is the server's"


def test_53_the_asked_length_is_not_the_output_length(chat: dict[str, Said]) -> None:
    said = chat["clean"]
    assert {(row["asked_tokens"], row["output_tokens"]) for row in said.rows} == {(64, 10)}
    tokens = said.result.instrument.tokens
    assert (tokens.short_share, tokens.long_share) == (1.0, 0.0)


def test_54_a_text_is_tokenised_once_without_special_tokens(chat: dict[str, Said]) -> None:
    from loadcell.workload import load_tokenizer

    said = chat["no usage at all"]
    (text,) = said.texts
    assert {row["output_tokens"] for row in said.rows} == {load_tokenizer("smollm2").count(text)} == {10}
    assert said.result.methodology.token_source["events"] == EACH, "which its count bears out"


def test_55_prompt_tokens_are_the_servers(bundled: tuple[Witness, Ran]) -> None:
    _, ran = bundled
    assert {(row["input_tokens"], row["prompt_tokens"]) for row in ran.rows} == {(8, 112)}
    result = build_result(ran.recording, window_s=(0.0, 60.0))
    assert result.throughput.input_tokens_per_s == pytest.approx(24 * 112 / 60)
    assert result.methodology.prompt_token_source == {"usage": 24}
    assert result.instrument.tokens.prompt_ratio == pytest.approx(14)


def test_56_tokens_after_the_window_are_not_counted_in_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each reply lasts 0.4 s; the last request is planned at 0.475 s: half of the tokens come after that."""
    witness = Witness()
    with serve(witness(lambda _: reply(20, 0.02, 0.02))) as server:
        folder = tmp_path_factory.mktemp("long") / "run"
        ran = run_once(server.url, folder, rate=40.0, arrivals="constant", requests=20, output_tokens=20)
    times_s = read_s(witness, ran, 0.02)
    rate = build_result(ran.recording, window_s=(0.0, 0.475)).throughput.output_tokens_per_s
    assert rate is not None and rate * 0.475 == pytest.approx(sum(moment <= 0.475 for moment in times_s))
    assert rate * 0.475 < 0.8 * 400
    span, told = ran.result.methodology.window, ran.result.throughput.output_tokens_per_s
    assert told is not None
    events = sum(span.start_s <= moment <= span.end_s for moment in times_s)
    assert told * (span.end_s - span.start_s) == pytest.approx(events)


def test_57_the_clients_own_work_is_not_in_the_duration(kept: tuple[Scripted, Witness, Ran]) -> None:
    """The window ends with the last reply at the latest, not when workers have written and gone."""
    ran = kept[2]
    assert ran.result.methodology.window.end_s <= max(row["end_ns"] for row in ran.rows) / 1e9
    assert ran.result.run.duration_s is not None


def test_58_a_percentile_that_the_samples_do_not_give_is_not_given(kept: tuple[Scripted, Witness, Ran]) -> None:
    ttft = kept[2].result.latency["ttft_ms"].service
    assert ttft.n == 48
    for estimate in (ttft.p99, ttft.p99_9):  # they would be the maximum
        assert (estimate.value, estimate.low, estimate.high) == (None, None, None)
    assert (ttft.p99.needs, ttft.p99_9.needs) == (100, 1000)
    assert ttft.p95.value is not None and (ttft.p95.open, ttft.p95.high, ttft.p95.needs) == (True, None, 59)
    assert ",p99,ms,,,," in to_csv(kept[2].result)
    many: Summary = summarise_array(np.random.default_rng(1).exponential(size=5000))
    values = [many.p99.value, many.p99_9.value, many.max]
    assert None not in values and values == sorted(v for v in values if v is not None)


def test_59_goodput_judges_each_request_by_its_own_figures(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One keeps TTFT alone, one TPOT alone, one has no TPOT, one failed: lists of each would pair the wrong ones."""
    rows = [
        ok_request(0, last_ns=950 * MS, end_ns=960 * MS),  # TTFT 50, TPOT 100
        failed_request(1, "reset"),
        ok_request(2, tokens=1, start_ms=5),  # TTFT 50, no TPOT
        ok_request(3, start_ms=10, first_any_ns=510 * MS, first_answer_ns=510 * MS, last_ns=600 * MS, end_ns=610 * MS),
        ok_request(4, start_ms=15),  # TTFT 50, TPOT 20
    ]
    folder = tmp_path_factory.mktemp("lists") / "run"
    goodput = build_result(build(folder, rows, slo={"ttft_ms": 60.0, "tpot_ms": 30.0})).goodput
    assert goodput is not None
    assert (goodput.planned, goodput.good) == (5, 2)
    assert {name: limit.met for name, limit in goodput.limits.items()} == {"ttft_ms": 3, "tpot_ms": 3}
