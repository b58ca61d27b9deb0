"""What is read of SGLang's lines. No real file is at hand: they are made after its source."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_peers import PEERS, sglang_row, written

from loadcell.errors import UsageError
from loadcell.interop.readers import sglang

_BATCH = {"run_name": "default", "batch_size": 8, "input_len": 1024, "output_len": 16, "latency": 2.5}
_BATCH |= {"input_throughput": 1.0, "output_throughput": 2.0, "overall_throughput": 3.0, "last_ttft": 0.5}
_BATCH |= {"last_gen_throughput": 4.0, "acc_length": -1.0}


def test_it_is_known_by_what_is_in_it(tmp_path):
    assert sglang.matches(written(tmp_path / "a.jsonl", sglang_row(2)))
    assert sglang.matches(written(tmp_path / "b.jsonl", _BATCH)) and sglang.matches(tmp_path)
    assert not any(sglang.matches(folder) for folder in PEERS.iterdir())


def test_each_line_is_a_run(tmp_path):
    path = written(tmp_path / "a.jsonl", sglang_row(), sglang_row(2), sglang_row(2, request_rate=math.inf, tag="x"))
    runs = sglang.read(path)
    assert [run.name for run in runs] == ["rate-4-1", "rate-4-2", "x"]
    assert [(run.loop, run.rate, run.arrivals) for run in runs][1:] == [
        ("open", 4.0, "poisson"),
        ("closed", None, None),
    ]
    assert [run.details is None for run in runs] == [True, False, False]
    assert not any(run.tested or run.placed for run in runs)
    assert "all requests were sent at once: as many users as requests" in runs[2].notes and runs[2].concurrency == 2
    assert (runs[0].model, runs[0].api, runs[0].input_tokens) == ("m", "chat", "uniform:50,100")
    assert (runs[0].ok, runs[0].failed, runs[0].window_s) == (3, None, 2.0)
    assert {"requests", "failed"} <= {missing.field for missing in runs[0].missing}
    assert "secret" not in repr(runs)


def test_requests_have_times_of_their_own_zero(tmp_path):
    row = sglang_row(3, errors=["", "boom", ""], output_lens=[10, 0, 10], cached_tokens=[5, 0, 7])
    row["ttfts"][1], row["itls"] = 0.0, [[0.01] * 9, [], [0.02] * 9]
    (run,) = sglang.read(written(tmp_path / "a.jsonl", row))
    one, failed, three = run.details()
    assert len(list(run.details())) == 3
    assert (run.ok, run.failed, run.planned) == (3, 1, 3)  # `completed` is what the file says
    assert one.sent_s is None and one.first_s == 0.05 and one.last_s == pytest.approx(0.14)
    assert np.diff(three.chunks_s) == pytest.approx([0.02] * 9) and three.chunk_tokens is None
    assert (three.cached_tokens, three.token_source, three.output_tokens) == (7, "unknown", 10)
    assert (failed.status, failed.error, failed.first_s, failed.last_s, failed.output_tokens) == (
        "failed", "boom", None, None, None,
    )  # fmt: skip
    assert {"send_start_ns", "token_source"} <= {missing.field for missing in run.missing}


def test_the_native_client_counts_by_token(tmp_path):
    (run,) = sglang.read(written(tmp_path / "a.jsonl", sglang_row(1, backend="sglang")))
    (request,) = run.details()
    assert list(request.chunk_tokens) == [1] * 10 and request.token_source == "usage"
    assert {told.metric for told in run.told if "_itl_" in told.key} == {"itl_by_token"}


def test_figures_and_their_meaning(tmp_path):
    row = sglang_row(p90_ttft_ms=math.nan, request_goodput=1.0, slo_attainment_by_metric={"ttft": 0.5})
    (run,) = sglang.read(written(tmp_path / "a.jsonl", row | {"total_input_tokens": 0}))
    told = {told.key: told for told in run.told}
    assert (told["p99_ttft_ms"].metric, told["p99_ttft_ms"].stat, told["p99_ttft_ms"].unit) == ("ttft_ms", "p99", "ms")
    assert (told["median_itl_ms"].metric, told["median_itl_ms"].stat) == ("itl_ms", "p50")
    assert told["p90_ttft_ms"].value is None and told["total_input_tokens"].value is None
    assert told["output_throughput"].metric == "output_tokens_per_s"
    assert told["slo_attainment_by_metric.ttft"].value == 0.5
    assert not {"random_input_len", "request_rate"} & told.keys()
    (none,) = sglang.read(written(tmp_path / "b.jsonl", sglang_row(completed=0, mean_ttft_ms=0.0)))
    assert next(told.value for told in none.told if told.key == "mean_ttft_ms") is None


def test_not_streamed(tmp_path):
    (run,) = sglang.read(written(tmp_path / "a.jsonl", sglang_row(2, itls=[[], []])))
    assert run.stream is False
    assert [(r.first_s, r.last_s, r.chunks_s) for r in run.details()] == [(None, 0.05, None)] * 2


def test_a_gap_that_is_not_known_leaves_the_times_after_it_unknown(tmp_path):
    (run,) = sglang.read(written(tmp_path / "a.jsonl", sglang_row(2, itls=[[0.01, math.nan], [0.01, None]])))
    assert [(r.first_s, r.last_s, r.chunks_s) for r in run.details()] == [(0.05, None, None)] * 2


def test_one_batch(tmp_path):
    (run,) = sglang.read(written(tmp_path / "b.jsonl", _BATCH))
    assert (run.name, run.concurrency, run.details) == ("default-batch-8-in-1024-out-16", 8, None)
    told = {told.key: told for told in run.told}
    assert (told["last_ttft"].metric, told["last_ttft"].stat, told["last_ttft"].unit) == ("ttft_ms", "max", "s")
    assert told["acc_length"].value is None and told["latency"].value == 2.5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"itls": [[0.01], [0.01]]}, "line 2: itls: expected a list of 3, as long as ttfts"),
        ({"itls": [[0.01], 7, []]}, "line 2: itls.1: expected a list of gaps"),
        ({"itls": [[0.01], [0.1, "x"], []]}, "line 2: itls.1.1: expected a number, got 'x'"),
        ({"ttfts": [0.1, "x", 0.1]}, "line 2: ttfts.1: expected a number, got 'x'"),
        ({"ttfts": 7}, "line 2: ttfts: expected a list"),
        ({"mean_e2e_latency_ms": None, "batch_size": None}, None),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, said):
    path = written(tmp_path / "a.jsonl", sglang_row(), sglang_row(3) | change)
    if said is None:
        assert len(sglang.read(path)) == 2
        return
    with pytest.raises(UsageError) as error:
        sglang.read(path)
    assert said in str(error.value) and str(path) in str(error.value)


def test_a_line_that_is_cut(tmp_path):
    path = written(tmp_path / "a.jsonl", sglang_row(), sglang_row(3))
    path.write_text(path.read_text()[:-30])
    with pytest.raises(UsageError, match="no whole JSON"):
        sglang.read(path)


_odd = st.none() | st.floats() | st.integers(-5, 10**6)


@given(ttft=_odd, count=_odd, gaps=st.lists(_odd, max_size=3))
@settings(deadline=None, max_examples=40)
def test_whatever_number_stands_there_a_time_is_a_number_or_missing(tmp_path_factory, ttft, count, gaps):
    row = sglang_row(1, ttfts=[ttft], output_lens=[count], itls=[gaps])
    (run,) = sglang.read(written(tmp_path_factory.mktemp("s") / "a.jsonl", row))
    (request,) = run.details()
    for time in (request.first_s, request.last_s, *(request.chunks_s or [])):
        assert time is None or math.isfinite(time)
