"""A run directory of the MLPerf Endpoints client 0.1.0: no log of events of a real run is at hand."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

SECRET_TEXT = "a prompt that nobody may keep"


def event(kind: str, at: int, uuid: str = "", **more: Any) -> dict[str, Any]:
    return {
        "event_type": kind, "timestamp_ns": at, "sample_uuid": uuid, "conversation_id": "", "turn": None, "data": None,
    } | more  # fmt: skip


def sample(uuid: str, at: int, dice: random.Random, *, chunks: bool, failed: bool) -> list[dict[str, Any]]:
    """The events of one request, in the order of their times."""
    made = [event("sample.issued", at, uuid, data={"text": SECRET_TEXT})]
    if failed:
        words = {"error_type": "ServerDisconnectedError", "error_message": "http://u:pw@host/ hung up"}
        made.append(event("error.generic", at + 5_000_000, uuid, data=words))
        return [*made, event("sample.complete", at + 5_000_001, uuid)]
    clock = at + dice.randint(40, 60) * 1_000_000
    made.append(event("sample.recv_first", clock, uuid, data={"output": SECRET_TEXT}))
    for _ in range(dice.randint(2, 9)):
        clock += dice.randint(8, 12) * 1_000_000
        if chunks:
            made.append(event("sample.recv_non_first", clock, uuid, data={"output": SECRET_TEXT}))
    return [*made, event("sample.complete", clock + 1_000_000, uuid, data={"output": [SECRET_TEXT]})]


def put(
    folder: Path, *, n: int = 40, chunks: bool = True, failed: tuple[int, ...] = (7,)
) -> list[list[dict[str, Any]]]:
    """A folder with events, a summary of them by hand and a configuration; returns the events of each request."""
    dice, clock, samples = random.Random(3), 5_000_000_000, []
    for number in range(n):
        clock += round(dice.expovariate(20.0) * 1e9)
        samples.append(sample(f"u{number}", clock, dice, chunks=chunks, failed=number in failed))
    warm = sample("accuracy", clock + 10**10, dice, chunks=False, failed=False)
    lines = [one for each in samples for one in each]
    lines.sort(key=lambda one: one["timestamp_ns"] + dice.randint(0, 2_000_000))  # slightly out of order
    first, last = samples[0][0]["timestamp_ns"], clock + 10**9
    log = [
        event("session.started", first - 10), event("session.start_performance_tracking", first - 5), *lines,
        event("session.stop_performance_tracking", last), *warm, event("session.ended", last + 2 * 10**10),
    ]  # fmt: skip
    (folder / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in log))
    latency = sorted(s[-1]["timestamp_ns"] - s[0]["timestamp_ns"] for s in samples)
    (folder / "performance").mkdir()
    (folder / "performance" / "result_summary.json").write_text(json.dumps({
        "version": "0.1.0", "git_sha": None, "test_started_at": 0, "n_samples_issued": n, "n_samples_completed": n,
        "n_samples_failed": len(failed), "duration_ns": last - first, "state": "complete", "complete": True,
        "ttft": {}, "tpot": {}, "latency": {
            "min": latency[0], "max": latency[-1],
            "percentiles": {"99.9": latency[-1], "50.0": latency[len(latency) // 2]},
            "early_stopping_percentiles": {"99.9": None, "50.0": latency[-1]},
            "histogram": {"buckets": [[0, 1]], "counts": [1]},
        },
        "legacy_loadgen_window_duration_ns": None, "qps": 12.5, "tps": 400.0, "finish_reason_counts": {"stop": n - 1},
        "run_config": {"load_pattern": {"type": "concurrency", "target_concurrency": 8}, "scheduler_random_seed": 42},
    }))  # fmt: skip
    (folder / "config.yaml").write_text(
        "type: online\nmodel_params: {name: m, tokenizer_name: tok, streaming: 'on'}\n"
        "endpoint_config: {endpoints: ['http://u:sk-very-secret@host:1'], api_key: sk-very-secret, api_type: openai}\n"
        "settings: {runtime: {n_samples_to_issue: 40, min_duration_ms: 600000}}\n"
    )
    return samples
