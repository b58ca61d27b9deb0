"""What LoadGen 6.0.17 gets wrong, seen on the genuine one, and what Loadcell says of the same times instead.

| LoadGen | Loadcell |
|---|---|
| a reply of one token is an error and counts as no token; its TPOT is divided by -1 | its token counts, no TPOT |
| a mean over negative values is a huge number | no TPOT is negative |
| such a run may end VALID, with errors and 0 tokens/s | a TPOT that is not known proves nothing: INVALID |
| result_token_throughput is tokens per nanosecond | rates are per second |
| result_overlatency_query_count compares with a target latency of 0 | samples over are counted for each limit |
| where TPOT's early stopping fails, TTFT's is not told | each is told |
| early_stopping_latency_ss is the bound of TTFT where tokens are timed | the whole latency's (test_score_parity) |
| the TPOT of Offline comes from an empty list of TTFTs | Offline has neither |
| six significant digits; bare nan in the detail log | full precision; None |
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_queries import made_plan, made_rules

from loadcell.mlperf.judge import verdict
from loadcell.mlperf.judge_score import judge_figures
from loadcell.mlperf.model import Finding, Queries, Rules, Score
from loadcell.mlperf.score import score

pytestmark = pytest.mark.usefixtures("alone")

pytest.importorskip("mlperf_loadgen")

_MS = 1_000_000
_SEEDS = {"qsl_rng_seed": 1, "sample_index_rng_seed": 2, "schedule_rng_seed": 3, "min_duration_ms": 0}
_SERVER = _SEEDS | {
    "scenario": "Server", "use_token_latencies": True, "server_target_qps": 4000.0, "server_target_latency_ns": 0,
    "ttft_latency": 50 * _MS, "tpot_latency": 50 * _MS, "min_query_count": 500,
}  # fmt: skip


def _job(tokens: int, settings: dict[str, Any]) -> dict[str, Any]:
    offline = settings["scenario"] == "Offline"
    times = {"first_ns": [200_000], "end_ns": [900_000], "tokens": [tokens]}
    return {"n": 16, "settings": settings, "offline": offline, **times}


JOBS = {
    "one token": _job(1, _SERVER),
    "slow tokens": _job(3, _SERVER | {"tpot_latency": 1, "min_query_count": 480}),
    "one query": _job(3, _SERVER | {"min_query_count": 1}),
    "offline": _job(3, _SEEDS | {"scenario": "Offline", "use_token_latencies": True, "offline_expected_qps": 1000.0}),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What LoadGen printed and stamped, by the name of the job."""
    script, home = Path(__file__).parents[1] / "kit" / "timed_loadgen.py", tmp_path_factory.mktemp("defects")
    done = subprocess.run(
        [sys.executable, str(script), str(home)],
        input=json.dumps(list(JOBS.values())), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return {name: json.loads(line) for name, line in zip(JOBS, lines, strict=True)}


def _rules(**more: Any) -> Rules:
    limits: dict[str, Any] = {"ttft_ms": 50.0, "tpot_ms": 50.0}
    return made_rules("server", **({"min_duration_s": 0.0} | limits | more))


def _queries(told: dict[str, Any], tokens: int) -> Queries:
    columns = list(zip(*told["rows"], strict=True))
    _, query, scheduled, issue, complete = (np.array(column, np.int64) for column in columns[:5])
    n = len(query)
    return Queries(
        query=query, sample=np.zeros(n, np.int64), scheduled_ns=scheduled, issued_ns=scheduled + issue,
        first_ns=np.array([math.nan if t is None else t for t in columns[5]]), end_ns=scheduled + complete,
        tokens=np.full(n, float(tokens)), ok=np.ones(n, bool),
    )  # fmt: skip


def _value(told: dict[str, Any], key: str) -> str:
    """The value of a key in the detail log as it stands there: it is not always JSON."""
    (line,) = (line for line in told["detail"].splitlines() if f'"key": "{key}"' in line)
    return line.partition('"value": ')[2].partition(', "time_ms"')[0]


def _findings(rules: Rules, got: Score) -> dict[str, Finding]:
    return {found.rule: found for found in judge_figures(made_plan(rules), got)}


def test_a_reply_of_one_token_counts(runs: dict[str, dict[str, Any]]) -> None:
    told = runs["one token"]
    assert int(_value(told, "num_errors")) >= 500
    assert "Completed tokens per second: 0.00" in told["summary"]
    assert _value(told, "result_validity") == '"VALID"'
    assert int(_value(told, "result_time_to_output_token_max")) < 0
    assert int(_value(told, "result_time_to_output_token_mean")) > 10**14

    got = score(_queries(told, 1), _rules())
    assert got.tokens == got.samples >= 500
    assert got.tokens_per_s_loadgen is not None and got.tokens_per_s_loadgen > 0
    assert got.ttft is not None and got.tpot is None
    found = _findings(_rules(), got)
    assert found["tpot-limit"].ok is None and found["early-stopping-tpot"].ok is None
    assert found["ttft-limit"].ok is True
    assert verdict(found.values()) == "INVALID"


def test_rates_are_per_second_and_over_counts_are_of_their_limit(runs: dict[str, dict[str, Any]]) -> None:
    told = runs["slow tokens"]
    n = int(_value(told, "result_query_count"))
    assert float(_value(told, "result_token_throughput")) < 1e-3
    assert int(_value(told, "result_overlatency_query_count")) == n
    got = score(_queries(told, 3), _rules(tpot_ms=1e-6))
    over = {proof.of: proof.over for proof in got.early_stopping}
    assert over["tpot"] == n and over["ttft"] is not None and over["ttft"] < n / 10
    assert got.tokens_per_s_loadgen is not None and got.tokens_per_s_loadgen > 100


def test_early_stopping_of_ttft_is_told_where_that_of_tpot_fails(runs: dict[str, dict[str, Any]]) -> None:
    told = runs["slow tokens"]
    assert _value(told, "early_stopping_ttft_result") == '""'
    assert "Run unsuccessful" in _value(told, "early_stopping_tpot_result")
    found = _findings(_rules(tpot_ms=1e-6), score(_queries(told, 3), _rules(tpot_ms=1e-6)))
    assert found["early-stopping-tpot"].ok is False
    assert "beyond 50 ms TTFT" in found["early-stopping-ttft"].says


def test_what_is_no_number_is_none(runs: dict[str, dict[str, Any]]) -> None:
    told = runs["one query"]
    assert int(_value(told, "result_query_count")) == 1
    assert _value(told, "result_scheduled_samples_per_sec") in ("nan", "-nan")
    got = score(_queries(told, 3), _rules())
    assert got.scheduled_samples_per_s is None
    assert got.samples_per_s_run is not None


def test_offline_has_no_ttft_and_no_tpot(runs: dict[str, dict[str, Any]]) -> None:
    told = runs["offline"]
    assert '"result_time_to_output_token_mean"' not in told["detail"]
    got = score(_queries(told, 3), made_rules("offline"))
    assert (got.ttft, got.tpot, got.early_stopping) == (None, None, [])
    assert got.headline == got.tokens_per_s_run == pytest.approx(float(_value(told, "result_tokens_per_second")), 1e-5)
