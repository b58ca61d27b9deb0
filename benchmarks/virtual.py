"""Servers in virtual time whose true limit can be computed, and searches on them by the project's own functions.

`Server`: slots, constant or uniform service, a queue. Its queue is the one of the embedded engine without a
load-dependent step: first come, first served, each request holding a slot for TTFT + (tokens - 1) x ITL.

`Batcher`: continuous batching. All requests in the batch get a token a step; a step takes longer the more they are.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from heapq import heappop, heappush, heapreplace

import numpy as np
import numpy.typing as npt

from loadcell.metrics.interval import wilson
from loadcell.metrics.model import Estimate
from loadcell.search.evidence import ENDS_EARLY, decide
from loadcell.search.margins import Company, Reading, company, read_margin
from loadcell.search.model import Answer, Ask, Margin, Plan, Point, Stage, Trial
from loadcell.search.next import next_ask
from loadcell.spec import Endpoint, Spec

Floats = npt.NDArray[np.float64]
_LAW = 100_000
"""Arrivals that tell the law of the company of a request."""


class _Loaded:
    """What both servers share: arrivals and lengths."""

    gap_cv: float
    tokens: tuple[int, int]

    def arrivals(self, rate: float, count: int, rng: np.random.Generator) -> Floats:
        if self.gap_cv == 0:
            return np.linspace(0.0, (count - 1) / rate, count, dtype=np.float64)
        shape = self.gap_cv**-2
        times: Floats = np.cumsum(rng.gamma(shape, 1 / (shape * rate), count), dtype=np.float64)
        return times

    def lengths(self, count: int, rng: np.random.Generator) -> Floats:
        low, high = self.tokens
        return rng.integers(low, high + 1, count).astype(np.float64)


@dataclass(frozen=True)
class Server(_Loaded):
    """A server with slots and what is asked of it. Times in seconds."""

    slots: int
    ttft_s: float
    itl_s: float
    tokens: tuple[int, int]
    """Fewest and most output tokens; each number is equally likely."""
    ttft_limit_s: float
    gap_cv: float = 1.0
    """Of the arrivals: 1 Poisson, 0 constant."""
    binding = "ttft_ms"

    @property
    def hold_s(self) -> float:
        """Mean time that a request holds its slot."""
        return self.ttft_s + (sum(self.tokens) / 2 - 1) * self.itl_s

    @property
    def most_per_s(self) -> float:
        """Requests/s that it can carry."""
        return self.slots / self.hold_s

    def holds(self, count: int, rng: np.random.Generator) -> Floats:
        return self.ttft_s + (self.lengths(count, rng) - 1.0) * self.itl_s

    def serve(self, arrivals: Floats, tokens: Floats) -> tuple[Floats, Floats]:
        """Each request's figure over its limit, and its E2E."""
        holds = self.ttft_s + (tokens - 1.0) * self.itl_s
        waits = waits_s(arrivals, holds, self.slots)
        return (waits + self.ttft_s) / self.ttft_limit_s, waits + holds


@dataclass(frozen=True)
class Batcher(_Loaded):
    """A server that batches continuously, with a limit on TPOT."""

    step_s: float
    each_s: float
    """A step takes step_s + each_s x batch."""
    tokens: tuple[int, int]
    tpot_limit_s: float
    gap_cv: float = 1.0
    binding = "tpot_ms"

    @property
    def ttft_s(self) -> float:
        return self.step_s + self.each_s

    @property
    def hold_s(self) -> float:
        """E2E of one user alone."""
        return sum(self.tokens) / 2 * (self.step_s + self.each_s)

    @property
    def most_per_s(self) -> float:
        return 2 / (self.each_s * sum(self.tokens))

    def serve(self, arrivals: Floats, tokens: Floats) -> tuple[Floats, Floats]:
        first_s, end_s = batched_s(arrivals, tokens, self.step_s, self.each_s)
        return (end_s - first_s) / np.maximum(tokens - 1, 1) / self.tpot_limit_s, end_s - arrivals


def batched_s(arrivals: Floats, tokens: Floats, step_s: float, each_s: float) -> tuple[Floats, Floats]:
    """When each request gets its first token and its last: it joins the batch at the next step after its arrival."""
    coming, lengths, count = arrivals.tolist(), tokens.astype(np.int64).tolist(), arrivals.size
    first, end = [0.0] * count, [0.0] * count
    alike = len(set(lengths)) <= 1
    leaving: deque[tuple[int, int]] | list[tuple[int, int]] = deque() if alike else []
    now, place, step = 0.0, 0, 0
    while place < count or leaving:
        if not leaving:
            now = max(now, coming[place])
        joined = place
        while place < count and coming[place] <= now:
            item = (step + lengths[place], place)
            leaving.append(item) if alike else heappush(leaving, item)  # type: ignore[arg-type]
            place += 1
        pace = step_s + each_s * len(leaving)
        if place > joined:
            steps = 1
        else:
            steps = leaving[0][0] - step
            if place < count:
                steps = min(steps, max(1, math.ceil((coming[place] - now) / pace)))
        now, step = now + steps * pace, step + steps
        for one in range(joined, place):
            first[one] = now
        while leaving and leaving[0][0] <= step:
            end[(leaving.popleft() if alike else heappop(leaving))[1]] = now  # type: ignore[arg-type,union-attr]
    return np.array(first), np.array(end)


@cache
def batcher(rate: float, target: float, slower: float = 1.0, tokens: tuple[int, int] = (200, 200)) -> Batcher:
    """A batcher of steps of 10 ms + 0.2 ms x batch whose TPOT limit is such that `rate` is its true limit.

    `slower` stretches all its times, and the limit with them.
    """
    free = Batcher(0.01 * slower, 0.0002 * slower, tokens, 1.0)
    rng = np.random.default_rng(77)
    figures = []
    for _ in range(4):
        arrivals = free.arrivals(rate, 150_000, rng)
        figures.append(free.serve(arrivals, free.lengths(arrivals.size, rng))[0][5_000:])
    return Batcher(free.step_s, free.each_s, tokens, float(np.quantile(np.concatenate(figures), target)))


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


def grades(figures: Floats, limit: float = 1.0) -> npt.NDArray[np.uint8]:
    """Graded outcomes, as `load.steer.grade` makes them of one request."""
    graded: npt.NDArray[np.uint8] = np.clip(np.ceil(100 + 50 * np.log(figures / limit)), 1, 254).astype(np.uint8)
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


def stage_of(server: Server | Batcher, plan: Plan, ask: Ask, seed: int) -> Stage:
    """A stage as the search would see it, its length the time up to the decision."""
    assert plan.target is not None
    if ask.phase == "floor":
        floor_s = ask.changes.get("load.requests", 16) * server.hold_s
        return _stage(ask, floor_s, server, (16, 0, 1.0, 1.0, 0.0), "undecided", None)
    assert ask.level is not None and ask.warmup_s is not None
    rng = np.random.default_rng((seed, ask.number))
    length_s = ask.changes["load.duration_s"]
    count = math.ceil(ask.level * length_s * 1.2) + 50
    arrivals = server.arrivals(ask.level, count, rng)
    count = int(np.searchsorted(arrivals, length_s))
    arrivals, tokens = arrivals[:count], server.lengths(count, rng)
    figures, spans_s = server.serve(arrivals, tokens)
    judged = arrivals >= ask.warmup_s
    most = int(np.count_nonzero(judged))
    ends_at = most if ask.phase in ENDS_EARLY else None
    found = decide(grades(figures[judged]), plan.target, ask.together, ask.least_requests, ends_at)
    took_s = float(arrivals[judged][found.judged - 1]) if found.judged < most else length_s
    grows = ask.level > 1.05 * server.most_per_s
    counted = judged & (arrivals <= took_s)
    unread = grows or isinstance(server, Server)  # a search reads no margins of a queue, and they take their time
    rows = (arrivals, tokens, figures, spans_s)
    margin = None if unread else _margin(server, plan.target, ask.level, rows, counted)
    evidence = (found.judged, found.missed, found.dependence, found.for_pass, found.for_fail)
    served = min(ask.level, server.most_per_s)
    drain_s = 0.0 if grows else float(spans_s[-20:].mean()) if count else 0.0
    return _stage(ask, took_s + drain_s, server, evidence, found.answer, not grows, served, margin)


def _margin(
    server: Server | Batcher,
    target: float,
    rate: float,
    rows: tuple[Floats, Floats, Floats, Floats],
    counted: npt.NDArray[np.bool_],
) -> Margin | None:
    arrivals, tokens, figures, spans_s = rows
    if np.count_nonzero(counted) < 2:
        return None
    usual_s = float(spans_s[counted].mean())
    beside = None
    if server.gap_cv:
        spans = usual_s * tokens / tokens.mean()
        rng = np.random.default_rng(1)
        planned = server.arrivals(rate, _LAW, rng)
        law = company(planned, rng.choice(spans, _LAW))[_LAW // 100 : -_LAW // 100]
        beside = Company(company(arrivals, spans)[counted], law)
    found: Reading | None = read_margin(np.log(figures[counted]), arrivals[counted], usual_s, target, beside)
    return None if found is None else Margin(value=found.value, error=found.error)


def _stage(
    ask: Ask,
    took_s: float,
    server: Server | Batcher,
    figures: tuple[int, int, float, float, float],
    answer: Answer,
    stable: bool | None,
    served: float | None = None,
    margin: Margin | None = None,
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
        pass_evidence=for_pass, fail_evidence=for_fail, dependence=vif, stable=stable, binding=server.binding, says="",
        margin=margin,
    )  # fmt: skip
    return Stage(
        ask=ask, folder=f"{ask.number:03d}", state="complete", ended=None, took_s=took_s, started_at="", point=point,
        trial=trial,
    )  # fmt: skip


def plan_of(
    target: float,
    stage_s: float | None,
    seed: int = 0,
    lowest: float | None = None,
    highest: float | None = None,
    most_s: float | None = None,
) -> Plan:
    """A plan of a search on the rate."""
    return Plan(
        loadcell="0", mode="search", axis="load.rate", target=target, stage_s=stage_s, seed=seed,
        spec=Spec(endpoint=Endpoint(url="http://127.0.0.1")),
        lowest=lowest, highest=highest, most_s=most_s,
    )  # fmt: skip


def simulate(
    server: Server | Batcher,
    plan: Plan,
    seed: int,
    run: Callable[[Server | Batcher, Plan, Ask, int], Stage] = stage_of,
) -> list[Stage]:
    """The stages of a whole search."""
    stages: list[Stage] = []
    while (ask := next_ask(plan, stages)) is not None:
        stages.append(run(server, plan, ask, seed))
    return stages
