"""What is read of GuideLLM's reports, of each version."""

import json

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from made_peers import (
    PEERS,
    guidellm_benchmark,
    guidellm_groups,
    guidellm_report,
    guidellm_requests,
    guidellm_row,
    guidellm_row_of_02,
    real,
    written,
)

from loadcell.errors import UsageError
from loadcell.interop.readers import guidellm

FILE = PEERS / "guidellm" / "g.json.gz"
FORMS = {"2": "report 2", "1": "report 1", "0.4": "report of 0.4", "0.2": "report of 0.2", "0.1": "report of 0.1"}


@pytest.fixture(scope="module")
def run():
    (run,) = guidellm.read(FILE.parent)
    return run


@pytest.fixture(scope="module")
def bench():
    return real("guidellm/g.json.gz")["benchmarks"][0]


def test_it_is_known_by_what_is_in_it(tmp_path):
    assert guidellm.matches(FILE) and guidellm.matches(FILE.parent)
    for folder in PEERS.iterdir():
        assert folder.name == "guidellm" or not guidellm.matches(folder)


def test_the_real_run_says_what_it_was(run):
    assert (run.version, run.schema, run.tested, run.name) == ("0.8.1", "report 2", True, "concurrent@8")
    assert (run.loop, run.concurrency, run.requests, run.planned, run.seed) == ("closed", 8, 64, 64, 42)
    assert (run.ok, run.failed, run.cancelled, run.placed) == (64, 0, 0, True)
    assert (run.model, run.api, run.stream, run.url) == ("truth", "chat", True, "http://127.0.0.1:8901")
    assert (run.input_tokens, run.output_tokens) == ("128", "50")


def test_requests_have_the_times_of_the_report(run, bench):
    rows = sorted(bench["requests"]["successful"], key=lambda row: row["request_start_time"])
    requests = list(run.details())
    assert len(requests) == len(rows) == len(list(run.details()))
    for row, request in zip(rows, requests, strict=True):
        assert (request.first_s - request.sent_s) * 1e3 == pytest.approx(row["time_to_first_token_ms"], abs=1e-3)
        assert request.end_s - request.sent_s == pytest.approx(row["request_latency"], abs=1e-6)
        tpot_ms = (request.last_s - request.first_s) * 1e3 / (request.output_tokens - 1)
        assert tpot_ms == pytest.approx(row["inter_token_latency_ms"], abs=1e-3)
        assert (request.input_tokens, request.output_tokens) == (row["prompt_tokens"], row["output_tokens"])
        assert (request.planned_s, request.token_source, request.session) == (None, "unknown", None)
    assert run.window_s == bench["duration"]
    assert run.started_at.timestamp() == pytest.approx(rows[0]["request_start_time"], abs=1e-5)


def test_its_figures_are_told_and_zeros_of_nothing_are_not(run, bench):
    told = {told.key: told for told in run.told}
    groups = bench["metrics"]["time_to_first_token_ms"]
    assert told["time_to_first_token_ms.p99"].value == groups["successful"]["percentiles"]["p99"]
    assert told["time_to_first_token_ms.total.mean"].value == groups["total"]["mean"]
    assert told["time_to_first_token_ms.errored.count"].value == 0
    assert "time_to_first_token_ms.errored.mean" not in told
    assert told["time_to_last_round_trip_ms.mean"].value is None  # all rows are null, which it writes as zeros
    assert told["request_totals.successful"].value == 64
    assert told["text.tokens.input.mean"].value == bench["metrics"]["text"]["tokens"]["input"]["successful"]["mean"]
    assert told["scheduler_metrics.generation_delay.p99"].unit == "s"
    assert not any(key.startswith("scheduler_metrics") and key.endswith("_time") for key in told)
    means = {(t.metric, t.stat): t for t in run.told if t.metric}
    assert means["tpot_ms", "p99.9"].key == "inter_token_latency_ms.p999"
    assert means["ttft_ms", "p0.1"].key == "time_to_first_token_ms.p001"
    assert (means["e2e_ms", "p50"].unit, means["requests_per_s", None].key) == ("s", "requests_per_second.mean")
    assert not any(t.metric == "requests_per_s" and t.stat for t in run.told)


def test_what_was_told_follows_from_the_requests(run):
    """Its distributions are steps; those of TPOT count each request by its tokens but one."""
    told = {told.key: told.value for told in run.told}
    requests = list(run.details())
    ttft = np.array([r.first_s - r.sent_s for r in requests]) * 1e3
    tpot = np.array([(r.last_s - r.first_s) / (r.output_tokens - 1) for r in requests]) * 1e3
    assert told["time_to_first_token_ms.p90"] == pytest.approx(np.percentile(ttft, 90, method="higher"), abs=1e-2)
    assert told["time_to_first_token_ms.mean"] == pytest.approx(ttft.mean(), abs=1e-3)
    assert told["inter_token_latency_ms.mean"] == pytest.approx(tpot.mean(), abs=1e-3)
    assert told["inter_token_latency_ms.count"] == sum(r.output_tokens - 1 for r in requests)
    assert told["requests_per_second.mean"] == pytest.approx(64 / run.window_s)


def test_it_is_near_the_truth(run):
    truth = real("truth.json")["guidellm"]["truth"]
    requests = list(run.details())
    ttft = np.median([r.first_s - r.sent_s for r in requests]) * 1e3
    tpot = np.median([(r.last_s - r.first_s) / (r.output_tokens - 1) for r in requests]) * 1e3
    assert 0 <= ttft - truth["ttft_ms"]["p50"] < 5
    assert tpot == pytest.approx(truth["tpot_ms"]["p50"], rel=0.01)
    assert sum(r.output_tokens for r in requests) == truth["tokens"]


@pytest.mark.parametrize("ending", ["json", "yaml"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_requests(tmp_path, form, ending):
    path = tmp_path / f"report.{ending}"
    report = guidellm_report(form)
    path.write_text(json.dumps(report) if ending == "json" else yaml.safe_dump(report, sort_keys=False))
    assert guidellm.matches(path)
    (run,) = guidellm.read(path)
    assert (run.schema, run.tested, run.ok) == (FORMS[form], False, 2)
    assert (run.model, run.url) == ("m", "http://h:1")
    one, two = run.details()
    is_open = form in ("0.2", "0.1")
    zero = 0.001 if form == "0.2" else 0.0  # what was planned comes before what was sent
    times = (one.sent_s, one.first_s, one.last_s, one.end_s)
    assert times == pytest.approx((zero, zero + 0.05, zero + 0.09, zero + 0.1))
    assert two.sent_s - one.sent_s == pytest.approx(0.5)
    assert (one.input_tokens, one.output_tokens, one.status) == (128, 5, "ok")
    assert run.loop == ("open" if is_open else "closed")
    assert (one.planned_s is not None) == (form == "0.2")
    assert (one.chunks_s is not None) == (form == "0.1") == bool(run.derived)
    if form == "0.1":
        assert list(one.chunks_s) == pytest.approx([0.05, 0.06, 0.07, 0.08, 0.09]) and not run.told
    else:
        told = {t.key: t.metric for t in run.told}
        assert told["inter_token_latency_ms.p50"] == "tpot_ms"
        assert told["time_per_output_token_ms.p50"] == (None if form == "0.2" else "ntpot_ms")
        assert (run.input_tokens, run.output_tokens) == ("128", "5")
    assert "secret" not in repr(run) and "secret" not in repr([one, two])


def test_limits_and_warm_up(tmp_path):
    (run,) = guidellm.read(written(tmp_path / "r.json", guidellm_report("1")))
    assert run.requests == 4  # the second of its list
    assert "requests of the warm-up and the cool-down, which GuideLLM left out: 3" in run.notes
    assert any("connecting is a part of TTFT" in note for note in run.notes)


def test_many_benchmarks_are_many_runs(tmp_path):
    strategies = [{"type_": "synchronous"}, {"type_": "constant", "rate": 2.5}, {"type_": "constant", "rate": 2.5}]
    report = guidellm_report("1") | {"benchmarks": [guidellm_benchmark(guidellm_row(), strategy=s) for s in strategies]}
    runs = guidellm.read(written(tmp_path / "r.json", report))
    assert [run.name for run in runs] == ["synchronous", "constant@2.5-1", "constant@2.5-2"]
    assert [(run.loop, run.rate, run.concurrency) for run in runs][:2] == [("closed", None, 1), ("open", 2.5, None)]
    assert next(runs[1].details()).planned_s == 0.0


def test_failed_and_cut_requests_and_samples(tmp_path):
    failed = guidellm_row(101.0, output_tokens=None)
    failed["info"] = failed["info"] | {"error": "boom"}
    failed["info"]["timings"] = {"request_start": 101.0}
    requests = guidellm_requests(guidellm_row(), errored=[failed], incomplete=[guidellm_row(102.0)])
    bench = guidellm_benchmark(guidellm_row(), requests=requests)
    bench["metrics"]["request_totals"] = {"successful": 10, "errored": 4, "incomplete": 1, "total": 15}
    (run,) = guidellm.read(written(tmp_path / "r.json", guidellm_report("1") | {"benchmarks": [bench]}))
    assert (run.ok, run.failed, run.cancelled) == (10, 4, 1)
    assert [r.status for r in run.details()] == ["ok", "failed", "cancelled"]
    assert [r.error for r in run.details()] == [None, "boom", None]
    assert [r.first_s for r in run.details()][1] is None
    missing = {missing.field: missing.why for missing in run.missing}
    assert missing["requests"] == "the file holds a sample of them: 3 of 15"


def test_no_time_is_minus_one_in_02(tmp_path):
    report = guidellm_report("0.2")
    report["benchmarks"][0]["requests"] = guidellm_requests(
        guidellm_row_of_02(first_token_time=-1.0, last_token_time=-1.0), guidellm_row_of_02(101.0)
    )
    (run,) = guidellm.read(written(tmp_path / "r.json", report))
    request = next(run.details())
    assert request.first_s is None and request.last_s is None and request.end_s is not None
    assert "ok requests without a first token, which count as 0 in GuideLLM's own TTFT: 1" in run.notes


def test_a_gap_that_is_not_known_in_01(tmp_path):
    report = guidellm_report("0.1")
    report["benchmarks"][0]["benchmarks"][0]["results"][0]["decode_times"] = {"data": [0.01, None]}
    (run,) = guidellm.read(written(tmp_path / "r.json", report))
    request = next(run.details())
    assert (request.first_s, request.last_s, request.chunks_s) == (pytest.approx(0.05), None, None)


def test_turns_name_their_session(tmp_path):
    rows = [guidellm_row(), guidellm_row(101.0)]
    rows[1]["info"] = rows[1]["info"] | {"turn_index": 1}
    report = guidellm_report("1") | {"benchmarks": [guidellm_benchmark(*rows)]}
    (run,) = guidellm.read(written(tmp_path / "r.json", report))
    assert [(r.session, r.turn) for r in run.details()] == [("c", 0), ("c", 1)]


def test_all_zero_is_missing(tmp_path):
    """Without a stream GuideLLM writes 0 for each TTFT."""
    bench = guidellm_benchmark(guidellm_row())
    bench["metrics"]["time_to_first_token_ms"] = guidellm_groups([0.0])
    (run,) = guidellm.read(written(tmp_path / "r.json", guidellm_report("1") | {"benchmarks": [bench]}))
    assert {t.value for t in run.told if t.metric == "ttft_ms" and t.stat != "count"} == {None}


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda r: r["metadata"].update(version=3), "metadata.version: report version 3 of GuideLLM is not known"),
        (lambda r: r.update(benchmarks=[]), "benchmarks: the report holds no benchmark"),
        (lambda r: r.update(benchmarks={}), "benchmarks: expected a list of benchmarks"),
        (
            lambda r: r["benchmarks"][0]["requests"]["successful"][1].update(output_tokens="many"),
            "benchmarks.0.requests.successful.1.output_tokens: expected a number, got 'many'",
        ),
        (
            lambda r: r["benchmarks"][0]["requests"]["successful"][0]["info"]["timings"].update(request_start=[]),
            "benchmarks.0.requests.successful.0.info.timings.request_start: expected a number",
        ),
        (
            lambda r: r["benchmarks"][0]["requests"]["successful"].append(7),
            "benchmarks.0.requests.successful.2: is no request",
        ),
        (lambda r: r["benchmarks"][0]["requests"].update(errored=7), "benchmarks.0.requests.errored: expected a list"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, break_it, said):
    report = guidellm_report("1")
    break_it(report)
    path = written(tmp_path / "r.json", report)
    with pytest.raises(UsageError) as error:
        guidellm.read(path)
    assert said in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize(("ending", "dump"), [("json", json.dumps), ("yaml", yaml.safe_dump)])
def test_a_report_that_is_cut(tmp_path, ending, dump):
    path = tmp_path / f"r.{ending}"
    text = dump(guidellm_report("1"))
    cut = text[: len(text) * 2 // 3].rstrip()
    for left in (cut, cut + "\n}\n"):
        path.write_text(left)
        with pytest.raises(UsageError, match="no whole"):
            guidellm.read(path)


_odd = st.none() | st.just(float("nan")) | st.just(float("inf")) | st.floats(-10, 1e9) | st.integers(-1, 10**6)


@given(values=st.lists(_odd, min_size=7, max_size=7))
@settings(deadline=None, max_examples=40)
def test_whatever_number_stands_there_a_time_is_a_number_or_missing(tmp_path_factory, values):
    row = guidellm_row(output_tokens=values[5], prompt_tokens=values[6])
    row["info"]["timings"] = dict(zip(row["info"]["timings"], values, strict=False))
    report = guidellm_report("1") | {"benchmarks": [guidellm_benchmark(row)]}
    (run,) = guidellm.read(written(tmp_path_factory.mktemp("g") / "r.json", report))
    for request in run.details():
        for time in (request.sent_s, request.first_s, request.last_s, request.end_s):
            assert time is None or np.isfinite(time)
