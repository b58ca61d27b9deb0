"""LoadGen's logs, published ones and those of the genuine library: figures, what its defects write, and its trace."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from example_logs import DETAIL, INTERACTIVE, OFFLINE, SERVER, STREAM, SUMMARY, edit, put
from foreign import PEERS, requests_of, sound, value_of

from loadcell.errors import UsageError
from loadcell.interop.readers import loadgen

_SCRIPT = Path(__file__).parents[1] / "kit" / "timed_loadgen.py"


def values(folder: Path) -> dict[str, Any]:
    """The records of the detail log by key, by JSON alone."""
    records = [json.loads(line.partition(" ")[2]) for line in (folder / DETAIL).read_text().splitlines()]
    return {record["key"]: record["value"] for record in records}


@pytest.mark.parametrize("example", [SERVER, OFFLINE, STREAM, INTERACTIVE])
def test_published_logs_are_told_figure_by_figure(tmp_path: Path, example: str) -> None:
    put(example, tmp_path, DETAIL, SUMMARY)
    (run,) = loadgen.read(tmp_path)
    sound(run)
    raw = values(tmp_path)
    figures = {
        key: value for key, value in raw.items()
        if key.startswith("result_") and isinstance(value, int | float) and not isinstance(value, bool)
    }  # fmt: skip
    told = {figure.key: figure.value for figure in run.told if figure.key.startswith("result_")}
    assert told == figures
    assert run.tested
    assert run.version == raw["loadgen_version"]
    assert run.started_at is not None
    assert run.loop == ("open" if raw["effective_scenario"] == "Server" else "closed")
    assert run.ok == raw["result_query_count"] * raw["effective_samples_per_query"]
    assert (run.failed, run.details, run.seed) == (None, None, raw["effective_schedule_rng_seed"])


def test_the_two_logs_tell_the_same(tmp_path: Path) -> None:
    put(SERVER, tmp_path, DETAIL, SUMMARY)
    (long,), (short,) = loadgen.read(tmp_path / DETAIL), loadgen.read(tmp_path / SUMMARY)
    sound(short)
    for metric in ("e2e_ms", "ttft_ms", "tpot_ms"):
        for stat in ("min", "mean", "max", "p50", "p90", "p95", "p97", "p99", "p99.9"):
            assert value_of(long, metric, stat) == value_of(short, metric, stat) > 0
    for metric in ("requests_per_s", "output_tokens_per_s"):
        assert value_of(long, metric) == pytest.approx(value_of(short, metric), rel=1e-4)
    assert {t.unit for t in long.told if t.metric == "ttft_ms"} == {"ns"}
    assert (short.rate, short.seed, short.loop) == (long.rate, long.seed, "open")


def test_its_window_is_that_of_its_own_rate(tmp_path: Path) -> None:
    put(SERVER, tmp_path, DETAIL)
    (run,) = loadgen.read(tmp_path)
    raw = values(tmp_path)
    assert run.window_s == (raw["result_query_count"] - 1) / raw["result_completed_samples_per_sec"]
    assert any("issued last" in note for note in run.notes)


def test_what_its_defects_write_is_missing(tmp_path: Path) -> None:
    put("loadgen-6.0.17_server_invalid_one-token", tmp_path)
    (run,) = loadgen.read(tmp_path)
    sound(run)
    gone = [t.key for t in run.told if t.value is None]
    assert gone and all("output_token" in key for key in gone)  # replies of one token: TPOT is divided by -1
    assert any("errors" in note for note in run.notes) and any("invalid" in note for note in run.notes)
    put("loadgen-6.0.17_server_nan", tmp_path / "nan")
    sound(*loadgen.read(tmp_path / "nan"))


def test_accuracy_runs_have_no_figures(tmp_path: Path) -> None:
    put("loadgen-6.0.17_server_accuracy", tmp_path)
    (run,) = loadgen.read(tmp_path)
    assert [t.key for t in run.told] == ["num_errors"] or run.told == []
    assert any("accuracy run" in note for note in run.notes)


def test_a_submission_is_read_run_by_run(tmp_path: Path) -> None:
    put(SERVER, tmp_path / "server" / "performance" / "run_1", DETAIL, SUMMARY)
    assert loadgen.matches(tmp_path / "server")
    (run,) = loadgen.read(tmp_path / "server")
    assert run.name.startswith("performance-run_1-server-rate-")
    assert not loadgen.matches(PEERS)


def test_cut_and_strange_logs_are_refused(tmp_path: Path) -> None:
    put(SERVER, tmp_path, DETAIL, SUMMARY)
    text = (tmp_path / DETAIL).read_text()
    (tmp_path / DETAIL).write_text(text[: len(text) // 2])
    with pytest.raises(UsageError, match=r"mlperf_log_detail\.txt is cut short"):
        loadgen.read(tmp_path)
    (tmp_path / DETAIL).write_text(text.replace('"value": 4', '"value": x', 1))
    with pytest.raises(UsageError, match=r"mlperf_log_detail\.txt: line \d+ is no JSON"):
        loadgen.read(tmp_path)
    (tmp_path / DETAIL).unlink()
    summary = (tmp_path / SUMMARY).read_text()
    (tmp_path / SUMMARY).write_text(summary[:-200])
    with pytest.raises(UsageError, match=r"mlperf_log_summary\.txt is cut short"):
        loadgen.read(tmp_path)


def test_a_value_of_another_type_is_not_believed(tmp_path: Path) -> None:
    put(SERVER, tmp_path, DETAIL)
    edit(tmp_path, "effective_target_qps", lambda _: "many")
    edit(tmp_path, "result_query_count", lambda _: None)
    (run,) = loadgen.read(tmp_path)
    sound(run)
    assert (run.rate, run.ok, run.window_s) == (None, None, None)


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory, processes: None) -> dict[str, Path]:
    """A folder with both logs and the trace for each scenario, by the genuine library with a stub behind it."""
    pytest.importorskip("mlperf_loadgen")
    home = tmp_path_factory.mktemp("loadgen")
    dice = random.Random(5)
    scenarios = ("Server", "SingleStream", "MultiStream", "Offline")
    first = [dice.randint(20_000, 200_000) for _ in range(31)]
    jobs = [
        {
            "n": 32, "first_ns": first, "end_ns": [at + 300_000 for at in first], "tokens": [4] * 31, "told": True,
            "offline": scenario == "Offline", "settings": {
                "scenario": scenario, "use_token_latencies": True, "min_duration_ms": 0, "min_query_count": 60,
                "qsl_rng_seed": 1, "sample_index_rng_seed": 2, "schedule_rng_seed": 3, "server_target_qps": 2000.0,
                "offline_expected_qps": 2000.0, "ttft_latency": 400_000_000, "tpot_latency": 100_000_000,
            },
        }
        for scenario in scenarios
    ]  # fmt: skip
    subprocess.run(
        [sys.executable, str(_SCRIPT), str(home)], input=json.dumps(jobs), stdout=subprocess.PIPE, text=True, check=True
    )
    return {scenario: home / str(number) for number, scenario in enumerate(scenarios)}


@pytest.mark.parametrize("scenario", ["Server", "SingleStream", "MultiStream", "Offline"])
def test_the_trace_of_the_genuine_library_gives_its_own_figures(genuine: dict[str, Path], scenario: str) -> None:
    (run,) = loadgen.read(genuine[scenario])
    sound(run)
    requests = requests_of(run)
    raw = values(genuine[scenario])
    assert run.tested and run.schema == "detail log, trace"
    assert len(requests) == run.ok == run.planned
    assert not any("the trace" in note for note in run.notes)
    assert min(r.sent_s for r in requests) >= 0  # type: ignore[type-var]
    if scenario == "Server":  # latencies count from the schedule
        done = sorted(round(1e9 * (r.end_s - r.planned_s)) for r in requests)  # type: ignore[operator]
    elif scenario == "MultiStream":  # of a query: until its last sample is done
        done = []
    else:
        zero = {"SingleStream": None, "Offline": 0.0}[scenario]
        done = sorted(round(1e9 * (r.end_s - (r.sent_s if zero is None else zero))) for r in requests)  # type: ignore[operator]
    if done:
        for name, at in (("min", 0), ("max", len(done) - 1), ("50.00", len(done) // 2), ("90.00", len(done) * 9 // 10)):
            infix = f"{name}_latency" if name in ("min", "max") else f"{name}_percentile_latency"
            assert done[at] == pytest.approx(raw[f"result_{infix}_ns"], abs=1000), name
    firsts = [r.first_s - r.sent_s for r in requests if r.first_s is not None and r.sent_s is not None]
    if scenario in ("SingleStream", "MultiStream"):
        assert len(firsts) == len(requests)
        assert round(1e9 * max(firsts)) == pytest.approx(raw["result_first_token_max_latency_ns"], abs=1000)
    else:
        assert firsts == []
    assert all((r.planned_s is not None) == (scenario == "Server") for r in requests)


def test_traces_that_are_cut_or_of_another_run(genuine: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(genuine["Server"], folder)
    trace = folder / loadgen.TRACE
    text = trace.read_text()
    lines = text.splitlines(keepends=True)
    one = next(i for i, line in enumerate(lines) if '"Sample"' in line and '"ph":"b"' in line)
    trace.write_text("".join(lines[:one] + lines[one + 1 :]))
    (run,) = loadgen.read(folder)
    assert any("the trace" in note for note in run.notes)
    trace.write_text(text[: len(text) // 2])
    with pytest.raises(UsageError, match=r"mlperf_log_trace\.json: it is cut short"):
        loadgen.read(folder)
    trace.write_text('{"traceEvents":[\n{"name":"LastTrace"}\n]}\n')
    with pytest.raises(UsageError, match=r"mlperf_log_trace\.json: traceEvents: no sample"):
        loadgen.read(folder)
    trace.write_text("")  # as LoadGen leaves it where it was not told to trace
    (run,) = loadgen.read(folder)
    assert run.details is None
