"""One odd optional field spoils no reply, and text in any field of a delta is output."""

from __future__ import annotations

from typing import Any

import pytest
from contract_runs import Run
from difficult import EACH, Said, holds
from scripted import json_reply, serve, usage
from stream_kinds import FIELDS, OTHER_FIELDS, PATHS, THOUGHTS, cases

from loadcell.workload import load_tokenizer

Kinds = dict[tuple[str, str], Said]
APIS = pytest.mark.parametrize("api", ["chat", "completions"])
TEN = "one two three four five six seven eight nine ten"


@pytest.mark.parametrize(("api", "name"), cases(FIELDS))
def test_odd_fields(kinds: Kinds, api: str, name: str) -> None:
    holds(kinds[api, name], FIELDS[name], busy=True)


@pytest.mark.parametrize(("api", "name"), cases(OTHER_FIELDS))
def test_output_in_other_fields(kinds: Kinds, api: str, name: str) -> None:
    holds(kinds[api, name], OTHER_FIELDS[name], busy=True)


@APIS
@pytest.mark.parametrize("name", PATHS)
def test_unknown_fields_are_named(kinds: Kinds, api: str, name: str) -> None:
    alone, first = kinds[api, f"all output in {name}"].result, kinds[api, f"{name} before content"].result
    path = PATHS[name]
    for result in (alone, first):
        assert result.replies is not None and result.replies.other_fields == {path: EACH}
        assert any(f"not known to hold output: {path} ({EACH})" in note for note in result.notes)
    (check,) = [one for one in first.verdict.checks if one.name == "first_field"]
    assert check.word == "SUSPECT" and path in check.says
    (check,) = [one for one in alone.verdict.checks if one.name == "first_field"]
    assert check.word == "VALID", "there are no known ones that it came before"


def test_thinking_in_parts_is_reasoning(alone: None, kinds: Kinds) -> None:
    said = kinds["chat", "content as parts, thinking first"]
    first, answer = said.service_ms("ttft_ms"), said.service_ms("ttfa_ms")
    assert first is not None and answer is not None and answer - first == pytest.approx(100, abs=25)
    assert said.texts == {"word " * 5}


WHOLE: dict[str, dict[str, Any]] = {
    "parts": {"message": {"role": "assistant", "content": [{"type": "text", "text": TEN}]}},
    "thinking": {"message": {"content": [*THOUGHTS, {"type": "text", "text": TEN}]}},
    "odd fields": {"message": {"role": 7, "content": TEN, "tool_calls": "", "annotations": {}}, "logprobs": 3},
    "index": {"index": "0", "message": {"content": TEN}, "unheard": [1]},
    "finish reason": {"message": {"content": TEN}, "finish_reason": {"type": "length"}},
    "unknown field": {"message": {"content": None, "unheard": TEN}},
}


@pytest.mark.parametrize("name", WHOLE)
def test_the_same_unstreamed(run: Run, name: str) -> None:
    choice = {"index": 0, "finish_reason": "length"} | WHOLE[name]
    reply = json_reply({"created": "now", "id": 7, "choices": [choice], "usage": usage(10) | {"total_tokens": "17"}})
    with serve(lambda _: [reply], probe=lambda _: [reply]) as server:
        ran = run(server.url, requests=4, stream=False, ignore_eos=False, output_tokens=10)
    assert {(row["status"], row["output_tokens"], row["token_source"]) for row in ran.rows} == {("ok", 10, "usage")}
    assert ran.result.replies is not None and list(ran.result.replies.ended_by) == ["length"]


def test_the_text_of_parts_is_counted_unstreamed(run: Run) -> None:
    words = [{"type": "text", "text": f"{word} "} for word in TEN.split()]
    reply = json_reply({"choices": [{"message": {"content": words}, "finish_reason": "stop"}]})
    with serve(lambda _: [reply], probe=lambda _: [reply]) as server:
        ran = run(server.url, requests=2, stream=False)
    assert {(row["status"], row["output_tokens"], row["token_source"]) for row in ran.rows} == {
        ("ok", load_tokenizer("smollm2").count(TEN + " "), "tokenizer")
    }
