"""The flags of `vllm bench serve`: every one is taken, noted or refused; what the taken ones become."""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
from pathlib import Path
from typing import Any

import pytest

from loadcell.cli import vllm_bench
from loadcell.cli.main import main
from loadcell.errors import UsageError
from loadcell.interop.vllm_bench import Rows, sampled, translate
from loadcell.interop.vllm_flags import NOTED, TAKEN, VERSION, WHY_REFUSED
from loadcell.spec import Spec, build_spec

LIST = json.loads((Path(__file__).parent.parent / "data" / "vllm_bench_flags.json").read_text())
KNOWN = TAKEN.keys() | NOTED.keys() | WHY_REFUSED.keys()


def test_every_flag_of_the_tool_is_covered_and_no_other() -> None:
    assert VERSION in LIST["versions"]
    theirs = set(LIST["flags"])
    assert theirs - KNOWN == set()
    assert KNOWN - theirs == {"--no-self-timed"}  # the other half of --self-timed
    for sets in ((TAKEN, NOTED), (TAKEN, WHY_REFUSED), (NOTED, WHY_REFUSED)):
        assert not sets[0].keys() & sets[1].keys()


def test_defaults_and_forms_are_those_of_the_tool() -> None:
    for flag, one in TAKEN.items():
        theirs = LIST["flags"][flag]
        assert one.kind == theirs["kind"], flag
        default = theirs["default"]
        if flag == "--percentile-metrics":  # null there, and this in its code
            default = "ttft,tpot,itl"
        assert one.default == (None if default is None or default is False else str(default)), flag


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_the_list_is_that_of_the_installed_tool() -> None:
    from vllm.benchmarks.serve import add_cli_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = FlexibleArgumentParser()
    add_cli_args(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")}
    assert flags - {"--help"} <= KNOWN


def wish(*words: str) -> Any:
    parser = argparse.ArgumentParser()
    vllm_bench.configure(parser)
    ours = ("serve", "output", "strict", "shared_host")
    found = vars(parser.parse_args(list(words)))
    return translate({name: value for name, value in found.items() if value is not None and name not in ours})


def spec(*words: str) -> Spec:
    return build_spec(wish(*words).tree)


def test_the_defaults_are_a_thousand_prompts_at_once() -> None:
    made = spec()
    assert made.endpoint.url == "http://127.0.0.1:8000" and made.endpoint.api == "completions"
    assert (made.load.requests, made.load.concurrency, made.load.rate, made.load.ramp_s) == (1000, 1000, None, 0.0)
    assert (made.workload.input_tokens, made.workload.output_tokens) == ("1024", "128")
    assert made.endpoint.ignore_eos and not made.load.keep_load and made.load.max_failures == 1.0
    assert made.run.seed == 0 and made.endpoint.extra_body == {}


@pytest.mark.parametrize(
    ("words", "load"),
    [
        ("--max-concurrency 16 --num-prompts 100", (16, None, "poisson")),
        ("--max-concurrency 16 --num-prompts 8", (8, None, "poisson")),
        ("--request-rate 5", (None, 5.0, "poisson")),
        ("--request-rate 5 --max-concurrency 3", (3, 5.0, "poisson")),
        ("--request-rate 5 --burstiness 4", (None, 5.0, "gamma:0.5")),
        ("--request-rate 5 --burstiness 0.25", (None, 5.0, "gamma:2")),
        ("--request-rate 5 --burstiness inf", (None, 5.0, "constant")),
    ],
)
def test_rates_and_concurrency(words: str, load: tuple[Any, ...]) -> None:
    made = spec(*words.split())
    assert (made.load.concurrency, made.load.rate, made.load.arrivals) == load


@pytest.mark.parametrize(
    ("words", "input_tokens", "output_tokens", "system"),
    [
        ("--random-input-len 100 --random-output-len 10", "100", "10", None),
        ("--input-len 100 --output-len 10 --random-input-len 7", "100", "10", None),
        ("--random-input-len 100 --random-range-ratio 0.25", "uniform:75,125", "uniform:96,160", None),
        ("--random-input-len 3 --random-output-len 1 --random-range-ratio 0.5", "uniform:1,5", "uniform:1,2", None),
        ('--random-range-ratio {"input":0,"output":0.5}', "1024", "uniform:64,192", None),
        ("--random-prefix-len 64 --random-input-len 100 --random-range-ratio 0.5", "uniform:114,214",
         "uniform:64,192", 64),
    ],
)  # fmt: skip
def test_random_lengths(words: str, input_tokens: str, output_tokens: str, system: int | None) -> None:
    made = spec(*words.split())
    assert (made.workload.input_tokens, made.workload.output_tokens) == (input_tokens, output_tokens)
    assert made.prefix.system_tokens == system


def test_endpoint_body_and_names() -> None:
    words = "serve --backend openai-chat --endpoint /v1/chat/completions --base-url http://h:1/api --header a=b c=d "
    words += "--model org/big --served-model-name big --temperature 0 --top-p 0.9 --insecure --seed 7"
    made = spec(*words.split(), "--extra-body", '{"chat_template_kwargs": {"x": true}, "temperature": 1}')
    assert (made.endpoint.api, made.endpoint.model, made.endpoint.url) == ("chat", "big", "http://h:1/api")
    assert made.endpoint.headers == {"a": "b", "c": "d"} and not made.endpoint.verify_tls
    assert made.endpoint.extra_body == {"temperature": 1, "top_p": 0.9, "chat_template_kwargs": {"x": True}}
    assert made.run.seed == 7 and spec("--endpoint", "/other/completions").endpoint.path == "other/completions"
    assert spec("--host", "::1", "--port", "9").endpoint.url == "http://[::1]:9"


def test_prefix_repetition() -> None:
    made = spec("--dataset-name", "prefix_repetition", "--prefix-repetition-num-prefixes", "3", "--output-len", "9")
    assert (made.prefix.groups, made.prefix.tokens, made.workload.input_tokens) == (3, "256", "512")
    assert made.workload.output_tokens == "9" and not made.endpoint.ignore_eos


def test_results_and_goodput() -> None:
    words = "--save-result --save-detailed --result-dir out --goodput ttft:500 e2el:9000 --label L --request-rate 3 "
    words += "--percentile-metrics ttft,e2el --metric-percentiles 25,99.9 --metadata tp=4 a=b=c"
    asked = wish(*words.split())
    assert str(asked.file) == "out/L-3.0qps-{model}-{date}.json" and asked.asked.detailed
    assert asked.asked.metrics == ("ttft", "e2el") and asked.asked.percentiles == (25.0, 99.9)
    assert asked.asked.metadata == {"tp": "4", "a": "b=c"}
    assert asked.asked.goodput_ms == {"ttft": 500.0, "e2el": 9000.0}
    assert asked.tree["slo"] == {"ttft_ms": 500.0, "e2e_ms": 9000.0} and asked.tree["run"]["keep_text"]
    assert wish("--save-detailed").file is None
    name = wish("--append-result", "--max-concurrency", "4", "--model", "org/big").file
    assert str(name) == "openai-infqps-concurrency4-big-{date}.json"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--num-warmups 5", "--num-warmups"),
        ("--profile --hf-name x", "--hf-name.*\n.*--profile"),
        ("--lora-modules a b", "--lora-modules"),
        ("--no-self-timed", "--no-self-timed"),
        ("--backend vllm-rerank", "--backend vllm-rerank"),
        ("--backend openai-chat", "goes with --endpoint /v1/chat/completions"),
        ("--dataset-name burstgpt", "--dataset-name burstgpt"),
        ("--dataset-name sharegpt", "--dataset-path FILE"),
        ("--dataset-path x.json", "no meaning"),
        ("--dataset-name custom --dataset-path x.jsonl", "--skip-chat-template"),
        ("--tokenizer-mode mistral", "--tokenizer-mode mistral"),
        ("--request-rate 0", "above 0"),
        ("--burstiness -1", "above 0"),
        ("--random-range-ratio 1", "below 1"),
        ("--goodput itl:5", "names are ttft, tpot, e2el"),
        ("--percentile-metrics ttft,foo", "foo"),
        ("--metric-percentiles 50,101", "0 to 100"),
        ("--metadata words", "KEY=VALUE"),
        ("--extra-body [1]", "JSON object"),
        ("--backend openai-chat --endpoint /v1/chat/completions --logprobs 3", "--logprobs"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(words: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        wish(*words.split())


def test_the_command_refuses_before_any_load(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vllm-bench", "serve", "--num_warmups", "3"]) == 2
    assert "--num-warmups" in capsys.readouterr().err
    assert main(["vllm-bench", "--nun-prompts", "3"]) == 2
    assert "did you mean --num-prompts?" in capsys.readouterr().err


def test_noted_flags_are_told() -> None:
    assert [note.partition(":")[0] for note in wish("--disable-tqdm", "--request-id-prefix", "x").notes] == [
        "--disable-tqdm", "--request-id-prefix",
    ]  # fmt: skip


def rows_of(kind: str, path: Path, n: int, **more: Any) -> Rows:
    base = {"kind": kind, "path": path, "output": None, "seed": 5, "shuffle": True, "requests": n, "tokenizer": None}
    return Rows(**(base | more))


def test_rows_of_a_custom_file_are_those_that_vllm_takes(tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    data = [{"prompt": f"p{i}", "output_tokens": i + 1} for i in range(20)]
    file.write_text("".join(json.dumps(row) + "\n" for row in data))
    random.seed(5)
    random.shuffle(data)
    assert sampled(rows_of("custom", file, 6)) == data[:6]
    assert [row["prompt"] for row in sampled(rows_of("custom", file, 3, shuffle=False))] == ["p0", "p1", "p2"]
    assert {row["output_tokens"] for row in sampled(rows_of("custom", file, 3, output=9))} == {9}
    with pytest.raises(UsageError, match="give --num-prompts 20"):
        sampled(rows_of("custom", file, 21))
    file.write_text('{"text": "x"}\n')
    with pytest.raises(UsageError, match='a text under "prompt"'):
        sampled(rows_of("custom", file, 1))


def test_rows_of_a_sharegpt_file_are_pruned_as_vllm_does(tmp_path: Path) -> None:
    def talk(asked: int, said: int) -> dict[str, Any]:
        return {
            "conversations": [{"from": "human", "value": "word " * asked}, {"from": "gpt", "value": "time " * said}]
        }

    lengths = [(2, 50), (50, 2), (50, 60), (1200, 50), (900, 1300), (10, 20)]
    file = tmp_path / "s.json"
    alone = [{"conversations": [{"from": "human", "value": "alone"}]}]
    file.write_text(json.dumps([talk(*pair) for pair in lengths] + alone))
    taken = sampled(rows_of("sharegpt", file, 2, shuffle=False))
    assert [len(row["prompt"].split()) for row in taken] == [50, 10]
    assert [abs(row["output_tokens"] - n) <= 1 for row, n in zip(taken, (60, 20), strict=True)] == [True, True]
    fixed = sampled(rows_of("sharegpt", file, 3, shuffle=False, output=1))  # its length is no reason to leave it out
    assert [len(row["prompt"].split()) for row in fixed] == [50, 50, 900]
