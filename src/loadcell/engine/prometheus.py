"""GET /metrics: Prometheus text under the names that vLLM uses, with vLLM's buckets.

There is no KV cache here, so `kv_cache_usage_perc` is the share of slots in use; there is no preemption, so that
counter stays 0, and so does that of the prefix cache's hits where the engine was given none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import sub

from loadcell.engine.model import Drafts
from loadcell.engine.truth import Truth

TTFT_BUCKETS_S = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
)  # fmt: skip
ITL_BUCKETS_S = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip
REQUEST_BUCKETS_S = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0,
    960.0, 1920.0, 7680.0,
)  # fmt: skip
FINISHED_REASONS = {"ok": "length", "cut": "abort", "short": "abort", "disconnected": "abort", "error": "error"}


class Histogram:
    """Cumulative buckets over values in ns."""

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self._bounds = [(f"{bound:g}", round(bound * 1e9)) for bound in bounds_s]
        self._below = [0] * len(bounds_s)
        self._sum_ns = 0
        self._count = 0

    def observe(self, *values_ns: int) -> None:
        ordered = sorted(values_ns)
        for i, (_, bound_ns) in enumerate(self._bounds):
            self._below[i] += bisect_right(ordered, bound_ns)
        self._sum_ns += sum(ordered)
        self._count += len(ordered)

    def lines(self, name: str, labels: str) -> list[str]:
        buckets = [
            f'{name}_bucket{{{labels},le="{bound}"}} {n}'
            for (bound, _), n in zip(self._bounds, self._below, strict=True)
        ]
        return [
            f"# TYPE {name} histogram",
            *buckets,
            f'{name}_bucket{{{labels},le="+Inf"}} {self._count}',
            f"{name}_sum{{{labels}}} {self._sum_ns / 1e9!r}",
            f"{name}_count{{{labels}}} {self._count}",
        ]


class Metrics:
    """Counters and histograms of the requests that reached a slot or the queue."""

    def __init__(self, model: str) -> None:
        name = model.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        self._labels = f'engine="0",model_name="{name}"'
        self._prompt_tokens = self._cached_tokens = 0
        self._finished = dict.fromkeys(("stop", "length", "abort", "error"), 0)
        self._histograms = {
            "vllm:time_to_first_token_seconds": Histogram(TTFT_BUCKETS_S),
            "vllm:inter_token_latency_seconds": Histogram(ITL_BUCKETS_S),
            "vllm:e2e_request_latency_seconds": Histogram(REQUEST_BUCKETS_S),
            "vllm:request_queue_time_seconds": Histogram(REQUEST_BUCKETS_S),
            "vllm:request_prefill_time_seconds": Histogram(REQUEST_BUCKETS_S),
            "vllm:request_decode_time_seconds": Histogram(REQUEST_BUCKETS_S),
        }

    def observe(self, truth: Truth) -> None:
        """Count a finished request."""
        self._finished[FINISHED_REASONS[truth.outcome]] += 1
        ttft, itl, e2e, queue, prefill, decode = self._histograms.values()
        if truth.admitted_ns is not None:
            queue.observe(max(0, truth.admitted_ns - truth.arrival_ns))
        if truth.tokens_ns or (truth.pooled and truth.outcome == "ok"):
            self._prompt_tokens += truth.prompt_tokens
            self._cached_tokens += truth.cached_tokens
            e2e.observe(truth.end_ns - truth.arrival_ns)
        if truth.tokens_ns:
            stamps = truth.tokens_ns
            ttft.observe(stamps[0] - truth.arrival_ns)
            if truth.admitted_ns is not None:
                prefill.observe(stamps[0] - truth.admitted_ns)
            decode.observe(stamps[-1] - stamps[0])
            itl.observe(*map(sub, stamps[1:], stamps))

    def render(self, running: int, waiting: int, slots: int, generated: int, drafts: Drafts | None) -> bytes:
        """The page. Prompt tokens and histograms count a request when it ends, the other figures live."""
        labels = self._labels
        lines: list[str] = []
        for name, kind, value in (
            ("vllm:num_requests_running", "gauge", running),
            ("vllm:num_requests_waiting", "gauge", waiting),
            ("vllm:kv_cache_usage_perc", "gauge", running / slots),
            ("vllm:prompt_tokens_total", "counter", self._prompt_tokens),
            ("vllm:generation_tokens_total", "counter", generated),
            ("vllm:num_preemptions_total", "counter", 0),
            ("vllm:prefix_cache_queries_total", "counter", self._prompt_tokens),
            ("vllm:prefix_cache_hits_total", "counter", self._cached_tokens),
        ):
            lines += [f"# TYPE {name} {kind}", f"{name}{{{labels}}} {value}"]
        lines.append("# TYPE vllm:request_success_total counter")
        lines += [
            f'vllm:request_success_total{{{labels},finished_reason="{reason}"}} {n}'
            for reason, n in self._finished.items()
        ]
        if drafts is not None:
            lines += self._drafted(drafts)
        for name, histogram in self._histograms.items():
            lines += histogram.lines(name, labels)
        return ("\n".join(lines) + "\n").encode()

    def _drafted(self, drafts: Drafts) -> list[str]:
        """What speculative decoding guessed, live."""
        name, labels = "vllm:spec_decode_num", self._labels
        counted = (("drafts", drafts.steps), ("draft_tokens", drafts.tokens), ("accepted_tokens", sum(drafts.accepted)))
        return [
            *(f"{name}_{what}_total{{{labels}}} {n}" for what, n in counted),
            *(
                f'{name}_accepted_tokens_per_pos_total{{{labels},position="{position}"}} {n}'
                for position, n in enumerate(drafts.accepted)
            ),
        ]
