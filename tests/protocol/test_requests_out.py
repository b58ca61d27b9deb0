"""Request bodies: one prefix for a run, and what differs by request after it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.protocol import Form, dialect_of, error_message


def made(api: Any = "chat", prompt: Any = "hello", most: int = 5, **fields: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(text_of(api, prompt, most, **fields))
    return decoded


def text_of(api: str, prompt: Any, most: int, **fields: Any) -> bytes:
    given: dict[str, Any] = {"model": "m", "stream": True, "extra": {}, "ignore_eos": True} | fields
    model, stream, extra = (given.pop(name) for name in ("model", "stream", "extra"))
    form, dialect = Form(**given), dialect_of(api)
    return dialect.body(dialect.prefix(model, stream, form, extra), prompt, most, form.max_tokens_field)


@given(st.text(min_size=1), st.text(), st.integers(1, 2**31), st.sampled_from(["chat", "completions"]))
def test_a_body_says_what_was_asked(model: str, prompt: str, most: int, api: str) -> None:
    whole = made(api, prompt, most, model=model)
    assert (whole["model"], whole["max_tokens"], whole["stream"]) == (model, most, True)
    assert whole["messages" if api == "chat" else "prompt"] == (
        [{"role": "user", "content": prompt}] if api == "chat" else prompt
    )


def test_fields_of_a_request_s_own_pass_as_they_are() -> None:
    own = {"messages": [{"role": "user", "content": "why", "name": "eve"}], "temperature": 0.5}
    assert made(prompt=json.dumps(own).encode()).items() >= (own | {"model": "m", "max_tokens": 5}).items()


@pytest.mark.parametrize(("own", "run", "sent"), [(False, True, False), (True, True, True), (False, False, False)])
def test_a_request_may_end_where_the_run_does_not(own: bool, run: bool, sent: bool) -> None:
    fields = json.dumps({"messages": [], "ignore_eos": own}, separators=(",", ":")).encode()
    text = text_of("chat", fields, 5, ignore_eos=run)
    assert text.count(b'"ignore_eos"') == 1 and json.loads(text)["ignore_eos"] is sent
    quoted = json.dumps({"messages": [{"content": '"ignore_eos":'}]}, separators=(",", ":")).encode()
    assert made(prompt=quoted)["ignore_eos"] is True


@pytest.mark.parametrize(
    ("fields", "there", "absent"),
    [
        ({}, {"stream_options": {"include_usage": True}, "ignore_eos": True}, ()),
        ({"usage": False}, {}, ("stream_options",)),
        ({"stream": False}, {"stream": False}, ("stream_options",)),
        ({"ignore_eos": False}, {}, ("ignore_eos",)),
        ({"max_tokens_field": "max_completion_tokens"}, {"max_completion_tokens": 5}, ("max_tokens",)),
        ({"extra": {"temperature": 0.5, "n": 1}}, {"temperature": 0.5, "n": 1}, ()),
        ({"extra": {"max_tokens": 99, "messages": [], "prompt": "x"}}, {"max_tokens": 5}, ("prompt",)),
        ({"extra": {"model": "other", "ignore_eos": False}}, {"model": "other", "ignore_eos": False}, ()),
    ],
)
def test_optional_fields(fields: dict[str, Any], there: dict[str, Any], absent: tuple[str, ...]) -> None:
    whole = made(**fields)
    assert {name: whole.get(name) for name in there} == there
    assert not set(absent) & set(whole)
    assert whole["messages"] == [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    ("said", "form", "left"),
    [
        ("no ignore_eos here", Form(True), Form(False)),
        ("no ignore_eos here", Form(False), None),
        ("no stream_options here", Form(True), Form(True, usage=False)),
        ("no stream_options here", Form(True, usage=False), None),
        ("use max_completion_tokens", Form(True), Form(True, max_tokens_field="max_completion_tokens")),
        ("unknown field max_tokens", Form(True), Form(True, max_tokens_field="max_completion_tokens")),
        ("max_tokens is above 4096", Form(True), None),
        ("use max_completion_tokens", Form(True, max_tokens_field="max_completion_tokens"), None),
        ("no model m here", Form(True), None),
    ],
)
def test_what_a_refusal_names_is_left_out_or_said_otherwise(said: str, form: Form, left: Form | None) -> None:
    found = dialect_of("chat").without(form, said, False)
    assert (found and found[0]) == left
    insisted = dialect_of("chat").without(form, said, True)
    assert insisted == (None if "ignore_eos" in said else found)


def test_no_field_stands_twice() -> None:
    text = text_of("chat", "p", 5, extra={"model": "n", "stream": True, "max_tokens": 1, "messages": []})
    names = [name for name, _ in json.loads(text, object_pairs_hook=list)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b'{"error": {"message": "too long", "code": 7}}', "too long"),
        (b'{"error": "too long"}', "too long"),
        (b'{"object": "error", "message": "too long"}', "too long"),
        (b'{"detail": [{"loc": ["body", "n"], "msg": "bad"}]}', "body.n: bad"),
        (b'{"detail": [{"msg": "bad"}, {"msg": "worse"}]}', "bad; worse"),
        (
            b'{"error": {"message": "Unsupported parameter", "param": "max_tokens"}}',
            "max_tokens: Unsupported parameter",
        ),
        (b'[{"error": {"code": 400, "message": "bad key", "status": "INVALID"}}]', "bad key"),
        (b'{"error": true, "message": "no room"}', "no room"),
        (b'{"error": {"message": "", "type": "server_error"}}', '{"error": {"message": "", "type": "server_error"}}'),
        (b'{"title": "Gone", "detail": "it went away", "status": 410}', "it went away"),
        (b'"just words"', "just words"),
        (b"<html><head><title>502 Bad  Gateway</title></head><body><h1>x</h1></body></html>", "502 Bad Gateway"),
        (b"<!doctype html>\n<h1>It &amp; you</h1><script>a<b</script>", "It & you"),
        (b"<html><style>p{}</style><p>no <b>title</b> here</p></html>", "no title here"),
        (b"\x1b[31mred\x1b[0m and \x07bell", "[31mred [0m and bell"),
        (b"plain\r\n  words\t", "plain words"),
        (b"\xff\xfe", "2 bytes that are no text"),
        (b"{}", "{}"),
        (b"", ""),
    ],
)
def test_error_messages(payload: bytes, says: str) -> None:
    assert error_message(payload) == says


@given(st.binary(max_size=2000))
def test_an_error_message_is_one_line_of_bounded_length(payload: bytes) -> None:
    line = error_message(payload)
    assert "\n" not in line
    assert line == line.strip()
    assert len(line) <= 1000


@pytest.mark.parametrize("api", ["chat", "completions", "messages", "responses"])
def test_a_model_that_the_path_chooses_is_not_in_the_body(api: str) -> None:
    assert "model" not in made(api, model="")
    assert made(api, model="m")["model"] == "m"
