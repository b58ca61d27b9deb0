"""The first five minutes: a server is found or named as people name one, and what is no server is told apart."""

from __future__ import annotations

import argparse
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from scripted import DONE, HANG, MODEL, Script, Scripted, delta, event, json_reply, serve, stream, token, usage_event

from loadcell.cli import duel
from loadcell.cli.main import main
from loadcell.spec import build_spec

LISTED = json_reply({"object": "list", "data": [{"id": "tiny", "object": "model"}]})
SHORT = ("--requests", "4", "--concurrency", "2", "--input-tokens", "8", "--output-tokens", "10", "--workers", "1")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of one's own to be in, and no real server of this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("loadcell.load.local.USUAL", ())


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[Scripted]]]:
    """`usual(a, b)`: servers whose lists of models are these scripts, on the first of the usual ports."""
    with ExitStack() as open_ones:

        def start(*lists: Script | None, **more: Any) -> list[Scripted]:
            servers = [open_ones.enter_context(serve(models=script, **more)) for script in lists]
            ports = tuple((server.port, f"Usual {number}") for number, server in enumerate(servers))
            monkeypatch.setattr("loadcell.load.local.USUAL", ports)
            return servers

        yield start


def spec_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "spec.json").read_text())


def test_a_server_on_a_usual_port_is_found_and_loaded(
    usual: Callable[..., list[Scripted]], capsys: pytest.CaptureFixture[str]
) -> None:
    """TTFT 50 ms at least, 10 tokens a reply."""
    pieces = [0.05, event(token()), *(part for _ in range(9) for part in (0.02, event(token())))]
    base = stream(*pieces, event(delta(finish="length")), event(usage_event(10)), DONE)
    with serve(lambda _: base) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("loadcell.load.local.USUAL", ((1, "none"), (server.port, "Some server")))
        assert main(["run", *SHORT, "--output", "out", "--json"]) in (0, 4)
        shown = capsys.readouterr()
        assert len(server.load) == 4
    assert f"found http://127.0.0.1:{server.port} (port of Some server; model {MODEL})" in shown.err
    assert spec_of(Path("out"))["endpoint"]["url"] == f"http://127.0.0.1:{server.port}"
    result = json.loads(shown.out)
    assert result["counts"]["run"]["ok"] == 4
    rates = result["run_rates"]
    assert rates["output_tokens_per_s"] * rates["seconds"] == pytest.approx(40)
    assert result["latency"]["ttft_ms"]["service"]["min"] >= 50


def test_others_are_named_and_the_first_port_wins(
    usual: Callable[..., list[Scripted]], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = usual(lambda _: [LISTED], lambda _: [json_reply([{"id": "bare-array"}])])
    main(["run", *SHORT, "--output", "out"])
    said = capsys.readouterr().err
    assert f"found {first.url} (port of Usual 0; model tiny)" in said
    assert f"also {second.url} (port of Usual 1; model bare-array)" in said and "name a URL to choose" in said
    assert len(first.load) == 4 and second.load == []
    assert [request.path for request in second.received] == ["/v1/models"]


NO_SERVERS: dict[str, Script] = {
    "a web page": lambda _: [b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"],
    "another API": lambda _: [json_reply({"status": "ok"})],
    "another list": lambda _: [json_reply([{"title": "x"}])],
    "not found": lambda _: [json_reply({"error": "x"}, 404)],
    "a login page": lambda _: [b"HTTP/1.1 401 No\r\nContent-Length: 6\r\n\r\n<html>"],
    "a redirect": lambda _: [b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"],
    "no HTTP": lambda _: [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "close"],
    "binary": lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe\x00\x01"],
}


@pytest.mark.parametrize("kind", NO_SERVERS)
def test_what_is_no_llm_server_is_not_taken(
    usual: Callable[..., list[Scripted]], capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    (server,) = usual(NO_SERVERS[kind])
    assert main(["run", *SHORT]) == 2
    said = capsys.readouterr().err
    assert "no LLM server answers" in said and "loadcell serve" in said and server.url not in said
    assert not Path("recordings").exists() and server.load == []


def test_a_silent_port_is_left_behind(
    usual: Callable[..., list[Scripted]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadcell.load.local._ANSWER_S", 0.3)
    _, second = usual(lambda _: [HANG], lambda _: [LISTED])
    main(["run", *SHORT, "--output", "out"])
    assert f"found {second.url}" in capsys.readouterr().err and len(second.load) == 4


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (json_reply({"error": {"message": "no key"}}, 401), "wants a key: name it, and that in OPENAI_API_KEY is sent"),
        (json_reply({"object": "list", "data": None}), "lists no model"),
    ],
)
def test_a_server_that_cannot_be_loaded_as_it_is_is_named(
    usual: Callable[..., list[Scripted]], capsys: pytest.CaptureFixture[str], answer: bytes, says: str
) -> None:
    (server,) = usual(lambda _: [answer])
    assert main(["run", *SHORT]) == 2
    said = capsys.readouterr().err
    assert server.url in said and says in said


def test_a_server_that_was_found_is_sent_no_key(
    usual: Callable[..., list[Scripted]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever listens on a usual port would get it: a server that was named gets it, and a key that was named too."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-everyone")
    monkeypatch.setenv("TEAM_KEY", "sk-of-the-team")
    (server,) = usual(lambda _: [LISTED])
    main(["run", *SHORT, "--output", "found"])
    assert [request.headers.get("authorization") for request in server.received] == [None] * len(server.received)
    before = len(server.received)
    main(["run", *SHORT, "--output", "key", "--api-key-env", "TEAM_KEY"])
    main(["run", f"127.0.0.1:{server.port}", *SHORT, "--output", "named"])
    seen = [request.headers.get("authorization") for request in server.received[before:]]
    assert set(seen) - {None} == {"Bearer sk-of-the-team", "Bearer sk-not-for-everyone"} and seen.count(None) == 1


def test_a_found_server_that_wants_a_key_after_all_says_how_to_send_it(
    usual: Callable[..., list[Scripted]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x-y-z")
    usual(lambda _: [LISTED], probe=lambda _: [json_reply({"error": {"message": "no key"}}, 401)])
    assert main(["run", *SHORT, "--output", "out"]) == 1
    said = capsys.readouterr().err
    assert "no key" in said and "name its URL, and the key in OPENAI_API_KEY is sent" in said and "set ," not in said


def test_the_variables_of_openai_are_taken_before_what_is_found(
    usual: Callable[..., list[Scripted]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, named = usual(lambda _: [LISTED], None)
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://user:secret-word@127.0.0.1:{named.port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-named")
    Path(".env").write_text(f"OPENAI_BASE_URL={found.url}\n")
    main(["run", *SHORT, "--output", "out"])
    said = capsys.readouterr().err
    assert f"OPENAI_BASE_URL names http://<redacted>@127.0.0.1:{named.port}/v1" in said and "secret-word" not in said
    assert len(named.load) == 4 and found.received == []
    monkeypatch.setenv("OPENAI_BASE_URL", f"127.0.0.1:{named.port}")
    main(["run", *SHORT, "--output", "key"])
    assert len(named.load) == 8 and named.load[-1].headers["authorization"] == "Bearer sk-named"


def test_a_url_that_was_given_is_all_that_is_asked(usual: Callable[..., list[Scripted]], monkeypatch: Any) -> None:
    found, named = usual(lambda _: [LISTED], lambda _: [LISTED])
    monkeypatch.setenv("OPENAI_BASE_URL", found.url)
    main(["run", named.url, *SHORT, "--output", "out"])
    assert found.received == [] and len(named.load) == 4


def test_a_duel_takes_no_second_name_of_its_first_server(usual: Callable[..., list[Scripted]]) -> None:
    first, second = usual(lambda _: [LISTED], lambda _: [LISTED])
    parser = argparse.ArgumentParser()
    duel.configure(parser)
    specs = duel.specs_of(parser.parse_args([f"localhost:{first.port}"]))
    assert specs["B"].endpoint.url == second.url


def test_a_sweep_and_a_duel_find_theirs_too(
    usual: Callable[..., list[Scripted]], capsys: pytest.CaptureFixture[str]
) -> None:
    """By the same function: what it finds is loaded in the tests above."""
    first, second = usual(lambda _: [LISTED], lambda _: [LISTED])
    assert main(["sweep", "--concurrency", "1", "--slo", "chat", "--duration", "1s", "--steps", "2"]) == 2
    assert f"found {first.url}" in capsys.readouterr().err
    parser = argparse.ArgumentParser()
    duel.configure(parser)
    for words, sides in (([], (first, second)), ([second.url], (second, first))):
        specs = duel.specs_of(parser.parse_args(words))
        assert [spec.endpoint.url for spec in specs.values()] == [side.url for side in sides]
    usual(lambda _: [LISTED])
    assert main(["duel", "--concurrency", "1"]) == 2
    assert "no LLM server answers" in capsys.readouterr().err


# --- how a server is named -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("localhost/v1", "http://localhost/v1"),
        ("localhost", "http://localhost"),
        ("host", "http://host"),
        (" host:8000/ ", "http://host:8000/"),
        ("//host:8000", "http://host:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("[::1]", "http://[::1]"),
        ("::1", "http://[::1]"),
        ("fe80::1%eth0", "http://[fe80::1%eth0]"),
        ("::1/v1", "http://[::1]/v1"),
        ("10.0.0.7:30000/v1", "http://10.0.0.7:30000/v1"),
        ("api.example.com:443/v1", "https://api.example.com:443/v1"),
        ("gpu7:8443", "https://gpu7:8443"),
        ("[::1]:8443", "https://[::1]:8443"),
        ("gpu7:443.example", "port"),
        ("user:word@gpu7:8000/v1?api-version=1", "http://user:word@gpu7:8000/v1?api-version=1"),
        ("HTTPS://Host:8000", "https://Host:8000"),
        ("http:/host:8000", "http://host:8000"),
        ("http://host", "http://host"),
    ],
)
@pytest.mark.parametrize("field", ["endpoint.url", "endpoint.metrics_url", "observe.urls"])
def test_urls_without_a_scheme(text: str, url: str, field: str) -> None:
    """Every field that takes a URL."""
    section, _, key = field.partition(".")
    tree: dict[str, Any] = {"endpoint": {"url": "http://host"}, "observe": {}}
    tree[section][key] = [text] if key == "urls" else text
    if url == "port":
        with pytest.raises(Exception, match="port that cannot be"):
            build_spec(tree)
        return
    found = getattr(getattr(build_spec(tree), section), key)
    assert found == ([url] if key == "urls" else url)


def test_flags_take_urls_without_a_scheme(capsys: pytest.CaptureFixture[str]) -> None:
    page = b"# TYPE x gauge\nx 1\n"
    metrics = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(page), page)
    with serve() as server, serve(models=lambda _: [metrics]) as beside:
        where = f"localhost:{beside.port}"
        assert main(["run", f"localhost:{server.port}", *SHORT, "--metrics-url", where, "--observe-url", where,
                     "--output", "out"]) in (0, 4)  # fmt: skip
        assert len(server.load) == 4 and {request.path for request in beside.received} == {"/metrics"}
    spec = spec_of(Path("out"))
    assert spec["endpoint"]["url"] == f"http://localhost:{server.port}"
    assert spec["endpoint"]["metrics_url"] == f"http://{where}" and spec["observe"]["urls"] == [f"http://{where}"]


@pytest.mark.parametrize("command", ["run", "sweep"])
@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("chat.jsno", "at chat.jsno, and no host chat.jsno (did you mean chat.json?)"),
        ("recordings/20260102", "at recordings/20260102 (did you mean 20260101?)"),
        ("result.json", "at result.json"),
        ("./chat", "at ./chat"),
        ("/no/such/place", "at /no/such/place"),
        ("~/runs/chat", "at ~/runs/chat"),
        ("runs/chat", "at runs/chat, and no host runs"),
    ],
)
def test_a_mistyped_name_of_a_file_is_no_host(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, target: str, says: str
) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    Path("recordings/20260101").mkdir(parents=True)
    Path("chat.json").write_text("{}")
    assert main([command, target, "--concurrency", "1,2" if command == "sweep" else "1"]) == 2
    assert says in capsys.readouterr().err


def test_a_name_that_a_resolver_knows_is_a_host(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve() as server:
        known = socket.getaddrinfo

        def resolve(host: Any, port: Any, *more: Any, **named: Any) -> Any:
            return known(*(("127.0.0.1", server.port) if host == "llm" else (host, port)), *more, **named)

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        assert main(["run", "llm/v1", *SHORT, "--output", "out"]) in (0, 4)
        assert len(server.load) == 4
    assert spec_of(Path("out"))["endpoint"]["url"] == "http://llm/v1"
