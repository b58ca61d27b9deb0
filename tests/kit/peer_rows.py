"""What a view sees of the tools' own files, straight from these: no reader of ours is between."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loadcell.interop.views.seen import Events, Seen
from loadcell.kinds import KIND_ANSWER

PEERS = Path(__file__).parents[1] / "data" / "peers"


def loaded(name: str) -> Any:
    held = (PEERS / name).read_bytes()
    return json.loads(gzip.decompress(held) if name.endswith(".gz") else held)


def seen_of(*, made_by: str, window_s: float | None, gaps: Sequence[Sequence[float]] = (), **columns: Any) -> Seen:
    """Columns in seconds and tokens; `gaps` follow the first output of each request."""
    size = len(columns["end"])
    stamps = {name: np.array(columns[name], dtype=float) * 1e9 for name in ("sent", "first_any", "last", "end")
              if name in columns}  # fmt: skip
    none = np.full(size, np.nan)
    at = {name: stamps.get(name, none) for name in ("sent", "first_any", "last", "end")}
    events = [at["first_any"][i] + np.cumsum([0.0, *own]) * 1e9 for i, own in enumerate(gaps)]
    place = np.repeat(np.arange(size), [len(own) for own in events] or 0)
    t = np.concatenate(events) if events else np.zeros(0)

    def counted(name: str) -> np.ndarray[Any, Any]:
        return np.array(columns[name], dtype=float) if name in columns else none

    return Seen(
        ok=np.ones(size, bool), fault=np.full(size, None), planned=none, ready=none, connect=none, connected=none,
        sent=at["sent"], first_any=at["first_any"], answer=at["first_any"], last=at["last"], end=at["end"],
        pace_end=at["last"], first_choice=at["first_any"], last_choice=at["last"], usage=counted("output"), text=none,
        ours=counted("output"), asked=none, chunks=np.bincount(place, minlength=size).astype(float), later=none,
        planned_input=counted("input"), prompt=counted("prompt"),
        events=Events(place, t, np.full(t.size, KIND_ANSWER, np.uint8), np.zeros(t.size, bool)),
        made_by=made_by, window_s=window_s,
    )  # fmt: skip


def vllm() -> tuple[Seen, dict[str, Any]]:
    told = loaded("vllm_bench_detailed/r.json.gz")
    sent = np.array(told["start_times"])
    last = sent + told["latencies"]
    seen = seen_of(
        made_by="vllm", window_s=told["duration"], sent=sent - sent.min(), first_any=sent - sent.min() + told["ttfts"],
        last=last - sent.min(), end=last - sent.min(), gaps=told["itls"], output=told["output_lens"],
        input=told["input_lens"],
    )  # fmt: skip
    return seen, told


def aiperf() -> tuple[Seen, dict[str, Any]]:
    told = loaded("aiperf/profile_export_aiperf.json")
    lines = gzip.decompress((PEERS / "aiperf/profile_export.jsonl.gz").read_bytes()).splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]

    def of(name: str) -> np.ndarray[Any, Any]:
        return np.array([row["metrics"][name]["value"] for row in rows], dtype=float)

    start = min(row["metadata"]["request_start_ns"] for row in rows)
    sent = np.array([row["metadata"]["request_start_ns"] - start for row in rows]) / 1e9
    last = sent + of("request_latency") / 1e3
    window = told["request_count"]["avg"] / told["request_throughput"]["avg"]
    seen = seen_of(
        made_by="aiperf", window_s=window, sent=sent, first_any=sent + of("time_to_first_token") / 1e3, last=last,
        end=last, gaps=[np.array(row["metrics"]["inter_chunk_latency"]["value"]) / 1e3 for row in rows],
        output=of("output_sequence_length"), input=of("input_sequence_length"),
    )  # fmt: skip
    return seen, told


def guidellm() -> tuple[Seen, dict[str, Any]]:
    (told,) = loaded("guidellm/g.json.gz")["benchmarks"]
    rows = told["requests"]["successful"]
    at = {name: np.array([row["info"]["timings"][name] for row in rows]) for name in (
        "request_start", "first_token_iteration", "last_token_iteration", "request_end")}  # fmt: skip
    at = {name: values - told["start_time"] for name, values in at.items()}
    seen = seen_of(
        made_by="guidellm", window_s=told["duration"], sent=at["request_start"], first_any=at["first_token_iteration"],
        last=at["last_token_iteration"], end=at["request_end"], output=[row["output_tokens"] for row in rows],
        prompt=[row["prompt_tokens"] for row in rows],
    )  # fmt: skip
    return seen, told


def llmperf() -> tuple[Seen, dict[str, Any]]:
    told = loaded("llmperf/truth_200_50_summary.json")
    rows = loaded("llmperf/truth_200_50_individual_responses.json")

    def of(name: str) -> np.ndarray[Any, Any]:
        return np.array([row[name] for row in rows], dtype=float)

    window = told["results_num_completed_requests"] * 60 / told["results_num_completed_requests_per_min"]
    seen = seen_of(
        made_by="llmperf", window_s=window, sent=np.zeros(len(rows)), first_any=of("ttft_s"),
        last=np.full(len(rows), np.nan), end=of("end_to_end_latency_s"), output=of("number_output_tokens"),
        input=of("number_input_tokens"),
    )  # fmt: skip
    return seen, told


def genai_bench() -> tuple[Seen, dict[str, Any]]:
    told = loaded("genai_bench/D128_50_text-to-text_num_concurrency_8_time_5s.json.gz")
    rows = told["individual_request_metrics"]

    def of(name: str) -> np.ndarray[Any, Any]:
        return np.array([row[name] for row in rows], dtype=float)

    seen = seen_of(
        made_by="genai-bench", window_s=told["aggregated_metrics"]["run_duration"], sent=np.zeros(len(rows)),
        first_any=of("ttft") / 1e3, last=np.full(len(rows), np.nan), end=of("e2e_latency") / 1e3,
        output=of("num_output_tokens"), input=of("num_input_tokens"), prompt=of("num_input_tokens"),
    )  # fmt: skip
    return seen, told
