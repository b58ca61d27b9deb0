"""The formats of other tools that recordings are written in."""

from __future__ import annotations

from typing import NamedTuple


class Format(NamedTuple):
    """A format that recordings are written in."""

    title: str
    module: str
    """In `interop.writers`."""
    file: str
    """Name of its file; of a folder, where there are several, it is their common name."""
    judges: bool = False
    """Whether the verdict has a place in it."""
    told: tuple[str, ...] = ()
    """The tools of `interop.read.TOOLS` whose told figures it can give back."""


FORMATS = {
    "vllm": Format("JSON of `vllm bench serve`", "vllm", "vllm.json", told=("vllm", "vllm-rs")),
    "aiperf": Format("JSON, CSV and records of AIPerf", "aiperf", "aiperf", told=("aiperf",)),
    "guidellm": Format("GuideLLM's report, version 2", "guidellm", "benchmarks.json"),
    "llm-d-v0.2.1": Format("llm-d Benchmark Report v0.2.1", "llm_d", "benchmark_report_v0.2.1", judges=True),
    "openmetrics": Format("OpenMetrics text", "openmetrics", "metrics.txt", judges=True),
    "otlp-json": Format("OTLP metrics as JSON", "otlp", "otlp-metrics.json", judges=True),
}
