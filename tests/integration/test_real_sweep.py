"""Sweeps and watched series on a real engine, llama.cpp's server of four slots, whose counters are the second witness.

What is asserted holds at any speed: the search's limits are multiples of what one user alone gets on this machine.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from conftest import SLOTS
from real_run import Server

from loadcell.metrics import build_result
from loadcell.recording.read import open_recording
from loadcell.search.model import Sweep

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("alone")]

USERS = [1, 2 * SLOTS]
WORK = ("--api", "completions", "--input-tokens", "8", "--output-tokens", "4", "--shared-host")


def loadcell(*words: object, patience_s: float = 45) -> Sweep:
    """The Sweep that a command prints; one that takes longer is interrupted."""
    line = [sys.executable, "-m", "loadcell", *map(str, words), "--json", "--force"]
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    # On a busy machine a stage may be INVALID (4) and a search undecided (5).
    assert process.returncode in (0, 4, 5, 130), err.decode()
    sweep: Sweep = msgspec.json.decode(out, type=Sweep)
    return sweep


@pytest.fixture(scope="module")
def grid(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, Path]:
    """A stage of one user alone, and one of twice as many users as the server has slots."""
    folder = tmp_path_factory.mktemp("grid") / "sweep"
    users = ",".join(map(str, USERS))
    words = ("--concurrency", users, "--duration", "4s", "--warmup", "0.5s", "--no-keep-load", *WORK)
    return loadcell("sweep", server.url, *words, "--output", folder), folder


def test_what_the_server_told_agrees_with_what_the_run_counted(grid: tuple[Sweep, Path]) -> None:
    sweep, folder = grid
    assert [stage.ask.level for stage in sweep.stages] == USERS
    for stage in sweep.stages:
        recording = open_recording(folder / stage.folder)
        told = recording.series(["llamacpp:tokens_predicted_total"])["value"]
        received = recording.requests(("output_tokens",))["output_tokens"]
        assert told[-1] - told[0] == received.sum() == 4 * len(received) > 0
        assert stage.state == "complete" and stage.point and not stage.point.failed_share


def test_more_users_than_slots_are_seen_to_wait(grid: tuple[Sweep, Path]) -> None:
    sweep, folder = grid
    seen = [build_result(open_recording(folder / stage.folder)).observed for stage in sweep.stages]
    alone, crowd = (one.series if one else {} for one in seen)
    for series in (alone, crowd):
        assert {"requests_running", "requests_waiting", "output_tokens", "prompt_tokens", "cpu_share"} <= set(series)
        assert all(value is None or 0 <= value <= SLOTS for value in series["requests_running"].values)
    assert (alone["requests_running"].max, alone["requests_waiting"].max) == (1, 0)
    assert (crowd["requests_running"].max, crowd["requests_waiting"].max) == (SLOTS, USERS[1] - SLOTS)
    assert all(stage.point and stage.point.server["requests_running"] for stage in sweep.stages)


def test_a_search_ends_with_an_answer_that_is_shown_again(
    grid: tuple[Sweep, Path], server: Server, tmp_path: Path
) -> None:
    alone, crowd = (stage.point for stage in grid[0].stages)
    assert alone and alone.e2e_ms["p50"].value and crowd and crowd.requests_per_s
    alone_ms, carries = alone.e2e_ms["p50"].value, crowd.requests_per_s
    lowest, highest = float(f"{0.5 * carries:.3g}"), float(f"{2 * carries:.3g}")
    folder = tmp_path / "search"
    found = loadcell(
        "sweep", server.url, "--slo", f"e2e={6 * alone_ms:.0f}ms", "--attainment", "0.8", "--width", "50%",
        "--rate", f"{lowest}..{highest}", "--duration", f"{max(15.0, 0.25 * alone_ms):.0f}s", *WORK,
        "--output", folder,
    )  # fmt: skip
    answer, phases = found.found, [stage.ask.phase for stage in found.stages]
    assert answer and answer.says and phases[:2] == ["floor", "ramp"] and len(phases) > 3
    # A server whose machine is busy with other things now and then may hold no load, or any.
    assert answer.word in ("bracketed", "undecided", "unfinished", "none holds", "all hold"), answer
    for end in filter(None, (answer.low, answer.high)):
        assert lowest <= end.level <= highest and end.attainment.value is not None
        assert (end.attainment.value > 0.8) == (end is answer.low)
    if answer.word == "bracketed":
        assert answer.low and answer.high and answer.low.level < answer.high.level <= 1.501 * answer.low.level
        assert answer.binding == "e2e_ms" and answer.stable.low is not None
    again = loadcell("report", folder)
    assert again.found == answer and [stage.ask for stage in again.stages] == [stage.ask for stage in found.stages]
