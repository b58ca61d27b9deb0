"""Results for the page of a run: an ordinary one with everything in it, and one in which every string is hostile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from made import build, events_of, failed_request, ok_request

from loadcell.metrics import Energy, Failure, Observed, Result, Series, Watched, build_result
from loadcell.metrics.model import Group
from loadcell.spec import LIMITED

HOSTILE = "\"'></script><script>window.pwned=1</script><img src=x onerror='window.pwned=2'>{{ 7*7 }}\x1b[31m\u202eabc"
LONG = HOSTILE + "x" * 1_000_000
_KEPT = {
    "cache",
    "too_long",
    "history",
    "word",
    "requests_counted",
    "state",
    "loop",
    "anchor",
    "kind",
    "unit",
    "api",
    "http",
    "auth",
    "method",
    "clock",
    "gpu",
    "mode",
    "deal",
    "lengths_order",
}
"""Keys whose strings are of a fixed vocabulary of the program's own."""


def made_result(folder: Path) -> Result:
    """An open loop of 400 requests with failures, an SLO, and a server that was watched."""

    def row(i: int) -> dict[str, Any]:
        more = {"start_ms": i * 50, "planned_ns": i * 50_000_000}
        return ok_request(i, tokens=8, **more) if i % 40 else failed_request(i, "http_500", **more)

    rows = [row(i) for i in range(400)]
    events = [event for row in rows if row["status"] == "ok" for event in events_of(row)]
    slo = {"ttft_ms": 400, "tpot_ms": 25}
    recording = build(folder, rows, events=events, planned=[i * 50.0 for i in range(400)], loop="open", slo=slo)
    series = Series(
        title="Running", unit="requests", kind="gauge", sources=["vllm"], mean=3.0, min=0.0, max=6.0, gained=None,
        t_s=[float(i) for i in range(20)], values=[float(i % 7) for i in range(20)],
    )  # fmt: skip
    watched = Watched(name="vllm", kind="prometheus", engine="vLLM", looks=9, failed=1, longest_gap_s=2.0, says="slow")
    energy = Energy(source="nvml", gpus=1, mean_watts=300.0, joules=1.0, joules_per_output_token=0.5,
                    joules_per_request=4.0, valid=True, says="from its counter")  # fmt: skip
    seen = Observed(sources=[watched], series={"requests_running": series}, energy=energy, notes=["one look failed"])
    return msgspec.structs.replace(build_result(recording), observed=seen, notes=["a note"])


def hostile_result(result: Result) -> Result:
    """The same with hostile strings wherever one is not of the program's own vocabulary, one of them endless."""
    tree = _hostile(msgspec.to_builtins(result))
    found = msgspec.convert(tree, Result)
    errors = [Failure(kind=HOSTILE, count=3, sample=LONG, advice=HOSTILE), *found.errors]
    latency = {name: found.latency[name] for name in LIMITED if name in found.latency}
    groups = [
        Group(name=HOSTILE, endpoint=HOSTILE, model=LONG, share=0.5, counts=found.counts, failures={HOSTILE: 3},
              latency=latency, throughput=found.throughput, goodput=found.goodput)
        for _ in range(2)
    ]  # fmt: skip
    return msgspec.structs.replace(found, errors=errors, notes=[LONG], invalid=[], classes=groups, addresses=groups)


def _hostile(tree: Any, key: str = "") -> Any:
    if isinstance(tree, dict):
        return {name: _hostile(value, name) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_hostile(value, key) for value in tree]
    return HOSTILE if isinstance(tree, str) and key not in _KEPT else tree
