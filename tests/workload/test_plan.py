from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadcell.errors import UsageError
from loadcell.spec import Load, Spec
from loadcell.workload import Tokenizer, plan
from loadcell.workload.arrivals import MAX_REQUESTS
from loadcell.workload.schedule import lay_out

SpecOf = Callable[..., Spec]
OPEN: dict[str, Any] = {
    "load_rate": 50.0,
    "load_requests": 200,
    "workload_input_tokens": "uniform:4,60",
    "workload_output_tokens": "normal:40,10",
}


@pytest.fixture(autouse=True)
def one_tokenizer(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load the packaged tokenizer once for all."""
    monkeypatch.setattr("loadcell.workload.planning.load_tokenizer", lambda name: tokenizer)


def test_an_open_loop_is_a_schedule_of_its_spec(spec_of: SpecOf) -> None:
    made = plan(spec_of(**OPEN))
    schedule = made.schedule
    assert (schedule.loop, schedule.planned, len(schedule), len(made.prompts)) == ("open", 200, 200, 200)
    assert schedule.planned_ns is not None and schedule.planned_ns.dtype == np.int64
    assert schedule.input_tokens.dtype == schedule.output_tokens.dtype == np.int32
    assert made.tokenizer.counts([p for p in made.prompts if isinstance(p, str)]) == schedule.input_tokens.tolist()
    assert made.tokenizer.packaged and made.notes == []


def test_the_same_spec_has_the_same_hash_and_any_other_another(spec_of: SpecOf) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"run_seed": 1},
        {"load_rate": 51.0},
        {"load_requests": 199},
        {"load_arrivals": "constant"},
        {"load_arrivals": "gamma:2"},
        {"load_ramp_s": 1.0},
        {"workload_input_tokens": "uniform:4,61"},
        {"workload_output_tokens": "normal:41,10"},
    ]
    hashes = [plan(spec_of(**OPEN | change)).schedule.hash for change in changes]
    assert len(set(hashes)) == len(changes)
    unmoved: list[dict[str, Any]] = [{}, {"run_workers": 7}, {"load_timeout_s": 3.0}, {"endpoint_model": "other"}]
    assert {
        plan(spec_of(**OPEN | {"endpoint_url": "http://127.0.0.1:1"} | same)).schedule.hash for same in unmoved
    } == {hashes[0]}


def test_a_longer_run_begins_with_the_shorter(spec_of: SpecOf) -> None:
    short, long = plan(spec_of(**OPEN)), plan(spec_of(**OPEN | {"load_requests": 300}))
    for column in ("planned_ns", "input_tokens", "output_tokens"):
        assert np.array_equal(getattr(long.schedule, column)[:200], getattr(short.schedule, column))
    assert list(long.prompts)[:200] == list(short.prompts)


def test_one_length_does_not_move_the_other(spec_of: SpecOf) -> None:
    one, two = plan(spec_of(**OPEN)), plan(spec_of(**OPEN | {"workload_input_tokens": "9"}))
    assert np.array_equal(one.schedule.output_tokens, two.schedule.output_tokens)
    assert np.array_equal(one.schedule.planned_ns, two.schedule.planned_ns)  # type: ignore[arg-type]


def test_a_closed_loop_has_no_planned_times(spec_of: SpecOf) -> None:
    short = {"load_concurrency": 4, "workload_input_tokens": 8}
    by_count = plan(spec_of(**short, load_requests=30)).schedule
    assert (by_count.loop, by_count.planned_ns, by_count.planned, len(by_count)) == ("closed", None, 30, 30)
    both = plan(spec_of(**short, load_requests=30, load_duration_s=9)).schedule
    assert (both.planned, len(both)) == (None, 30)
    assert both.hash == by_count.hash  # what is sent is the same, only the end is not
    by_time = plan(spec_of(**short, load_duration_s=2, workload_output_tokens="95")).schedule
    assert (by_time.planned, len(by_time)) == (None, 84)  # 4 * 2 s / (5 ms + 95 * 1 ms) + 4


@given(users=st.integers(1, 5000), duration=st.floats(0.1, 7200), tokens=st.floats(1, 5000))
def test_a_closed_loop_on_time_has_rows_for_the_fastest_server(users: int, duration: float, tokens: float) -> None:
    slots = lay_out(Load(concurrency=users, duration_s=duration), seed=0, mean_output_tokens=tokens)
    needed = users * duration / (0.005 + tokens * 0.001) + users
    if needed <= MAX_REQUESTS:
        assert needed <= slots.rows <= needed + 1 and not slots.notes
    else:
        assert slots.rows >= MAX_REQUESTS and slots.notes == [
            "the run ends after 10,000,000 requests, should it get there"
        ]
    assert slots.planned is None


@pytest.mark.parametrize(
    ("load", "message"),
    [
        ({"rate": 1.0}, "no end"),
        ({"concurrency": 1}, "no end"),
        ({"requests": 5}, "neither a concurrency nor a rate"),
        ({"concurrency": 1, "requests": MAX_REQUESTS + 1}, "more than the"),
        ({"rate": 0.001, "duration_s": 1.0}, "no request arrives"),
    ],
)
def test_a_load_that_cannot_be_is_refused(load: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        lay_out(Load(**load), seed=0, mean_output_tokens=1)


def test_a_prompt_file_gives_prompts_and_lengths(spec_of: SpecOf, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "one two", "output_tokens": 3}\n{"messages": [{"role": "user", "content": "one"}]}\n')
    asked = {"load_concurrency": 2, "load_requests": 5, "workload_prompts": str(path), "workload_output_tokens": 50}
    made = plan(spec_of(**asked))
    assert list(made.schedule.input_tokens) == [2, 1, 2, 1, 2]
    assert list(made.schedule.output_tokens) == [3, 50, 3, 50, 3]
    assert made.schedule.output_tokens.dtype == np.int32
    assert list(made.prompts)[:3] == ["one two", [{"role": "user", "content": "one"}], "one two"]
    assert made.notes == ["prompts repeat: 2 lines for 5 requests; a prefix cache can answer repeats"]
    by_time = asked | {"load_requests": None, "load_duration_s": 1.0}
    assert len(plan(spec_of(**by_time)).schedule) == 66  # 2 * 1 s / (5 ms + 26.5 * 1 ms) + 2
    path.write_text(path.read_text().replace("one two", "one six"))
    assert plan(spec_of(**asked)).schedule.hash != made.schedule.hash


def test_prompts_too_short_to_differ_are_noted(spec_of: SpecOf) -> None:
    made = plan(spec_of(load_concurrency=1, load_requests=5000, workload_input_tokens=1))
    assert made.notes == [
        "904 of 5000 prompts repeat: they are too short to be all different; a prefix cache can answer repeats"
    ]


@settings(max_examples=15, deadline=None)
@given(rows=st.integers(1, 500), low=st.integers(1, 30), spread=st.integers(0, 30), seed=st.integers(0, 2**64))
def test_every_plan_keeps_its_promises(
    spec_of: SpecOf, tokenizer: Tokenizer, rows: int, low: int, spread: int, seed: int
) -> None:
    lengths = f"uniform:{low},{low + spread}"
    made = plan(spec_of(load_rate=9.0, load_requests=rows, workload_input_tokens=lengths, run_seed=seed))
    texts = [p for p in made.prompts if isinstance(p, str)]
    assert tokenizer.counts(texts) == made.schedule.input_tokens.tolist()
    assert len(set(texts)) == len(texts) == rows
