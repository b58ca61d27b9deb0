"""`loadcell published` from words to output and exit codes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from published_summaries import DATA

from loadcell.cli.main import main

Capture = pytest.CaptureFixture[str]
TRADEMARK = "The MLPerf name and logo are trademarks of MLCommons Association"


def said(capsys: Capture, *words: str, code: int = 0) -> str:
    assert main(["published", *words]) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


def flat(text: str) -> str:
    """Without line breaks and columns."""
    return " ".join(text.split())


@pytest.fixture(params=[80, 120])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return int(request.param)


def test_a_ranking_on_the_console(width: int, capsys: Capture) -> None:
    out = said(capsys, "deepseek-r1 offline", "--per", "accelerator", "--top", "3", "--round", "v5.1")
    assert all(len(line) <= width for line in out.splitlines())
    words = flat(out)
    for part in (
        "deepseek-r1 Offline, MLPerf\u00ae Inference v5.1, closed division, datacenter",
        "3 of 8 results, highest tokens/s per accelerator first (derived, not an MLPerf metric).",
        "CoreWeave PREVIEW", "5.1-0097", "6,005.9", "5.1-0072", "5,842.5", "72 x NVIDIA GB300", "retrieved 2026-11-22",
        "at commit 965182b03376", TRADEMARK,
    ):  # fmt: skip
        assert part in words, part
    assert words.index("6,005.9") < words.index("5,842.5") < words.index("4,172.4")


def test_too_many_rankings_are_listed_instead(width: int, capsys: Capture) -> None:
    out = said(capsys, "h200")
    assert "22 rankings match: name a benchmark, a scenario, a round to see their rows." in out
    assert "5.1-" not in out and all(len(line) <= width for line in out.splitlines())


def test_nothing_asked_shows_what_there_is(width: int, capsys: Capture) -> None:
    out = said(capsys)
    assert "891 results of 35 submitters, v5.1 and v6.0" in out
    assert "453 rows; 995 of other benchmarks left out" in flat(out) and TRADEMARK in flat(out)
    assert all(len(line) <= width for line in out.splitlines())


def test_every_form_has_the_words_that_must_go_with_a_figure(capsys: Capture) -> None:
    cite = flat(said(capsys, "5.1-0381 offline", "--cite"))
    assert "Krai: 31,383.2 tokens/s, llama2-70b-99.9 (model run: llama3_1-70b-fp8_pre) Offline" in cite
    tree = json.loads(said(capsys, "5.1-0381 offline", "--json"))
    (place,) = tree["rankings"][0]["rows"]
    assert place["per_accelerator"] == {
        "value": 3922.9, "unit": "tokens/s per accelerator", "derived": True, "says": "derived, not an MLPerf metric",
    }  # fmt: skip
    assert TRADEMARK in tree["trademark"] and tree["sources"][0]["retrieved"] == "2026-11-22"
    (row,) = csv.DictReader(io.StringIO(said(capsys, "5.1-0381 offline", "--csv")))
    assert (row["entry"], row["division"], row["round"]) == ("5.1-0381", "open", "v5.1")
    assert (row["derived_per_accelerator"], row["derived_unit"]) == ("3922.9", "tokens/s per accelerator")
    assert row["link"].startswith("https://github.com/mlcommons/") and row["retrieved"] == "2026-11-22"
    page = said(capsys, "5.1-0381 offline", "--md")
    assert (
        "per accelerator<br><sub>derived</sub>" in page and f"[5.1-0381]({row['link']})" in page and TRADEMARK in page
    )


def test_the_json_of_a_question_holds_every_place(capsys: Capture) -> None:
    tree: dict[str, Any] = json.loads(said(capsys, "--json", "--top", "all", "--division", "closed,open"))
    assert sum(len(place["benchmarks"]) for one in tree["rankings"] for place in one["rows"]) == 891


def test_press_on_the_console(width: int, capsys: Capture) -> None:
    out = said(capsys, "press")
    assert out.count("HOLDS ") == 10 and out.count("DIFFERS ") == 2 and out.count("MISLEADING ") == 1
    assert all(len(line) <= width for line in out.splitlines())
    assert len(json.loads(said(capsys, "press", "--json"))["checked"]) == 13


def test_add_tells_what_it_did_and_the_rows_answer(capsys: Capture, data_home: Path) -> None:
    first = said(capsys, "add", str(DATA / "summary_v6.1.json"))
    assert "9 rows of v6.1: 9 new, 0 in place of earlier ones, 0 known already" in first
    assert f"kept in {data_home}" in first and "left out, other benchmarks: dlrm-v3 1, text_to_video 1" in first
    assert "are known already, nothing was changed" in said(capsys, "add", str(DATA / "summary_v6.1.json"))
    out = flat(said(capsys, "llama3.1-8b offline v6.1 open"))
    assert "Acme Labs LLC RDI" in out and "model run: llama3.1-8b-pruned" in out
    listed = flat(said(capsys))
    assert "900 results" in listed and "added, delete" in listed and "v6.1" in listed


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["deepsek"], 2, "did you mean deepseek-r1?"),
        (["deepseek-r1", "interactive", "v5.1"], 1, "nothing published matches deepseek-r1 · Interactive · v5.1"),
        (["whisper", "--top", "0"], 2, "--top '0': write a number of places"),
        (["whisper", "--top", "x"], 2, "--top 'x'"),
        (["whisper", "--round", "v9.9"], 2, "no results of v9.9 are known"),
        (["add"], 2, "name one file"),
        (["add", "a", "b"], 2, "name one file"),
        (["add", "nowhere.json"], 1, "cannot read nowhere.json"),
        (["press", "--csv"], 2, "neither --csv nor --md"),
        (["whisper", "--json", "--csv"], 2, "not allowed with"),
    ],
)
def test_wrong_usage_is_said(words: list[str], code: int, says: str, capsys: Capture) -> None:
    error = said(capsys, *words, code=code)
    assert error.startswith("loadcell: ") and says in error


@pytest.mark.usefixtures("processes")
def test_the_command_loads_nothing_heavy() -> None:
    script = (
        "import sys; from loadcell.cli.main import main; main(['published', 'whisper', '--json'])\n"
        "heavy = [name for name in ('numpy', 'duckdb', 'scipy', 'rich', 'yaml') if name in sys.modules]\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
