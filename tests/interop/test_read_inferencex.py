"""What is read of InferenceX. No real file is at hand: they are made after its source."""

import math

import numpy as np
import pytest
from made_peers import PEERS, inferencex_agentic, inferencex_raw, inferencex_row, real, written

from loadcell.errors import UsageError
from loadcell.interop.read import read_runs
from loadcell.interop.readers import inferencex


def only(tmp_path, row):
    (run,) = inferencex.read(written(tmp_path / "agg.json", row))
    return run


def test_it_is_known_by_what_is_in_it(tmp_path):
    for i, row in enumerate(
        (inferencex_raw(), inferencex_raw(2), inferencex_row(), inferencex_agentic(), [inferencex_row()])
    ):
        path = written(tmp_path / f"{i}.json", row)
        assert inferencex.matches(path) and read_runs(path)[0].tool == "inferencex"
    assert not inferencex.matches(written(tmp_path / "x" / "meta_env.json", {"infmax_model_prefix": "m", "hw": "h200"}))
    assert not any(inferencex.matches(folder) for folder in PEERS.iterdir())
    assert not inferencex.matches(written(tmp_path / "y" / "vllm.json", real("vllm_bench/r.json")))


def test_a_raw_result(tmp_path):
    run = only(tmp_path, inferencex_raw())
    assert (run.schema, run.tested, run.placed, run.details) == ("raw", False, False, None)
    assert (run.loop, run.concurrency, run.rate, run.requests) == ("closed", 2, None, 4)
    assert (run.ok, run.failed, run.window_s, run.name) == (3, 1, 2.0, "concurrency-2")
    assert (run.model, run.tokenizer, run.started_at.timestamp()) == ("m", "t", 1_795_958_030.5)
    told = {told.key: told for told in run.told}
    assert (told["request_goodput:"].value, told["request_goodput:"].metric) == (1.0, "goodput")
    assert (told["p99_e2el_ms"].metric, told["p99_e2el_ms"].stat, told["p99_e2el_ms"].unit) == ("e2e_ms", "p99", "ms")
    assert told["median_itl_ms"].stat == "p50" and "num_prompts" not in told


def test_requests_of_a_raw_result(tmp_path):
    run = only(tmp_path, inferencex_raw(2, request_rate=4.0, burstiness=0.25, errors=["", "boom"]))
    assert (run.loop, run.rate, run.arrivals, run.failed) == ("open", 4.0, "gamma:2", 0)  # by what it counts
    one, two = run.details()
    assert (one.first_s, one.token_source, one.output_tokens, one.input_tokens) == (0.05, "unknown", 10, 100)
    assert one.last_s == pytest.approx(0.15) and np.diff(one.chunks_s) == pytest.approx([0.01] * 10)
    assert (two.status, two.error, two.output_tokens) == ("failed", "boom", None)
    assert "secret" not in repr(run) and "secret" not in repr([one, two])
    assert {"send_start_ns", "token_source", "version"} <= {missing.field for missing in run.missing}


def test_an_aggregate_row_is_in_seconds(tmp_path):
    run = only(tmp_path, inferencex_row())
    assert (run.schema, run.name, run.concurrency) == (
        "aggregate row", "h200-m-vllm-fp8-8192-1024-concurrency-64", 64,
    )  # fmt: skip
    assert run.input_tokens is None  # nominal
    told = {told.key: told for told in run.told}
    assert (told["p99_ttft"].unit, told["p99_ttft"].metric, told["p99_ttft"].value) == ("s", "ttft_ms", 0.05)
    assert (told["p99_intvty"].unit, told["p99_intvty"].metric) == ("tokens/s", "user_tokens_per_s")
    assert told["std_intvty"].metric is None and told["tput_per_gpu"].unit == "tokens/s/GPU"
    assert told["median_itl"].metric == "itl_ms" and "avg_power_w" in told
    assert not {"tp", "isl", "conc", "is_multinode"} & told.keys()


def test_a_row_of_agents(tmp_path):
    run = only(tmp_path, inferencex_agentic())
    assert (run.schema, run.planned, run.ok, run.failed, run.window_s) == ("row of agents", 100, 95, 3, 20.0)
    told = {told.key: told for told in run.told}
    ttft = told["request_metrics.latency.ttft.p50"]
    assert (ttft.metric, ttft.stat, ttft.unit, ttft.value) == ("ttft_ms", "p50", "s", 0.02)
    assert told["request_metrics.latency.itl.p75"].metric == "tpot_ms"
    assert told["request_metrics.latency.intvty.p75"].metric == "user_tokens_per_s"
    assert told["request_metrics.throughput.output.tokens_per_second"].metric == "output_tokens_per_s"
    assert told["request_metrics.throughput.per_gpu.output_tput_tps"].metric is None
    assert told["request_accounting.error_categories.timeout"].value == 3
    assert "request_metrics.cache.theoretical_cache_hit_rate" not in told


def test_rows_of_a_list_are_runs(tmp_path):
    rows = [inferencex_row(conc=conc) for conc in (4, 8, 8)]
    runs = inferencex.read(written(tmp_path / "all.json", rows))
    assert [run.name.partition("concurrency-")[2] for run in runs] == ["4", "8-1", "8-2"]


def test_no_success_is_missing_not_zero(tmp_path):
    run = only(tmp_path, inferencex_raw(completed=0, mean_ttft_ms=0.0, p99_ttft_ms=math.nan))
    told = {told.key: told.value for told in run.told}
    assert (told["mean_ttft_ms"], told["p99_ttft_ms"], told["completed"]) == (None, None, 0)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (inferencex_raw(2, ttfts=[0.1]), "line 1: itls: expected a list of 1, as long as ttfts"),
        (inferencex_raw(2, ttfts=[0.1, "x"]), "line 1: ttfts.1: expected a number, got 'x'"),
        ([inferencex_row(), {"a": 1}], "line 2: has neither"),
        ([inferencex_row(), 7], "line 2: expected an object"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, row, said):
    path = written(tmp_path / "a.json", row)
    with pytest.raises(UsageError) as error:
        inferencex.read(path)
    assert str(error.value).startswith(f"{path}: {said}")


def test_a_file_that_is_cut(tmp_path):
    path = written(tmp_path / "a.json", inferencex_raw(2))
    path.write_text(path.read_text()[:-30])
    with pytest.raises(UsageError, match="no whole JSON"):
        inferencex.read(path)
