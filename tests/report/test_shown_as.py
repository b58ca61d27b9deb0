"""loadcell report DIR --as TOOL: what is printed, and what is refused."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import msgspec
import pytest
from made import MS, build, ok_request
from made_views import difficult, varied
from rich.console import Console

from loadcell.cli import report
from loadcell.errors import UsageError
from loadcell.interop.views.build import shown_as
from loadcell.interop.views.definitions import TOOLS
from loadcell.interop.views.model import ShownAs
from loadcell.metrics import build_result
from loadcell.recording.imported import Imported, Told
from loadcell.recording.read import open_recording
from loadcell.report.shown_as import print_shown
from loadcell.report.words import words_for


def run(*argv: str | Path) -> int:
    parser = argparse.ArgumentParser()
    report.configure(parser)
    return report.run(parser.parse_args([str(arg) for arg in argv]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return varied(tmp_path / "run").path


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("tool", sorted(TOOLS))
@pytest.mark.parametrize("full", [False, True])
def test_it_fits_the_terminal(tmp_path: Path, tool: str, width: int, full: bool) -> None:
    recording = difficult(tmp_path / "hard")
    shown = shown_as(recording, build_result(recording), tool)
    out = io.StringIO()
    print_shown(shown, Console(file=out, width=width), full=full)
    lines = out.getvalue().splitlines()
    assert lines[0].strip() == f"golden as {TOOLS[tool].title} {TOOLS[tool].version} counts"
    assert max(map(len, lines)) <= width
    assert any(line.startswith(" Why they differ") for line in lines)


def test_a_line_says_what_each_step_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1 ms late sends, half of which the connection takes back."""
    assert run(difficult(tmp_path / "hard").path, "--as", "sglang", "--full") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "TTFT p50 \N{MINUS SIGN}0.500" in said
    assert "successes there, failures here: 2 (cut, stream_error)" in said
    assert "opening a connection took 0.4 ms (median of 7)" in said


def test_json_and_markdown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(folder, "--as", "vllm", "--json")
    shown = msgspec.json.decode(capsys.readouterr().out, type=ShownAs)
    found = {figure.key: figure for figure in shown.figures}
    assert (found["p99_ttft_ms"].unit, found["p99_ttft_ms"].metric, found["p99_ttft_ms"].stat) == ("ms", "ttft", "p99")
    run(folder, "--as", "vllm", "--md")
    text = capsys.readouterr().out
    assert text.startswith("## golden as vLLM bench serve 0.33.0 counts")
    assert "| `p99_ttft_ms` |" in text


def test_a_page_of_its_own(folder: Path, tmp_path: Path) -> None:
    run(folder, "--as", "aiperf", "--html")
    assert "golden as AIPerf 0.13.0 counts" in (folder / "as-aiperf.html").read_text()
    run(folder, "--as", "aiperf", "--html", "--output", tmp_path / "page.html", "--lang", "es")
    assert "golden como cuenta AIPerf 0.13.0" in (tmp_path / "page.html").read_text()


def test_other_limits(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    goodput = []
    for limits in ("ttft=1ms", "ttft=10s"):
        run(folder, "--as", "vllm", "--slo", limits, "--json")
        figures = json.loads(capsys.readouterr().out)["figures"]
        goodput.append(next(figure["value"] for figure in figures if figure["key"] == "request_goodput"))
    assert goodput[0] == 0
    assert goodput[1] > 10


@pytest.mark.parametrize(("flag", "value"), [("--window", "0,1"), ("--csv", None), ("--parquet", None)])
def test_what_does_not_go_with_it_is_refused(folder: Path, flag: str, value: str | None) -> None:
    with pytest.raises(UsageError, match=f"{flag} does not go with --as"):
        run(folder, "--as", "vllm", flag, *([value] if value else []))


def test_a_saved_result_has_no_requests(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(UsageError, match="--as needs the requests"):
        run(tmp_path / "result.json", "--as", "vllm")


def test_what_the_tool_told_stands_beside_its_view(tmp_path: Path) -> None:
    """Of a run that the tool itself made: in the unit of the view; its time is the one that it told; no clock, no
    rate of another tool."""
    rows = [ok_request(i, tokens=10) for i in range(8)]
    folder = build(tmp_path / "run", rows, events=[]).path
    told = [Told(key="stats.ttft.mean", value=0.05, unit="s"), Told(key="run_duration", value=2.0, unit="s")]
    imported = Imported(tool="genai-bench", title="genai-bench", schema="experiment", tested=True, files={},
                        imported_at="2026-01-01T00:00:00+00:00", placed=False, window_s=2.0, told=told)  # fmt: skip
    (folder / "imported.json").write_bytes(msgspec.json.encode(imported))
    recording = open_recording(folder)
    result = build_result(recording)
    own = {figure.key: figure for figure in shown_as(recording, result, "genai-bench").figures}
    assert (own["stats.ttft.mean"].told, own["stats.ttft.mean"].value) == (50.0, 50.0)
    assert own["requests_per_second"].value == 4.0
    other = shown_as(recording, result, "vllm")
    found = {figure.key: figure for figure in other.figures}
    assert found["request_throughput"].value is None
    assert found["mean_itl_ms"].value is None
    assert found["mean_ttft_ms"].value == 50.0
    assert {missing.field for missing in other.missing} >= {"chunks", "window"}


def test_spanish_says_all_of_it(tmp_path: Path) -> None:
    recording = difficult(tmp_path / "hard")
    result, words = build_result(recording), words_for("es")
    for tool in TOOLS:
        shown = shown_as(recording, result, tool)
        for says in [*(one.says for one in shown.differences), *shown.notes, *(one.why for one in shown.missing)]:
            assert words.say(says) != says or says == "tokens: our count", says


def test_times_are_of_the_recording(tmp_path: Path) -> None:
    """A window of the load that starts with it, not with the first send."""
    rows = [ok_request(i, start_ms=1000 + 300 * i) for i in range(5)]
    recording = build(tmp_path / "run", rows)
    shown = {figure.key: figure.value for figure in shown_as(recording, build_result(recording), "vllm").figures}
    end_ms = 1000 + 1200 + 250
    assert shown["duration"] == pytest.approx(end_ms / 1e3)
    aiperf = {figure.key: figure.value for figure in shown_as(recording, build_result(recording), "aiperf").figures}
    assert aiperf["benchmark_duration.avg"] == pytest.approx((end_ms - 20 - 1000) / 1e3)
    assert rows[0]["send_start_ns"] == 1000 * MS
