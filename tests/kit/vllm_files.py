"""Results of `vllm bench serve`, as the peers' notes say that they look, with known figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def vllm_result(rows: int = 6, *, gaps: int = 4, detailed: bool = True, **more: Any) -> dict[str, Any]:
    """A result of the Python client; request i is sent at 100 + i / 10 s, first at 50 + i ms, then every 10 ms."""
    ttfts = [0.05 + i * 1e-3 for i in range(rows)]
    itls = [[0.01] * gaps for _ in range(rows)]
    latencies = [first + sum(each) for first, each in zip(ttfts, itls, strict=True)]
    arrays: dict[str, Any] = {
        "input_lens": [100 + i for i in range(rows)], "output_lens": [gaps + 1] * rows, "ttfts": ttfts, "itls": itls,
        "latencies": latencies, "start_times": [100 + i / 10 for i in range(rows)], "queue_times": [0.0] * rows,
        "generated_texts": ["one two"] * rows, "errors": [""] * rows,
    }  # fmt: skip
    figures: dict[str, Any] = {}
    for name, values in (("ttft", ttfts), ("e2el", latencies), ("itl", np.concatenate(itls)), ("tpot", [0.01] * rows)):
        figures |= {
            f"mean_{name}_ms": float(np.mean(values)) * 1e3, f"median_{name}_ms": float(np.median(values)) * 1e3,
            f"std_{name}_ms": float(np.std(values)) * 1e3, f"p99_{name}_ms": float(np.percentile(values, 99)) * 1e3,
        }  # fmt: skip
    head = {
        "date": "20260102-030405", "endpoint_type": "openai-chat", "backend": "openai-chat", "label": None,
        "model_id": "made", "tokenizer_id": "made/tok", "num_prompts": rows, "request_rate": "inf", "burstiness": 1.0,
        "max_concurrency": 2, "duration": rows / 10, "completed": rows, "failed": 0, "total_input_tokens": 600,
        "total_output_tokens": rows * (gaps + 1), "request_throughput": 10.0, "request_goodput": None,
        "output_throughput": 50.0, "total_token_throughput": 1050.0,
    }  # fmt: skip
    return head | (arrays if detailed else {}) | {"rtfx": 0.0} | figures | more


def write_json(path: Path, *trees: Any) -> Path:
    """One object a line, as --append-result leaves it: without an end of the last line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, trees)), encoding="utf-8")
    return path
