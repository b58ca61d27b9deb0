"""What cannot be imported is said by file and field, and leaves nothing behind."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from vllm_files import vllm_result, write_json

from loadcell.cli.main import main
from loadcell.interop.read import readers
from loadcell.recording.read import open_recording

PEERS = Path(__file__).parents[1] / "data" / "peers"


def changed(**more):
    return vllm_result() | more


def in_ms(*keys):
    tree = vllm_result()
    for key in keys:
        values = tree[key]
        tree[key] = [[x * 1e3 for x in v] if isinstance(v, list) else v * 1e3 for v in values]
    return tree


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        (changed(ttfts=[0.05] * 5), "arrays with an item a request have as many each, and these differ: ttfts 5, lat"),
        (in_ms("ttfts"), "last output before first output in 6 of 6 requests, the first in row 0 (latencies at"),
        (in_ms("itls"), "itls: events in no order, or beyond the last output in 6 of 6 requests, the first in row 0"),
        (in_ms("ttfts", "itls", "latencies"), "median_ttft_ms is 52.5 ms, and the p50 of its requests 52500 ms"),
        (changed(median_e2el_ms=0.09), "median_e2el_ms is 0.09 ms and median_ttft_ms 52.5 ms: no reply ends before it"),
        (changed(duration=600.0), "the duration is 600 s, and its requests take 0.595 s; are seconds taken for milli"),
        (changed(ttfts=[-0.05] * 6), "first output before send in 5 of 6"),
        (changed(latencies=[float("nan")] * 6), "latencies is no finite number in 6 of 6 requests, the first in row 0"),
        (changed(output_lens=[-5] * 6), "output_lens cannot be in 6 of 6 requests"),
        (changed(ttfts="0.1"), "ttfts holds str where a list of numbers should stand"),
        (changed(ttfts=["0.1"] * 6), "ttfts holds '0.1' where a number should stand"),
        (changed(itls=[1] * 6), "itls holds int where a list of numbers should stand"),
        (changed(completed="six"), "completed is 'six', where a number should stand"),
        (changed(model_id="a\ud800"), "a text in it is no Unicode ('"),
        (changed(itls=[[1e-5] * 4] * 6), "mean_itl_ms is 10 ms, and the mean of the gaps of its requests 0.01 ms; are"),
        (changed(completed=-1), "completed is -1: it counts requests"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_by_file_and_field(tmp_path, refused, tree, says):
    file = write_json(tmp_path / "a.json", tree)
    said = refused(file)
    assert says in said and str(file) in said


def test_where_some_rows_cannot_be_they_are_counted_and_the_rest_stays(tmp_path, imported):
    tree = vllm_result(rows=10)
    tree["ttfts"][3] = float("nan")
    tree["latencies"][4] = 0.01
    tree["itls"][5] = [5.0] * 4
    tree["input_lens"][6] = None
    folder, said = imported(write_json(tmp_path / "a.json", tree))
    recording = open_recording(folder)
    notes = "\n".join(recording.manifest.notes)
    assert "ttfts is no finite number: 1 of 10 requests, the first in row 3 (nan): left out there" in notes
    assert "last output before first output: 1 of 10 requests, the first in row 4" in notes
    assert "itls: events in no order, or beyond the last output: 1 of 10 requests, the first in row 5" in notes
    assert "input_lens is no finite number" not in notes
    found = recording.requests(["first_any_ns", "output_chunks", "input_tokens", "status"])
    assert np.flatnonzero(np.isnan(found["first_any_ns"])).tolist() == [3, 4]
    assert np.flatnonzero(np.isnan(found["output_chunks"])).tolist() == [3, 4, 5]
    assert set(found["status"]) == {"ok"} and recording.damaged == []
    assert said["recordings"][0]["ok"] == 10


def test_nan_and_infinity_in_figures_are_missing(tmp_path, imported):
    tree = vllm_result(detailed=False, mean_itl_ms=float("nan"), p99_itl_ms=float("inf"))
    told = {
        each["key"]: each["value"]
        for each in imported(write_json(tmp_path / "a.json", tree))[1]["recordings"][0]["told"]
    }
    assert told["mean_itl_ms"] is None and told["p99_itl_ms"] is None and told["median_itl_ms"] is not None


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.999])
def test_a_cut_file_is_told_with_its_place(tmp_path, refused, keep):
    text = json.dumps(vllm_result(rows=300))
    (tmp_path / "a.json").write_text(text[: int(len(text) * keep)])
    assert "a.json is no whole JSON: " in (said := refused(tmp_path / "a.json")) and "line 1, character" in said


def test_a_cut_packed_file_is_told(tmp_path, refused):
    packed = gzip.compress(json.dumps(vllm_result(rows=300)).encode())
    (tmp_path / "r.json.gz").write_bytes(packed[: len(packed) // 2])
    assert "cannot read" in refused(tmp_path / "r.json.gz")


def test_what_is_no_file_of_a_tool_is_told(tmp_path, refused):
    assert "does not exist" in refused(tmp_path / "none")
    (tmp_path / "empty.json").write_bytes(b"")
    assert "empty.json is empty" in refused(tmp_path / "empty.json")
    (tmp_path / "folder").mkdir()
    assert "is an empty folder" in refused(tmp_path / "folder")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert "is a link to nothing" in refused(tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    assert "is neither a file nor a folder" in refused(tmp_path / "pipe")
    (tmp_path / "a.json").write_text('{"alpha": 1, "beta": [1, 2]}')
    assert "is of no tool that is known: it has the keys alpha, beta; known are: vLLM" in refused(tmp_path / "a.json")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10)
    assert "is of no tool that is known: it is no JSON object" in refused(tmp_path / "a.png")
    (tmp_path / "a.bin").write_bytes(b"SQLite format 3\0" + bytes(100))
    assert "it is a table of SQLite; that of EvalScope is benchmark_data.db" in refused(tmp_path / "a.bin")
    (tmp_path / "folder" / "notes.txt").write_text("x")
    assert "is of no tool that is known: it has notes.txt" in refused(tmp_path / "folder")


def test_a_recording_is_no_result_of_a_tool(tmp_path, imported, refused):
    folder, _ = imported(write_json(tmp_path / "a.json", vllm_result()))
    assert refused(folder).endswith(f"is a recording of Loadcell already: loadcell report {folder}")


def test_what_is_said_fits_the_screen_and_the_next_command_can_be_copied(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    folder = tmp_path / "a result (1)"
    assert main(["import", str(write_json(tmp_path / "a.json", vllm_result())), "--output", str(folder)]) == 0
    *said, recording, following = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in said) and recording == f"Recording: {folder}"
    assert shlex.split(following.removeprefix("Next: ")) == ["loadcell", "report", str(folder)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_what_may_not_be_read_is_told(tmp_path, refused):
    file = write_json(tmp_path / "runs" / "a.json", vllm_result())
    file.chmod(0)
    assert "a.json: Permission denied" in refused(file)
    assert "a.json: Permission denied" in refused(tmp_path / "runs")


def test_links_to_files_are_followed(tmp_path, imported):
    write_json(tmp_path / "there" / "a.json", vllm_result())
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "latest").symlink_to(tmp_path / "there" / "a.json")
    (tmp_path / "runs" / "gone").symlink_to(tmp_path / "none")
    (tmp_path / "runs" / "loop").symlink_to(tmp_path / "runs")
    _, said = imported(tmp_path / "runs")
    assert len(said["recordings"]) == 1


def test_a_file_that_links_name_again_is_one_run(tmp_path, imported):
    file = write_json(tmp_path / "runs" / "first" / "a.json", vllm_result())
    (tmp_path / "runs" / "again.json").symlink_to(file)
    (tmp_path / "runs" / "self").symlink_to(tmp_path / "runs", target_is_directory=True)
    _, said = imported(tmp_path / "runs")
    assert len(said["recordings"]) == 1


def test_a_recording_is_no_file_of_another_tool(tmp_path, imported, refused):
    folder, _ = imported(write_json(tmp_path / "a.json", vllm_result()))
    for path in (folder, folder / "spec.json"):
        assert f"{folder} is a recording of Loadcell already: loadcell report " in refused(path)


def test_two_tools_in_one_folder_are_told_apart(tmp_path, refused):
    """Two modules that are there; which they are does not matter."""
    samples = {"vllm": "vllm_bench/r.json", "llmperf": "llmperf/truth_200_50_summary.json",
               "aiperf": "aiperf/profile_export_aiperf.json", "guidellm": "guidellm/g.json.gz"}  # fmt: skip
    there = [name for name in samples if name in readers()]
    if len(there) < 2:
        pytest.skip("one tool is read")
    for name in there[:2]:
        file = PEERS / samples[name]
        (tmp_path / "mixed").mkdir(exist_ok=True)
        (tmp_path / "mixed" / f"{name}-{file.name}").write_bytes(file.read_bytes())
    said = refused(tmp_path / "mixed")
    assert "holds results of" in said and "loadcell import" in said and "vLLM bench serve" in said
    for name in there[:2]:
        file = PEERS / samples[name]
        (tmp_path / "apart" / name).mkdir(parents=True)
        (tmp_path / "apart" / name / file.name).write_bytes(file.read_bytes())
    assert "holds results of several tools" in refused(tmp_path / "apart")


def test_a_place_that_holds_something_is_not_touched(tmp_path, capsys):
    file = write_json(tmp_path / "a.json", vllm_result())
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine.txt").write_text("mine")
    assert main(["import", str(file), "--output", str(tmp_path / "kept")]) == 1
    assert "already holds files" in capsys.readouterr().err
    assert [each.name for each in (tmp_path / "kept").iterdir()] == ["mine.txt"]


def test_one_bad_run_of_several_leaves_none_of_them(tmp_path, refused):
    said = refused(write_json(tmp_path / "a.json", vllm_result(), vllm_result(latencies=[0.01] * 6)))
    assert "last output before first output in 6 of 6" in said


def test_a_wrong_name_names_the_others(tmp_path, capsys):
    file = write_json(tmp_path / "a.json", vllm_result(request_rate=1.0), vllm_result(request_rate=2.0))
    assert main(["import", str(file), "--name", "openai-chat-1qps", "--output", str(tmp_path / "x")]) == 2
    assert "did you mean openai-chat-1qps-concurrency2?" in capsys.readouterr().err


def test_an_interrupt_leaves_nothing_behind(tmp_path, processes):
    file = write_json(tmp_path / "a.json", vllm_result(rows=40_000, gaps=20))
    folder = tmp_path / "out"
    command = [sys.executable, "-m", "loadcell", "import", str(file), "--output", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        limit = time.monotonic() + 60
        while not list(folder.glob("requests-*")) and process.poll() is None and time.monotonic() < limit:
            os.sched_yield()
        running = process.poll() is None
        process.send_signal(2)
        _, err = process.communicate(timeout=60)
    if running and process.returncode == 130:
        assert err.endswith("interrupted\n") and not folder.exists()
    else:  # it had ended before
        assert process.returncode == 0 and open_recording(folder).altered == []


def test_an_imported_run_is_not_made_again(tmp_path, imported, capsys):
    folder, _ = imported(write_json(tmp_path / "a.json", vllm_result()))
    assert main(["run", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "was imported from vLLM bench serve" in said and "loadcell run URL --concurrency 2 --requests 6" in said


def test_what_a_file_does_not_tell_of_the_run_is_null_in_a_query_and_left_out_of_an_export(imported, capsys):
    """A spec has defaults there: 512 tokens in were never asked for."""
    folder, _ = imported(PEERS / "vllm_bench" / "r.json")
    asked = "select url, input_length, output_length, seed, concurrency from runs"
    assert main(["query", asked, str(folder), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row == dict.fromkeys(("url", "input_length", "output_length", "seed")) | {"concurrency": 8}
    assert main(["export", str(folder), "--format", "llm-d-v0.2.1", "--output", "-"]) == 0
    written = capsys.readouterr()
    assert "512" not in [line.split()[-1] for line in written.out.splitlines() if line.strip()]
    assert "input_seq_len: nobody tells it" in written.err  # the format has no word for missing
