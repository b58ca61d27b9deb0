"""Tokens an event and ITL by token, of recordings whose truth is known."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plain_figures as plain
import pytest
from made import MS, events_of, ok_request

from loadcell.metrics import Result, build_result
from loadcell.recording.read import Recording

Make = Callable[..., Recording]
STEP = 20 * MS


def drafted(request: int, sizes: list[int], **more: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A reply whose events hold `sizes` tokens, 20 ms apart, and its events."""
    row = ok_request(request, start_ms=900 * request, tokens=len(sizes), output_tokens=sum(sizes)) | more
    events = [event | {"tokens": size} for event, size in zip(events_of(row), sizes, strict=True)]
    return row | {"first_tokens": sizes[0]}, events


def result_of(make: Make, replies: list[tuple[dict[str, Any], list[dict[str, Any]]]]) -> tuple[Result, Recording]:
    recording = make([row for row, _ in replies], events=[event for _, events in replies for event in events])
    return build_result(recording), recording


def geometric(rng: random.Random, most: int, acceptance: float) -> int:
    """Tokens of a speculative step: guesses that hold, each by `acceptance` if all before it do, and one more."""
    held = 0
    while held < most and rng.random() < acceptance:
        held += 1
    return held + 1


@pytest.mark.parametrize(("most", "acceptance"), [(3, 0.7), (5, 0.4), (1, 0.9)])
def test_speculative_steps_of_known_acceptance(make: Make, most: int, acceptance: float) -> None:
    """The means of both are those of the geometric law, and every figure that of the Parquet files."""
    rng = random.Random(7)
    replies = [drafted(i, [1] + [geometric(rng, most, acceptance) for _ in range(40)]) for i in range(60)]
    result, recording = result_of(make, replies)
    a_step = (1 - acceptance ** (most + 1)) / (1 - acceptance)
    found, itl = result.tokens_per_chunk, result.itl_by_token
    assert found is not None and itl is not None and found.several and found.told_share == 1
    assert found.mean == pytest.approx((1 + 40 * a_step) / 41, rel=0.05)
    assert found.several_share == pytest.approx(acceptance * 40 / 41, abs=0.04)
    assert found.max == most + 1
    assert itl.mean_ms == pytest.approx(20 / a_step, rel=0.05) and itl.assumed_share == 0
    assert result.latency["itl_ms"].service.mean == pytest.approx(20, rel=1e-6)

    folder = Path(recording.path)
    theirs = plain.replies_of(plain.read(folder, "requests"), plain.read(folder, "chunks"))
    for name, value in plain.tokens_per_chunk(theirs).items():
        assert getattr(found, name) == pytest.approx(value), name
    for name, value in plain.itl_by_token(theirs).items():
        assert getattr(itl, name) == pytest.approx(value, rel=2e-5), name


def test_each_token_counts_once(make: Make) -> None:
    """Events of 1 and of 4 tokens by turns: of five tokens four take 5 ms, one 20."""
    result, _ = result_of(make, [drafted(i, [1] + [1, 4] * 10) for i in range(20)])
    itl = result.itl_by_token
    assert itl is not None and itl.tokens == 20 * 50
    assert (itl.p50_ms, itl.p90_ms, itl.max_ms) == (pytest.approx(5, rel=1e-4), pytest.approx(20, rel=1e-4), 20)
    assert itl.mean_ms == pytest.approx(20 * 20 / 50)


def test_one_token_an_event_has_no_other_itl(make: Make) -> None:
    result, _ = result_of(make, [drafted(i, [1] * 20) for i in range(20)])
    found = result.tokens_per_chunk
    assert found is not None and result.itl_by_token is None
    assert (found.mean, found.p50, found.p90, found.max, found.several_share) == (1, 1, 1, 1, 0)
    assert not found.several


def test_an_event_without_a_token_is_part_of_the_next_gap(make: Make) -> None:
    """Half a character: 40 ms for the 4 tokens of the event that completes it."""
    result, _ = result_of(make, [drafted(i, [1] + [0, 4] * 10) for i in range(20)])
    itl = result.itl_by_token
    assert itl is not None and itl.tokens == 20 * 40
    assert itl.p50_ms == itl.max_ms == pytest.approx(10, rel=1e-4)


def test_tokens_that_no_event_tells_have_a_mean_and_no_distribution(make: Make) -> None:
    rows = [ok_request(i, start_ms=900 * i, tokens=11, output_tokens=26, first_tokens=1) for i in range(20)]
    result = build_result(make(rows))
    found, itl = result.tokens_per_chunk, result.itl_by_token
    assert found is not None and itl is not None
    assert found.mean == pytest.approx(26 / 11) and found.several and found.told_share == 0
    assert (found.p50, found.p90, found.max, found.several_share) == (None, None, None, None)
    assert itl.assumed_share == 1 and itl.tokens == pytest.approx(20 * 25)
    assert itl.mean_ms == itl.p99_ms == pytest.approx(20 / 2.5, rel=1e-4)


def test_reasoning_that_was_not_sent_makes_no_event_hold_several(make: Make) -> None:
    """It is counted with the first event, and what follows is a token an event."""
    result, _ = result_of(make, [drafted(i, [201] + [1] * 19) for i in range(20)])
    found = result.tokens_per_chunk
    assert found is not None and not found.several and result.itl_by_token is None
    assert (found.p90, found.max) == (1, 201)


def test_replies_that_came_whole_have_neither(make: Make) -> None:
    rows = [ok_request(i, start_ms=900 * i, tokens=1, output_tokens=40) for i in range(20)]
    events = [event for row in rows for event in events_of(row)]
    whole = [row | {"first_any_ns": None, "first_answer_ns": None} for row in rows]
    result = build_result(make(whole, events=events))
    assert result.tokens_per_chunk is None and result.itl_by_token is None
