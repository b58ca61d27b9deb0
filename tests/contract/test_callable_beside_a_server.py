"""The same engine as a callable and as a server; and what the commands make of a callable's recording."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from called import Timed, column, load
from small_engine import engine

import loadcell
from loadcell.cli.main import main
from loadcell.load import run_load
from loadcell.metrics import Result, build_result
from loadcell.metrics.fingerprint import differences
from loadcell.recording.read import open_recording
from loadcell.report import to_json
from loadcell.report.notebook import ShownResult
from loadcell.spec import build_spec


@pytest.fixture(scope="module")
def url(alone: None) -> Iterator[str]:
    with engine("--ttft", "40ms", "--itl", "8ms", "--slots", "64") as found:
        yield found


def over_http(url: str) -> object:
    """A client of a completions server, as a person writes one."""

    def fn(prompt: str, max_tokens: int) -> Iterator[str | loadcell.Piece]:
        asked = {"prompt": prompt, "max_tokens": max_tokens, "stream": True, "ignore_eos": True,
                 "stream_options": {"include_usage": True}}  # fmt: skip
        request = urllib.request.Request(
            f"{url}/v1/completions", json.dumps(asked).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            for line in reply:
                if line.startswith(b"data: {"):
                    event = json.loads(line[6:])
                    for choice in event["choices"]:
                        yield loadcell.Piece(choice["text"], finish=choice["finish_reason"])
                    if event.get("usage"):
                        told = event["usage"]
                        yield loadcell.Piece(
                            output_tokens=told["completion_tokens"], prompt_tokens=told["prompt_tokens"]
                        )

    return fn


def test_both_ways_to_one_engine_give_the_same_figures(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"concurrency": 4, "duration_s": 5, "ramp_s": 0.2, "input_tokens": 32, "output_tokens": 20}
    ours = loadcell.run(over_http(url), output=tmp_path / "callable", **asked)
    server = loadcell.run(url, output=tmp_path / "server", api="completions", shared_host=True, **asked)
    assert ours.counts.run.failed == server.counts.run.failed == 0
    for metric, apart in (("ttft_ms", 0.1), ("itl_ms", 0.05), ("tpot_ms", 0.05), ("e2e_ms", 0.05)):
        one, other = ours.latency[metric].service, server.latency[metric].service
        assert one.mean == pytest.approx(other.mean, rel=apart), metric
        assert one.p50.value == pytest.approx(other.p50.value, rel=apart), metric
    for rate in ("requests_per_s", "output_tokens_per_s", "input_tokens_per_s"):
        assert getattr(ours.throughput, rate) == pytest.approx(getattr(server.throughput, rate), rel=0.06), rate
    assert ours.methodology.token_source.keys() == server.methodology.token_source.keys() == {"usage"}
    assert ours.methodology.effective["prompts_counted_by"] == "server"
    told = {found.field: found for found in differences(ours, server)}
    assert (told["clock"].weight, told["clock"].says) == ("forbid", "clock: A user, B kernel")
    assert told["API"].says == "API: A callable, B completions"
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "callable"), str(tmp_path / "server")]) != 0
    shown = capsys.readouterr()
    assert "clock: A user, B kernel" in shown.out + shown.err


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> ShownResult:
    return load(Timed().stream, tmp_path_factory.mktemp("called") / "r", requests=30)[0]


def test_the_methodology_says_what_was_called(recorded: ShownResult) -> None:
    method = recorded.methodology
    assert method.spec.endpoint.url == method.effective["url"] == "python:called.Timed.stream"
    assert method.effective["called_by"] == "threads"
    assert (method.clock, method.core, method.workers) == ("user", None, 1)
    assert recorded.instrument.host.server == "this process"
    assert recorded.instrument.host.taken_share is not None
    (shared,) = [check for check in recorded.verdict.checks if check.name == "shared_host"]
    assert shared.says.startswith("server on this machine (this process): the load took at most ")
    assert shared.word == "VALID" or "shared_host=True" in str(shared.advice)
    assert {"numpy", "duckdb"} <= method.environment["libraries"].keys()
    assert any("a Python callable was loaded in the load's own process" in note for note in recorded.notes)
    (worker,) = recorded.instrument.workers
    assert worker.reads == worker.reads_without_stamp and worker.reads
    assert recorded.instrument.connections.reused == 0


def test_the_commands_read_its_recording(
    recorded: ShownResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(recorded.folder)
    main(["report", folder, "--full"])
    shown = capsys.readouterr().out
    assert "python:called.Timed.stream" in shown and "clock user" in shown
    main(["report", folder, "--html", "--output", str(tmp_path / "r.html")])
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "python:called.Timed.stream" in page
    assert "Run it again" not in page
    capsys.readouterr()
    assert main(["query", "select api, url from runs", folder]) == 0
    assert "callable" in capsys.readouterr().out


def test_only_python_can_run_it_again(
    recorded: ShownResult, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["run", str(recorded.folder)]) == 2
    assert "was of the Python callable called.Timed.stream: load it again by loadcell.run(" in capsys.readouterr().err
    spec = build_spec({"endpoint": {"url": "python:called.Timed.stream", "api": "callable"}})
    with pytest.raises(loadcell.LoadcellError, match=r"is a Python callable: it is loaded by loadcell\.run"):
        run_load(spec, tmp_path / "r", lambda _: None)
    with pytest.raises(loadcell.LoadcellError, match="is a Python callable"):
        build_spec({"endpoint": {"url": "python:called.Timed.stream"}})
    assert main(["run", "http://localhost:1", "--api", "callable"]) == 2
    assert "'callable' is not one of chat, completions, " in capsys.readouterr().err


def test_a_result_shows_itself(recorded: ShownResult, capsys: pytest.CaptureFixture[str]) -> None:
    text = repr(recorded)
    assert text == str(recorded)
    assert "TTFT" in text and "python:called.Timed.stream" in text
    assert f"loadcell report {recorded.folder} --full" in text
    main(["report", str(recorded.folder)])
    assert "TTFT" in capsys.readouterr().out
    frame = recorded._repr_html_()
    found = re.fullmatch(r'<iframe srcdoc="([^"]*)" style="[^"]*" title="Loadcell"></iframe>', frame)
    assert found is not None
    page = unescape(found[1])
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert "python:called.Timed.stream" in page and "TTFT" in page
    assert len(page) < 200_000  # without the scripts that draw


def test_it_is_a_result_like_any(recorded: ShownResult) -> None:
    again = build_result(open_recording(recorded.folder))
    assert isinstance(recorded, Result)
    assert json.loads(to_json(recorded)) == json.loads(to_json(again))
    assert column(open_recording(recorded.folder), "connection") == pytest.approx([float("nan")] * 30, nan_ok=True)


def test_the_example_runs_as_it_stands(alone: None, tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "examples" / "callable.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "r")], check=True, capture_output=True, text=True, timeout=60
    )
    assert "python:__main__.generate" in done.stdout
    assert f"recorded in {tmp_path / 'r'}" in done.stdout
    recording = open_recording(tmp_path / "r")
    assert column(recording, "output_tokens") == [32] * 40
    assert column(recording, "prompt_tokens") == column(recording, "input_tokens") == [64] * 40
