"""What `loadcell published` says of given words is what it said before, to the letter.

Where words change on purpose: with LOADCELL_GOLDEN=write in its environment this test writes the files anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from published_summaries import DATA
from test_compare_published import accuracy, outcome_folder, recording

from loadcell import __version__
from loadcell.cli.main import main

GOLDEN = Path(__file__).parent / "golden"
QUESTIONS = {
    "everything": [[]],
    "rankings": [
        ["deepseek-r1 offline", "--per", "accelerator", "--top", "3"],
        ["8xH200 llama2-70b server v5.1"],
        ["llama3.1-8b server", "--accelerator", "B200", "--round", "v5.1,v6.0"],
        ["llama2-70b server", "--division", "open", "--cite"],
        ["whisper", "--across-rounds"],
        ["8b-edge singlestream"],
        ["NVIDIA offline"],
        ["h200"],
    ],
    "forms": [
        ["5.1-0381 offline", form] for form in ("--json", "--csv", "--md", "--cite")
    ] + [["8xH200 llama2-70b server", "--top", "2", form] for form in ("--json", "--csv", "--md")],
    "press": [["press"], ["press", "--json"]],
    "wrong": [
        ["deepsek"], ["deepseek-r1", "interactive", "v5.1"], ["whisper", "--top", "0"], ["whisper", "--round", "v9.9"],
        ["add"], ["add", "nowhere.json"], ["press", "--csv"], ["AMD offline"], ["--accelerator", "H2000"],
        ["--submitter", "Nvidia,Del"], ["9.9-0001"], ["v9.1"],
    ],
    "added": [["add", str(DATA / "summary_v6.1.json")], ["llama3.1-8b offline v6.1 open", "--json"]],
}  # fmt: skip


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_is_said_is_what_was_said(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    text = "".join(f"## {' '.join(words)}\n{_said(capsys, 'published', *words)}" for words in QUESTIONS[name])
    _compare(name, text, tmp_path)


def test_a_run_beside_published_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    _compare("beside", "".join(_beside(capsys)), tmp_path)


def _beside(capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    recording(Path("run"), gpus=2)
    outcome_folder(Path("mlperf"), quick=True, instrument="SUSPECT")
    accuracy(Path("mlperf"), passed=False)
    for path, asked in (("run", "8xH200 llama2-70b server v5.1"), ("run", "qwen server"), ("mlperf", "8xH200 v5.1"),
                        ("mlperf", "mixtral offline v6.0")):  # fmt: skip
        for form in ([], ["--json"]) if asked == "8xH200 v5.1" else ([],):
            yield f"## {path} {asked} {form}\n{_said(capsys, 'compare', path, '--published', asked, *form)}"


def _said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    code = main(list(words))
    captured = capsys.readouterr()
    return f"{captured.out}{captured.err}exit {code}\n"


def _compare(name: str, text: str, tmp_path: Path) -> None:
    today = datetime.now().date().isoformat()
    for machine, word in ((str(DATA), "DATA"), (str(tmp_path), "TMP"), (today, "TODAY"), (__version__, "VERSION")):
        text = text.replace(machine, word)
    text = "".join(line.rstrip() + "\n" for line in text.splitlines())
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("LOADCELL_GOLDEN") == "write":
        file.write_text(text)
    assert text.splitlines() == file.read_text().splitlines()
