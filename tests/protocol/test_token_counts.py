"""Which count of a reply's tokens is taken, where several sources tell."""

from __future__ import annotations

from typing import Any

import pytest
from spoken import SPOKEN, streamed

from loadcell.protocol import Evidence, Text, count, evidence
from loadcell.protocol.openai.dialect import CHAT


def of(usage: int | None, events: int, **more: Any) -> Evidence:
    plain = {"reasoning": None, "shown": False, "told": None, "told_by": None, "limit": None, "size": 0}
    return Evidence(**{"usage": usage, "events": events, **plain, **more})


@pytest.mark.parametrize(
    ("evidence", "text", "expected"),
    [
        (of(10, 10), None, (10, "usage")),
        (of(100, 98), None, (100, "usage")),  # the last is kept back
        (of(20, 5), 22, (20, "usage")),  # several tokens an event
        (of(20, 100), 24, (20, "usage")),  # a character an event
        (of(10, 100), 100, (100, "events")),
        (of(1, 10), 11, (10, "events")),
        (of(200, 10), 10, (10, "events")),
        (of(200, 10), 40, (40, "tokenizer")),
        (of(20, 10), 10, (10, "events")),
        (of(20, 5), 40, (20, "usage")),  # another tokenizer may be off by much
        (of(None, 10), 10, (10, "events")),
        (of(None, 5), 20, (20, "tokenizer")),
        (of(None, 10, limit=10), None, (10, "events")),
        (of(None, 10, limit=64), 20, (20, "tokenizer")),
        (of(None, 5, told=10, told_by="ids"), None, (10, "ids")),
        (of(20, 5, told=10, told_by="ids"), 11, (10, "ids")),
        (of(20, 5, told=10, told_by="ids"), 18, (20, "usage")),
        (of(4, 5, told=20, told_by="stream"), 19, (20, "stream")),  # usage tells each event's own
        # Reasoning: in the usage, left out of it, and counted but not sent.
        (of(10, 10, reasoning=5, shown=True), None, (10, "usage")),
        (of(5, 10, reasoning=5, shown=True), None, (10, "usage")),
        (of(80, 100, reasoning=20, shown=True), None, (100, "usage")),
        # Not streamed.
        (of(10, 0, size=50), None, (10, "usage")),
        (of(10, 0, size=500), 100, (100, "tokenizer")),
        (of(1000, 0, size=50), 10, (10, "tokenizer")),
        (of(None, 0, size=50), 10, (10, "tokenizer")),
    ],
)
def test_the_count_that_others_bear_out(evidence: Evidence, text: int | None, expected: tuple[int, str]) -> None:
    found = count(evidence)
    assert found.sure == (text is None), "a text is counted where it is needed, and only there"
    found = count(evidence, text if text is None else Text(text, words=text))
    assert (found.tokens, found.source, found.before) == (*expected, 0)


@pytest.mark.parametrize(
    ("evidence", "text", "expected"),
    [
        (of(None, 10), Text(24, words=10), (10, "events")),  # a tokenizer that splits each word
        (of(None, 10), Text(24, words=20), (24, "tokenizer")),
        (of(None, 10), Text(31, words=10), (31, "tokenizer")),
        (of(None, 20), Text(11, words=10), (11, "tokenizer")),  # pieces of tokens
        (of(100, 10), Text(24, words=10), (10, "events")),
        (of(20, 12), Text(34, words=1), (20, "usage")),  # between both
        (of(200, 10, limit=10), None, (10, "events")),
        (of(2, 0, size=50), Text(10, words=10), (10, "tokenizer")),
    ],
)
def test_what_the_words_say(evidence: Evidence, text: Text | None, expected: tuple[int, str]) -> None:
    assert count(evidence, text)[:2] == expected


@pytest.mark.parametrize(("events", "text"), [(10, None), (5, 10)])
def test_reasoning_that_is_not_sent_came_before_the_first_output(events: int, text: int | None) -> None:
    found = count(of(110, events, reasoning=100), text if text is None else Text(text, words=text))
    assert (found.tokens, found.source, found.before, found.came) == (110, "usage", 100, 10)


def test_without_a_text_what_is_told_stands_in() -> None:
    assert count(of(10, 100))[:2] == (10, "usage")
    assert count(of(None, 10))[:2] == (10, "chunks")
    assert count(of(None, 0, size=9))[:2] == (None, "chunks")
    assert count(of(None, 0)) == (None, None, 0, True)


@pytest.mark.parametrize(
    ("reason", "limit"), [("length", 1), ("MAX_TOKENS", 1), ("max_output_tokens", 1), ("stop", None)]
)
def test_a_reply_that_ended_at_its_limit_has_the_tokens_that_were_asked_for(reason: str, limit: int | None) -> None:
    """By whichever name its API knows that."""
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    told, _ = evidence(streamed(CHAT, [SPOKEN["chat"].token("a"), end]), 1)
    assert told.limit == limit
