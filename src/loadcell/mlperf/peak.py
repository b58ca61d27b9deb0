"""The highest rate that keeps to the limits, by the SLO search, before a run by the rules proves it.

LoadGen's own peak search looks at the limits alone and not at early stopping, so its rate may not hold in a run. Here
the search asks for its share of requests within all limits at once, which is at least as strict as each percentile by
itself, and the run that follows decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from loadcell.errors import LoadcellError
from loadcell.mlperf.folder import PEAK
from loadcell.mlperf.model import EarlyStopping, Outcome, RunPlan
from loadcell.search import make_plan
from loadcell.search.model import Ask, Found, Plan, Stage
from loadcell.spec import Load, LoadGen, Spec

if TYPE_CHECKING:
    from loadcell.load.fleet import Watch

STEP_DOWN = 0.04
"""How much lower the next try is after a run that missed its limits."""
TRIES = 3
"""Runs by the rules at most: at the rate that was found, and two steps down."""
_WIDTH, _QUICK_WIDTH = 0.05, 0.15
"""How far apart pass and fail may be; a p99 needs stages of a length that no haste makes shorter, but fewer of them."""
_LONGEST_STAGE_S: float | None = None
"""None: as long as the floor of the search shows to be needed."""
_DIGITS = 4


@dataclass(frozen=True)
class Search:
    """A search as it is handed to `run_sweep`."""

    spec: Spec
    plan: Plan


def make_search(plan: RunPlan, spec: Spec) -> Search:
    """The search for the highest rate at which the limits of `plan` hold, with Poisson arrivals over its prompts."""
    load = Load(timeout_s=spec.load.timeout_s, connect_timeout_s=spec.load.connect_timeout_s, ramp_s=None)
    open_spec = msgspec.structs.replace(spec, load=load, loadgen=LoadGen())
    lowest, highest = plan.peak_bounds or (None, None)
    found = make_plan(
        open_spec,
        mode="search",
        axis="load.rate",
        target=plan.rules.percentile,
        lowest=lowest,
        highest=highest,
        width=_QUICK_WIDTH if plan.quick else _WIDTH,
        stage_s=_LONGEST_STAGE_S,
    )
    return Search(open_spec, found)


def find_peak(
    search: Search,
    folder: Path,
    watch: Watch,
    on_ask: Callable[[Ask], None],
    on_stage: Callable[[Stage], None],
    *,
    selftest: dict[str, Any] | None = None,
) -> tuple[float, str]:
    """The rate, and in words how it was found; the sweep lies in `folder`/peak and is gone on with if it is there.

    KeyboardInterrupt if a person ended it; LoadcellError if no rate holds the limits.
    """
    from loadcell.search import SWEEP, run_sweep

    home = folder / PEAK
    begun = SWEEP.there(home)
    sweep = run_sweep(search.spec, search.plan, home, watch, on_stage, on_ask=on_ask, resume=begun, selftest=selftest)
    if any(stage.state == "interrupted" for stage in sweep.stages):
        raise KeyboardInterrupt
    found = sweep.found
    rate = None if found is None else _rate(found)
    if found is None or rate is None:
        raise LoadcellError(
            f"no rate was found that keeps to the limits: {found.says if found else 'the search did not end'}. See it "
            f"with loadcell report {home}; a rate of your own: --target-qps"
        )
    return trimmed(rate), _words(found, rate, home)


def _rate(found: Found) -> float | None:
    """The rate that holds, or that likely does; None where there is none."""
    low = None if found.low is None else found.low.level
    if found.likely is not None and found.likely.low is not None:
        return max(found.likely.low, low or 0.0)
    return low


def search_words(plan: RunPlan) -> str:
    """What the search looks for, and about how long that takes."""
    rules, stages = plan.rules, "10 to 30 stages"
    limits = (("TTFT", rules.ttft_ms), ("TPOT", rules.tpot_ms), ("latency", rules.latency_ms))
    words = " and ".join(f"{name} {limit:,g} ms" for name, limit in limits if limit is not None)
    share = f"{100 * (rules.percentile or 0):g} %"
    length = "each as long as it takes to tell (100 replies of one user and more)"
    return f"searching for the highest rate at which {share} of requests keep to {words}: {stages}, {length}"


def trimmed(rate: float) -> float:
    """The rate with four digits."""
    return float(f"{rate:.{_DIGITS}g}")


def _words(found: Found, rate: float, home: Path) -> str:
    tried = found.low is not None and found.low.level == rate
    above = "" if found.high is None else f", fails at {found.high.level:.4g}"
    holds = "holds" if tried else "likely holds"
    return f"peak search: {holds} at {rate:.4g} queries/s{above} ({found.word}; loadcell report {home})"


def next_rate(plan: RunPlan, outcome: Outcome) -> tuple[float, str] | None:
    """The next lower rate after a run at the peak that missed limits, and in words why; None if there is none to try.

    A run that is INVALID for other reasons would be so at any rate.
    """
    missed = [test for test in outcome.score.early_stopping if not test.met]
    done = sum(line.startswith("INVALID at ") for line in plan.history)
    if outcome.verdict == "VALID" or plan.target_qps is None or not missed or done + 1 >= TRIES:
        return None
    said = "; ".join(map(_missed, missed))
    return trimmed(plan.target_qps * (1 - STEP_DOWN)), f"INVALID at {plan.target_qps:g} queries/s: {said}"


def _missed(test: EarlyStopping) -> str:
    return f"{test.over or 0:,} of {test.n:,} beyond the {test.of.upper()} limit"
