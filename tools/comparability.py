"""docs/comparability.md: comparability.md here with the tables of definitions, flags and result files put in."""

from __future__ import annotations

import argparse
import functools
import gzip
import json
from pathlib import Path
from typing import Any

from loadcell.cli import foreign, run
from loadcell.errors import UsageError
from loadcell.interop.views.definitions import TOOLS, Definition, Rules

PEERS = Path(__file__).parents[1] / "tests" / "data" / "peers"
COLUMNS = ("vLLM", "SGLang", "AIPerf", "GuideLLM", "inference-perf", "genai-bench", "LLMPerf", "EvalScope")
VERSIONS = ("0.32", "0.5.23", "0.13.0", "0.8.1", "0.7.0", "0.0.5", "2024-12", "1.14.1")
FLAGS: dict[tuple[str, str], tuple[str, ...]] = {
    ("where", "URL"): (
        "--base-url", "--base-url", "--url", "--backend target=", "server.base_url", "--api-base", "(environment)",
        "--url"),
    ("API", "--api"): (
        "--backend", "--backend", "--endpoint-type", "--backend request_format=", "api.type", "--task", "--llm-api",
        "!--api"),
    ("model", "--model"): (
        "--model", "--model", "--model", "--backend model=", "server.model_name", "--api-model-name", "--model",
        "--model"),
    ("tokenizer", "--tokenizer"): (
        "--tokenizer", "--tokenizer", "--tokenizer", "--tokenizer", "tokenizer.pretrained_model_name_or_path",
        "--model-tokenizer", "(Llama 2's, always)", "--tokenizer-path"),
    ("requests", "--requests"): (
        "--num-prompts", "--num-prompts", "--request-count", "--constraint kind=max_requests",
        "load.stages[].num_requests", "--max-requests-per-run", "--max-num-completed-requests", "--number"),
    ("time", "--duration"): (
        "", "", "--benchmark-duration", "--constraint kind=max_duration", "load.stages[].duration",
        "--max-time-per-run (minutes)", "!--timeout", "--duration"),
    ("closed loop", "--concurrency"): (
        "--max-concurrency", "--max-concurrency", "--concurrency", "--profile kind=concurrent,streams=",
        "load.stages[].concurrency_level", "--num-concurrency", "--num-concurrent-requests", "--parallel"),
    ("open loop", "--rate"): (
        "--request-rate", "--request-rate", "--request-rate", "--profile kind=poisson,rate=", "load.stages[].rate",
        "", "", "--rate --open-loop"),
    ("arrivals", "--arrivals"): (
        "--burstiness", "(exponential)", "--arrival-pattern", "--profile kind=", "load.type", "", "",
        "(exponential)"),
    ("input length", "--input-tokens"): (
        "--random-input-len", "--random-input-len", "--isl", "--data prompt_tokens=", "data.input_distribution",
        "--traffic-scenario", "--mean-input-tokens", "--max-prompt-length"),
    ("output length", "--output-tokens"): (
        "--random-output-len", "--random-output-len", "--osl", "--data output_tokens=", "data.output_distribution",
        "--traffic-scenario", "--mean-output-tokens", "--max-tokens"),
    ("its spread", "normal:MEAN,SD"): (
        "--random-range-ratio", "--random-range-ratio", "--isl-stddev", "--data prompt_tokens_stdev=",
        "data.input_distribution.std_dev", "--traffic-scenario", "--stddev-input-tokens", "--min-prompt-length"),
    ("whole length", "--ignore-eos"): (
        "--ignore-eos (off)", "--disable-ignore-eos (on)", "--extra-inputs ignore_eos:true",
        "(on, with output_tokens)", "server.ignore_eos", "(on, for vLLM and SGLang)", "(off)", "--extra-args"),
    ("seed", "--seed"): (
        "--seed (0)", "--seed (42)", "--random-seed", "--seed", "", "", "(11111)", "--seed"),
    ("warm-up", "--warmup"): (
        "--num-warmups", "--warmup-requests", "--warmup-request-count", "--profile warmup=", "", "--warmup-ratio", "",
        "--warmup-num"),
    ("whole replies", "--no-stream"): (
        "--no-stream", "--disable-stream", "(without --streaming)", "--backend stream=false", "api.streaming: false",
        "", "", "--no-stream"),
    ("fields of the body", "--set endpoint.extra_body="): (
        "--extra-body", "--extra-request-body", "--extra-inputs", "--backend extras=", "",
        "--additional-request-params", "--additional-sampling-params", "--extra-args"),
    ("limits", "--slo"): (
        "--goodput", "--goodput", "--goodput", "", "report.goodput.constraints", "", "", "--sla-params"),
    ("shared beginning", "--prefix-tokens"): (
        "--random-prefix-len", "--gsp-system-prompt-len", "--shared-system-prompt-length", "--data prefix_buckets=",
        "data.shared_prefix", "--prefix-len", "", "--prefix-length"),
}  # fmt: skip
"""What a setting is for, ours, and the one of each of `COLUMNS`: its command line, or a key of its YAML. Read in the
sources of `VERSIONS` in November 2026."""

_START = {"due": "due", "send": "send", "call": "call", "fresh": "call, new connection"}
_FIRST = {"output": "any output", "choices": "any choice, a role too", "answer": "visible text"}
_END = {"output": "last output", "choices": "last choice, finish event", "stream": "end of stream"}
_TOKENS = {"ours": "as settled", "usage": "usage", "text": "own tokenizer", "asked": "asked for", "events": "events",
           "choices": "events and finish", "one": "1"}  # fmt: skip
_PERCENTILE = {"rank": "ceil(p n)", "linear": "interpolated", "lower": "floor(p (n-1))", "floor": "floor(p n)",
               "step": "step of the distribution"}  # fmt: skip
_WINDOW = {"load": "start to last reply", "valid": "first send to last output of a success",
           "attempts": "first start to last end, failures too",
           "last_issued": "until the last issued is done"}  # fmt: skip
_FORMULA = {
    "gaps": "gaps of events", "token_gaps": "gaps of tokens, 0 inside an event", "after_first": "(end - first)/(n - 1)",
    "after_first_1ms": "(end - first)/(n - 1)", "whole_ns_after_first": "(end - first)/(n - 1), whole ns",
    "apart": "(last - first)/(n - 1)", "from_start": "(last - start)/n", "whole": "(end - start)/n",
    "lines": "(last - start)/events",
}  # fmt: skip
DASH = "\N{EN DASH}"
MARKS = {"own": " ✓", "taken": " ✓", "by its value": " ✓→", "named": " →", "unknown": ""}


def page() -> str:
    """docs/comparability.md."""
    rows = [
        "| tool | version | starts | first event | ends | tokens | percentiles | rates over | connections |",
        "|---|---|---|---|---|---|---|---|---|",
        f"| **Loadcell** | | due (open loop), send | {_FIRST['output']} | {_END['output']} | as settled, two sources | "
        f"{_PERCENTILE['rank']} | while the load was on | kept |",
    ]
    for one in TOOLS.values():
        rows.append(_definition(one, one.rules, one.title))
        for api, changes in one.api.items():
            rows.append(_definition(one, one.rules._replace(**changes), f"{one.title}, {api}"))
    failures = "; ".join(f"{one.title}: {_kinds(one.rules)}" for one in TOOLS.values())
    text = (Path(__file__).parent / "comparability.md").read_text(encoding="utf-8")
    return text.format(
        definitions="\n".join(rows),
        formulas="\n".join(map(_formulas, TOOLS.values())),
        failures=failures,
        columns=" | ".join(f"{name} {version}" for name, version in zip(COLUMNS, VERSIONS, strict=True)),
        rules="|".join(["---"] * len(COLUMNS)),
        flags="\n".join(map(_flag_row, FLAGS)),
        told="\n".join(_told_rows()),
    )


def _definition(one: Definition, rules: Rules, title: str) -> str:
    cells = (
        title, one.version, _START[rules.start], _FIRST[rules.first], _END[rules.end],
        ", else ".join(_TOKENS[source] for source in rules.tokens), _PERCENTILE[rules.percentile], _WINDOW[one.window],
        "one a request" if rules.start == "fresh" else "kept",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _formulas(one: Definition) -> str:
    def of(metric: str) -> str:
        found = {f"`{dist.stem}`: {_FORMULA[dist.formula]}" for dist in one.dists if dist.metric == metric}
        return "<br>".join(sorted(found)) or DASH

    return f"| {one.title} | {of('itl')} | {of('tpot')} | {of('ntpot')} |"


def _kinds(rules: Rules) -> str:
    words = {"cut": "a stream that stops", "stream_error": "an error in a 200 stream", "http": "HTTP errors",
             "reset": "a connection that is reset"}  # fmt: skip
    return ", ".join(word for kind, word in words.items() if kind in rules.takes)


def marked(flag: str) -> str:
    """A foreign flag as a cell: what `loadcell run` does with it."""
    if flag.startswith("!"):
        return f"`{flag[1:]}` \u2260"
    if not flag.startswith("--"):
        return DASH if not flag else flag if flag.startswith("(") else f"`{flag}`"
    name, _, rest = flag.partition(" ")
    return f"`{name}`{f' {rest}' if rest else ''}{MARKS[fate(name)]}"


@functools.cache
def own_flags() -> frozenset[str]:
    """Those of `loadcell run`."""
    parser = argparse.ArgumentParser()
    run.configure(parser)
    return frozenset(name for action in parser._actions for name in action.option_strings)


def fate(name: str) -> str:
    """Whether a flag of another tool is our own, taken as one of ours, named with the right one, or unknown."""
    if name in own_flags():
        return "own"
    if name in foreign._PART:
        return "taken"
    if name in foreign._BY_VALUE:
        return "by its value"
    try:
        words, _ = foreign.translated([name, '{"top_k": 1}'], own_flags())
    except UsageError:
        return "named"
    return "unknown" if name in words else "taken"


def _flag_row(key: tuple[str, str]) -> str:
    what, ours = key
    ours = " ".join(f"`{word}`" for word in ours.split())
    return f"| {what} | {ours} | {' | '.join(map(marked, FLAGS[key]))} |"


def _load(name: str) -> Any:
    held = (PEERS / name).read_bytes()
    return json.loads(gzip.decompress(held) if name.endswith(".gz") else held)


def _told_rows() -> list[str]:
    truth = {name: one["truth"] for name, one in _load("truth.json").items()}
    rows = []
    for name, title in (
        ("vllm_bench", "vLLM bench serve, Python"), ("vllm_rs", "the same, Rust"), ("aiperf", "AIPerf"),
        ("guidellm", "GuideLLM"), ("inference_perf", "inference-perf"), ("genai_bench", "genai-bench"),
        ("llmperf", "LLMPerf"),
    ):  # fmt: skip
        true = truth[name]
        pairs = zip(
            _figures_told(name),
            (true["ttft_ms"]["p50"], true["ttft_ms"]["p99"], true["e2e_ms"]["p50"], true["tokens_per_s"]),
            strict=True,
        )
        rows.append(f"| {title} | {' | '.join(f'{told:.1f} / {of:.1f}' for told, of in pairs)} |")
    return rows


def _figures_told(name: str) -> tuple[float, float, float, float]:
    """TTFT p50 and p99, E2E p50 in ms, and output tokens per second, as the tool wrote them."""
    if name in ("vllm_bench", "vllm_rs"):
        r = _load(f"{name}/r.json")
        return r["p50_ttft_ms"], r["p99_ttft_ms"], r["p50_e2el_ms"], r["output_throughput"]
    if name == "aiperf":
        r = _load("aiperf/profile_export_aiperf.json")
        ttft, rate = r["time_to_first_token"], r["output_token_throughput"]["avg"]
        return ttft["p50"], ttft["p99"], r["request_latency"]["p50"], rate
    if name == "guidellm":
        m = _load("guidellm/g.json.gz")["benchmarks"][0]["metrics"]
        ttft, e2e = (m[k]["successful"]["percentiles"] for k in ("time_to_first_token_ms", "request_latency"))
        return ttft["p50"], ttft["p99"], e2e["p50"] * 1e3, m["output_tokens_per_second"]["successful"]["mean"]
    if name == "inference_perf":
        done = _load("inference_perf/stage_0_lifecycle_metrics.json")["successes"]
        ttft, e2e = (done["latency"][k] for k in ("time_to_first_token", "request_latency"))
        rate = done["throughput"]["output_tokens_per_sec"]
        return ttft["median"] * 1e3, ttft["p99"] * 1e3, e2e["median"] * 1e3, rate
    if name == "genai_bench":
        a = _load("genai_bench/D128_50_text-to-text_num_concurrency_8_time_5s.json.gz")["aggregated_metrics"]
        ttft, e2e = a["stats"]["ttft"], a["stats"]["e2e_latency"]
        return ttft["p50"], ttft["p99"], e2e["p50"], a["mean_output_throughput_tokens_per_s"]
    r = _load("llmperf/truth_200_50_summary.json")
    return (
        r["results_ttft_s_quantiles_p50"] * 1e3, r["results_ttft_s_quantiles_p99"] * 1e3,
        r["results_end_to_end_latency_s_quantiles_p50"] * 1e3, r["results_mean_output_throughput_token_per_s"],
    )  # fmt: skip
