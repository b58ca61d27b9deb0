"""Real files of other tools, imported and shown: figures are what the tool itself printed of the same requests."""

from pathlib import Path

import pytest

from loadcell.cli.main import main
from loadcell.interop.read import readers
from loadcell.metrics import build_result
from loadcell.recording.read import open_recording

PEERS = Path(__file__).parents[1] / "data" / "peers"
OF_FOLDER = {"vllm_bench": "vllm", "vllm_bench_detailed": "vllm", "vllm_rs": "vllm"}
"""Modules of readers; other folders are called as theirs."""
THERE = [
    path.name for path in sorted(PEERS.iterdir()) if path.is_dir() and OF_FOLDER.get(path.name, path.name) in readers()
]


def imported(name, folder):
    assert main(["import", str(PEERS / name), "--output", str(folder)]) == 0
    return build_result(open_recording(folder))


def told(result, key):
    assert result.imported is not None
    return next(one.value for one in result.imported.told if one.key == key)


def test_means_over_the_rows_of_vllm_are_those_that_vllm_printed(tmp_path):
    result = imported("vllm_bench_detailed", tmp_path / "run")
    assert result.whole_run is not None
    whole = result.whole_run.latency
    for name, key in (("ttft_ms", "mean_ttft_ms"), ("tpot_ms", "mean_tpot_ms"), ("itl_ms", "mean_itl_ms")):
        assert whole[name].service.mean == pytest.approx(told(result, key), rel=1e-4)
    assert result.run_rates is not None
    assert result.run_rates.requests_per_s == pytest.approx(told(result, "request_throughput"), rel=5e-3)
    assert result.latency["ttft_ms"].service.p50.low is not None


def test_without_detail_vllm_gives_e2e_alone_and_its_own_figures_for_the_rest(tmp_path):
    result = imported("vllm_bench", tmp_path / "run")
    assert not result.latency["e2e_ms"].service.told
    assert result.latency["e2e_ms"].service.mean == pytest.approx(told(result, "mean_e2el_ms"), rel=1e-6)
    assert result.latency["ttft_ms"].service.told
    assert result.latency["ttft_ms"].service.mean == told(result, "mean_ttft_ms")
    assert result.throughput.requests_per_s == told(result, "request_throughput")
    assert result.throughput.told is not None


def test_summaries_alone_are_the_figures_of_the_rust_client(tmp_path):
    result = imported("vllm_rs", tmp_path / "run")
    for name, key in (("ttft_ms", "ttft"), ("tpot_ms", "tpot"), ("itl_ms", "itl"), ("e2e_ms", "e2el")):
        summary = result.latency[name].service
        assert (summary.told, summary.p99.value) == (True, told(result, f"p99_{key}_ms"))
    assert result.counts.run.ok == 64
    assert result.verdict.word == "SUSPECT"


@pytest.mark.parametrize("name", THERE)
def test_every_real_file_is_shown_in_every_form(tmp_path, capsys, name):
    imported(name, tmp_path / "run")
    for form in ([], ["--full"], ["--json"], ["--csv"], ["--md"], ["--html"]):
        assert main(["report", str(tmp_path / "run"), *form]) == 0
    assert "Traceback" not in capsys.readouterr().err
