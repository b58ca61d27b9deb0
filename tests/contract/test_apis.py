"""Loads of each API against the embedded engine, which knows what it did, and against servers that lack the API."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from contract_runs import Run, ask
from engine_scripts import ENGINES
from scripted import Received, json_reply, serve
from small_engine import engine, truth_of

from loadcell import apis
from loadcell.apis import find_api
from loadcell.cli.main import main
from loadcell.engine import apis as engine_apis
from loadcell.errors import EndpointError

MS = 1e6
TTFT_MS, ITL_MS, TOKENS, PROMPT = 15, 4, 6, 8
PACE = ("--ttft", f"{TTFT_MS}ms", "--itl", f"{ITL_MS}ms", "--slots", "4")
every_api = pytest.mark.parametrize("api", ["chat", "completions", "messages", "responses"])
with_own_end = pytest.mark.parametrize("api", ["messages", "responses"])


@every_api
def test_a_load_is_what_the_engine_says_it_was(run: Run, alone: None, api: str) -> None:
    with engine(*PACE) as url:
        ran = run(url, requests=30, concurrency=4, output_tokens=str(TOKENS), input_tokens=str(PROMPT), api=api)
        truth = truth_of(url)
    assert ran.statuses == ["ok"] * 30 and [record["outcome"] for record in truth] == ["ok"] * 30
    for row, record in zip(ran.rows, truth, strict=True):
        assert (row["output_tokens"], row["token_source"]) == (len(record["tokens_ns"]), "usage")
        assert row["prompt_tokens"] == record["prompt_tokens"]
        assert (row["output_chunks"], row["first_tokens"]) == (TOKENS, 1)
        assert row["first_any_ns"] == row["first_answer_ns"]
    t0 = np.array([record["arrival_ns"] for record in truth])
    first, last = (np.array([record["tokens_ns"][i] for record in truth]) for i in (0, -1))
    found = ran.result.latency
    assert found["ttft_ms"].service.mean == pytest.approx((first - t0).mean() / MS, abs=1.5)
    assert found["tpot_ms"].service.mean == pytest.approx((last - first).mean() / MS / (TOKENS - 1), abs=0.3)
    assert len({row["connection"] for row in ran.rows}) == 4, "each end was seen, and its connection used again"
    reason = {"messages": "max_tokens", "responses": "max_output_tokens"}.get(api, "length")
    assert set(ran.recording.requests(["finish_reason"])["finish_reason"]) == {reason}


@every_api
def test_what_is_not_streamed_is_counted_too(run: Run, api: str) -> None:
    with engine() as url:
        ran = run(url, requests=6, stream=False, api=api)
    assert ran.statuses == ["ok"] * 6
    assert {row["output_tokens"] for row in ran.rows} == {4}


@every_api
@pytest.mark.parametrize(("flag", "kind"), [("--cut-rate", "cut"), ("--stream-error-rate", "stream_error")])
def test_what_the_engine_breaks_has_failed(run: Run, api: str, flag: str, kind: str) -> None:
    with engine("--ttft", "5ms", "--itl", "1ms", flag, "1") as url:
        ran = run(url, requests=4, api=api, model="loadcell-engine", max_failures=1.0)
    assert [(row["status"], row["error_kind"]) for row in ran.rows] == [("failed", kind)] * 4
    words = "the connection ended before the reply did" if kind == "cut" else "The engine failed, as it was asked to."
    assert set(ran.recording.requests(["error"])["error"]) == {words}


@with_own_end
def test_a_stream_without_its_end_has_failed(run: Run, api: str) -> None:
    with engine("--ttft", "5ms", "--itl", "1ms", "--no-done") as url:
        ran = run(url, requests=2, api=api, max_failures=1.0)
    assert [(row["status"], row["error_kind"]) for row in ran.rows] == [("failed", "cut")] * 2


@every_api
def test_without_usage_the_events_count(run: Run, api: str) -> None:
    with engine("--ttft", "5ms", "--itl", "1ms", "--no-usage") as url:
        ran = run(url, requests=2, api=api)
    assert [(row["output_tokens"], row["token_source"]) for row in ran.rows] == [(4, "events")] * 2


@every_api
@pytest.mark.parametrize("status", [404, 405])
def test_a_server_that_lacks_it_is_told_the_path_that_was_tried(api: str, status: int) -> None:
    def lacking(request: Received) -> list[bytes]:
        return [json_reply({"error": {"message": f"no {request.path} here"}}, status)]

    with serve(probe=lacking) as server, pytest.raises(EndpointError) as caught:
        ask(server.url, api=api)
    path = {"chat": "chat/completions"}.get(api, api)
    said = str(caught.value)
    assert said.startswith(f"POST {server.url}/v1/{path} gave HTTP {status}: no /v1/{path} here; check the URL")
    assert "--api" in said and "\n" not in said


PAGE = (Path(__file__).parents[2] / "docs/apis.md").read_text()
COMMANDS = {
    words.split()[words.split().index("--api") + 1]: words
    for words in re.findall(r"^loadcell (run http://[a-z]+:\d+ .*--api .*)$", PAGE, re.MULTILINE)
}


def test_the_page_on_apis_has_a_command_for_each() -> None:
    assert set(COMMANDS) == set(re.findall(r"^\| `([a-z][a-z-]*)`", PAGE, re.MULTILINE)) == set(apis._OURS)
    spoken = {api for api in COMMANDS if find_api(api).base + find_api(api).path in engine_apis.APIS}
    assert {api for api, command in COMMANDS.items() if "localhost:8000 " in command} == spoken
    assert set(COMMANDS) - spoken == {*ENGINES, "triton"}, "each that the engine does not speak has a server that does"


@pytest.mark.parametrize("api", sorted(set(COMMANDS) - {"triton"}))  # of which test_triton.py has the server
def test_each_command_of_the_page_on_apis_runs(
    api: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_at(url: str) -> None:
        words = re.sub(r"http://localhost:\d+", url, COMMANDS[api]).split()
        main([*words, "--output", str(tmp_path / api), "--json", "--no-html"])
        told = capsys.readouterr()
        assert told.out, told.err
        assert json.loads(told.out)["counts"]["run"]["ok"] == 40

    if api not in ENGINES:
        with engine() as url:
            run_at(url)
        return
    script = ENGINES[api].script(0.001, 0.0002)
    with serve(script, probe=script, models=ENGINES[api].names) as server:
        run_at(server.url)


def test_a_key_for_messages_goes_both_ways_and_into_no_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a secret of theirs")
    with engine("--ttft", "5ms", "--itl", "1ms", "--api-key", "a secret of theirs") as url:
        ran = run(url, requests=2, api="messages")
    assert ran.statuses == ["ok"] * 2
    assert not any(b"a secret of theirs" in file.read_bytes() for file in ran.folder.iterdir())
