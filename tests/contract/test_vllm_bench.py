"""`loadcell vllm-bench` against the embedded engine: the keys of vLLM's own files, and the engine's truth."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_client import Engine, start_engine

from loadcell.cli.main import main

PEERS = Path(__file__).parent.parent / "data" / "peers"
CHAT = ("--backend", "openai-chat", "--endpoint", "/v1/chat/completions")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with ExitStack() as stack:
        yield start_engine(stack, "--ttft", "20ms", "--itl", "4ms")


def bench(engine: Engine, folder: Path, *words: str) -> Path:
    """Run the command; the recording."""
    base = ("--base-url", f"http://127.0.0.1:{engine.port}", "--random-input-len", "30", "--random-output-len", "8")
    assert main(["vllm-bench", "serve", *base, *words, "--output", str(folder), "--shared-host"]) == 0
    return folder


def kind(value: Any) -> str:
    """The type of a value as a reader of JSON meets it: numbers are alike."""
    if isinstance(value, list):
        return f"list of {kind(value[0])}" if value else "list"
    return "number" if isinstance(value, float) else type(value).__name__


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    ("theirs", "more"), [("vllm_bench/r.json", ()), ("vllm_bench_detailed/r.json.gz", ("--save-detailed",))]
)
def test_the_file_has_the_keys_and_types_of_the_real_one(
    engine: Engine, tmp_path: Path, theirs: str, more: tuple[str, ...]
) -> None:
    words = ("--num-prompts", "12", "--max-concurrency", "3", "--percentile-metrics", "ttft,tpot,itl,e2el")
    words += ("--metric-percentiles", "50,90,99", "--save-result", "--result-dir", str(tmp_path / "out"))
    bench(engine, tmp_path / "run", *CHAT, *words, *more)
    (file,) = (tmp_path / "out").iterdir()
    assert re.fullmatch(r"openai-chat-infqps-concurrency3-loadcell-engine-\d{8}-\d{6}\.json", file.name)
    raw = (PEERS / theirs).read_bytes()
    real = json.loads(gzip.decompress(raw) if theirs.endswith(".gz") else raw)
    ours = json.loads(file.read_text())
    assert list(ours) == list(real)
    assert {name: kind(value) for name, value in ours.items()} == {name: kind(value) for name, value in real.items()}


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("api", ["chat", "completions"])
def test_the_figures_are_those_of_the_engine(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str], api: str
) -> None:
    words = (*(CHAT if api == "chat" else ()), "--num-prompts", "20", "--request-rate", "40", "--save-result")
    words += ("--save-detailed", "--result-filename", str(tmp_path / "r.json"), "--metadata", "tp=1")
    bench(engine, tmp_path / "run", *words, "--goodput", "ttft:100000")
    tree = json.loads((tmp_path / "r.json").read_text())
    manifest = json.loads((tmp_path / "run" / "recording.json").read_text())
    truth = [record for record in engine.truth() if str(record["id"]).startswith(manifest["id"])]
    truth.sort(key=lambda record: int(record["id"].rsplit("-", 1)[-1]))
    assert (tree["completed"], tree["failed"], len(truth)) == (20, 0, 20)
    assert tree["total_output_tokens"] == sum(record["completion_tokens"] for record in truth)
    assert tree["total_input_tokens"] == sum(record["prompt_tokens"] for record in truth)
    assert [len(text.split()) for text in tree["generated_texts"]] == tree["output_lens"] == [8] * 20
    for i, record in enumerate(truth):
        tokens = np.array(record["tokens_ns"]) / 1e9
        ends = [record["end_ns"] / 1e9] if api == "completions" else []  # its finish event is one for vLLM there
        stamps = np.append(tokens, ends)
        assert len(tree["itls"][i]) == len(stamps) - 1
        # the client sees each event after it was sent, and its own send came before its arrival
        assert tree["ttfts"][i] >= tokens[0] - record["arrival_ns"] / 1e9 - 1e-4
        assert tree["latencies"][i] == pytest.approx(tree["ttfts"][i] + sum(tree["itls"][i]))
    assert tree["request_goodput"] == pytest.approx(tree["request_throughput"]) and tree["tp"] == "1"
    assert list(tree).index("tp") == list(tree).index("num_prompts") + 1
    printed = capsys.readouterr()
    assert printed.out.startswith("============ Serving Benchmark Result ============\n")
    assert f"Total generated tokens:                  {tree['total_output_tokens']:<10}\n" in printed.out
    assert f"Median TTFT (ms):                        {tree['median_ttft_ms']:<10.2f}\n" in printed.out
    assert re.search(r"loadcell: (VALID|SUSPECT|INVALID); more: loadcell report", printed.err)


@pytest.mark.usefixtures("processes")
def test_results_are_appended_as_lines_and_files_are_taken(engine: Engine, tmp_path: Path) -> None:
    data = tmp_path / "c.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"word number {i}"}) + "\n" for i in range(9)))
    words = ("--dataset-name", "custom", "--dataset-path", str(data), "--custom-output-len", "5", "--num-prompts", "6")
    words += (
        "--append-result",
        "--result-dir",
        str(tmp_path),
        "--result-filename",
        "all.json",
        "--max-concurrency",
        "2",
    )
    for run in ("1", "2"):
        bench(engine, tmp_path / run, *CHAT, *words, "--seed", run)
    trees = [json.loads(line) for line in (tmp_path / "all.json").read_text().split("\n")]
    assert [(tree["completed"], tree["total_output_tokens"]) for tree in trees] == [(6, 30), (6, 30)]
    assert len((tmp_path / "1.prompts.jsonl").read_text().splitlines()) == 6
