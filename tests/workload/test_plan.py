from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadcell.errors import UsageError
from loadcell.spec import Load, Spec
from loadcell.workload import FilePrompts, Tokenizer, plan, vocabulary_of
from loadcell.workload.arrivals import MAX_REQUESTS
from loadcell.workload.planning import own_lengths
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
    own = [{"messages": [{"role": "user", "content": text}]} for text in ("one two", "one", "one two")]
    assert list(map(msgspec.json.decode, made.prompts))[:3] == own
    assert made.notes == [
        "prompts repeat: 2 lines for 5 requests, 2.5 times each; 60% of the requests repeat an earlier one, which a "
        "prefix cache can answer"
    ]
    by_time = asked | {"load_requests": None, "load_duration_s": 1.0}
    assert len(plan(spec_of(**by_time)).schedule) == 66  # 2 * 1 s / (5 ms + 26.5 * 1 ms) + 2
    assert not plan(spec_of(**by_time)).notes  # nobody knows how many of these are sent
    path.write_text(path.read_text().replace("one two", "one six"))
    changed = plan(spec_of(**asked))
    assert changed.schedule.hash == made.schedule.hash  # the same lengths at the same times
    assert isinstance(changed.prompts, FilePrompts) and isinstance(made.prompts, FilePrompts)
    assert changed.prompts.digest() != made.prompts.digest()


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


def texts_of(spec: Spec) -> list[str]:
    return [prompt for prompt in plan(spec).prompts if isinstance(prompt, str)]


def test_a_salt_changes_every_prompt_from_its_first_tokens_and_no_length_or_time(
    spec_of: SpecOf, tokenizer: Tokenizer
) -> None:
    specs = [spec_of(**OPEN | {"run_salt": salt}) for salt in (None, "", "a", "b")]
    made = [plan(spec) for spec in specs]
    assert len({one.schedule.hash for one in made}) == 1
    unsalted, empty, a, b = (texts_of(spec) for spec in specs)
    assert unsalted == empty
    assert texts_of(specs[2]) == a
    for texts in (unsalted, a, b):
        assert tokenizer.counts(texts) == made[0].schedule.input_tokens.tolist()
    first_words = [{" ".join(text.split()[:4]) for text in texts} for texts in (unsalted, a, b)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not first_words[one] & first_words[other]  # no block of a prefix cache can be shared


def test_a_salt_goes_with_seed_and_repetition(spec_of: SpecOf) -> None:
    salted = OPEN | {"run_salt": "a"}
    changes: list[dict[str, Any]] = [{}, {"run_seed": 1}, {"run_repetition": 1}, {"run_salt": "aa"}]
    assert len({texts_of(spec_of(**salted | change))[0] for change in changes}) == len(changes)


@pytest.mark.parametrize(("asked", "words"), [("512", 512), ("64", 256), ("8", 128), ("uniform:10,110", 240)])
def test_a_salted_run_uses_so_many_words_that_a_probe_can_send_each(spec_of: SpecOf, asked: str, words: int) -> None:
    vocabulary = vocabulary_of(spec_of(workload_input_tokens=asked, run_salt="a"))
    assert len(vocabulary.words) == len(set(vocabulary.words)) == vocabulary.probe_words == words
    assert sorted(vocabulary.probe.split()) == sorted(vocabulary.words)


@settings(max_examples=30, deadline=None)
@given(
    template=st.integers(0, 300), ratio=st.floats(0.95, 8), low=st.integers(1, 2000), spread=st.integers(0, 500),
    seed=st.integers(0, 2**32),
)  # fmt: skip
def test_lengths_by_the_server_hold_on_average(template: int, ratio: float, low: int, spread: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked = rng.integers(low, low + spread + 1, 4000).astype(np.int32)
    lengths = own_lengths(asked, template, ratio, rng)
    assert lengths.min() >= 1
    by_server = template + ratio * lengths
    can_be = asked >= template + ratio
    if can_be.any():
        assert abs(by_server[can_be] - asked[can_be]).max() <= ratio + 1e-6
        error = (by_server - asked)[can_be]
        assert abs(error.mean()) <= 5 * ratio / np.sqrt(can_be.sum())  # fractions are rounded up as often as they say
    assert (lengths[asked < template + ratio - 1e-9] == 1).all()


def test_lengths_are_kept_exactly_where_both_count_alike() -> None:
    asked = np.array([512, 25, 24, 3], np.int32)
    assert own_lengths(asked, 24, 1.0, np.random.default_rng(0)).tolist() == [488, 1, 1, 1]


def test_prompts_shorter_than_the_template_are_noted(spec_of: SpecOf) -> None:
    made = plan(
        spec_of(load_rate=9.0, load_requests=9, workload_input_tokens=8, workload_template_tokens=24, run_salt="a")
    )
    assert made.schedule.input_tokens.tolist() == [8] * 9
    assert [len(str(prompt).split()) for prompt in made.prompts] == [1] * 9
    assert made.notes[0] == (
        "9 of 9 prompts were to have fewer tokens than the server's chat template and one word have (25): they are "
        "sent with one word"
    )
