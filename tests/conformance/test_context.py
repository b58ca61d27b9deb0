"""Requests that are longer than the model's context: told before the load where the server tells its context, and by
its first refusals where it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from contract_runs import ask, run_once, short_spec
from scripted import MODEL, Received, Script, clean, json_reply, serve

from loadcell.errors import UsageError
from loadcell.load.context import learn_context, server_of
from loadcell.load.target import make_target
from loadcell.spec import with_defaults
from loadcell.workload import Context

LIMIT = 1200


def listing(**facts: Any) -> Script:
    """A list of models that says so of its one; every other page is not there."""

    def answer(request: Received) -> list[bytes]:
        if not request.path.endswith("/models"):
            return [json_reply({"error": "no such page"}, 404)]
        return [json_reply({"object": "list", "data": [{"id": MODEL, "object": "model", **facts}]})]

    return answer


def pages(owner: str, path: str, page: dict[str, Any]) -> Script:
    """A list that names the owner of its model, and a page of its own."""

    def answer(request: Received) -> list[bytes]:
        return [json_reply(page)] if request.path == path else listing(owned_by=owner)(request)

    return answer


def tokens_of(request: Received) -> tuple[int, int]:
    body = request.json()
    said = body["messages"][-1]["content"]
    return len(said.split()) + 4, body["max_tokens"]


def strict(request: Received) -> list[Any]:
    """As vLLM does with a request that is too long."""
    asked, out = tokens_of(request)
    if asked + out <= LIMIT:
        return clean()
    words = (
        f"This model's maximum context length is {LIMIT} tokens. However, you requested {asked + out} tokens ({asked} "
        f"in the messages, {out} in the completion). Please reduce the length of the messages or completion."
    )
    return [json_reply({"object": "error", "message": words, "code": 400}, 400)]


def file_of(folder: Path, *lengths: int) -> str:
    lines = [json.dumps({"prompt": " ".join(["word"] * length)}) for length in lengths]
    (folder / "p.jsonl").write_text("\n".join(lines))
    return str(folder / "p.jsonl")


@pytest.mark.parametrize(
    ("api", "models", "known"),
    [
        ("chat", listing(max_model_len=4096), (4096, None, "max_model_len of /models")),
        ("chat", listing(context_length=8192), (8192, None, "context_length of /models")),
        ("chat", listing(owned_by="llamacpp", meta={"n_ctx": 512, "n_ctx_train": 8192}),
         (512, None, "n_ctx of /models")),
        ("chat", pages("llamacpp", "/props", {"default_generation_settings": {"n_ctx": 2048}}),
         (2048, None, "n_ctx of /props")),
        ("chat", pages("sglang", "/get_server_info", {"context_length": 4096, "max_req_input_len": 4090}),
         (4096, 4090, "context_length of /get_server_info")),
        ("chat", pages("sglang", "/get_server_info", {"context_length": None, "max_req_input_len": 4090}),
         (4090, 4090, "context_length of /get_server_info")),
        ("tgi", lambda _: [json_reply({"model_id": MODEL, "max_total_tokens": 2048, "max_input_length": 1024})],
         (2048, 1024, "max_total_tokens of /info")),
        ("chat", listing(), None),
        ("chat", listing(max_model_len=None), None),
        ("chat", listing(max_model_len="long"), None),
        ("chat", pages("llamacpp", "/props", {"default_generation_settings": []}), None),
        ("chat", lambda _: [json_reply([1, 2])], None),
        ("chat", lambda _: [json_reply({"error": "no"}, 500)], None),
    ],
)  # fmt: skip
def test_what_servers_tell_of_their_context(api: str, models: Script, known: tuple[Any, ...] | None) -> None:
    with serve(lambda _: clean(), models=models) as server:
        spec = with_defaults(short_spec(server.url, api=api, model=MODEL))
        target = make_target(spec.endpoint, None)
        found = ask(server.url, api="chat", model=MODEL)
        told = learn_context(spec, target, found)
        assert told == (None if known is None else Context(known[0], known[2], known[1]))


def test_a_prompt_that_is_too_long_is_refused_before_the_load(tmp_path: Path) -> None:
    prompts = file_of(tmp_path, 20, 1300, 30)
    with serve(strict, models=listing(max_model_len=LIMIT)) as server:
        words = r"p\.jsonl:2: longer than the model's context: 1,304 tokens in \+ 4 out = 1,308 > 1,200 \(max_model_len"
        with pytest.raises(UsageError, match=words):
            run_once(server.url, tmp_path / "run", requests=6, prompts=prompts)
        assert not server.load
        with pytest.raises(UsageError, match=r"2 of 2 planned requests .* 1,500 tokens in \+ 4 out = 1,504 > 1,200"):
            run_once(server.url, tmp_path / "lengths", requests=2, input_tokens="1500")
        assert not server.load


def test_a_prompt_that_is_too_long_is_left_out_or_cut(tmp_path: Path) -> None:
    prompts = file_of(tmp_path, 20, 1300, 30)
    for remedy, most in [("drop", 37), ("clip", LIMIT - 4)]:
        with serve(strict, models=listing(max_model_len=LIMIT)) as server:
            ran = run_once(server.url, tmp_path / remedy, requests=6, prompts=prompts, too_long=remedy)
            assert ran.statuses == ["ok"] * 6
            lengths = [tokens_of(request)[0] for request in server.load]
        assert max(lengths) <= most and (remedy == "drop" or max(lengths) > LIMIT - 40)
        assert ran.manifest.effective["context_tokens"] == LIMIT
        assert sum("1 of 3 prompts of" in note for note in ran.result.notes) == 1


def test_a_list_is_asked_for_where_requests_are_long_alone(tmp_path: Path) -> None:
    with serve(lambda _: clean(), models=listing(max_model_len=LIMIT)) as server:
        for length, asked in [(20, 0), (400, 1)]:
            before = len([one for one in server.received if one.method == "GET"])
            folder, prompts = tmp_path / str(length), file_of(tmp_path, length)
            run_once(server.url, folder, requests=2, prompts=prompts, model=MODEL, metrics_url="none")
            assert len([one for one in server.received if one.method == "GET"]) - before == asked


@pytest.mark.parametrize("tells", [True, False])
def test_first_refusals_end_a_load_of_long_requests_with_the_arithmetic(tmp_path: Path, tells: bool) -> None:
    """A server whose list tells nothing; where its refusals do not either, nothing but such ends it too."""

    def script(request: Received) -> list[Any]:
        if tells:
            return strict(request)
        return [json_reply({"error": {"message": "the request exceeds the available context size"}}, 400)]

    with serve(script) as server:
        ran = run_once(server.url, tmp_path / "run", concurrency=16, requests=5000, input_tokens="1500")
        stopped = ran.result.run.stopped
        assert stopped is not None and stopped.kind == "failures"
        assert len(server.load) < 500
    if tells:
        assert (
            "(1,5" in stopped.reason and " tokens in + 4 out = 1,5" in stopped.reason and "for 1,200)" in stopped.reason
        )
        assert "and so are 100% of those planned: HTTP 400: This model's maximum context" in stopped.reason
    assert ran.result.verdict.word == "INVALID"
    reasons = " ".join(ran.result.verdict.reasons)
    assert "requests are longer than the model's context" in reasons


def test_a_minority_that_is_too_long_ends_nothing(tmp_path: Path) -> None:
    """Not even where a file begins with it."""
    prompts = file_of(tmp_path, 1300, 1400, 1250, 1300, *[20] * 16)
    with serve(strict) as server:
        ran = run_once(server.url, tmp_path / "run", requests=40, concurrency=2, prompts=prompts)
    assert ran.result.run.stopped is None and ran.statuses.count("ok") == 32
    (failure,) = ran.result.errors
    assert failure.count == 8 and "maximum context length is 1200" in (failure.sample or "")


def test_the_probe_that_asks_too_much_says_so(tmp_path: Path) -> None:
    with serve(strict, probe=strict) as server, pytest.raises(Exception, match="maximum context length is 1200 tokens"):
        run_once(server.url, tmp_path / "run", requests=4, output_tokens="2000")


def test_what_the_server_counts_is_asked_once(tmp_path: Path) -> None:
    with serve() as server:
        spec = with_defaults(short_spec(server.url))
        asked = server_of([(spec, make_target(spec.endpoint, None), ask(server.url))])
        before = len(server.received)
        assert asked.count("word") == asked.count("word") is not None
        assert len(server.received) == before + 1


def test_of_several_servers_the_shortest_context_counts() -> None:
    with (
        serve(models=listing(max_model_len=4096)) as one,
        serve(models=listing(max_model_len=2048)) as other,
        serve(models=listing()) as silent,
    ):
        asked = []
        for server in (silent, one, other):
            spec = with_defaults(short_spec(server.url))
            asked.append((spec, make_target(spec.endpoint, None), ask(server.url)))
        told = server_of(asked).context()
        assert told is not None and told.tokens == 2048
        assert server_of(asked[:1]).context() is None
