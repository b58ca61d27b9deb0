"""Triton's generate extension, by a server of known timing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contract_runs import Run
from known import Output, Witness, lies_in
from scripted import CLOSE, LAST_CHUNK, SSE_HEAD, Received, Step, chunked, event, json_reply, serve

TTFT_S, GAP_S, TOKENS = 0.05, 0.01, 6
INDEX = [{"name": name, "version": "1", "state": "READY", "reason": ""} for name in ("postprocessing", "ensemble")]


def output(text: str) -> bytes:
    around = {"model_name": "ensemble", "model_version": "1", "sequence_end": False, "sequence_id": 0}
    return event({**around, "sequence_start": False, "text_output": text})


def spoken(tokens: int = TOKENS) -> list[Step]:
    steps: list[Step] = [SSE_HEAD % b"", TTFT_S]
    for number in range(tokens):
        steps += [Output(chunked(output(" word"))), GAP_S if number < tokens - 1 else LAST_CHUNK]
    return steps


def triton(request: Received) -> list[Step]:
    if request.path == "/v2/repository/index":
        assert request.json() == {"ready": True}
        return [json_reply(INDEX)]
    return spoken()


@pytest.mark.parametrize("path", ["", "/v2/models/ensemble/generate_stream"])
def test_a_load_of_it_is_measured_like_any(run: Run, alone: None, path: str) -> None:
    witness = Witness()
    with serve(witness(triton), probe=triton) as server:
        ran = run(server.url + path, requests=12, api="triton", metrics_url="none", output_tokens=str(TOKENS))
    assert ran.statuses == ["ok"] * 12
    for row in ran.rows:
        assert (row["output_chunks"], row["output_tokens"], row["first_tokens"]) == (TOKENS, TOKENS, 1)
    bounds = witness.bounds_ms(ran.rows, witness.t0_ns(ran.rows))
    assert lies_in(ran.result.latency["ttft_ms"].service.mean, bounds["ttft"], 4)
    assert lies_in(ran.result.latency["e2e_ms"].service.mean, bounds["e2e"], 4)
    assert ran.manifest.effective["url"] == f"{server.url}/v2/models/ensemble/generate_stream"
    assert ran.manifest.effective["model"] == "ensemble"
    (asked,) = {tuple(request.json()) for request in server.load}
    assert asked == ("stream", "exclude_input_in_output", "ignore_eos", "max_tokens", "text_input")
    assert server.connections < 12, "the end of each reply was seen, and its connection used again"


def cut(request: Received) -> Iterator[Step]:
    yield from spoken()[:-1] if request.number >= 0 else triton(request)
    if request.number >= 0:
        yield CLOSE


def test_a_body_without_its_end_has_failed(run: Run) -> None:
    with serve(cut, probe=triton) as server:
        ran = run(server.url, requests=3, api="triton", metrics_url="none", max_failures=1.0)
    assert [(row["status"], row["error_kind"]) for row in ran.rows] == [("failed", "cut")] * 3


def test_what_is_not_streamed_is_asked_at_its_own_path(run: Run) -> None:
    def whole(request: Received) -> list[Step]:
        if request.path != "/v2/models/ensemble/generate":
            return triton(request)
        return [json_reply({"model_name": "ensemble", "text_output": "four words of text", "num_output_tokens": 4})]

    with serve(whole, probe=whole) as server:
        ran = run(server.url, requests=3, api="triton", metrics_url="none", stream=False)
    assert [(row["status"], row["output_tokens"]) for row in ran.rows] == [("ok", 4)] * 3
    assert {request.path for request in server.load} == {"/v2/models/ensemble/generate"}
