"""`loadcell check` from pilot to answer, over turns that are made instead of measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import MS, build, ok_request

from loadcell.cli import check as command
from loadcell.cli.main import main
from loadcell.compare import needed
from loadcell.compare.duel import DuelPlan, turns_of
from loadcell.recording.read import dump_json
from loadcell.spec import build_spec

pytestmark = pytest.mark.usefixtures("thorough")
Capture = pytest.CaptureFixture[str]
URLS = {"A": "http://127.0.0.1:1", "B": "http://127.0.0.1:2"}


def made_turns(plan: DuelPlan, folder: Path, slower: float, seed: int) -> None:
    """Turns of one user: TTFT lognormal round 50 ms, sigma 0.1, of which the pair has half in common."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((plan.couples, plan.turn))
    for turn in turns_of(plan, folder):
        rows, at = [], 0.0
        for i in range(plan.turn):
            ttft = 50 * np.exp(0.1 * (common[turn.couple, i] + rng.standard_normal()) / np.sqrt(2))
            first = at + ttft * (slower if turn.side == "B" else 1)
            stamps = {"first_any_ns": first, "first_answer_ns": first, "last_ns": first + 20, "end_ns": first + 21}
            rows.append(ok_request(i, start_ms=at, tokens=3, **{name: round(ms * MS) for name, ms in stamps.items()}))
            at = first + 21
        build(turn.folder, rows, id=f"{seed}-{turn.folder.name}", endpoint={"url": URLS[turn.side]})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is asked of the two ends, which are `slower` times apart; both tell a model."""
    said: dict[str, Any] = {"slower": 1.0, "duels": {}}

    def duel(specs: dict[str, Any], models: list[str], turn: int, couples: int, folder: Path) -> None:
        folder.mkdir()
        said["duels"][folder.name] = (turn, couples, specs["A"].run.seed, specs["A"].load.requests)
        one, other = (build_spec({"endpoint": {"url": url}}) for url in URLS.values())
        plan = DuelPlan(a=one, b=other, turn=turn, couples=couples, models=models)
        dump_json(folder / "duel.json", plan)
        made_turns(plan, folder, said["slower"], len(said["duels"]))

    monkeypatch.setattr(command, "_duel", duel)
    monkeypatch.setattr(command, "models_of", lambda specs: ["m", "m"])
    monkeypatch.setattr(needed, "PILOT_COUPLES", (8, 8))
    monkeypatch.setattr(needed, "COUPLES", (10, 10))
    monkeypatch.setattr(needed, "_PILOT_REQUESTS", 64)
    monkeypatch.delenv(command.SUMMARY, raising=False)
    return said


def check(tmp_path: Path, *more: str, gate: str = "ttft.p50>+5%") -> int:
    spec = tmp_path / "spec.yaml"
    spec.write_text("load: {concurrency: 1, requests: 10}\nrun: {seed: 5}\n")
    words = ["check", URLS["B"], "--spec", str(spec), "--against", URLS["A"], "--fail-if", gate, "--json"]
    return main([*words, *more, "--output", str(tmp_path / "check")])


def test_the_number_follows_from_a_pilot_and_is_said_before(
    asked: dict[str, Any], tmp_path: Path, capsys: Capture
) -> None:
    """The requests of the spec give way to it, and other requests are sent than the pilot's."""
    code = check(tmp_path)
    out, err = capsys.readouterr()
    told = json.loads(out)
    (turn, couples, seed, requests), (pilot_turn, pilot_couples, pilot_seed, _) = (
        asked["duels"][name] for name in ("duel", "pilot")
    )
    assert (pilot_turn, pilot_couples, pilot_seed, requests) == (8, 8, 5, None) and seed == 5 + 8
    assert "pilot: 64 requests a side in 16 turns" in err
    assert f"plan: {told['announced']:,} requests a side give an answer in 19 of 20 checks; about " in err
    assert turn * couples >= told["announced"] > 64
    assert (code, told["word"]) == (0, "PASS")


def test_a_difference_that_a_pilot_shows_is_all(asked: dict[str, Any], tmp_path: Path, capsys: Capture) -> None:
    asked["slower"] = 20.0
    assert check(tmp_path) == 6
    assert list(asked["duels"]) == ["pilot"] and "plan:" not in capsys.readouterr().err


def test_fewer_requests_than_are_needed_are_said_to_be_few(
    asked: dict[str, Any], tmp_path: Path, capsys: Capture
) -> None:
    asked["slower"] = 1.10
    assert check(tmp_path, "--requests", "100") == 5
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert "--requests 100 allows 100" in err and "which tell a large difference only" in err
    assert told["word"] == "INCONCLUSIVE" and told["needs"] > 100 and told["needs_what"] == "requests"


def test_a_limit_of_time_is_kept(asked: dict[str, Any], tmp_path: Path, capsys: Capture) -> None:
    check(tmp_path, "--max-time", "1ms")
    turn, couples, *_ = asked["duels"]["duel"]
    assert (turn, couples) == (5, 2) and "--max-time 1ms allows 10" in capsys.readouterr().err


def test_a_summary_that_cannot_be_written_changes_no_answer(
    asked: dict[str, Any], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner names the file: it may be gone, and the load has been."""
    monkeypatch.setenv(command.SUMMARY, str(tmp_path / "gone" / "summary.md"))
    asked["slower"] = 20.0
    assert check(tmp_path) == 6
    assert "the summary could not be written" in capsys.readouterr().err
