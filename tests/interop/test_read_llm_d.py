"""Benchmark Reports of llm-d: each statistic in its declared unit, of every version, YAML or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from foreign import PEERS, sound, value_of

from loadcell.errors import UsageError
from loadcell.interop.readers import llm_d
from loadcell.metrics.glossary import LATENCIES

EXAMPLE = Path(__file__).parents[1] / "data" / "llm_d" / "br_v0_2_1_example.yaml"
TREE = yaml.safe_load(EXAMPLE.read_text())


def numbers(tree: Any, at: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key != "time_series":
                yield from numbers(value, f"{at}.{key}" if at else key)
    elif isinstance(tree, int | float) and not isinstance(tree, bool):
        yield at, tree


def put(folder: Path, change: dict[str, Any] | None = None, name: str = "report.json") -> Path:
    tree = json.loads(json.dumps(TREE, default=str)) | (change or {})
    (folder / name).write_text(json.dumps(tree))
    return folder / name


def old(units: str = "ms", **metrics: Any) -> dict[str, Any]:
    """A report of v0.1, as llm-d-benchmark made them of a file of vLLM's."""
    return {
        "version": "0.1",
        "scenario": {
            "model": {"name": "m"},
            "load": {"name": "vllm-benchmark", "args": {"request_rate": 3.5, "max_concurrency": None}},
        },
        "metrics": {
            "time": {"duration": 12.5, "start": 1764335805.0},
            "requests": {"total": 9, "input_length": {"units": "count", "mean": 100.0}},
            "latency": {
                "time_to_first_token": {"units": units, "mean": 50.0, "P25": 45.0, "p50": 49.0, "p99p9": None},
                "time_per_output_token": {"units": f"{units}/token", "mean": 10.0},
            },
            "throughput": {"output_tokens_per_sec": 120.0, "total_tokens_per_sec": 200.0, "requests_per_sec": 0.7},
        } | metrics,
    }  # fmt: skip


def test_the_example_is_told_figure_by_figure() -> None:
    (run,) = llm_d.read(EXAMPLE)
    sound(run)
    assert {told.key: told.value for told in run.told} == dict(numbers(TREE["results"]))
    assert not run.tested
    assert (run.planned, run.ok, run.failed, run.model) == (500, 500, 0, "Qwen/Qwen3-0.6B")
    assert (run.loop, run.rate, run.concurrency, run.name) == ("open", 10.0, None, "stage-3-rate-10")
    assert (run.input_tokens, run.output_tokens) == ("2148", "normal:1000,100")
    assert run.started_at is not None and run.started_at.isoformat() == "2025-11-05T18:00:42+00:00"
    mapped = {told.metric: told.unit for told in run.told if told.metric in LATENCIES}
    assert mapped == dict.fromkeys(("ttft_ms", "itl_ms", "ntpot_ms", "e2e_ms", "tpot_ms"), "s")
    assert value_of(run, "ttft_ms", "p99.9") == 0.057014757215045425
    assert value_of(run, "requests_per_s") == 2262.448
    assert any("inference-perf 0.3.0" in note for note in run.notes)


def test_json_says_the_same_as_yaml(tmp_path: Path) -> None:
    (one,), (other,) = llm_d.read(put(tmp_path)), llm_d.read(EXAMPLE)
    assert one.told == other.told
    assert one.started_at == other.started_at


@pytest.mark.parametrize("units", ["ms", "s"])
def test_the_first_version_is_read_in_its_own_units(tmp_path: Path, units: str) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(old(units)))
    (run,) = llm_d.read(tmp_path)
    sound(run)
    assert {t.unit for t in run.told if t.metric in LATENCIES} == {units}
    assert (value_of(run, "ttft_ms", "p25"), value_of(run, "tpot_ms", "mean")) == (45.0, 10.0)
    assert (value_of(run, "requests_per_s"), value_of(run, "output_tokens_per_s")) == (0.7, 120.0)
    assert (run.loop, run.rate, run.window_s, run.model, run.planned) == ("open", 3.5, 12.5, "m", 9)
    assert run.started_at is not None and run.started_at.timestamp() == 1764335805.0


def test_a_slice_without_scenario_is_read(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text(
        yaml.safe_dump({k: TREE[k] for k in ("version", "run", "results")}, sort_keys=False)
    )
    (run,) = llm_d.read(tmp_path)
    sound(run)
    assert (run.name, run.loop, run.rate) == ("part", None, None)
    assert any(missing.field == "the tool that measured" for missing in run.missing)


def test_stages_of_a_folder_are_runs(tmp_path: Path) -> None:
    put(tmp_path, name="a.json")
    put(tmp_path, name="b.json")
    assert [run.name for run in llm_d.read(tmp_path)] == ["stage-3-rate-10-1", "stage-3-rate-10-2"]


def test_units_versions_and_types_that_cannot_be_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps(old("bytes")))
    with pytest.raises(UsageError, match=r"r\.json: metrics\.latency\.time_to_first_token\.units: bytes is none of"):
        llm_d.read(tmp_path / "r.json")
    (tmp_path / "r.json").write_text(json.dumps(old() | {"version": "0.3"}))
    with pytest.raises(UsageError, match=r"r\.json: version: 0\.3 is none of"):
        llm_d.read(tmp_path / "r.json")
    (tmp_path / "r.json").write_text(json.dumps(old(requests={"total": "many"})))
    with pytest.raises(UsageError, match=r"r\.json: metrics\.requests\.total"):
        llm_d.read(tmp_path / "r.json")
    text = EXAMPLE.read_text()
    (tmp_path / "r.yaml").write_text(text[: text.index("version: 0.2.1")] + "version: [0.2.1\n")
    with pytest.raises(UsageError, match=r"r\.yaml is no whole YAML in line \d+"):
        llm_d.read(tmp_path / "r.yaml")
    nan = old(latency={"request_latency": {"units": "s", "mean": float("nan"), "p99": float("inf")}})
    (tmp_path / "r.json").write_text(json.dumps(nan))
    (run,) = llm_d.read(tmp_path / "r.json")
    sound(run)
    assert [told.value for told in run.told if told.metric == "e2e_ms"] == [None, None]


def test_it_is_found_by_its_content(tmp_path: Path) -> None:
    assert llm_d.matches(EXAMPLE)
    assert llm_d.matches(put(tmp_path))
    assert not any(llm_d.matches(folder) for folder in PEERS.iterdir())
    (tmp_path / "other.yaml").write_text("results: 3\nversion: 4\n")
    assert not llm_d.matches(tmp_path / "other.yaml")
