"""Embeddings and rerank of a real engine: llama.cpp's server, with SmolLM2-135M pooled into vectors. Its own counters
are the second witness. It has no weights of a reranker here: its scores mean nothing, their form and timing do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_run import Run, Server

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("alone")]

MEAN, RANK = 1, 4
"""llama.cpp's kinds of pooling."""
POOLED = {"embedding": True, "n_ubatch": 2048, "n_batch": 2048}


@pytest.fixture(scope="module")
def embedder(serve: Callable[..., Any]) -> Iterator[Server]:
    with serve(**POOLED, pooling_type=MEAN) as started:
        yield started


@pytest.fixture(scope="module")
def reranker(serve: Callable[..., Any]) -> Iterator[Server]:
    with serve(**POOLED, pooling_type=RANK) as started:
        yield started


@pytest.mark.parametrize("more", [(), ("--set", 'endpoint.extra_body={"encoding_format":"base64"}')])
def test_embeddings_count_what_the_server_counts(run: Run, embedder: Server, more: tuple[str, ...]) -> None:
    before = embedder.metric("prompt_tokens_total")
    sizes = ("--inputs", "uniform:1,4", "--input-tokens", "uniform:6,16")
    ran = run(embedder.url, "--api", "embeddings", "--concurrency", "2", "--requests", "8", *sizes, *more)
    assert ran.measured, ran.err
    assert ran.column("status") == ["ok"] * 8
    assert ran.column("prompt_tokens") == ran.column("input_tokens"), "planned in the server's own tokens"
    assert np.isnan(np.array(ran.column("output_tokens"), float)).all()
    inputs = ran.column("inputs")
    assert set(inputs) <= set(range(1, 5)) and len(set(inputs)) > 1
    probes = embedder.metric("prompt_tokens_total") - before - sum(ran.column("prompt_tokens"))
    assert 0 <= probes <= 200, "the two before the load"
    rates = ran.result.throughput
    assert rates.inputs_per_s == pytest.approx((rates.requests_per_s or 0) * np.mean(inputs), rel=0.5)
    assert rates.output_tokens_per_s is None and set(ran.result.latency) == {"e2e_ms"}


def test_rows_of_a_file_are_embedded_as_they_are(run: Run, embedder: Server, tmp_path: Path) -> None:
    rows = ["one text", {"input": ["two", "texts"]}, {"input": [504, 338, 260]}, {"input": [[504], [338, 260]]}]
    prompts = tmp_path / "rows.jsonl"
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = run(embedder.url, "--api", "embeddings", "--concurrency", "1", "--requests", "4", "--prompts", str(prompts))
    assert ran.column("status") == ["ok"] * 4, ran.err
    assert ran.column("inputs") == [1, 2, 1, 2]
    assert ran.column("prompt_tokens")[2:] == [3, 3]


@pytest.mark.parametrize(("api", "url"), [("rerank", ""), ("tei-rerank", "/v1")])
def test_a_reranker_scores_each_document(run: Run, reranker: Server, api: str, url: str) -> None:
    sizes = ("--inputs", "3", "--input-tokens", "8", "--set", "workload.query_tokens=4")
    flags = ("--concurrency", "1", "--requests", "4", "--model", "smollm2-135m", *sizes)
    ran = run(reranker.url + url, "--api", api, *flags)
    assert ran.column("status") == ["ok"] * 4, ran.err
    assert ran.column("inputs") == ran.column("results") == [3] * 4
    if api == "rerank":
        best = run(reranker.url, "--api", api, *flags, "--set", 'endpoint.extra_body={"top_n":2}')
        assert best.column("status") == ["ok"] * 4 and best.column("results") == [2] * 4
        assert min(best.column("prompt_tokens")) > 3 * 8
    else:
        assert np.isnan(np.array(ran.column("prompt_tokens"), float)).all(), "this form tells none"
        assert set(ran.result.methodology.prompt_token_source) == {"planned"}


@pytest.mark.parametrize("api", ["embeddings", "rerank"])
def test_a_model_that_is_served_for_chat_is_told_in_the_servers_words(run: Run, server: Server, api: str) -> None:
    ran = run(server.url, "--api", api, "--requests", "1")
    assert ran.code == 1 and not ran.folder.exists()
    assert "gave HTTP 501: This server does not support" in ran.err and ran.err.count("\n") == 1


def test_an_input_beyond_the_batch_fails_with_the_servers_words(run: Run, embedder: Server, tmp_path: Path) -> None:
    prompts = tmp_path / "mixed.jsonl"
    prompts.write_text("".join(json.dumps({"input": text}) + "\n" for text in ("short", "many words " * 1500)))
    ran = run(embedder.url, "--api", "embeddings", "--concurrency", "1", "--requests", "2", "--prompts", str(prompts))
    assert ran.column("status") == ["ok", "failed"]
    (error,) = ran.result.errors
    assert error.kind.startswith("http_") and error.sample and "too large" in error.sample
