"""Files of other tools with something odd in them: imported, or refused in one line, never a traceback."""

from __future__ import annotations

import copy
import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vllm_files import vllm_result

from loadcell.errors import LoadcellError
from loadcell.interop.door import all_or_nothing, import_run
from loadcell.interop.read import find_runs, readers
from loadcell.recording.read import open_recording

PEERS = Path(__file__).parents[1] / "data" / "peers"
FILES = {
    "vllm": ["vllm_bench/r.json", "vllm_rs/r.json"],
    "aiperf": ["aiperf/profile_export_aiperf.json"],
    "guidellm": ["guidellm/g.json.gz"],
    "inference_perf": ["inference_perf/stage_0_lifecycle_metrics.json"],
    "genai_bench": ["genai_bench/D128_50_text-to-text_num_concurrency_8_time_5s.json.gz"],
    "llmperf": ["llmperf/truth_200_50_summary.json", "llmperf/truth_200_50_individual_responses.json"],
}
THERE = [file for module, files in FILES.items() if module in readers() for file in files]
ODD = st.sampled_from(
    [None, True, -1, 0, 1e308, 2**70, float("nan"), float("inf"), "", "text", "12", [], {}, [None], {"a": 1}]
)


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a tree as (container, key); of long lists the first two items."""
    items = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree[:2]))
    for key, value in items:
        yield tree, key
        if isinstance(value, dict | list):
            yield from places(value)


def tried(folder: Path, path: Path) -> None:
    """Import it: what comes of it opens whole, or it is refused and nothing is left."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        runs = find_runs(path).runs
        with all_or_nothing(folder):
            for number, run in enumerate(runs):
                (folder / str(number)).mkdir()
                import_run(run, folder / str(number))
    except LoadcellError as error:
        assert "\n" not in str(error)
        assert not folder.exists()
        return
    for number in range(len(runs)):
        recording = open_recording(folder / str(number))
        assert recording.damaged == [] and recording.altered == []


def test_whatever_stands_in_an_array_of_vllm(tmp_path: Path) -> None:
    tree = vllm_result(rows=3, failed_requests=[{"index": 1, "error": "x"}], steady_state={"window": {"start_s": 1}})

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def each(data: Any) -> None:
        changed = copy.deepcopy(tree)
        for _ in range(data.draw(st.integers(1, 2))):
            holder, key = data.draw(st.sampled_from(list(places(changed))), label="place")
            holder[key] = copy.deepcopy(data.draw(ODD))
        (tmp_path / "a.json").write_text(json.dumps(changed))
        tried(tmp_path / "out", tmp_path / "a.json")

    each()


@pytest.mark.parametrize("name", THERE)
def test_whatever_stands_anywhere_in_a_file(tmp_path: Path, name: str, thorough: None) -> None:
    home = tmp_path / "files"
    shutil.copytree(PEERS / Path(name).parent, home)
    file = home / Path(name).name
    text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    file.chmod(0o644)
    file.unlink()

    @settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def each(data: Any) -> None:
        changed = json.loads(text)
        for _ in range(data.draw(st.integers(1, 2))):
            holder, key = data.draw(st.sampled_from(list(places(changed))))
            holder[key] = copy.deepcopy(data.draw(ODD))
        file.with_suffix("").write_text(json.dumps(changed))
        tried(tmp_path / "out", home)

    each()
