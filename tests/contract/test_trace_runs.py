"""Runs that replay a trace: what a server got, what the recording tells of it, and the same again."""

from __future__ import annotations

import gzip
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_runs import Ran
from known_sharing import beginnings, hits_of
from scripted import Received, Step, clean, serve
from small_engine import engine, truth_of

from loadcell.cli.main import main
from loadcell.load import run_load
from loadcell.metrics import build_result
from loadcell.recording.methodology import read_methodology
from loadcell.recording.read import open_recording
from loadcell.report.run import run_markdown
from loadcell.report.words import Words
from loadcell.spec import build_spec

DATA = Path(str(resources.files("loadcell.traces"))) / "data"
MOST, BLOCK = 1500, 512


def ran(url: str, folder: Path, trace: dict[str, Any], load: dict[str, Any] | None = None) -> Ran:
    spec = build_spec(
        {
            "endpoint": {"url": url, "api": "completions"},
            "trace": trace,
            "load": {"wait_ready_s": 0, **(load or {})},
            "workload": {"template_tokens": 0, "token_ratio": 1.0},
            "run": {"workers": 1, "salt": ""},
        }
    )
    manifest = run_load(spec, folder, lambda _: None)
    recording = open_recording(folder)
    assert not recording.damaged
    return Ran(folder, manifest, recording, build_result(recording))


def test_a_server_gets_the_blocks_of_the_trace(tmp_path: Path) -> None:
    """Against the file itself: lengths, clipped where asked, and what an infinite cache would find."""
    rows = 40

    def short(_: Received) -> list[Step]:
        return clean(1)

    asked = {"name": "mooncake-conversation", "max_input_tokens": MOST, "max_output_tokens": 1, "speed": 10.0}
    with serve(short) as server:
        done = ran(server.url, tmp_path / "run", asked, {"requests": rows})
        sent = sorted(server.load, key=lambda one: one.number)
    with gzip.open(DATA / "mooncake-conversation.jsonl.gz", "rt") as file:
        told = [json.loads(line) for _, line in zip(range(rows), file, strict=False)]
    prompts = [json.loads(one.body)["prompt"].split(" ") for one in sent]
    assert [len(words) for words in prompts] == [min(MOST, row["input_length"]) for row in told]
    listed = [row["hash_ids"][: -(-min(MOST, row["input_length"]) // BLOCK)] for row in told]
    assert hits_of(beginnings(words, BLOCK) for words in prompts) == (found := hits_of(listed))
    assert found[0] > 0
    trace = done.manifest.effective["trace"]
    assert trace["sha256"] == hashlib.sha256((DATA / "mooncake-conversation.jsonl.gz").read_bytes()).hexdigest()
    assert [one["what"] for one in trace["changes"]] == ["spread", "clip", "clip", "speed"]
    assert (trace["rows"], trace["sent"]) == (12031, rows)
    assert set(done.manifest.notes) >= {one["words"] for one in trace["changes"]}
    page = run_markdown(done.result, Words("en"))
    for one in trace["changes"]:
        assert one["words"].split(":")[0] in page
    shared = done.recording.schedule(("shared_tokens",))["shared_tokens"]
    assert shared.sum() > 0


def test_the_same_requests_come_again(tmp_path: Path) -> None:
    with serve(lambda _: clean(1)) as server:
        asked = {"name": "azure-code", "window": "busiest:2s", "scale": 0.5, "max_output_tokens": 2}
        first = ran(server.url, tmp_path / "first", {**asked, "max_input_tokens": 20})
        again = read_methodology(tmp_path / "first")
        manifest = run_load(build_spec(again.spec), tmp_path / "again", lambda _: None)
    assert manifest.schedule_hash == first.manifest.schedule_hash
    assert manifest.bodies_hash == first.manifest.bodies_hash
    assert first.recording.spec.load.rate is None
    assert first.result.steady.stable is None
    assert (
        first.result.methodology.fingerprint == build_result(open_recording(tmp_path / "again")).methodology.fingerprint
    )


def test_users_take_the_lengths_in_their_order(tmp_path: Path) -> None:
    with serve(lambda _: clean(1)) as server:
        done = ran(
            server.url, tmp_path / "run", {"name": "azure-conv", "max_input_tokens": 30, "max_output_tokens": 1},
            {"concurrency": 2, "requests": 12, "ramp_s": 0},
        )  # fmt: skip
        assert len(server.load) == 12
    assert done.manifest.loop == "closed"
    assert any("times of the trace are left out" in note for note in done.result.notes)


@pytest.mark.parametrize("load", [{}, {"concurrency": 2, "ramp_s": 0}])
def test_rounds_of_agents_are_sent_one_after_another(load: dict[str, Any], tmp_path: Path) -> None:
    """TraceLab's sessions, their tools a million times as fast: each round after the reply to the one before it."""
    with engine("--ttft", "2ms", "--itl", "0.1ms", "--slots", "8") as url:
        asked = {"name": "tracelab", "speed": 1e6, "max_input_tokens": 200, "max_output_tokens": 3}
        done = ran(url, tmp_path / "run", asked, load)
        seen = truth_of(url)
    assert done.statuses == ["ok"] * 19
    schedule = done.recording.schedule(("session", "turn", "planned_ns"))
    assert schedule["session"].tolist() == [0] * 10 + [1] * 9 or schedule["session"].tolist() == [0] * 9 + [1] * 10
    for row in range(1, 19):
        if schedule["turn"][row]:
            assert seen[row]["arrival_ns"] >= seen[row - 1]["end_ns"]


@pytest.mark.usefixtures("alone")
def test_sends_are_as_bursty_as_the_trace(tmp_path: Path) -> None:
    """The busiest minute of the Azure code trace in 6 s: counts in 0.6 s of what the engine got, against the plan."""
    with engine("--ttft", "1ms", "--itl", "0.2ms", "--slots", "256") as url:
        asked = {"name": "azure-code", "window": "busiest:1m", "speed": 10.0}
        done = ran(url, tmp_path / "run", {**asked, "max_input_tokens": 16, "max_output_tokens": 1})
        got = np.array([one["arrival_ns"] for one in truth_of(url)], np.float64)
    planned = done.recording.schedule(("planned_ns",))["planned_ns"].astype(np.float64)
    edges = np.arange(0, 6.01e9, 0.6e9)
    by_plan, sent = (np.histogram(times, edges)[0] for times in (planned, got - got.min() + planned.min()))
    assert len(got) == len(planned)
    assert sent.var() / sent.mean() == pytest.approx(by_plan.var() / by_plan.mean(), rel=0.05)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--trace", "azure-cod"], "did you mean azure-code"),
        (
            ["--trace", "azure-code", "--max-input-tokens", "100", "--trace-too-long", "refuse"],
            "have more than 100 input",
        ),
        (["--trace", "azure-code", "--trace-window", "5h..6h"], "the trace lasts for"),
        (["--trace", "azure-code", "--stop-when-saturated"], "the rate of a trace varies"),
        (["--trace", "azure-code", "--input-tokens", "100"], "leave --input-tokens out"),
    ],
)
def test_what_cannot_be_replayed_is_said(
    flags: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with serve() as server:
        assert main(["run", server.url, *flags, "--output", str(tmp_path / "run")]) == 2
        assert not server.load
    assert says in " ".join(capsys.readouterr().err.split())
