"""The server's Prometheus page is read before and after the load, and a server without one is measured all the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import count

import pytest
from contract_runs import Ran, Run, short_spec
from scripted import CLOSE, HANG, MODEL, Received, Scripted, Step, json_reply, serve

from loadcell.errors import UsageError
from loadcell.load import scrape
from loadcell.load.target import make_target
from loadcell.spec import Endpoint

PAGE = '# TYPE vllm:request_queue_time_seconds histogram\n{name}_sum{{m="a"}} {sum}\n{name}_count{{m="a"}} {count}\n'
NAMES = ("vllm:request_queue_time_seconds", "vllm:request_prefill_time_seconds", "vllm:time_to_first_token_seconds")
LIST = json_reply({"data": [{"id": MODEL}]})
Answer = Callable[[Received], Iterable[Step]]


def text_reply(text: str, status: int = 200, headers: bytes = b"") -> bytes:
    body = text.encode()
    return b"HTTP/1.1 %d X\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n%b\r\n%b" % (
        status, len(body), headers, body,
    )  # fmt: skip


def pages(answer: Answer) -> Answer:
    """GET of the metrics as `answer` has it; the list of models else."""
    return lambda request: [LIST] if request.path.endswith("/models") else answer(request)


def counting() -> Answer:
    """A page whose counters go up by 4 requests of 5 ms queue and 1 ms prefill from one reading to the next."""
    turn = count()

    def answer(_: Received) -> list[Step]:
        n = 4 * next(turn)
        sums = (0.005 * n, 0.001 * n, 0.007 * n)
        return [text_reply("".join(PAGE.format(name=a, sum=s, count=n) for a, s in zip(NAMES, sums, strict=True)))]

    return answer


def asked(server: Scripted) -> list[Received]:
    """Requests for anything but models and output."""
    return [r for r in server.received if r.method == "GET" and not r.path.endswith("/models")]


def files(ran: Ran) -> list[str]:
    return sorted(file.name for file in ran.folder.glob("*.prom"))


def test_the_page_is_read_before_and_after(run: Run) -> None:
    with serve(models=pages(counting())) as server:
        ran = run(server.url, requests=4, headers={"X-Who": "me-myself"}, every_s=0)
    assert [request.path for request in asked(server)] == ["/metrics", "/metrics"]
    assert all(request.headers["x-who"] == "me-myself" for request in asked(server))
    methods = [(request.method, request.number) for request in server.received]
    assert methods[0][0] == "GET" and methods[1:3] == [("POST", -1)] * 2
    assert methods[3] == ("GET", -1) and methods[-1] == ("GET", -1), "after the probes and after the load"
    assert files(ran) == ["server-after.prom", "server-before.prom"]
    (side,) = ran.result.server
    assert (side.source, side.requests) == ("vLLM Prometheus", 4)
    assert side.queue.mean_ms == pytest.approx(5) and side.prefill.mean_ms == pytest.approx(1)
    parts = [side.queue.share, side.prefill.share, side.unattributed.share]
    assert sum(part or 0 for part in parts) == pytest.approx(1)


NO_PAGES: dict[str, Answer] = {
    "not found": lambda _: [text_reply("no", 404)],
    "forbidden": lambda _: [text_reply("a_total 1\n", 403)],
    "moved": lambda _: [text_reply("", 307, b"Location: /elsewhere\r\n")],
    "a web page": lambda _: [text_reply("<!doctype html>\n<html>all is well</html>\n")],
    "json": lambda _: [LIST],
    "empty": lambda _: [text_reply("")],
    "cut": lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\na_total 1\nb_tot", CLOSE],
    "too long": lambda _: [text_reply("a_total 1\n" * 900_000)],
    "closed": lambda _: [CLOSE],
    "no http": lambda _: [b"hello there\r\n\r\n", CLOSE],
    "binary": lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe\x00\n"],
}


@pytest.mark.parametrize("answer", NO_PAGES.values(), ids=NO_PAGES)
def test_no_page_is_no_error_and_is_said_with_the_flag(run: Run, answer: Answer) -> None:
    with serve(models=pages(answer)) as server:
        ran = run(server.url, requests=2)
    assert (ran.statuses, files(ran), ran.result.server) == (["ok"] * 2, [], [])
    assert len(asked(server)) == 1
    (note,) = [note for note in ran.result.notes if "metrics" in note]
    assert note.startswith(f"no server metrics from {server.url}/metrics: ") and "--metrics-url" in note


@pytest.mark.parametrize("answer", NO_PAGES.values(), ids=NO_PAGES)
def test_a_page_that_was_asked_for_is_missed(run: Run, answer: Answer) -> None:
    with serve() as server, serve(models=pages(answer)) as other:
        ran = run(server.url, requests=2, metrics_url=f"{other.url}/some/page", every_s=0)
    assert (ran.statuses, files(ran)) == (["ok"] * 2, [])
    assert [request.path for request in asked(other)] == ["/some/page"]
    (note,) = [note for note in ran.result.notes if "no server metrics" in note]
    assert f"{other.url}/some/page: " in note


def test_a_server_that_keeps_silent_costs_seconds_and_no_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "ANSWER_S", 0.2)
    with serve() as server, serve(models=pages(lambda _: [HANG])) as other:
        started = time.monotonic()
        ran = run(server.url, requests=2, metrics_url=other.url)
    assert time.monotonic() - started < 30
    assert ran.statuses == ["ok"] * 2
    assert any("no answer within 0.2 s" in note for note in ran.result.notes)


def test_a_page_that_is_gone_after_the_load_is_missed_if_asked_for(run: Run) -> None:
    answers = iter([text_reply("a_total 1\n"), text_reply("gone", 404)])
    with serve() as server, serve(models=pages(lambda _: [next(answers)])) as other:
        ran = run(server.url, requests=2, metrics_url=other.url, every_s=0)
    assert files(ran) == ["server-before.prom"] and ran.result.server == []
    assert [request.path for request in asked(other)] == ["/metrics", "/metrics"]
    assert any("HTTP status 404" in note for note in ran.result.notes)


def test_it_can_be_left_alone(run: Run) -> None:
    with serve(models=pages(counting())) as server:
        ran = run(server.url, requests=2, metrics_url="none")
    assert (asked(server), files(ran)) == ([], [])


def test_nobody_listens_where_the_page_should_be(run: Run) -> None:
    with serve() as gone:
        nowhere = gone.url
    with serve() as server:
        ran = run(server.url, requests=2, metrics_url=nowhere)
    assert ran.statuses == ["ok"] * 2
    assert any("no server metrics" in note and "refused" in note for note in ran.result.notes)


def test_secrets_go_to_the_endpoints_own_host_only(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-topsecret")
    with serve() as server, serve(models=pages(counting())) as other:
        run(server.url, requests=1, concurrency=1, metrics_url=other.url)
        assert {request.headers["authorization"] for request in asked(other)} == {"Bearer sk-topsecret"}
        other.received.clear()
        elsewhere = other.url.replace("127.0.0.1", "localhost").replace("//", "//me:and-my-word@") + "/?t=my-token"
        ran = run(server.url, requests=1, concurrency=1, metrics_url=elsewhere)
        assert all(request.headers["authorization"].startswith("Basic ") for request in asked(other))
        assert {request.path for request in asked(other)} == {"/metrics?t=my-token"}
    for file in ran.folder.glob("*.json"):
        assert not any(secret in file.read_text() for secret in ("and-my-word", "my-token"))


def test_secrets_that_a_page_echoes_are_taken_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "1234")

    def answer(request: Received) -> list[Step]:
        key = request.headers["authorization"]
        return [text_reply(f'# HELP who {key}\nvllm:who{{key="{key}"}} 1234\n')]

    with serve(models=pages(answer)) as server:
        ran = run(server.url, requests=1, concurrency=1)
    text = (ran.folder / "server-after.prom").read_text()
    assert text == '# HELP who <redacted>\nvllm:who{key="<redacted>"} 1234\n'


@pytest.mark.parametrize("url", ["ftp://host/metrics", "http://host:port/", "http://"])
def test_a_url_that_cannot_be_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(UsageError, match=r"page of metrics|port"):
        short_spec("http://127.0.0.1:1", metrics_url=url)


@pytest.mark.parametrize(
    ("page", "sent"),
    [
        ("https://host:9/m", True),
        ("http://host:9/m", False),
        ("https://other:9/m", False),
    ],
)
def test_a_key_is_not_sent_in_the_open_nor_to_others(page: str, sent: bool) -> None:
    endpoint = Endpoint(url="https://host/v1", metrics_url=page)
    found = scrape.metrics_target(endpoint, endpoint.metrics_url, make_target(endpoint, "sk-topsecret"))
    assert (found.origin + found.prefix, "Authorization" in found.headers) == (page, sent)
