"""Whose key is sent to whom: by the variable that is read, by the header that takes it, and into no file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from scripted import Received, Step, json_reply, serve
from small_engine import engine

import loadcell
from loadcell.cli.main import main
from loadcell.cli.run import configure, read_spec
from loadcell.cli.target import key_variable
from loadcell.errors import EndpointError
from loadcell.load.local import Local
from loadcell.load.target import make_target
from loadcell.spec import Endpoint, Spec


def headers_of(url: str, key: str | None = "k" * 32, **fields: Any) -> dict[str, str]:
    made = make_target(Endpoint(url=url, **fields), key).headers
    return {name.lower(): value for name, value in made.items()}


@pytest.mark.parametrize("host", ["x.openai.azure.com", "x.cognitiveservices.azure.com", "x.services.ai.azure.com"])
def test_azure_gets_a_key_by_its_own_header(host: str) -> None:
    assert headers_of(f"https://{host}") == {"api-key": "k" * 32}
    token = "eyJhbGciOiJIUzI1NiJ9.e30.x"
    assert headers_of(f"https://{host}", token) == {"authorization": f"Bearer {token}"}
    assert headers_of(f"https://{host}", None) == {}
    messages = headers_of(f"https://{host}", api="messages")
    assert messages == {"anthropic-version": "2023-06-01", "x-api-key": "k" * 32, "api-key": "k" * 32}


@pytest.mark.parametrize("host", ["openai.azure.com.example.org", "api.openai.com", "xopenai.azure.com"])
def test_others_get_it_as_a_bearer(host: str) -> None:
    assert headers_of(f"https://{host}") == {"authorization": "Bearer " + "k" * 32}


def test_a_key_by_hand_in_that_header_is_the_only_one() -> None:
    assert headers_of("http://gateway", headers={"Api-Key": "mine"}) == {"api-key": "mine"}


BOTH = {"OPENAI_API_KEY": "openai-s3cret-0123", "ANTHROPIC_API_KEY": "anthropic-s3cret-4567"}


@pytest.mark.parametrize(
    ("known", "sent"),
    [("ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY"), ("ANTHROPIC_API_KEY OPENAI_API_KEY", "OPENAI_API_KEY"), ("", None)],
)
def test_whose_key_is_sent_to_a_server_that_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: str, sent: str | None
) -> None:
    def refusing(_: Received) -> list[Step]:
        return [json_reply({"error": "no"}, 401)]

    for name in known.split():
        monkeypatch.setenv(name, BOTH[name])
    with serve(models=refusing) as server:
        assert main(["run", server.url, "--api", "messages", "--output", str(tmp_path / "run")]) == 1
    assert {one.headers.get("x-api-key") for one in server.received} == {None if sent is None else BOTH[sent]}
    assert {one.headers.get("authorization") for one in server.received} == {sent and f"Bearer {BOTH[sent]}"}


@pytest.mark.parametrize(
    ("api", "given", "sent"),
    [
        ("messages", ("ANTHROPIC_API_KEY",), "ANTHROPIC_API_KEY"),
        ("messages", ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"), "OPENAI_API_KEY"),
        ("messages", ("OPENAI_API_KEY",), "OPENAI_API_KEY"),
        ("chat", ("ANTHROPIC_API_KEY",), None),
    ],
)
def test_the_spec_says_whose_variable_it_was_and_no_file_holds_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], api: str,
    given: tuple[str, ...], sent: str | None,
) -> None:  # fmt: skip
    for name, value in BOTH.items():
        if name in given:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name, raising=False)
    with engine() as url:
        folder = tmp_path / "run"
        words = ["run", url, "--api", api, "--requests", "4", "--concurrency", "2", "--json", "--no-html"]
        assert main([*words, "--output", str(folder)]) in (0, 4)
    told = json.loads(capsys.readouterr().out)
    assert told["methodology"]["spec"]["endpoint"]["api_key_env"] == (sent or "OPENAI_API_KEY")
    files = [one.read_bytes() for one in folder.rglob("*") if one.is_file()]
    assert files and not any(value.encode() in text for value in BOTH.values() for text in files)


def test_the_key_of_a_named_server_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "anthropic-s3cret-4567")
    with engine("--ttft", "5ms", "--itl", "1ms", "--api-key", "anthropic-s3cret-4567") as url:
        words = ["run", url, "--api", "messages", "--requests", "4", "--concurrency", "2", "--json", "--no-html"]
        main([*words, "--output", str(tmp_path / "run")])
    assert json.loads(capsys.readouterr().out)["counts"]["run"]["ok"] == 4


@pytest.mark.parametrize(
    ("url", "api", "known", "variable"),
    [
        ("https://api.anthropic.com", "messages", "ANTHROPIC_API_KEY OPENAI_API_KEY", "ANTHROPIC_API_KEY"),
        ("https://api.anthropic.com/v1", "chat", "ANTHROPIC_API_KEY OPENAI_API_KEY", "ANTHROPIC_API_KEY"),
        ("https://api.anthropic.com", "messages", "OPENAI_API_KEY", None),
        ("https://api.anthropic.com", "messages", "", "ANTHROPIC_API_KEY"),
        ("https://notanthropic.com", "chat", "ANTHROPIC_API_KEY", None),
        ("https://x.openai.azure.com", "chat", "AZURE_OPENAI_API_KEY OPENAI_API_KEY", "AZURE_OPENAI_API_KEY"),
        ("https://x.services.ai.azure.com", "chat", "AZURE_OPENAI_API_KEY OPENAI_API_KEY", "AZURE_OPENAI_API_KEY"),
        ("https://x.openai.azure.us/v1", "chat", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_API_KEY"),
        ("https://xopenai.azure.com", "chat", "AZURE_OPENAI_API_KEY OPENAI_API_KEY", None),
        ("localhost:8000", "messages", "ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY"),
        ("localhost:8000", "messages", "", None),
    ],
)
def test_whose_variable_is_read(url: str, api: str, known: str, variable: str | None) -> None:
    found = key_variable({"url": url, "api": api}, dict.fromkeys(known.split(), "a key"))
    assert found == ({} if variable is None else {"api_key_env": variable})


@pytest.mark.parametrize(
    ("url", "asked", "variable"),
    [
        ("https://api.anthropic.com", {"api": "messages"}, "ANTHROPIC_API_KEY"),
        ("https://api.anthropic.com", {"api": "messages", "api_key_env": "OPENAI_API_KEY"}, "OPENAI_API_KEY"),
        ("https://api.openai.com", {}, "OPENAI_API_KEY"),
    ],
)
def test_python_reads_the_variable_that_the_command_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, asked: dict[str, Any], variable: str
) -> None:
    for name, value in BOTH.items():
        monkeypatch.setenv(name, value)
    specs: list[Spec] = []

    def stop(spec: Spec, *_: Any, **__: Any) -> None:
        specs.append(spec)
        raise EndpointError("far enough")

    monkeypatch.setattr("loadcell.python.run_load", stop)
    monkeypatch.setattr("loadcell.python.known_selftest", lambda *_: None)
    with pytest.raises(EndpointError, match="far enough"):
        loadcell.run(url, output=tmp_path / "r", **asked)
    assert [spec.endpoint.api_key_env for spec in specs] == [variable]


def test_a_server_that_was_found_is_sent_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "anthropic-s3cret-4567")
    with engine() as url:
        there = [Local(url, "vLLM", ["loadcell-engine"])]
        monkeypatch.setattr("loadcell.load.local.local_servers", lambda: there)
        parser = argparse.ArgumentParser()
        configure(parser)
        spec = read_spec(parser.parse_args(["--api", "messages"]))
    assert (spec.endpoint.url, spec.endpoint.api_key_env) == (url, "")
