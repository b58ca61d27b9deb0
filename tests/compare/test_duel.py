"""A duel: its turns, its arithmetic, how often it is wrong, and two real engines."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from duel import simulated
from made import MS, build, failed_request, ok_request
from scipy.stats import binom
from surroundings import forked_workers, one_tokenizer, plain_environment  # noqa: F401

from loadcell.cli.main import main
from loadcell.compare.duel import DuelPlan, couples_of, ordered_blocks, turn_length, turns_of
from loadcell.recording.read import dump_json
from loadcell.selftest.witness import engine
from loadcell.spec import build_spec

pytestmark = pytest.mark.usefixtures("thorough")

Capture = pytest.CaptureFixture[str]


# --- how often it is wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", [30, 100, 1000])
def test_a_slowdown_of_one_percent_is_found_and_none_is_not(over: int) -> None:
    """300 requests a side, lognormal lengths, pace with sd 3 %. The bar is 57 and 7 of 60; more duels judge it well."""
    rng = np.random.default_rng(over)
    found = [simulated(rng, 0.01, over) for _ in range(300)].count("worse")
    wrong = 600 - [simulated(rng, 0.0, over) for _ in range(600)].count("none")
    assert found >= 300 * 57 / 60 and wrong <= 600 * 7 / 60, (found, wrong)
    assert wrong <= binom.ppf(0.999, 600, 0.05)  # what 5 % promise


def test_turns_that_are_long_against_the_drift_find_less() -> None:
    """Why turns are short: with 50 requests a turn the same slowdown drowns in a pace that wanders over 100."""
    rng = np.random.default_rng(1)
    assert [simulated(rng, 0.01, 100, turn=50) for _ in range(60)].count("worse") < 30


# --- its plan --------------------------------------------------------------------------------------------------------


def test_the_order_is_a_b_b_a(tmp_path: Path) -> None:
    spec = build_spec({"endpoint": {"url": "http://h:1"}})
    plan = DuelPlan(a=spec, b=spec, turn=5, couples=4, models=["m", "m"])
    turns = list(turns_of(plan, tmp_path))
    assert "".join(turn.side for turn in turns) == "ABBAABBA"
    assert [turn.couple for turn in turns] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert turns[2].folder == tmp_path / "003-B"


def test_turns_are_long_against_ramps_and_many_enough() -> None:
    assert (turn_length(1, None), turn_length(16, None), turn_length(None, 20.0), turn_length(None, 0.1)) == (
        5,
        80,
        100,
        5,
    )
    assert (turn_length(3, None, 3.0), turn_length(2, None, 2.5), turn_length(None, 2.0, 4.0)) == (45, 25, 40)
    assert (couples_of(None, 5), couples_of(None, 80), couples_of(100, 30), couples_of(1, 5)) == (60, 12, 4, 2)


def test_blocks_hold_an_a_b_b_a_each_even_with_gaps() -> None:
    assert ordered_blocks([0, 1, 2, 3]).tolist() == [0, 0, 1, 1]
    assert ordered_blocks([0, 3, 4, 5, 8]).tolist() == [0, 1, 2, 2, 3]
    assert ordered_blocks(range(400)).max() == 59


# --- recorded turns --------------------------------------------------------------------------------------------------


def a_duel(
    folder: Path,
    *,
    couples: int = 12,
    turn: int = 8,
    slower: float = 1.02,
    seed: int = 1,
    cut: int = 0,
    api: str = "chat",
    slow: int | None = None,
    **b_more: Any,
) -> Path:
    """A recorded duel of one user: lognormal lengths, a pace that drifts by 20 % meanwhile, one failure in the first
    turn. `cut` turns at the end are missing. The request `slow` of each is read slowly, B's the more."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    urls = {"A": "http://127.0.0.1:1", "B": "http://127.0.0.1:2"}
    specs = [build_spec({"endpoint": {"url": url, "api": api}}) for url in urls.values()]
    plan = DuelPlan(a=specs[0], b=specs[1], turn=turn, couples=couples, models=["m", "m"])
    dump_json(folder / "duel.json", plan)
    lengths = np.maximum(rng.lognormal(np.log(40), 1, (couples, turn)).astype(int), 2)
    turns = list(turns_of(plan, folder))
    for number, one in enumerate(turns[: len(turns) - cut]):
        step = 5 * (1 + 0.2 * number / len(turns)) * (slower if one.side == "B" else 1)
        rows, at = [], 0.0
        for i, length in enumerate(lengths[one.couple].tolist()):
            if number == 0 and i == 3:
                rows.append(failed_request(i, "timeout", start_ms=at, asked_tokens=length))
                at += 10
                continue
            first = at + 20 * np.exp(0.02 * rng.standard_normal())
            if i == slow:
                step *= 30 if one.side == "B" else 10
            last = first + (length - 1) * step * np.exp(0.005 * rng.standard_normal())
            ends = {"first_any_ns": first, "first_answer_ns": first, "last_ns": last, "end_ns": last + 1}
            stamps = {name: round(ms * MS) for name, ms in ends.items()}
            rows.append(ok_request(i, start_ms=at, tokens=length, asked_tokens=length, **stamps))
            at = last + 1
            step = step if i != slow else step / (30 if one.side == "B" else 10)
        more = b_more if one.side == "B" else {}
        if slow is not None:
            plan_of_it = [{"read_tokens_per_s": 1.0 if i == slow else None} for i in range(turn)]
            more = more | {"carried": plan_of_it, "behaviour": {"slow_readers": "12%@1t/s"}}
        build(one.folder, rows, id=one.folder.name, endpoint={"url": urls[one.side], "api": api}, **more)
    return folder


def test_a_duel_is_opened_from_the_listing(tmp_path: Path) -> None:
    from loadcell.browse.listing import scan
    from loadcell.browse.reports import duel_report
    from loadcell.report.words import words_for

    a_duel(tmp_path / "duel")
    (entry,) = scan(tmp_path).entries
    page = duel_report(entry, words_for("en"))
    assert entry.kind == "duel" and len(entry.inside) == 24
    assert page.count('href="/run?id=duel/') == 24 and "http://127.0.0.1:2" in page


def told(capsys: Capture, *words: str | Path) -> dict[str, Any]:
    capsys.readouterr()
    main(["compare", *map(str, words), "--json", "--force"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def change(found: dict[str, Any], key: str) -> dict[str, Any]:
    return next(c for c in found["pairs"][0]["changes"] if f"{c['metric']}.{c['stat']}" == key)


def test_the_figures_of_a_duel_are_those_of_the_parquet_files(tmp_path: Path, capsys: Capture) -> None:
    """Recomputed in SQL and NumPy, turn by turn, with nothing of ours."""
    folder = a_duel(tmp_path / "d")
    ratios, rates = [], []
    for couple in range(12):
        a, b = (next(folder.glob(f"{2 * couple + 1 + k:03}-*")) for k in (0, 1))
        if a.name.endswith("B"):
            a, b = b, a
        both = duckdb.sql(
            "select (b.last_ns - b.send_start_ns) / (a.last_ns - a.send_start_ns) as ratio "
            f"from '{a}/requests-*.parquet' a join '{b}/requests-*.parquet' b using (request) "
            "where a.status = 'ok' and b.status = 'ok'"
        ).fetchnumpy()["ratio"]
        ratios += both.tolist()
        sql = (
            "select sum(output_tokens) filter (status = 'ok') / ((max(end_ns) - min(send_start_ns)) / 1e9) "
            "from '{}/requests-*.parquet'"
        )
        rates.append([duckdb.sql(sql.format(one)).fetchall()[0][0] for one in (a, b)])
    found = told(capsys, folder)
    e2e, tokens = change(found, "e2e.geomean"), change(found, "output_tokens_per_s.mean")
    assert found["pairs"][0]["pairing"]["requests"] == len(ratios) == 95
    assert e2e["relative"] == pytest.approx(np.exp(np.mean(np.log(ratios))) - 1)
    logs = np.log(np.array(rates))
    assert [tokens["a"], tokens["b"]] == pytest.approx(np.exp(logs.mean(axis=0)).tolist())
    assert (e2e["finding"], tokens["finding"]) == ("worse", "worse")
    tpot = change(found, "tpot.geomean")  # the first token takes equally long on both
    assert tpot["low"] < 0.02 < tpot["high"]
    assert change(found, "failed.share")["a"] == pytest.approx(1 / 96)
    assert found["duel"] == {"folder": str(folder), "turn": 8, "couples": 12, "planned": 12}


def test_requests_that_are_read_slowly_tell_nothing_of_a_side(tmp_path: Path, capsys: Capture) -> None:
    found = told(capsys, a_duel(tmp_path / "slow", slow=5))
    e2e = change(found, "e2e.geomean")
    assert found["pairs"][0]["pairing"]["requests"] == 95 - 12
    assert 0.01 < e2e["low"] < e2e["high"] < 0.03


def test_a_drift_that_both_meet_is_no_difference(tmp_path: Path, capsys: Capture) -> None:
    found = told(capsys, a_duel(tmp_path / "d", slower=1.0))
    assert [c["title"] for c in found["pairs"][0]["changes"] if c["finding"] in ("better", "worse")] == []
    assert change(found, "tpot.geomean")["finding"] == "no difference shown"


def test_gates_words_and_every_form(tmp_path: Path, capsys: Capture) -> None:
    folder = a_duel(tmp_path / "d")
    assert main(["compare", str(folder), "--force", "--fail-if", "tpot.geomean>+1%"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "12 turns of 8 requests" in out or "12 turns a side of 8 requests, in the order A B B A" in out
    assert "Paired by request: 95 with the same lengths on both sides" in out
    assert "FAIL" in out and (folder / "report.html").exists()
    assert main(["report", str(folder), "--md", "--lang", "es", "--force"]) == 0
    assert "12 turnos por lado de 8 solicitudes" in capsys.readouterr().out
    assert main(["report", str(folder), "--slo", "ttft=1s"]) == 2


def test_turns_that_are_missing_are_said(tmp_path: Path, capsys: Capture) -> None:
    found = told(capsys, a_duel(tmp_path / "d", cut=3))
    assert found["duel"]["couples"] == 10
    (said,) = [note for note in found["pairs"][0]["notes"] if "did not run to their end" in note]
    assert said == "2 of 12 couples of turns did not run to their end: 021+022, 023+024"


def test_what_the_api_cannot_show_is_not_asked_for_by_more_requests(tmp_path: Path, capsys: Capture) -> None:
    folder = a_duel(tmp_path / "d", couples=4, api="embeddings")
    assert "--requests 64 would do" in change(told(capsys, folder), "e2e.geomean")["says"]
    main(["compare", str(folder), "--force"])
    out = capsys.readouterr().out
    assert "E2E" in out and "TTFT" not in out and "TPOT" not in out


def test_too_few_turns_say_how_many_are_needed(tmp_path: Path, capsys: Capture) -> None:
    found = told(capsys, a_duel(tmp_path / "d", couples=4))
    assert (
        "2 blocks of A B B A have ended, 4 are needed: --requests 64 would do" in change(found, "e2e.geomean")["says"]
    )


def test_too_few_pairs_say_how_many_are_needed(tmp_path: Path, capsys: Capture) -> None:
    found = told(capsys, a_duel(tmp_path / "d", couples=8, turn=8))
    says = change(found, "e2e.p99")["says"]
    assert says == "not estimable in A: 63 pairs of requests, 500 are needed"
    assert change(found, "e2e.p50")["low"] is not None


def test_sides_that_are_not_comparable_are_no_duel(tmp_path: Path, capsys: Capture) -> None:
    folder = a_duel(tmp_path / "d", clock="user")
    assert main(["compare", str(folder)]) in (1, 4)
    assert main(["compare", str(a_duel(tmp_path / "empty", couples=1, cut=2))]) == 1
    assert "has no turn of A and of B that ended" in capsys.readouterr().err


# --- two real engines ------------------------------------------------------------------------------------------------


@pytest.fixture
def two(alone: None) -> Iterator[tuple[str, str]]:
    with engine("--ttft", "10ms", "--itl", "2ms") as a, engine("--ttft", "10ms", "--itl", "3ms") as b:
        yield a.url, b.url


_SMALL = [
    "--concurrency", "1", "--turn", "5", "--requests", "40", "--input-tokens", "8", "--shared-host", "--force",
    "--wait-ready", "0",
]  # fmt: skip


@pytest.mark.timeout(240)
def test_a_real_duel_is_recorded_judged_and_not_begun_twice(
    two: tuple[str, str], tmp_path: Path, capsys: Capture
) -> None:
    # 40 pairs are needed; a busy machine may cost some.
    asked = ["--turn", "6", "--requests", "48", "--output-tokens", "uniform:4,20"]
    words = ["duel", *two, *_SMALL, *asked, "--output", str(tmp_path / "d"), "--json"]
    assert main(words) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert "A: " in captured.err and "model loadcell-engine" in captured.err
    tpot = change(found, "tpot.geomean")
    assert tpot["relative"] is not None and tpot["relative"] > 0.2, tpot
    assert len(list((tmp_path / "d").glob("*-A"))) == 8
    assert main(words) == 1 and "already holds files" in capsys.readouterr().err
    assert main([*words, "--turn", "4", "--resume"]) == 2
    assert "holds a duel of another plan: turn 6 -> 4" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 0  # there is nothing left to do
    assert json.loads(capsys.readouterr().out)["pairs"] == found["pairs"]


@pytest.mark.timeout(240)
def test_an_interrupted_duel_keeps_its_turns_and_goes_on(two: tuple[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "d"
    flags = [*_SMALL, "--requests", "10", "--output-tokens", "40", "--output", str(folder)]
    words = [sys.executable, "-m", "loadcell", "duel", *two, *flags]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (folder / "003-B").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "1 turn " in out or "nothing to compare" in err
    done = subprocess.run([*words, "--resume"], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 turns" in done.stdout


def test_an_end_that_cannot_be_asked_is_named_before_anything_is_sent(
    two: tuple[str, str], tmp_path: Path, capsys: Capture
) -> None:
    assert main(["duel", two[0], "http://127.0.0.1:9", *_SMALL, "--output", str(tmp_path / "d")]) == 1
    assert "B: " in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("more", [["--turn", "0"], ["--set", "load.duration_s=5"], ["--fail-if", "x>5"], ["--resume"]])
def test_wrong_usage_is_2(two: tuple[str, str], more: list[str], capsys: Capture) -> None:
    assert main(["duel", *two, *more]) == 2


@pytest.mark.timeout(240)
def test_an_end_that_goes_away_leaves_what_was_measured(
    two: tuple[str, str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loadcell.cli import run
    from loadcell.errors import EndpointError

    def gone(spec: Any, folder: Path, *more: Any, **words: Any) -> Any:
        if folder.name == "003-B":
            raise EndpointError("nothing listens there")
        return once(spec, folder, *more, **words)

    once = run.run_once
    monkeypatch.setattr(run, "run_once", gone)
    assert main(["duel", *two, *_SMALL, "--output", str(tmp_path / "d"), "--json"]) == 1
    captured = capsys.readouterr()
    assert "turn 3 of 16: B: nothing listens there; --resume --output" in captured.err
    assert json.loads(captured.out)["duel"]["couples"] == 1


def test_prompts_of_a_file_are_dealt_out_to_the_turns(tmp_path: Path) -> None:
    from loadcell.cli.duel import _turn_spec
    from loadcell.compare.duel import DuelPlan
    from loadcell.spec import build_spec
    from loadcell.workload.files import read_prompts

    file = tmp_path / "p.csv"
    file.write_text("Prompt,temperature\n" + "".join(f'"{i}\n",0.{i}\n' for i in range(5)))
    spec = build_spec({"endpoint": {"url": "http://h:1"}, "workload": {"prompts": str(file)}})
    plan = DuelPlan(a=spec, b=spec, turn=3, couples=2, models=["m", "m"])
    taken = [read_prompts(_turn_spec(spec, plan, couple, tmp_path)).prompts for couple in range(2)]
    bodies = [json.loads(body) for part in taken for body in part]
    assert [body["messages"][0]["content"] for body in bodies] == ["0\n", "1\n", "2\n", "3\n", "4\n", "0\n"]
    assert [body["temperature"] for body in bodies] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.0]
