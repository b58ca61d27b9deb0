"""Requests that are longer than the model's context: which they are, by whose count, and what is done about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.context import TooLong, told_too_long
from loadcell.errors import UsageError
from loadcell.spec import build_spec, with_defaults
from loadcell.workload import Context, Plan, Server, Tokenizer, plan
from loadcell.workload.clipping import clipped
from loadcell.workload.context import fit, room_of

VLLM = (
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4900 in the messages, 100 "
    "in the completion). Please reduce the length of the messages or completion."
)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (VLLM, TooLong(4096, 4900, 100, 5000)),
        ("'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 "
         "tokens and your request has 10 input tokens (5000 > 4096 - 10).", TooLong(4096, 10, 5000, 5010)),
        ("You passed 5001 input tokens and requested 10 output tokens. However, the model's context length is only "
         "4096 tokens, resulting in a maximum input length of 4086 tokens.", TooLong(4096, 5001, 10, 5011)),
        ("The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
         TooLong(4096, 5000, None, 5000)),
        ("Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of "
         "5000 tokens: 4000 tokens from the input messages and 1000 tokens for the completion.",
         TooLong(4096, 4000, 1000, 5000)),
        ("The input (5000 tokens) is longer than the model's context length (4096 tokens).",
         TooLong(4096, 5000, None, 5000)),
        ("request (931 tokens) exceeds the available context size (512 tokens), try increasing it",
         TooLong(512, 931, None, 931)),
        ("the request exceeds the available context size. try increasing the context size or enable context shift",
         TooLong(None, None, None, None)),
        ("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and "
         "20 `max_new_tokens`", TooLong(4096, 5000, 20, 5020)),
        ("Input validation error: `inputs` must have less than 1024 tokens. Given: 2000",
         TooLong(1024, 2000, None, 2000)),
        ("prompt is too long: 215,000 tokens > 200,000 maximum", TooLong(200000, 215000, None, 215000)),
        ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
         TooLong(200000, 190000, 20000, 210000)),
        ("This model's maximum context length is 8192 tokens, however you requested 8300 tokens (8200 in your prompt; "
         "100 for the completion).", TooLong(8192, 8200, 100, 8300)),
    ],
)  # fmt: skip
def test_what_servers_say_of_long_requests(said: str, told: TooLong) -> None:
    assert told_too_long("http_400", said) == told
    assert told_too_long("http_429", said) is None


@pytest.mark.parametrize(
    "said",
    ["tokens per minute: limit 4096, used 4000, requested 500", "max_tokens must be at least 1", "model not found", "",
     "the image is too large"],
)  # fmt: skip
def test_other_refusals_are_none_of_length(said: str) -> None:
    assert told_too_long("http_400", said) is None


LENGTHS = st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 2000)), min_size=1, max_size=30)


@given(LENGTHS, st.integers(2001, 6000), st.one_of(st.none(), st.integers(1, 5000)), st.sampled_from(["drop", "clip"]))
def test_what_is_sent_has_room(lengths: list[tuple[int, int]], tokens: int, most_in: int | None, remedy: Any) -> None:
    asked, out = (np.array(column, np.int32) for column in zip(*lengths, strict=True))
    context = Context(tokens, "a page", most_in)
    done = fit(asked, out, context, remedy, "prompts")
    for i, (tokens_in, tokens_out) in enumerate(lengths):
        fits = tokens_in + tokens_out <= tokens and (most_in is None or tokens_in <= most_in)
        assert done.keep[i] == (fits or remedy == "clip")
        if fits:
            assert done.input_tokens[i] == tokens_in
        elif remedy == "clip":  # as long as there is room for, and no shorter
            assert done.input_tokens[i] == min(tokens - tokens_out, most_in or tokens)
    assert (done.dropped, done.clipped) == ((np.sum(~done.keep), 0) if remedy == "drop" else (0, done.clipped))
    assert (done.input_tokens[done.keep] <= room_of(out, context)[done.keep]).all()


def test_a_refusal_has_the_arithmetic() -> None:
    context = Context(4096, "max_model_len of /models")
    asked, out = np.array([10, 4000, 4090]), np.array([10, 200, 10])
    with pytest.raises(UsageError) as error:
        fit(asked, out, context, "refuse", "prompts")
    assert str(error.value) == (
        "2 of 3 prompts are longer than the model's context, as in 4,000 tokens in + 200 out = 4,200 > 4,096 "
        "(max_model_len of /models)"
    )
    with pytest.raises(UsageError, match=r"1 of 1 prompts .* 5 tokens in \+ 5,000 out = 5,005 > 4,096"):
        fit(np.array([5]), np.array([5000]), context, "clip", "prompts")
    with pytest.raises(UsageError, match=r"50 tokens in > 40 \(max_input_tokens\)"):
        fit(np.array([50]), np.array([5]), Context(4096, "max_input_tokens", 40), "refuse", "prompts")


Planned = Callable[..., Plan]


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    """The plan of a run of `lines`, or of planned lengths, against a server with a context of `tokens`, whose tokens
    are `ratio` of ours."""

    def make(lines: list[Any] | None, tokens: int | None, ratio: float = 1.0, out: int = 10, **workload: Any) -> Plan:
        (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, lines or ())))
        prompts = {} if lines is None else {"prompts": str(tmp_path / "p.jsonl")}
        tree = {
            "endpoint": {"url": "http://h:1"},
            "load": {"concurrency": 1, "requests": 2 * len(lines or [1, 2])},
            "workload": {"output_tokens": str(out), **prompts, **workload},
            "run": {"salt": "s"},
        }
        context = None if tokens is None else Context(tokens, "max_model_len of /models")
        ours = Tokenizer("t", True, tokenizer_of())
        server = Server(lambda: context, lambda text: 7 + round(ratio * ours.count(text)), 7)
        return plan(with_defaults(build_spec(tree)), server=server)

    return make


def tokenizer_of() -> Any:
    from loadcell.workload import load_tokenizer

    return load_tokenizer("smollm2").make


def words(count: int) -> str:
    return " ".join(["word"] * count)


LINES = [{"prompt": words(100)}, {"prompt": words(1500)}, {"prompt": words(900)}, {"prompt": words(2500)}]


def test_long_prompts_of_a_file_are_refused_with_the_arithmetic(planned: Planned) -> None:
    with pytest.raises(UsageError) as error:
        planned(LINES, 1200)
    assert str(error.value).split("p.jsonl", 1)[1] == (
        ":2: longer than the model's context: 1,507 tokens in + 10 out = 1,517 > 1,200 (max_model_len of /models), by "
        "the server's count of a piece of them; 2 of 4 prompts are ("
        + str(error.value).split(" prompts are (")[1].split(" too)")[0]
        + " too): leave them out by --too-long drop, cut them by --too-long clip, or say --context-tokens"
    )
    assert len(planned(LINES, 2600).schedule) == 8
    assert planned(LINES, None).context is None
    with pytest.raises(UsageError, match=r"> 1,000 \(--context-tokens\)"):
        planned(LINES, None, context_tokens=1000)


def test_the_server_says_how_long_its_prompts_are(planned: Planned) -> None:
    """The tokenizer of the file's count is not the server's: half as many tokens of its own are half as many."""
    made = planned(LINES, 1400, ratio=0.5)
    assert made.context == Context(1400, "max_model_len of /models")
    with pytest.raises(UsageError, match=r"p\.jsonl:2: .* 1,807 tokens in \+ 10 out = 1,817 > 1,400.*; 2 of 3 prompts"):
        planned([LINES[0], LINES[2], LINES[1]], 1400, ratio=2.0)


def test_long_prompts_are_dropped_and_counted(planned: Planned) -> None:
    made = planned(LINES, 1200, too_long="drop")
    sent = [json.loads(own)["messages"][0]["content"] for own in made.prompts]  # type: ignore[arg-type]
    assert sent == [words(100), words(900)] * 4
    (note,) = (note for note in made.notes if "left out" in note)
    assert note.startswith("2 of 4 prompts of ") and "1,507 tokens in + 10 out = 1,517 > 1,200" in note
    with pytest.raises(UsageError, match="longer than the model's context, as all prompts are"):
        planned(LINES[1:2], 1200, too_long="drop")


def test_long_prompts_are_clipped_and_counted(planned: Planned, tokenizer: Tokenizer) -> None:
    made = planned(LINES, 1200, too_long="clip")
    assert made.schedule.input_tokens.max() <= 1200 - 10 - 7
    assert made.schedule.input_tokens.max() >= 1200 - 10 - 7 - 3
    assert any(note.startswith("2 of 4 prompts of ") and "were clipped" in note for note in made.notes)
    system = b'{"role":"system","content":"Be brief."}'
    own = b'{"messages":[%b,{"role":"user","content":[{"type":"text","text":"%%b"}]}]}' % system
    cut = clipped(own % words(50).encode(), 20, tokenizer)
    assert cut is not None and json.loads(cut)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": words(30)}]},
    ]
    assert clipped(own % b"word", 20, tokenizer) is None


def test_planned_lengths_are_refused_or_clipped(planned: Planned) -> None:
    with pytest.raises(
        UsageError, match=r"4 of 4 planned requests .* 2,000 tokens in \+ 10 out = 2,010 > 1,500 .*: give"
    ):
        planned(None, 1500, input_tokens="2000")
    made = planned(None, 1500, input_tokens="2000", too_long="clip")
    assert made.schedule.input_tokens.tolist() == [1490] * 4
    assert made.notes[0] == (
        "4 of 4 planned prompts were clipped to the model's context of 1500 tokens (max_model_len of /models)"
    )
    with pytest.raises(UsageError, match="too_long drop leaves out prompts of a file"):
        planned(None, 1500, input_tokens="2000", too_long="drop")


def test_short_requests_ask_for_no_context(planned: Planned) -> None:
    """No server is asked for what every one has room for."""
    assert planned(None, 600, input_tokens="500").context is None
    assert planned(LINES[:1], 1200).context is None
