"""The benchmarks' own server of known timing, and the floor of a client in C."""

from __future__ import annotations

import http.client
import json
import select
import sys
import time
from collections.abc import Iterator
from itertools import pairwise

import compiled
import psutil
import pytest
from common import Engine

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="both are of Linux"),
    pytest.mark.usefixtures("processes"),
]
TTFT_MS, ITL_MS = 20, 10


@pytest.fixture(scope="module")
def server(processes: None) -> Iterator[Engine]:
    try:
        compiled.program("known_server")
    except compiled.NotCompiled as error:
        pytest.skip(str(error))
    with compiled.known_server(TTFT_MS, ITL_MS) as target:
        yield target


@pytest.fixture
def client(server: Engine) -> Iterator[http.client.HTTPConnection]:
    server.forget()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    yield connection
    connection.close()


def ask(
    client: http.client.HTTPConnection, name: str, tokens: int, path: str = "chat/completions", **more: object
) -> http.client.HTTPResponse:
    prompt = {"messages": [{"role": "user", "content": 'Say "max_tokens": 9\nnow.'}]}
    body = {"max_tokens": tokens, "stream": True} | (prompt if "chat" in path else {"prompt": "Say it now."}) | more
    client.request("POST", f"/v1/{path}", json.dumps(body), {"X-Request-Id": name})
    return client.getresponse()


def events(answer: http.client.HTTPResponse) -> list[str]:
    return [line.removeprefix("data: ") for line in answer.read().decode().split("\n\n") if line]


def text_of(event: str) -> str:
    choice = json.loads(event)["choices"][0]
    return str(choice["text"] if "text" in choice else choice["delta"].get("content", ""))


@pytest.mark.parametrize("path", ["chat/completions", "completions"])
def test_a_stream_has_an_event_a_token_and_its_end(client: http.client.HTTPConnection, path: str) -> None:
    answer = ask(client, "a", 5, path)
    assert (answer.status, answer.getheader("Transfer-Encoding")) == (200, "chunked")
    *tokens, finish, done = events(answer)
    assert done == "[DONE]"
    assert json.loads(finish)["choices"][0]["finish_reason"] == "length"
    assert [len(text_of(token)) for token in tokens] == [5] * 5


def test_usage_is_told_where_asked_for_and_counts_words(client: http.client.HTTPConnection) -> None:
    *_, last, _ = events(ask(client, "a", 3, stream_options={"include_usage": True}))
    assert json.loads(last)["usage"] == {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}
    parts = [{"role": "user", "content": [{"type": "text", "text": "two words"}]}]
    *_, last, _ = events(ask(client, "b", 3, messages=parts, stream_options={"include_usage": True}))
    assert json.loads(last)["usage"]["prompt_tokens"] == 2


def test_no_token_comes_before_its_time(server: Engine, client: http.client.HTTPConnection) -> None:
    for name in ("a", "b"):  # one connection carries both
        events(ask(client, name, 10))
    known = server.truth()
    assert sorted(known) == ["a", "b"]
    for one in known.values():
        due = [one.arrival_ns + (TTFT_MS + ITL_MS * k) * 1_000_000 for k in range(10)]
        assert [sent >= at for sent, at in zip(one.tokens_ns, due, strict=True)] == [True] * 10
        assert one.outcome == "ok"
    assert known["a"].tokens_ns[-1] < known["b"].arrival_ns


def test_a_delay_is_made_up_for(alone: None, server: Engine, client: http.client.HTTPConnection) -> None:
    tokens = 40
    answer = ask(client, "a", tokens)
    answer.read(1)
    process = next(child for child in psutil.Process().children() if child.name().startswith("known_server"))
    process.suspend()
    until_s = time.monotonic() + (TTFT_MS + ITL_MS * tokens) / 1e3
    while (left_s := until_s - time.monotonic()) > 0:  # the last token is due then
        select.select([], [], [], left_s)
    process.resume()
    events(answer)
    sent = server.truth()["a"].tokens_ns
    gaps = [later - one for one, later in pairwise(sent)]
    after = gaps[gaps.index(max(gaps)) + 1 :]
    assert len(after) > tokens / 2
    assert sum(after) < len(after) * ITL_MS * 1e6 / 2  # at once, not at the pace


def test_who_hangs_up_is_told_apart(server: Engine, client: http.client.HTTPConnection) -> None:
    answer = ask(client, "a", 1000)
    answer.read(1)
    client.close()
    answer.close()
    while not (known := server.truth()):
        pass
    assert known["a"].outcome == "disconnected"
    assert len(known["a"].tokens_ns) < 1000


@pytest.mark.parametrize(("method", "path", "body", "status"), [
    ("GET", "/metrics", None, 404),
    ("POST", "/v1/completions", '{"prompt": "x", "stream": true, "max_tokens": 0}', 400),
    ("POST", "/v1/completions", '{"prompt": "x"}', 400),
])  # fmt: skip
def test_what_it_does_not_serve_is_refused(
    client: http.client.HTTPConnection, method: str, path: str, body: str | None, status: int
) -> None:
    client.request(method, path, body)
    answer = client.getresponse()
    assert (answer.status, list(json.loads(answer.read()))) == (status, ["error"])


def test_the_floor_takes_every_reply(server: Engine, client: http.client.HTTPConnection) -> None:
    assert compiled.floor_us(server, 4, 10, 8, 0.02) > 0
    client.request("GET", "/truth")
    lines = client.getresponse().read().splitlines()
    assert [len(json.loads(line)["tokens_ns"]) for line in lines] == [8] * 10


def test_without_a_compiler_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(compiled.NotCompiled, match="no C compiler"):
        compiled.program("floor")
    monkeypatch.setenv("CC", "/nowhere/cc")
    with pytest.raises(compiled.NotCompiled, match="cannot be run"):
        compiled.program("floor")
