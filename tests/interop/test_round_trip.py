"""Export, then import: what a format can hold comes back; real files that were imported are written as they were."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import MS, build, events_of, failed_request, ok_request

from loadcell.cli.main import main
from loadcell.interop.read import find_runs
from loadcell.interop.views.build import shown_as
from loadcell.interop.write import Asked, hold, save, written
from loadcell.interop.writers.calls import by_tool
from loadcell.kinds import KIND_FINISH
from loadcell.metrics import build_result
from loadcell.recording.read import Recording, open_recording

PEERS = Path(__file__).parent.parent / "data" / "peers"


def run_of_all_kinds(folder: Path, loop: str, api: str) -> Recording:
    """Replies of various paces and lengths, one token among them, and three failures."""
    rows = []
    for i in range(14):
        tokens, pace = 1 + (i * 5) % 12, 7 + i
        start = 37.0 * i + 5
        last = round(start * MS) + 50 * MS + (tokens - 1) * pace * MS
        rows.append(ok_request(i, start_ms=start, tokens=tokens, last_ns=last, usage_tokens=tokens))
    cut = failed_request(14, "cut", start_ms=600.0, first_any_ns=650 * MS, last_ns=671 * MS, end_ns=680 * MS)
    rows += [cut | {"output_chunks": 2}, failed_request(15, "http_500", start_ms=640.0, http_status=500)]
    events = []
    for row in rows[:14]:
        events += events_of(row)
        if api == "completions":
            events.append(
                {"request": row["request"], "read": 90, "t_ns": row["end_ns"], "kind": KIND_FINISH, "bytes": 9}
            )
    events += [{"request": 14, "read": 1, "t_ns": at * MS, "kind": 1, "bytes": 9} for at in (650, 671)]
    if loop == "closed":
        return build(folder, rows, events=events, load={"concurrency": 4}, endpoint={"api": api})
    planned = [37.0 * i + 5 for i in range(14)] + [600.0, 640.0]
    rows = [row | {"planned_ns": round(at * MS)} for row, at in zip(rows, planned, strict=True)]
    return build(folder, rows, events=events, planned=planned, loop="open", load={"rate": 20.0}, endpoint={"api": api})


def there_and_back(recording: Recording, name: str, tmp_path: Path) -> Recording:
    (run,) = hold(recording.path)
    save(written([run], name, Asked(detailed=True)).files, tmp_path / "out")
    assert main(["import", str(tmp_path / "out"), "--output", str(tmp_path / "again")]) == 0
    return open_recording(tmp_path / "again")


@pytest.mark.parametrize("loop", ["open", "closed"])
@pytest.mark.parametrize(
    ("name", "api"), [("vllm", "chat"), ("vllm", "completions"), ("aiperf", "chat"), ("guidellm", "chat")]
)
def test_every_request_comes_back(tmp_path: Path, name: str, api: str, loop: str) -> None:
    recording = run_of_all_kinds(tmp_path / "first", loop, api)
    again = there_and_back(recording, name, tmp_path)
    assert again.imported is not None and again.imported.tool == name and again.imported.placed
    before, after = by_tool(recording, name), by_tool(again, name)
    first, second = (np.argsort(by.taken.start, kind="stable") for by in (before, after))
    assert before.taken.members[first].tolist() == after.taken.members[second].tolist()
    good = before.taken.members[first]
    starts = before.taken.start[first] - before.taken.start.min(), after.taken.start[second] - after.taken.start.min()
    assert starts[0] == pytest.approx(starts[1], abs=1000)  # ns
    pace = "after_first" if name == "vllm" else "apart"
    for formula in ("ttft", "e2e", pace, "tokens"):
        ours, theirs = before.values(formula)[first][good], after.values(formula)[second][good]
        assert ours == pytest.approx(theirs, abs=1e-6, nan_ok=True), formula
    if name != "guidellm":  # which has no times of events
        gaps = [np.diff(times) for times in before.stamps()]
        other = [np.diff(times) for times in after.stamps()]
        assert [len(gaps[i]) for i in first[good]] == [len(other[i]) for i in second[good]]
        for i, j in zip(first[good], second[good], strict=True):
            assert gaps[i] == pytest.approx(other[j], abs=1e-6)


@pytest.mark.parametrize("name", ["vllm", "aiperf", "guidellm"])
def test_what_is_written_again_is_the_same(tmp_path: Path, name: str) -> None:
    recording = run_of_all_kinds(tmp_path / "first", "closed", "chat")
    again = there_and_back(recording, name, tmp_path)
    first, second = (written(hold(run.path), name, Asked(detailed=True)).files for run in (recording, again))
    assert first.keys() == second.keys()
    file = next(file for file in first if file.endswith(".json"))
    trees = json.loads(first[file]), json.loads(second[file])
    if name == "guidellm":
        trees = tuple(tree["benchmarks"][0]["metrics"] for tree in trees)  # type: ignore[assignment]
    for key in ("start_times", "queue_times", "errors", "input_config", "run_info", "benchmark_id", "tokenizer_id"):
        for tree in trees:
            tree.pop(key, None)
    differ = different(trees[0], trees[1], 1e-4 if name == "guidellm" else 1e-6)  # Unix times as floats hold 0.2 us
    not_held = {"usage_prompt_tokens", "usage_completion_tokens", "start_time", "end_time", "error_summary", "date"}
    if name == "guidellm":  # the group of all has the failures, whose times the format tells otherwise
        spread = ("mode", "variance", "std_dev")  # of values that differ by their rounding alone
        differ = [where for where in differ if ".successful" in where and not any(word in where for word in spread)]
    assert {re.split(r"\W", where)[0] for where in differ} <= not_held, differ


def different(one: Any, other: Any, most: float = 1e-6, where: str = "") -> list[str]:
    """Places at which two trees differ, numbers by more than that share."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [*one, *(key for key in other if key not in one)]
        found = [different(one.get(key), other.get(key), most, f"{where}.{key}".lstrip(".")) for key in keys]
        return [place for places in found for place in places]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        found = [different(a, b, most, f"{where}[{i}]") for i, (a, b) in enumerate(zip(one, other, strict=True))]
        return [place for places in found for place in places]
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    same = abs(one - other) <= most * max(1e-6, abs(one)) if numbers else one == other
    return [] if same else [f"{where}: {one!r}, {other!r}"]


def real(tmp_path: Path, path: Path) -> Path:
    folder = tmp_path / "imported"
    assert main(["import", str(path), "--output", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("file", ["vllm_bench/r.json", "vllm_bench_detailed/r.json.gz"])
def test_a_real_file_of_vllm_is_written_as_it_was(tmp_path: Path, file: str) -> None:
    raw = (PEERS / file).read_bytes()
    theirs = json.loads(gzip.decompress(raw) if file.endswith(".gz") else raw)
    asked = Asked(detailed="detailed" in file, percentiles=(50, 90, 99))
    ours = json.loads(written(hold(real(tmp_path, PEERS / file)), "vllm", asked).files["vllm.json"])
    assert list(ours) == list(theirs)
    for key in ("start_times", "queue_times", "generated_texts", "date"):  # clocks of their own, and texts
        ours.pop(key, None), theirs.pop(key, None)
    assert different(theirs, ours) == []


def test_a_real_summary_of_the_rust_client_is_given_back(tmp_path: Path) -> None:
    theirs = json.loads((PEERS / "vllm_rs/r.json").read_text())
    (text,) = written(hold(real(tmp_path, PEERS / "vllm_rs/r.json")), "vllm", Asked()).files.values()
    ours = json.loads(text)
    figures = {key: value for key, value in theirs.items() if key.endswith("_ms") or "throughput" in key}
    assert len(figures) > 20 and different(figures, {key: ours[key] for key in figures}) == []
    assert [type(ours[key]) for key in ("completed", "total_input_tokens")] == [int, int]


def test_real_files_of_aiperf_are_written_as_they_were(tmp_path: Path) -> None:
    theirs = json.loads((PEERS / "aiperf/profile_export_aiperf.json").read_text())
    files = written(hold(real(tmp_path, PEERS / "aiperf")), "aiperf", Asked()).files
    ours = json.loads(files["profile_export_aiperf.json"])
    shared = [key for key, value in theirs.items() if isinstance(value, dict) and "avg" in value and key in ours]
    assert len(shared) >= 20 and {"inter_chunk_latency", "benchmark_duration", "request_throughput"} <= set(shared)
    assert different({key: theirs[key] for key in shared}, {key: ours[key] for key in shared}) == []
    assert list(ours)[:3] == list(theirs)[:3]


def test_a_real_report_of_guidellm_is_written_as_it_was(tmp_path: Path) -> None:
    theirs = json.loads(gzip.decompress((PEERS / "guidellm/g.json.gz").read_bytes()))["benchmarks"][0]
    (text,) = written(hold(real(tmp_path, PEERS / "guidellm/g.json.gz")), "guidellm", Asked()).files.values()
    ours = json.loads(text)["benchmarks"][0]
    assert different(theirs["duration"], ours["duration"]) == []
    for name, groups in ours["metrics"].items():
        if groups is None:
            continue
        for group, told in groups.items():
            if isinstance(told, dict):
                other = {key: theirs["metrics"][name][group][key] for key in told}
                assert different(_rounded(other), _rounded(told)) == [], (name, group)


def _rounded(told: dict[str, Any]) -> dict[str, Any]:
    """Without what Unix times as floats leave nothing of: they hold 0.2 microseconds."""
    return {
        key: {word: round(x, 3) for word, x in value.items()} if key == "percentiles" else round(value, 2)
        for key, value in told.items()
        if value is not None
    }


def test_a_file_that_was_exported_says_whose_it_is(tmp_path: Path) -> None:
    """Readers find out by content: what we write must be taken for the tool's own form."""
    recording = run_of_all_kinds(tmp_path / "r", "closed", "chat")
    for name in ("vllm", "aiperf", "guidellm"):
        save(written(hold(recording.path), name, Asked(detailed=True)).files, tmp_path / name)
        (run,) = find_runs(tmp_path / name).runs
        assert (run.tool, run.version) == (name, None)


def test_an_llm_d_report_says_again_what_it_said(tmp_path: Path) -> None:
    rows = [ok_request(i, start_ms=37.0 * i + 5, usage_tokens=10) for i in range(120)]
    recording = build(tmp_path / "r", rows, load={"concurrency": 8})
    (run,) = hold(recording.path)
    save(written([run], "llm-d-v0.2.1", Asked()).files, tmp_path / "out")
    again = open_recording(real(tmp_path, tmp_path / "out"))
    assert again.imported is not None and again.imported.tool == "llm-d" and not again.imported.details
    told = {(figure.metric, figure.stat): figure.value for figure in again.imported.told}
    latency = run.result.latency
    for metric in ("ttft_ms", "tpot_ms", "e2e_ms"):
        service = latency[metric].service
        for stat, value in (("mean", service.mean), ("p50", service.p50.value), ("p99", service.p99.value)):
            assert value is not None and told[metric, stat] == pytest.approx(value / 1e3), (metric, stat)
    # and once more, of what was told
    second = written(hold(again.path), "llm-d-v0.2.1", Asked()).files
    assert second.keys() == {"benchmark_report_v0.2.1.yaml"}


@pytest.mark.parametrize("name", ["aiperf", "vllm"])
def test_requests_without_a_common_clock_get_none(tmp_path: Path, name: str) -> None:
    """Else all of them would be read as sent at once, and rates with them."""
    recording = open_recording(real(tmp_path, PEERS / "genai_bench"))
    again = there_and_back(recording, name, tmp_path)
    assert again.imported is not None and again.imported.tool == name
    assert not (again.imported.placed and again.imported.details)
    assert not any(one.metric == "requests_per_s" and (one.value or 0) > 13 for one in again.imported.told)


def test_tokens_in_and_out_per_second_are_told_of_every_tool_that_does(tmp_path: Path) -> None:
    at = {"inference_perf": "successes.throughput.total_tokens_per_sec", "evalscope": "Total Throughput (tok/s)",
          "genai_bench": "mean_total_tokens_throughput_tokens_per_s", "guidellm": "tokens_per_second.mean",
          "aiperf": "total_token_throughput.avg", "vllm_rs": "total_token_throughput"}  # fmt: skip
    for folder, key in at.items():
        (run,) = find_runs(PEERS / folder).runs
        assert [one.key for one in run.told if one.metric == "total_tokens_per_s"] == [key]


def test_llmperf_is_shown_every_figure_that_it_told(tmp_path: Path) -> None:
    recording = open_recording(real(tmp_path, PEERS / "llmperf"))
    shown = shown_as(recording, build_result(recording), "llmperf")
    assert len(shown.figures) == 66
    for one in shown.figures:
        assert one.value == pytest.approx(one.told, rel=1e-6, abs=1e-9), one.key
