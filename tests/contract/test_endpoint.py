"""Before the load: what cannot be measured is said in one line with what to do, and what can be agreed on is."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from contract_runs import Run, ask
from scripted import (
    CLOSE,
    HANG,
    MODEL,
    RESET,
    Received,
    Script,
    Step,
    clean,
    event,
    json_reply,
    serve,
    stream,
    token,
    usage,
    whole,
)

from loadcell.errors import EndpointError, UsageError


def refusing(status: int, message: str = "no") -> Script:
    return lambda _: [json_reply({"error": {"message": message}}, status)]


def no_one_listens() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def test_nobody_listens() -> None:
    with pytest.raises(EndpointError, match=r"cannot connect to http://127.*refused.*is the server running"):
        ask(f"http://127.0.0.1:{no_one_listens()}")


def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(EndpointError, match=r"cannot resolve no\.such\.host\.invalid: .*check the URL"):
        ask("http://no.such.host.invalid")


def test_a_server_that_never_answers() -> None:
    with (
        serve(probe=lambda _: [HANG]) as server,
        pytest.raises(EndpointError, match=r"no answer within 0\.3 s.*--timeout"),
    ):
        ask(server.url, timeout_s=0.3)


def test_a_server_that_never_lists_its_models() -> None:
    with serve(models=lambda _: [HANG]) as server, pytest.raises(EndpointError, match=r"/v1/models.*within 0\.3 s"):
        ask(server.url, timeout_s=0.3)


@pytest.mark.parametrize("where", ["models", "probe"])
def test_a_server_that_drips(where: str) -> None:
    """Always a byte in time, never an end."""

    def drip(_: Received) -> Any:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100000\r\n\r\n"
        while True:
            yield 0.05
            yield b":"

    with serve(**{where: drip}) as server, pytest.raises(EndpointError, match=r"within 0\.4 s"):  # type: ignore[arg-type]
        ask(server.url, timeout_s=0.4)


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.6\r\n", b"\x15\x03\x01\x00\x02\x02\x46"])
def test_a_server_of_another_protocol(answer: bytes) -> None:
    with (
        serve(models=lambda _: [answer, CLOSE]) as server,
        pytest.raises(EndpointError, match=r"another protocol|speaks TLS"),
    ):
        ask(server.url)


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, r"OPENAI_API_KEY.*--header"), (403, "OPENAI_API_KEY"), (404, r"check the URL.*/v1"), (405, "check the URL")],
)
@pytest.mark.parametrize("where", ["models", "probe"])
def test_what_no_load_can_cure_is_said_with_what_to_do(where: str, status: int, words: str) -> None:
    with serve(**{where: refusing(status, "the server's words")}) as server:  # type: ignore[arg-type]
        with pytest.raises(EndpointError, match=rf"(?s)HTTP {status}: the server's words.*{words}"):
            ask(server.url)
        assert server.load == []


def test_a_key_that_is_refused_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "an old one")
    refused = pytest.raises(EndpointError, match="it refuses the key in OPENAI_API_KEY")
    with serve(models=refusing(401, "who are you")) as server, refused:
        ask(server.url)


def test_a_request_that_is_refused_outright() -> None:
    refused = pytest.raises(EndpointError, match="gave HTTP 400: too many toys; the server refused")
    with serve(probe=refusing(400, "too many toys")) as server, refused:
        ask(server.url)


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    probe = refusing(404, "The model `scripted-modle` does not exist.")
    with serve(probe=probe) as server, pytest.raises(EndpointError, match=rf"did you mean {MODEL}"):
        ask(server.url, model="scripted-modle")


@pytest.mark.parametrize("listed", [{"data": []}, {"object": "list"}, [], "none", {"data": [{"size": 7}]}])
def test_a_server_without_models(listed: Any) -> None:
    with serve(models=lambda _: [json_reply(listed)]) as server, pytest.raises(EndpointError, match="--model"):
        ask(server.url)


def test_a_named_model_needs_no_list() -> None:
    with serve(models=refusing(404)) as server:
        assert ask(server.url, model="mine").model == "mine"
    assert server.probes[0].json()["model"] == "mine"


def test_of_several_models_the_first_is_measured_and_the_result_says_so() -> None:
    names = {"data": [{"id": "first"}, {"id": "second"}]}
    with serve(models=lambda _: [json_reply(names)]) as server:
        found = ask(server.url)
    assert found.model == "first"
    assert any("first, second" in note for note in found.notes)


@pytest.mark.parametrize(
    "probe",
    [refusing(500), refusing(503), refusing(429), lambda _: [RESET], lambda _: [CLOSE], lambda _: [b"junk", CLOSE],
     lambda _: stream(event(token()), RESET), lambda _: stream(event({"error": {"message": "cold"}}))],
    ids=["500", "503", "429", "reset", "closed", "junk", "cut", "error event"],
)  # fmt: skip
def test_a_server_in_trouble_is_measured_and_the_failed_probe_noted(probe: Script) -> None:
    with serve(probe=probe) as server:
        found = ask(server.url)
    assert any("probe" in note for note in found.notes)


# --- what is agreed on -----------------------------------------------------------------------------------------------


def test_one_small_probe_comes_before_the_load() -> None:
    with serve() as server:
        ask(server.url)
    (probe,) = server.probes
    assert probe.json()["max_tokens"] == 4
    assert [request.method for request in server.received[:2]] == ["GET", "POST"]


def test_the_body_asks_for_what_is_wanted(run: Run) -> None:
    with serve() as server:
        run(server.url, requests=2, extra_body={"temperature": 0, "max_tokens": 999, "seed": 1})
    body = server.load[0].json()
    assert list(body) == [
        "model",
        "stream",
        "stream_options",
        "ignore_eos",
        "temperature",
        "seed",
        "max_tokens",
        "messages",
    ]
    assert (body["max_tokens"], body["ignore_eos"], body["stream_options"]) == (4, True, {"include_usage": True})
    assert server.load[0].headers["content-type"] == "application/json"
    assert server.load[0].headers["accept"] == "text/event-stream"


def picky(refused: str, words: str, status: int = 400) -> Script:
    """Refuses bodies that hold a field."""

    def answer(request: Received) -> list[Step]:
        return refusing(status, words)(request) if refused in request.json() else clean()  # type: ignore[return-value]

    return answer


def test_ignore_eos_is_left_out_where_it_is_refused() -> None:
    script = picky("ignore_eos", "Unrecognized request argument supplied: ignore_eos")
    with serve(script, probe=script) as server:
        found = ask(server.url)
    assert found.form.ignore_eos is False
    assert any("ignore_eos" in note for note in found.notes)


def test_ignore_eos_is_not_left_out_where_it_was_asked_for() -> None:
    script = picky("ignore_eos", "Unrecognized request argument supplied: ignore_eos")
    with serve(script, probe=script) as server, pytest.raises(EndpointError, match="ignore_eos"):
        ask(server.url, ignore_eos=True)


def test_usage_is_left_out_where_it_is_refused() -> None:
    script = picky("stream_options", "stream_options: Extra inputs are not permitted", 422)
    with serve(script, probe=script) as server:
        found = ask(server.url)
    assert found.form.usage is False


def test_max_tokens_is_renamed_where_that_is_asked_for() -> None:
    words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    script = picky("max_tokens", words)
    with serve(script, probe=script) as server:
        found = ask(server.url)
    assert found.form.max_tokens_field == "max_completion_tokens" in server.probes[-1].json()


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("property 'max_tokens' is unsupported", 400),
        ("Unrecognized request argument supplied: max_tokens", 400),
        ("body.max_tokens: Extra inputs are not permitted", 422),
        ('json: unknown field "max_tokens"', 500),
    ],
)
def test_max_tokens_is_renamed_where_it_is_not_known(words: str, status: int) -> None:
    script = picky("max_tokens", words, status)
    with serve(script, probe=script) as server:
        found = ask(server.url)
    assert found.form.max_tokens_field == "max_completion_tokens" in server.probes[-1].json()


@pytest.mark.parametrize("words", ["max_tokens must be at least 16", "max_tokens is too large: 4"])
def test_max_tokens_is_not_renamed_for_its_value(words: str) -> None:
    with serve(probe=picky("max_tokens", words)) as server, pytest.raises(EndpointError, match="max_tokens"):
        ask(server.url)
    assert len(server.probes) == 1


def test_a_field_may_be_refused_as_a_failure_of_the_server() -> None:
    script = picky("ignore_eos", "create() got an unexpected keyword argument 'ignore_eos'", 500)
    with serve(script, probe=script) as server:
        found = ask(server.url)
    assert found.form.ignore_eos is False


def test_all_three_at_once(run: Run) -> None:
    def script(request: Received) -> Any:
        for field, words in (("ignore_eos",) * 2, ("stream_options",) * 2, ("max_tokens", "use max_completion_tokens")):
            if field in request.json():
                return refusing(400, words)(request)
        return clean()

    with serve(script, probe=script) as server:
        ran = run(server.url, requests=2)
    assert ran.statuses == ["ok"] * 2
    assert len(server.probes) == 5  # the last asks for one token, in the form that was taken
    assert [probe.json().get("max_completion_tokens") for probe in server.probes[3:]] == [4, 1]
    assert server.load[0].json()["max_completion_tokens"] == 4
    assert sum("refuses" in note for note in ran.result.notes) == 2


def test_a_server_that_refuses_everything_is_not_asked_for_ever() -> None:
    with serve(probe=refusing(400, "ignore_eos stream_options max_completion_tokens")) as server:
        with pytest.raises(EndpointError, match="HTTP 400"):
            ask(server.url)
        assert len(server.probes) <= 5


# --- APIs ------------------------------------------------------------------------------------------------------------


def test_completions(run: Run) -> None:
    def chunk(text: str, finish: str | None = None) -> bytes:
        return event({"choices": [{"index": 0, "text": text, "finish_reason": finish}]})

    def script(_: Received) -> list[Step]:
        last = event({"choices": [], "usage": usage(3)})
        return stream(0.01, chunk("a "), chunk("b "), chunk("c "), chunk("", "length"), last, b"data: [DONE]\n\n")

    with serve(script, probe=script) as server:
        ran = run(server.url, requests=2, api="completions")
    assert [(row["status"], row["output_tokens"], row["output_chunks"]) for row in ran.rows] == [("ok", 3, 3)] * 2
    assert server.load[0].path == "/v1/completions"
    assert isinstance(server.load[0].json()["prompt"], str)


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_without_streaming(run: Run, api: str) -> None:
    def script(_: Received) -> list[Step]:
        return [0.03, whole(4, api=api)]

    with serve(script, probe=script) as server:
        ran = run(server.url, requests=4, stream=False, api=api)
    assert ran.statuses == ["ok"] * 4
    assert {row["output_tokens"] for row in ran.rows} == {4}
    assert {row["first_any_ns"] for row in ran.rows} == {None}
    assert all(row["last_ns"] - row["send_start_ns"] >= 0.03e9 for row in ran.rows)
    assert ran.result.latency["ttft_ms"].service.n == 0
    assert ran.result.latency["e2e_ms"].service.n == 4
    body = server.load[0].json()
    assert body["stream"] is False and "stream_options" not in body


def test_without_streaming_and_usage_the_tokenizer_counts(run: Run) -> None:
    text = json_reply({"choices": [{"message": {"content": "four words of text"}, "finish_reason": "stop"}]})
    with serve(lambda _: [text]) as server:
        ran = run(server.url, requests=2, stream=False)
    assert {(row["token_source"], row["output_tokens"]) for row in ran.rows} == {("tokenizer", 4)}


@pytest.mark.parametrize(
    ("path", "asked"),
    [("", "/v1/chat/completions"), ("/", "/v1/chat/completions"), ("/v1/", "/v1/chat/completions"),
     ("/api/v2", "/api/v2/chat/completions"), ("/v1/chat/completions", "/v1/chat/completions"),
     ("/v1?api-version=1&x=a%20b", "/v1/chat/completions?api-version=1&x=a%20b"),
     ("/modèle 1", "/mod%C3%A8le%201/chat/completions")],
)  # fmt: skip
def test_the_path_of_the_url(path: str, asked: str) -> None:
    with serve() as server:
        ask(server.url + path)
    assert server.probes[0].path == asked
    assert server.received[0].path == asked.replace("chat/completions", "models")


def test_key_and_headers_are_sent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-from-a-file\n")
    with serve() as server:
        run(
            server.url,
            requests=1,
            concurrency=1,
            api_key_env="MY_KEY",
            headers={"X-Team": "blue", "content-type": "application/json; v=2"},
        )
    assert all(request.headers["authorization"] == "Bearer sk-from-a-file" for request in server.received)
    assert server.load[0].headers["x-team"] == "blue"
    assert server.load[0].headers["content-type"] == "application/json; v=2"


def test_a_header_takes_the_place_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-general")
    with serve() as server:
        ask(server.url, headers={"authorization": "Token special"})
    assert {request.headers["authorization"] for request in server.received} == {"Token special"}


@pytest.mark.parametrize(
    "headers", [{"X": "a\r\nY: b"}, {"X Y": "a"}, {"": "a"}, {"X:": "a"}, {"X": "ü"}, {"Content-Length": "3"}]
)
def test_headers_that_cannot_be_sent(headers: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="header"):
        ask("http://127.0.0.1:9", headers=headers)


@pytest.mark.parametrize("key", ["sk\nX: y", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_not_shown(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as caught:
        ask("http://127.0.0.1:9")
    assert key not in str(caught.value)


def test_the_model_list_may_come_in_chunks() -> None:
    text = json.dumps({"data": [{"id": "chunky"}]}).encode()
    reply = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    )
    with serve(models=lambda _: [b"HTTP/1.1 100 Continue\r\n\r\n", reply % (len(text), text)]) as server:
        assert ask(server.url).model == "chunky"


@pytest.mark.usefixtures("alone")
def test_the_probe_tells_how_long_a_request_is_likely_to_take() -> None:
    with serve(probe=lambda _: clean(2, ttft_s=0.1, gap_s=0.05)) as server:
        found = ask(server.url)
    assert found.probe_first_s is not None
    assert found.e2e_s(1) == found.probe_first_s == pytest.approx(0.1, abs=0.06)
    assert found.e2e_s(101) == pytest.approx(0.1 + 100 * 0.05, rel=0.3)
    with serve(probe=lambda _: [whole(2)]) as server:
        found = ask(server.url, stream=False)
    assert found.probe_first_s is not None and found.e2e_s(100) == found.probe_first_s
    with serve(probe=lambda _: [json_reply({"error": {"message": "later"}}, 503)]) as server:
        assert ask(server.url).e2e_s(100) is None
