"""What both exports in the Endpoints client's layout are made of: statistics blocks, YAML with its marks."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from loadcell.mlperf import early_stopping
from loadcell.mlperf.files.exported import GENERATOR
from loadcell.mlperf.model import FOOTNOTE

PERCENTILES = {
    "99.9": 0.999, "99.0": 0.99, "97.0": 0.97, "95.0": 0.95, "90.0": 0.9, "80.0": 0.8, "75.0": 0.75, "50.0": 0.5,
    "25.0": 0.25, "10.0": 0.1, "5.0": 0.05, "1.0": 0.01,
}  # fmt: skip
"""By the keys that the client has for them."""
HEAD = {"generator": GENERATOR, "verified": False, "footnote": FOOTNOTE}
"""Begins every file."""
PERCENTILE = "percentile p of n sorted values is element floor(n p)"
_ESTIMATED = 0.5
"""Percentiles from here on have an estimate by early stopping."""
_BINS = 30


def write_yaml(path: Path, tree: dict[str, Any]) -> None:
    """Write a YAML file that says above all else where it comes from."""
    lines = (f"Written by {GENERATOR}, not by the MLPerf Endpoints client.", FOOTNOTE)
    comment = "".join(f"# {line}\n" for line in lines)
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)
    path.write_text(comment + text, encoding="utf-8")


def pattern(kind: str | None, *, qps: float | None = None, concurrency: int | None = None) -> dict[str, Any]:
    """How requests arrive."""
    return {"type": kind, "target_qps": qps, "target_concurrency": concurrency}


def config(
    kind: str, model: str | None, load_pattern: dict[str, Any], runtime: dict[str, Any], *, streaming: bool = True
) -> dict[str, Any]:
    """config.yaml."""
    return {
        **HEAD,
        "type": kind,
        "model_params": {"name": model, "streaming": "on" if streaming else "off"},
        "settings": {"load_pattern": load_pattern, "runtime": runtime},
    }


class Times(NamedTuple):
    """Latencies in ns of what completed, and how many output tokens that had."""

    ttft: NDArray[np.int64]
    tpot: NDArray[np.int64]
    latency: NDArray[np.int64]
    lengths: NDArray[np.int64]


def summary(
    latencies_from: str, times: Times, load_pattern: dict[str, Any], *, issued: int, failed: int, state: str,
    duration_ns: int | None, qps: float | None, tps: float | None, window_ns: int | None = None, legacy: bool = False,
    seeds: dict[str, int] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """result_summary.json; `window_ns` is LoadGen's window where qps and tps are `legacy` figures over it."""
    return {
        **HEAD,
        "definitions": f"latencies count from {latencies_from}; {PERCENTILE}",
        "version": None,
        "git_sha": None,
        "test_started_at": 0,
        "n_samples_issued": issued,
        "n_samples_completed": issued - failed,
        "n_samples_failed": failed,
        "duration_ns": duration_ns,
        "state": state,
        "complete": state == "complete",
        **{name: stats(getattr(times, name), failed, estimated=True) for name in ("ttft", "tpot", "latency")},
        "output_sequence_lengths": stats(times.lengths, 0, estimated=False),
        "legacy_loadgen_window_duration_ns": window_ns,
        "qps": qps,
        "tps": tps,
        "run_config": {
            "load_pattern": load_pattern | {"use_legacy_loadgen_qps_metrics": legacy},
            "warmup": {"enabled": False, "salt": None},
            **(seeds or {}),
        },
    }


def stats(values: NDArray[np.int64], lost: int, *, estimated: bool) -> dict[str, Any] | None:
    """The block of one figure; `lost` samples that have none lie beyond every bound."""
    n = len(values)
    if not n:
        return None
    ordered = np.sort(values)
    with_lost = np.concatenate([ordered.astype(np.float64), np.full(lost, np.inf)])
    counts, edges = np.histogram(ordered, bins=_BINS)
    total = sum(int(part.sum()) for part in np.array_split(ordered, n // 1_000_000 + 1))
    block = {
        "total": total,
        "min": ordered[0].item(),
        "max": ordered[-1].item(),
        "median": ordered[int(n * 0.5)].item(),
        "avg": total / n,
        "std_dev": float(ordered.std()),
        "percentiles": {key: ordered[int(n * p)].item() for key, p in PERCENTILES.items()},
    }
    if estimated:
        block["early_stopping_percentiles"] = {
            key: early_stopping.estimate(with_lost, p, "latency").estimate_ns
            for key, p in PERCENTILES.items()
            if p >= _ESTIMATED
        }
    edge = edges.tolist()
    pairs = [list(pair) for pair in pairwise(edge)]
    return block | {"histogram": {"buckets": pairs, "counts": counts.tolist()}}
