"""Agents on the embedded engine: what was sent when, by the server's own stamps; and the figures of their tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contract_runs import run_once
from small_engine import engine, truth_of

AGENT = {"steps": "uniform:2,5", "tools": "uniform:20ms,60ms", "fan_out": "0.5*uniform:2,3", "sub_steps": "uniform:1,2",
         "system_tokens": "40", "task_tokens": "30"}  # fmt: skip


def test_calls_come_when_all_that_they_wait_for_has_ended_and_the_tool_is_done(tmp_path: Path) -> None:
    with engine("--ttft", "15ms", "--itl", "1ms", "--slots", "64") as url:
        ran = run_once(url, tmp_path / "run", rate=4.0, arrivals="constant", requests=150, timeout_s=20, **AGENT)
        truth = {int(one["id"].rpartition("-")[2]): one for one in truth_of(url)}
    waits, plan = ran.recording.waits(), ran.recording.schedule(("delay_ns", "input_tokens", "shared_tokens", "turn"))
    rows = {row["request"]: row for row in ran.rows}
    assert set(ran.statuses) == {"ok"}
    assert len(rows) == len(truth) == 150
    assert waits["request"].size > 100
    ended: dict[int, int] = {}
    for request, before in zip(waits["request"].tolist(), waits["waits_for"].tolist(), strict=True):
        assert truth[request]["arrival_ns"] - truth[before]["tokens_ns"][-1] >= plan["delay_ns"][request]
        ended[request] = max(ended.get(request, 0), rows[before]["end_ns"])
    for request, end in ended.items():
        assert rows[request]["ready_ns"] == end + plan["delay_ns"][request]
        assert rows[request]["send_start_ns"] >= rows[request]["ready_ns"]
        assert rows[request]["planned_ns"] is None
    for request, one in truth.items():
        assert abs(one["prompt_tokens"] - plan["input_tokens"][request]) <= 1

    found = ran.result.sessions
    assert found is not None
    assert found.tasks
    assert (found.begun, found.failed, found.unfinished) == (found.whole, 0, 0)
    assert found.path is not None
    assert found.path.calls + found.path.delays + found.path.late == pytest.approx(1)
    assert found.path.parallel > 1
    # Within a task the engine saw as much time between its first arrival and its last token, but for the way.
    session = ran.recording.schedule(("session",))["session"]
    seen = [
        max(truth[r]["tokens_ns"][-1] for r in np.flatnonzero(session == one).tolist())
        - min(truth[r]["arrival_ns"] for r in np.flatnonzero(session == one).tolist())
        for one in np.unique(session)
    ]
    took = [
        max(rows[r]["last_ns"] for r in np.flatnonzero(session == one).tolist())
        - min(rows[r]["send_start_ns"] for r in np.flatnonzero(session == one).tolist())
        for one in np.unique(session)
    ]
    assert all(mine >= theirs for mine, theirs in zip(took, seen, strict=True))


def test_a_failed_call_ends_its_task_and_nothing_that_waited_for_it_is_sent(tmp_path: Path) -> None:
    with engine("--ttft", "10ms", "--itl", "1ms", "--slots", "64", "--error-rate", "0.1", "--seed", "3") as url:
        ran = run_once(
            url,
            tmp_path / "run",
            concurrency=4,
            requests=200,
            timeout_s=20,
            max_failures=1.0,
            history="planned",
            **AGENT,
        )
        truth = {int(one["id"].rpartition("-")[2]) for one in truth_of(url)}
    found, counts = ran.result.sessions, ran.result.counts.run
    assert found is not None
    assert found.failed > 0
    assert found.unsent_turns.after_failure > 0
    assert counts.planned == counts.ok + counts.failed + counts.cancelled + counts.unsent == 200
    failed = {row["request"] for row in ran.rows if row["status"] == "failed"}
    waits = ran.recording.waits()
    for request, before in zip(waits["request"].tolist(), waits["waits_for"].tolist(), strict=True):
        assert not (before in failed and request in truth)
    words = {check.name: check.word for check in ran.result.verdict.checks}
    assert words["accounting"] == "VALID"
    assert words["unsent"] in ("VALID", None)
