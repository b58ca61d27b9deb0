"""What waits for what: any sessions, in any order of ends and failures; and where what was said goes in a body."""

from __future__ import annotations

import heapq
import json
import tempfile
from array import array
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.apis import find_api
from loadcell.load.course import Course
from loadcell.load.due import Due
from loadcell.load.live import Live
from loadcell.load.splice import Talk, gapped, parted
from loadcell.load.tail import Tail
from loadcell.recording.schema import MISSING
from loadcell.workload.talks import MARK

T0 = 1_000_000


def courses() -> st.SearchStrategy[list[list[list[int]]]]:
    """Sessions of up to 7 rows: of each row which of the rows before it, counted from the begin, it waits for."""

    @st.composite
    def session(draw: st.DrawFn) -> list[list[int]]:
        rows = draw(st.integers(1, 7))
        return [sorted(draw(st.sets(st.integers(0, row - 1), max_size=3))) if row else [] for row in range(rows)]

    return st.lists(session(), min_size=1, max_size=8)


def flat(sessions: list[list[list[int]]]) -> tuple[np.ndarray[Any, Any], list[list[int]]]:
    begins = np.cumsum([0, *(len(rows) for rows in sessions)])
    waits = [[int(begins[k]) + one for one in each] for k, rows in enumerate(sessions) for each in rows]
    return np.repeat(np.arange(len(sessions)), [len(rows) for rows in sessions]), waits


def job_of(rows: int, worker: int, workers: int, users: int | None) -> Any:
    mine = len(range(worker, users or 0, workers))
    return SimpleNamespace(
        worker=worker, workers=workers, rows=rows, requests=rows, users=None if users is None else mine, end_ns=None,
        keep=False, least=0, lockstep=False, e2e_ns=0, starts_ns=[0] * mine,
    )  # fmt: skip


@given(courses(), st.integers(1, 3), st.booleans(), st.data())
def test_rows_are_sent_when_all_they_wait_for_has_ended(
    sessions: list[list[list[int]]], workers: int, open_loop: bool, data: st.DataObject
) -> None:
    session, waits = flat(sessions)
    rows = len(waits)
    delays = np.array(data.draw(st.lists(st.integers(0, 50), min_size=rows, max_size=rows)))
    failing = data.draw(st.sets(st.integers(0, rows - 1), max_size=3))
    late = data.draw(st.sets(st.sampled_from(sorted(failing)))) if failing else set()
    lasts = data.draw(st.lists(st.integers(1, 60), min_size=rows, max_size=rows))
    planned = array("q", [data.draw(st.integers(0, 90)) if not each else MISSING for each in waits])
    columns = {
        "request": np.array([row for row, each in enumerate(waits) for _ in each], np.int64),
        "waits_for": np.array([one for each in waits for one in each], np.int64),
    }
    ready: dict[int, int] = {}
    ended: dict[int, int] = {}
    for worker in range(workers):
        course = Course(session, columns, delays)
        users = None if open_loop else data.draw(st.integers(workers, 2 * workers))
        job = job_of(rows, worker, workers, users)
        _simulate(course, job, planned, failing, late, lasts, ready, ended)
    dead: set[int] = set()
    for row, each in enumerate(waits):
        if any(one in failing or one in dead for one in each):
            dead.add(row)
            assert row not in ready
        else:
            if each:
                assert ready[row] == max(ended[one] for one in each) + delays[row]
            elif open_loop:
                assert ready[row] == planned[row]
    assert ready.keys() | dead == set(range(rows))


def _simulate(
    course: Course, job: Any, planned: array[int], failing: set[int], late: set[int], lasts: list[int],
    ready: dict[int, int], ended: dict[int, int],
) -> None:  # fmt: skip
    """One worker, whose requests last as they are said to; `late` failures are known only when something waits."""
    air: list[tuple[int, int]] = []
    with tempfile.TemporaryFile() as file:
        file.write(bytes(Live.size(job.workers)))
        file.flush()
        live = Live(file.fileno(), job.workers)
        unknown: dict[int, Any] = {}

        def request(row: int, planned_ns: int, ready_ns: int) -> None:
            ready[row] = ready_ns if planned_ns == MISSING else planned_ns
            heapq.heappush(air, (T0 + ready[row] + lasts[row], row))

        def settle(row: int) -> None:
            for parent in course.parents(row):
                if parent in unknown:
                    flight = unknown.pop(parent)
                    flight.failure = ("stream_error", "")
                    due.failed_late(flight, flight.end_ns)

        timer, audit = cast(Any, SimpleNamespace(arm=lambda _: None)), cast(Any, SimpleNamespace())
        due = Due(job, live, Tail(job, live), planned, timer, audit, request, course=course, settle=settle)
        due.begin(T0)
        for _ in range(10_000):
            settled, reached = due.reach([])
            sent_or_ready = [row for row in ready if row not in ended]
            assert all(settled <= row < reached for row in sent_or_ready)
            if not due.at_ns and not air:
                return
            if air and (not due.at_ns or air[0][0] <= due.at_ns):
                now, row = heapq.heappop(air)
                ended[row] = now - T0
                ends_it = row in failing - late
                gave_up = "time" if ends_it and row % 2 else None  # what its user gives up ends as much
                failure = ("http_500", "") if ends_it and not gave_up else None
                flight = SimpleNamespace(
                    request=row,
                    end_ns=now,
                    failure=failure,
                    reply=SimpleNamespace(failure=None),
                    send_start_ns=now,
                    gave_up=gave_up,
                )
                if row in late and course.children(row):
                    unknown[row] = flight
                due.go_on(cast(Any, flight), now, None, alone=False)
            else:
                due.send(due.at_ns)
    raise AssertionError("it does not end")


@pytest.mark.parametrize("api", ["chat", "completions", "messages", "responses", "ollama", "sglang", "tgi", "llamacpp"])
@given(st.lists(st.text(min_size=1), min_size=1, max_size=4), st.text(min_size=1))
def test_a_gap_takes_what_was_said(api: str, replies: list[str], text: str) -> None:
    dialect = find_api(api)
    prefix = dialect.prefix("model", True, dialect.form, {})
    mark = {"role": "user", "content": MARK}
    brings = {"role": "user", "content": text}
    own = {"messages": [mark, brings, mark]} if dialect.talks else MARK + text + MARK
    prompt = msgspec.json.encode(own) if dialect.talks else own
    kept = gapped(dialect.body(prefix, prompt, 7, dialect.form.max_tokens_field), messages=dialect.talks)
    assert kept is not None
    gap, talk, said = parted(kept), Talk(dialect.talks), b""
    for reply in replies:
        said = talk.then(talk.then(said, gap.brings), talk.reply(reply))
    said = talk.then(said, gap.brings)
    whole = [
        *({"role": role, "content": one} for reply in replies for role, one in (("user", text), ("assistant", reply))),
        brings,
    ]
    plain = msgspec.json.encode({"messages": whole}) if dialect.talks else "\n".join(one["content"] for one in whole)
    expected = dialect.body(prefix, plain, 7, dialect.form.max_tokens_field)
    assert json.loads(gap.head + said + gap.tail) == json.loads(expected)


def test_an_api_that_takes_a_message_apart_has_no_gap() -> None:
    mark = {"role": "user", "content": MARK}
    assert gapped(msgspec.json.encode({"messages": [mark, {"role": "user", "content": "a"}]}), messages=True) is None
    assert gapped(f'{{"prompt":"User: {MARK}"}}'.encode(), messages=False) is None


def test_half_a_character_is_replaced() -> None:
    """A server may send one, escaped: no text of JSON can hold it."""
    assert json.loads(b"[%b]" % Talk(True).reply("a\ud800")) == [{"role": "assistant", "content": "a?"}]
