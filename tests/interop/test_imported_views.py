"""What a tool told of its own run, read from its file and imported, is what its view says of the recording."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import peer_rows
import pytest

from loadcell.interop.views.build import shown_as
from loadcell.metrics import build_result
from loadcell.recording.read import open_recording

DOOR = importlib.util.find_spec("loadcell.interop.door")


@pytest.mark.skipif(DOOR is None, reason="nothing is imported here")
@pytest.mark.parametrize(
    ("name", "least", "beyond"),
    [("vllm_bench_detailed/r.json.gz", 34, ()), ("aiperf", 140, ()), ("guidellm/g.json.gz", 118, ()),
     ("llmperf", 56, ("results_inter_token_latency_s",)), ("genai_bench", 106, ()),
     ("vllm_bench/r.json", 10, ("ttft", "tpot", "itl", "tokens", "throughput", "concurrent", "output", "input"))],
)  # fmt: skip
def test_the_view_of_an_imported_run_is_what_its_tool_told(
    tmp_path: Path, name: str, least: int, beyond: tuple[str, ...]
) -> None:
    """`beyond` are figures that the file holds no data for: the view has none."""
    from loadcell.interop.door import import_run
    from loadcell.interop.read import read_runs

    (run,) = read_runs(peer_rows.PEERS / name)
    folder = tmp_path / "run"
    folder.mkdir()
    import_run(run, folder)
    recording = open_recording(folder)
    assert recording.imported is not None
    shown = shown_as(recording, build_result(recording), recording.imported.tool)
    right = 0
    for figure in shown.figures:
        if figure.told is None:
            continue
        if figure.value is None:
            assert any(part in figure.key for part in beyond), figure.key
            continue
        assert figure.value == pytest.approx(figure.told, rel=1e-6, abs=1e-6), figure.key
        right += 1
    assert right >= least


@pytest.mark.skipif(DOOR is None, reason="nothing is imported here")
@pytest.mark.parametrize("name", ["inference_perf", "vllm_rs/r.json", "vllm_bench/r.json"])
def test_what_another_tool_told_is_never_shown_as_ours(tmp_path: Path, name: str) -> None:
    from loadcell.interop.door import import_run
    from loadcell.interop.read import read_runs

    (run,) = read_runs(peer_rows.PEERS / name)
    import_run(run, tmp_path)
    recording = open_recording(tmp_path)
    shown = shown_as(recording, build_result(recording), "vllm")
    has = {"e2e", "requests_per_s"} if name.startswith("vllm_bench") else set()
    assert {one.metric for one in shown.figures if one.ours is not None} - {"ok", "failed"} <= has
    assert {one.metric for one in shown.differences} <= has
