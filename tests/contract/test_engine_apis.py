"""Loads of the engines' own APIs against servers of known timing, which stamp what they send."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import plain_figures as plain
import pytest
from contract_runs import Ran, Run, ask
from engine_scripts import ENGINES, PROMPT, Engine
from known import Witness, lies_in
from scripted import CLOSE, LAST_CHUNK, Received, Step, chunked, json_reply, serve

from loadcell.errors import EndpointError, UsageError
from loadcell.protocol import dialect_of

TTFT_S, GAP_S, TOKENS, EACH = 0.05, 0.01, 6, 12
in_each = pytest.mark.parametrize("api", ENGINES)


def go(run: Run, url: str, api: str, **fields: Any) -> Ran:
    return run(url, api=api, **{"output_tokens": str(TOKENS), "metrics_url": "none", "requests": EACH, **fields})


@in_each
def test_a_load_is_measured_as_the_server_saw_it(run: Run, alone: None, api: str) -> None:
    engine, witness = ENGINES[api], Witness()
    script = engine.script(TTFT_S, GAP_S)
    with serve(witness(script), probe=script, models=engine.names) as server:
        ran = go(run, server.url, api)
    assert ran.statuses == ["ok"] * EACH
    for row in ran.rows:
        assert (row["output_tokens"], row["token_source"], row["prompt_tokens"]) == (TOKENS, "usage", PROMPT)
        assert (row["output_chunks"], row["first_tokens"]) == (TOKENS, 1)
        assert row["cached_tokens"] == engine.cached
        for part, told_ns in zip(("queue", "prefill", "decode"), engine.times, strict=True):
            assert row[f"server_{part}_ns"] == (None if told_ns is None else pytest.approx(told_ns, abs=1000))
    assert set(ran.recording.requests(["finish_reason"])["finish_reason"]) == {engine.finish}
    bounds, found = witness.bounds_ms(ran.rows, witness.t0_ns(ran.rows)), ran.result.latency
    assert lies_in(found["ttft_ms"].service.mean, bounds["ttft"], 4)
    assert lies_in(found["e2e_ms"].service.mean, bounds["e2e"], 4)
    spread = [bound / (TOKENS - 1) for bound in bounds["spread"]]
    assert lies_in(found["tpot_ms"].service.mean, (spread[0], spread[1]), 1)
    assert server.connections < EACH, "the end of each reply was seen, and its connection used again"


@in_each
def test_the_figures_are_those_of_the_files(run: Run, api: str) -> None:
    engine = ENGINES[api]
    script = engine.script()
    with serve(script, probe=script, models=engine.names) as server:
        ran = go(run, server.url, api, warmup_s=0)
    requests, chunks = plain.read(ran.folder, "requests"), plain.read(ran.folder, "chunks")
    assert len(requests) == EACH and {row["output_tokens"] for row in requests} == {TOKENS}
    assert sum(row["tokens"] or 0 for row in chunks) in (0, EACH * TOKENS), (
        "each event's own tokens, where they are told"
    )
    window = ran.result.methodology.window
    theirs = plain.latencies(requests, chunks, "closed", (window.start_s, window.end_s))
    assert theirs["ttft_ms.service"]["n"] == EACH
    for name, mine in theirs.items():
        metric, anchor = name.split(".")
        shown = getattr(ran.result.latency[metric], anchor)
        assert (shown.n, shown.mean) == (mine["n"], pytest.approx(mine["mean"], rel=2e-5)), name


@in_each
def test_requests_go_where_the_api_has_them(run: Run, api: str) -> None:
    engine, dialect = ENGINES[api], dialect_of(api)
    script = engine.script()
    with serve(script, probe=script, models=engine.names) as server:
        ran = go(run, server.url, api, requests=2)
    assert {(request.method, request.path) for request in server.received} == {
        ("POST", engine.path), ("GET", engine.models),
    }  # fmt: skip
    assert ran.manifest.effective["url"] == f"{server.url}{engine.path}"
    assert ran.manifest.effective["max_tokens_field"] == dialect.form.max_tokens_field
    assert ran.manifest.effective["model"] == dialect.listed(json_of(engine))[0]  # type: ignore[index]


def json_of(engine: Engine) -> bytes:
    return json_reply(engine.listed).partition(b"\r\n\r\n")[2]


@in_each
def test_what_is_not_streamed_is_counted_too(run: Run, api: str) -> None:
    engine = ENGINES[api]
    script = engine.script()
    with serve(script, probe=script, models=engine.names) as server:
        ran = go(run, server.url, api, requests=4, stream=False)
    assert [(row["status"], row["output_tokens"], row["token_source"]) for row in ran.rows] == [
        ("ok", TOKENS, "usage")
    ] * 4
    assert {row["prompt_tokens"] for row in ran.rows} == {engine.prompt_whole}
    assert {request.path for request in server.load} == {engine.path_whole or engine.path}
    assert ran.manifest.effective["url"].endswith(engine.path_whole or engine.path)


def cut(engine: Engine, end: Step) -> list[Step]:
    """A stream without what tells its end."""
    events, after = engine.parts(TOKENS)
    return [engine.head(), *map(chunked, events if after else events[:-1]), end]


@in_each
@pytest.mark.parametrize("end", [LAST_CHUNK, CLOSE])
def test_a_stream_without_its_end_has_failed(run: Run, api: str, end: Step) -> None:
    engine = ENGINES[api]
    with serve(lambda _: cut(engine, end), probe=engine.script(), models=engine.names) as server:
        ran = go(run, server.url, api, requests=2, max_failures=1.0)
    assert [(row["status"], row["error_kind"]) for row in ran.rows] == [("failed", "cut")] * 2


@in_each
@pytest.mark.parametrize("before", [0, 2])
def test_an_error_in_a_stream_is_told_in_the_servers_words(run: Run, api: str, before: int) -> None:
    engine = ENGINES[api]
    steps = [engine.head(), *map(chunked, engine.parts(TOKENS)[0][:before]), chunked(engine.error), LAST_CHUNK]
    with serve(lambda _: steps, probe=engine.script(), models=engine.names) as server:
        ran = go(run, server.url, api, requests=2, max_failures=1.0)
    assert [(row["status"], row["error_kind"]) for row in ran.rows] == [("failed", "stream_error")] * 2
    assert set(ran.recording.requests(["error"])["error"]) == {engine.words}


@in_each
@pytest.mark.parametrize("status", [404, 405])
def test_a_server_that_lacks_it_is_told_the_path_that_was_tried(api: str, status: int) -> None:
    engine = ENGINES[api]

    def lacking(request: Received) -> list[Step]:
        return [json_reply({"error": f"no {request.path} here"}, status)]

    with serve(probe=lacking, models=engine.names) as server, pytest.raises(EndpointError) as caught:
        ask(server.url, api=api)
    said = str(caught.value)
    assert said.startswith(f"POST {server.url}{engine.path} gave HTTP {status}: no {engine.path} here; check the URL")
    assert "--api" in said and "\n" not in said


@pytest.mark.parametrize(
    ("api", "field", "note"),
    [
        ("sglang", "ignore_eos", "the server refuses ignore_eos: outputs may be shorter than asked"),
        ("llamacpp", "ignore_eos", "the server refuses ignore_eos: outputs may be shorter than asked"),
        ("tgi", "details", "the server refuses details: it sends no usage"),
    ],
)
def test_a_field_that_a_server_refuses_is_left_out_and_noted(run: Run, api: str, field: str, note: str) -> None:
    engine = ENGINES[api]
    script = engine.script()

    def refusing(request: Received) -> Iterable[Step]:
        asks = f'"{field}"'.encode() in request.body
        return [json_reply({"error": f"unknown field `{field}`"}, 422)] if asks else script(request)

    with serve(refusing, probe=refusing, models=engine.names) as server:
        ran = go(run, server.url, api, requests=2)
    assert ran.statuses == ["ok"] * 2 and note in ran.manifest.notes


@pytest.mark.parametrize("api", ["tgi", "ollama-generate", "ollama"])
def test_token_ids_are_refused_where_the_api_takes_none(run: Run, api: str, tmp_path: Path) -> None:
    engine = ENGINES[api]
    prompts = tmp_path / "ids.jsonl"
    prompts.write_text('{"prompt": [1, 2, 3]}\n')
    script = engine.script()
    refused = pytest.raises(UsageError, match=f"token ids cannot be sent to the {api} API")
    with serve(script, probe=script, models=engine.names) as server, refused:
        go(run, server.url, api, requests=1, prompts=str(prompts))


@pytest.mark.parametrize(("api", "name"), [("sglang", "input_ids"), ("llamacpp", "prompt")])
def test_token_ids_are_sent_where_the_api_takes_them(run: Run, api: str, name: str, tmp_path: Path) -> None:
    engine = ENGINES[api]
    prompts = tmp_path / "ids.jsonl"
    prompts.write_text('{"prompt": [1, 2, 3]}\n')
    script = engine.script()
    with serve(script, probe=script, models=engine.names) as server:
        ran = go(run, server.url, api, requests=1, prompts=str(prompts))
    assert ran.statuses == ["ok"] and [request.json()[name] for request in server.load] == [[1, 2, 3]]
