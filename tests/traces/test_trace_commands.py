"""`loadcell trace list`, `describe` and `anonymize`, as people call them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from loadcell.cli.main import main
from loadcell.traces.named import named_traces
from loadcell.traces.read import FORMATS

DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def test_the_list_names_every_packaged_trace(capsys):
    assert main(["trace", "list"]) == 0
    out = capsys.readouterr().out
    assert "azure-code" in out and "8,819 requests · 57.3 min · 2.57 requests/s · CC BY 4.0" in out
    assert main(["trace", "list", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(named_traces())


def test_a_packaged_trace_is_described_with_whom_to_credit(capsys):
    assert main(["trace", "describe", "mooncake-conversation"]) == 0
    out = capsys.readouterr().out
    for said in ("12,031 requests", "Apache-2.0", "CV 3.03", "2.10 at 10 s", "steps of 3 s", "36.6 % of them cached",
                 "288,500 blocks of 512 tokens"):  # fmt: skip
        assert said in out


def test_a_file_is_described_as_json(capsys, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("t,in,out\n0,1,2\n1,x,2\n3,2,2\n")
    assert main(["trace", "describe", str(path), "--json", "--skip-bad"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["requests"], found["arrivals"]["span_s"], found["sharing"]) == (2, 3, None)
    assert found["changes"][0].startswith("1 of 3 rows of t are broken")
    assert main(["trace", "describe", str(path)]) == 2
    assert "--skip-bad" in capsys.readouterr().err


def test_a_window_holds_whole_sessions(capsys):
    assert main(["trace", "describe", "tracelab", "--window", "0:60", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["requests"], found["sessions"]["sessions"]) == (9, 1)
    assert main(["trace", "describe", "servegen-deepseek-r1", "--window", "0:600", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arrivals"]["span_s"] < 600
    for window in ("60", "5:1", "a:b"):
        assert main(["trace", "describe", "tracelab", "--window", window]) == 2
        assert "write two times in seconds" in capsys.readouterr().err


def test_a_log_becomes_a_trace_and_what_it_gives_away_is_told(capsys, tmp_path):
    target = tmp_path / "out.jsonl.gz"
    log = DATA / "otel_prefix_sharing.json"
    assert main(["trace", "anonymize", str(log), "--output", str(target), "--round-s", "0.5"]) == 0
    out = capsys.readouterr().out
    for said in (
        "7 requests",
        "still gives away",
        "to 0.5 s",
        "7 of 7 requests have an input and output length of their own",
    ):
        assert said in out
    rows = [json.loads(line) for line in gzip.decompress(target.read_bytes()).splitlines()]
    assert [row["in"] for row in rows] == [50, 45, 100, 180, 270, 380, 40]
    assert main(["trace", "describe", str(target)]) == 0
    assert "Sharing" in capsys.readouterr().out


def test_what_cannot_be_is_refused_before_anything_is_written(capsys, tmp_path):
    target, short = tmp_path / "out.jsonl", tmp_path / "key"
    short.write_bytes(b"short")
    log = str(DATA / "otel_fan_in.json")
    for more, said in (
        (["--block-tokens", "0"], "--block-tokens 0: give 1 or more"),
        (["--round-s", "0"], "--round-s 0: give more than 0 s"),
        (["--key-file", str(short)], "5 bytes are no key"),
        (["--key-file", str(tmp_path / "gone")], "cannot read it"),
        (["--kind", "azure"], "logs with text are otel, litellm, requests"),
    ):
        assert main(["trace", "anonymize", log, "--output", str(target), *more]) == 2
        assert said in capsys.readouterr().err
    assert not target.exists()
    target.write_text("mine")
    assert main(["trace", "anonymize", log, "--output", str(target)]) == 2
    assert "it exists" in capsys.readouterr().err and target.read_text() == "mine"


def test_the_help_names_every_format(capsys):
    with pytest.raises(SystemExit) as left:
        main(["trace", "describe", "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert all(f"\n  {kind} " in out for kind in FORMATS)
