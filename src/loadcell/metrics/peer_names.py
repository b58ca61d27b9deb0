"""What other tools call the figures of this one: the same word often means another figure.

Read in the sources of vLLM (`vllm bench serve`), SGLang (`bench_serving`), AIPerf 0.13, GuideLLM 0.8 and LoadGen 6.
"""

from __future__ import annotations

PEERS = ("vLLM", "SGLang", "AIPerf", "GuideLLM", "MLPerf LoadGen")
_RUN = "from the first send to the last reply"
PEER_NAMES: dict[str, tuple[str, ...]] = {
    "TTFT, service": ("TTFT", "TTFT, connecting included", "TTFT", "TTFT", "-"),
    "TTFT, response": ("-", "-", "-", "-", "TTFT (Server)"),
    "ITL": ("ITL", "ITL", "ICL", "-", "-"),
    "ITL by token": ("-", "ITL, where the server tells an accepted length", "-", "-", "-"),
    "TPOT": (
        "TPOT", "TPOT, to the end of the stream", "**ITL**", "**ITL**, weighted by tokens",
        "TPOT (time to output token)",
    ),
    "NTPOT": ("-", "-", "-", "**TPOT**, from the send", "-"),
    "E2E": ("E2EL", "E2E, to the end of the stream", "request latency", "request latency", "latency"),
    "User rate": ("-", "-", "output token throughput per user", "-", "-"),
    "Acceptance rate": ("acceptance rate", "-", "draft acceptance rate", "-", "-"),
    "Acceptance length": ("acceptance length", "accept length", "mean acceptance length", "-", "-"),
    "Requests/s": (
        f"request throughput, {_RUN}", f"request throughput, {_RUN}", f"request throughput, {_RUN}",
        "between warm-up and cool-down", "completed samples/s, until the query issued last is done",
    ),
    "Output tokens/s": (
        f"output token throughput, {_RUN}", f"output throughput, {_RUN}", f"output token throughput, {_RUN}",
        "between warm-up and cool-down", "tokens/s, all tokens until the query issued last is done",
    ),
    "Total tokens/s": ("total token throughput", "total throughput", "total token throughput", "total", "-"),
    "Goodput": ("request goodput", "request goodput", "goodput", "rate of good requests", "-"),
    "SLO attainment": ("-", "attainment, of those sent", "good request fraction", "attainment", "-"),
    "Percentile": ("interpolated", "interpolated", "interpolated", "step of the CDF", "rank floor(n p)"),
}  # fmt: skip
"""By figure of ours, the word of each of `PEERS` for it; "-": it has none. Bold: it means another figure here."""
