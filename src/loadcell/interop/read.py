"""Which tool wrote a file, by what is in it, and its runs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from loadcell.interop.model import Run


class Tool(NamedTuple):
    """A tool whose files are read."""

    title: str
    module: str
    """In `interop.readers`; several forms of one tool may be parted over modules."""


TOOLS = {
    "vllm": Tool("vLLM bench serve", "vllm"),
    "vllm-rs": Tool("vLLM bench serve, Rust client", "vllm"),
    "sglang": Tool("SGLang bench serving", "sglang"),
    "aiperf": Tool("AIPerf", "aiperf"),
    "genai-perf": Tool("GenAI-Perf", "genai_perf"),
    "guidellm": Tool("GuideLLM", "guidellm"),
    "llmperf": Tool("LLMPerf", "llmperf"),
    "inference-perf": Tool("inference-perf", "inference_perf"),
    "genai-bench": Tool("genai-bench", "genai_bench"),
    "evalscope": Tool("EvalScope perf", "evalscope"),
    "mlperf": Tool("MLPerf LoadGen", "loadgen"),
    "endpoints": Tool("MLPerf Endpoints client", "endpoints"),
    "llm-d": Tool("llm-d benchmark report", "llm_d"),
    "inferencex": Tool("InferenceX", "inferencex"),
    "hf-ib": Tool("Hugging Face inference-benchmarker", "hf_ib"),
}


def read_runs(path: Path) -> list[Run]:
    """The runs that the files at `path` (a file or a folder of one tool) hold.

    UsageError names the file and the field where none is known, two tools' files are mixed, or one is damaged.
    """
    found = {name: import_module(f"loadcell.interop.readers.{TOOLS[name].module}") for name in TOOLS}
    return [run for module in found.values() if module.matches(path) for run in module.read(path)]
