from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import ok_request
from made_looks import Told, seen, steps, write_looks

from loadcell.metrics import build_result
from loadcell.metrics.observed import MOST_POINTS, thinned
from loadcell.recording.read import Recording, open_recording

Make = Callable[..., Recording]
RUNNING = 'vllm:num_requests_running{engine="0",model_name="m"} {}'
TOKENS = 'vllm:generation_tokens_total{engine="0",model_name="m"} {}'


def test_a_recording_without_sources_has_none(make: Make) -> None:
    assert build_result(make([ok_request(0)])).observed is None


def test_files_of_what_was_watched_that_cannot_be_read_are_said(make: Make) -> None:
    recording = write_looks(make([ok_request(0)]), Told(steps([1, 2], RUNNING)))
    (recording.path / "looks-00000.parquet").write_bytes(b"PAR1 no more")
    (recording.path / "sources.json").write_text("[{]")
    result = build_result(open_recording(recording.path))
    (note,) = [note for note in result.notes if "watched beside the load" in note]
    assert note.endswith(": sources.json, looks-00000.parquet (damaged, or cut short)")
    assert (result.invalid, result.observed) == ([], None), "no figure of the load needs them"


def test_a_mean_that_is_missing_has_its_reason() -> None:
    late = "where a mean is missing, more than 10 % of the window was not seen"
    assert seen(Told(steps([1] * 5, RUNNING))).notes == [late]
    assert seen(Told(steps([1] * 11, RUNNING))).notes == []


def test_a_gauge_over_the_window() -> None:
    one = seen(Told(steps([0, 0, 4, 4, 8, 8, 8, 8, 8, 8, 2], RUNNING)), window=(2, 6)).series["requests_running"]
    assert (one.mean, one.min, one.max) == (pytest.approx((4 + 6 + 8 + 8) / 4), 4, 8)
    assert (one.kind, one.unit, one.gained, one.sources) == ("gauge", "requests", None, ["http://a:8000/metrics"])
    assert (one.t_s[:3], one.values) == ([0, 1, 2], [0, 0, 4, 4, 8, 8, 8, 8, 8, 8, 2])


def test_a_counter_over_a_window_that_cuts_its_intervals() -> None:
    one = seen(Told(steps([100, 100, 200, 400, 1000, 1000], TOKENS)), window=(1.5, 3.25)).series["output_tokens"]
    assert one.gained == pytest.approx(50 + 200 + 150)
    assert one.mean == pytest.approx(400 / 1.75)
    assert (one.kind, one.unit, one.values) == ("rate", "tokens/s", [None, 0, 100, 200, 600, 0])


def test_a_failed_look_is_null_and_one_gap_does_not_hide_the_mean() -> None:
    found = seen(Told(steps([1, 1, None, 1, 1, 1, 1, 1, 1, 1, 1], RUNNING)))
    assert found.series["requests_running"].values[2] is None
    assert found.series["requests_running"].mean == 1
    source = found.sources[0]
    assert (source.looks, source.failed, source.longest_gap_s) == (11, 1, 2)
    assert source.says == "1 of 11 looks failed, 2 s without an answer: no answer within 2 s"


def test_a_mean_over_less_than_the_window_is_none() -> None:
    silent = [1, 1, 1, None, None, None, None, 1, 1, 1, 1]
    running = seen(Told(steps(silent, RUNNING))).series["requests_running"]
    assert (running.mean, running.max) == (None, 1)
    tokens = seen(Told(steps([0, 1, 2, None, None, None, None, 7, 8, 9, 10], TOKENS))).series["output_tokens"]
    assert tokens.gained == 10  # what a counter gained in a gap is known
    assert tokens.values[7] == pytest.approx(5 / 5)


def test_the_edges_of_the_window_must_be_seen() -> None:
    late = Told(steps([1, 2, 3], TOKENS, start_s=2))
    assert seen(late, window=(0, 4)).series["output_tokens"].gained is None
    assert seen(late, window=(2, 4)).series["output_tokens"].gained == 2
    gap = Told(steps([1, 2, None, None, None, None, 7, 8], TOKENS))
    assert seen(gap, window=(0, 3)).series["output_tokens"].gained is None  # when in the gap nobody knows
    assert seen(gap, window=(0, 7)).series["output_tokens"].gained == 7
    early = Told(steps([1, 2, 3], TOKENS))
    assert seen(early, window=(0, 4)).series["output_tokens"].gained is None


def test_engines_of_one_page_are_added_and_may_come_and_go() -> None:
    both = RUNNING + "\n" + RUNNING.replace('engine="0"', 'engine="1"')
    pages = steps([3, 3], both) | steps([3, 3], RUNNING, start_s=2) | steps([3], both, start_s=4)
    one = seen(Told(pages), window=(0, 4)).series["requests_running"]
    assert one.values == [6, 6, 3, 3, 6]


def test_replicas_are_added_and_unknown_while_one_is_silent() -> None:
    a = Told(steps([1] * 11, RUNNING))
    b = Told(steps([2, 2, None, 2, 2, 2, 2, 2, 2, 2, 2], RUNNING, start_s=0.003), name="http://b:8000/metrics")
    one = seen(a, b).series["requests_running"]
    assert one.values == [3, 3, None, *[3] * 8]
    assert one.sources == [a.name, b.name]
    gone = Told(steps([2, 2, 2, *[None] * 8], RUNNING), name=b.name)
    assert seen(a, gone).series["requests_running"].values == [3, 3, 3, *[None] * 8]
    assert seen(a, gone).series["requests_running"].mean is None
    dead = Told(dict.fromkeys(range(11)), name=b.name)
    assert seen(a, dead).series["requests_running"].mean == 1  # nobody knows whether it ever served
    assert seen(a, dead).sources[1].says == "never answered: no answer within 2 s"
    assert seen(a, dead).sources[1].longest_gap_s is None


def test_shares_of_replicas_are_averaged_and_the_fullest_is_shown() -> None:
    use = 'vllm:kv_cache_usage_perc{engine="0"} {}'
    a, b = Told(steps([0.2] * 11, use)), Told(steps([1.0] * 11, use), name="http://b:8000/metrics")
    series = seen(a, b).series
    assert series["kv_cache_use"].mean == pytest.approx(0.6)
    assert series["kv_cache_use_max"].mean == 1
    assert "kv_cache_use_max" not in seen(a).series


def test_a_page_with_old_and_new_names_counts_them_once() -> None:
    lines = (
        "vllm:kv_cache_usage_perc 0.5\nvllm:gpu_cache_usage_perc 0.4\nvllm:prefix_cache_hits_total 3\n"
        "vllm:gpu_prefix_cache_hits_total 4\nvllm:prefix_cache_queries_total 10\n"
    )
    series = seen(Told({0.0: lines, 1.0: lines}), window=(0, 1)).series
    assert series["kv_cache_use"].mean == 0.5
    assert "kv_cache_use_max" not in series


def test_the_hit_share_is_that_of_what_was_gained() -> None:
    line = "vllm:prefix_cache_hits_total {}\nvllm:prefix_cache_queries_total 0\n"
    pages = {
        float(k): line.replace("{}", str(hits)).replace(" 0\n", f" {queries}\n")
        for k, (hits, queries) in enumerate([(5, 100), (5, 200), (55, 300), (55, 300)])
    }
    one = seen(Told(pages), window=(0, 3)).series["prefix_cache_hit_share"]
    assert one.mean == pytest.approx(50 / 200)
    assert one.values == [None, 0, 0.5, None]


def test_a_restart_is_null_and_said() -> None:
    found = seen(Told(steps([100, 200, 10, 110, 210], TOKENS)), window=(0, 4))
    one = found.series["output_tokens"]
    assert (one.values, one.gained, one.mean) == ([None, 100, None, 100, 100], None, None)
    assert "went down, away or were no numbers once: did it start anew?" in found.notes[0]
    born = "process_start_time_seconds {}\n"
    pages = {k: page + born.replace("{}", "7" if k < 2 else "9") for k, page in steps([1, 2, 3, 4], TOKENS).items()}
    assert seen(Told(pages), window=(0, 3)).series["output_tokens"].values == [None, 1, None, 1]


def test_a_counter_that_appears_began_at_zero_and_one_that_goes_is_unknown() -> None:
    aborted = 'vllm:request_success_total{finished_reason="abort"} 3\n'
    pages = {
        k: page + (aborted if k >= 2 else "")
        for k, page in steps([10, 20, 30, 40], 'vllm:request_success_total{finished_reason="stop"} {}').items()
    }
    one = seen(Told(pages), window=(0, 3)).series["requests_finished"]
    assert (one.values, one.gained) == ([None, 10, 13, 10], 33)
    gone = seen(Told({0.0: "x 1\n" + aborted, 1.0: "x 1\n", 2.0: "x 1\n"}), window=(0, 2))
    assert gone.series["requests_finished"].values == [None, None, 0]


@given(
    st.lists(st.tuples(*[st.integers(0, 1000)] * 3), min_size=3, max_size=12),
    st.floats(0, 1), st.floats(1.1, 2),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_splitting_a_counter_over_replicas_does_not_change_its_gain(
    parts: list[tuple[int, int, int]], low: float, high: float
) -> None:
    totals = np.cumsum(parts, axis=0).tolist()
    whole = Told(steps([float(sum(row)) for row in totals], TOKENS))
    each = [Told(steps([float(row[i]) for row in totals], TOKENS), name=f"http://{i}/metrics") for i in range(3)]
    a = seen(whole, window=(low, high)).series["output_tokens"]
    b = seen(*each, window=(low, high)).series["output_tokens"]
    assert b.gained == pytest.approx(a.gained, rel=1e-12, abs=1e-9)
    assert b.values == a.values


# --- one server, seen twice ------------------------------------------------------------------------------------------

SECONDS = "vllm:e2e_request_latency_seconds_sum {}"


def page_of(tokens: float, seconds: float) -> str:
    return f"{TOKENS}\n{SECONDS}\n".replace("{}", repr(tokens), 1).replace("{}", repr(seconds))


def test_a_server_read_by_two_urls_counts_once() -> None:
    times = [float(k) for k in range(11)]
    a = Told({t: page_of(100 * t, 1.37 * t) for t in times})
    b = Told({t + 0.002: page_of(100 * t + (t > 4), 1.37 * t) for t in times}, name="http://b/metrics")
    found = seen(a, b)
    assert found.series["output_tokens"].gained == 1000
    assert found.series["output_tokens"].sources == [a.name]
    assert found.sources[1].says == f"the same server as {a.name}: counted once"


def test_servers_that_count_other_seconds_are_two() -> None:
    a = Told({float(k): page_of(100 * k, 1.37 * k) for k in range(11)})
    b = Told({float(k): page_of(100 * k, 1.38 * k) for k in range(11)}, name="http://b/metrics")
    assert seen(a, b).series["output_tokens"].gained == 2000
    # equal once, but then far from what the other tells around it
    c = Told({float(k): page_of(100 * k, 1.37 * k + 9 * (k > 1)) for k in range(11)}, name="http://c/metrics")
    assert seen(a, c).series["output_tokens"].gained == 2000


@pytest.mark.parametrize(("other", "servers"), [("7.25", 1), ("7.26", 2)])
def test_processes_that_began_at_one_time_are_one(other: str, servers: int) -> None:
    def told(born: str, name: str) -> Told:
        pages = steps([0.0, 0.0, 0.0], "vllm:time_to_first_token_seconds_sum {}")
        return Told({k: f"{page}process_start_time_seconds {born}\n{RUNNING}\n".replace("{}", "1")
                     for k, page in pages.items()}, name=name)  # fmt: skip

    assert seen(told("7.25", "http://a/"), told(other, "http://b/"), window=(0, 2)).series[
        "requests_running"
    ].mean == servers  # fmt: skip


def test_a_front_end_is_not_added_to_its_workers() -> None:
    front = Told(
        steps([9.0] * 3, "dynamo_frontend_inflight_requests {}\ndynamo_frontend_queued_requests 5"),
        name="http://front/metrics",
    )
    worker = Told(steps([2.0] * 3, RUNNING + '\ndynamo_component_inflight_requests{dynamo_endpoint="generate"} 3'))
    found = seen(front, worker, window=(0, 2))
    assert found.series["requests_running"].mean == 2
    assert found.series["requests_waiting"].mean == 5  # no worker tells it
    assert any("stands in front of the servers that were watched" in note for note in found.notes)
    assert [source.engine for source in found.sources] == ["Dynamo", "vLLM"]
    assert seen(front, window=(0, 2)).series["requests_running"].mean == 9


# --- junk ------------------------------------------------------------------------------------------------------------


def test_a_page_of_unknown_names_is_said() -> None:
    found = seen(Told({0.0: "my_own_metric 1\n", 1.0: "my_own_metric 2\n"}, notes=["too long"]), window=(0, 1))
    assert (found.series, found.energy, found.sources[0].engine) == ({}, None, None)
    assert found.sources[0].says == "none of its names is known here"
    assert found.notes == ["http://a:8000/metrics: too long"]


def test_what_is_no_number_is_null() -> None:
    pages = steps([1, "NaN", 3, "+Inf", 5], RUNNING.replace("{}", "{}")).items()
    found = seen(Told({k: page.replace("'", "") for k, page in pages}), window=(0, 4))
    assert found.series["requests_running"].values == [1, None, 3, None, 5]


def test_a_source_that_was_never_asked() -> None:
    found = seen(Told({}))
    assert (found.sources[0].looks, found.sources[0].longest_gap_s) == (0, None)
    assert found.sources[0].says == "never asked: the run ended before"


def test_an_empty_window_has_no_means() -> None:
    found = seen(Told(steps([1, 2, 3], RUNNING + "\n" + TOKENS.replace("{}", "5"))), window=(1, 1))
    assert {one.mean for one in found.series.values()} == {None}


@given(st.lists(st.one_of(st.just(math.nan), st.floats(-1e6, 1e6)), max_size=3000))
@settings(max_examples=50, deadline=None)
def test_thinning_keeps_extremes_and_order(values: list[float]) -> None:
    array = np.array(values, dtype=np.float64)
    kept = thinned(array)
    assert len(kept) <= MOST_POINTS and (np.diff(kept) > 0).all()
    assert np.isnan(array[kept]).any() == np.isnan(array).any()
    known = array[~np.isnan(array)]
    if known.size:
        shown = array[kept][~np.isnan(array[kept])]
        assert (shown.min(), shown.max()) == (known.min(), known.max())


def test_this_machine_and_when_it_was_nearly_full() -> None:
    lines = (
        "host_cpu_share {}\nhost_core_share_max 1\nhost_memory_used_bytes 25\nhost_memory_total_bytes 100\n"
        "host_load_1m 3"
    )
    found = seen(Told(steps([0.5, 0.95, 0.91, 0.9, 0.2], lines), kind="host", name="this machine"), window=(0, 4))
    assert found.series["memory_share"].mean == 0.25
    assert found.series["cpu_share"].max == 0.95
    assert "memory_used_bytes" not in found.series
    assert "more than 90 % busy at 2 of 5 looks" in found.notes[0]


# --- the names of each engine ----------------------------------------------------------------------------------------

PAGES: dict[str, tuple[str, dict[str, float]]] = {
    "vLLM": (
        """# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 14.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0
vllm:num_requests_waiting{engine="0",model_name="m"} 3.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.4
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.2
vllm:num_preemptions_total{engine="0",model_name="m"} <0>
vllm:prompt_tokens_total{engine="0",model_name="m"} <512>
vllm:generation_tokens_total{engine="0",model_name="m"} <100>
vllm:prefix_cache_queries_total{engine="0",model_name="m"} <512>
vllm:prefix_cache_hits_total{engine="0",model_name="m"} <128>
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} <1>
vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} <2>
""",
        {"requests_running": 16, "requests_waiting": 3, "kv_cache_use": 0.3, "kv_cache_use_max": 0.4, "preemptions": 0,
         "prompt_tokens": 512, "output_tokens": 100, "prefix_cache_hit_share": 0.25, "requests_finished": 3},
    ),
    "vLLM V0": (
        """vllm:num_requests_running{model_name="m"} 14.0
vllm:gpu_cache_usage_perc{model_name="m"} 0.4
vllm:gpu_prefix_cache_hit_rate{model_name="m"} 0.125
""",
        {"requests_running": 14, "kv_cache_use": 0.4, "prefix_cache_hit_share": 0.125},
    ),
    "SGLang": (
        """sglang:num_running_reqs{engine_type="unified",model_name="m",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 7.0
sglang:num_running_reqs{engine_type="unified",model_name="m",moe_ep_rank="0",pp_rank="0",tp_rank="1"} 7.0
sglang:num_queue_reqs{engine_type="unified",model_name="m",tp_rank="0"} 1.0
sglang:token_usage{engine_type="unified",model_name="m",tp_rank="0"} 0.28
sglang:cache_hit_rate{engine_type="unified",model_name="m",tp_rank="0"} 0.99
sglang:num_retracted_requests_total{engine_type="unified",model_name="m",tp_rank="0"} <4>
sglang:prompt_tokens_total{engine_type="unified",model_name="m"} <400>
sglang:generation_tokens_total{engine_type="unified",model_name="m"} <200>
sglang:cached_tokens_total{cache_source="device",model_name="m"} <60>
sglang:cached_tokens_total{cache_source="host",model_name="m"} <40>
sglang:num_requests_total{engine_type="unified",model_name="m"} <6>
""",
        {"requests_running": 7, "requests_waiting": 1, "kv_cache_use": 0.28, "prefix_cache_hit_share": 0.25,
         "preemptions": 4, "prompt_tokens": 400, "output_tokens": 200, "requests_finished": 6},
    ),
    "llama.cpp": (
        """llamacpp:prompt_tokens_total <30>
llamacpp:tokens_predicted_total <40>
llamacpp:kv_cache_usage_ratio 0.5
llamacpp:requests_processing 4
llamacpp:requests_deferred 46
""",
        {"prompt_tokens": 30, "output_tokens": 40, "kv_cache_use": 0.5, "requests_running": 4, "requests_waiting": 46},
    ),
    "TGI": (
        """tgi_queue_size 5
tgi_batch_current_size 8
tgi_request_success{method="generate_stream"} <3>
tgi_request_input_length_sum <300>
tgi_request_generated_tokens_sum <90>
""",
        {"requests_waiting": 5, "requests_running": 8, "requests_finished": 3, "prompt_tokens": 300,
         "output_tokens": 90},
    ),
    "TensorRT-LLM": (
        """trtllm_num_requests_running{engine_type="trtllm",model_name="m"} 3
trtllm_num_requests_waiting{engine_type="trtllm",model_name="m"} 1
trtllm_kv_cache_utilization{engine_type="trtllm",model_name="m"} 0.62
trtllm_kv_cache_hit_rate{engine_type="trtllm",model_name="m"} 0.1
trtllm_request_success_total{engine_type="trtllm",model_name="m"} <2>
""",
        {"requests_running": 3, "requests_waiting": 1, "kv_cache_use": 0.62, "prefix_cache_hit_share": 0.1,
         "requests_finished": 2},
    ),
    "Triton": (
        """nv_inference_request_success{model="ensemble",version="1"} <9>
nv_inference_request_success{model="preprocessing",version="1"} <10>
nv_inference_request_success{model="tensorrt_llm",version="1"} <9>
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="context",version="1"} 1
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="scheduled",version="1"} 6
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="max",version="1"} 512
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="active",version="1"} 8
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="waiting",version="1"} 2
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="tokens_per",model="tensorrt_llm",version="1"} 64
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="used",model="tensorrt_llm",version="1"} 25
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="tensorrt_llm",version="1"} 100
nv_gpu_power_usage{gpu_uuid="GPU-1"} 300.5
nv_gpu_utilization{gpu_uuid="GPU-1"} 0.97
nv_gpu_memory_total_bytes{gpu_uuid="GPU-1"} 8000000000
nv_gpu_memory_used_bytes{gpu_uuid="GPU-1"} 6000000000
""",
        {"requests_finished": 10, "requests_running": 6, "requests_waiting": 2, "kv_cache_use": 0.25,
         "gpu_power_watts": 300.5, "gpu_use": 0.97, "gpu_memory_use": 0.75},
    ),
    "Dynamo": (
        """dynamo_frontend_inflight_requests{model="m"} 12
dynamo_frontend_queued_requests{model="m"} 4
dynamo_frontend_requests_total{endpoint="chat_completions",model="m",request_type="stream",status="success"} <5>
dynamo_frontend_requests_total{endpoint="chat_completions",model="m",request_type="stream",status="error"} <1>
dynamo_frontend_input_sequence_tokens_sum{model="m"} <700>
dynamo_frontend_output_tokens_total{model="m"} <80>
dynamo_frontend_output_sequence_tokens_sum{model="m"} <70>
dynamo_component_gpu_cache_usage_percent{model="m",worker_id="1"} 0.4
""",
        {"requests_running": 12, "requests_waiting": 4, "requests_finished": 6, "prompt_tokens": 700,
         "output_tokens": 80, "kv_cache_use": 0.4},
    ),
    "llm-d": (
        """inference_objective_running_requests{model_name="m"} 11
inference_pool_average_kv_cache_utilization{name="pool"} 0.33
inference_pool_average_queue_size{name="pool"} 2
inference_pool_per_pod_queue_size{model_server_pod="a",name="pool"} 1
inference_pool_per_pod_queue_size{model_server_pod="b",name="pool"} 3
inference_pool_ready_pods{name="pool"} 2
inference_extension_flow_control_queue_size{fairness_id="x",priority="0",inference_pool="pool"} 6
inference_objective_input_tokens_sum{model_name="m",target_model_name="m"} <50>
inference_objective_output_tokens_sum{model_name="m",target_model_name="m"} <60>
""",
        {"requests_running": 11, "kv_cache_use": 0.33, "requests_waiting": 4, "gateway_queue": 6, "prompt_tokens": 50,
         "output_tokens": 60},
    ),
    "DCGM": (
        """DCGM_FI_DEV_SM_CLOCK{gpu="0",UUID="GPU-1",device="nvidia0",modelName="H100",Hostname="n"} 1830
DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-1",device="nvidia0",modelName="H100",Hostname="n"} 55
DCGM_FI_DEV_GPU_TEMP{gpu="1",UUID="GPU-2",device="nvidia1",modelName="H100",Hostname="n"} 64
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-1",device="nvidia0",modelName="H100",Hostname="n"} 400.5
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-1",GPU_I_ID="1",modelName="H100",Hostname="n"} 400.5
DCGM_FI_DEV_POWER_USAGE{gpu="1",UUID="GPU-2",device="nvidia1",modelName="H100",Hostname="n"} 500
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="0",UUID="GPU-1",modelName="H100",Hostname="n"} <400500>
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-1",modelName="H100",Hostname="n"} 90
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-2",modelName="H100",Hostname="n"} 100
DCGM_FI_DEV_FB_FREE{gpu="0",UUID="GPU-1",modelName="H100",Hostname="n"} 20000
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-1",modelName="H100",Hostname="n"} 60000
""",
        {"gpu_clock_hertz": 1.83e9, "gpu_temperature_celsius": 64, "gpu_power_watts": 900.5, "gpu_use": 0.95,
         "gpu_energy_joules": 400.5, "gpu_memory_use": 0.75},
    ),
    "AMD": (
        """gpu_package_power{card_model="MI300X",gpu_id="0",hostname="n",serial_number="SN-0"} 748
gpu_power_usage{card_model="MI300X",gpu_id="0",hostname="n",serial_number="SN-0"} 740
gpu_package_power{card_model="MI300X",gpu_id="1",hostname="n",serial_number="SN-1"} 751
gpu_energy_consumed{card_model="MI300X",gpu_id="0",hostname="n",serial_number="SN-0"} <748000000>
gpu_gfx_activity{card_model="MI300X",gpu_id="0",hostname="n",serial_number="SN-0"} 97
gpu_used_vram{gpu_id="0",hostname="n",serial_number="SN-0"} 183265
gpu_total_vram{gpu_id="0",hostname="n",serial_number="SN-0"} 196592
gpu_junction_temperature{gpu_id="0",hostname="n",serial_number="SN-0"} 76
gpu_clock{gpu_id="0",clock_index="0",clock_type="GPU_CLOCK_TYPE_SYSTEM",hostname="n",serial_number="SN-0"} 1533
gpu_clock{gpu_id="0",clock_index="8",clock_type="GPU_CLOCK_TYPE_MEMORY",hostname="n",serial_number="SN-0"} 1292
""",
        {"gpu_power_watts": 1499, "gpu_energy_joules": 748, "gpu_use": 0.97, "gpu_memory_use": 183265 / 196592,
         "gpu_temperature_celsius": 76, "gpu_clock_hertz": 1.533e9},
    ),
    "NVML": (
        """nvml_power_watts{gpu="0",uuid="GPU-1"} 300.5
nvml_energy_joules{gpu="0",uuid="GPU-1"} <300.5>
nvml_use_share{gpu="0",uuid="GPU-1"} 0.5
nvml_memory_used_bytes{gpu="0",uuid="GPU-1"} 10
nvml_memory_total_bytes{gpu="0",uuid="GPU-1"} 80
nvml_temperature_celsius{gpu="0",uuid="GPU-1"} 41
nvml_sm_clock_hertz{gpu="0",uuid="GPU-1"} 1980000000
""",
        {"gpu_power_watts": 300.5, "gpu_energy_joules": 300.5, "gpu_use": 0.5, "gpu_memory_use": 0.125,
         "gpu_temperature_celsius": 41, "gpu_clock_hertz": 1.98e9},
    ),
}  # fmt: skip


def at(page: str, k: int) -> str:
    """The page after k seconds: a counter that gains <N> a second has counted k times N."""
    head, *rest = page.split("<")
    return head + "".join(f"{float(part.partition('>')[0]) * k!r}{part.partition('>')[2]}" for part in rest)


@pytest.mark.parametrize("engine", PAGES)
def test_the_names_of_each_engine(engine: str) -> None:
    page, expected = PAGES[engine]
    found = seen(Told({float(k): at(page, k) for k in range(7)}), window=(0, 6))
    means = {name: one.mean for name, one in found.series.items()}
    assert {name: means[name] for name in expected} == pytest.approx(expected)
    assert found.sources[0].engine == engine.removesuffix(" V0")
    extra: set[Any] = set(means) - set(expected) - {"prefix_cache_hits", "prefix_cache_queries"}
    assert not extra


def test_files_of_a_recording_become_a_result(make: Make) -> None:
    recording = make([ok_request(i, start_ms=100.0 * i) for i in range(20)])
    page, _ = PAGES["vLLM"]
    recording = write_looks(recording, Told({k / 4: at(page, k) for k in range(-1, 12)}))
    result = build_result(recording, window_s=(0.0, 2.0))
    assert result.observed is not None
    assert result.observed.series["requests_running"].mean == 16
    assert result.observed.series["output_tokens"].gained == pytest.approx(800)
