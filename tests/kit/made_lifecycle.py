"""Reports of inference-perf as 0.7.0 writes them, with rows of known times: no such file of a real run is at hand."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

SECRET_TEXT = "a prompt that nobody may keep"


def row(at: float, dice: random.Random, *, failed: bool = False) -> dict[str, Any]:
    """A streamed reply of one to three tokens an event, or a failure."""
    times: list[float] = []
    clock = at + dice.uniform(0.04, 0.06)
    for _ in range(dice.randint(3, 12)):
        times += [clock] * dice.randint(1, 3)
        clock += dice.uniform(0.008, 0.012)
    answer = {
        "output_tokens": len(times) + 1, "output_token_times": times, "chunk_times": [*sorted({*times}), clock],
        "server_usage": {"prompt_tokens": 100, "completion_tokens": len(times), "total_tokens": 100 + len(times)},
        "response_chunks": [json.dumps({"choices": [{"text": SECRET_TEXT}]})] * 3,
    }  # fmt: skip
    error = {"error_type": "HTTP Error 503", "error_msg": "no capacity"} if failed else None
    return {
        "start_time": at, "end_time": clock + 0.002, "request": json.dumps({"prompt": SECRET_TEXT * 50}),
        "response": SECRET_TEXT,
        "info": {
            "request_metrics": {"text": {"input_tokens": 101}, "image": None, "video": None, "audio": None},
            "response_metrics": None if failed else answer, "extra_info": {}, "lora_adapter": None, "labels": {},
            "input_tokens": 101,
        },
        "error": error,
    }  # fmt: skip


def stage(rows: list[dict[str, Any]], rate: float) -> dict[str, Any]:
    """The report of a stage of these rows; its latencies by numpy, percentiles and means only."""
    import numpy as np

    ok = [one for one in rows if one["error"] is None]
    times = [one["info"]["response_metrics"]["output_token_times"] for one in ok]
    first = [many[0] - one["start_time"] for one, many in zip(ok, times, strict=True)]
    tpot = [
        (many[-1] - many[0]) / (one["info"]["response_metrics"]["server_usage"]["completion_tokens"] - 1)
        for one, many in zip(ok, times, strict=True)
    ]
    whole = [one["end_time"] - one["start_time"] for one in ok]

    def summary(values: list[float]) -> dict[str, float]:
        return {"mean": float(np.mean(values))} | {f"p{p}": float(np.percentile(values, p)) for p in (90, 99, 99.9)}

    span = max(one["end_time"] for one in rows) - min(one["start_time"] for one in rows)
    return {
        "benchmark_time_seconds": span,
        "load_summary": {
            "count": len(rows), "schedule_delay": summary([0.001] * len(rows)), "send_duration": span,
            "requested_rate": rate, "achieved_rate": len(rows) / span,
        },
        "successes": {
            "count": len(ok),
            "latency": {
                "request_latency": summary(whole), "time_to_first_token": summary(first),
                "time_per_output_token": summary(tpot), "inter_token_latency": None,
                "normalized_time_per_output_token": summary([0.0] * len(ok)),
            },
            "throughput": {"requests_per_sec": len(ok) / span},
        },
        "failures": {
            "count": len(rows) - len(ok), "request_latency": None,
            "by_label": {"HTTP Error 503": {"count": 1, "messages": [{"message": "no capacity"}]}},
        },
    }  # fmt: skip


def put(folder: Path, rates: tuple[float, ...] = (5.0, 20.0), seed: int = 3) -> list[list[dict[str, Any]]]:
    """A folder of reports; returns the rows of each stage, as sent."""
    dice, clock, stages = random.Random(seed), 1000.0, []
    for number, rate in enumerate(rates):
        rows = []
        for position in range(20 + 10 * number):
            clock += dice.expovariate(rate)
            rows.append(row(clock, dice, failed=position == 7))
        clock = max(one["end_time"] for one in rows) + 5
        stages.append(rows)
        (folder / f"stage_{number}_lifecycle_metrics.json").write_text(json.dumps(stage(rows, rate), indent=2))
    together = [one for rows in stages for one in rows]
    (folder / "summary_lifecycle_metrics.json").write_text(json.dumps(stage(together, 0.0)))
    done = sorted(together, key=lambda one: one["end_time"])  # as they ended
    (folder / "per_request_lifecycle_metrics.json").write_text(json.dumps(done, indent=2))
    stages_of = "".join(f"  - rate: {rate}\n    duration: 4\n" for rate in rates)
    (folder / "config.yaml").write_text(
        "api:\n  type: chat\n  streaming: true\nload:\n  type: constant\n  stages:\n" + stages_of
        + "server:\n  base_url: http://u:sk-very-secret@h:1/v1\n  api_key: sk-very-secret\n  model_name: m\n"
        "data:\n  type: random\n  input_distribution: {type: normal, mean: 100, std_dev: 10, min: 50, max: 150}\n"
    )  # fmt: skip
    return stages
