"""Events that the API does not foresee: what is needed is taken, and one odd field spoils no reply."""

from __future__ import annotations

from typing import Any

import pytest
from test_reply import DONE, FINISH, HEAD, LAST, chunk, event, parse, token

from loadcell.kinds import KIND_ANSWER, KIND_EMPTY, KIND_OUTPUT, KIND_REASONING, KIND_TOOL
from loadcell.protocol import Reply


def stream(*events: Any) -> Reply:
    return parse([HEAD, *(chunk(event(one)) for one in events), chunk(event(FINISH)), chunk(DONE), LAST], 3)


def of(delta: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more}


def said(reply: Reply) -> tuple[Any, str, str]:
    return reply.failure, "".join(reply.content), "".join(reply.reasoning)


THINKING = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "hm "}]},
    {"type": "text", "text": "word "},
    {"type": "image_url", "image_url": {"url": "data:"}},
]


@pytest.mark.parametrize(
    ("delta", "answer", "thought"),
    [
        ({"content": "word ", "role": 7}, "word ", ""),
        ({"content": [{"type": "text", "text": "word "}]}, "word ", ""),
        ({"content": THINKING}, "word ", "hm "),
        ({"content": {"type": "text", "text": {"value": "word "}}}, "word ", ""),
        ({"content": ["word ", {"text": "word "}]}, "word word ", ""),
        ({"content": 42}, "42", ""),
        ({"content": "word ", "reasoning": {"text": "hm "}}, "word ", "hm "),
        ({"content": None, "reasoning_details": [{"type": "reasoning.text", "text": "hm "}]}, "", "hm "),
        ({"reasoning": "hm ", "reasoning_details": [{"text": "hm "}]}, "", "hm "),
        ({"thinking": "hm "}, "", "hm "),
        ({"thinking": [{"type": "text", "text": "hm "}]}, "", "hm "),
        ({"text": "word "}, "word ", ""),
        ({"content": "word ", "reasoning_details": [], "annotations": []}, "word ", ""),
        ({"content": "word ", "tool_calls": "", "function_call": False}, "word ", ""),
        ({"content": "word ", "audio": None, "annotations": [], "name": "x"}, "word ", ""),
        ("word ", "word ", ""),
    ],
)
def test_output_in_any_form(delta: Any, answer: str, thought: str) -> None:
    reply = stream(of({"role": "assistant", "content": ""}), *[of(delta)] * 6)
    assert said(reply) == (None, answer * 6, thought * 6)
    kind = KIND_ANSWER * bool(answer) | KIND_REASONING * bool(thought)
    assert [one & KIND_OUTPUT for one in reply.kinds] == [0, *[kind] * 6, 0, 0]
    assert reply.others == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"created": "now"}, {"id": 7}, {"object": 7}, {"model": None}, {"usage": "none"}, {"usage": [1]},
        {"usage": {"completion_tokens": None}}, {"usage": {"completion_tokens": -1}}, {"timings": 3}, {"metrics": []},
        {"usage": {"completion_tokens": 1e400}}, {"usage": {"completion_tokens": 10**30}},
        {"usage": {"prompt_tokens_details": []}}, {"error": ""},
        {"error": False}, {"error": {}}, {"error": {"code": 0, "message": ""}}, {"error": {"message": None}},
        {"error": "None"}, {"error": {"code": 200, "message": "ok"}}, {"error": [None]}, {"error": 0.0},
        {"error": "0"}, {"error": "no"}, {"system_fingerprint": {}},
    ],
)  # fmt: skip
def test_odd_fields_of_an_event(fields: dict[str, Any]) -> None:
    assert said(stream(*[token("word ") | fields] * 3)) == (None, "word " * 3, "")


@pytest.mark.parametrize(
    "fields",
    [
        {"index": "0"}, {"index": None}, {"index": 0.0}, {"logprobs": 7}, {"logprobs": {"content": []}},
        {"token_ids": "1"}, {"token_ids": []}, {"finish_reason": ""}, {"finish_reason": False}, {"message": None},
        {"unheard": 5}, {"stop_reason": [1]}, {"content_filter_results": {"hate": {"filtered": False}}},
    ],
)  # fmt: skip
def test_odd_fields_of_a_choice(fields: dict[str, Any]) -> None:
    choice = {"index": 0, "delta": {"content": "word "}, "finish_reason": None} | fields
    reply = stream(*[{"choices": [choice]}] * 3)
    assert said(reply) == (None, "word " * 3, "")
    assert reply.tokens[:3] == [None] * 3


@pytest.mark.parametrize("told", [12, "12", 12.0, "12.0"])
def test_counts_as_servers_write_them(told: Any) -> None:
    usage = {"prompt_tokens": told, "completion_tokens": told, "completion_tokens_details": {"reasoning_tokens": told}}
    reply = stream(
        token("word "), {"choices": None, "usage": usage | {"prompt_tokens_details": {"cached_tokens": told}}}
    )
    assert reply.failure is None and reply.usage is not None
    found = reply.usage
    assert (found.prompt_tokens, found.output_tokens) == (12, 12)
    assert (found.reasoning_tokens, found.cached_tokens) == (12, 12)


@pytest.mark.parametrize(
    ("told", "kind", "words"),
    [
        ({"message": "no memory", "code": 500}, "stream_error", "no memory"),
        ({"type": "error", "message": "no memory"}, "stream_error", "no memory"),
        ({"detail": "no memory"}, "stream_error", "no memory"),
        (
            {"error": {"message": "no memory"}, "choices": [{"delta": {}, "finish_reason": "error"}]}, "stream_error",
            "no memory",
        ),
        (
            {"choices": [{"delta": {}, "finish_reason": "error", "error": {"message": "no memory"}}]}, "gave_up",
            "the server gave its output up: finish_reason error: no memory",
        ),
        *(
            ({"choices": [choice]}, "gave_up", "the server gave its output up: finish_reason error: no memory")
            for choice in (
                {"delta": {}, "error": {"code": 502, "message": "no memory"}},
                {"delta": {}, "finish_reason": "length", "error": "no memory"},
                {"delta": {"error": "no memory"}}, {"message": {"content": "word ", "error": {"message": "no memory"}}},
            )
        ),
        ({"choices": [{"message": {"content": "a", "finish_reason": "abort"}}]}, "gave_up",
         "the server gave its output up: finish_reason abort"),
        *(
            (told, "stream_error", "no memory")
            for told in (
                {"errors": [{"message": "no memory"}]}, {"error_code": 17, "error_msg": "no memory"},
                {"err": "no memory", "id": "x"}, {"code": "InternalError", "message": "no memory", "id": "x"},
                {"status": 503, "title": "no memory"}, {"success": False, "message": "no memory"},
                {"choices": [], "code": "500", "message": "no memory"}, {"status": "FAILED", "message": "no memory"},
                {"type": "response.failed", "response": {"error": {"message": "no memory"}}},
            )
        ),
        ({"status": "failed"}, "stream_error", '{"status": "failed"}'),
    ],
)  # fmt: skip
def test_errors_in_other_forms(told: dict[str, Any], kind: str, words: str) -> None:
    assert stream(token("word "), told).failure == (kind, words)


@pytest.mark.parametrize(
    "told",
    [
        {"type": "ping"},
        {"id": "x"},
        {"object": "keepalive", "message": "wait"},
        {"choices": []},
        {"status": "ok", "message": "queued"},
        {"code": 200, "message": "ok"},
        {"code": "success", "msg": "ok"},
        {"errors": [], "error_code": 0},
        {"choices": ""},
    ],
)
def test_what_is_no_error(told: dict[str, Any]) -> None:
    assert stream(token("word "), told).failure is None


def test_halves_of_a_character() -> None:
    reply = stream(token("a"), token("\ud83d"), token("\ude00"))
    assert reply.failure is None
    assert "".join(reply.content).encode()


@pytest.mark.parametrize("delta", [{"plan": "hm "}, {"audio": {"id": "a", "transcript": "hm "}}, {"x": [{"y": "hm "}]}])
def test_text_in_an_unknown_field_is_output(delta: dict[str, Any]) -> None:
    reply = stream(of({"role": "assistant"}), *[of(delta)] * 2, token("word "))
    (path,) = reply.others
    assert path == {"plan": "plan", "audio": "audio.transcript", "x": "x.y"}[next(iter(delta))]
    assert [kind & KIND_OUTPUT for kind in reply.kinds] == [0, KIND_REASONING, KIND_REASONING, KIND_ANSWER, 0, 0]
    assert reply.text() == "hm hm word "


def test_a_label_of_every_event_is_no_output() -> None:
    """A string that stands unchanged beside known output, and so in the first event too, which has none."""
    events = [of({"role": "assistant", "vendor": "acme"}), *[of({"content": "word ", "vendor": "acme"})] * 3]
    reply = stream(*events)
    assert [kind & KIND_OUTPUT for kind in reply.kinds] == [0, *[KIND_ANSWER] * 3, 0, 0]
    assert reply.kinds[0] == KIND_EMPTY and reply.others == {} and reply.text() == "word " * 3


def test_unknown_text_of_a_completion() -> None:
    events = [{"choices": [{"index": 0, "text": "", "ideas": "hm "}]}, {"choices": [{"index": 0, "text": "word "}]}]
    reply = stream(*events)
    assert [kind & KIND_OUTPUT for kind in reply.kinds[:2]] == [KIND_REASONING, KIND_ANSWER]
    assert list(reply.others) == ["ideas"]


def test_the_text_of_tool_calls_counts() -> None:
    call = {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{1}"}}]}
    reply = stream(of(call))
    assert reply.kinds[0] == KIND_TOOL and reply.text() == "f{1}"


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (3, 0), (None, 1), (None, 2)])
def test_of_several_outputs_the_first_is_measured(order: tuple[int | None, int]) -> None:
    """An index that is missing is 0: some servers leave out what has its default."""

    def word(index: int | None) -> dict[str, Any]:
        choice = {"delta": {"content": f"{index} "}, "finish_reason": None}
        return {"choices": [choice if index is None else choice | {"index": index}]}

    first, second = order
    reply = stream(
        *[word(first), word(second)] * 3, {"choices": [{"index": second, "delta": {}, "finish_reason": "x"}]}
    )
    assert said(reply) == (None, f"{first} " * 3, "")
    assert [bool(kind & KIND_OUTPUT) for kind in reply.kinds[:6]] == [True, False] * 3
    assert reply.indexes == {second}


def test_a_finish_reason_before_more_output_is_no_end() -> None:
    """`stop` in every event of a stream that is cut: no reason says that it is whole."""
    words = [chunk(event({"choices": [{"delta": {"content": "word "}, "finish_reason": "stop"}]}))] * 4
    assert parse([HEAD, *words]).failure == ("cut", "the connection ended before the reply did")
    cut = parse([HEAD, *words, LAST])
    assert cut.failure is not None and cut.failure[0] == "cut"
    assert parse([HEAD, *words, chunk(DONE), LAST]).failure is None
    assert parse([HEAD, words[0], LAST]).failure is None


def test_of_several_outputs_in_one_event_the_first_is_measured() -> None:
    both = {"choices": [{"index": index, "delta": {"content": f"{index} "}} for index in (0, 1)]}
    reply = stream(token("0 "), both)
    assert said(reply) == (None, "0 0 ", "")
    assert reply.indexes == {1}


def test_a_tool_call_may_be_the_first_output() -> None:
    call = {"choices": [{"index": 1, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{1}"}}]}}]}
    reply = stream(call, token("word "), call)
    assert [kind & KIND_OUTPUT for kind in reply.kinds[:3]] == [KIND_TOOL, 0, KIND_TOOL]
    assert reply.indexes == {0}


@pytest.mark.parametrize(
    "choices",
    [
        {"index": 0, "delta": {"content": "word "}}, {"index": 0, "message": {"content": "word "}},
        {"index": 0, "text": "word "}, {"0": {"index": 0, "delta": {"content": "word "}}},
    ],
)  # fmt: skip
def test_choices_that_are_no_list(choices: dict[str, Any]) -> None:
    """One that stands alone, or several by index."""
    assert said(stream(*[{"choices": choices}] * 3)) == (None, "word " * 3, "")


def test_token_ids_count_in_an_odd_event_too() -> None:
    reply = stream({"choices": [{"index": "0", "delta": {"content": "word "}, "token_ids": [1, 2]}]})
    assert (reply.tokens[0], reply.token_source) == (2, "ids")


@pytest.mark.parametrize("last", [{}, {"completion_tokens": 0}, {"prompt_tokens": 7}, {"completion_tokens": None}])
def test_an_empty_usage_takes_no_usage_back(last: dict[str, Any]) -> None:
    told = [{"choices": [], "usage": usage} for usage in ({"prompt_tokens": 7, "completion_tokens": 40}, last)]
    usage = stream(token("word "), *told).usage
    assert usage is not None and (usage.prompt_tokens, usage.output_tokens) == (7, 40)


def test_output_beside_a_delta_that_is_not_there() -> None:
    reply = stream(*[{"choices": [{"index": 0, "content": "word "}]}] * 3)
    assert said(reply) == (None, "word " * 3, "")
    reply = stream(*[{"choices": [{"index": 0, "reasoning": "hm "}]}] * 3)
    assert said(reply) == (None, "", "hm " * 3)
