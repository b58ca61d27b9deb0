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
