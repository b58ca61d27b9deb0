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
