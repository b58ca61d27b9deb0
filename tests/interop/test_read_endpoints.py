"""The MLPerf Endpoints client: a published summary, and events made after its record of them."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_logs import ENDPOINTS, EXAMPLES
from foreign import PEERS, requests_of, sound, value_of
from made_events import SECRET_TEXT, event, put

from loadcell.errors import UsageError
from loadcell.interop.readers import endpoints

REAL = EXAMPLES / ENDPOINTS / "result_summary.trimmed.json"


def append(folder: Path, *events: dict[str, Any]) -> None:
    with (folder / "events.jsonl").open("a") as file:
        file.writelines(json.dumps(one) + "\n" for one in events)


def test_the_published_summary_is_told_figure_by_figure() -> None:
    (run,) = endpoints.read(REAL)
    sound(run)
    raw = json.loads(REAL.read_text())
    assert run.tested and run.details is None
    assert (run.version, run.ok, run.failed, run.planned) == ("0.1.0", 600000, 0, 600000)
    assert (run.loop, run.rate, run.arrivals, run.seed) == ("open", 325.0, "poisson", 16159082839903944936)
    assert run.window_s == raw["legacy_loadgen_window_duration_ns"] / 1e9
    for series, metric in (("ttft", "ttft_ms"), ("tpot", "tpot_ms"), ("latency", "e2e_ms")):
        for at, value in raw[series]["percentiles"].items():
            assert value_of(run, metric, f"p{float(at):g}") == value
        assert value_of(run, metric, "mean") == raw[series]["avg"]
        assert value_of(run, metric, "std") == raw[series]["std_dev"]
    assert (value_of(run, "requests_per_s"), value_of(run, "output_tokens_per_s")) == (raw["qps"], raw["tps"])
    bounds = [told for told in run.told if "early_stopping" in told.key]
    assert len(bounds) == 24 and all(told.metric is None and told.unit == "ns" for told in bounds)
    assert any("issued last" in note for note in run.notes)


@pytest.mark.parametrize("chunks", [True, False])
def test_events_are_requests(tmp_path: Path, chunks: bool) -> None:
    samples = put(tmp_path, chunks=chunks)
    (run,) = endpoints.read(tmp_path)
    sound(run)
    assert not run.tested
    assert (run.model, run.tokenizer, run.api, run.stream, run.requests, run.concurrency) == (
        "m", "tok", "chat", True, 40, 8,
    )  # fmt: skip
    found = sorted(requests_of(run), key=lambda request: request.sent_s or 0)
    zero = samples[0][0]["timestamp_ns"]
    assert len(found) == len(samples) == (run.ok or 0) + (run.failed or 0)
    for request, events in zip(found, samples, strict=True):
        at: dict[str, list[float]] = defaultdict(list)
        for one in events:
            at[one["event_type"]].append((one["timestamp_ns"] - zero) / 1e9)
        assert request.sent_s == at["sample.issued"][0]
        assert request.end_s == at["sample.complete"][0]
        assert ([] if request.first_s is None else [request.first_s]) == at["sample.recv_first"]
        if at["sample.recv_non_first"]:
            assert request.chunks_s is not None
            assert list(request.chunks_s) == at["sample.recv_first"] + at["sample.recv_non_first"]
        else:
            assert (request.chunks_s, request.last_s) == (None, None)
        assert request.output_tokens is None  # it would have to be counted from the texts
    failed = [request for request in found if request.status == "failed"]
    assert [(r.error_kind, r.first_s) for r in failed] == [("cut", None)]
    assert "pw" not in (failed[0].error or "pw")
    latency = sorted(1e9 * (r.end_s - r.sent_s) for r in found)  # type: ignore[operator]
    assert latency[len(latency) // 2] == pytest.approx(value_of(run, "e2e_ms", "p50"), abs=10)
    assert any("failed requests" in note for note in run.notes)
    assert np.isfinite(latency).all()


def test_texts_and_keys_stay_behind(tmp_path: Path) -> None:
    put(tmp_path)
    (run,) = endpoints.read(tmp_path)
    said = repr(run) + repr(requests_of(run))
    assert SECRET_TEXT not in said
    assert "sk-very-secret" not in said
    assert run.url is not None and run.url.endswith("@host:1")


def test_events_alone_count_for_themselves(tmp_path: Path) -> None:
    put(tmp_path)
    (run,) = endpoints.read(tmp_path / "events.jsonl")
    assert (run.planned, run.ok, run.failed) == (40, 39, 1)
    lines = [line for line in (tmp_path / "events.jsonl").read_text().splitlines() if "session." not in line]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    (run,) = endpoints.read(tmp_path / "events.jsonl")
    assert run.planned == 41  # without marks of the session all of it counts


def test_what_was_sent_again_or_never_ended(tmp_path: Path) -> None:
    put(tmp_path, n=3, failed=())
    text = (tmp_path / "events.jsonl").read_text().splitlines()
    mark = next(i for i, line in enumerate(text) if "start_performance" in line)
    at = json.loads(text[mark])["timestamp_ns"]
    extra = [
        event("sample.issued", at + 10, "again"), event("sample.issued", at + 10**6, "again"),
        event("sample.recv_first", at + 2 * 10**6, "again"), event("sample.complete", at + 3 * 10**6, "again"),
        event("sample.complete", at + 4 * 10**6, "again"), event("sample.issued", at + 20, "open", turn=2,
                                                                 conversation_id="c1"),
    ]  # fmt: skip
    text[mark + 1 : mark + 1] = [json.dumps(one) for one in extra]
    (tmp_path / "events.jsonl").write_text("\n".join(text) + "\n")
    (run,) = endpoints.read(tmp_path)
    sound(run)
    found = requests_of(run)
    assert [r.status for r in found].count("cancelled") == 1
    (never,) = [r for r in found if r.status == "cancelled"]
    assert (never.session, never.turn, never.end_s) == ("c1", 2, None)
    assert any("sent again" in note for note in run.notes)
    (again,) = [r for r in found if r.first_s is not None and r.first_s - (r.sent_s or 0) < 2e-3]
    assert again.end_s is not None


def test_samples_are_given_out_as_they_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path)
    (run,) = endpoints.read(tmp_path)
    whole = sorted(requests_of(run), key=lambda r: r.sent_s or 0)
    monkeypatch.setattr(endpoints, "_SLACK", 40)
    assert sorted(requests_of(run), key=lambda r: r.sent_s or 0) == whole


def test_odd_files_are_refused_by_file_and_field(tmp_path: Path) -> None:
    put(tmp_path)
    events, summary = tmp_path / "events.jsonl", tmp_path / "performance" / "result_summary.json"
    good = events.read_text()
    events.write_text(good[:-30])
    with pytest.raises(UsageError, match=r"events\.jsonl"):
        endpoints.read(tmp_path)
    append_to = good.splitlines()
    append_to.insert(4, json.dumps(event("sample.issued", 5) | {"timestamp_ns": "soon"}))
    events.write_text("\n".join(append_to))
    with pytest.raises(UsageError, match=r"events\.jsonl: line 5:.*timestamp_ns"):
        endpoints.read(tmp_path)
    events.write_text("\n".join(line for line in good.splitlines() if "sample.issued" not in line))
    with pytest.raises(UsageError, match=r"events\.jsonl: event_type: no sample\.issued"):
        endpoints.read(tmp_path)
    events.write_text(good)
    tree = json.loads(summary.read_text())
    summary.write_text(json.dumps(tree | {"ttft": {"avg": "slow"}}))
    with pytest.raises(UsageError, match=r"result_summary\.json: ttft\.avg: "):
        endpoints.read(tmp_path)
    summary.write_text(json.dumps(tree | {"qps": float("nan"), "complete": False, "state": "interrupted"}))
    (run,) = endpoints.read(tmp_path)
    sound(run)
    assert {told.key: told.value for told in run.told}["qps"] is None
    assert any("interrupted" in note for note in run.notes)


def test_it_is_found_by_its_content(tmp_path: Path) -> None:
    put(tmp_path)
    assert endpoints.matches(tmp_path)
    assert endpoints.matches(tmp_path / "performance" / "result_summary.json")
    assert endpoints.matches(EXAMPLES / ENDPOINTS)
    assert not any(endpoints.matches(folder) for folder in PEERS.iterdir())
