"""A real engine: llama.cpp's server with SmolLM2-135M. Its own counters are the second witness."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from real_run import Ran, Run, Server, command

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("alone")]

PROBE = ("--input-tokens", "24", "--output-tokens", "8")
PROBE_TOKENS = 12 + 1  # the requests before the load: one as long as its own, one that tells how replies end


def counts(ran: Ran) -> tuple[int, int, int, int, int]:
    c = ran.result.counts.run
    assert c.planned == c.ok + c.failed + c.cancelled + c.unsent
    return c.planned, c.ok, c.failed, c.cancelled, c.unsent


def test_streamed_chat_counts_what_the_server_counts(run: Run, server: Server) -> None:
    before = server.metric("tokens_predicted_total")
    ran = run(server.url, "--concurrency", "2", "--requests", "10", "--input-tokens", "20", "--output-tokens", "12")
    assert ran.measured, ran.err
    assert counts(ran) == (10, 10, 0, 0, 0)
    assert ran.result.methodology.token_source == {"usage": 10}
    assert ran.result.methodology.effective["model"] == "smollm2-135m"
    assert ran.column("output_tokens") == [12] * 10
    assert server.metric("tokens_predicted_total") - before == 10 * 12 + PROBE_TOKENS
    assert set(ran.column("finish_reason")) == {"length"}
    # The chat template adds the same tokens to every prompt.
    assert len(set(np.subtract(ran.column("prompt_tokens"), ran.column("input_tokens")))) == 1


@pytest.mark.parametrize("api", ["messages", "responses"])
def test_other_apis_count_what_the_server_counts(run: Run, server: Server, api: str) -> None:
    before = server.metric("tokens_predicted_total")
    sizes = ("--input-tokens", "20", "--output-tokens", "12")
    ran = run(server.url, "--api", api, "--concurrency", "2", "--requests", "10", *sizes)
    assert ran.measured, ran.err
    assert counts(ran) == (10, 10, 0, 0, 0)
    assert ran.result.methodology.token_source == {"usage": 10}
    # llama.cpp drops `ignore_eos` of a message: a model that ends by itself has told fewer tokens than asked.
    outputs = ran.column("output_tokens")
    assert max(outputs) == 12 and (api == "messages" or min(outputs) == 12)
    probes = server.metric("tokens_predicted_total") - before - sum(outputs)
    assert probes == PROBE_TOKENS or (api == "messages" and 1 < probes < PROBE_TOKENS)
    # What came from the cache is of the prompt: the chat template adds the same tokens to every one. Where its first
    # token is part of a character, llama.cpp leaves out the event with these counts: they are missing then, and no 0.
    beside = np.subtract(ran.column("prompt_tokens"), ran.column("input_tokens"))
    assert len(set(beside[~np.isnan(beside)])) == 1
    assert np.nanmax(ran.column("cached_tokens")) > 0
    whole = run(server.url, "--api", api, "--no-stream", "--concurrency", "2", "--requests", "4", *PROBE)
    assert counts(whole) == (4, 4, 0, 0, 0)
    assert all(count == 8 or (api == "messages" and 0 < count < 8) for count in whole.column("output_tokens"))


def test_its_own_api_counts_and_times_as_the_server_does(run: Run, server: Server) -> None:
    names = ("tokens_predicted_total", "prompt_seconds_total", "tokens_predicted_seconds_total")
    before = [server.metric(name) for name in names]
    sizes = ("--input-tokens", "48", "--output-tokens", "12")
    counted = ("--set", "workload.template_tokens=0", "--set", "workload.token_ratio=1")  # so no long probe is sent
    ran = run(server.url, "--api", "llamacpp", "--concurrency", "1", "--requests", "6", *sizes, *counted)
    assert ran.measured, ran.err
    made, prompt_s, decode_s = (server.metric(name) - was for name, was in zip(names, before, strict=True))
    assert counts(ran) == (6, 6, 0, 0, 0)
    assert ran.result.methodology.effective["url"].endswith("/completion")
    assert ran.result.methodology.effective["model"] == "smollm2-135m"
    assert ran.result.methodology.token_source == {"usage": 6}
    assert ran.column("output_tokens") == [12] * 6
    assert made == 7 * 12, "one request comes before the load"
    assert set(ran.column("finish_reason")) == {"limit"}
    assert ran.column("prompt_tokens") == ran.column("input_tokens"), "no template stands around them"
    # Each event tells its own tokens: all but a last one that is half a character.
    tokens = np.concatenate([part["tokens"] for part in ran.recording.chunks(("tokens",))])
    assert 6 * 11 <= np.nansum(tokens) <= 6 * 12
    # What the server tells of each request adds up to its own sums, which hold the one before the load too.
    prefill, decode = (np.array(ran.column(f"server_{part}_ns")) / 1e9 for part in ("prefill", "decode"))
    assert 0.6 * prompt_s < prefill.sum() <= prompt_s + 0.01
    assert 0.6 * decode_s < decode.sum() <= decode_s + 0.01
    # And of none less time was seen here than the server worked on it.
    sent, first, last = (np.array(ran.column(name)) / 1e9 for name in ("send_start_ns", "first_any_ns", "last_ns"))
    assert (first - sent > prefill).all()
    assert (last - sent > 0.8 * (prefill + decode)).all()


def test_its_own_api_that_is_not_streamed_has_its_counts(run: Run, server: Server) -> None:
    ran = run(server.url, "--api", "llamacpp", "--no-stream", "--concurrency", "2", "--requests", "4", *PROBE)
    assert counts(ran) == (4, 4, 0, 0, 0)
    assert ran.column("output_tokens") == [8] * 4 and set(ran.column("token_source")) == {"usage"}
    assert ran.result.latency["ttft_ms"].service.n == 0


def test_what_its_own_api_takes_from_the_cache_is_told(run: Run, server: Server, tmp_path: Path) -> None:
    prompts = tmp_path / "same.jsonl"
    prompts.write_text(json.dumps({"prompt": "Name the five oldest bridges over the rivers of the north."}) + "\n")
    flags = ("--api", "llamacpp", "--concurrency", "1", "--requests", "3", "--output-tokens", "2")
    ran = run(server.url, *flags, "--prompts", str(prompts))
    assert ran.column("cached_tokens")[1:] == [ran.column("prompt_tokens")[0] - 1] * 2


def test_its_own_api_ends_where_the_model_ends_or_a_word_stops_it(run: Run, server: Server, tmp_path: Path) -> None:
    prompts = tmp_path / "stop.jsonl"
    lines = [{"prompt": "One, two, three, four, five, six,", "stop": [","], "temperature": 0}]
    prompts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    flags = ("--api", "llamacpp", "--concurrency", "1", "--requests", "2", "--output-tokens", "60")
    ran = run(server.url, *flags, "--prompts", str(prompts), "--no-ignore-eos")
    assert counts(ran) == (2, 2, 0, 0, 0)
    assert set(ran.column("finish_reason")) == {"word"} and max(ran.column("output_tokens")) < 60


@pytest.mark.parametrize("name", ["chat", "messages"])
@pytest.mark.parametrize("flag", ["--stream", "--no-stream"])
def test_a_template_counts_what_the_server_counts(run: Run, server: Server, name: str, flag: str) -> None:
    api = str(Path(__file__).parents[2] / f"examples/apis/{name}.yaml")
    before = server.metric("tokens_predicted_total")
    ran = run(server.url, "--api", api, flag, "--concurrency", "2", "--requests", "8", *PROBE)
    assert ran.measured, ran.err
    assert counts(ran) == (8, 8, 0, 0, 0)
    assert ran.result.methodology.token_source == {"usage": 8}
    outputs = ran.column("output_tokens")
    assert max(outputs) == 8 and (name == "messages" or min(outputs) == 8)
    assert 1 < server.metric("tokens_predicted_total") - before - sum(outputs) <= PROBE_TOKENS
    beside = np.subtract(ran.column("prompt_tokens"), ran.column("input_tokens"))
    assert len(set(beside[~np.isnan(beside)])) == 1


def test_the_settings_of_make_real_llama_are_ones_that_its_server_takes(
    run: Run, serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAKEFLAGS", raising=False)  # those of `make test`, which runs this
    asked = ["make", "-n", "-s", "real-llama", "PORT=0", "THREADS=1"]
    told = subprocess.run(asked, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]).stdout
    settings = json.loads(told[told.index("{") : told.rindex("}") + 1])
    with serve(**settings | {"n_ctx": 2048, "n_parallel": 2}) as server:
        ran = run(server.url, "--concurrency", "1", "--requests", "1", *PROBE)
    assert settings["n_parallel"] == 16
    assert counts(ran) == (1, 1, 0, 0, 0)


def test_synthetic_prompts_are_exact_in_the_servers_tokens(run: Run, server: Server) -> None:
    flags = ("--api", "completions", "--concurrency", "4", "--requests", "12", "--output-tokens", "2")
    ran = run(server.url, *flags, "--input-tokens", "lognormal:24,0.6")
    assert counts(ran) == (12, 12, 0, 0, 0)
    assert len(set(ran.column("input_tokens"))) > 5
    assert ran.column("prompt_tokens") == ran.column("input_tokens")


def test_unique_prompts_find_nothing_in_the_prefix_cache(run: Run, server: Server) -> None:
    ran = run(server.url, "--api", "completions", "--concurrency", "4", "--requests", "16", *PROBE, "--seed", "7")
    assert sum(ran.column("cached_tokens")) == 0


def test_the_same_prompt_again_is_seen_to_come_from_the_cache(run: Run, server: Server, tmp_path: Path) -> None:
    prompts = tmp_path / "one.jsonl"
    prompts.write_text(json.dumps({"prompt": "Name the five oldest cities on the shores of the sea."}) + "\n")
    flags = ("--api", "completions", "--concurrency", "1", "--requests", "3", "--output-tokens", "2")
    ran = run(server.url, *flags, "--prompts", str(prompts))
    assert ran.column("cached_tokens")[1:] == [ran.column("prompt_tokens")[0] - 1] * 2
    assert any("repeat" in note for note in ran.result.notes)


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_reply_that_is_not_streamed_has_its_counts_and_no_ttft(run: Run, server: Server, api: str) -> None:
    ran = run(server.url, "--api", api, "--no-stream", "--concurrency", "2", "--requests", "6", *PROBE)
    assert counts(ran) == (6, 6, 0, 0, 0)
    assert ran.column("output_tokens") == [8] * 6
    assert ran.result.latency["ttft_ms"].service.n == 0
    assert ran.result.latency["e2e_ms"].service.n == 6


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_running_counts_name_the_tokens_of_every_event(run: Run, server: Server, api: str) -> None:
    # The same text each time: a last token that is half a character is sent with no event, so nobody tells of it.
    extra = ("--set", 'endpoint.extra_body={"timings_per_token":true,"temperature":0}', "--salt", "same")
    ran = run(server.url, "--api", api, *extra, "--concurrency", "2", "--requests", "6", *PROBE)
    assert counts(ran) == (6, 6, 0, 0, 0)
    tokens = np.concatenate([part["tokens"] for part in ran.recording.chunks(("tokens",))])
    assert tokens.sum() == 6 * 8
    assert not np.isnan(ran.column("first_tokens")).any()
    assert not any("takes the first chunk" in note for note in ran.result.notes)


def test_the_client_never_sees_less_time_than_the_server_spent(run: Run, server: Server) -> None:
    names = ("prompt_seconds_total", "tokens_predicted_seconds_total")
    before = [server.metric(name) for name in names]
    counted = ("--set", "workload.template_tokens=30", "--set", "workload.token_ratio=1")  # so no long probe is sent
    sizes = ("--input-tokens", "160", "--output-tokens", "16")
    ran = run(server.url, "--concurrency", "1", "--requests", "4", *sizes, *counted)
    prompt_s, predicted_s = (server.metric(name) - was for name, was in zip(names, before, strict=True))
    sent, first, last = (np.array(ran.column(name)) / 1e9 for name in ("send_start_ns", "first_any_ns", "last_ns"))
    # The server's sums hold the small request before the load too: less than a fifth of the tokens.
    assert (first - sent).sum() > prompt_s * 0.8
    assert (last - sent).sum() > (prompt_s + predicted_s) * 0.8


def test_more_users_than_slots_wait_in_the_servers_queue(run: Run, server: Server) -> None:
    ran = run(server.url, "--concurrency", "8", "--requests", "16", "--ramp", "0", *PROBE)
    assert counts(ran) == (16, 16, 0, 0, 0)
    assert ran.result.concurrency.max == 8
    edges = [(t, 1) for t in ran.column("first_any_ns")] + [(t, -1) for t in ran.column("last_ns")]
    assert np.cumsum([step for _, step in sorted(edges)]).max() <= 4


def test_a_prompt_over_the_context_fails_with_the_servers_words(run: Run, server: Server, tmp_path: Path) -> None:
    prompts = tmp_path / "mixed.jsonl"
    lines = ["Say hello.", "many words " * 1500, "Say goodbye."]
    prompts.write_text("".join(json.dumps({"prompt": line}) + "\n" for line in lines))
    words = (server.url, "--concurrency", "1", "--requests", "3", "--output-tokens", "4", "--prompts", str(prompts))
    refused = run(*words)  # what the server tells of its context is held against the file before anything is sent
    assert refused.code == 2 and "> 2,048 (n_ctx of /models)" in refused.err and "1 of 3 prompts" in refused.err
    ran = run(*words, "--context-tokens", "100000")  # so that the server itself has to refuse it
    assert counts(ran) == (3, 2, 1, 0, 0)
    (error,) = ran.result.errors
    assert (error.kind, error.count) == ("http_400", 1)
    assert error.sample and "context size" in error.sample
    assert ran.column("status") == ["ok", "failed", "ok"]


def test_connections_that_the_server_ends_cost_no_request(run: Run, server: Server) -> None:
    """llama.cpp ends a connection after 100 replies, and says so."""
    flags = ("--api", "completions", "--no-stream", "--input-tokens", "4", "--output-tokens", "1")
    ran = run(server.url, *flags, "--concurrency", "1", "--requests", "105")
    assert counts(ran) == (105, 105, 0, 0, 0)
    assert len(set(ran.column("connection"))) == 2


def test_connections_that_end_unsaid_with_every_stream_cost_no_request(run: Run, server: Server) -> None:
    """llama.cpp announces keep-alive and hangs up after each streamed reply all the same."""
    flags = ("--api", "completions", "--input-tokens", "4", "--output-tokens", "1")
    ran = run(server.url, *flags, "--concurrency", "2", "--requests", "30")
    assert counts(ran) == (30, 30, 0, 0, 0)
    assert any("every request opens its own" in note for note in ran.result.notes)


def test_a_connection_that_idled_out_costs_no_request(run: Run, server: Server) -> None:
    """llama.cpp keeps an idle connection for 5 s."""
    flags = ("--no-stream", "--rate", "0.17", "--arrivals", "constant", "--requests", "2")
    ran = run(server.url, *flags, *PROBE)
    assert counts(ran) == (2, 2, 0, 0, 0)
    planned = ran.column("planned_ns")
    assert planned[1] - planned[0] > 5e9
    assert len(set(ran.column("connection"))) == 2


def test_an_interrupted_run_adds_up_and_frees_the_server(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    flags = ("--concurrency", "6", "--requests", "200", "--ramp", "0", "--input-tokens", "16", "--output-tokens", "200")
    process = subprocess.Popen(
        command(server.url, folder, *flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 20
    while server.metric("requests_processing") < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    ran = Ran(process.returncode, out, err, folder)
    assert ran.code == 130, err
    planned, ok, failed, cancelled, unsent = counts(ran)
    assert (planned, failed) == (200, 0)
    assert cancelled == 6
    assert ok + unsent == 194
    deadline = time.monotonic() + 20
    while server.metric("requests_processing") > 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.metric("requests_processing") == 0


def test_outputs_end_where_the_model_ends_them(run: Run, server: Server, tmp_path: Path) -> None:
    prompts = tmp_path / "short.jsonl"
    prompts.write_text(json.dumps({"prompt": "Reply with the single word: yes"}) + "\n")
    flags = ("--concurrency", "1", "--requests", "3", "--output-tokens", "400", "--prompts", str(prompts))
    ran = run(server.url, *flags, "--no-ignore-eos", "--set", 'endpoint.extra_body={"temperature":0}')
    assert counts(ran) == (3, 3, 0, 0, 0)
    assert set(ran.column("finish_reason")) == {"stop"}
    assert max(ran.column("output_tokens")) < 400
    # The end-of-sequence token counts as output and shows no text.
    assert set(np.subtract(ran.column("output_tokens"), ran.column("output_chunks"))) <= {0, 1}


def test_a_key_is_asked_for_taken_and_never_written(run: Run, serve: Callable[..., Any]) -> None:
    secret = "sk-of-nobody-7d1f"
    with serve(api_keys=[secret]) as locked:
        refused = run(locked.url, "--requests", "1", "--model", "smollm2-135m", "--api-key-env", "NO_SUCH_KEY")
        assert refused.code == 1
        assert "HTTP 401" in refused.err
        assert "NO_SUCH_KEY" in refused.err
        assert not refused.folder.exists()
        ran = run(locked.url, "--concurrency", "1", "--requests", "2", *PROBE, OPENAI_API_KEY=secret)
    assert counts(ran) == (2, 2, 0, 0, 0)
    for file in ran.folder.iterdir():
        assert secret.encode() not in file.read_bytes(), file.name
    assert secret not in ran.out + ran.err


def test_a_wrong_path_is_said_in_one_line(run: Run, server: Server) -> None:
    ran = run(f"{server.url}/nothing/here", "--requests", "1")
    assert ran.code == 1
    assert "HTTP 404" in ran.err
    assert re.search(rf"; chat.* and .* answered at {server.url}/v1: name that URL, with --api chat\n", ran.err)
    assert ran.err.count("\n") == 1
    assert not ran.folder.exists()


def test_a_load_over_a_unix_socket_counts_what_the_server_counts(run: Run, serve: Callable[..., Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="lc") as folder:
        place = f"{folder}/llama.sock"
        with serve(hostnames=[place]):
            sizes = ("--input-tokens", "20", "--output-tokens", "12")
            ran = run(f"unix:{place}", "--concurrency", "2", "--requests", "6", *sizes)
    assert counts(ran) == (6, 6, 0, 0, 0)
    assert ran.result.instrument.clock == "user"
    assert ran.column("output_tokens") == [12] * 6
    names = ("send_start_ns", "first_any_ns", "server_prefill_ns")
    sent, first, prefill = (np.array(ran.column(name)) for name in names)
    assert (first - sent > prefill).all() and (prefill > 0).all(), "no less time than the server spent"


@pytest.mark.parametrize("api", ["chat", "messages", "completions"])
def test_later_turns_carry_what_the_server_said(run: Run, server: Server, api: str) -> None:
    sizes = ("--input-tokens", "24", "--output-tokens", "10")
    asked = ("--api", api, "--turns", "4", "--think", "10ms", "--concurrency", "2", "--requests", "16", "--keep-text")
    ran = run(server.url, *asked, *sizes)
    assert ran.measured, ran.err
    assert counts(ran) == (16, 16, 0, 0, 0)
    with duckdb.connect() as database:
        rows = database.execute(f"select request, body, content from '{ran.folder}/text-*.parquet'").fetchall()
    told = {request: (json.loads(body), content or "") for request, body, content in rows}
    prompts = ran.column("prompt_tokens")
    for request in (request for request in range(16) if request % 4):
        body, (before, reply) = told[request][0], told[request - 1]
        if api == "completions":
            assert body["prompt"].startswith(f"{before['prompt']}\n{reply}\n")
        else:
            assert body["messages"][:-1] == [*before["messages"], {"role": "assistant", "content": reply}]
        # The server counts what was said before, and what is new; of some messages it tells no count.
        grown = prompts[request] - prompts[request - 1]
        assert np.isnan(grown) or grown > 12
    assert np.nanmax(ran.column("cached_tokens")) > 0
