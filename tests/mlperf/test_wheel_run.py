"""`loadcell mlperf loadgen`: the genuine LoadGen drives our client against the embedded engine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_engine import FAST, engine

from loadcell.cli.main import main
from loadcell.errors import UsageError
from loadcell.mlperf.files.accuracy_log import read_accuracy_log
from loadcell.mlperf.files.loadgen_logs import Detail, read_detail
from loadcell.mlperf.wheel import run as wheel_run
from loadcell.workload import load_tokenizer

pytestmark = pytest.mark.usefixtures("alone")

pytest.importorskip("mlperf_loadgen", reason="no wheel of mlcommons-loadgen for this platform")

BENCHMARK = ("--benchmark", "llama3.1-8b", "--look-alike", "--quick")
SMALL = ("--set", "workload.output_tokens=4", "--set", "loadgen.min_duration_s=0.2")
SERVER = ("--scenario", "server", "--target-qps", "1000")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with engine() as base:
        yield base


def words_for(url: str, folder: Path, *words: str) -> list[str]:
    return ["mlperf", "loadgen", url, *BENCHMARK, *SMALL, *words, "--output", str(folder)]


def drive(url: str, folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """The exit code of the command and what it left in loadcell.json."""
    code = main(words_for(url, folder, *words))
    return code, json.loads((folder / "loadcell.json").read_bytes())


def ended(told: dict[str, Any], rule: str) -> bool | None:
    (ok,) = (finding["ok"] for finding in told["findings"] if finding["rule"] == rule)
    return ok  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("server", ("--target-qps", "1000")),
        ("interactive", ("--target-qps", "1000")),
        ("offline", ("--expected-qps", "3000", "--set", "loadgen.min_duration_s=0.05")),
        ("singlestream", ("--expected-qps", "250")),
        ("multistream", ("--expected-qps", "150", "--set", "loadgen.min_queries=30")),
    ],
)
def test_every_scenario(
    scenario: str, words: tuple[str, ...], url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = drive(url, tmp_path / "run", "--scenario", scenario, *words)
    detail = read_detail(tmp_path / "run" / "mlperf_log_detail.txt")
    assert not detail.errors and not detail.problems
    assert told["state"] == "complete" and told["failures"] == {}
    assert ended(told, "sample-order") and ended(told, "failed-requests") and ended(told, "num-errors")
    valid = detail.text("result_validity") == "VALID"
    assert valid or scenario != "server"  # others ask for more time, more queries or a quieter machine
    assert (code, told["verdict"]) == ((0, "VALID") if valid else (4, "INVALID"))
    assert told["loadgen"] == wheel_run.wheel_version()
    _agree(told["score"], detail, scenario)
    shown = " ".join(capsys.readouterr().out.split())
    assert "not verified by MLCommons" in shown and told["footnote"] in shown and told["verified"] is False
    assert not (tmp_path / "run" / "mlperf.json").exists()  # it is no run of ours


def _agree(score: dict[str, Any], detail: Detail, scenario: str) -> None:
    """The same run at the sockets and in LoadGen's log: the latter's latencies are longer, by little."""
    theirs, ours = detail.integer("result_50.00_percentile_latency_ns"), score["latency"]["percentiles_ns"]["50.00"]
    assert theirs is not None
    assert ours <= theirs < ours + 200_000_000
    if scenario in ("server", "interactive"):
        assert score["tokens"] == 4 * score["samples"] == 4 * (detail.integer("result_query_count") or 0)
        rate = detail.number("result_completed_tokens_per_second")
        assert rate == pytest.approx(score["tokens_per_s_loadgen"], rel=0.2)
        first = detail.integer("result_first_token_50.00_percentile_latency_ns")
        assert first is not None and score["ttft"]["percentiles_ns"]["50.00"] <= first
    if scenario == "offline":
        assert score["samples"] == detail.integer("generated_samples_per_query")
        assert detail.number("result_tokens_per_second") == pytest.approx(score["headline"], rel=0.5)


@pytest.mark.parametrize("scenario", ["server", "offline"])
def test_accuracy_mode_logs_every_reply_once(scenario: str, url: str, tmp_path: Path) -> None:
    words = ("--target-qps", "1000") if scenario == "server" else ()
    code, told = drive(url, tmp_path / "run", "--scenario", scenario, "--accuracy", *words)
    assert (code, told["verdict"], told["mode"], told["score"]) == (0, "VALID", "accuracy", None)
    log = read_accuracy_log(tmp_path / "run" / "mlperf_log_accuracy.json")
    assert not log.problems
    assert sorted(reply.sample for reply in log.replies) == list(range(told["plan"]["samples"]))
    assert told["id_sources"] == {"tokenizer": len(log.replies)}
    backend = load_tokenizer(told["tokenizer"]).backend
    for reply in log.replies:
        assert reply.tokens == 4  # as the engine counts, which calls a word a token
        assert len(backend.decode(reply.token_ids()).split()) == 4


def test_failures_make_it_invalid_though_loadgen_calls_it_valid(tmp_path: Path) -> None:
    with engine(*FAST, "--error-rate", "0.1", "--cut-rate", "0.1") as url:
        code, told = drive(url, tmp_path / "run", *SERVER)
    assert (code, told["verdict"], told["state"]) == (4, "INVALID", "complete")
    assert set(told["failures"]) == {"http_500", "cut"}
    assert told["score"]["failed"] == sum(told["failures"].values())
    assert not ended(told, "failed-requests") and not ended(told, "num-errors") and ended(told, "result-validity")
    detail = read_detail(tmp_path / "run" / "mlperf_log_detail.txt")
    assert detail.integer("result_query_count") == told["score"]["samples"]  # it takes them for replies


def test_a_server_that_refuses_everything_is_given_up(tmp_path: Path) -> None:
    with engine(*FAST, "--error-rate", "1") as url:
        code, told = drive(url, tmp_path / "run", "--scenario", "singlestream", "--expected-qps", "250")
    assert (code, told["state"], told["verdict"]) == (1, "gave-up", "INVALID")
    assert "100 requests in a row failed" in told["findings"][0]["says"]


def test_ctrl_c_ends_it(url: str, tmp_path: Path) -> None:
    words = words_for(url, tmp_path / "run", *SERVER, "--set", "loadgen.min_duration_s=30")
    with subprocess.Popen(
        [sys.executable, "-m", "loadcell", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            log = tmp_path / "run" / "mlperf_log_detail.txt"
            limit_s = time.monotonic() + 20
            while not log.exists() and time.monotonic() < limit_s:
                time.sleep(0.05)
            children = subprocess.run(
                ["ps", "-o", "pid=", "--ppid", str(process.pid)], check=True, capture_output=True, text=True
            ).stdout.split()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == 130 and "interrupted" in errors and "Traceback" not in errors
    assert json.loads((tmp_path / "run" / "loadcell.json").read_bytes())["state"] == "interrupted"
    assert children and not any(Path(f"/proc/{child}").exists() for child in children)


def test_a_crash_is_told(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = "import os, sys; sys.stdin.read(); os.kill(os.getpid(), 11)"
    monkeypatch.setattr(wheel_run, "COMMAND", (sys.executable, "-c", crash))
    code, told = drive(url, tmp_path / "run", *SERVER)
    assert (code, told["state"], told["verdict"], told["score"]) == (1, "died", "INVALID", None)
    assert "signal 11 (SIGSEGV)" in told["findings"][0]["says"]


# --- what cannot be -----------------------------------------------------------------------------------------------


def test_without_the_wheel_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'loadcell\[loadgen\]'"):
        wheel_run.wheel_version()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--scenario", "server"), "--target-qps"),
        (("--scenario", "sideways"), "multistream"),
        ((*SERVER, "--no-stream"), "leave out --no-stream"),
        ((*SERVER, "--samples", "none"), "--samples"),
        ((*SERVER, "--slo", "chat"), "--slo"),
        (("--target-qps", "1"), "--scenario"),
        ((*SERVER, "--resume"), "unknown flag --resume"),
    ],
)
def test_wrong_usage(
    words: tuple[str, ...], says: str, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words_for(url, tmp_path / "run", *words)) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_no_server_is_told_and_leaves_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], no_waiting: None
) -> None:
    assert main(words_for("http://127.0.0.1:9", tmp_path / "run", *SERVER)) == 1
    assert "cannot connect" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
