"""The engine's responses API against its reference (OpenAI, 2025)."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest
from engine_client import FAST, Engine, Reply, Start

pytestmark = pytest.mark.usefixtures("alone")


def ask(engine: Engine, most: int | None = 4, request_id: str = "", **fields: Any) -> Reply:
    body = {"input": "three short words", "max_output_tokens": most, "stream": True}
    headers = {"X-Request-Id": request_id} if request_id else {}
    return engine.ask("POST", "/v1/responses", json.dumps(body | fields).encode(), headers)


def events(reply: Reply, eol: str = "\n") -> list[dict[str, Any]]:
    """The data of each event, which says its name again and counts."""
    *parts, rest = reply.body.decode().split(2 * eol)
    assert rest == ""
    pairs = [part.split(eol) for part in parts]
    found = [json.loads(data.removeprefix("data: ")) for _, data in pairs]
    assert [name.removeprefix("event: ") for name, _ in pairs] == [data["type"] for data in found]
    assert [data["sequence_number"] for data in found] == list(range(len(found)))
    return found


@pytest.mark.parametrize(("flags", "eol"), [((), "\n"), (("--crlf",), "\r\n")])
def test_a_stream_has_an_event_a_token_between_those_of_its_response(
    start: Start, flags: tuple[str, ...], eol: str
) -> None:
    engine = start(*FAST, *flags)
    found = events(ask(engine, 5, "me"), eol)
    begin = ["created", "in_progress", "output_item.added", "content_part.added"]
    finish = ["output_text.done", "content_part.done", "output_item.done", "incomplete"]
    names = [*begin, *["output_text.delta"] * 5, *finish]
    assert [data["type"] for data in found] == [f"response.{name}" for name in names]
    texts = [data["delta"] for data in found if data["type"].endswith("delta")]
    assert [len(text) for text in texts] == [5] * 5
    assert found[9]["text"] == found[10]["part"]["text"] == "".join(texts)
    assert (found[0]["response"]["usage"], found[0]["response"]["status"]) == (None, "in_progress")
    last = found[-1]["response"]
    assert (last["id"], last["status"], last["incomplete_details"]) == (
        "resp_me", "incomplete", {"reason": "max_output_tokens"},
    )  # fmt: skip
    assert last["output"][0]["content"][0]["text"] == "".join(texts)
    assert (last["usage"]["input_tokens"], last["usage"]["output_tokens"], last["usage"]["total_tokens"]) == (3, 5, 8)
    truth = engine.truth_of("me")
    assert (truth["outcome"], truth["prompt_tokens"], len(set(truth["tokens_ns"]))) == ("ok", 3, 5)


def test_several_tokens_may_come_in_an_event(start: Start) -> None:
    found = events(ask(start(*FAST, "--tokens-per-chunk", "3"), 5))
    texts = [data["delta"] for data in found if data["type"].endswith("delta")]
    assert [len(text.split()) for text in texts] == [3, 2]


def test_what_is_not_streamed_is_one_response(fast: Engine) -> None:
    reply = ask(fast, 3, "whole-response", stream=False).json()
    assert (reply["object"], reply["status"]) == ("response", "incomplete")
    assert len(reply["output"][0]["content"][0]["text"].split()) == 3
    assert reply["usage"]["output_tokens"] == 3


def test_items_and_instructions_are_of_the_prompt(fast: Engine) -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "two words"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{} {}"},
        {"type": "function_call_output", "call_id": "c", "output": "a cat"},
    ]
    found = events(ask(fast, 1, input=items, instructions="be brief"))
    assert found[-1]["response"]["usage"]["input_tokens"] == 8


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"max_output_tokens": 0}, 400, "max_output_tokens must be at least 1"),
        ({"input": ""}, 400, "a text or a list of items is required"),
        ({"input": 5}, 400, "cannot be read"),
        ({"model": "other"}, 404, "does not exist"),
        ({"background": True}, 400, "nothing is kept here"),
        ({"previous_response_id": "resp_1"}, 400, "nothing is kept here"),
        ({"conversation": "conv_1"}, 400, "nothing is kept here"),
    ],
)
def test_what_cannot_be_served_is_refused(fast: Engine, fields: dict[str, Any], status: int, words: str) -> None:
    reply = ask(fast, **fields)
    assert reply.status == reply.json()["error"]["code"] == status
    assert words in reply.json()["error"]["message"]


def test_troubles_are_told_as_the_api_tells_them(start: Start) -> None:
    *_, error = events(ask(start(*FAST, "--stream-error-rate", "1"), 4))
    assert (error["type"], error["code"]) == ("error", "server_error")
    assert ask(start(*FAST, "--reject-rate", "1")).status == 429
    with pytest.raises(http.client.IncompleteRead):
        ask(start(*FAST, "--cut-rate", "1"), 4)


def test_usage_and_end_may_be_kept_back(start: Start) -> None:
    assert events(ask(start(*FAST, "--no-usage"), 2))[-1]["response"]["usage"] is None
    assert events(ask(start(*FAST, "--no-done"), 2))[-1]["type"] == "response.output_item.done"
