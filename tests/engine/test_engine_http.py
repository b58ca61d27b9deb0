"""Request heads and bodies: what is taken, what is refused, and that junk is refused politely."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadcell.engine import api, http
from loadcell.engine.api import ApiError, Asked, OpenAIVoice, Phrases, read_request
from loadcell.engine.http import HttpError, take_head
from loadcell.engine.model import TABLE
from loadcell.engine.options import EngineOptions

GOOD = b"POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-A: 1\r\nx-a:  2 \r\n\r\n"


def test_a_head_is_taken_off_the_front() -> None:
    buffer = bytearray(b"\r\n" + GOOD + b"hello")
    taken = take_head(buffer)
    assert taken
    head, size = taken
    assert (head.method, head.path, head.length, head.keep_alive) == ("POST", "/v1/chat/completions", 5, True)
    assert head.headers["x-a"] == "1, 2"
    assert size == len(GOOD) + 2
    assert buffer == b"hello"


@given(st.integers(0, len(GOOD) - 1))
def test_a_partial_head_waits(cut: int) -> None:
    buffer = bytearray(GOOD[:cut])
    assert take_head(buffer) is None
    assert buffer == GOOD[:cut]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\na b: c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\na: b\0c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\na: b\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 505),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (http.MAX_BODY + 1), 413),
        (b"GET / HTTP/1.1\r\na: " + b"b" * http.MAX_HEAD, 431),
        (b"\r\n" * http.MAX_HEAD, 400),
    ],
)
def test_refused_heads(raw: bytes, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        take_head(bytearray(raw))
    assert caught.value.status == status


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.binary(max_size=300)
    | st.tuples(st.binary(max_size=40), st.binary(max_size=40)).map(lambda p: GOOD.replace(p[0], p[1]))
)
def test_junk_heads_end_in_a_head_a_wait_or_a_refusal(raw: bytes) -> None:
    try:
        take_head(bytearray(raw))
    except HttpError as error:
        assert 400 <= error.status <= 505


def read(chat: bool = True, **fields: object) -> Asked:
    return read_request(json.dumps(fields).encode(), chat, "m")


MESSAGES = [
    {"role": "user", "content": "one two"},
    {"role": "user", "content": [{"type": "text", "text": " three\nfour "}]},
]


def test_a_word_is_a_token() -> None:
    assert read(messages=MESSAGES).prompt_tokens == 4
    assert read(messages=[{"role": "assistant", "content": None}]).prompt_tokens == 0
    for prompt, count in (("a b  c", 3), ([5, 6, 7, 8], 4), (["a b"], 2), ([[1, 2, 3]], 3), ("", 0)):
        assert read(chat=False, prompt=prompt).prompt_tokens == count


def test_what_is_asked_for() -> None:
    assert read(messages=MESSAGES).max_tokens == 128
    assert read(messages=MESSAGES, max_tokens=7).max_tokens == 7
    assert read(messages=MESSAGES, max_tokens=7, max_completion_tokens=9).max_tokens == 9
    options = {"include_usage": True, "continuous_usage_stats": True}
    asked = read(messages=MESSAGES, stream=True, stream_options=options, temperature=0.5, model="m")
    assert (asked.stream, asked.usage, asked.continuous_usage) == (True, True, True)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 400),
        ({"messages": []}, 400),
        ({"messages": "hello"}, 400),
        ({"messages": [{"content": "no role"}]}, 400),
        ({"messages": MESSAGES, "max_tokens": 0}, 400),
        ({"messages": MESSAGES, "max_tokens": 1.5}, 400),
        ({"messages": MESSAGES, "max_tokens": 10**9}, 400),
        ({"messages": MESSAGES, "n": 2}, 400),
        ({"messages": MESSAGES, "stream_options": {"include_usage": True}}, 400),
        ({"messages": MESSAGES, "model": "other"}, 404),
        ({"chat": False}, 400),
        ({"chat": False, "prompt": []}, 400),
        ({"chat": False, "prompt": ["a", "b"]}, 400),
        ({"chat": False, "prompt": [1, "b"]}, 400),
    ],
)
def test_refused_bodies(fields: dict[str, object], status: int) -> None:
    with pytest.raises(ApiError) as caught:
        read(**fields)  # type: ignore[arg-type]
    error = json.loads(caught.value.body)["error"]
    assert error["code"] == caught.value.status == status
    assert set(error) == {"message", "type", "param", "code"}


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "text"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.binary(max_size=80)
    | st.dictionaries(
        st.sampled_from(["messages", "prompt", "max_tokens", "stream", "stream_options", "n", "model"]), _json
    ).map(lambda tree: json.dumps(tree).encode("utf-8", "surrogatepass")),
    st.booleans(),
)
def test_junk_bodies_end_in_a_request_or_a_refusal(body: bytes, chat: bool) -> None:
    try:
        assert 1 <= read_request(body, chat, "m").max_tokens <= api.MAX_MODEL_LEN
    except ApiError as error:
        assert error.status in (400, 404)


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"messages":' * 100_000, b'{"model":"\xff\xfe"}', b'"\\ud800"', b""]
)
def test_hostile_bodies(body: bytes) -> None:
    with pytest.raises(ApiError):
        read_request(body, True, "m")


def test_words_are_of_one_size() -> None:
    assert len(set(api.WORDS)) == len(api.WORDS) == 60
    assert {len(word) for word in api.WORDS} == {4}


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("crlf", [True, False])
def test_the_quick_form_of_an_event_equals_the_slow_one(chat: bool, crlf: bool) -> None:
    asked = read(chat=chat, messages=MESSAGES, prompt="a", stream=True, max_tokens=9)
    voice = OpenAIVoice(Phrases(EngineOptions(crlf=crlf, model='a"b')), asked, 'x"é', 123, TABLE - 1)
    events = [voice.prefix + voice.tails[(TABLE - 1 + i) % TABLE] for i in range(3)]
    assert events == [voice.tokens(i, 1) for i in range(3)]
    assert len({len(event) for event in events}) == 1
    size, _, rest = events[0].partition(b"\r\n")
    assert int(size, 16) == len(rest) - 2
    data = msgspec.json.decode(rest.strip().removeprefix(b"data: "))
    assert (data["model"], data["created"]) == ('a"b', 123)
    assert data["id"].endswith('x"é')
