"""The command line: what is wrong is said in one line with what to do, and the exit code tells what happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from scripted import HANG, RESET, json_reply, serve

from loadcell.cli.main import main


def complain(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What `loadcell` says to wrong words; it must end with status 2 and no traceback."""
    assert main(list(words)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("loadcell: ")
    return shown.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--concurency", "4"], "did you mean --concurrency"),
        (["--no-steam"], "did you mean --no-stream"),
        (["--concurrency", "four"], "--concurrency: 'four' is not a whole number"),
        (["--concurrency", "0"], "load.concurrency is 0: it must be more than 0"),
        (["--concurrency", "-3"], "load.concurrency"),
        (["--rate", "fast"], "--rate: 'fast' is not a number"),
        (["--rate", "nan"], "load.rate"),
        (["--rate", "inf"], "load.rate"),
        (["--duration", "10 parsecs"], "--duration: '10 parsecs' is not a duration: write 500ms, 10s, 2m"),
        (["--requests", "1e3"], "is not a whole number"),
        (["--arrivals", "poison"], "did you mean poisson"),
        (["--arrivals", "gamma"], "gamma:2"),
        (["--input-tokens", "many"], "is not a token length"),
        (["--output-tokens", "uniform:9,3"], "LO comes before HI"),
        (["--slo", "ttft=500"], "has no unit: write ttft=500ms"),
        (["--slo", "tttft=500ms"], "did you mean ttft"),
        (["--api", "chats"], "'chats' is not one of chat, completions"),
        (["--set", "load.rat=5"], "did you mean load.rate"),
        (["--set", "rate=5"], "write SECTION.KEY=VALUE"),
        (["--header", "X-Team"], "write NAME=VALUE"),
        (["--warmup", "40s", "--duration", "30s"], "the warm-up (40 s) leaves nothing of the duration (30 s)"),
        (["--spec", "/no/such.yaml"], "cannot read the spec /no/such.yaml: No such file"),
        (["--prompts", "/no/such.jsonl", "--requests", "1"], "/no/such.jsonl"),
        (["--tokenizer", "/no/such.json", "--requests", "1"], "/no/such.json"),
        (["--workers", "9", "--concurrency", "4"], "--workers 4"),
        (["extra"], "unknown argument extra"),
    ],
)
def test_wrong_words(capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], says: str) -> None:
    with serve() as server:
        assert says in complain(capsys, "run", server.url, "--output", str(tmp_path / "run"), *words)
        assert server.load == []
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (":8000", "write http://localhost:8000"),
        ("htp://host", "write http://host (did you mean http?)"),
        ("ftp://host", "is not an endpoint"),
        ("http://", "is not an endpoint"),
        ("http://host:99999", "port"),
        ("http://[::1", "is not a URL"),
    ],
)
def test_wrong_urls(capsys: pytest.CaptureFixture[str], url: str, says: str) -> None:
    assert says in complain(capsys, "run", url)


def test_no_url(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadcell.load.local.USUAL", ())
    said = complain(capsys, "run")
    assert "loadcell run http://HOST:PORT" in said and "loadcell serve" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("load: {concurency: 4}", "unknown key load.concurency in the spec (did you mean concurrency?)"),
        ("laod: {concurrency: 4}", "unknown section 'laod' in the spec (did you mean load?)"),
        ("load: {concurrency: four}", "load.concurrency"),
        ("load: [1, 2]", "section 'load' of the spec must hold keys and values"),
        ("load: {concurrency: 4", "is not YAML"),
        ("just words", "holds no spec"),
        ("", "holds no spec"),
    ],
)
def test_wrong_spec_files(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(text)
    assert says in complain(capsys, "run", "http://127.0.0.1:9", "--spec", str(file))


def test_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean run" in complain(capsys, "runn")


def loadcell(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadcell", *words], capture_output=True, text=True, timeout=60, check=False
    )


def short(url: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return loadcell(
        "run", url, "--requests", "4", "--concurrency", "2", "--input-tokens", "8", "--output", str(folder), *words
    )


def test_a_good_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key comes from the named variable; its result as JSON is all there is on standard output."""
    monkeypatch.setenv("TEAM_KEY", "sk-of-the-team")
    words = ("--slo", "ttft=5s", "--api-key-env", "TEAM_KEY", "--header", "X-Team=blue=green", "--json")
    with serve() as server:
        done = short(server.url, tmp_path / "run", *words)
    assert done.returncode in (0, 4), "on a busy machine, four short replies may be known too badly"
    assert done.stderr == ""
    result = json.loads(done.stdout)
    assert result["counts"]["run"] == {"planned": 4, "ok": 4, "failed": 0, "cancelled": 0, "unsent": 0, "abandoned": 0}
    assert result["goodput"]["good"] == 4
    assert {request.headers["authorization"] for request in server.received} == {"Bearer sk-of-the-team"}
    assert server.load[0].headers["x-team"] == "blue=green"
    assert "sk-of-the-team" not in done.stdout
    again = loadcell("report", str(tmp_path / "run"), "--json")
    assert (again.returncode, again.stderr, json.loads(again.stdout)) == (done.returncode, "", result)


NOT_NEEDED = {"rich", "tokenizers", "yaml", "statistics", "urllib.request", "loadcell.presets", "loadcell.report.run"}


def test_a_run_for_programs_imports_nothing_that_only_people_are_shown_or_few_ask_for(tmp_path: Path) -> None:
    flags = ("--requests", "2", "--concurrency", "1", "--input-tokens", "64", "--output-tokens", "4")
    words = ("--output", str(tmp_path / "run"), "--json", "--no-html", *flags)
    with serve() as server:
        command = (sys.executable, "-X", "importtime", "-m", "loadcell", "run", server.url, *words)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert json.loads(done.stdout)["counts"]["run"]["ok"] == 2
    assert "loadcell.metrics.result" in imported and not NOT_NEEDED & imported


@pytest.mark.parametrize(("given", "holds"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")])
def test_numpy_gets_no_threads_that_nobody_asked_for(given: dict[str, str], holds: str) -> None:
    code = "import os; from loadcell.cli.main import main; main(); print(os.environ['OPENBLAS_NUM_THREADS'])"
    around = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        (sys.executable, "-c", code, "--version"),
        env=around | given,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[1:] == [holds]


def test_a_run_without_a_good_request_exits_with_1(tmp_path: Path) -> None:
    with serve(lambda _: [RESET]) as server:
        done = short(server.url, tmp_path / "run")
    assert (done.returncode, done.stderr) == (1, "")
    assert "4 planned = 0 ok + 4 failed" in done.stdout
    assert "reset" in done.stdout
    again = loadcell("report", str(tmp_path / "run"))
    assert (again.returncode, again.stderr) == (1, "")
    assert "4 planned = 0 ok + 4 failed" in again.stdout


def test_an_endpoint_that_cannot_be_measured_exits_with_1_and_one_line(tmp_path: Path) -> None:
    with serve(probe=lambda _: [json_reply({"error": "no"}, 401)]) as server:
        done = short(server.url, tmp_path / "run")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "OPENAI_API_KEY" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_server_that_never_answers_does_not_hang_the_command(tmp_path: Path) -> None:
    with serve(probe=lambda _: [HANG]) as server:
        done = short(server.url, tmp_path / "run", "--timeout", "500ms")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "--timeout" in done.stderr


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    with serve() as server:
        words = f"run {server.url} --requests 1 --concurrency 1 --input-tokens 8 --output {tmp_path / 'run'}"
        command = f"{sys.executable} -m loadcell {words} | true"
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
