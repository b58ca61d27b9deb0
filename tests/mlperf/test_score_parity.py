"""The genuine LoadGen and Loadcell give the same figures and the same verdict for the same per-query times.

Where they differ on purpose stands in test_loadgen_defects.py.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_queries import made_plan, made_rules

from loadcell.mlperf.early_stopping import estimate
from loadcell.mlperf.judge import verdict
from loadcell.mlperf.judge_score import judge_figures
from loadcell.mlperf.model import Block, Finding, Queries, Rules, Score
from loadcell.mlperf.score import latencies, score

pytestmark = pytest.mark.usefixtures("alone")

pytest.importorskip("mlperf_loadgen")

RUNS = {"Server": 90, "Server without tokens": 30, "Offline": 30, "SingleStream": 30, "MultiStream": 20}
BATCHES = 2
_SCRIPT = Path(__file__).parents[1] / "kit" / "timed_loadgen.py"
_MS = 1_000_000
_PERCENTILES = ("50.00", "90.00", "95.00", "97.00", "99.00", "99.90")


# --- what is run -----------------------------------------------------------------------------------------------------


def _job(kind: str, rng: random.Random) -> dict[str, Any]:
    """A small run with limits near its tail, so that some runs keep them and some do not."""
    scenario, told = kind.removesuffix(" without tokens"), kind == "Server" or rng.random() < 0.7
    n = rng.choice([16, 50, 64])
    slow = rng.choice([0.0, 0.0, 0.002, 0.01, 0.03])
    fast_ns = {"Server": 0.4, "Offline": 4.0}.get(scenario, 0.05) * _MS
    count = rng.randint(200, 257)
    late = [rng.random() < slow for _ in range(count)]
    first = [int(fast_ns * rng.uniform(0.5, 1) * (20 if late[i] and rng.random() < 0.5 else 1)) for i in range(count)]
    tokens = [rng.randint(2, 9) for _ in range(count)]
    step = fast_ns / 10
    end = [first[i] + int(tokens[i] * step * rng.uniform(0.5, 1) * (30 if late[i] else 1)) for i in range(count)]
    settings: dict[str, Any] = {
        "scenario": scenario, "use_token_latencies": told, "min_duration_ms": rng.choice([0, 20, 60]),
        "qsl_rng_seed": rng.getrandbits(64), "sample_index_rng_seed": rng.getrandbits(64),
        "schedule_rng_seed": rng.getrandbits(64), "sample_concatenate_permutation": rng.random() < 0.7,
        "min_query_count": rng.choice([30, 300]),
    }  # fmt: skip
    if scenario == "Server":
        settings |= {"server_target_qps": rng.choice([4000.0, 8000.0]), "min_query_count": rng.choice([100, 460, 700])}
        settings |= {"ttft_latency": 4 * _MS, "tpot_latency": _MS, "server_target_latency_ns": 4 * _MS}
        if kind == "Server without tokens":
            settings["use_token_latencies"] = False
    elif scenario == "Offline":
        settings |= {"offline_expected_qps": rng.choice([1000.0, 9000.0]), "min_duration_ms": rng.choice([0, 5, 30])}
    elif scenario == "MultiStream":
        settings["min_query_count"] = rng.choice([40, 300, 665])
        settings["max_duration_ms"] = rng.choice([0, 0, 60])
    else:
        settings["max_duration_ms"] = rng.choice([0, 0, 25])
    told = bool(settings["use_token_latencies"])
    return {
        "n": n, "first_ns": first, "end_ns": end, "tokens": tokens, "settings": settings,
        "offline": scenario == "Offline", "told": told,
    }  # fmt: skip


def _run_batch(jobs: list[dict[str, Any]], home: Path) -> list[dict[str, Any]]:
    home.mkdir()
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), str(home)], input=json.dumps(jobs), stdout=subprocess.PIPE, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every job with what LoadGen made of it."""
    rng, home = random.Random(20260922), tmp_path_factory.mktemp("loadgen")
    jobs = [_job(kind, rng) for kind, count in RUNS.items() for _ in range(count)]
    rng.shuffle(jobs)
    batches = [jobs[start::BATCHES] for start in range(BATCHES)]
    with ThreadPoolExecutor(BATCHES) as pool:
        found = pool.map(_run_batch, batches, [home / str(i) for i in range(BATCHES)])
        done = [
            pair for batch, results in zip(batches, found, strict=True) for pair in zip(batch, results, strict=True)
        ]
    assert len(done) == len(jobs) == 200
    return done


# --- what both say ---------------------------------------------------------------------------------------------------


def _queries(job: dict[str, Any], rows: list[list[int | None]], first: int) -> Queries:
    """What LoadGen stamped, with its first tokens where they lie earliest (5) or latest (6)."""
    columns = list(zip(*rows, strict=True))
    number, query, scheduled, issue, complete = (np.array(column, np.int64) for column in columns[:5])
    tokens = np.array(job["tokens"], float)[number % len(job["tokens"])]
    n = len(number)
    return Queries(
        query=query,
        sample=np.zeros(n, np.int64),
        scheduled_ns=scheduled,
        issued_ns=scheduled + issue,
        first_ns=np.array(columns[first], float),
        end_ns=scheduled + complete,
        tokens=tokens if job["told"] else np.full(n, np.nan),
        ok=np.ones(n, bool),
    )


def _rules(job: dict[str, Any], printed: dict[str, Any]) -> Rules:
    """The rules that LoadGen was given; of the queries it wants whole passes, and tells how many these are."""
    asked = job["settings"]
    scenario = asked["scenario"].lower()
    timed = asked["use_token_latencies"] and scenario == "server"
    return made_rules(
        scenario,
        token_latencies=asked["use_token_latencies"],
        min_duration_s=asked["min_duration_ms"] / 1000,
        min_queries=printed["effective_min_query_count"],
        ttft_ms=asked["ttft_latency"] / _MS if timed else None,
        tpot_ms=asked["tpot_latency"] / _MS if timed else None,
        latency_ms=asked["server_target_latency_ns"] / _MS if scenario == "server" and not timed else None,
    )


def _printed(detail: str) -> dict[str, Any]:
    records = (line.removeprefix(":::MLLOG ") for line in detail.splitlines())
    found: dict[str, Any] = {}
    for record in records:
        known = json.loads(record)
        found.setdefault(known["key"], known["value"])
    return found


def _findings(rules: Rules, got: Score) -> list[Finding]:
    return list(judge_figures(made_plan(rules), got))


def _same_block(printed: dict[str, Any], low: Block | None, high: Block | None, name: str) -> None:
    """LoadGen's block between ours of the earliest and of the latest first tokens; these are mostly the same."""
    assert low and high
    figures = {"min": lambda b: b.min_ns, "max": lambda b: b.max_ns, "mean": lambda b: b.mean_ns}
    figures |= {p: (lambda b, p=p: b.percentiles_ns[p]) for p in _PERCENTILES}
    for figure, of in figures.items():
        bounds = sorted((of(low), of(high)))
        value = printed[_key(name, figure)]
        assert bounds[0] <= value <= bounds[1], (name, figure, value, bounds)


def _key(name: str, figure: str) -> str:
    spread = figure in ("min", "max", "mean")
    return {
        "latency": f"result_{figure}_latency_ns" if spread else f"result_{figure}_percentile_latency_ns",
        "query": f"result_{figure}_query_latency_ns" if spread else f"result_{figure}_percentile_per_query_latency_ns",
        "ttft": f"result_first_token_{figure}_latency_ns"
        if spread
        else f"result_first_token_{figure}_percentile_latency_ns",
        "tpot": f"result_time_to_output_token_{figure}"
        if spread
        else f"result_time_per_output_token_{figure}_percentile_ns",
    }[name]


def _same_rate(value: float, ours: float | None, slack: float = 0.0) -> None:
    """Equal after LoadGen's own rounding to six significant digits."""
    assert ours is not None
    assert value == float(f"{ours:.6g}") or value == pytest.approx(ours, rel=slack), (
        value,
        ours,
    )


def _start_slack(got: Score) -> float:
    """Of closed loops the trace tells LoadGen's start a little late; mostly below 1 us, on runs of some ms."""
    return 20_000 / (got.last_issued_done_ns or 1)


def test_same_figures(runs: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    for job, told in runs:
        printed = _printed(told["detail"])
        rules = _rules(job, printed)
        early, late = (score(_queries(job, told["rows"], first), rules) for first in (5, 6))
        scenario = rules.scenario
        assert printed["result_query_count"] == early.queries
        _same_block(printed, early.latency, late.latency, "latency")
        if scenario == "server":
            _same_rate(printed["result_scheduled_samples_per_sec"], early.scheduled_samples_per_s)
            _same_rate(printed["result_completed_samples_per_sec"], early.samples_per_s_loadgen)
        if scenario == "offline":
            _same_rate(printed["result_samples_per_second"], early.samples_per_s_run)
            if job["told"]:
                _same_rate(printed["result_tokens_per_second"], early.tokens_per_s_run)
                _same_rate(printed["result_tokens_per_second"], early.headline)
        if scenario == "multistream":
            _same_block(printed, early.query_latency, late.query_latency, "query")
        if job["told"] and scenario != "offline":
            _same_block(printed, early.ttft, late.ttft, "ttft")
            _same_block(printed, early.tpot, late.tpot, "tpot")
            slack = 0.0 if scenario == "server" else _start_slack(early)
            _same_rate(printed["result_completed_tokens_per_second"], early.tokens_per_s_loadgen, slack)
        if scenario == "server" and job["told"]:
            _same_rate(printed["result_completed_tokens_per_second"], early.headline)


def test_same_verdict(runs: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Each of LoadGen's four answers, and what follows from them; first tokens at the very limit may go either way."""
    seen: dict[str, set[bool]] = {}
    unclear = 0
    for job, told in runs:
        printed = _printed(told["detail"])
        rules = _rules(job, printed)
        both = [_findings(rules, score(_queries(job, told["rows"], first), rules)) for first in (5, 6)]
        answers = [_answers(findings) for findings in both]
        if answers[0] != answers[1]:
            unclear += 1
            continue
        ours = answers[0]
        if rules.scenario != "server":
            ours.pop("result_perf_constraints_met")
        theirs = {key: printed[key] for key in ours}
        assert ours == theirs, (job["settings"], both[0])
        assert verdict(both[0]) == printed["result_validity"]
        for key, value in ours.items():
            seen.setdefault(f"{rules.scenario} {key}", set()).add(value)
        seen.setdefault(f"{rules.scenario} valid", set()).add(printed["result_validity"] == "VALID")
    assert unclear <= 5
    both_ways = {
        "server result_perf_constraints_met", "server early_stopping_met", "offline result_min_duration_met",
        "singlestream result_min_queries_met", "singlestream early_stopping_met", "multistream early_stopping_met",
    }  # fmt: skip
    assert {key for key in both_ways if len(seen[key]) == 2} == both_ways, (
        "runs must differ, or this test shows nothing"
    )


def _answers(findings: list[Finding]) -> dict[str, bool]:
    def holds(*rules: str) -> bool:
        return all(finding.ok is True for finding in findings if finding.rule in rules)

    return {
        "result_perf_constraints_met": holds("ttft-limit", "tpot-limit", "latency-limit"),
        "result_min_duration_met": holds("min-duration"),
        "result_min_queries_met": holds("min-query-count"),
        "early_stopping_met": holds("early-stopping-ttft", "early-stopping-tpot", "early-stopping-latency"),
    }


def test_same_early_stopping_bounds(runs: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Single- and multistream. With token times LoadGen's single-stream bound is that of TTFT: ours is not."""
    compared = 0
    for job, told in runs:
        printed = _printed(told["detail"])
        rules = _rules(job, printed)
        if rules.scenario not in ("singlestream", "multistream") or not printed["early_stopping_met"]:
            continue
        queries = _queries(job, told["rows"], 5)
        ours = score(queries, rules).early_stopping[0]
        if rules.scenario == "multistream":
            assert printed["early_stopping_latency_ms"] == ours.estimate_ns
        elif job["told"]:
            ttft = estimate(latencies(queries).ttft, 0.9, "ttft")
            assert printed["early_stopping_latency_ss"] == ttft.estimate_ns
            assert ours.estimate_ns is not None and ours.estimate_ns > ttft.estimate_ns
        else:
            assert printed["early_stopping_latency_ss"] == ours.estimate_ns
        assert f"Would discard {ours.discarded} highest latency queries" in told["summary"]
        compared += 1
    assert compared >= 20


def test_needed_queries_are_those_that_loadgen_tells(runs: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    compared = 0
    for job, told in runs:
        rules = _rules(job, _printed(told["detail"]))
        if rules.scenario != "server" or rules.latency_ms is None:
            continue
        (ours,) = score(_queries(job, told["rows"], 5), rules).early_stopping
        words = f"Would need to run at least {ours.more} more queries"
        assert (words in told["summary"]) == (not ours.met)
        compared += not ours.met
    assert compared >= 5
