"""The search for the highest rate: how it is asked for, what its answer becomes, and the steps down after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadcell.errors import LoadcellError
from loadcell.metrics.model import Share
from loadcell.mlperf.datasets import Dataset, Sample
from loadcell.mlperf.model import EarlyStopping, Outcome, RunPlan, Score
from loadcell.mlperf.peak import TRIES, find_peak, make_search, next_rate, trimmed
from loadcell.mlperf.planning import make_plan
from loadcell.mlperf.rules import find_rules
from loadcell.mlperf.run import next_size
from loadcell.mlperf.wish import Wish
from loadcell.search.model import Ask, Curves, End, Found, Stable, Stage, Sweep
from loadcell.spec import Spec, build_spec


def planned(scenario: str = "interactive", **fields: Any) -> tuple[RunPlan, Spec]:
    dataset = Dataset(benchmark="llama3.1-8b", name="made", path=None, sha256="ab", look_alike=True,
                      samples=[Sample(prompt="x", reference="y")] * 32, whole=13368, max_tokens=128)  # fmt: skip
    rules = find_rules("v6.1", "llama3.1-8b", scenario)
    made = make_plan(rules, dataset, build_spec({"endpoint": {"url": "http://127.0.0.1:9"}}), Path("p.jsonl"),
                     Wish(**{"find_peak": True} | fields))  # fmt: skip
    return made.plan, made.spec


def outcome(plan: RunPlan, *, over: int = 0, verdict: str = "VALID", **score: Any) -> Outcome:
    proof = EarlyStopping(
        of="ttft",
        percentile=0.99,
        limit_ns=500_000_000,
        n=480,
        over=over,
        needed=459 + 200 * over,
        met=not over,
        more=0,
    )
    whole: dict[str, Any] = dict.fromkeys(Score.__struct_fields__) | {
        "queries": 480, "samples": 480, "failed": 0, "early_stopping": [proof],
        "headline_name": "", "headline_unit": "",
    }  # fmt: skip
    return Outcome(loadcell="0", plan=plan, state="complete", verdict=verdict, score=Score(**whole | score),
                   findings=[], instrument="VALID", started_at="")  # fmt: skip


# --- the search ------------------------------------------------------------------------------------------------------


def test_the_search_asks_for_the_limits_with_poisson_arrivals() -> None:
    plan, spec = planned()
    search = make_search(plan, spec)
    assert (search.plan.mode, search.plan.axis, search.plan.target) == ("search", "load.rate", 0.99)
    assert (search.spec.slo.ttft_ms, search.spec.slo.tpot_ms) == (500, 30)
    assert search.spec.loadgen.scenario is None and search.spec.load.arrivals == "poisson"
    assert search.spec.workload.prompts == "p.jsonl" and search.spec.load.timeout_s == spec.load.timeout_s
    assert (search.plan.lowest, search.plan.highest) == (None, None)
    assert search.plan.stage_s is None and search.plan.width == 0.15  # fewer samples: fewer stages, but no shorter ones
    bounded, spec = planned(peak_bounds=(10.0, 20.0))
    assert make_search(bounded, spec).plan.highest == 20


def a_sweep(low: float | None, *, state: str = "complete") -> Sweep:
    share = Share(value=1.0, low=0.99, high=1.0)
    end = None if low is None else End(level=low, stages=[1], judged=500, attainment=share, goodput_per_s=low,
                                       binding=None)  # fmt: skip
    found = Found(word="bracketed" if low else "none holds", target=0.99, low=end, high=None, width=None, cliff=False,
                  binding=None, stable=Stable(low=None, high=None, served_per_s=None), floor_ms={}, findings=[],
                  says="no load holds it", took_s=1)  # fmt: skip
    stage = Stage(ask=Ask(number=1, phase="ramp", changes={}, level=1.0), folder="x", state=state, ended=None,
                  took_s=1, started_at="", point=None)  # fmt: skip
    plan, spec = planned()
    curves = Curves(pareto=[], knees=[], scalability=None)
    return Sweep(loadcell="0", plan=make_search(plan, spec).plan, planned=None, stages=[stage], found=found,
                 curves=curves, findings=[], took_s=1)  # fmt: skip


@pytest.fixture
def search_gives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """What the search of a plan comes to, if its sweep is this one."""

    def go(sweep: Sweep) -> tuple[float, str]:
        asked: dict[str, Any] = {}

        def run_sweep(spec: Spec, plan: Any, folder: Path, *_: Any, **fields: Any) -> Sweep:
            asked.update(fields, folder=folder)
            return sweep

        monkeypatch.setattr("loadcell.search.run.run_sweep", run_sweep)
        plan, spec = planned()
        found = find_peak(make_search(plan, spec), tmp_path, lambda _: None, lambda _: None, lambda _: None)
        assert asked["folder"] == tmp_path / "peak" and asked["resume"] is False
        return found

    return go


def test_the_highest_rate_that_holds_is_taken(search_gives: Any) -> None:
    rate, how = search_gives(a_sweep(123.4567))
    assert rate == 123.5 and "holds at 123.5 queries/s" in how and "loadcell report" in how


def test_no_rate_is_an_error_that_says_where_to_look(search_gives: Any) -> None:
    with pytest.raises(LoadcellError, match=r"no load holds it.*loadcell report.*--target-qps"):
        search_gives(a_sweep(None))


def test_an_interrupted_search_ends_the_command(search_gives: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        search_gives(a_sweep(5.0, state="interrupted"))


# --- after it --------------------------------------------------------------------------------------------------------


def test_a_run_that_missed_its_limits_is_tried_lower_and_not_for_ever() -> None:
    plan = msgspec.structs.replace(planned()[0], target_qps=100.0)
    rates = []
    for _ in range(10):
        again = next_rate(plan, outcome(plan, over=3, verdict="INVALID"))
        if again is None:
            break
        rate, why = again
        assert why == f"INVALID at {plan.target_qps:g} queries/s: 3 of 480 beyond the TTFT limit"
        rates.append(rate)
        plan = msgspec.structs.replace(plan, target_qps=rate, history=[*plan.history, why])
    assert rates == [96.0, 92.16] and len(rates) == TRIES - 1


def test_a_run_that_is_invalid_for_another_reason_stands() -> None:
    plan = msgspec.structs.replace(planned()[0], target_qps=100.0)
    assert next_rate(plan, outcome(plan, verdict="INVALID")) is None  # all in time: errors, or the client
    assert next_rate(plan, outcome(plan)) is None
    given = msgspec.structs.replace(plan, find_peak=False)
    assert next_size(given, outcome(given, over=3, verdict="INVALID")) is None  # a person chose the rate


def test_an_offline_run_that_was_too_short_is_sized_anew() -> None:
    plan = planned("offline", find_peak=False)[0]
    assert plan.rules.min_duration_s == 600
    rate, why = next_size(plan, outcome(plan, verdict="INVALID", end_ns=60_000_000_000)) or (0, "")
    assert rate == pytest.approx(1.1 * 480 / 60) and "480 samples took 60 s, less than the 600 s" in why
    assert next_size(plan, outcome(plan, end_ns=600_000_000_000)) is None
    assert next_size(plan, outcome(plan, verdict="INVALID", end_ns=60_000_000_000, failed=1)) is None
    tired = msgspec.structs.replace(plan, history=["x"] * 3)
    assert next_size(tired, outcome(tired, verdict="INVALID", end_ns=60_000_000_000)) is None


@pytest.mark.parametrize(("rate", "short"), [(123.4567, 123.5), (0.00123456, 0.001235), (98765.4, 98770.0)])
def test_rates_have_four_digits(rate: float, short: float) -> None:
    assert trimmed(rate) == short
