"""Text Generation Inference's own /generate_stream: what its reference tells of its events, and what is sent to it.

The reference: huggingface.github.io/text-generation-inference, its OpenAPI of version 2.4 (2024) and 3.3 (2025).
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from spoken import HEAD, LAST, at_once, chunk

from loadcell.errors import UsageError
from loadcell.kinds import KIND_ANSWER, KIND_DONE, KIND_EMPTY, KIND_ERROR, KIND_FINISH, KIND_USAGE
from loadcell.load.target import make_target
from loadcell.mlperf.wheel.replies import IdReply
from loadcell.protocol import Form, Reply
from loadcell.protocol.engines.tgi import TGI
from loadcell.spec import Endpoint

DETAILS = {"finish_reason": "length", "generated_tokens": 3, "seed": None, "input_length": 6}


def token(index: int | None, text: str, special: bool = False, **more: Any) -> dict[str, Any]:
    """An event; without an index as versions before 1.3 wrote it."""
    said = {"token": {"id": 100 + (index or 0), "text": text, "logprob": -0.34, "special": special}}
    return ({} if index is None else {"index": index}) | said | {"generated_text": None, "details": None} | more


def last(index: int | None, text: str, special: bool = False, **details: Any) -> dict[str, Any]:
    return token(index, text, special, generated_text="all of it", details=DETAILS | details)


def read(*values: dict[str, Any], make: type[Reply] = Reply) -> Reply:
    """A reply of these events as its server writes them: no space after the colon, and comments between."""
    reply = make(TGI)
    events = [b"data:" + json.dumps(value, separators=(",", ":")).encode() + b"\n\n" for value in values]
    for number, one in enumerate([HEAD, *map(chunk, [*events[:1], b":\n\n", *events[1:]]), LAST]):
        reply.feed([one], number)
    assert reply.closed
    return reply


def test_an_event_is_a_token_and_the_last_says_that_it_is() -> None:
    reply = read(token(1, "Paris"), token(2, " is"), last(3, " big"))
    assert (reply.failure, reply.finish_reason, reply.done) == (None, "length", True)
    assert list(reply.kinds) == [
        KIND_ANSWER, KIND_ANSWER, KIND_ANSWER | KIND_FINISH | KIND_USAGE | KIND_DONE,
    ]  # fmt: skip
    assert (reply.content, reply.tokens) == (["Paris", " is", " big"], [1, 1, 1])
    assert reply.usage is not None and (reply.usage.prompt_tokens, reply.usage.output_tokens) == (6, 3)


def test_a_special_token_is_counted_and_is_no_output() -> None:
    reply = read(token(1, "Paris"), token(2, "."), last(3, "</s>", True, finish_reason="eos_token"))
    assert (reply.content, reply.finish_reason) == (["Paris", "."], "eos_token")
    assert not reply.kinds[2] & KIND_ANSWER and reply.usage is not None and reply.usage.output_tokens == 3


def test_a_token_without_text_comes_with_the_next_that_has_some() -> None:
    reply = read(token(1, "a"), token(2, ""), last(3, "\u00e9"))
    assert (reply.kinds[1], [reply.tokens[0], reply.tokens[2]]) == (KIND_EMPTY, [1, 2])


@pytest.mark.parametrize("index", [True, False])
def test_ids_are_kept_and_each_event_counts_once(index: bool) -> None:
    values = [token(n if index else None, "w") for n in (1, 2)] + [last(3 if index else None, "w")]
    reply = read(*values, make=IdReply)
    assert isinstance(reply, IdReply) and list(reply.ids) == ([101, 102, 103] if index else [100, 100, 100])
    assert (reply.tokens, reply.token_source) == ([1, 1, 1], "stream"), "the last tells how many there were"


@pytest.mark.parametrize("reason", ["length", "eos_token", "stop_sequence"])
def test_why_an_output_ends(reason: str) -> None:
    reply = read(token(1, "a"), last(2, "b", finish_reason=reason))
    assert (reply.failure, reply.finish_reason) == (None, reason)


def test_without_details_the_text_of_it_all_is_the_end() -> None:
    reply = read(token(1, "a"), token(2, "b", generated_text="ab"))
    assert (reply.failure, reply.finish_reason, reply.done, reply.usage) == (None, None, True, None)


def test_candidates_beside_a_token_are_no_output() -> None:
    others = [{"id": 7, "text": " was", "logprob": -1.5, "special": False}]
    reply = read(token(1, "a", top_tokens=others), last(2, "b", False))
    assert reply.content == ["a", "b"]


@pytest.mark.parametrize(
    "error",
    [
        {"error": "Request failed during generation: out of memory", "error_type": "generation"},
        {"error": "Input validation error: `inputs` must have less than 1024 tokens", "error_type": "validation"},
        {"error": "Model is overloaded", "error_type": "overloaded"},
        {"error": "Incomplete generation", "error_type": "incomplete_generation"},
    ],
)
def test_an_error_is_told_in_the_servers_words(error: dict[str, str]) -> None:
    reply = read(token(1, "a"), error)
    assert reply.failure == ("stream_error", error["error"])
    assert reply.kinds[-1] == KIND_ERROR


def test_a_stream_without_its_last_event_was_cut() -> None:
    assert read(token(1, "a"), token(2, "b")).failure == ("cut", "the stream ended without generated_text")


def test_a_reply_that_is_not_streamed() -> None:
    details = {"finish_reason": "stop_sequence", "generated_tokens": 2, "seed": 42, "prefill": [], "tokens": []}
    reply = at_once(TGI, {"generated_text": "Paris is", "details": details})
    assert (reply.failure, reply.finish_reason, reply.content) == (None, "stop_sequence", ["Paris is"])
    assert reply.usage is not None and (reply.usage.prompt_tokens, reply.usage.output_tokens) == (None, 2)


def test_a_reply_of_another_api_is_none() -> None:
    reply = at_once(TGI, {"choices": [{"text": "hello"}]})
    assert reply.failure is not None and reply.failure[1].startswith("the reply has no token or generated_text: ")


# --- requests ---------------------------------------------------------------------------------------------------------


def body(prompt: str | bytes, form: Form = TGI.form, **extra: Any) -> Any:
    return json.loads(TGI.body(TGI.prefix("m", True, form, extra), prompt, 7, form.max_tokens_field))


def test_a_text_is_the_input_and_its_details_are_asked_for() -> None:
    assert body('say "hi"') == {"inputs": 'say "hi"', "parameters": {"details": True, "max_new_tokens": 7}}
    assert body("hi", TGI.form._replace(usage=False)) == {"inputs": "hi", "parameters": {"max_new_tokens": 7}}


def test_further_parameters_and_those_of_a_request() -> None:
    own = json.dumps({"prompt": "hi", "temperature": 0.5, "top_k": 3}).encode()
    assert body(own, parameters={"temperature": 0.9, "do_sample": True}, inputs="x", stream=False) == {
        "inputs": "hi",
        "parameters": {"details": True, "do_sample": True, "temperature": 0.9, "top_k": 3, "max_new_tokens": 7},
    }  # fmt: skip


@pytest.mark.parametrize("name", ["best_of", "n", "num_return_sequences"])
def test_several_outputs_are_refused(name: str) -> None:
    extra = {"parameters": {name: 2}}
    with pytest.raises(UsageError, match=rf"asks for several outputs \(parameters\.{name}: 2\)"):
        make_target(Endpoint(url="http://localhost", api="tgi", extra_body=extra), None)


def test_to_end_no_output_early_cannot_be_asked() -> None:
    with pytest.raises(UsageError, match="the tgi API cannot be asked for every output token"):
        make_target(Endpoint(url="http://localhost", api="tgi", ignore_eos=True), None)


def test_it_does_without_the_details_that_a_server_refuses() -> None:
    form, note = TGI.without(TGI.form, "unknown field `details`", False) or (None, None)
    assert form is not None and not form.usage and note == "the server refuses details: it sends no usage"
    assert TGI.without(form, "unknown field `details`", False) is None
    assert TGI.without(TGI.form, "more details in the log", False) is None


@pytest.mark.parametrize(
    ("page", "names"),
    [
        (b'{"model_id": "bigscience/blomm-560m", "version": "3.3.6"}', ["bigscience/blomm-560m"]),
        (b'{"version": "3.3.6"}', None),
        (b"[]", None),
        (b"<html>", None),
    ],
)
def test_its_model_is_what_it_tells_of_itself(page: bytes, names: list[str] | None) -> None:
    assert TGI.listed(page) == names
