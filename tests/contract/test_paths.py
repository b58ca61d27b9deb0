"""Where an API is asked: other paths, other servers' forms, what stands in a path, and how a key goes there."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from contract_runs import Run, ask
from scripted import Received, Script, Step, clean, json_reply, serve
from small_engine import engine

from loadcell.cli.main import main
from loadcell.errors import EndpointError, UsageError
from loadcell.load.target import make_target
from loadcell.secrets import REDACTED
from loadcell.spec import Endpoint

AZURE = "/openai/deployments/gpt%204o/chat/completions"
VERSION = "api-version=2024-10-21"
DATABRICKS = "/serving-endpoints/my-model/invocations"


def only_at(path: str, status: int = 404) -> Script:
    """A server that has one path."""

    def script(request: Received) -> list[Step]:
        if request.path.partition("?")[0] == path:
            return clean()
        return [json_reply({"error": f"no {request.path}"}, status)]

    return script


def lists_nothing(request: Received) -> list[Step]:
    return [json_reply({"error": f"no {request.path}"}, 404)]


@pytest.mark.parametrize(
    ("url", "path", "asked"),
    [
        (f"{AZURE}?{VERSION}", None, f"{AZURE}?{VERSION}"),
        ("", f"{AZURE}?{VERSION}", f"{AZURE}?{VERSION}"),
        (f"/openai?{VERSION}", "deployments/gpt%204o/chat/completions", f"{AZURE}?{VERSION}"),
        (f"/openai/deployments/gpt%204o?{VERSION}", None, f"{AZURE}?{VERSION}"),
        (DATABRICKS, None, DATABRICKS),
        ("", DATABRICKS, DATABRICKS),
    ],
)
def test_where_the_path_names_the_model_no_list_is_asked(run: Run, url: str, path: str | None, asked: str) -> None:
    script = only_at(asked.partition("?")[0])
    with serve(script, probe=script, models=lists_nothing) as server:
        ran = run(server.url + url, requests=3, path=path)
    name = "gpt 4o" if "deployments" in asked else "my-model"
    assert ran.statuses == ["ok"] * 3
    assert {(request.method, request.path) for request in server.received if "metrics" not in request.path} == {
        ("POST", asked)
    }
    assert {request.json()["model"] for request in server.load} == {name}
    assert ran.manifest.effective["model"] == name
    assert ran.manifest.effective["url"].endswith(asked.partition("?")[0])
    assert f"the path names the model: {name}" in ran.manifest.notes


def test_a_path_with_a_place_for_the_model_gets_its_name_quoted(run: Run) -> None:
    asked = "/models/meta%2Fllama%203/chat?x=1"
    script = only_at(asked.partition("?")[0])
    with serve(script, probe=script) as server:
        ran = run(f"{server.url}/v1?y=2", requests=2, path="/models/{model}/chat?x=1", model="meta/llama 3")
    assert ran.statuses == ["ok"] * 2
    assert {request.path for request in server.load} == {f"{asked.partition('?')[0]}?y=2&x=1"}
    assert server.load[0].json()["model"] == "meta/llama 3"


def test_the_model_for_it_is_found_in_the_list_at_the_urls_base() -> None:
    with serve() as server:
        found = ask(f"{server.url}/gateway?k=v", path="/at/{model}")
    assert [(one.method, one.path) for one in server.received] == [
        ("GET", "/gateway/models?k=v"),
        ("POST", "/at/scripted-model?k=v"),
    ]
    assert found.model == "scripted-model"


def test_a_place_for_a_model_that_nobody_names_is_an_error() -> None:
    with serve(models=lists_nothing) as server, pytest.raises(UsageError, match="names a model: name it with --model"):
        ask(server.url, path="/at/{model}")


@pytest.mark.parametrize("status", [200, 404, 405])
def test_a_path_alone_may_choose_the_model(run: Run, status: int) -> None:
    def models(_: Received) -> list[Step]:
        return [json_reply({"data": []}, status)]

    with serve(models=models) as server:
        ran = run(server.url, requests=2, path="/custom")
    assert ran.statuses == ["ok"] * 2
    assert {request.path for request in server.load} == {"/custom"}
    assert "model" not in server.load[0].json()
    assert ran.manifest.effective["model"] is None
    assert any(note.startswith("the server lists no models: requests name none") for note in ran.manifest.notes)


def test_the_embedded_engine_is_asked_at_a_path(run: Run) -> None:
    with engine() as url:
        ran = run(f"{url}/elsewhere", requests=4, path="/v1/chat/completions", model="loadcell-engine")
        wrong = pytest.raises(EndpointError, match=r"POST http://[^ ]+/v2/chat gave HTTP 404")
        with wrong:
            ask(url, path="/v2/chat")
    assert ran.statuses == ["ok"] * 4
    assert ran.manifest.effective["url"] == f"{url}/v1/chat/completions"


@pytest.mark.parametrize("path", ["http://h/x", "/a b", "/x#y"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="is no path: write /what/follows"):
        make_target(Endpoint(url="http://h", path=path), None)


def test_a_query_is_recorded_where_it_is_a_version_and_else_hidden(run: Run) -> None:
    with serve() as server:
        plain = run(f"{server.url}/x?{VERSION}", requests=1, concurrency=1, path=f"/y?{VERSION}")
        keyed = run(f"{server.url}/x?sig=s3cretS3cret", requests=1, concurrency=1, path="/y?token=t0psecretT0p")
    told = plain.recording.spec.endpoint
    assert told.url.endswith(f"/x?{VERSION}") and told.path == f"/y?{VERSION}"
    told = keyed.recording.spec.endpoint
    assert told.url.endswith(f"/x?{REDACTED}") and told.path == f"/y?{REDACTED}"
    assert not any(
        b"s3cretS3cret" in one.read_bytes() or b"t0psecretT0p" in one.read_bytes() for one in files(keyed.folder)
    )
    assert server.load[-1].path == "/y?sig=s3cretS3cret&token=t0psecretT0p"


def files(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file()]


def test_a_hidden_query_is_asked_for_again(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with serve() as server:
        ran = run(server.url, requests=1, concurrency=1, path="/y?token=t0psecretT0p")
        assert main(["run", str(ran.folder)]) == 2
    assert "queries are never recorded. Give it again: --path PATH" in capsys.readouterr().err


def test_the_socket_of_a_url_is_quoted_as_its_own() -> None:
    made = make_target(Endpoint(url=f"http+unix://{quote('/tmp/A b.sock', safe='')}/v1"), None)
    assert (made.socket_path, made.host_header, made.origin) == (
        "/tmp/A b.sock",
        "localhost",
        "http+unix://%2Ftmp%2FA%20b.sock",
    )
