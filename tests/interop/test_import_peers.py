"""Every result file of another tool that the project has, imported and held against what the server did.

The tools differ from the truth by their own bias: their TTFT is late, never early by more than a clock's error.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loadcell.cli.main import main
from loadcell.interop.read import read_runs, readers
from loadcell.metrics import build_result
from loadcell.recording.read import open_recording

PEERS = Path(__file__).parents[1] / "data" / "peers"
MODULES = {
    "vllm_bench": "vllm", "vllm_bench_detailed": "vllm", "vllm_rs": "vllm", "aiperf": "aiperf", "guidellm": "guidellm",
    "inference_perf": "inference_perf", "genai_bench": "genai_bench", "llmperf": "llmperf", "evalscope": "evalscope",
}  # fmt: skip
THERE = [folder for folder, module in MODULES.items() if module in readers()]
BIAS = {"ttft_ms": (0.98, 2.0), "e2e_ms": (0.99, 1.15)}
"""Medians as a part of the server's, at the least and the most."""


def truth_of(folder: str) -> dict[str, Any]:
    own = PEERS / folder / "truth.json"
    found = json.loads(own.read_text()) if own.exists() else json.loads((PEERS / "truth.json").read_text())[folder]
    return found.get("truth", found)


def test_every_folder_is_of_a_tool():
    assert {each.name for each in PEERS.iterdir() if each.is_dir()} == set(MODULES)


@pytest.mark.parametrize("folder", THERE)
def test_each_imports_whole(imported, folder):
    where, said = imported(PEERS / folder)
    for each in said["recordings"]:
        recording = open_recording(each["folder"])
        assert recording.damaged == [] and recording.altered == [] and recording.imported is not None
        assert each["tested"] is True, "this is a real file"
        assert each["told"] or each["details"]
        assert len({one["key"] for one in each["told"]}) == len(each["told"])
        assert all(one["why"] for one in each["missing"])
        if each["details"]:
            build_result(recording)
    runs = read_runs(PEERS / folder)
    assert len(runs) == len(said["recordings"])
    assert Path(said["folder"]) == where


@pytest.mark.parametrize("folder", THERE)
def test_counts_and_medians_are_the_servers_but_for_the_tools_bias(imported, folder):
    truth = truth_of(folder)
    _, said = imported(PEERS / folder)
    ok = sum(each["ok"] or 0 for each in said["recordings"])
    assert ok == 64 or truth["requests"] * 0.8 <= ok <= truth["requests"], "the tool's probes count at the server too"
    for each in said["recordings"]:
        for metric, (low, high) in BIAS.items():
            for found in (by_rows(each, metric), by_told(each, metric)):
                if found is not None:
                    assert low * truth[metric]["p50"] <= found <= high * truth[metric]["p50"], metric


def by_rows(each: Any, metric: str) -> float | None:
    """The median over the Parquet, by DuckDB."""
    if not each["details"]:
        return None
    stamp = {"ttft_ms": "first_any_ns", "e2e_ms": "last_ns"}[metric]
    parquet = f"read_parquet('{each['folder']}/requests-*.parquet')"
    sql = f"select median({stamp} - send_start_ns) / 1e6 from {parquet} where status = 'ok'"
    ((found,),) = duckdb.sql(sql).fetchall()
    return found


def by_told(each: Any, metric: str) -> float | None:
    """The median that the tool wrote, in ms."""
    scale = {"ms": 1.0, "s": 1e3, "ns": 1e-6, "us": 1e-3}
    for one in each["told"]:
        if one["metric"] == metric and one["stat"] == "p50" and one["value"] is not None:
            return one["value"] * scale[one["unit"]]
    return None


@pytest.mark.parametrize("folder", THERE)
def test_the_rows_say_what_the_tool_told_of_them(imported, folder):
    """Means of TTFT and E2E over the rows are those that the file prints, where it prints both."""
    _, said = imported(PEERS / folder)
    for each in said["recordings"]:
        for metric in BIAS:
            rows, told = by_rows(each, metric), by_told(each, metric)
            if rows is not None and told is not None:
                assert rows == pytest.approx(told, rel=0.02)


FIXED = {"inference_perf"}
"""Tools whose folders are known by the names of the files in them."""


BESIDE = ("experiment_metadata.json", "benchmark_args.json", "workload_throughput.json", "workload_timeline.json")
"""Files that are no run by themselves."""


@pytest.mark.parametrize("folder", [folder for folder in THERE if folder not in FIXED])
def test_a_file_is_known_by_what_is_in_it_whatever_its_name(tmp_path, folder):
    for file in sorted((PEERS / folder).iterdir()):
        if file.name != "truth.json" and file.name.partition(".")[2] in ("json", "json.gz", "jsonl.gz"):
            (tmp_path / "other-name").write_bytes(file.read_bytes())
            if file.name not in BESIDE:
                assert {run.tool for run in read_runs(tmp_path / "other-name")} == {run.tool for run in read_runs(file)}


def test_what_a_tool_told_can_be_asked_in_sql(imported, capsys):
    folder, said = imported(PEERS / "vllm_rs")
    raw = json.loads((PEERS / "vllm_rs" / "r.json").read_text())
    capsys.readouterr()
    asked = "select value, unit, metric, stat from told where key = 'p99_ttft_ms'"
    assert main(["query", asked, str(folder), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {"value": raw["p99_ttft_ms"], "unit": "ms", "metric": "ttft_ms", "stat": "p99"}
    assert main(["query", "select count(*) as n from told", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"n": len(said["recordings"][0]["told"])}]
