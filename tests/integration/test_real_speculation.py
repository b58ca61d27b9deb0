"""Speculative decoding of a real engine: what its replies tell is what its own log counts."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from typing import Any

import pytest
from real_run import Run

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("alone")]

NGRAM_SIMPLE = 6
"""Of llama.cpp's kinds of guesses: what followed the last tokens when they stood there before."""
ACCEPTED = re.compile(r"\( *(\d+) accepted / *(\d+) generated\)")


def test_guesses_and_what_held_are_told_with_each_reply(run: Run, serve: partial[Any]) -> None:
    guesses = {"speculative.types": [NGRAM_SIMPLE], "speculative.ngram_simple.size_n": 1}
    with serve(**guesses, **{"speculative.ngram_simple.size_m": 4}) as server:
        load = ("--concurrency", "2", "--requests", "6", "--input-tokens", "40", "--output-tokens", "32")
        ran = run(server.url, *load, "--set", 'endpoint.extra_body={"temperature": 0}')
    assert ran.measured, ran.err
    columns = (ran.column(name) for name in ("accepted_tokens", "draft_tokens"))
    told = [(held, guessed) for held, guessed in zip(*columns, strict=True) if guessed == guessed]
    assert told and all(0 <= held <= min(guessed, 31) for held, guessed in told)
    logged = [(int(held), int(guessed)) for held, guessed in ACCEPTED.findall(serve.args[0].read_text())]
    assert not Counter(told) - Counter(logged)
    (found,) = ran.result.speculation
    assert (found.source, found.requests, found.steps) == ("its replies", len(told), None)
    assert (found.accepted_tokens, found.draft_tokens) == tuple(map(sum, zip(*told, strict=True)))
    # llama.cpp sends the tokens of a step in events of their own.
    assert ran.result.tokens_per_chunk is not None and ran.result.itl_by_token is None
