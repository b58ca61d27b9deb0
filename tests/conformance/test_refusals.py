"""A refusal before the load keeps the server's words, says what was tried, and advises what fits; a server that is not
up yet is waited for."""

from __future__ import annotations

import re
import socket
import threading
import time
from pathlib import Path

import pytest
from contract_runs import Run, ask
from scripted import CLOSE, MODEL, RESET, Received, Script, Step, clean, json_reply, serve

from loadcell.advice import says_loading
from loadcell.cli.main import main
from loadcell.errors import EndpointError
from loadcell.load.preflight import preflight
from loadcell.load.target import make_target
from loadcell.spec import build_spec

LOADING = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
HTML = b"HTTP/1.1 %b\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b"


def page(status: bytes, title: bytes) -> bytes:
    body = b"<html><head><title>%b</title></head><body><center>nginx</center></body></html>" % title
    return HTML % (status, len(body), body)


CASES = {
    "a key in the key's own words": (
        json_reply({"error": {"message": "Incorrect API key provided: sk-x."}}, 401),
        "HTTP 401: Incorrect API key provided: sk-x", "OPENAI_API_KEY",
    ),
    "a key, by 400": (json_reply({"error": "API key not valid"}, 400), "HTTP 400: API key not", "set the API key"),
    "forbidden": (json_reply({"detail": "no access"}, 403), "HTTP 403: no access", "may not do this"),
    "no quota": (json_reply({"error": {"message": "You exceeded your current quota"}}, 403), "quota", "no quota left"),
    "the context": (
        json_reply({"object": "error", "message": "This model's maximum context length is 4096 tokens."}, 400),
        "maximum context length is 4096", "--input-tokens",
    ),
    "the context, by llama.cpp": (
        json_reply({"error": {"message": "the request exceeds the available context size"}}, 400),
        "HTTP 400: the request exceeds", "longer context",
    ),
    "the context, by TGI": (json_reply({"error": "`inputs` tokens + `max_new_tokens` must be <= 8"}, 422),
                            "HTTP 422: `inputs` tokens", "longer context"),
    "too large": (page(b"413 Request Entity Too Large", b"413 Request Entity Too Large"),
                  "HTTP 413: 413 Request Entity Too Large", "client_max_body_size"),
    "few tokens": (json_reply({"error": {"message": "max_tokens must be at least 4096"}}, 400), "at least 4096",
                   "raise --output-tokens"),
    "no streams": (json_reply({"error": {"message": "streaming is not supported by this model"}}, 400),
                   "HTTP 400: streaming is not", "whole replies: --no-stream"),
    "no such path": (json_reply({"detail": "Not Found"}, 404), "HTTP 404: Not Found", "check the URL"),
    "an unknown model": (json_reply({"error": {"message": "model 'x' not found, try pulling it first"}}, 404),
                         "HTTP 404: model 'x' not found", "models with --model"),
    "a method": (b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n", "HTTP 405: an empty body",
                 "check the URL"),
    "plain text": (b"HTTP/1.1 418 Teapot\r\nContent-Length: 12\r\n\r\nshort, stout", "HTTP 418: short, stout",
                   "its words say why"),
    "fields": (json_reply({"detail": [{"loc": ["body", "temperature"], "msg": "Extra inputs are not permitted"}]}, 422),
               "HTTP 422: body.temperature: Extra inputs", "extra body fields"),
    "loading": (json_reply(LOADING, 503), "HTTP 503: Loading model", "still loading: wait with --wait-ready"),
    "loading, by another status": (json_reply({"error": "model is currently loading, please retry"}, 429),
                                   "HTTP 429: model is currently loading", "still loading: wait with --wait-ready"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_refused_probe_is_said_in_the_servers_words_with_one_advice(name: str) -> None:
    answer, words, advice = CASES[name]
    with serve(probe=lambda _: [answer]) as server, pytest.raises(EndpointError) as caught:
        ask(server.url)
    said = str(caught.value)
    assert said.startswith(f"POST {server.url}/v1/chat/completions gave ")
    assert words in said and advice in said
    assert said.count("; ") == 1, "one advice"


@pytest.mark.parametrize(
    ("answer", "words", "advice"),
    [
        (json_reply(LOADING, 503), "HTTP 503: Loading model", "still loading"),
        (page(b"503 Service Unavailable", b"503 Service Temporarily Unavailable"), "503 Service", "no more"),
        (page(b"502 Bad Gateway", b"502 Bad Gateway"), "HTTP 502: 502 Bad Gateway", "a proxy in front does not"),
        (json_reply({"message": "boom"}, 500), "HTTP 500: boom", "read its log"),
        (json_reply({"detail": "Not Found"}, 404), "HTTP 404: Not Found", "name the model with --model"),
        (json_reply({"error": "no key"}, 401), "HTTP 401: no key", "wants a key: set OPENAI_API_KEY"),
        (json_reply({"error": "slow down"}, 429, b"Retry-After: 20\r\n"), "HTTP 429: slow down", "limits the rate"),
    ],
)  # fmt: skip
def test_a_list_of_models_that_is_refused_is_no_missing_model(answer: bytes, words: str, advice: str) -> None:
    with serve(models=lambda _: [answer]) as server, pytest.raises(EndpointError) as caught:
        ask(server.url)
    said = str(caught.value)
    assert said.startswith(f"GET {server.url}/v1/models gave ")
    assert words in said and advice in said and said.count("; ") == 1
    assert ("--model" in said) == ("404" in words)


def test_retry_after_is_shown(run: Run) -> None:
    def busy(_: Received) -> list[Step]:
        return [json_reply({"error": "slow down"}, 429, b"Retry-After: 20\r\n")]

    with serve(busy) as server:
        ran = run(server.url, requests=4)
    (failure,) = ran.result.errors
    assert failure.sample == "slow down (Retry-After: 20)"


# --- not up yet ------------------------------------------------------------------------------------------------------


def later(replies: list[list[Step]], good: list[Step] | None = None) -> Script:
    """Gives these replies first, then good ones."""
    left = list(replies)
    return lambda _: left.pop(0) if left else good or clean()


def asked(url: str, wait_s: float) -> tuple[list[tuple[str, float]], object]:
    """What was told while the server was waited for, and what was found."""
    spec = build_spec({"endpoint": {"url": url}, "load": {"wait_ready_s": wait_s}})
    told: list[tuple[str, float]] = []
    found = preflight(spec, make_target(spec.endpoint, None), lambda why, waited_s: told.append((why, waited_s)))
    return told, found


@pytest.mark.parametrize(
    "first",
    [[json_reply(LOADING, 503)], [page(b"503 Service Unavailable", b"503")], [page(b"502 Bad Gateway", b"502")],
     [json_reply({"error": "the model is loading"}, 500)], [json_reply({"detail": "warming up"}, 425)], [CLOSE],
     [RESET]],
    ids=["loading", "503", "502", "500 loading", "425 warming up", "closed", "reset"],
)  # fmt: skip
@pytest.mark.parametrize("where", ["models", "probe"])
def test_a_server_that_is_not_up_yet_is_waited_for(first: list[Step], where: str) -> None:
    names = json_reply({"data": [{"id": MODEL}]})
    scripts = (
        {"models": lambda _: left.pop(0) if left else [names]} if where == "models" else {"probe": later([first] * 2)}
    )
    left = [first, first]
    with serve(**scripts) as server:  # type: ignore[arg-type]
        told, found = asked(server.url, 30)
    assert len(told) == 2 and told[0][1] < told[1][1]
    assert not found.notes  # type: ignore[attr-defined]


def test_a_server_that_says_so_with_a_good_status_is_waited_for() -> None:
    with serve(probe=later([[json_reply({"error": {"message": "Model is warming up"}})]])) as server:
        told, found = asked(server.url, 30)
    assert len(told) == 1 and "Model is warming up; the server is still loading" in told[0][0]
    assert not found.notes  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("said", "loading"),
    [
        ("Service initializing", True),
        ("The model is being loaded", True),
        ("Model 'm' is currently being downloaded", True),
        ("Loading model weights", True),
        ("Application startup in progress", True),
        ("warm-up is in progress", True),
        ("no healthy upstream", False),
        ("the engine died", False),
        ("model not found", False),
        ("uploading failed", False),
    ],
)
def test_words_of_a_server_that_is_not_up_yet(said: str, loading: bool) -> None:
    assert says_loading(said) is loading


def test_a_server_that_does_not_listen_yet_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found: list[object] = []
    waits = threading.Thread(target=lambda: found.append(asked(f"http://127.0.0.1:{port}", 60)))
    waits.start()
    time.sleep(0.7)
    listener = socket.create_server(("127.0.0.1", port))
    names, answered = json_reply({"data": [{"id": MODEL}]}, headers=b"Connection: close\r\n"), 0
    listener.settimeout(30)
    while not found and answered < 20:
        try:
            sock, _ = listener.accept()
        except TimeoutError:
            break
        with sock:
            sock.settimeout(5)
            data = sock.recv(65536)
            sock.sendall(names if data.startswith(b"GET") else b"".join(s for s in clean(2) if isinstance(s, bytes)))
            answered += bool(data)
            if data.startswith(b"POST"):
                break
    waits.join(30)
    listener.close()
    ((told, _),) = found  # type: ignore[misc]
    assert told and all("refused" in why for why, _ in told)


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_what_waiting_does_not_cure_is_said_at_once(status: int) -> None:
    start = time.monotonic()
    with serve(models=lambda _: [json_reply({"error": "no"}, status)]) as server, pytest.raises(EndpointError):
        asked(server.url, 60)
    assert time.monotonic() - start < 30


def test_after_the_wait_it_is_said_how_long_it_was() -> None:
    with (
        serve(models=lambda _: [json_reply(LOADING, 503)]) as server,
        pytest.raises(EndpointError, match=r"Loading model.*\(waited 1 s for it: --wait-ready"),
    ):
        asked(server.url, 1)


def test_the_command_says_what_it_waits_for_off_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--requests", "2", "--concurrency", "1", "--output-tokens", "4", "--input-tokens", "8", "--no-html"]
    with serve(probe=later([[json_reply(LOADING, 503)]])) as server:
        assert main(["run", server.url, *words, "--output", str(tmp_path / "r")]) in (0, 4)
    said = capsys.readouterr().err
    assert re.search(r"waiting 0 of 10 s: POST http://\S+/v1/chat/completions gave HTTP 503: Loading model", said)


def test_wait_ready_0_does_not_wait(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(models=lambda _: [json_reply(LOADING, 503)]) as server:
        assert main(["run", server.url, "--wait-ready", "0", "--output", str(tmp_path / "r")]) == 1
    said = capsys.readouterr().err
    assert "Loading model" in said and "waiting" not in said
