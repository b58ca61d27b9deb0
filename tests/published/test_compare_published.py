"""`loadcell compare RUN --published`: figures, ratios, and everything that must be said beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from made import build, ok_request

from loadcell.cli.main import main
from loadcell.mlperf.model import Accuracy, Finding, Outcome, RunPlan, Score
from loadcell.mlperf.rules import find_rules
from loadcell.recording.read import dump_json
from loadcell.spec import Endpoint, Spec

Capture = pytest.CaptureFixture[str]


def recording(folder: Path, *, n: int = 200, gpus: int | None = None, invalid: list[str] | None = None) -> Path:
    """One user, requests of 10 tokens, one after another: 250 ms each."""
    rows = [ok_request(i, start_ms=i * 250.0) for i in range(n)]
    build(folder, rows, endpoint={"gpus": gpus} if gpus else {}, **({"invalid": invalid} if invalid else {}))
    return folder


def outcome_folder(
    folder: Path, *, headline: float | None = 17000.0, verdict: str = "VALID", quick: bool = False,
    look_alike: bool = False, gpus: int | None = 8, instrument: str = "VALID",
) -> Path:  # fmt: skip
    rules = find_rules("v5.1", "llama2-70b-99", "server")
    plan = RunPlan(
        loadcell="0.1.0", rules=rules, quick=quick, shortened=["128 samples of 24,576"] if quick else [], samples=24576,
        queries=270336, dataset="OpenOrca", dataset_sha256="0" * 64, look_alike=look_alike,
        spec=Spec(endpoint=Endpoint(url="http://h:1", model="m", gpus=gpus)),
    )  # fmt: skip
    nothing: dict[str, Any] = dict.fromkeys(Score.__struct_fields__)
    score = Score(**nothing | {
        "queries": 270336, "samples": 270336, "failed": 0, "early_stopping": [], "headline": headline,
        "headline_name": "completed tokens/s in LoadGen's window", "headline_unit": rules.unit,
    })  # fmt: skip
    findings = [Finding(rule="early_stopping_ttft", ok=verdict == "VALID", says="2,800 of 270,336 are late")]
    folder.mkdir()
    dump_json(folder / "outcome.json", Outcome(
        loadcell="0.1.0", plan=plan, state="complete", verdict=verdict, score=score, findings=findings,  # type: ignore[arg-type]
        instrument=instrument, instrument_reasons=[], started_at="2026-01-01T00:00:00+00:00",
    ))  # fmt: skip
    return folder


def accuracy(folder: Path, *, passed: bool) -> None:
    findings = [Finding(rule="ROUGE1", ok=passed, says="ROUGE1 12.0, needed 43.99")]
    dump_json(folder / "accuracy.json", Accuracy(
        loadcell="0.1.0", round="v5.1", benchmark="llama2-70b-99", scenario="server", look_alike=False, samples=24576,
        scored=24576, empty=0, missing=0, scores={"ROUGE1": 12.0}, passed=passed, findings=findings,
    ))  # fmt: skip


def compared(capsys: Capture, *words: Any, code: int = 0) -> dict[str, Any]:
    assert main(["compare", *map(str, words), "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def everything_said(tree: dict[str, Any]) -> str:
    return "\n".join([*tree["caveats"], *(caveat for one in tree["beside"] for caveat in one["caveats"])])


def test_a_recording_beside_published_rows(tmp_path: Path, capsys: Capture) -> None:
    path = recording(tmp_path / "run", gpus=2)
    tree = compared(capsys, path, "--published", "8xH200 llama2-70b server v5.1")
    measured, (beside,) = tree["measured"], tree["beside"]
    assert measured["verified"] is False and measured["kind"] == "recording" and measured["accelerators"] == 2
    value = beside["value"]
    assert value == pytest.approx(40, rel=0.02)  # 10 tokens in 250 ms
    assert beside["per_accelerator"]["value"] == pytest.approx(value / 2)
    assert len(beside["ratios"]) == len(beside["ranking"]["rows"]) == 10
    for ratio, place in zip(beside["ratios"], beside["ranking"]["rows"], strict=True):
        row = place["row"]
        assert row["benchmark"].startswith("llama2-70b") and row["accelerators"] == 8 and "H200" in row["accelerator"]
        assert ratio["total"]["value"] == pytest.approx(value / row["result"]) and ratio["total"]["derived"]
        assert ratio["per_accelerator"]["value"] == pytest.approx(value / 2 / (row["result"] / 8))
    words = everything_said(tree)
    for part in (
        "no MLPerf-style run", "software, precision and tuning differ", "2 accelerators measured, 8 published",
        "up to 1.4 times", "the p99 of TTFT", "the limit of the benchmark is 2,000 ms",
    ):  # fmt: skip
        assert part in words, part
    assert "is no MLPerf result" in tree["footnote"]


def test_limits_that_the_recording_breaks_are_said(tmp_path: Path, capsys: Capture) -> None:
    rows = [ok_request(i, start_ms=i * 2600.0, first_any_ns=i * 2_600_000_000 + 2_100_000_000,
                       first_answer_ns=i * 2_600_000_000 + 2_100_000_000, last_ns=i * 2_600_000_000 + 2_500_000_000,
                       end_ns=i * 2_600_000_000 + 2_600_000_000) for i in range(1200)]  # fmt: skip
    build(tmp_path / "late", rows)
    words = everything_said(compared(capsys, tmp_path / "late", "--published", "llama2-70b server v5.1"))
    assert "the p99 of TTFT is 2,100 ms; the limit of the benchmark is 2,000 ms (BEYOND it)" in words
    assert "(inside)" in words  # TPOT: 44 ms of 200


def test_without_a_number_of_accelerators_nothing_is_made_up(tmp_path: Path, capsys: Capture) -> None:
    path = recording(tmp_path / "run")
    tree = compared(capsys, path, "--published", "llama2-70b offline v5.1")
    assert tree["beside"][0]["per_accelerator"] is None
    assert all(ratio["per_accelerator"] is None for ratio in tree["beside"][0]["ratios"])
    assert "give --accelerators N" in everything_said(tree)
    given = compared(capsys, path, "--published", "llama2-70b offline v5.1", "--accelerators", "4")
    assert given["beside"][0]["per_accelerator"]["value"] == pytest.approx(tree["beside"][0]["value"] / 4)


def test_units_are_never_mixed(tmp_path: Path, capsys: Capture) -> None:
    path = recording(tmp_path / "run")
    queries = compared(capsys, path, "--published", "qwen server")["beside"][0]
    assert queries["ranking"]["unit"] == "queries/s" and queries["value"] == pytest.approx(4, rel=0.02)
    latency = compared(capsys, path, "--published", "8b-edge singlestream closed")["beside"][0]
    assert latency["ranking"]["lower_is_better"] and latency["value"] == pytest.approx(230, abs=1)
    assert latency["ratios"][0]["per_accelerator"] is None


def test_an_mlperf_style_run_that_is_like_the_published_ones(tmp_path: Path, capsys: Capture) -> None:
    folder = outcome_folder(tmp_path / "run")
    accuracy(folder, passed=True)
    tree = compared(capsys, folder, "--published", "8xH200 v5.1")  # benchmark and scenario are the run's own
    (beside,) = tree["beside"]
    assert beside["ranking"]["scenario"] == "server" and beside["ranking"]["benchmarks"] == ["llama2-70b-99"]
    assert beside["value"] == 17000 and beside["ratios"][0]["total"]["value"] == pytest.approx(17000 / 34193.8)
    assert tree["caveats"] == [tree["caveats"][-1]] and "software" in tree["caveats"][0] and beside["caveats"] == []


@pytest.mark.parametrize(
    ("changes", "passed", "says"),
    [
        ({"quick": True}, True, "a quick run, smaller than the rules ask (128 samples of 24,576): not comparable"),
        ({"look_alike": True}, True, "its data set is a look-alike"),
        ({"instrument": "SUSPECT"}, True, "by its own audit the measurement is SUSPECT"),
        ({}, None, "its accuracy was not measured"),
        ({}, False, "failed the accuracy gate, which every published closed result passed (ROUGE1 12.0, needed 43.99)"),
        ({"gpus": None}, True, "give --accelerators N"),
    ],
)
def test_what_an_mlperf_style_run_lacks_is_said(
    changes: dict[str, Any], passed: bool | None, says: str, tmp_path: Path, capsys: Capture
) -> None:
    folder = outcome_folder(tmp_path / "run", **changes)
    if passed is not None:
        accuracy(folder, passed=passed)
    tree = compared(capsys, folder, "--published", "8xH200 v5.1")
    assert says in everything_said(tree)
    assert tree["measured"]["comparable"] is not (changes.get("quick") or changes.get("look_alike") or False)


def test_another_round_benchmark_or_scenario_is_said(tmp_path: Path, capsys: Capture) -> None:
    folder = outcome_folder(tmp_path / "run")
    words = everything_said(compared(capsys, folder, "--published", "mixtral offline v6.0"))
    assert "another round: v5.1 measured, v6.0 published" in words
    assert "another benchmark: llama2-70b-99" in words and "another scenario: server" in words


def test_an_invalid_run_is_shown_and_exits_with_4(tmp_path: Path, capsys: Capture) -> None:
    folder = outcome_folder(tmp_path / "run", verdict="INVALID")
    tree = compared(capsys, folder, "--published", "8xH200 v5.1", code=4)
    assert (
        tree["caveats"][0] == "the measured run is INVALID: 2,800 of 270,336 are late" and tree["beside"][0]["ratios"]
    )
    bad = recording(tmp_path / "bad", invalid=["a worker died"])
    assert "the measured run is INVALID: a worker died" in everything_said(
        compared(capsys, bad, "--published", "llama2-70b server v5.1", code=4)
    )


def test_a_run_without_a_headline_has_no_ratio(tmp_path: Path, capsys: Capture) -> None:
    folder = outcome_folder(tmp_path / "run", headline=None)
    beside = compared(capsys, folder, "--published", "8xH200 v5.1")["beside"][0]
    assert beside["value"] is None and beside["ratios"][0] == {"total": None, "per_accelerator": None}
    assert "the run has no figure in tokens/s" in beside["caveats"][0]


@pytest.mark.parametrize("width", [80, 120])
def test_the_console_says_it_all(width: int, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    path = recording(tmp_path / "r", gpus=2)
    assert main(["compare", str(path), "--published", "8xH200 llama2-70b server"]) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= width for line in out.splitlines())
    words = " ".join(out.split())
    for part in (
        "(not verified by MLCommons)", "MLPerf\u00ae Inference v5.1, closed division", "derived, not an MLPerf metric",
        "5.1-0007", "34,193.8", "Keep in mind", "is no MLPerf result", "trademarks of MLCommons Association",
    ):  # fmt: skip
        assert part in words, part


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--published", "8xH200"], "name one benchmark"),
        (["--published", "llama offline"], "all match"),
        (["--published", "llama2-70b"], "name one scenario"),
        (["--published", "lama2-70b server"], "did you mean llama2-70b"),
        (["--published", "llama2-70b server", "--noise", "x"], "--noise is for runs against each other"),
        (["--published", "llama2-70b server", "--md"], "--md is for runs"),
        (["--published", "llama2-70b server", "--accelerators", "many"], "--accelerators 'many'"),
        (["second", "--published", "llama2-70b server"], "--published takes one run"),
        (["second", "--accelerators", "2"], "--accelerators goes with --published"),
    ],
)
def test_wrong_usage_is_said(words: list[str], says: str, tmp_path: Path, capsys: Capture) -> None:
    path = recording(tmp_path / "run", n=20)
    assert main(["compare", str(path), *words]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"), [(b"{", "outcome.json"), (b'{"format": 1}', "outcome.json"), (b"\xff", "outcome.json")]
)
def test_a_damaged_outcome_is_diagnosed(content: bytes, says: str, tmp_path: Path, capsys: Capture) -> None:
    folder = outcome_folder(tmp_path / "run")
    (folder / "outcome.json").write_bytes(content)
    assert main(["compare", str(folder), "--published", "8xH200"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("loadcell: ") and says in error


def test_what_is_no_run_at_all_is_diagnosed(tmp_path: Path, capsys: Capture) -> None:
    assert main(["compare", str(tmp_path / "none"), "--published", "llama2-70b server"]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert main(["compare", str(tmp_path), "--published", "llama2-70b server"]) == 1
    assert "no recording" in capsys.readouterr().err


def test_a_saved_result_will_do(tmp_path: Path, capsys: Capture) -> None:
    path = recording(tmp_path / "run")
    assert main(["report", str(path), "--json", "--force"]) == 0
    (tmp_path / "result.json").write_text(capsys.readouterr().out)
    there = compared(capsys, path, "--published", "llama2-70b server v5.1")
    here = compared(capsys, tmp_path / "result.json", "--published", "llama2-70b server v5.1")
    assert here["beside"] == there["beside"] and msgspec.json.encode(here["caveats"]) == msgspec.json.encode(
        there["caveats"]
    )
