"""One of something is said in the singular, wherever a text is shown."""

import re

import pytest

from loadcell.grammar import one
from loadcell.phrases import phrase
from loadcell.report.text import plain
from loadcell.report.words import words_for

SAID = [
    ("1 lines of p.jsonl for 5 requests", "1 line of p.jsonl for 5 requests"),
    ("no end: 1 requests recorded up to its last flush", "no end: 1 request recorded up to its last flush"),
    ("1 planned requests were never sent", "1 planned request was never sent"),
    ("1 requests were planned, 2 started", "1 request was planned, 2 started"),
    ("3 of 1 requests were lost", "3 of 1 request were lost"),
    ("1 replies are empty", "1 reply is empty"),
    ("1 queries need more", "1 query needs more"),
    ("1 users wait since 12 s", "1 user waits since 12 s"),
    ("21 requests, 1,001 requests and 0.1 requests", "21 requests, 1,001 requests and 0.1 requests"),
    ("at 1 requests/s", "at 1 requests/s"),
    ("1 in 20 requests", "1 in 20 requests"),
    ("A1 requests", "A1 requests"),
    ("(1 requests)", "(1 request)"),
    ("1 s of 3 users", "1 s of 3 users"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "shown"), SAID)
def test_one_is_said_in_the_singular(text, shown):
    assert one(text) == shown
    numbers = re.findall(r"\d[\d.,]*", text)
    assert phrase(re.sub(r"\d[\d.,]*", "{}", text), *numbers) == shown
    assert phrase("they said: {}", f"{text} or so") == f"they said: {text} or so"
    assert words_for("en").say(text) == plain(text) == text


def test_spanish_says_one_in_the_singular_too():
    said = words_for("es").say(phrase("{:,} planned requests were never sent", 1))
    assert "1 solicitud" in said and "solicitudes" not in said
    assert "solicitudes" in words_for("es").say(phrase("{:,} planned requests were never sent", 2))
