"""Logs of the genuine LoadGen are never called edited: small runs of every scenario, hard to round."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from example_logs import DETAIL, SUMMARY

from loadcell.mlperf.files.checks_consistency import check_consistency
from loadcell.mlperf.files.checks_performance import check_errors
from loadcell.mlperf.files.checks_traffic import check_traffic
from loadcell.mlperf.files.loadgen_logs import read_detail, read_summary

pytestmark = pytest.mark.usefixtures("alone")

pytest.importorskip("mlperf_loadgen")

_SCRIPT = Path(__file__).parents[1] / "kit" / "timed_loadgen.py"
_KINDS = ("Server", "Offline", "SingleStream", "MultiStream")
_US = 1000


def job(scenario: str, dice: random.Random) -> dict[str, Any]:
    n, count = dice.choice([16, 50, 64]), 97
    first = [dice.randint(5, 200) * _US for _ in range(count)]
    tokens = [dice.randint(2, 9) for _ in range(count)]
    settings = {
        "scenario": scenario, "use_token_latencies": dice.random() < 0.7, "min_duration_ms": dice.choice([0, 30]),
        "qsl_rng_seed": dice.getrandbits(64), "sample_index_rng_seed": dice.getrandbits(64),
        "schedule_rng_seed": dice.getrandbits(64), "sample_concatenate_permutation": dice.random() < 0.7,
        "min_query_count": dice.choice([30, 100]), "server_target_qps": dice.uniform(3000, 9000),
        "offline_expected_qps": dice.uniform(1000, 9000), "ttft_latency": 4_000_000, "tpot_latency": 1_000_000,
    }  # fmt: skip
    end = [at + count * dice.randint(1, 20) * _US for at, count in zip(first, tokens, strict=True)]
    return {
        "n": n, "first_ns": first, "end_ns": end, "tokens": tokens, "settings": settings,
        "offline": scenario == "Offline", "told": settings["use_token_latencies"],
    }  # fmt: skip


def test_genuine_logs_agree_with_themselves_and_with_their_seeds(tmp_path: Path) -> None:
    dice = random.Random(11)
    jobs = [job(scenario, dice) for scenario in _KINDS * 5]
    home = tmp_path / "runs"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), str(home)], input=json.dumps(jobs), stdout=subprocess.PIPE, text=True, check=True
    )
    logs = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(logs) == len(jobs)
    for each, made in zip(logs, jobs, strict=True):
        (tmp_path / DETAIL).write_text(each["detail"])
        (tmp_path / SUMMARY).write_text(each["summary"])
        detail, summary = read_detail(tmp_path / DETAIL), read_summary(tmp_path / SUMMARY)
        found = [*detail.problems, *summary.problems, *check_consistency(detail, summary, None), *check_traffic(detail)]
        # Of a run of some ms, a machine that pauses before the last issue makes two rates differ: the stamps tell it.
        _, _, scheduled_ns, late_ns, *_ = each["rows"][-1]
        beside = {"token-count"} if late_ns > 0.1 * scheduled_ns and made["settings"]["scenario"] == "Server" else set()
        assert {f.rule for f in found if f.ok is False} <= beside, made["settings"]
        (errors,) = check_errors(detail, summary)
        assert errors.ok is (detail.integer("num_errors") == 0)
        rules = {f.rule for f in found if f.ok}
        assert {"summary-agrees", "loaded-set", "latency-order", "query-count"} <= rules
