"""A server that has not the API which was asked for, or a model of another kind: what it has is named, in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from contract_runs import ask
from scripted import Received, Script, Step, clean, json_reply, serve
from small_engine import engine

from loadcell.apis import api_names
from loadcell.errors import EndpointError


def lists_nothing(request: Received) -> list[Step]:
    return [json_reply({"error": f"no {request.path}"}, 404)]


def having(*paths: str) -> Script:
    """A server that has some paths: what is no JSON it refuses with 400, as servers do."""

    def script(request: Received) -> list[Step]:
        if request.path not in paths:
            return [json_reply({"detail": "Not Found"}, 404)]
        try:
            request.json()
        except ValueError:
            return [json_reply({"error": {"message": "not JSON"}}, 400)]
        return clean()

    return script


def test_an_api_that_is_not_there_is_answered_with_those_that_are() -> None:
    with serve(probe=having("/v1/chat/completions", "/v1/completions")) as server:
        with pytest.raises(EndpointError) as caught:
            ask(server.url, api="messages")
        tried = [request for request in server.probes if request.body == b"{"]
    said = f"POST {server.url}/v1/messages gave HTTP 404: Not Found; chat and completions answered there: --api chat"
    assert str(caught.value) == said
    assert len({request.path for request in tried}) == len(tried) <= len(api_names()) and server.load == []


def test_so_is_one_whose_list_of_models_is_not_there() -> None:
    def triton(request: Received) -> list[Step]:
        known = request.path == "/v2/repository/index"
        return [
            json_reply([{"name": "ensemble", "state": "READY"}] if known else {"error": "no"}, 200 if known else 404)
        ]

    with serve(probe=triton, models=lists_nothing) as server:
        for url, there in (
            (server.url, "there: --api triton"),
            (f"{server.url}/v1", f"at {server.url}: name that URL, with --api triton"),
        ):
            with pytest.raises(EndpointError) as caught:
                ask(url)
            refused = f"GET {server.url}/v1/models gave HTTP 404: no /v1/models"
            assert str(caught.value) == f"{refused}; triton answered {there}"


def test_a_wrong_base_is_answered_with_the_right_one() -> None:
    script = having("/v1/chat/completions")
    with serve(probe=script, models=lists_nothing) as server, pytest.raises(EndpointError) as caught:
        ask(f"{server.url}/api", model="m")
    assert str(caught.value).endswith(f"; chat answered at {server.url}/v1: name that URL, with --api chat")


TEMPLATE = """
path: /theirs
body: '{"prompt": {{ prompt | tojson }}, "stream": {{ stream | tojson }}}'
event: {text: text, done: done}
"""


@pytest.mark.parametrize(
    ("api", "has", "advice"),
    [
        ("chat", "/v1/chat/completions", "chat answered there without --path: leave it out"),
        ("chat", "/v1/completions", "completions answered there without --path: leave it out, with --api completions"),
        ("ours", "/theirs", "the template answered there without --path: leave it out"),
        ("ours", "/v1/completions", "completions answered there without --path: leave it out, with --api completions"),
        ("messages", "/api/generate", "ollama-generate answered there without --path: leave it out, with --api "
         "ollama-generate"),
    ],
)  # fmt: skip
def test_a_path_that_is_not_there_is_left_out_and_leads_nobody_in_a_circle(
    tmp_path: Path, api: str, has: str, advice: str
) -> None:
    if api == "ours":
        template = tmp_path / "theirs.yaml"
        template.write_text(TEMPLATE)
        api = str(template)
    with serve(probe=having(has), models=lists_nothing) as server:
        with pytest.raises(EndpointError) as caught:
            ask(server.url, api=api, path="/v1/nope", model="m")
        asked = [request.path for request in server.probes if request.body == b"{"]
        assert asked.count("/v1/nope") == 1 and has in asked, "the path is asked of the wanted API alone"
    assert str(caught.value) == f"POST {server.url}/v1/nope gave HTTP 404: Not Found; {advice}"


def test_a_path_and_a_base_that_are_both_wrong_are_said_together() -> None:
    script = having("/v1/chat/completions")
    with serve(probe=script, models=lists_nothing) as server, pytest.raises(EndpointError) as caught:
        ask(f"{server.url}/api", path="nope", model="m", api="completions")
    base = f"{server.url}/v1"
    assert str(caught.value).endswith(f"; chat answered at {base}: name that URL, leave --path out, with --api chat")


def test_the_embedded_engine_says_which_it_has() -> None:
    with engine() as url, pytest.raises(EndpointError) as caught:
        ask(f"{url}/v9", model="loadcell-engine")
    names = (
        "chat, completions, messages, responses, transcriptions, translations, embeddings, rerank, speech and images"
    )
    assert str(caught.value).endswith(f"; {names} answered at {url}/v1: name that URL, with --api chat")


def test_where_the_path_is_there_it_is_the_model_that_is_not() -> None:
    def script(request: Received) -> list[Step]:
        status = 400 if request.body == b"{" else 404
        return [json_reply({"error": {"message": "nobody of that name"}}, status)]

    with serve(probe=script, models=lists_nothing) as server, pytest.raises(EndpointError) as caught:
        ask(server.url, model="m")
    assert "HTTP 404: nobody of that name; check the URL" in str(caught.value)
    assert "answered" not in str(caught.value)
    assert len(server.probes) == 2, "the path is there: nothing else is asked"


def test_servers_that_are_silent_to_such_questions_are_not_waited_for_long() -> None:
    def script(request: Received) -> list[Any]:
        return [json_reply({"detail": "Not Found"}, 404)] if request.body != b"{" else [30.0]

    with serve(probe=script) as server, pytest.raises(EndpointError, match="check the URL"):
        ask(server.url)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (  # vLLM's, of an embedding model
            400,
            {"object": "error", "message": "The model does not support Chat Completions API", "code": 400},
            "The model does not support Chat Completions API",
        ),
        (
            404,
            {"error": {"message": "The model does not support Chat Completions API", "type": "NotFoundError"}},
            "The model does not support Chat Completions API",
        ),
        (  # llama.cpp's, of a server started with --embeddings
            501,
            {"error": {"code": 501, "message": "This server does not support completions. Start it without "
                       "`--embeddings`", "type": "not_supported_error"}},
            "This server does not support completions. Start it without `--embeddings`",
        ),
    ],
)  # fmt: skip
def test_a_model_of_the_wrong_kind_is_refused_in_the_servers_words(
    status: int, body: dict[str, Any], words: str
) -> None:
    def script(request: Received) -> list[Step]:
        return [json_reply({"error": "not JSON"}, 400)] if request.body == b"{" else [json_reply(body, status)]

    with serve(probe=script) as server, pytest.raises(EndpointError) as caught:
        ask(server.url)
    assert f"gave HTTP {status}: {words}" in str(caught.value)
    assert "\n" not in str(caught.value) and server.load == []
