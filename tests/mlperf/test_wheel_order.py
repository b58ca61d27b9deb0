"""Our traffic against the genuine LoadGen, live: order, count and planned duration of every scenario."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadcell.workload import loadgen
from loadcell.workload.loadgen import Seeds

pytestmark = pytest.mark.usefixtures("processes")

pytest.importorskip("mlperf_loadgen", reason="no wheel of mlcommons-loadgen for this platform")
STUB = Path(__file__).parents[1] / "kit" / "stub_loadgen.py"
SEEDS = ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed")
EXPECTED_RATE = 2000.0


class Wheel:
    """What one run of the genuine LoadGen issued and logged."""

    def __init__(self, folder: Path, n: int, **settings: Any) -> None:
        folder.mkdir()
        job = json.dumps({"n": n, "settings": settings})
        ran = subprocess.run(
            [sys.executable, STUB, str(folder)], input=job, capture_output=True, text=True, timeout=60, check=True
        )
        self.queries: list[list[int]] = json.loads(ran.stdout)
        self.samples = [sample for query in self.queries for sample in query]
        self.log = (folder / "mlperf_log_detail.txt").read_text()

    def logged(self, key: str) -> Any:
        found = re.search(rf'"key": "{key}", "value": ([^{{]*?), "time_ms"', self.log)
        assert found, key
        return json.loads(found[1])


def settings_of(rng: np.random.Generator) -> dict[str, Any]:
    """Random settings of a run of a few ms."""
    seeds = {name: int(rng.integers(2**64, dtype=np.uint64)) for name in SEEDS}
    return seeds | {
        "min_query_count": int(rng.integers(1, 120)),
        "min_duration_ms": int(rng.integers(0, 20)),
        "server_target_qps": float(rng.uniform(3000, 9000)),
        "offline_expected_qps": EXPECTED_RATE,
        "single_stream_expected_latency_ns": 500_000,
        "multi_stream_expected_latency_ns": 500_000,
    }


@pytest.mark.parametrize("equal_issue", [True, False])
@pytest.mark.parametrize("scenario", ["Server", "Offline", "SingleStream", "MultiStream"])
def test_performance_mode(scenario: str, equal_issue: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(len(scenario))
    for number in range(4):
        n, settings = int(rng.integers(1, 200)), settings_of(rng)
        seeds = Seeds(**{name.removesuffix("_rng_seed"): settings[name] for name in SEEDS})
        wheel = Wheel(
            tmp_path / str(number), n, scenario=scenario, sample_concatenate_permutation=equal_issue, **settings
        )
        least, duration_s = settings["min_query_count"], settings["min_duration_ms"] / 1e3
        sizes: dict[str, Any] = {"min_duration_s": duration_s, "equal_issue": equal_issue}
        if scenario == "Server":
            ours = loadgen.server_traffic(seeds, n, settings["server_target_qps"], min_queries=least, **sizes)
            assert ours.duration_ns == wheel.logged("generated_query_duration")
        elif scenario == "Offline":
            count = loadgen.offline_count(min_samples=least, expected_rate=EXPECTED_RATE, n=n, **sizes)
            ours = loadgen.offline_traffic(seeds, n, samples=count, equal_issue=equal_issue)
        elif scenario == "SingleStream":
            count = loadgen.single_stream_count(min_queries=least, expected_rate=EXPECTED_RATE, n=n, **sizes)
            assert count == wheel.logged("effective_min_query_count")
            rows = len(wheel.samples)  # a closed loop ends by the time that it took
            ours = loadgen.single_stream_traffic(seeds, n, rows=rows, min_queries=count, equal_issue=equal_issue)
        else:
            ours = loadgen.multi_stream_traffic(seeds, n, queries=len(wheel.queries), min_queries=least)
        assert ours.samples.tolist() == wheel.samples, (n, settings)
        loaded = wheel.logged("loaded_qsl_set")  # MultiStream pads it
        assert loaded[:n] == loadgen.loaded_set(seeds.qsl, n).tolist()


@pytest.mark.parametrize("equal_issue", [True, False])
@pytest.mark.parametrize("scenario", ["Server", "Offline", "SingleStream", "MultiStream"])
def test_accuracy_mode(scenario: Any, equal_issue: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(100 + len(scenario))
    for number in range(2):
        n, settings = int(rng.integers(1, 200)), settings_of(rng)
        seeds = Seeds(**{name.removesuffix("_rng_seed"): settings[name] for name in SEEDS})
        wheel = Wheel(
            tmp_path / str(number), n, scenario=scenario, mode="AccuracyOnly",
            sample_concatenate_permutation=equal_issue, **settings | {"min_duration_ms": 0},
        )  # fmt: skip
        rate = settings["server_target_qps"] if scenario == "Server" else None
        ours = loadgen.accuracy_traffic(seeds, n, scenario.lower(), equal_issue=equal_issue, rate=rate)
        assert ours.samples.tolist() == wheel.samples, (n, settings)
        assert len(ours.samples) == loadgen.accuracy_count(n, scenario.lower())
        if rate:
            assert ours.duration_ns == wheel.logged("generated_query_duration")
