"""A server in virtual time whose true limit can be computed: slots, constant or uniform service, a queue.

Its queue is the one of the embedded engine without a load-dependent step: first come, first served, each request
holding a slot for TTFT + (tokens - 1) x ITL.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapreplace

import numpy as np
import numpy.typing as npt

from loadcell.metrics.interval import wilson
from loadcell.metrics.model import Estimate
from loadcell.search.evidence import decide
from loadcell.search.model import Answer, Ask, Plan, Point, Stage, Trial
from loadcell.search.next import next_ask

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Server:
    """A server and what is asked of it. Times in seconds."""

    slots: int
    ttft_s: float
    itl_s: float
    tokens: tuple[int, int]
    """Fewest and most output tokens; each number is equally likely."""
    ttft_limit_s: float
    gap_cv: float = 1.0
    """Of the arrivals: 1 Poisson, 0 constant."""

    @property
    def hold_s(self) -> float:
        """Mean time that a request holds its slot."""
        return self.ttft_s + (sum(self.tokens) / 2 - 1) * self.itl_s

    def arrivals(self, rate: float, count: int, rng: np.random.Generator) -> Floats:
        if self.gap_cv == 0:
            return np.linspace(0.0, (count - 1) / rate, count, dtype=np.float64)
        shape = self.gap_cv**-2
        times: Floats = np.cumsum(rng.gamma(shape, 1 / (shape * rate), count), dtype=np.float64)
        return times

    def holds(self, count: int, rng: np.random.Generator) -> Floats:
        low, high = self.tokens
        tokens = rng.integers(low, high + 1, count).astype(np.float64)
        return self.ttft_s + (tokens - 1.0) * self.itl_s


def waits_s(arrivals: Floats, holds: Floats, slots: int) -> Floats:
    """Time that each request waits for a slot, first come, first served."""
    if holds.size and holds.min() == holds.max():
        return _waits_constant(arrivals, float(holds[0]), slots)
    free = [0.0] * slots
    starts = []
    for arrival, hold in zip(arrivals.tolist(), holds.tolist(), strict=True):
        start = max(free[0], arrival)
        heapreplace(free, start + hold)
        starts.append(start)
    return np.array(starts) - arrivals


def _waits_constant(arrivals: Floats, hold: float, slots: int) -> Floats:
    """With equal holds, request i follows request i - slots: start = the running maximum of arrival less the holds."""
    rounds = -(-arrivals.size // slots)
    grid = np.pad(arrivals, (0, rounds * slots - arrivals.size), mode="edge").reshape(rounds, slots)
    ahead = np.arange(rounds)[:, None] * hold
    starts = np.maximum.accumulate(grid - ahead, axis=0) + ahead
    waits: Floats = (starts - grid).reshape(-1)[: arrivals.size]
    return waits


def grades(ttft_s: Floats, limit_s: float) -> npt.NDArray[np.uint8]:
    """Graded outcomes, as `load.steer.grade` makes them of one request."""
    graded: npt.NDArray[np.uint8] = np.clip(np.ceil(100 + 50 * np.log(ttft_s / limit_s)), 1, 254).astype(np.uint8)
    return graded


def missed_share(server: Server, rate: float, count: int, seed: int) -> float:
    """Share of requests beyond the limit in a long run, its first twentieth left out."""
    rng = np.random.default_rng(seed)
    waits = waits_s(server.arrivals(rate, count, rng), server.holds(count, rng), server.slots)[count // 20 :]
    return float(np.mean(waits + server.ttft_s > server.ttft_limit_s))


def true_limit(server: Server, target: float, count: int = 400_000, seeds: int = 3) -> float:
    """Highest rate at which the share `target` keeps to the limit, by long runs and bisection to 0.1 %."""
    low, high = 0.2 * server.slots / server.hold_s, 1.0 * server.slots / server.hold_s
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        missed = np.mean([missed_share(server, middle, count, 1000 + seed) for seed in range(seeds)])
        low, high = (middle, high) if missed <= 1 - target else (low, middle)
    return math.sqrt(low * high)


def stage_of(server: Server, plan: Plan, ask: Ask, seed: int) -> Stage:
    """A stage as the search would see it, its length the time up to the decision."""
    assert plan.target is not None
    if ask.phase == "floor":
        return _stage(ask, 16 * server.hold_s, server, (16, 0, 1.0, 1.0, 0.0), "undecided", None)
    assert ask.level is not None and ask.warmup_s is not None
    rng = np.random.default_rng((seed, ask.number))
    length_s = ask.changes["load.duration_s"]
    count = math.ceil(ask.level * length_s * 1.2) + 50
    arrivals = server.arrivals(ask.level, count, rng)
    count = int(np.searchsorted(arrivals, length_s))
    arrivals = arrivals[:count]
    ttft_s = waits_s(arrivals, server.holds(count, rng), server.slots) + server.ttft_s
    judged = arrivals >= ask.warmup_s
    most = int(np.count_nonzero(judged))
    found = decide(grades(ttft_s[judged], server.ttft_limit_s), plan.target, ask.together, ask.least_requests, most)
    took_s = float(arrivals[judged][found.judged - 1]) + server.hold_s if found.judged < most else length_s
    grows = ask.level > 1.05 * server.slots / server.hold_s
    served = min(ask.level, server.slots / server.hold_s)
    figures = (found.judged, found.missed, found.dependence, found.for_pass, found.for_fail)
    return _stage(ask, took_s, server, figures, found.answer, not grows, served)


def _stage(
    ask: Ask,
    took_s: float,
    server: Server,
    figures: tuple[int, int, float, float, float],
    answer: Answer,
    stable: bool | None,
    served: float | None = None,
) -> Stage:
    judged, missed, vif, for_pass, for_fail = figures
    none: dict[str, Estimate] = {}
    point = Point(
        verdict="VALID", reasons=[], stable=stable, requests=judged, failed_share=0.0, concurrency=None,
        requests_per_s=served, output_tokens_per_s=None, output_tokens_interval=None, tokens_per_s_per_gpu=None,
        tokens_per_s_per_user=None, ttft_ms={"p50": Estimate(value=server.ttft_s * 1e3)}, tpot_ms=none, itl_ms=none,
        e2e_ms={"p50": Estimate(value=server.hold_s * 1e3)}, goodput=None,
    )  # fmt: skip
    trial = Trial(
        answer=answer, judged=judged, missed=missed, attainment=wilson(judged - missed, judged, judged / vif),
        pass_evidence=for_pass, fail_evidence=for_fail, dependence=vif, stable=stable, binding="ttft_ms", says="",
    )  # fmt: skip
    return Stage(
        ask=ask, folder=f"{ask.number:03d}", state="complete", ended=None, took_s=took_s, started_at="", point=point,
        trial=trial,
    )  # fmt: skip


def plan_of(
    target: float, stage_s: float | None, seed: int = 0, lowest: float | None = None, highest: float | None = None
) -> Plan:
    """A plan of a search on the rate."""
    return Plan(
        loadcell="0", mode="search", axis="load.rate", target=target, stage_s=stage_s, seed=seed, spec={},
        lowest=lowest, highest=highest,
    )  # fmt: skip


def simulate(
    server: Server, plan: Plan, seed: int, run: Callable[[Server, Plan, Ask, int], Stage] = stage_of
) -> list[Stage]:
    """The stages of a whole search."""
    stages: list[Stage] = []
    while (ask := next_ask(plan, stages)) is not None:
        stages.append(run(server, plan, ask, seed))
    return stages
