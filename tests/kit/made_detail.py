"""A hand-made Detail: half a minute of an open loop with a warm-up, a stall, failures and a passing queue."""

from __future__ import annotations

import math
import random
from typing import Any

from loadcell.report.detail import Course, Detail, Dots, Ecdf, Level, Part, Stall, Stalls, Timeline

STEP_S = 0.25
STEPS = 160
"""40 s: a warm-up of 4 s and a drain of 2 s among them."""


def made_ecdf(median_ms: float, spread: float, n: int = 900) -> Ecdf:
    """A log-normal distribution: its quantiles, ends included."""
    shares = [(i + 0.5) / 200 for i in range(200)] + [0.999, 1.0]
    x = [median_ms * math.exp(spread * 1.6 * math.log(p / (1.0004 - p)) / 1.7) for p in shares]
    return Ecdf(n=n, x_ms=x, share=shares, exact=n <= 400)


def made_course(median_ms: float, rng: random.Random) -> Course:
    def at(i: int, factor: float) -> float | None:
        if i % 37 == 36:
            return None
        queue = 1 + 1.2 * math.exp(-(((i - 90) / 14) ** 2))
        return median_ms * queue * factor * rng.uniform(0.93, 1.07)

    low = [at(i, 0.7) for i in range(STEPS)]
    return Course(
        n=[0 if value is None else 130 for value in low],
        min_ms=low,
        p50_ms=[at(i, 1.0) for i in range(STEPS)],
        p99_ms=[at(i, 1.9) for i in range(STEPS)],
        max_ms=[at(i, 2.6) for i in range(STEPS)],
    )


def made_timeline() -> Timeline:
    rng = random.Random(7)
    ramp = [min(1.0, i / 16) * (0.0 if i > STEPS - 4 else 1.0) for i in range(STEPS)]
    return Timeline(
        step_s=STEP_S,
        t_s=[i * STEP_S for i in range(STEPS)],
        latency={"ttft_ms": made_course(70, rng), "itl_ms": made_course(12, rng), "e2e_ms": made_course(830, rng)},
        output_tokens_per_s=[800 * r * rng.uniform(0.8, 1.2) for r in ramp],
        arrivals_per_s=[12 * rng.uniform(0.2, 2.0) if i < STEPS - 8 else 0.0 for i in range(STEPS)],
        ok_per_s=[11 * r * rng.uniform(0.3, 1.8) for r in ramp],
        failed=[2 if i in (60, 91, 92, 95) else 0 for i in range(STEPS)],
        in_flight=[10 * r * (1 + math.exp(-(((i - 90) / 14) ** 2))) for i, r in enumerate(ramp)],
    )


def made_dots(n: int = 420) -> Dots:
    rng = random.Random(3)
    inputs = [round(math.exp(rng.uniform(4, 8))) for _ in range(n)]
    failed = [i % 70 == 69 for i in range(n)]
    ttft = [None if bad else 40 + x * 0.06 * rng.uniform(0.8, 1.6) for x, bad in zip(inputs, failed, strict=True)]
    worst = max(range(n), key=lambda i: ttft[i] or 0)
    return Dots(
        of=n * 3,
        request=[i * 3 for i in range(n)],
        t_s=[i * 38 / n for i in range(n)],
        status=["failed" if bad else "ok" for bad in failed],
        inside=[i > n // 10 for i in range(n)],
        extreme=[bad or i == worst for i, bad in enumerate(failed)],
        input_tokens=list(inputs),
        output_tokens=[None if bad else 60 for bad in failed],
        ttft_ms=ttft,
        tpot_ms=[None if bad else 12.0 * rng.uniform(0.9, 1.2) for bad in failed],
        e2e_ms=[None if value is None else value + 700 for value in ttft],
    )


def made_levels() -> list[Level]:
    return [
        Level(concurrency=c, low=c - 1, high=c + 1, n=4000 if c < 20 else 80, p50_ms=8 + c / 4, p90_ms=9 + c / 3,
              p99_ms=11 + c if c < 20 else None)
        for c in (2.0, 5.0, 8.0, 11.0, 14.0, 17.0, 20.0)
    ]  # fmt: skip


def made_stalls() -> Stalls:
    worst = [
        Stall(request=30 + i, at_s=22.4 + i * 0.013 if i < 5 else 4.0 * i, gap_ms=710 - 40 * i, event=12 + i,
              others=4 if i < 5 else 0, by_client=i == 7)
        for i in range(8)
    ]  # fmt: skip
    return Stalls(threshold_ms=120, gaps=54_000, stalls=8, requests=8, of=900, share_of_time=0.004, worst=worst)


def made_parts() -> list[Part]:
    parts = {"send": 0.3, "queue": 21.0, "prefill": 38.0, "first": 11.0, "stalls": 6.5, "stream": 748.2}
    total = sum(parts.values())
    return [Part(name=name, mean_ms=mean, share=mean / total) for name, mean in parts.items()]


def made_detail(**fields: Any) -> Detail:
    """All there is; `fields` replace some of it."""
    base: dict[str, Any] = {
        "ecdf": {
            "ttft_ms": made_ecdf(70, 0.35), "itl_ms": made_ecdf(12, 0.12, 54_000), "tpot_ms": made_ecdf(12, 0.06),
            "e2e_ms": made_ecdf(830, 0.3),
        },
        "anchor": "response", "timeline": made_timeline(), "dots": made_dots(), "levels": made_levels(),
        "stalls": made_stalls(), "parts": made_parts(), "missing": [],
        "thinned": ["420 of 1,260 requests are drawn: every extreme and failure, the rest drawn by lot"],
    }  # fmt: skip
    return Detail(**base | fields)


def empty_detail() -> Detail:
    """Of a run of which nothing could be made."""
    return made_detail(
        ecdf={}, timeline=None, dots=None, levels=[], stalls=None, parts=[], thinned=[],
        missing=["no request ended well, so there is no distribution"],
    )  # fmt: skip
