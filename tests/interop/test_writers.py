"""Recordings as files of other tools: one request of known timing, faults, several runs, schemas, what is left out."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from made import MS, build, events_of, failed_request, ok_request

from loadcell.cli.main import main
from loadcell.errors import RecordingError, UsageError
from loadcell.interop.formats import FORMATS
from loadcell.interop.write import Asked, Held, Written, hold, save, written
from loadcell.kinds import KIND_ANSWER, KIND_DONE, KIND_FINISH, KIND_REASONING, KIND_USAGE
from loadcell.recording.read import Recording

DATA = Path(__file__).parent.parent / "data"


def tail(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Finish, usage and the end of the stream, 20 ms after the last output."""
    more = {"request": row["request"], "read": 90, "t_ns": row["end_ns"], "bytes": 10}
    return [more | {"kind": kind} for kind in (KIND_FINISH, KIND_USAGE, KIND_DONE)]


def golden(folder: Path, api: str = "chat", n: int = 1, **more: Any) -> Recording:
    """`n` requests one after the other: 10 tokens at 50, 70 ... 230 ms, finish, usage and [DONE] at 250 ms."""
    rows = [ok_request(i, start_ms=300.0 * i, usage_tokens=10, asked_tokens=10) for i in range(n)]
    events = [event for row in rows for event in (*events_of(row), *tail(row))]
    return build(folder, rows, events=events, endpoint={"api": api}, **more)


def export(recording: Recording, name: str, **asked: Any) -> Written:
    return written([Held("run", recording)], name, Asked(**asked))


def only(found: Written) -> Any:
    (text,) = found.files.values()
    return json.loads(text)


@pytest.mark.parametrize(
    ("api", "itls", "tpot", "e2e"), [("chat", 9, 20.0, 230.0), ("completions", 10, 200 / 9, 250.0)]
)
def test_one_request_by_the_definitions_of_vllm(tmp_path: Path, api: str, itls: int, tpot: float, e2e: float) -> None:
    tree = only(export(golden(tmp_path / "r", api), "vllm", detailed=True))
    assert tree["backend"] == {"chat": "openai-chat", "completions": "openai"}[api]
    assert tree["ttfts"] == [pytest.approx(0.05)]
    assert tree["itls"] == [pytest.approx([0.02] * itls)]
    assert tree["latencies"] == [pytest.approx(e2e / 1e3)]
    assert (tree["mean_tpot_ms"], tree["p99_e2el_ms"]) == (pytest.approx(tpot), pytest.approx(e2e))
    assert (tree["output_lens"], tree["total_output_tokens"], tree["duration"]) == ([10], 10, pytest.approx(0.25))


def test_one_request_by_the_definitions_of_aiperf_and_guidellm(tmp_path: Path) -> None:
    recording = golden(tmp_path / "r")
    aiperf = json.loads(export(recording, "aiperf").files["profile_export_aiperf.json"])
    told = {name: aiperf[name]["avg"] for name in ("time_to_first_token", "inter_token_latency", "request_latency")}
    assert told == pytest.approx({"time_to_first_token": 50.0, "inter_token_latency": 20.0, "request_latency": 230.0})
    assert (aiperf["inter_chunk_latency"]["count"], aiperf["inter_chunk_latency"]["avg"]) == (9, pytest.approx(20.0))
    metrics = only(export(recording, "guidellm"))["benchmarks"][0]["metrics"]
    mean = {name: metrics[name]["successful"]["mean"] for name in metrics if metrics[name] and name != "request_totals"}
    assert mean["time_to_first_token_ms"] == pytest.approx(50.0)
    assert mean["inter_token_latency_ms"] == pytest.approx(20.0)
    assert mean["time_per_output_token_ms"] == pytest.approx(23.0)
    assert mean["request_latency"] == pytest.approx(0.25)


def test_a_role_or_an_empty_event_is_a_token_on_completions_alone(tmp_path: Path) -> None:
    from loadcell.kinds import KIND_EMPTY

    row = ok_request(0, usage_tokens=10)
    empty = {"request": 0, "read": 0, "t_ns": 5 * MS, "kind": KIND_EMPTY, "bytes": 10}
    for api, first in (("chat", 0.05), ("completions", 0.005)):
        recording = build(tmp_path / api, [row], events=[empty, *events_of(row)], endpoint={"api": api})
        assert only(export(recording, "vllm", detailed=True))["ttfts"] == [pytest.approx(first)]


def mixed(folder: Path) -> Recording:
    """Twelve replies and three failures: refused, cut after output, and cancelled with the run."""
    rows = [ok_request(i, start_ms=100.0 * i, tokens=5 + i, usage_tokens=5 + i) for i in range(12)]
    cut = failed_request(12, "cut", start_ms=1200.0, first_any_ns=1250 * MS, last_ns=1270 * MS, end_ns=1280 * MS)
    cut["output_chunks"] = 2
    gone = failed_request(14, "cancelled", start_ms=1400.0) | {"status": "cancelled"}
    events = [event for row in rows for event in events_of(row)] + [
        {"request": 12, "read": 1, "t_ns": at * MS, "kind": KIND_ANSWER, "bytes": 10} for at in (1250, 1270)
    ]
    wrong = failed_request(13, "http_500", start_ms=1300.0, http_status=500)
    return build(folder, [*rows, cut, wrong, gone], events=events, load={"concurrency": 4})


def test_failures_stay_failures(tmp_path: Path) -> None:
    recording = mixed(tmp_path / "r")
    tree = only(export(recording, "vllm", detailed=True))
    assert (tree["completed"], tree["failed"], tree["num_prompts"]) == (12, 3, 15)
    assert tree["output_lens"][12:] == [0, 0, 0] and tree["latencies"][12:] == [0.0, 0.0, 0.0]
    assert tree["ttfts"][12:] == [pytest.approx(0.05), 0.0, 0.0] and tree["itls"][12:] == [
        [pytest.approx(0.02)],
        [],
        [],
    ]
    assert tree["errors"][:12] == [""] * 12 and tree["errors"][13] == "what http_500 said"
    found = export(recording, "aiperf")
    summary = json.loads(found.files["profile_export_aiperf.json"])
    assert (summary["request_count"]["avg"], summary["error_request_count"]["avg"]) == (12.0, 2.0)
    assert {one["error_details"]["type"]: one["count"] for one in summary["error_summary"]} == {"cut": 1, "http_500": 1}
    records = [json.loads(line) for line in found.files["profile_export.jsonl"].splitlines()]
    assert [record["error"] is None for record in records] == [True] * 12 + [False] * 3
    assert records[13]["error"] == {"code": 500, "type": "http_500", "message": "what http_500 said"}
    assert [record["metadata"]["was_cancelled"] for record in records[12:]] == [False, False, True]
    report = only(export(recording, "guidellm"))["benchmarks"][0]
    totals = {"successful": 12, "errored": 2, "incomplete": 1, "total": 15}
    assert report["metrics"]["request_totals"] == totals
    assert {group: len(report["requests"][group]) for group in ("successful", "errored", "incomplete")} == {
        name: totals[name] for name in ("successful", "errored", "incomplete")
    }
    assert report["requests"]["errored"][0]["info"]["error"] == "what cut said"


def test_statistics_are_those_that_numpy_gives(tmp_path: Path) -> None:
    tree = only(export(mixed(tmp_path / "r"), "vllm", detailed=True, percentiles=(50, 99, 99.9)))
    ok = [not error for error in tree["errors"]]
    pooled = {
        "ttft": [t for t, good in zip(tree["ttfts"], ok, strict=True) if good],
        "itl": [gap for gaps, good in zip(tree["itls"], ok, strict=True) if good for gap in gaps],
        "e2el": [t for t, good in zip(tree["latencies"], ok, strict=True) if good],
        "tpot": [
            (e2e - ttft) / (n - 1)
            for e2e, ttft, n in zip(tree["latencies"], tree["ttfts"], tree["output_lens"], strict=True)
            if n > 1
        ],
    }
    for name, values in pooled.items():
        ms = np.array(values) * 1e3
        assert tree[f"mean_{name}_ms"] == pytest.approx(ms.mean())
        assert tree[f"std_{name}_ms"] == pytest.approx(ms.std())
        for p in (50, 99, 99.9):
            assert tree[f"p{p:g}_{name}_ms"] == pytest.approx(np.percentile(ms, p))
    assert tree["request_throughput"] == pytest.approx(12 / tree["duration"])
    assert tree["total_token_throughput"] == pytest.approx((12 * 110 + tree["total_output_tokens"]) / tree["duration"])


def test_the_figures_are_those_of_the_code_of_vllm(tmp_path: Path) -> None:
    serve = pytest.importorskip("vllm.benchmarks.serve")
    from vllm.benchmarks.lib.endpoint_request_func import RequestFuncOutput

    tree = only(export(mixed(tmp_path / "r"), "vllm", detailed=True, percentiles=(50, 99), goodput_ms={"tpot": 19.0}))
    rows = zip(
        *(tree[name] for name in ("errors", "output_lens", "latencies", "ttfts", "itls", "start_times", "input_lens")),
        strict=True,
    )
    outputs = [
        RequestFuncOutput(
            success=not error, output_tokens=n, latency=e2e, ttft=ttft, itl=itl, start_time=at, prompt_len=p
        )
        for error, n, e2e, ttft, itl, at, p in rows
    ]
    theirs, _ = serve.calculate_metrics([], outputs, tree["duration"], None, [50.0, 99.0], {"tpot": 19.0})
    for name in ("completed", "failed", "request_throughput", "request_goodput", "output_throughput"):
        assert getattr(theirs, name) == pytest.approx(tree[name])
    assert (theirs.max_output_tokens_per_s, theirs.max_concurrent_requests) == (
        tree["max_output_tokens_per_s"], tree["max_concurrent_requests"],
    )  # fmt: skip
    for name in ("ttft", "tpot", "itl", "e2el"):
        for stat in ("mean", "median", "std"):
            assert getattr(theirs, f"{stat}_{name}_ms") == pytest.approx(tree[f"{stat}_{name}_ms"])
        for p, value in getattr(theirs, f"percentiles_{name}_ms"):
            assert value == pytest.approx(tree[f"p{p:g}_{name}_ms"])


def test_goodput_counts_from_the_send_and_a_single_token_as_no_wait(tmp_path: Path) -> None:
    rows = [ok_request(0, tokens=1, usage_tokens=1), ok_request(1, start_ms=400, tokens=10, usage_tokens=10)]
    recording = build(tmp_path / "r", rows)
    tree = only(export(recording, "vllm", goodput_ms={"tpot": 10.0}))
    assert tree["request_goodput"] == pytest.approx(1 / tree["duration"])
    assert only(export(recording, "vllm"))["request_goodput"] is None
    limited = build(tmp_path / "l", rows, slo={"ttft_ms": 60.0})
    assert only(export(limited, "vllm"))["request_goodput"] == pytest.approx(2 / tree["duration"])


def test_what_is_missing_is_null_or_left_out_and_said(tmp_path: Path) -> None:
    row = ok_request(
        0, output_tokens=None, prompt_tokens=None, input_tokens=None, first_any_ns=None, output_chunks=None
    )
    row |= {"first_answer_ns": None, "token_source": None}
    recording = build(tmp_path / "r", [row], events=[], endpoint={"stream": False})
    found = export(recording, "vllm", detailed=True)
    tree = only(found)
    assert (tree["total_input_tokens"], tree["total_output_tokens"], tree["output_throughput"]) == (None, None, None)
    assert (tree["mean_ttft_ms"], tree["p99_itl_ms"], tree["ttfts"], tree["itls"]) == (None, None, [None], [[]])
    assert tree["mean_e2el_ms"] == pytest.approx(230.0) and tree["completed"] == 1
    assert [words.partition(":")[0] for words in found.left_out if "no request has one" in words] == [
        "ttft", "tpot", "itl",
    ]  # fmt: skip
    summary = json.loads(export(recording, "aiperf").files["profile_export_aiperf.json"])
    assert not {"time_to_first_token", "total_osl", "output_token_throughput"} & summary.keys()
    dead = build(tmp_path / "d", [failed_request(0, "connect")])
    tree = only(export(dead, "vllm"))
    assert (tree["completed"], tree["failed"], tree["mean_e2el_ms"]) == (0, 1, None)
    for name in FORMATS:
        export(dead, name)


@pytest.mark.parametrize("loop", ["open", "closed"])
def test_the_head_says_what_was_asked_for(tmp_path: Path, loop: str) -> None:
    rows = [ok_request(i, start_ms=100.0 * i + 5, usage_tokens=10) for i in range(3)]
    if loop == "open":
        load = {"rate": 4.0, "arrivals": "gamma:0.5", "concurrency": 2}
        rows = [row | {"planned_ns": 100 * MS * i} for i, row in enumerate(rows)]
        recording = build(tmp_path / "r", rows, loop="open", planned=[0, 100, 200], load=load)
    else:
        recording = build(tmp_path / "r", rows, load={"concurrency": 2})
    asked = ("client_queue_time", "e2el_including_client_queue")
    tree = only(export(recording, "vllm", metrics=asked))
    head = (tree["request_rate"], tree["burstiness"], tree["max_concurrency"])
    assert head == ((4.0, 4.0, 2) if loop == "open" else ("inf", 1.0, 2))
    if loop == "open":
        assert tree["queue_times"] == pytest.approx([0.005] * 3)
        assert tree["mean_e2el_including_client_queue_ms"] == pytest.approx(235.0)
    else:
        assert tree["queue_times"] == pytest.approx([0.005, 0.105, 0.205])
        assert "mean_e2el_including_client_queue_ms" not in tree


def test_the_report_of_llm_d_validates(tmp_path: Path) -> None:
    file = resources.files("loadcell.interop").joinpath("data", "br_v0_2_1_json_schema.json")
    schema = json.loads(file.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    runs = {
        "mixed": mixed(tmp_path / "a"),
        "golden": golden(tmp_path / "b", n=40, load={"concurrency": 3}),
        "dead": build(tmp_path / "c", [failed_request(0, "connect")]),
        "laws": build(tmp_path / "e", [ok_request(0)], load={"rate": 2.0}, loop="open", planned=[0.0]),
    }
    for name, recording in runs.items():
        (text,) = export(recording, "llm-d-v0.2.1").files.values()
        report = yaml.safe_load(text)
        jsonschema.validate(report, schema, format_checker=jsonschema.FormatChecker())
        assert report["run"]["uid"] == "golden"
        if name == "golden":
            aggregate = report["results"]["request_performance"]["aggregate"]
            ttft = aggregate["latency"]["time_to_first_token"]
            assert (ttft["mean"], ttft["units"]) == (pytest.approx(0.05), "s")
            assert aggregate["requests"]["output_length"]["mean"] == 10
            assert report["scenario"]["load"]["standardized"]["concurrency"] == 3


_SAMPLE = re.compile(r'^(loadcell_\w+?)(\{(?:\w+="(?:[^"\\]|\\.)*",?)*\})? (\S+)$')


def families(text: str) -> dict[str, list[tuple[str, str, float]]]:
    """The samples of an OpenMetrics page by family; fails where it is none: metadata first, families in one piece."""
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""]
    found: dict[str, list[tuple[str, str, float]]] = {}
    types: dict[str, str] = {}
    now = ""
    for line in lines[:-2]:
        if line.startswith("# "):
            _, word, name, told = line.split(" ", 3)
            if word == "TYPE":
                assert name not in types, f"{name} is there twice"
                types[name], now, found[name] = told, name, []
            assert name == now
            assert word != "UNIT" or name.endswith(f"_{told}")
            continue
        sample = _SAMPLE.match(line)
        assert sample is not None, line
        suffixes = {"summary": ("", "_count", "_sum"), "info": ("_info",)}.get(types[now], ("",))
        assert sample[1] in {now + suffix for suffix in suffixes}, line
        found[now].append((sample[1], sample[2] or "", float(sample[3])))
    return found


def test_openmetrics_is_a_page_of_families(tmp_path: Path) -> None:
    runs = [Held(name, golden(tmp_path / name, n=30)) for name in ("a", 'b"\\')]
    text = written(runs, "openmetrics", Asked()).files["metrics.txt"]
    found = families(text)
    ttft = {labels: value for name, labels, value in found["loadcell_ttft_seconds"] if name.endswith("seconds")}
    assert ttft['{run="a",anchor="service",quantile="0.5"}'] == pytest.approx(0.05)
    assert '{run="b\\"\\\\",anchor="service",quantile="0.5"}' in ttft
    assert [value for _, labels, value in found["loadcell_requests"] if 'outcome="ok"' in labels] == [30.0, 30.0]
    verdict = [value for _, labels, value in found["loadcell_verdict"] if 'run="a"' in labels]
    assert sorted(verdict) == [0.0, 0.0, 1.0]
    client = pytest.importorskip("prometheus_client.openmetrics.parser")
    assert {family.name for family in client.text_string_to_metric_families(text)} == set(found)


def test_otlp_is_an_export_request(tmp_path: Path) -> None:
    runs = [Held(name, mixed(tmp_path / name)) for name in ("a", "b")]
    (text,) = written(runs, "otlp-json", Asked()).files.values()
    resources_ = json.loads(text)["resourceMetrics"]
    assert len(resources_) == 2
    names = {pair["key"]: pair["value"]["stringValue"] for pair in resources_[0]["resource"]["attributes"]}
    assert (names["service.name"], names["loadcell.run"]) == ("loadcell", "a")
    (scope,) = resources_[0]["scopeMetrics"]
    metrics = {metric["name"]: metric for metric in scope["metrics"]}
    assert len(metrics) == len(scope["metrics"])
    started = int(datetime.fromisoformat("2026-01-01T00:00:00+00:00").timestamp()) * 10**9
    for metric in metrics.values():
        (data,) = [metric[kind] for kind in ("gauge", "histogram") if kind in metric]
        for point in data["dataPoints"]:
            assert (point["startTimeUnixNano"], int(point["timeUnixNano"]) > started) == (str(started), True)
    histogram = metrics["loadcell.ttft"]["histogram"]
    (point,) = histogram["dataPoints"]
    assert histogram["aggregationTemporality"] == 2 and metrics["loadcell.ttft"]["unit"] == "s"
    counts = [int(count) for count in point["bucketCounts"]]
    assert len(counts) == len(point["explicitBounds"]) + 1
    assert sum(counts) == int(point["count"]) == 12
    assert counts[point["explicitBounds"].index(0.06)] == 12  # all at 50 ms: above 0.04, up to 0.06
    assert point["sum"] == pytest.approx(0.6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-4, 50), min_size=1, max_size=40))
def test_each_value_is_in_the_bucket_of_its_bounds(values: list[float]) -> None:
    from loadcell.interop.writers.otlp import _WHOLE, _histogram

    point = _histogram({}, np.array(values), _WHOLE, {})
    for i, count in enumerate(map(int, point["bucketCounts"])):
        low = _WHOLE[i - 1] if i else -math.inf
        high = _WHOLE[i] if i < len(_WHOLE) else math.inf
        assert count == sum(low < value <= high for value in values)


def test_several_runs(tmp_path: Path) -> None:
    for name in ("10", "2", "1", "3.cut-1"):
        golden(tmp_path / name)
    assert [run.name for run in hold(tmp_path)] == ["1", "2", "10"]
    runs = hold(tmp_path)[:2]
    lines = written(runs, "vllm", Asked()).files["vllm.json"]
    assert len([json.loads(line) for line in lines.split("\n")]) == 2 and not lines.endswith("\n")
    assert len(only(written(runs, "guidellm", Asked()))["benchmarks"]) == 2
    assert set(written(runs, "aiperf", Asked()).files) == {
        f"{name}/{file}"
        for name in "12"
        for file in ("profile_export_aiperf.json", "profile_export_aiperf.csv", "profile_export.jsonl")
    }
    assert set(written(runs, "llm-d-v0.2.1", Asked()).files) == {
        "1-benchmark_report_v0.2.1.yaml", "2-benchmark_report_v0.2.1.yaml",
    }  # fmt: skip


def test_the_table_of_aiperf_is_a_csv(tmp_path: Path) -> None:
    text = export(golden(tmp_path / "r", n=3), "aiperf").files["profile_export_aiperf.csv"]
    upper, lower = text.replace("\r\n", "\n").split("\n\n")
    rows = {row["Metric"]: row for row in csv.DictReader(upper.splitlines())}
    assert rows["Time to First Token (ms)"]["p99"] == "50.00"
    assert {row["Metric"]: row["Value"] for row in csv.DictReader(lower.splitlines())}["Request Count"] == "3.00"


KEYS: dict[str, Callable[[Recording], str]] = {
    name: lambda recording, name=name: "".join(export(recording, name).files.values())
    for name in FORMATS  # type: ignore[misc]
}


@pytest.mark.parametrize("name", FORMATS)
def test_no_secret_is_exported(tmp_path: Path, name: str) -> None:
    endpoint = {
        "url": "http://user:pass-of-mine@localhost:8000/v1?key=sk-hidden",
        "headers": {"x-api-key": "sk-header-1"},
        "extra_body": {"api_key": "sk-body-1"},
    }
    recording = build(tmp_path / "r", [ok_request(0)], endpoint=endpoint)
    text = KEYS[name](recording)
    assert not re.search("pass-of-mine|sk-hidden|sk-header-1|sk-body-1", text)


def test_what_has_no_tokens_is_refused_by_vllm_alone(tmp_path: Path) -> None:
    row = {key: value for key, value in ok_request(0).items() if "tokens" not in key or key == "input_tokens"}
    recording = build(tmp_path / "r", [row], events=[], endpoint={"api": "embeddings"})
    with pytest.raises(UsageError, match=r"chat, completions, responses.*not of embeddings"):
        export(recording, "vllm")
    for name in FORMATS:
        if name != "vllm":
            export(recording, name)


def test_reasoning_counts_as_output(tmp_path: Path) -> None:
    row = ok_request(0, usage_tokens=10, first_answer_ns=150 * MS)
    events = [event | {"kind": KIND_REASONING} if i < 5 else event for i, event in enumerate(events_of(row))]
    summary = json.loads(
        export(build(tmp_path / "r", [row], events=events), "aiperf").files["profile_export_aiperf.json"]
    )
    assert summary["time_to_first_token"]["avg"] == pytest.approx(50.0)
    assert summary["time_to_first_output_token"]["avg"] == pytest.approx(150.0)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden(tmp_path / "r")
    folder = str(tmp_path / "r")
    assert main(["export", folder, "--format", "vllm"]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(tmp_path / "r" / "export-vllm" / "vllm.json")
    assert json.loads(Path(printed.out.strip()).read_text())["completed"] == 1
    assert main(["export", folder, "--format", "vllm"]) == 1  # it is there already
    assert "name another place" in capsys.readouterr().err
    assert main(["export", folder, "--format", "vllm", "--detailed", "--output", str(tmp_path / "x.json")]) == 0
    assert "itls" in json.loads((tmp_path / "x.json").read_text())
    said = capsys.readouterr().err
    assert "left out: the texts" in said and "r is " in said  # its verdict, for which the file has no place
    assert main(["export", folder, "--format", "otlp-json", "--output", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["resourceMetrics"]
    assert main(["export", folder, "--format", "aiperf", "--output", "-"]) == 2
    assert main(["export", folder, "--format", "aiperf", "--detailed"]) == 2
    assert main(["export", folder, "--format", "vlm"]) == 2
    assert main(["export", folder, "--format", "llm-d"]) == 2
    said = capsys.readouterr().err
    assert "did you mean vllm?" in said and "did you mean llm-d-v0.2.1?" in said
    assert main(["export", str(tmp_path / "no"), "--format", "vllm"]) == 1


def test_a_damaged_recording_says_so(tmp_path: Path) -> None:
    recording = golden(tmp_path / "r", n=2)
    Path(recording.request_parts[0]).write_bytes(b"PAR1")
    (run,) = hold(tmp_path / "r")
    found = written([run], "vllm", Asked())
    assert any("cannot be read" in words for words in found.left_out)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text("mine")
    with pytest.raises(RecordingError, match=r"b\.json is there already"):
        save({"a.json": "{}", "b.json": "{}"}, tmp_path)
    assert not (tmp_path / "a.json").exists()
