"""Flags of the tools that people come from: what they become, what is said of the others, and that none is guessed."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest
from scripted import serve

from loadcell.apis import is_api, our_apis
from loadcell.cli import duel, foreign, run, sweep
from loadcell.cli.foreign import translated
from loadcell.cli.main import main
from loadcell.errors import UsageError
from loadcell.interop import vllm_flags
from loadcell.secrets import bare_urls
from loadcell.spec import spec_fields

URL = "http://h:8000"


def options(command: object) -> dict[str, argparse.Action]:
    parser = argparse.ArgumentParser()
    command.configure(parser)  # type: ignore[attr-defined]
    return parser._option_string_actions


OWN = options(run)


def ours(line: str) -> str:
    return " ".join(translated(line.split(), OWN)[0])


@pytest.mark.parametrize(
    ("line", "means"),
    [
        ("--base-url http://h:8000 --num-prompts 100 --request-rate 4", f"{URL} --requests 100 --rate 4"),
        ("--backend vllm --num-prompts=100 --max-concurrency=8", "--api completions --requests 100 --concurrency 8"),
        ("--backend openai-chat --endpoint /v1/chat/completions", "--api chat"),
        ("--backend tensorrt-llm", "--api triton"),
        ("--backend llama.cpp", "--api completions"),
        ("--backend openai-embeddings --endpoint /v1/embeddings", "--api embeddings"),
        ("--endpoint-type embeddings", "--api embeddings"),
        ("--backend sglang-embedding", "--api embeddings"),
        ("--backend vllm-rerank --endpoint /v1/rerank", "--api rerank"),
        ("--backend vllm-pooling --endpoint /pooling", "--api pooling"),
        ("--endpoint /score", "--api score"),
        ("--endpoint-type hf_tei_rankings", "--api tei-rerank"),
        ("--endpoint /serving-endpoints/x/invocations", "--path /serving-endpoints/x/invocations"),
        ("--random-input-len 512 --random-output-len 128", "--input-tokens 512 --output-tokens 128"),
        ("--dataset-name random --request-rate inf --max-concurrency 8", "--concurrency 8"),
        ("--burstiness 1 --request-rate 4", "--arrivals poisson --rate 4"),
        ("--burstiness 0.25", "--arrivals gamma:2"),
        ("--host 10.0.0.1 --port 30000 --seed 3", "--seed 3 10.0.0.1:30000"),
        ("--port 30000", "127.0.0.1:30000"),
        ("--host http://h:8000 --users 10 --run-time 30s --headless", f"--concurrency 10 --duration 30s {URL}"),
        ("--ignore-eos --save-result --percentile-metrics ttft,tpot", "--ignore-eos"),
        ("--disable-ignore-eos --disable-stream", "--no-ignore-eos --no-stream"),
        ("--extra-request-body {\"top_k\":4}", '--set endpoint.extra_body={"top_k": 4}'.replace(": ", ":")),
        ("-m tiny -u h:8000 --endpoint-type chat --streaming", "--model tiny h:8000 --api chat --stream"),
        ("--isl 550 --osl 128 --osl-stddev 16", "--input-tokens 550 --output-tokens normal:128,16"),
        ("--synthetic-input-tokens-mean 550 --synthetic-input-tokens-stddev 0", "--input-tokens 550"),
        ("--output-tokens-mean 128 --request-count 50", "--requests 50 --output-tokens 128"),
        ("--mean-input-tokens 550 --stddev-input-tokens 150 --num-concurrent-requests 4",
         "--concurrency 4 --input-tokens normal:550,150"),
        ("--target http://h:8000 --max-seconds 30 --max-requests 50", f"{URL} --duration 30 --requests 50"),
        ("--data prompt_tokens=512,output_tokens=128", "--input-tokens 512 --output-tokens 128"),
        ("-c64 -n 1000 -z 30s http://h:8000", f"--concurrency 64 --requests 1000 --duration 30s {URL}"),
        ("--vus 8 --duration 30s", "--concurrency 8 --duration 30s"),
        ("-u 10 --qps 5", "--concurrency 10 --rate 5"),
        ("--served-model-name tiny --insecure", "--model tiny --no-verify-tls"),
        ("--parallel 4 --number 20 --url http://h:8000/v1", "--concurrency 4 --requests 20 http://h:8000/v1"),
        ("-H X-Team:blue", "--header X-Team:blue"),
        ("--rate 4 --seed 1 http://h", "--rate 4 --seed 1 http://h"),
    ],
)  # fmt: skip
def test_what_means_the_same_is_taken(line: str, means: str) -> None:
    assert ours(line).replace(": ", ":") == means


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--goodput ttft:500 tpot:30", "--slo"),
        ("--dataset-path f.json", "--prompts FILE"),
        ("--dataset-name sharegpt", "--prompts FILE"),
        ("--result-dir out", "--output DIR"),
        ("--warmup-request-count 10", "--warmup N"),
        ("--random-range-ratio 0.2", "uniform:LO,HI"),
        ("--metric-percentiles 25,75", "loadcell query"),
        ("--api-key sk-x", "--api-key-env VAR"),
        ("--max-tokens 64", "--output-tokens N"),
        ("--profile sweep", "loadcell sweep"),
        ("--profile synchronous", "--concurrency 1"),
        ("--request-rate inf", "--concurrency N --requests N"),
        ("--backend infinity", f"--api takes {our_apis()}; any other path"),
        ("--backend sglang", "--api completions is vLLM's, --api sglang is SGLang's"),
        ("--endpoint /rerank", "--api tei-rerank is TEI's"),
        ("--endpoint /v2/rerank", "--api rerank --path /v2/rerank"),
        ("--endpoint /generate", "--api sglang or --api tgi"),
        ("--spawn-rate 2", "--ramp T"),
        ("-q 5", "hey's is of each worker"),
        ("-c config.yml", "--spec FILE"),
        ("--load.type poisson", "--spec FILE"),
        ("--extra-inputs min_tokens:3", "endpoint.extra_body"),
        ("--osl-stddev 5", "normal:MEAN,SD"),
        ("--max-num-completed-requests 5", "--requests N"),
        ("--ramp-up-strategy linear", "--rate-series FROM..TO@TIME"),
        ("--arrival-pattern gamma", "gamma:CV"),
        ("--random-prefix-len 100", "--system-tokens N"),
        ("--num-prefix-prompts 8", "--prefix-groups K --prefix-tokens L"),
        ("--conversation-turn-mean 4", "--turns L --think T"),
        ("--request-cancellation-rate 5", "--cancel SHARE@TIME"),
        ("--fixed-schedule", "--trace FILE"),
    ],
)
def test_what_differs_is_named_with_the_right_flag(line: str, says: str) -> None:
    with pytest.raises(UsageError) as error:
        ours(line)
    assert says in str(error.value) and line.split()[0] in str(error.value) and "sk-x" not in str(error.value)


def test_all_that_differ_are_named_at_once() -> None:
    with pytest.raises(UsageError) as error:
        ours("--result-dir out --goodput ttft:500 --num-prompts 5 --api-key sk-x")
    assert [flag for flag in ("--result-dir", "--goodput", "--api-key") if f"  {flag}" not in str(error.value)] == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--num-prompts 5 --requests 6", "--requests is given too"),
        ("--num-prompts 5 --num-requests 6", "say different things"),
        ("--backend openai --endpoint /v1/chat/completions", "say different things"),
        ("--served-model-name a --model b", "--model is given too"),
        ("--extra-body [1]", "takes a JSON object"),
        ("--burstiness x", "is not a number"),
    ],
)
def test_what_contradicts_is_not_decided_for_anybody(line: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ours(line)


def test_no_flag_of_ours_is_foreign_and_every_meaning_exists() -> None:
    """A table that names a flag which is none, or hides one of ours, is wrong."""
    every = set(OWN) | set(options(sweep)) | set(options(duel))
    meant = {flag for flag in (*foreign._SAME.values(), *foreign._PLAIN.values(), *foreign.LENGTHS) if flag}
    assert meant <= set(OWN)
    tables = [foreign._SAME, foreign._PLAIN, foreign._PART, foreign.ALWAYS, foreign.NAMED, foreign._BY_VALUE]
    listed = [flag for table in tables for flag in table]
    assert set(listed) & every <= {"--duration", "--resume"}, "of a command that lacks it"
    assert set(our_apis().split(", ")) == set(foreign._API) and not set(foreign._APIS) & set(foreign._EITHER)
    named = re.findall("--api ([a-z-]+)", " ".join(foreign._EITHER.values()))
    assert named and all(map(is_api, named))
    twice = {flag for flag in listed if listed.count(flag) > 1}
    assert twice == {"--request-rate", "--qps"}, "in two tables, that is: these go by their value first"
    named = {word for text in foreign.NAMED.values() for word in text.replace(",", " ").split() if word[:2] == "--"}
    assert {word.strip(":;.()'") for word in named} <= every
    assert "endpoint.extra_body" in spec_fields()


@pytest.mark.parametrize("command", [sweep, duel])
def test_a_command_without_the_flag_says_so(command: object) -> None:
    words = {sweep: "--users 1,2,4 --isl 64", duel: "--num-prompts 100 --isl 64"}[command]
    assert translated(words.split(), options(command))[0][-2:] == ["--input-tokens", "64"]
    if command is duel:
        with pytest.raises(UsageError, match="ends by its requests"):
            translated(["--duration", "30s"], options(duel))
        with pytest.raises(UsageError, match="this command has no --duration"):
            translated(["--max-seconds", "30"], options(duel))


def test_a_whole_command_line_of_another_tool_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve() as server:
        words = (
            f"--backend openai-chat --base-url http://me:word@127.0.0.1:{server.port} --endpoint /v1/chat/completions "
            "--dataset-name random --random-input-len 8 --random-output-len 4 --num-prompts 6 --max-concurrency 2 "
            "--request-rate inf --temperature 0 --top-p 0.9 --ignore-eos --save-result --percentile-metrics ttft,tpot"
        )
        assert main(["run", *words.split(), "--workers", "1", "--output", str(tmp_path / "run")]) in (0, 4)
        bodies = [request.json() for request in server.load]
    assert len(bodies) == 6 and all(body["temperature"] == 0 and body["top_p"] == 0.9 for body in bodies)
    spec = json.loads((tmp_path / "run" / "spec.json").read_text())
    assert (spec["load"]["requests"], spec["load"]["concurrency"], spec["load"]["rate"]) == (6, 2, None)
    assert (spec["workload"]["input_tokens"], spec["workload"]["output_tokens"]) == ("8", "4")
    said = capsys.readouterr().err
    assert "--num-prompts 6 is taken as --requests 6" in said and "uniform:1,8" in said and "word@" not in said


def test_an_unknown_flag_of_nobody_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong, right in (("--concurency", "--concurrency"), ("--durations", "--duration")):
        assert main(["run", URL, wrong, "4"]) == 2
        assert f"did you mean {right}?" in capsys.readouterr().err


def test_no_advice_is_taken_for_a_credential() -> None:
    """Errors are printed without what looks like USER@HOST: what they tell to do must come through whole."""
    refused = [*foreign.DIFFERENT, *foreign._EITHER.values(), *vllm_flags.REFUSED]
    assert [text for text in refused if bare_urls(text) != text] == []
