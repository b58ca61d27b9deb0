"""Replies from raw reads: the same bytes mean the same however they come, and nothing that comes can raise."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from spoken import HEAD, LAST, SPOKEN, Spoken, chunk, event
from tapes import tapes

from loadcell.core import Tape
from loadcell.core.tape import TEXT, WHOLE
from loadcell.kinds import KIND_ANSWER, KIND_DONE, KIND_FINISH, KIND_OUTPUT, KIND_REASONING, KIND_TOOL, KIND_USAGE
from loadcell.protocol import Dialect, Reply, evidence
from loadcell.protocol.cutting import MAX_EVENT_BYTES
from loadcell.protocol.dialect import Heard
from loadcell.protocol.head import MAX_HEADER_BYTES
from loadcell.protocol.openai.dialect import CHAT
from loadcell.protocol.twin import Lesson, Twin, learn_twin

in_every_api = pytest.mark.parametrize("spoken", SPOKEN.values(), ids=SPOKEN)
ALIKE = {name: spoken for name, spoken in SPOKEN.items() if spoken.alike}


def token(text: str, **more: Any) -> dict[str, Any]:
    return {"id": "x", "choices": [{"index": 0, "delta": {"content": text, **more}, "finish_reason": None}]}


FINISH = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
DONE = b"data: [DONE]\n\n"


def parse(reads: list[bytes], batch: int = 1, dialect: Dialect = CHAT) -> Reply:
    """A reply that got these reads, so many at a time, and then the end of its connection.

    It is what it is from reads, and from a tape of either form.
    """
    reply = Reply(dialect)
    for start in range(0, len(reads), batch):
        reply.feed(reads[start : start + batch], start)
    reply.close(max(len(reads) - 1, 0))
    for make in tapes():
        other = taken(reads, batch, make(), dialect)
        assert said(other) == said(reply)
        assert other.reads == reply.reads
        assert other.tails == reply.tails or reply.failure  # where it fails depends on how much was parsed at a time
    return reply


def taken(reads: list[bytes], batch: int, tape: Tape, dialect: Dialect) -> Reply:
    """As `parse`, from a tape."""
    reply = Reply(dialect)
    for start in range(0, len(reads), batch):
        for data in reads[start : start + batch]:
            tape.append(data, b"", start, (0, 0, 0, 0))
        while tape.stored:
            reply.take(tape, batch)
    reply.close(max(len(reads) - 1, 0))
    return reply


def said(reply: Reply) -> dict[str, Any]:
    """All that a reply tells, but the numbers of its reads."""
    return {
        "status": reply.status, "failure": reply.failure, "finish": reply.finish_reason, "done": reply.done,
        "kinds": reply.kinds, "tokens": reply.tokens, "sizes": reply.sizes, "source": reply.token_source,
        "content": "".join(reply.content), "reasoning": "".join(reply.reasoning), "bytes": reply.bytes,
        "usage": reply.usage and reply.usage.output_tokens, "streamed": reply.streamed,
    }  # fmt: skip


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces that end at these places."""
    ends = sorted({place % len(data) for place in places} - {0})
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


TEXTS = st.text(
    st.one_of(st.sampled_from('a "\\/{}[],:\n\t\r\x00\x7f\u2028é漢😀'), st.characters(exclude_categories=["Cs"])),
    max_size=8,
)
EOLS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@in_every_api
@given(
    st.lists(TEXTS, min_size=1, max_size=12),
    EOLS,
    st.booleans(),
    st.lists(st.integers(0, 10**6), max_size=40),
    st.integers(1, 9),
)
def test_any_split_of_the_same_bytes_gives_the_same_events(
    spoken: Spoken, texts: list[str], eol: bytes, ascii_only: bool, places: list[int], batch: int
) -> None:
    if spoken.lines and eol == b"\r":  # no line of JSON ends so
        eol = b"\n"
    events = spoken.stream(texts, eol, ascii_only)
    whole = spoken.head + b"".join(map(chunk, events)) + LAST
    reads = cut(whole, places)
    reply = parse(reads, batch, spoken.dialect)
    assert said(reply) == said(parse([whole], dialect=spoken.dialect))
    assert "".join(reply.content) == "".join(texts)
    assert (reply.done, reply.finish_reason) == (True, spoken.finish)
    assert (reply.usage and reply.usage.output_tokens) == spoken.usage
    # Each event belongs to the read that brought its last byte.
    ends, at = [], len(spoken.head)
    for one in events:
        ends.append(at + len(chunk(one)) - 2)
        at += len(chunk(one))
    sums = list(accumulate(map(len, reads)))
    assert list(reply.reads) == [next(i for i, total in enumerate(sums) if total >= end) for end in ends]


@in_every_api
@given(st.lists(TEXTS, min_size=6, max_size=30), st.booleans(), st.integers(1, 40))
@example(['"', "\\", "\\\\", '\\"', "a\\", '","', '"', "ok", "ok", '"}}]}'], True, 40)
@example(["plain"] * 5 + ["", "x", "", ""], True, 40)
@example(["a"] * 6 + ['","finish_reason":"stop"'], True, 1)
@example(["a"] * 6 + ['"}}', "a", '"},"index":1}'], True, 1)
def test_the_short_way_for_events_of_one_form_means_the_same(
    spoken: Spoken, texts: list[str], ascii_only: bool, batch: int
) -> None:
    """One event a read: what is taken for a twin of a decoded event is what decoding would have given."""
    texts = ["word", *texts]  # a form is learnt from a plain one
    events = spoken.stream(texts, ascii_only=ascii_only)
    reply = parse([spoken.head, *map(chunk, events), LAST], batch, spoken.dialect)
    assert "".join(reply.content) == "".join(texts)
    assert list(reply.reads) == list(range(1, len(events) + 1))
    around = [False] * len(spoken.begin), [False] * (len(events) - len(texts) - len(spoken.begin))
    assert [bool(kind & KIND_ANSWER) for kind in reply.kinds] == around[0] + [bool(text) for text in texts] + around[1]
    payloads = [one.partition(b"data: ")[2] or one for one in events]
    payloads = [one.rstrip(b"\n") for one in payloads]
    assert list(reply.sizes) == list(map(len, payloads)), "of its data alone, without its name"
    assert said(reply) == said(parse([spoken.head + b"".join(map(chunk, events)) + LAST], dialect=spoken.dialect))


@pytest.mark.parametrize("spoken", ALIKE.values(), ids=ALIKE)
@pytest.mark.parametrize("make", tapes())
def test_events_of_one_form_are_not_decoded_one_by_one(spoken: Spoken, make: Callable[[], Tape]) -> None:
    """So that a token costs about the same in every API whose events allow it."""
    decoded: list[bytes] = []

    def hear(payloads: list[bytes], index: int | None) -> Iterator[Heard]:
        decoded.extend(payloads)
        return spoken.dialect.hear(payloads, index)

    counting = replace(spoken.dialect, hear=hear)
    reads = [HEAD, *map(chunk, spoken.stream([f" {n:04d}" for n in range(200)])), LAST]
    assert taken(reads, 64, make(), counting).failure is None
    assert len(decoded) < 40


def odd(spoken: Spoken) -> st.SearchStrategy[bytes]:
    """Events among a stream's tokens that are not like them."""
    word = spoken.event(spoken.token("word"))
    return st.sampled_from(
        [
            *map(spoken.event, spoken.more),
            spoken.event(spoken.thought("hm")),
            spoken.event(spoken.error),
            b": ping\n\n",
            b"event: error\ndata: no\n\n",
            word.replace(b"word", b'a"b'),
            word.replace(b"word", b"a\nb"),
            word.replace(b"word", b"a\tb"),
            word.replace(b"word", b"\xff"),
            word.replace(b"word", b"a\rb"),
            word.replace(b"data: ", b"event: error\ndata: "),
            word.replace(b"data: ", b"event: other\ndata: "),
            word[:-1],
            word * 2,
            word[:20],
        ]
    )


@in_every_api
@given(st.data(), st.integers(1, 30))
def test_odd_events_among_twins_mean_the_same(spoken: Spoken, data: st.DataObject, batch: int) -> None:
    some = st.one_of(odd(spoken), TEXTS.map(lambda text: spoken.event(spoken.token(text))))
    events = [spoken.event(spoken.token("word"))] * 2 + data.draw(st.lists(some, max_size=20))
    reads = [spoken.head, *map(chunk, events), LAST]
    slowly, at_once = (said(parse(*how, spoken.dialect)) for how in ((reads, batch), ([b"".join(reads)], 1)))
    if slowly["failure"]:  # what has failed takes no further reads
        assert slowly.pop("bytes") <= at_once.pop("bytes")
    assert slowly == at_once


GOOD = HEAD + b"".join(map(chunk, [event(token("one")), event(token("two")), event(FINISH), DONE])) + LAST


@in_every_api
@given(st.binary(max_size=300), st.lists(st.integers(0, 10**6), max_size=8))
def test_random_bytes_end_in_a_failure(spoken: Spoken, data: bytes, places: list[int]) -> None:
    reply = parse(cut(data, places) if data else [], dialect=spoken.dialect)
    assert reply.closed
    assert reply.failure is not None


@in_every_api
@given(
    st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=4), st.integers(0, 4)), min_size=1, max_size=4),
    st.lists(st.integers(0, 10**6), max_size=8),
    st.integers(1, 5),
)
@example([(260, b"\x00", 0)], [170], 1)  # an event and what breaks the framing, in one read
def test_spoilt_replies_are_judged(
    spoken: Spoken, spoils: list[tuple[int, bytes, int]], places: list[int], batch: int
) -> None:
    """Bytes replaced, put in or left out anywhere: the reply ends, as a success or as a failure in words."""
    data = spoken.reply(["one", "two"])
    for place, put, drop in spoils:
        place %= max(1, len(data))
        data = data[:place] + put + data[place + drop :]
    reads = cut(data, places) if data else []
    reply = parse(reads, batch, spoken.dialect)
    assert reply.closed
    assert len(reply.reads) == len(reply.kinds) == len(reply.tokens) == len(reply.sizes)
    assert all(0 <= number < max(len(reads), 1) for number in reply.reads)
    if reply.failure is None:
        assert any(kind & KIND_OUTPUT for kind in reply.kinds)
    else:
        assert all(isinstance(words, str) and words for words in reply.failure)
    reply.feed([b"more"], len(reads))
    reply.close(len(reads))
    assert reply.closed


@in_every_api
def test_a_cut_anywhere_before_the_end_is_a_failure(spoken: Spoken) -> None:
    """Where the API ends its streams by an event of its own, up to that, or to the body's end; else to the reason."""
    events = [spoken.head, *map(chunk, spoken.stream(["one", "two"])), LAST]
    data = b"".join(events)
    needed = len(events) - 1 if spoken.dialect.strict else len(events) - 1 - len(spoken.end)
    tells = sum(map(len, events[:needed])) - 3  # the line ends of its chunk, and the second of its own, may be missing
    tells = len(data) if spoken.dialect.ends_with_body else tells
    for place in range(len(data)):
        reply = Reply(spoken.dialect)
        reply.feed([data[:place]], 0)
        reply.close(0)
        assert (reply.failure is None) <= (place >= tells), data[:place]


def any_json(names: str) -> st.SearchStrategy[Any]:
    """Any value, its fields named as the API names some."""
    leaf = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(names.split())
    fields = st.sampled_from(names.split())
    found: st.SearchStrategy[Any] = st.deferred(
        lambda: leaf | st.lists(found, max_size=3) | st.dictionaries(fields, found, max_size=4)
    )
    return found


@in_every_api
@given(st.data())
def test_events_of_any_json_are_judged(spoken: Spoken, data: st.DataObject) -> None:
    value = data.draw(any_json(spoken.fields))
    kinds = [one["type"] for one in (*spoken.begin, *spoken.end, spoken.token("x")) if "type" in one]
    if isinstance(value, dict) and kinds:
        value["type"] = data.draw(st.sampled_from(kinds) | st.just("unknown"))
    text = json.dumps(value).encode()
    end = map(chunk, spoken.stream([]))
    assert parse([spoken.head, chunk(spoken.event(value)), *end, LAST], dialect=spoken.dialect).closed
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)
    assert parse([whole], dialect=spoken.dialect).closed


def test_what_an_event_is() -> None:
    events = [
        token("text"),
        token("", reasoning_content="hm"),
        {"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]},
        {"choices": [{"text": "text"}]},
        {"choices": [{"delta": {"refusal": "no"}}]},
        {"choices": [{"delta": {"content": None, "tool_calls": None}}]},
        {"choices": [{"delta": {"tool_calls": []}}]},
        FINISH,
        {"choices": [], "usage": {"completion_tokens": 4, "prompt_tokens": 9}},
    ]
    reply = parse([HEAD, *(chunk(event(value)) for value in events), chunk(DONE), LAST])
    reasoning_only = KIND_REASONING
    assert reply.failure is None
    assert [kind & ~8 for kind in reply.kinds[:5]] == [
        KIND_ANSWER, reasoning_only, KIND_TOOL, KIND_ANSWER, KIND_ANSWER,
    ]  # fmt: skip
    assert not any(kind & KIND_OUTPUT for kind in reply.kinds[5:])
    assert list(reply.kinds[7:]) == [KIND_FINISH, KIND_USAGE, KIND_DONE]
    assert reply.usage is not None and (reply.usage.prompt_tokens, reply.usage.output_tokens) == (9, 4)


@pytest.mark.parametrize(
    ("more", "each", "source"),
    [
        ([{"usage": {"completion_tokens": n}} for n in (1, 3, 3, 6)], [1, 2, 0, 3], "stream"),
        ([{"timings": {"predicted_n": n}} for n in (2, 3, 4, 5)], [2, 1, 1, 1], "stream"),
        ([{}] * 4, [None] * 4, None),
    ],
)
def test_tokens_of_events(more: list[dict[str, Any]], each: list[int | None], source: str | None) -> None:
    events = [token("text") | fields for fields in more]
    reply = parse([HEAD, *(chunk(event(value)) for value in events), chunk(event(FINISH)), LAST])
    assert (reply.tokens[:4], reply.token_source) == (each, source)


def test_a_reply_of_more_than_one_choice_counts_the_first() -> None:
    both = {"choices": [token("a")["choices"][0], {"index": 1, "delta": {"content": "b"}}]}
    assert parse([HEAD, chunk(event(both)), chunk(event(FINISH)), LAST]).content == ["a"]


def test_bounds() -> None:
    header = Reply(CHAT)
    header.feed([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (MAX_HEADER_BYTES // 6 + 1)], 0)
    assert header.failure is not None and header.failure[0] == "too_large"
    endless = Reply(CHAT)
    endless.feed([HEAD + b"%x\r\ndata: " % (1 << 40)], 0)
    for number in range(1, MAX_EVENT_BYTES // (1 << 16) + 2):
        endless.feed([b"x" * (1 << 16)], number)
    assert endless.closed
    assert endless.failure is not None and endless.failure[0] == "too_large"


@pytest.mark.parametrize(
    ("end", "keeps"),
    [
        (GOOD, True),
        (GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1), False),
        (GOOD.replace(b"1.1", b"1.0", 1), False),
    ],
)
def test_whether_the_connection_stays(end: bytes, keeps: bool) -> None:
    reply = Reply(CHAT)
    reply.feed([end], 0)
    assert (reply.closed, reply.keep_alive, reply.failure) == (True, keeps, None)


@pytest.mark.parametrize("after", [b"x", b"\r\n", GOOD, b"HTTP/1.1 200 OK\r\n\r\n"])
@pytest.mark.parametrize("same_read", [True, False])
def test_bytes_after_the_end_are_a_failure_or_the_next_reads(after: bytes, same_read: bool) -> None:
    reply = Reply(CHAT)
    reply.feed([GOOD + after] if same_read else [GOOD, after], 0)
    if same_read and after != b"\r\n":  # llhttp lets a line end pass between messages
        assert reply.failure is not None and reply.failure[0] == "protocol"
    assert sum(bool(kind & KIND_OUTPUT) for kind in reply.kinds) <= 2
    assert not (reply.keep_alive and reply.failure)


USAGE = {"choices": [], "usage": {"completion_tokens": 4, "prompt_tokens": 9}}
PLAIN = HEAD.replace(b"text/event-stream", b"application/json")


@pytest.mark.parametrize(
    ("reads", "wait_s"),
    [
        ([], None),
        ([HEAD], None),
        ([HEAD, chunk(event(token("word ")))], None),
        ([HEAD.replace(b"200 OK", b"503 No")], 1),
        ([HEAD, chunk(event(FINISH))], 5),
        ([HEAD, chunk(event(FINISH)), chunk(event(USAGE))], 1),
        ([HEAD, chunk(event(token("word "))), chunk(DONE)], 0.1),
        ([HEAD, chunk(event(token("word "))), chunk(DONE.strip())], 1),
        ([HEAD, chunk(event(token("word "))), chunk(b"data: [DO")], None),
        ([HEAD, chunk(event(token("word "))), chunk(b'data: {"error": "no memory"}')], 1),
        ([HEAD, chunk(event(token("word "))), chunk(b'data: {"error": "no mem')], None),
        ([HEAD, chunk(event(token("word "))), chunk(b"event: error\ndata: no memory")], 1),
        ([PLAIN, chunk(b'{"error": "no memory"}')], 1),
        ([PLAIN, chunk(b'{"error": "no mem')], None),
    ],
)
def test_how_long_silence_is_waited_out(reads: list[bytes], wait_s: float | None) -> None:
    """Of a server that leaves its reply open, until what came is all that is to be judged."""
    reply = Reply(CHAT)
    for number, read in enumerate(reads):
        reply.feed([read], number)
    assert reply.patience_ns == (None if wait_s is None else round(wait_s * 1e9))


def lesson(payload: bytes) -> Twin | None:
    """What is learnt from an event of chat."""
    heard = CHAT.whole(payload)
    return learn_twin(payload, heard, heard.kind, None, Lesson(CHAT, heard.index, b"data: ", b"\n\n"))


@pytest.mark.parametrize("content", ["a", "word", "é", "another text"])
def test_a_form_is_learnt_where_the_content_stands_once(content: str) -> None:
    payload = json.dumps(token(content), ensure_ascii=False).encode()
    twin = lesson(payload)
    assert twin is not None
    other = b"data: " + payload.replace(f'"{content}"'.encode(), b'"else"').replace(b"1700000000", b"7") + b"\n\n"
    assert twin.form.replace(TEXT, b"else").replace(WHOLE, b"7") == other


@pytest.mark.parametrize("content", ["x", "content", "delta", "\n"])
def test_no_form_is_learnt_where_that_is_not_sure(content: str) -> None:
    """Contents that equal another string of the event, or that JSON escapes."""
    assert lesson(json.dumps(token(content)).encode()) is None


@pytest.mark.parametrize("counts", [[3, 4, 5, 0], [7, 0, 0, 0], [0, 0, 0], [1, 2, 3]])
def test_a_running_count_of_nothing_takes_no_usage_back(counts: list[int]) -> None:
    """Read one by one, or as events that are alike."""
    values = [token("word") | {"usage": {"completion_tokens": n, "prompt_tokens": 9}} for n in [1, 2, *counts]]
    reads = [HEAD, *map(chunk, [*map(event, values), event(FINISH), DONE]), LAST]
    reply = parse(reads, 40)
    assert reply.usage is not None
    assert (reply.usage.output_tokens, reply.usage.prompt_tokens) == (next((n for n in counts[::-1] if n), 2), 9)


def test_counts_that_cannot_be_added_up_are_none() -> None:
    """Running counts that jump: their sum is no number of tokens."""
    spoken = SPOKEN["tgi, numbered"]
    values = [spoken.token("word") | {"index": n} for n in [2**30 - 1, *[1] * 20]]
    end = [spoken.event(value | {"details": None}) for value in spoken.end]
    reply = parse([spoken.head, *map(chunk, [*map(spoken.event, values), *end]), LAST], 40, spoken.dialect)
    told, _ = evidence(reply, None)
    assert told.told is None or told.told < 2**30
