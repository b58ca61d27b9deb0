"""Small result files of other tools, in forms of which no real one is at hand, and reading of the real ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

PEERS = Path(__file__).parents[1] / "data" / "peers"


def real(name: str) -> Any:
    """A real JSON file, by the plain library."""
    data = (PEERS / name).read_bytes()
    return json.loads(gzip.decompress(data) if name.endswith(".gz") else data)


def real_rows(name: str) -> list[Any]:
    """A real file of JSON Lines."""
    return [json.loads(line) for line in gzip.decompress((PEERS / name).read_bytes()).splitlines()]


def written(path: Path, *rows: Any) -> Path:
    """A file of JSON, or of JSON Lines where there are several rows or it is called so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def aiperf_record(start_ms: float = 0.0, *, ttft_ms: float = 50.0, gaps: int = 3, **changed: Any) -> dict[str, Any]:
    """A record of AIPerf: 10 ms between events, one token each."""
    t0 = 1_795_958_030_000_000_000 + int(start_ms * 1e6)
    latency = ttft_ms + 10.0 * gaps
    return {
        "metadata": {
            "session_num": 0,
            "conversation_id": changed.pop("conversation", "c"),
            "turn_index": changed.pop("turn", 0),
            "request_start_ns": t0,
            "request_end_ns": t0 + int(latency * 1e6),
            "benchmark_phase": changed.pop("phase", "profiling"),
            "was_cancelled": changed.pop("cancelled", False),
        },
        "metrics": {
            "time_to_first_token": {"value": ttft_ms, "unit": "ms"},
            "request_latency": {"value": latency, "unit": "ms"},
            "inter_chunk_latency": {"value": [10.0] * gaps, "unit": "ms"},
            "input_sequence_length": {"value": 128, "unit": "tokens"},
            "output_sequence_length": {"value": gaps + 1, "unit": "tokens"},
        },
    } | changed


def aiperf_failure(start_ms: float = 0.0) -> dict[str, Any]:
    """A record of AIPerf of a request that failed: it ends when it begins."""
    record = aiperf_record(start_ms)
    record["metadata"]["request_end_ns"] = record["metadata"]["request_start_ns"]
    record["metrics"] = {"error_isl": {"value": 128, "unit": "tokens"}}
    return record | {"error": {"code": 500, "type": "Internal Server Error", "message": "out of luck"}}


def aiperf_summary_of_2025() -> dict[str, Any]:
    """A summary of AIPerf of before it wrote its version."""
    return {
        "request_latency": {"unit": "ms", "avg": 80.0, "p50": 80.0, "p99": 81.0, "min": 79.0, "max": 81.0, "std": 0.1},
        "request_count": {"unit": "requests", "avg": 2.0},
        "adj_request_latency": {"unit": "ms", "p50": 80.0, "min": 79.0, "count": 3},
        "benchmark_duration": {"unit": "sec", "avg": 1.5},
        "input_config": {
            "endpoint": {
                "model_names": ["m"],
                "type": "completions",
                "streaming": True,
                "url": "http://u:pw@host:8000/?api_key=abc",
                "api_key": "sk-secret",
            },
            "input": {"random_seed": 0, "prompt": {"input_tokens": {"mean": 100, "stddev": 10}}},
            "loadgen": {"request_rate": 5.0, "request_rate_mode": "poisson", "request_count": 3},
        },
        "was_cancelled": True,
        "error_summary": [{"error_details": {"code": 500}, "count": 1}],
        "start_time": "2025-09-01T10:00:00",
    }


def guidellm_summary(values: list[float]) -> dict[str, Any]:
    """A distribution of GuideLLM; without values it is all zeros."""
    ordered = sorted(values) or [0.0]
    at = {f"p{name}": ordered[min(int(share * len(ordered)), len(ordered) - 1)] for name, share in _SHARES}
    mean = sum(ordered) / len(ordered)
    return {
        "mean": mean,
        "median": at["p50"],
        "mode": ordered[0],
        "variance": 0.0,
        "std_dev": 0.0,
        "min": ordered[0],
        "max": ordered[-1],
        "count": len(values),
        "total_sum": sum(values),
        "percentiles": at,
    }


_SHARES = (("001", 0.001), ("01", 0.01), ("05", 0.05), ("50", 0.5), ("99", 0.99), ("999", 0.999))


def guidellm_groups(values: list[float]) -> dict[str, Any]:
    """The four distributions that GuideLLM makes of one thing, all requests successful."""
    filled, empty = guidellm_summary(values), guidellm_summary([])
    return {"successful": filled, "errored": empty, "incomplete": empty, "total": filled}


def guidellm_row(start: float = 100.0, **changed: Any) -> dict[str, Any]:
    """A request of GuideLLM from 0.4 on: 50 ms to the first token, 10 ms between tokens, 5 tokens."""
    timings = {
        "targeted_start": start - 0.001,
        "request_start": start,
        "first_token_iteration": start + 0.05,
        "last_token_iteration": start + 0.09,
        "request_end": start + 0.1,
        "token_iterations": 5,
    }
    return {
        "type_": "generative_request_stats",
        "request_id": "r",
        "request_args": '{"body": "a secret prompt"}',
        "output": "a secret answer",
        "info": {"status": "completed", "timings": timings, "error": None, "conversation_id": "c", "turn_index": 0},
        "prompt_tokens": 128,
        "output_tokens": 5,
    } | changed


def guidellm_row_of_02(start: float = 100.0, **changed: Any) -> dict[str, Any]:
    """The same in 0.2 and 0.3, where -1 stands for no time."""
    return {
        "type_": "generative_text_response",
        "request_type": "text_completions",
        "scheduler_info": {"completed": True, "targeted_start_time": start - 0.001, "queued_time": -1},
        "prompt": "a secret prompt",
        "output": "a secret answer",
        "prompt_tokens": 128,
        "output_tokens": 5,
        "start_time": start,
        "first_token_time": start + 0.05,
        "last_token_time": start + 0.09,
        "end_time": start + 0.1,
    } | changed


def guidellm_row_of_01(start: float = 100.0, **changed: Any) -> dict[str, Any]:
    """The same in 0.1, where the first token's time is a duration."""
    return {
        "request": {"id": "r", "prompt": "a secret prompt"},
        "prompt": "a secret prompt",
        "prompt_token_count": 128,
        "output": "a secret answer",
        "output_token_count": 5,
        "start_time": start,
        "first_token_time": 0.05,
        "end_time": start + 0.1,
        "decode_times": {"data": [0.01, 0.01, 0.01, 0.01]},
    } | changed


def guidellm_requests(*rows: Any, errored: Any = (), incomplete: Any = ()) -> dict[str, Any]:
    return {"successful": list(rows), "errored": list(errored), "incomplete": list(incomplete), "total": None}


def _guidellm_metrics(n: int) -> dict[str, Any]:
    return {
        "request_totals": {"successful": n, "errored": 0, "incomplete": 0, "total": n},
        "requests_per_second": guidellm_groups([2.0] * n),
        "request_latency": guidellm_groups([0.1] * n),
        "time_to_first_token_ms": guidellm_groups([50.0] * n),
        "inter_token_latency_ms": guidellm_groups([10.0] * 4 * n),
        "time_per_output_token_ms": guidellm_groups([18.0] * 5 * n),
    }


def guidellm_benchmark(*rows: Any, strategy: Any = None, **changed: Any) -> dict[str, Any]:
    """A benchmark of 0.4 and later."""
    return {
        "type_": "generative_benchmark",
        "config": {
            "strategy": strategy or {"type_": "concurrent", "streams": 2},
            "constraints": {"max_requests": {"type_": "max_number", "max_num": [2, 4], "current_index": 1}},
            "backend": {"target": "http://h:1", "model": "m", "api_key": "sk-secret"},
        },
        "scheduler_state": {"created_requests": len(rows), "processed_requests": len(rows) + 3},
        "metrics": _guidellm_metrics(len(rows)),
        "requests": guidellm_requests(*rows),
        "start_time": 100.0,
        "duration": 2.0,
    } | changed


def guidellm_report(form: str) -> dict[str, Any]:
    """A report of two requests in one of the forms: 2, 1, 0.4, 0.2, 0.1."""
    args = {"target": "http://h:1", "model": "m", "data": ["prompt_tokens=128,output_tokens=5"], "random_seed": 7}
    new = {"args": args, "benchmarks": [guidellm_benchmark(guidellm_row(), guidellm_row(100.5))]}
    if form == "0.4":
        return new
    if form == "1":
        return {"metadata": {"version": 1, "guidellm_version": "0.5.3"}, **new}
    if form == "2":
        spec = {"seed": {"kind": "static", "value": 7}, "data": [{"prompt_tokens": 128, "output_tokens": 5}]}
        metadata = {"version": 2, "guidellm_version": "0.7.0"}
        return {"metadata": metadata, "config": {"spec": spec}, "benchmarks": new["benchmarks"]}
    if form == "0.2":
        bench = {
            "type_": "generative_benchmark",
            "args": {"strategy": {"type_": "constant", "rate": 2.0}, "max_number": 2, "max_duration": None},
            "run_stats": {"start_time": 100.0},
            "worker": {"backend_target": "http://h:1", "backend_model": "m"},
            "request_loader": {"data": "prompt_tokens=128,output_tokens=5", "processor": "p"},
            "metrics": _guidellm_metrics(2),
            "request_totals": {"successful": 2, "errored": 0, "incomplete": 0, "total": 2},
            "requests": guidellm_requests(guidellm_row_of_02(), guidellm_row_of_02(100.5)),
            "duration": 2.0,
        }
        return {"benchmarks": [bench]}
    rows = [guidellm_row_of_01(), guidellm_row_of_01(100.5)]
    bench = {"mode": "asynchronous", "rate": 2.0, "results": rows, "errors": [], "concurrencies": [{"time": 1.0}]}
    return {"benchmarks": [{"benchmarks": [bench], "args": args | {"data": "x"}}]}


def sglang_row(n: int = 0, **changed: Any) -> dict[str, Any]:
    """A line of SGLang's bench_serving; with n requests, what --output-details adds: 50 ms, then 10 ms a token."""
    row = {
        "tag": None,
        "backend": "sglang-oai-chat",
        "dataset_name": "random",
        "request_rate": 4.0,
        "max_concurrency": None,
        "random_input_len": 100,
        "random_output_len": 10,
        "random_range_ratio": 0.5,
        "server_info": {"model_path": "m", "api_key": "sk-secret", "internal_states": [{"x": 1}]},
        "duration": 2.0,
        "completed": 3,
        "total_input_tokens": 300,
        "total_output_tokens": 30,
        "request_throughput": 1.5,
        "output_throughput": 15.0,
        "concurrency": 0.3,
        "accept_length": None,
    }
    for time, value in (("e2e_latency", 150.0), ("ttft", 50.0), ("tpot", 10.0), ("itl", 10.0)):
        row |= {f"{stat}_{time}_ms": value for stat in ("mean", "median", "p99")} | {f"std_{time}_ms": 0.0}
    if n:
        row |= {"completed": n, "input_lens": [100] * n, "output_lens": [10] * n, "ttfts": [0.05] * n}
        row |= {"itls": [[0.01] * 9] * n, "generated_texts": ["a secret answer"] * n, "errors": [""] * n}
    return row | changed


def llmperf_row(**changed: Any) -> dict[str, Any]:
    """One of LLMPerf's individual responses."""
    return {
        "error_code": None,
        "error_msg": "",
        "inter_token_latency_s": 0.011,
        "ttft_s": 0.05,
        "end_to_end_latency_s": 0.55,
        "request_output_throughput_token_per_s": 90.0,
        "number_total_tokens": 250,
        "number_output_tokens": 50,
        "number_input_tokens": 200,
    } | changed


def llmperf_failure(code: Any = 500, message: str = "boom") -> dict[str, Any]:
    """One that failed: it holds zeros."""
    return llmperf_row(**dict.fromkeys(llmperf_row(), 0)) | {"error_code": code, "error_msg": message}


def sse(*contents: str | None, usage: int | None = None) -> str:
    """Events of a chat stream; None is an event with a role alone."""
    events = [{"choices": [{"delta": {"role": "assistant"} if c is None else {"content": c}}]} for c in contents]
    if usage is not None:
        events.append({"choices": [], "usage": {"completion_tokens": usage}})
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events)


def perf_analyzer_request(*responses: tuple[float, str], start_ms: float = 0.0, **inputs: Any) -> dict[str, Any]:
    """A request of perf_analyzer's export; responses are a time in ms after the send and the text of one read."""
    t0 = 1_795_958_030_000_000_123 + int(start_ms * 1e6)
    return {
        "timestamp": t0,
        "request_inputs": {"payload": '{"messages": [{"content": "a secret prompt"}]}'} | inputs,
        "response_timestamps": [t0 + int(ms * 1e6) for ms, _ in responses],
        "response_outputs": [{"response": text} for _, text in responses],
    }


def perf_analyzer_export(*requests: Any, value: int = 2) -> dict[str, Any]:
    """What perf_analyzer writes for GenAI-Perf."""
    experiment = {"experiment": {"mode": "concurrency", "value": value}, "requests": list(requests)}
    return {"service_kind": "openai", "endpoint": "v1/chat/completions", "experiments": [experiment]}


def genai_perf_summary() -> dict[str, Any]:
    """A summary of GenAI-Perf."""
    spread = {"p1": 1.0, "p50": 2.0, "p99": 3.0, "min": 1.0, "max": 3.0, "std": 0.5}
    return {
        "request_throughput": {"unit": "requests/sec", "avg": 4.0},
        "request_latency": {"unit": "ms", "avg": 90.0} | spread,
        "time_to_first_token": {"unit": "ms", "avg": 50.0} | spread,
        "inter_token_latency": {"unit": "ms", "avg": 10.0} | spread,
        "request_count": {"unit": "count", "avg": 3.0},
        "telemetry_stats": {},
        "input_config": {
            "model_names": ["m"],
            "perf_analyzer": {"stimulus": {"concurrency": 2}, "measurement": {"mode": "request_count", "num": 3}},
            "endpoint": {"type": "chat", "url": "http://h:1", "streaming": True},
            "input": {
                "random_seed": 0,
                "synthetic_tokens": {"mean": 100, "stddev": 5},
                "header": ["Authorization: sk-secret"],
            },
            "tokenizer": {"name": "t"},
        },
        "sessions": {"s1": {"request_latency": {"unit": "ms", "avg": 90.0}}},
    }


def inferencex_raw(n: int = 0, **changed: Any) -> dict[str, Any]:
    """A result of InferenceX's client; with n requests, what --save-detailed adds."""
    row = {
        "date": "20261129-131350",
        "backend": "vllm",
        "model_id": "m",
        "tokenizer_id": "t",
        "best_of": 1,
        "num_prompts": 4,
        "request_rate": "inf",
        "burstiness": 1.0,
        "max_concurrency": 2,
        "duration": 2.0,
        "benchmark_start_time_unix": 1_795_958_030.5,
        "benchmark_end_time_unix": 1_795_958_032.5,
        "completed": 3,
        "total_input_tokens": 300,
        "total_output_tokens": 30,
        "request_throughput": 1.5,
        "request_goodput:": 1.0,
        "output_throughput": 15.0,
        "total_token_throughput": 165.0,
        "input_lens": [100] * (n or 3),
        "output_lens": [10] * (n or 3),
    }
    for time, value in (("ttft", 50.0), ("tpot", 10.0), ("itl", 10.0), ("e2el", 150.0)):
        row |= {f"{stat}_{time}_ms": value for stat in ("mean", "median", "p99", "std")}
    if n:
        row |= {"completed": n, "num_prompts": n, "ttfts": [0.05] * n, "itls": [[0.01] * 10] * n}
        row |= {"generated_texts": ["a secret answer"] * n, "errors": [""] * n}
    return row | changed


def inferencex_row(**changed: Any) -> dict[str, Any]:
    """The row that InferenceX makes of a result: times in seconds."""
    row = {
        "hw": "h200",
        "conc": 64,
        "model": "org/m",
        "infmax_model_prefix": "m",
        "framework": "vllm",
        "precision": "fp8",
        "isl": 8192,
        "osl": 1024,
        "is_multinode": False,
        "tp": 8,
        "pp": 1,
        "tput_per_gpu": 100.0,
        "output_tput_per_gpu": 20.0,
        "input_tput_per_gpu": 80.0,
        "avg_power_w": 600.0,
    }
    for time, value in (("ttft", 0.05), ("tpot", 0.01), ("itl", 0.01), ("e2el", 0.15)):
        row |= {f"{stat}_{time}": value for stat in ("mean", "median", "p99", "std")}
    return row | {"p99_intvty": 100.0, "std_intvty": 1e3, "median_intvty": 100.0} | changed


def inferencex_agentic(**changed: Any) -> dict[str, Any]:
    """The row that InferenceX makes of a run of agents."""
    spread = {"mean": 0.02, "p50": 0.02, "p75": 0.03, "std": 0.01}
    return {
        "hw": "h200",
        "conc": 8,
        "model": "org/m",
        "infmax_model_prefix": "m",
        "scenario_type": "agentic-coding",
        "num_gpus": 8,
        "num_requests_total": 100,
        "num_requests_successful": 95,
        "request_accounting": {"records_total": 100, "records_error_dropped": 3, "error_categories": {"timeout": 3}},
        "request_metrics": {
            "qps": {"window_seconds": 1.0, "samples": 9, "mean": 5.0},
            "latency": {"ttft": spread, "itl": spread, "tpot": spread, "e2el": spread, "intvty": {"p75": 33.0}},
            "tokens": {"input": {"mean": 1000.0}},
            "throughput": {
                "input": {"tokens_per_second": 5000.0},
                "output": {"tokens_per_second": 500.0},
                "duration_seconds": 20.0,
                "per_gpu": {"output_tput_tps": 62.5},
            },
            "cache": {"theoretical_cache_hit_rate": None},
        },
        "server_metrics": {"kv_cache": {"gpu_total_tokens": 1}},
    } | changed
