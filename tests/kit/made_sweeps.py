"""Sweeps of every kind that a report must show: several fields, one stage, forty, half of the figures missing."""

from __future__ import annotations

import msgspec
from made_sweep import make_curves, make_found, make_grid, make_plan, make_point, make_search, make_stage, make_trial

from loadcell.metrics.model import Estimate, Share
from loadcell.search.model import Stage, Sweep

HOSTILE = "</script><img src=x onerror=alert(1)>\"'); datum.x; {{ t }}"
replace = msgspec.structs.replace


def mixed_grid() -> Sweep:
    """Rates for two lengths of output."""
    asked = [{"load.rate": float(rate), "workload.output_tokens": str(n)} for n in (64, 512) for rate in (1, 10, 20)]
    stages = [
        make_stage(i, None, changes=changes, point=make_point(float(changes["load.rate"])))  # type: ignore[arg-type]
        for i, changes in enumerate(asked, 1)
    ]
    return make_grid(stages=stages, plan=make_plan(axis=None, stages=asked), planned=len(asked))


def category_grid(value: str = "mix.jsonl", count: int = 4) -> Sweep:
    """Stages without any load among what varies."""
    asked = [{"workload.prompts": f"{value}{i}"} for i in range(count)]
    stages = [make_stage(i, None, changes=changes, point=make_point(10.0 * i)) for i, changes in enumerate(asked, 1)]
    return make_grid(stages=stages, plan=make_plan(axis=None, stages=asked), planned=count)


def bare_stage(number: int, level: float) -> Stage:
    return make_stage(number, level, point=None, state="broken", ended="it broke off")


def without_figures() -> Sweep:
    return make_grid(stages=[bare_stage(1, 1.0), bare_stage(2, 2.0)], curves=make_curves())


def half_missing() -> Sweep:
    """Every figure of some stage is missing, and trials too."""
    nothing = {name: {} for name in ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")}
    point = make_point(20.0, requests_per_s=None, output_tokens_per_s=None, output_tokens_interval=None, goodput=None,
                       tokens_per_s_per_user=None, concurrency=None, **nothing)  # fmt: skip
    unknown = make_trial("undecided", 0.5, attainment=Share(value=None, low=None, high=None))
    stages = [
        make_stage(1, 10.0, ttft_ms={"p50": Estimate(needs=20)}),
        make_stage(2, 20.0, point=point, trial=unknown),
        make_stage(3, 40.0),
        bare_stage(4, 80.0),
    ]
    return make_search(
        stages=stages, found=make_found(low=None, high=None, width=None, binding=None, word="unfinished")
    )


def with_invalid() -> Sweep:
    bad = make_stage(3, 20.0, verdict="INVALID", reasons=[HOSTILE])
    grid = make_grid()
    return replace(grid, stages=[*grid.stages[:2], bad, *grid.stages[3:]])


SWEEPS = {
    "grid": make_grid,
    "search": make_search,
    "mixed": mixed_grid,
    "categories": category_grid,
    "hostile": lambda: category_grid(HOSTILE),
    "many categories": lambda: category_grid(count=40),
    "forty": lambda: make_grid(tuple(float(i) for i in range(1, 41))),
    "one": lambda: make_grid((8.0,)),
    "empty": lambda: make_grid(stages=[], curves=make_curves()),
    "without figures": without_figures,
    "half missing": half_missing,
    "with an INVALID stage": with_invalid,
    "only a floor": lambda: make_search(stages=make_search().stages[:1], found=make_found(low=None, high=None)),
}  # fmt: skip
