"""`loadcell mlperf run` on the embedded engine: every scenario, what is refused, what is kept and gone on with.

A busy machine may spoil the client's own audit, so its verdict is never asserted, only everything else.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from small_engine import engine
from surroundings import forked_workers, one_tokenizer, plain_environment  # noqa: F401

from loadcell.cli.main import main
from loadcell.mlperf.judge import fails
from loadcell.mlperf.model import FOOTNOTE, UNVERIFIED, Outcome
from loadcell.recording.read import open_recording
from loadcell.report.mlperf import print_findings, print_outcome
from loadcell.workload.loadgen import server_traffic

pytestmark = pytest.mark.usefixtures("processes")

URL = "http://127.0.0.1:9"
BENCHMARK = ("--benchmark", "llama3.1-8b")
TINY = (
    "--look-alike", "--quick", "--no-html", "--shared-host", "--set", "workload.output_tokens=4",
    "--set", "loadgen.min_duration_s=500ms",
)  # fmt: skip
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with engine() as started:
        yield started


@pytest.fixture
def mlperf(capsys: pytest.CaptureFixture[str]) -> Command:
    """`loadcell mlperf run`: exit code, standard output, standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["mlperf", "run", *map(str, words)])
        return code, *capsys.readouterr()

    return run


def read(folder: Path) -> Outcome:
    """What was kept of the outcome, less what a busy machine does to it."""
    return msgspec.json.decode((folder / "outcome.json").read_bytes(), type=Outcome)


def failed(found: Outcome) -> list[str]:
    """Rules that failed, but for the audit of the client."""
    return [finding.rule for finding in found.findings if fails(finding) and finding.rule != "instrument"]


# --- scenarios -------------------------------------------------------------------------------------------------------

_LOADS = {
    "offline": ("--concurrency", "8"),
    "server": ("--target-qps", "600"),
    "interactive": ("--target-qps", "600"),
    "singlestream": (),
    "multistream": ("--set", "loadgen.min_queries=40"),
}
FEW = ("--set", "loadgen.min_queries=50")
"""Where nothing is to be proved."""
SECRET = ("--header", "x-key=secret-value")


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("scenario", _LOADS)
def test_every_scenario_from_end_to_end(scenario: str, url: str, mlperf: Command, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    code, out, err = mlperf(url, *BENCHMARK, "--scenario", scenario, *TINY, *_LOADS[scenario], "--output", folder)
    found = read(folder)
    unproved = ["early-stopping-latency"] if scenario == "multistream" else []  # it would take 662 queries of 8
    assert failed(found) == unproved and code in (0, 4) and (code == 0) == (found.verdict == "VALID")
    assert found.score.failed == 0 and (found.score.headline or unproved) and found.plan.quick and found.plan.look_alike
    assert f"MLPerf-style llama3.1-8b {scenario}, v6.1 - {UNVERIFIED}" in _flat(out)
    assert FOOTNOTE in _flat(out) and "(quick, look-alike samples: not comparable)" in out
    assert f"loadcell mlperf check {folder}" in out and f"loadcell mlperf export {folder}" in out
    assert "smaller than the rules ask" in err and "4 output tokens at most instead of 128" in err
    assert f"{scenario} sends" not in err and "about" in err  # the ETA stands before the run
    recording = open_recording(folder / "performance")
    lines = recording.schedule(("prompt",))["prompt"][: found.score.samples]
    assert set(lines.tolist()) == set(range(found.plan.samples))
    assert recording.spec.endpoint.extra_body == {"temperature": 0}
    sent = (folder / "prompts.jsonl").read_text().splitlines()
    assert len(sent) == found.plan.samples and all(json.loads(line)["max_tokens"] == 4 for line in sent)
    if scenario in ("offline", "server", "interactive"):
        assert "LoadGen's window" in out and "full run" in out
    if scenario in ("offline", "singlestream", "multistream"):
        assert (folder / "probe" / "recording.json").exists()


def _flat(text: str) -> str:
    """Without the line breaks of a console."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def kept(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole server run with a page and a secret."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    tiny = [word for word in TINY if word != "--no-html"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main(["mlperf", "run", url, *BENCHMARK, "--scenario", "server", *tiny, "--target-qps", "600", *SECRET,
              "--output", str(folder)])  # fmt: skip
    return folder


def test_what_is_sent_when_is_loadgens(kept: Path) -> None:
    plan, sent = read(kept).plan, open_recording(kept / "performance").schedule(("planned_ns", "prompt"))
    rules = plan.rules
    traffic = server_traffic(rules.seeds, plan.samples, 600, min_queries=rules.min_queries, min_duration_s=0.5)
    assert traffic.scheduled_ns is not None and sent["planned_ns"].tolist() == traffic.scheduled_ns.tolist()
    assert sent["prompt"].tolist() == traffic.samples.tolist() and plan.queries == len(traffic.samples)


def test_resuming_a_whole_run_shows_it_again(url: str, mlperf: Command, kept: Path) -> None:
    recorded = (kept / "performance" / "recording.json").read_bytes()
    words = (url, *BENCHMARK, "--scenario", "server", *TINY, *SECRET, "--output", kept, "--json", "--target-qps")
    for again in ((kept, "--resume", *SECRET, "--json"), (*words, "600", "--resume")):
        code, out, _ = mlperf(*again)
        found = msgspec.json.decode(out, type=Outcome)
        assert found == read(kept) and found.verified is False and found.footnote == FOOTNOTE
        assert code == (0 if found.verdict == "VALID" else 4)
    assert (kept / "performance" / "recording.json").read_bytes() == recorded
    code, _, err = mlperf(*words, "500", "--resume")
    assert code == 2 and "target_qps 600 -> 500" in err
    code, _, err = mlperf(kept, "--resume", *SECRET, "--timeout", "7s")
    assert code == 2 and "load.timeout_s" in err and "cannot change" in err
    code, _, err = mlperf(*words, "600")
    assert code == 1 and "--resume" in err


def test_a_run_can_be_moved(mlperf: Command, kept: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(kept, tmp_path / "moved")
    assert msgspec.json.decode(mlperf(moved, "--resume", *SECRET, "--json")[1], type=Outcome).score == read(kept).score
    (moved / "prompts.jsonl").unlink()
    code, _, err = mlperf(moved, "--resume", *SECRET)
    assert code == 1 and "has lost its prompts.jsonl" in err


def test_the_pages_of_the_run_and_of_its_recording_are_left(kept: Path) -> None:
    assert "<html" in (kept / "performance" / "report.html").read_text()
    page = (kept / "report.html").read_text()
    for words in (UNVERIFIED, FOOTNOTE, read(kept).verdict, "LoadGen&#39;s window", "Early stop", "limit p99"):
        assert words in page


def test_secrets_are_asked_for_again(mlperf: Command, kept: Path) -> None:
    assert not [path for path in kept.rglob("*.json") if "secret-value" in path.read_text()]
    code, _, err = mlperf(kept, "--resume")
    assert code == 2 and "--header x-key=VALUE" in err


@pytest.mark.usefixtures("alone")
def test_an_offline_run_that_was_too_short_is_run_again(url: str, mlperf: Command, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    _, out, err = mlperf(url, *BENCHMARK, "--scenario", "offline", *TINY, "--concurrency", "8", "--expected-qps", "10",
                         "--output", folder)  # fmt: skip
    found = read(folder)
    assert failed(found) == [] and found.plan.history and (folder / "performance.cut-1").is_dir()
    assert "less than the 0.5 s that the rule asks for; once more" in err and "Before" in out
    assert (found.score.end_ns or 0) >= 0.5e9


@pytest.mark.usefixtures("alone")
def test_a_server_that_misses_the_limits_is_invalid_and_says_what_to_change(mlperf: Command, tmp_path: Path) -> None:
    with engine("--ttft", "2ms", "--itl", "40ms", "--slots", "256") as slow:
        code, out, _ = mlperf(slow, *BENCHMARK, "--scenario", "interactive", *TINY, *FEW, "--target-qps", "300",
                              "--output", tmp_path / "run")  # fmt: skip
    found = read(tmp_path / "run")
    assert code == 4 and found.verdict == "INVALID"
    assert {"tpot-limit", "early-stopping-tpot"} <= set(failed(found)) and "ttft-limit" not in failed(found)
    lines = out.splitlines()
    assert lines[0].strip().startswith("INVALID") and "--target-qps" in out
    assert next(i for i, line in enumerate(lines) if "tpot-limit" in line) < next(
        i for i, line in enumerate(lines) if line.strip().startswith("Score")
    )


@pytest.mark.usefixtures("alone")
def test_find_peak_runs_at_the_rate_that_was_found_and_steps_down(
    mlperf: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search says too much: by the rules the rate does not hold."""
    monkeypatch.setattr("loadcell.mlperf.peak.find_peak", lambda *_, **__: (300.0, "peak search: holds at 300"))
    folder = tmp_path / "run"
    with engine("--ttft", "2ms", "--itl", "40ms", "--slots", "256") as slow:
        code, out, err = mlperf(slow, *BENCHMARK, "--scenario", "interactive", *TINY, *FEW, "--find-peak",
                                "--output", folder)  # fmt: skip
    found = read(folder)
    assert code == 4 and found.plan.target_qps == 276.5 and len(found.plan.history) == 3
    assert err.count("once more") == 2 and "peak search: holds at 300" in err and "Before" in out
    assert (folder / "performance.cut-2").is_dir() and json.loads((folder / "mlperf.json").read_text())["find_peak"]


@pytest.mark.usefixtures("alone")
def test_the_search_itself_on_an_engine(
    url: str, mlperf: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within bounds that the engine holds with ease; on a busy machine short stages may not tell."""
    monkeypatch.setattr("loadcell.mlperf.peak._LONGEST_STAGE_S", 1.5)
    folder = tmp_path / "run"
    code, _, err = mlperf(url, *BENCHMARK, "--scenario", "server", *TINY, *FEW, "--find-peak", "500..540",
                          "--output", folder)  # fmt: skip
    sweep = json.loads((folder / "peak" / "sweep.json").read_text())
    assert (sweep["lowest"], sweep["highest"], sweep["spec"]["slo"]["ttft_ms"]) == (500, 540, 2000)
    assert sweep["spec"]["workload"]["prompts"] == str(folder / "prompts.jsonl")
    if code == 1:
        assert "no rate was found" in err and "--target-qps" in err
        return
    found = read(folder)
    assert code in (0, 4) and "peak search: holds at" in err and found.score.samples >= 50
    assert 470 <= (found.plan.target_qps or 0) <= 540  # a busy machine may cost a step down


def test_the_accuracy_pass_after_it(url: str, mlperf: Command, tmp_path: Path) -> None:
    """Words of an engine are no summaries: the gate fails, and the exit code says so."""
    folder = tmp_path / "run"
    code, out, _ = mlperf(url, *BENCHMARK, "--scenario", "offline", *TINY, "--concurrency", "8", "--accuracy", "--json",
                          "--output", folder)  # fmt: skip
    tree = json.loads(out)
    assert code == 4 and tree["accuracy"]["passed"] is False and tree["accuracy"]["scored"] == tree["plan"]["samples"]
    assert (folder / "accuracy" / "recording.json").exists() and (folder / "accuracy.json").exists()


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), ["name the endpoint"]),
        ((URL,), ["say which --benchmark"]),
        ((URL, *BENCHMARK), ["say which --scenario"]),
        ((URL, "--benchmark", "llama3-8b", "--scenario", "server"), ["llama3.1-8b", "deepseek-r1"]),
        ((URL, *BENCHMARK, "--scenario", "sever"), ["server", "offline"]),
        ((URL, *BENCHMARK, "--scenario", "server", "--round", "v9"), ["v6.1"]),
        ((URL, "--benchmark", "gpt-oss-120b", "--scenario", "server", "--round", "v5.1"), ["v6.0"]),
        ((URL, *BENCHMARK, "--scenario", "server"), ["--target-qps 12", "--find-peak"]),
        ((URL, *BENCHMARK, "--scenario", "server", "--target-qps", "x"), ["--target-qps 'x'"]),
        ((URL, *BENCHMARK, "--scenario", "server", "--target-qps", "-3"), ["above 0"]),
        ((URL, *BENCHMARK, "--scenario", "server", "--target-qps", "1", "--find-peak"), ["not allowed with"]),
        ((URL, *BENCHMARK, "--scenario", "server", "--find-peak", "12"), ["1..40"]),
        ((URL, *BENCHMARK, "--scenario", "offline", "--find-peak"), ["no rate to find"]),
        ((URL, *BENCHMARK, "--scenario", "offline", "--samples", "0"), ["--samples"]),
        ((URL, *BENCHMARK, "--scenario", "offline", "--longest", "soon"), ["'soon'"]),
        ((URL, *BENCHMARK, "--scenario", "offline", "--slo", "chat"), ["unknown flag --slo"]),
        ((URL, *BENCHMARK, "--scenario", "offline", "--set", "load.rate=4"), ["load.rate"]),
        ((URL, *BENCHMARK, "--scenario", "offline", "--rate", "4"), ["--rate"]),
        ((URL, *BENCHMARK, "--scenario", "offline", "--api", "embeddings"),
         ["benchmarks here generate text", "--api chat or completions"]),
        ((URL, *BENCHMARK, "--scenario", "offline", "--resume"), ["--resume", "mlperf/TIME"]),
        (("no/such/run", "--resume"), ["no/such/run", "there is no folder of an MLPerf-style run"]),
        ((URL, "--benchmark", "whisper", "--scenario", "offline"), ["whisper", "cannot send"]),
        ((URL, *BENCHMARK, "--scenario", "offline", "--dataset", "no/such.json"), ["no/such.json"]),
        ((URL, "--benchmark", "llama2-70b-99", "--round", "v6.0", "--scenario", "server", "--target-qps", "0.001",
          "--look-alike"), ["whole passes", "--longest"]),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_words(mlperf: Command, words: tuple[str, ...], said: list[str]) -> None:
    code, out, err = mlperf(*words)
    assert (code, out) == (2, "") and "loadcell: " in err and "Traceback" not in err
    assert [word for word in said if word not in err] == []


def test_a_missing_data_set_says_what_goes_where(
    mlperf: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("loadcell.mlperf.datasets._from_hub", lambda *_: (None, ""))
    code, _, err = mlperf(URL, *BENCHMARK, "--scenario", "offline", "--output", tmp_path / "run")
    assert code == 2 and "13,368 samples" in err and str(tmp_path / "loadcell" / "mlperf" / "llama3.1-8b") in err
    assert "--dataset PATH" in err and "--look-alike" in err and not (tmp_path / "run").exists()


def test_folders_that_are_no_target(mlperf: Command, tmp_path: Path) -> None:
    assert "no folder of an MLPerf-style run" in mlperf(tmp_path, "--resume")[2]
    (tmp_path / "mlperf.json").write_text("{}")
    assert f"loadcell mlperf run {tmp_path} --resume" in mlperf(tmp_path)[2]
    assert "leave out --quick" in mlperf(tmp_path, "--resume", "--quick")[2]
    code, _, err = mlperf(tmp_path, "--resume")
    assert code == 1 and "mlperf.json is damaged" in err
    (tmp_path / "mlperf.json").write_text('{"format": 99, "loadcell": "9.9"}')
    code, _, err = mlperf(tmp_path, "--resume")
    assert code == 1 and "upgrade loadcell" in err


@pytest.mark.parametrize("scenario", ["offline", "server"])
def test_a_server_that_is_not_there_leaves_nothing(
    scenario: str, mlperf: Command, tmp_path: Path, no_waiting: None
) -> None:
    code, out, err = mlperf("http://127.0.0.1:1", *BENCHMARK, "--scenario", scenario, *TINY,
                            *(("--target-qps", "600") if scenario == "server" else ()),
                            "--output", tmp_path / "a" / "run")  # fmt: skip
    assert (code, out) == (1, "") and "cannot connect" in err and list(tmp_path.iterdir()) == []


def test_a_server_that_refuses_everything_is_no_success(mlperf: Command, tmp_path: Path) -> None:
    with engine("--error-rate", "1") as broken:
        code, _, err = mlperf(broken, *BENCHMARK, "--scenario", "offline", *TINY, "--output", tmp_path / "probe")
        assert code == 1 and "no request of the probe" in err
        code, out, _ = mlperf(broken, *BENCHMARK, "--scenario", "server", *TINY, "--target-qps", "600",
                              "--output", tmp_path / "run")  # fmt: skip
    assert code == 1 and "errors" in failed(read(tmp_path / "run")) and "Traceback" not in out


# --- interruptions ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("alone")
def test_ctrl_c_keeps_what_there_is_and_says_how_to_go_on(url: str, mlperf: Command, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = [*BENCHMARK, "--scenario", "server", *TINY[:-1], "loadgen.min_duration_s=2s", "--target-qps", "240"]
    process = subprocess.Popen(
        [sys.executable, "-m", "loadcell", "mlperf", "run", url, *words, "--output", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not list((folder / "performance").glob("recording.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.8)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert f"to go on: loadcell mlperf run {folder} --resume" in err and "INTERRUPTED" in out
    assert "complete" in failed(read(folder))
    code, out, _ = mlperf(folder, "--resume", "--no-html")
    assert code in (0, 4) and failed(read(folder)) == [] and "INTERRUPTED" not in out
    assert (folder / "performance.cut-1").is_dir()


# --- the view --------------------------------------------------------------------------------------------------------


def test_the_view_fits_its_terminal(kept: Path) -> None:
    found = read(kept)
    for width in (80, 120):
        out = io.StringIO()
        print_outcome(found, Console(width=width, file=out))
        assert max(map(len, out.getvalue().splitlines())) <= width
        for words in ("TTFT", "TPOT", "< 2,000", "< 100", "limit p99", "Early stop", "unverified", "Held"):
            assert words in out.getvalue()
    out = io.StringIO()
    print_findings(found.findings, Console(width=80, file=out))
    assert "early-stopping-ttft" in out.getvalue()
