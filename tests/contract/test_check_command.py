"""`loadcell check` against embedded engines: its answers, its exit codes, and what it says where it cannot answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from loadcell.cli.check import CODES, SUMMARY
from loadcell.cli.main import main
from loadcell.compare import build, duel, figures
from loadcell.selftest.witness import engine

Capture = pytest.CaptureFixture[str]
SPEC = """\
load: {concurrency: 1, duration_s: 10}
workload: {input_tokens: 8, output_tokens: "uniform:4,8"}
run: {shared_host: true, seed: 3}
"""
DOUBLE, MEAN = "ttft.p50>+100%", "ttft.geomean>+50%"


@pytest.fixture(autouse=True)
def _busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine's other work does to a turn is not what is asked here: only what never answered is void."""

    def empty(run: Any) -> bool:
        return not run.result.counts.run.ok

    for room in (duel, build):
        monkeypatch.setattr(room, "void", empty)
    for room in (duel, figures):
        monkeypatch.setattr(room, "left_open", lambda measure, result: False)
    monkeypatch.delenv(SUMMARY, raising=False)


@pytest.fixture(scope="module")
def fast(processes: None) -> Iterator[str]:
    with engine("--ttft", "100ms", "--itl", "2ms") as target:
        yield target.url


@pytest.fixture(scope="module")
def slow(processes: None) -> Iterator[str]:
    with engine("--ttft", "500ms", "--itl", "2ms", "--model", "other") as target:
        yield target.url


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    return path


def check(url: str, base: str | Path, spec: Path, *more: str | Path, gate: str = "ttft.p50>+5%") -> int:
    words = ["check", url, "--spec", spec, "--against", base, "--fail-if", gate, "--wait-ready", "0", *more]
    return main([*map(str, words), "--output", str(spec.parent / "check")])


@pytest.mark.timeout(240)
def test_a_slower_server_fails_in_every_form(
    alone: None, fast: str, slow: str, spec: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    junit, summary, job = (spec.parent / name for name in ("check.xml", "summary.md", "job.md"))
    job.write_text("before\n")
    monkeypatch.setenv(SUMMARY, str(job))
    code = check(
        slow, fast, spec, "--requests", "40", "--turn", "5", "--junit", junit, "--summary", summary, gate=DOUBLE
    )
    out, err = capsys.readouterr()
    assert code == CODES["FAIL"] == 6
    assert "FAIL" in out and DOUBLE in out and "Model: A loadcell-engine, B other" in " ".join(out.split())
    assert "40 requests a side, without a pilot" in err
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    assert summary.read_text().startswith("### ❌ FAIL") and job.read_text() == f"before\n{summary.read_text()}"
    told = json.loads((spec.parent / "check" / "check.json").read_text())
    assert told["word"] == "FAIL" and told["gates"][0]["low"] > 1 and told["by"] == "turns"
    assert len(list((spec.parent / "check" / "duel").glob("*-B"))) == 8


@pytest.mark.timeout(240)
def test_a_server_against_itself_does_not_fail(fast: str, spec: Path, capsys: Capture) -> None:
    code = check(fast, fast, spec, "--requests", "40", "--turn", "5", "--json", gate=DOUBLE)
    told = json.loads(capsys.readouterr().out)
    assert told["word"] in ("PASS", "INCONCLUSIVE") and code == CODES[told["word"]]
    assert [gate["asked"] for gate in told["gates"]] == [True, False]
    assert any("restart" in note for note in told["notes"])


@pytest.mark.timeout(240)
def test_a_server_that_fails_does_not_pass_for_a_fast_one(fast: str, spec: Path, capsys: Capture) -> None:
    with engine("--ttft", "1ms", "--itl", "1ms", "--error-rate", "1") as broken:
        assert check(broken.url, fast, spec, "--requests", "20", "--turn", "5") == CODES["FAIL"]
    assert "failed.share>+1points" in capsys.readouterr().out
    told = json.loads((spec.parent / "check" / "check.json").read_text())
    assert told["gates"][-1]["says"] == "20 of 20 requests of B failed, 0 of 20 of A"


@pytest.mark.timeout(240)
def test_a_server_that_dies_gives_no_answer_and_a_sentence(fast: str, spec: Path, capsys: Capture) -> None:
    from loadcell.cli import run

    with pytest.MonkeyPatch.context() as patch, engine("--ttft", "5ms", "--itl", "1ms") as target:
        once, url = run.run_once, target.url

        def dies(one: Any, folder: Path, *more: Any, **words: Any) -> Any:
            if folder.name == "003-B":
                from loadcell.spec import with_fields

                one = with_fields(one, {"endpoint.url": "http://127.0.0.1:9"})
            return once(one, folder, *more, **words)

        patch.setattr(run, "run_once", dies)
        junit = spec.parent / "check.xml"
        assert check(url, fast, spec, "--requests", "20", "--turn", "5", "--junit", junit) == 1
    err = capsys.readouterr().err
    assert "no answer: turn 3 of 8: B: " in err and "Connection refused" in err
    assert ElementTree.parse(junit).getroot().get("errors") == "1"


def test_a_server_that_is_not_there_is_named_before_anything_is_sent(fast: str, spec: Path, capsys: Capture) -> None:
    summary = spec.parent / "summary.md"
    assert check("http://127.0.0.1:9", fast, spec, "--summary", summary) == 1
    assert "B: cannot connect to http://127.0.0.1:9" in capsys.readouterr().err
    assert "no answer: B: cannot connect to" in summary.read_text()


@pytest.mark.timeout(240)
def test_one_run_against_one_run_is_no_answer_and_repeats_are(
    alone: None, fast: str, slow: str, spec: Path, capsys: Capture
) -> None:
    base = spec.parent / "base"
    words = ["run", fast, "--spec", spec, "--set", "load.duration_s=null", "--requests", "30", "--repeat", "3"]
    assert main([*map(str, words), "--output", str(base)]) in (0, 4)
    assert check(slow, base / "1", spec, "--requests", "30", "--json", gate=MEAN) == CODES["INCONCLUSIVE"] == 5
    told = json.loads(capsys.readouterr().out.partition("{\n")[2].join(["{\n", ""]))
    assert "single runs cannot see" in told["gates"][0]["says"] and told["needs_what"] == "runs"
    spec = spec.rename(spec.parent / "again.yaml")
    (spec.parent / "check").rename(spec.parent / "first")
    assert check(slow, base, spec, "--requests", "30", gate=MEAN) == CODES["FAIL"]
    assert len(list((spec.parent / "check").glob("[123]/recording.json"))) == 3


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--fail-if", "itl.p99>+5%"], "turns tell no ITL p99"),
        (["--fail-if", "ttft.p50>+0%"], "give it a margin"),
        (["--fail-if", "ttft.p98>+5%"], "there is no ttft.p98"),
        (["--fail-if", "slo_attainment.share<-1points"], "needs limits"),
        (["--repeats", "3"], "--repeats goes with a recorded BASE"),
        (["--requests", "0"], "write a number of requests"),
        (["--max-time", "soon"], "--max-time"),
        (["--junit", "nowhere/at/all.xml"], "name a file in a folder that is there"),
    ],
)
def test_wrong_usage_is_said_before_the_load(
    fast: str, spec: Path, more: list[str], says: str, capsys: Capture
) -> None:
    assert check(fast, fast, spec, *more) == 2
    assert says in capsys.readouterr().err
    assert not (spec.parent / "check").exists()


def test_a_gate_and_a_base_are_asked_for(fast: str, capsys: Capture) -> None:
    assert main(["check", fast, "--against", fast]) == 2
    assert "give a gate" in capsys.readouterr().err
    assert main(["check", fast, "--fail-if", "ttft.p50>+5%"]) == 2
    assert "--against" in capsys.readouterr().err
    assert main(["check", fast, "--against", "no/such/base", "--fail-if", "ttft.p50>+5%"]) == 2
    assert "recording, folder of repeats or saved result" in capsys.readouterr().err
