"""Speculative decoding of the engine: what it gives, counts and tells is one truth."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from engine_client import FAST, Start
from test_engine_model import MS, model, play

from loadcell.engine.model import Stream
from loadcell.engine.options import EngineOptions


def test_a_step_gives_the_guesses_that_hold_and_one_more() -> None:
    engine = model(draft_tokens=3, acceptance=0.6, slots=50)
    streams = [Stream(i, 0, 400) for i in range(50)]
    times = play(engine, streams)
    drafts = engine.drafts
    assert drafts is not None
    assert all(stream.sent == 400 for stream in streams) and engine.generated == 50 * 400
    steps, tokens, accepted = (sum(stream.drafted[k] for stream in streams) for k in range(3))
    assert (drafts.steps, drafts.tokens, sum(drafts.accepted)) == (steps, tokens, accepted)
    # Every token is the first of its stream, one that held, or that which a step adds.
    assert sum(len(stamps) - 1 for stamps in times.values()) + accepted == 50 * 399
    assert accepted / steps == pytest.approx(0.6 + 0.6**2 + 0.6**3, rel=0.04)
    assert [n / steps for n in drafts.accepted] == pytest.approx([0.6, 0.36, 0.216], rel=0.05)


@pytest.mark.parametrize(("acceptance", "events"), [(1.0, 4), (0.0, 10)])
def test_the_output_ends_where_it_was_asked_to(acceptance: float, events: int) -> None:
    """1 + 4 + 4 + 1 tokens, and no guess where one token is left; or one token a step."""
    stream = Stream(0, 0, 10)
    engine = model(draft_tokens=3, acceptance=acceptance)
    assert len(play(engine, [stream])[0]) == events and stream.sent == 10
    assert stream.drafted == ((2, 6, 6) if acceptance else (8, 3 * 6 + 2 + 1, 0))


def test_in_lockstep_too() -> None:
    stream = Stream(0, 0, 10)
    assert play(model(draft_tokens=4, acceptance=1.0, lockstep=True), [stream])[0] == [50 * MS, 60 * MS, 70 * MS]


def test_options_that_contradict_are_refused() -> None:
    with pytest.raises(ValueError, match="both say what a step gives"):
        EngineOptions(draft_tokens=2, tokens_per_chunk=2)
    with pytest.raises(ValueError, match="acceptance is 1"):
        EngineOptions(acceptance=1.5)


def test_replies_and_the_page_tell_of_it(start: Start) -> None:
    engine = start(*FAST, "--draft-tokens", "3", "--acceptance", "0.5", "--request-metrics")
    told: Counter[str] = Counter()
    for i in range(5):
        reply = engine.chat(60, f"r{i}", stream_options={"include_usage": True})
        events = [event for event in reply.events() if event != "[DONE]" and event["choices"]]
        texts = [event["choices"][0]["delta"].get("content", "") for event in events]
        assert [len(text.split()) for text in texts if text] == [
            n for _, n in sorted(Counter(engine.truth_of(f"r{i}")["tokens_ns"]).items())
        ]
        told.update(reply.events()[-2]["metrics"]["speculative_decoding"])
    page = engine.ask("GET", "/metrics").body.decode()
    counted = {
        name: int(n) for name, n in re.findall(r"^vllm:spec_decode_num_(\w+)_total\{[^}]*\} (\d+)$", page, re.MULTILINE)
    }
    assert told == {
        "num_spec_steps": counted["drafts"],
        "num_draft_tokens": counted["draft_tokens"],
        "num_accepted_draft_tokens": counted["accepted_tokens"],
    }
    assert 0 < counted["accepted_tokens"] < counted["draft_tokens"]
    assert page.count("accepted_tokens_per_pos_total{") == 3


def test_an_engine_that_guesses_nothing_tells_nothing(start: Start) -> None:
    engine = start(*FAST, "--request-metrics")
    reply = engine.chat(6, stream_options={"include_usage": True})
    assert "speculative_decoding" not in reply.events()[-2]["metrics"]
    assert b"spec_decode" not in engine.ask("GET", "/metrics").body
