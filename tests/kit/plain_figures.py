"""The figures of a recording once more, in plain Python from its Parquet files: no line of it is the project's.

What counts is told (`window`, `rates`, in seconds); how it is counted is written here again, from docs/metrics.md.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb

Row = dict[str, Any]
OUTPUT_KINDS = 0b111
"""Kinds of events that carry output, as recording/schema.py describes the column: reasoning, answer, tool call."""


def read(folder: Path, what: str) -> list[Row]:
    """Rows of the part files of a table; missing is None."""
    found = duckdb.sql(f"select * from read_parquet('{folder}/{what}-*.parquet', union_by_name=true)")
    names = found.columns
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def nearest_rank(values: list[float], p: float) -> float | None:
    """The sample at rank ceil(p n); None below n = 1 / (1 - p)."""
    ordered = sorted(values)
    if len(ordered) < 1 / (1 - p) - 1e-9:
        return None
    return ordered[math.ceil(p * len(ordered) - 1e-9) - 1]


def variance_inflation(values: list[float]) -> float:
    """How much dependence widens the interval of a mean of samples in time order: the largest of four estimates."""
    n = len(values)
    ordered = sorted(values)
    ranks = [(bisect_left(ordered, v) + bisect_right(ordered, v) - 1) / 2 / n for v in values]

    def lag(series: list[float]) -> float:
        mean = statistics.fmean(series)
        squares = sum((x - mean) ** 2 for x in series)
        r = sum((a - mean) * (b - mean) for a, b in pairwise(series)) / squares - 0.5 / math.sqrt(n)
        r = min(max(r, 0.0), 0.999)
        return (1 + r) / (1 - r)

    def batched(count: int) -> float | None:
        """Variance of batch means over what independent samples would give them."""
        size = n // count
        if size < 2:
            return None
        means = [statistics.fmean(values[k * size : (k + 1) * size]) for k in range(count)]
        return size * statistics.variance(means) / statistics.pvariance(values)

    if min(values) == max(values):
        return 1.0
    reach = min(1.0, (lag(ranks) - 1) * 20 / n / 0.3)
    found = [1.0, lag(values)]
    for count, t in ((20, 2.0930240544), (10, 2.2621571629), (5, 2.7764451052)):
        ratio, wider = batched(count), (t / 1.9599639845) ** 2
        if ratio is not None and count == 20:
            found.append(1 + wider * max(0.0, ratio - 1 - 0.5 * math.sqrt(2 / 19)))
        elif ratio is not None and reach > 0:
            found.append(1 + reach * (wider * ratio - 1))
    return max(found)


def interval_of_mean(values: list[float]) -> tuple[float, float] | None:
    """95 %, of samples in the order of their sends; None below 20."""
    n = len(values)
    if n < 20:
        return None
    z = 1.959963984540054
    error = statistics.stdev(values) * math.sqrt(variance_inflation(values) / n)
    half = z * (1 + (z**2 + 1) / (4 * (n - 1))) * error
    return statistics.fmean(values) - half, statistics.fmean(values) + half


def with_failures(values: list[float], failed: int) -> dict[str, float | None]:
    """Percentiles with what failed as infinitely late."""
    return {f"p{p}": nearest_rank([*values, *[math.inf] * failed], p / 100) for p in (50, 90, 95, 99)}


def distribution(values: list[float]) -> dict[str, Any]:
    shown = {f"p{p}": nearest_rank(values, p / 100) for p in (50, 90, 95, 99)}
    mean = statistics.fmean(values) if values else None
    sd = statistics.stdev(values) if len(values) > 1 else None
    return shown | {"mean": mean, "sd": sd, "max": max(values, default=None), "n": len(values), "samples": values}


def members(requests: list[Row], loop: str, window: tuple[float, float]) -> list[Row]:
    """Counted ok requests whose planned time (open loop) or send (closed) lies in the window."""
    anchor = "planned_ns" if loop == "open" else "send_start_ns"
    low, high = window  # either may be a send over 1e9, which times 1e9 is not always that send again
    counted = [r for r in requests if r["status"] == "ok" and r["counted"] is not False]
    return [r for r in counted if low <= r[anchor] / 1e9 <= high]


def latencies(requests: list[Row], chunks: list[Row], loop: str, window: tuple[float, float]) -> dict[str, Any]:
    """Distributions in ms of the window's requests, service time; response time too in an open loop."""
    inside = sorted(members(requests, loop, window), key=lambda r: r["send_start_ns"])
    out: dict[str, Any] = {}
    anchors = {"service": "send_start_ns"} | ({"response": "planned_ns"} if loop == "open" else {})
    for name, anchor in anchors.items():
        out[f"ttft_ms.{name}"] = distribution([(r["first_any_ns"] - r[anchor]) / 1e6 for r in inside])
        out[f"e2e_ms.{name}"] = distribution([(r["last_ns"] - r[anchor]) / 1e6 for r in inside])
    chosen = {r["request"]: r for r in inside}
    replies: dict[int, list[Row]] = {}
    for chunk in sorted(chunks, key=lambda c: (c["request"], c["read"])):
        if chunk["request"] in chosen and chunk["kind"] & OUTPUT_KINDS:
            replies.setdefault(chunk["request"], []).append(chunk)
    paces = [pace(row, replies[request]) for request, row in chosen.items() if request in replies]
    out["tpot_ms.service"] = distribution([ms for ms in paces if ms is not None])
    gaps = [(b["t_ns"] - a["t_ns"]) / 1e6 for reply in replies.values() for a, b in pairwise(reply)]
    out["itl_ms.service"] = distribution(gaps)
    return out


def pace(request: Row, reply: list[Row]) -> float | None:
    """TPOT in ms by its definition: from the first burst to the last, of a collected stream to the last but one."""
    mean = (reply[-1]["t_ns"] - reply[0]["t_ns"]) / max(1, len(reply) - 1)
    within = math.inf if mean < 100_000 else min(mean / 20, 1_000_000)
    bursts = [[reply[0]]]
    for before, event in pairwise(reply):
        if event["read"] == before["read"] or event["t_ns"] - before["t_ns"] <= within:
            bursts[-1].append(event)
        else:
            bursts.append([event])
    each = (request["output_tokens"] - request["first_tokens"]) / max(1, len(reply) - 1)
    first = request["first_tokens"] + each * (len(bursts[0]) - 1)
    if len(bursts) > 2 and len(reply) >= 1.5 * len(bursts):
        end, left = bursts[-2][-1]["t_ns"], each * len(bursts[-1])
    else:
        end, left = reply[-1]["t_ns"], 0.0
    tokens = request["output_tokens"] - first - left
    return (end - reply[0]["t_ns"]) / tokens / 1e6 if tokens > 0.5 else None


def rates(requests: list[Row], chunks: list[Row], span: tuple[float, float]) -> dict[str, float]:
    """Requests and prompts by the part of each ok request's life inside the span, tokens by the stamps of one-token
    events."""
    low, high = (end * 1e9 for end in span)
    seconds = (high - low) / 1e9

    def part(start: float, end: float) -> float:
        return max(0.0, min(end, high) - max(start, low)) / (end - start)

    ok = [r for r in requests if r["status"] == "ok" and r["counted"] is not False]
    lives = sum(part(r["send_start_ns"], r["end_ns"]) for r in ok)
    prompts = sum(r["prompt_tokens"] * part(r["send_start_ns"], r["end_ns"]) for r in ok)
    known = {r["request"] for r in requests if r["status"] == "ok"}
    tokens = sum(1 for c in chunks if c["request"] in known and c["kind"] & OUTPUT_KINDS and low <= c["t_ns"] <= high)
    return {
        "requests_per_s": lives / seconds,
        "input_tokens_per_s": prompts / seconds,
        "output_tokens_per_s": tokens / seconds,
    }


def replies_of(requests: list[Row], chunks: list[Row]) -> list[list[Row]]:
    """Events with output of each of the requests, in order."""
    wanted = {r["request"] for r in requests}
    found: dict[int, list[Row]] = {}
    for chunk in sorted(chunks, key=lambda c: (c["request"], c["read"])):
        if chunk["request"] in wanted and chunk["kind"] & OUTPUT_KINDS:
            found.setdefault(chunk["request"], []).append(chunk)
    return list(found.values())


def tokens_per_chunk(replies: list[list[Row]]) -> dict[str, Any]:
    """Of events that all tell their tokens."""
    sizes = [event["tokens"] for reply in replies for event in reply]
    return {
        "chunks": len(sizes), "mean": statistics.fmean(sizes), "max": max(sizes),
        "p50": nearest_rank(sizes, 0.5), "p90": nearest_rank(sizes, 0.9),
        "several_share": sum(size > 1 for size in sizes) / len(sizes),
    }  # fmt: skip


def itl_by_token(replies: list[list[Row]]) -> dict[str, Any]:
    """Each token's part of the gap before its event, in ms; likewise."""
    shares: list[float] = []
    for reply in replies:
        before = reply[0]["t_ns"]
        for event in reply[1:]:
            if event["tokens"]:
                shares += [(event["t_ns"] - before) / event["tokens"] / 1e6] * event["tokens"]
                before = event["t_ns"]
    ranks = {f"p{p}_ms": nearest_rank(shares, p / 100) for p in (50, 90, 99)}
    return ranks | {"tokens": len(shares), "mean_ms": statistics.fmean(shares), "max_ms": max(shares)}
