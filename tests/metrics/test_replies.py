"""What a Result says of its replies: reasons, counts and fields; and of recordings that do not know them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from made import ok_request

from loadcell.metrics import Check, Replies, Result, build_result
from loadcell.recording.read import Recording

Make = Callable[..., Recording]


def said(result: Result) -> Replies:
    assert result.replies is not None
    return result.replies


def check(result: Result, name: str) -> Check:
    (found,) = [check for check in result.verdict.checks if check.name == name]
    return found


def new(request: int, **more: Any) -> dict[str, Any]:
    """A request as it is recorded now."""
    return ok_request(request, start_ms=request, **{"outputs": 1, "usage_tokens": 10, "finish_reason": "length"} | more)


def test_an_older_recording_knows_its_reasons_alone(make: Make) -> None:
    rows = [ok_request(i, start_ms=i, finish_reason="stop" if i else "abort") for i in range(20)]
    result = build_result(make(rows))
    assert {name: one.share for name, one in said(result).ended_by.items()} == {"stop": 0.95, "abort": 0.05}
    assert said(result).usage_apart is None and said(result).without_usage == {}
    assert check(result, "usage").word is None
    assert not any("usage" in note for note in result.notes)


def test_a_result_without_an_ok_request_has_none(make: Make) -> None:
    assert build_result(make([ok_request(0, status="failed", error_kind="cut")])).replies is None


@pytest.mark.parametrize(("wrong", "word"), [(0, "VALID"), (1, "VALID"), (2, "SUSPECT")])
def test_a_usage_that_nothing_bears_out(make: Make, wrong: int, word: str) -> None:
    rows = [new(i, **{"usage_tokens": 100, "token_source": "events"} if i < wrong else {}) for i in range(100)]
    result = build_result(make(rows))
    assert said(result).usage_apart == wrong
    assert check(result, "usage").word == word
    if wrong:
        assert "usage counts 100 output tokens a reply where 10 came" in check(result, "usage").says


def test_a_usage_that_tells_what_was_counted_is_not_blamed(make: Make) -> None:
    """Of several outputs the first is counted by its events, and the usage of some servers is of one output too."""
    result = build_result(make([new(i, usage_tokens=10, token_source="events", outputs=2) for i in range(20)]))
    assert said(result).usage_apart == 0 and check(result, "usage").word == "VALID"


def test_a_usage_with_the_reasoning_left_out_is_borne_out(make: Make) -> None:
    result = build_result(make([new(i, usage_tokens=5, reasoning_tokens=5) for i in range(20)]))
    assert (said(result).usage_apart, said(result).hidden) == (0, 0)


def test_reasoning_that_is_not_in_the_stream(make: Make) -> None:
    rows = [
        new(i, tokens=10, output_tokens=110, usage_tokens=110, reasoning_tokens=100, first_tokens=101)
        for i in range(20)
    ]
    result = build_result(make(rows))
    assert (said(result).hidden, said(result).hidden_tokens) == (20, 100.0)
    assert result.latency["tpot_ms"].service.mean == pytest.approx(20)


@pytest.mark.parametrize(
    ("source", "words"), [("tokenizer", "over their text"), ("events", "a token each"), ("ids", "lists")]
)
def test_who_counted_without_usage_is_the_first_note(make: Make, source: str, words: str) -> None:
    result = build_result(make([new(i, usage_tokens=0 if i % 2 else None, token_source=source) for i in range(20)]))
    assert said(result).without_usage == {source: 20}
    assert (
        result.notes[0].startswith("the server sends no usage: the output tokens of 20 replies")
        and words in result.notes[0]
    )
    assert check(result, "usage").word is None


@pytest.mark.parametrize(("source", "word"), [("tokenizer", "VALID"), ("usage", "SUSPECT")])
def test_a_tokenizer_may_be_off(make: Make, source: str, word: str) -> None:
    """15 tokens where 10 were asked for."""
    rows = [new(i, output_tokens=15, asked_tokens=10, token_source=source) for i in range(20)]
    assert check(build_result(make(rows)), "long_outputs").word == word


def test_fields_and_outputs(make: Make) -> None:
    rows = [
        new(i, other_fields="plan, x.y" if i % 2 else "plan", first_field="plan" if i == 0 else None) for i in range(20)
    ]
    rows[5]["outputs"] = 2
    result = build_result(make(rows))
    assert (said(result).other_fields, said(result).first_fields) == ({"plan": 20, "x.y": 10}, {"plan": 1})
    assert any("plan (20), x.y (10)" in note for note in result.notes)
    assert said(result).several_outputs == 1 and check(result, "several_outputs").word == "SUSPECT"
    assert check(result, "first_field").word == "SUSPECT" and "plan (1)" in check(result, "first_field").says
