"""Sessions as they are sent: the order of turns, what they carry, when they come; and what ends them."""

from __future__ import annotations

import json
import os
import signal
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from scripted import CLOSE, DONE, Received, Step, clean, delta, event, json_reply, serve, stream, token
from small_engine import engine, truth_of

from loadcell.load import fleet, head, run_load
from loadcell.metrics import build_result
from loadcell.recording.read import open_recording
from loadcell.spec import Spec, build_spec
from loadcell.traces.model import ragged
from loadcell.workload import Plan, TalkPrompts, plan
from loadcell.workload.sessions import Sessions

pytestmark = pytest.mark.usefixtures("processes")
TURNS, SESSIONS = 8, 200


def spec_of(url: str, load: dict[str, Any], sessions: dict[str, Any], **run: Any) -> Spec:
    return build_spec(
        {
            "endpoint": {"url": url},
            "load": {"ramp_s": 0.0, "timeout_s": 20.0, "max_failures": 1.0} | load,
            "workload": {"input_tokens": "uniform:5,15", "output_tokens": "uniform:3,9"},
            "sessions": sessions,
            "observe": {"every_s": 0},
            "run": {"workers": 1} | run,
        }
    )


@pytest.fixture(scope="module")
def fast(processes: None) -> Iterator[str]:
    with engine("--ttft", "6ms", "--itl", "0.2ms", "--slots", "256") as url:
        yield url


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Requests with what the schedule says of them, by DuckDB alone."""
    with duckdb.connect() as database:
        found = database.execute(
            f"select r.*, s.session, s.turn, s.delay_ns, s.planned_ns as plan from '{folder}/requests-*.parquet' r "
            f"join '{folder}/schedule.parquet' s using (request) order by request"
        )
        names = [one[0] for one in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def texts_of(folder: Path) -> dict[int, tuple[Any, str]]:
    """Of each request its body and its reply."""
    with duckdb.connect() as database:
        found = database.execute(f"select request, body, content from '{folder}/text-*.parquet'").fetchall()
    return {request: (json.loads(body), content) for request, body, content in found}


def waits_of(folder: Path) -> dict[int, list[int]]:
    with duckdb.connect() as database:
        found = database.execute(f"select request, waits_for from '{folder}/waits.parquet' order by all").fetchall()
    waits: dict[int, list[int]] = {}
    for request, before in found:
        waits.setdefault(request, []).append(before)
    return waits


def check_times(folder: Path) -> None:
    """What waits is ready a delay after the last that it waits for, and not sent before."""
    rows = {row["request"]: row for row in rows_of(folder)}
    for request, before in waits_of(folder).items():
        if request in rows:
            ended = [rows[one]["end_ns"] for one in before]
            assert rows[request]["ready_ns"] == max(ended) + (rows[request]["delay_ns"] or 0)
            assert rows[request]["planned_ns"] is None
            assert rows[request]["send_start_ns"] >= rows[request]["ready_ns"]
            assert all(rows[one]["status"] == "ok" for one in before)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("load", [{"concurrency": 40}, {"rate": 60.0}])
def test_200_sessions_of_8_turns(fast: str, tmp_path: Path, load: dict[str, Any], workers: int) -> None:
    asked = {"turns": str(TURNS), "think": "uniform:5ms,40ms", "sticky": "header:X-Session-Id"}
    wanted = load | {"requests": SESSIONS * TURNS}
    run_load(spec_of(fast, wanted, asked, workers=workers, keep_text=True), tmp_path / "run", lambda _: None)
    rows, texts = rows_of(tmp_path / "run"), texts_of(tmp_path / "run")
    run_id = open_recording(tmp_path / "run").manifest.id
    truth = [one for one in truth_of(fast) if one["id"].startswith(run_id)]
    assert len(rows) == len(truth) == SESSIONS * TURNS
    check_times(tmp_path / "run")
    for row, seen in zip(rows, truth, strict=True):
        request, turn = row["request"], row["turn"]
        assert (row["session"], turn) == divmod(request, TURNS)
        assert row["worker"] == row["session"] % workers
        assert seen["session"] == f"{run_id}-{row['session']}"
        # what the server was told: what its user said, and what it had said itself, word for word
        said = [one["content"] for one in texts[request][0]["messages"]]
        assert seen["said"] == [zlib.crc32(text.encode()) for text in said]
        assert said[1::2] == [texts[request - turn + before][1] for before in range(turn)]
        assert said[0::2][:-1] == ([] if not turn else _users(texts, request - 1))
        assert seen["prompt_tokens"] == row["prompt_tokens"] == row["input_tokens"] == sum(len(t.split()) for t in said)
        if turn:
            before = truth[request - 1]
            assert seen["arrival_ns"] >= before["end_ns"] + row["delay_ns"]
            assert seen["prompt_tokens"] > before["prompt_tokens"] + before["completion_tokens"]
    if "rate" in load:
        assert all((row["plan"] is None) == (row["turn"] > 0) for row in rows)
    else:
        _check_users(rows, 40)
    assert build_result(open_recording(tmp_path / "run")).counts.run.ok == SESSIONS * TURNS


def _users(texts: dict[int, tuple[Any, str]], request: int) -> list[Any]:
    return [one["content"] for one in texts[request][0]["messages"]][0::2]


def _check_users(rows: list[dict[str, Any]], users: int) -> None:
    """No more sessions at a time than users, and each begins as another ends."""
    begins = sorted((row["ready_ns"]) for row in rows if row["turn"] == 0)
    ends = sorted(row["end_ns"] for row in rows if row["turn"] == TURNS - 1)
    assert begins[users:] == ends[: len(begins) - users]


def test_planned_replies_and_one_text(fast: str, tmp_path: Path) -> None:
    for number, (api, history) in enumerate(
        (("chat", "planned"), ("completions", "planned"), ("completions", "served"))
    ):
        spec = spec_of(fast, {"concurrency": 3, "requests": 12}, {"turns": "4", "history": history}, keep_text=True)
        spec = build_spec(json.loads(json.dumps(_tree(spec) | {"endpoint": {"url": fast, "api": api}})))
        folder = tmp_path / str(number)
        run_load(spec, folder, lambda _: None)
        rows, texts = rows_of(folder), texts_of(folder)
        check_times(folder)
        assert [row["status"] for row in rows] == ["ok"] * 12
        for row in rows:
            assert row["prompt_tokens"] == row["input_tokens"]
            if row["turn"] and api == "completions":
                before = texts[row["request"] - 1]
                reply = before[1] if history == "served" else ""
                assert texts[row["request"]][0]["prompt"].startswith(before[0]["prompt"] + "\n" + reply)


def _tree(spec: Spec) -> dict[str, Any]:
    import msgspec

    tree: dict[str, Any] = msgspec.to_builtins(spec)
    return tree


def test_users_pause_between_single_requests(fast: str, tmp_path: Path) -> None:
    asked = {"think": "exponential:20ms"}
    run_load(spec_of(fast, {"concurrency": 4, "requests": 60}, asked), tmp_path / "run", lambda _: None)
    rows = rows_of(tmp_path / "run")
    assert len(rows) == 60
    ends = {row["end_ns"] for row in rows}
    later = [row for row in rows if row["ready_ns"] > 0]
    assert len(later) == 56
    assert all(row["ready_ns"] - row["delay_ns"] in ends for row in later)


# --- trees ------------------------------------------------------------------------------------------------------------

WAITS = [[], [0], [0], [1, 2], [0], [3, 4]]
"""A call, three beside each other, a join of two of them, and one of that and the third."""


def trees(spec: Spec, *_: Any) -> Plan:
    """The plan of a run with sessions of that form in place of chains."""
    made = plan(spec)
    assert made.schedule.sessions is not None and isinstance(made.prompts, TalkPrompts)
    count = len(made.schedule) // len(WAITS)
    waits = ragged([[6 * tree + one for one in waits] for tree in range(count) for waits in WAITS])
    turns = np.tile(np.array([0, 1, 1, 2, 1, 3], np.int32), count)
    delays = np.tile(np.array([0, 5, 20, 10, 1, 3], np.int64) * 1_000_000, count)
    columns = vars(made.schedule) | {"sessions": Sessions(made.schedule.sessions.session, turns, waits)}
    return Plan(type(made.schedule)(**columns | {"delay_ns": delays}), made.prompts, made.tokenizer, made.notes)


@pytest.mark.parametrize("load", [{"concurrency": 5}, {"rate": 40.0}])
def test_a_tree_of_calls(fast: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: dict[str, Any]) -> None:
    monkeypatch.setattr(fleet, "plan", trees)
    run_load(
        spec_of(fast, load | {"requests": 120}, {"turns": "6"}, workers=2, keep_text=True),
        tmp_path / "run",
        lambda _: None,
    )
    rows = rows_of(tmp_path / "run")
    assert len(rows) == 120
    check_times(tmp_path / "run")
    texts = texts_of(tmp_path / "run")
    for request, (body, _) in texts.items():  # each goes on with the talk of the first that it waits for
        parent = WAITS[request % 6][0] if request % 6 else None
        said = [one["content"] for one in body["messages"]]
        if parent is not None:
            before = texts[request - request % 6 + parent]
            assert said[:-1] == [*(one["content"] for one in before[0]["messages"]), before[1]]


def failing(rows: set[int], how: list[Step], turns: int) -> Any:
    def script(request: Received) -> list[Step]:
        return how if request.number in rows else clean(3, text=f"reply{request.number} ")

    return script


LATE = [event(token("word ")), event({"error": {"message": "it broke", "code": 500}}), DONE]


@pytest.mark.parametrize(
    "how",
    [[json_reply({"error": {"message": "no"}}, 500)], stream(0.01, *LATE), stream(0.01, event(token()), CLOSE),
     stream(0.01, event(delta(finish="stop")), DONE)],
    ids=["refused", "error before the end mark", "cut", "empty"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("load", "think"), [({"concurrency": 2}, None), ({"concurrency": 2}, "300ms"), ({"rate": 50.0}, "30ms")]
)
def test_a_failed_turn_ends_its_session(
    tmp_path: Path, how: list[Step], load: dict[str, Any], think: str | None
) -> None:
    turns = 4
    with serve(failing({5, 8}, how, turns)) as server:
        asked = {"turns": str(turns)} | ({"think": think} if think else {})
        run_load(spec_of(server.url, load | {"requests": 16}, asked), tmp_path / "run", lambda _: None)
        sent = sorted(request.number for request in server.load)
    rows = rows_of(tmp_path / "run")
    assert [row["request"] for row in rows] == sent == [0, 1, 2, 3, 4, 5, 8, 12, 13, 14, 15]
    assert [row["request"] for row in rows if row["status"] == "failed"] == [5, 8]
    check_times(tmp_path / "run")
    counts = build_result(open_recording(tmp_path / "run")).counts.run
    assert (counts.planned, counts.ok, counts.failed, counts.unsent) == (16, 9, 2, 5)


def test_a_failed_call_ends_what_waits_for_it_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "plan", trees)
    with serve(failing({2}, [json_reply({"error": {"message": "no"}}, 500)], 6)) as server:
        spec = spec_of(server.url, {"concurrency": 1, "requests": 12}, {"turns": "6"})
        run_load(spec, tmp_path / "run", lambda _: None)
        sent = sorted(request.number for request in server.load)
    assert sent == [0, 1, 2, 4, *range(6, 12)]  # 3 waits for 2, 5 for 3
    check_times(tmp_path / "run")


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_sessions(tmp_path: Path, workers: int) -> None:
    def script(request: Received) -> list[Step]:
        if request.number == 9:
            os.kill(os.getpid(), signal.SIGINT)
        return clean(3, ttft_s=0.02)

    with serve(script) as server:
        spec = spec_of(
            server.url, {"concurrency": 2, "requests": 400}, {"turns": "8", "think": "20ms"}, workers=workers
        )
        manifest = run_load(spec, tmp_path / "run", lambda _: None)
    assert manifest.state == "interrupted"
    assert len(rows_of(tmp_path / "run")) < 100
    check_times(tmp_path / "run")


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("load", [{"concurrency": 3}, {"rate": 20.0}])
def test_a_time_ends_sessions(fast: str, tmp_path: Path, load: dict[str, Any], keep: bool) -> None:
    asked = {"turns": "5", "think": "50ms"}
    spec = spec_of(fast, load | {"duration_s": 1.0, "keep_load": keep}, asked)
    manifest = run_load(spec, tmp_path / "run", lambda _: None)
    rows = rows_of(tmp_path / "run")
    check_times(tmp_path / "run")
    due = [row["ready_ns"] if row["planned_ns"] is None else row["planned_ns"] for row in rows]
    assert manifest.planned is None
    assert all(row["counted"] == (time_ns < 1e9) for row, time_ns in zip(rows, due, strict=True))
    assert keep or all(row["counted"] for row in rows)
    counts = build_result(open_recording(tmp_path / "run")).counts.run
    assert counts.planned == counts.ok + counts.cancelled == sum(row["counted"] for row in rows)


def test_turns_of_a_session_share_a_connection(tmp_path: Path) -> None:
    with serve() as server:
        spec = spec_of(
            server.url,
            {"concurrency": 4, "requests": 48},
            {"turns": "6", "think": "uniform:1ms,30ms", "sticky": "connection"},
        )
        run_load(spec, tmp_path / "run", lambda _: None)
    used: dict[int, set[int]] = {}
    for row in rows_of(tmp_path / "run"):
        used.setdefault(row["session"], set()).add(row["connection"])
    assert {len(connections) for connections in used.values()} == {1}
    assert len(set().union(*used.values())) == 4, "users that go on to another session keep theirs"


def test_what_is_made_meanwhile_is_what_was_planned(fast: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies that a feeder makes while sessions go on, in files that take turns."""
    for name in ("_LEAST_BYTES", "_LONGEST_NS"):
        monkeypatch.setattr(head, name, 0)
    monkeypatch.setattr(head, "first_rows", lambda *_: None)
    plans: list[Plan] = []

    def noted(*asked: Any) -> Plan:
        plans.append(plan(*asked))
        return plans[-1]

    monkeypatch.setattr(fleet, "plan", noted)
    tree = _tree(spec_of(fast, {"concurrency": 3, "requests": 240}, {"turns": "uniform:1,9", "history": "planned"}))
    spec = build_spec(tree | {"workload": {"input_tokens": "3000", "output_tokens": "4"}})
    manifest = run_load(spec, tmp_path / "run", lambda _: None)
    host = json.loads((tmp_path / "run" / "host.json").read_text())
    assert host["feeder"]["rows"] > 200 and host["feeder"]["bytes"] > 8 << 20
    truth = [one for one in truth_of(fast) if one["id"].startswith(manifest.id)]
    assert len(truth) == 240
    for seen, own in zip(truth, plans[0].prompts, strict=True):
        assert isinstance(own, bytes)
        said = [one["content"] for one in json.loads(own)["messages"]]
        assert seen["said"] == [zlib.crc32(text.encode()) for text in said]


def test_ttft_of_turns_is_as_near_to_the_engines_own_as_that_of_single_requests(alone: None, tmp_path: Path) -> None:
    apart: dict[str, float] = {}
    with engine("--ttft", "15ms", "--itl", "1ms", "--slots", "64") as url:
        for name, sessions in (("alone", {}), ("turns", {"turns": "8", "think": "20ms"})):
            folder = tmp_path / name
            manifest = run_load(spec_of(url, {"concurrency": 8, "requests": 400}, sessions), folder, lambda _: None)
            truth = [one for one in truth_of(url) if one["id"].startswith(manifest.id)]
            mine = [row["first_any_ns"] - row["send_start_ns"] for row in rows_of(folder)]
            true = [one["tokens_ns"][0] - one["arrival_ns"] for one in truth]
            apart[name] = float(np.median(np.subtract(mine, true))) / 1e6
    assert abs(apart["turns"]) < 0.5
    assert abs(apart["turns"] - apart["alone"]) < 0.25


def test_a_connection_that_the_server_closed_meanwhile_is_another(tmp_path: Path) -> None:
    with serve(idle_s=0.1) as server:
        asked = {"turns": "3", "think": "400ms", "sticky": "connection"}
        run_load(spec_of(server.url, {"concurrency": 2, "requests": 12}, asked), tmp_path / "run", lambda _: None)
        closed = server.idle_closed
    rows = rows_of(tmp_path / "run")
    assert [row["status"] for row in rows] == ["ok"] * 12
    assert closed >= 8
    assert len({row["connection"] for row in rows}) >= 8


def test_classes_are_dealt_to_whole_sessions(fast: str, tmp_path: Path) -> None:
    with serve() as server:
        tree = _tree(spec_of(fast, {"concurrency": 4, "requests": 48}, {"turns": "4"}))
        spec = build_spec(tree | {"classes": {"also": [{"url": server.url}]}})
        run_load(spec, tmp_path / "run", lambda _: None)
    rows = rows_of(tmp_path / "run")
    assert {row["class"] for row in rows} == {0, 1}
    assert all(row["class"] == rows[row["request"] - row["turn"]]["class"] for row in rows)
    check_times(tmp_path / "run")
