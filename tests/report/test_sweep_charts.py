"""Charts of sweeps: valid specifications for every kind of sweep, with the figures of the stages and nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from made_sweep import make_grid, make_search, make_stage, spread
from made_sweeps import SWEEPS, category_grid, mixed_grid
from vega_schema import check_spec

from loadcell.report.charts import Chart, sweep_charts
from loadcell.report.words import words_for
from loadcell.search.model import Sweep
from loadcell.spec import Slo

pytestmark = pytest.mark.usefixtures("thorough")

WORDS = words_for("en")
replace = msgspec.structs.replace


def named(sweep: Sweep) -> dict[str, Chart]:
    return {chart.name: chart for chart in sweep_charts(sweep, WORDS)}


def leaves(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        for value in node.values():
            yield from leaves(value)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value)
    else:
        yield node


def data(node: Any) -> Iterator[dict[str, Any]]:
    """Every row of data in a specification."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "data":
                yield from value["values"]
            else:
                yield from data(value)
    elif isinstance(node, list):
        for value in node:
            yield from data(value)


@pytest.mark.parametrize("kind", SWEEPS)
def test_every_chart_is_valid_or_says_why_not(kind: str) -> None:
    charts = sweep_charts(SWEEPS[kind](), WORDS)
    assert len({chart.name for chart in charts}) == len(charts)
    for chart in charts:
        if chart.spec is None:
            assert chart.missing
            continue
        check_spec(chart.spec)
        assert chart.says and chart.alt and chart.missing is None
        assert all(math.isfinite(leaf) for leaf in leaves(chart.spec) if isinstance(leaf, float))
    encoded = [msgspec.json.encode(chart) for chart in charts]
    assert encoded == [msgspec.json.encode(chart) for chart in sweep_charts(SWEEPS[kind](), WORDS)]
    assert sum(map(len, encoded)) < 600_000


@pytest.mark.parametrize("kind", ["hostile", "with an INVALID stage"])
def test_foreign_words_stay_in_the_data(kind: str) -> None:
    def strip(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: strip(value) for key, value in node.items() if key not in ("data", "values")}
        return [strip(value) for value in node] if isinstance(node, list) else node

    for chart in sweep_charts(SWEEPS[kind](), WORDS):
        assert "onerror" not in json.dumps(strip(chart.spec))


def test_the_stages_are_drawn_at_their_loads_with_their_figures() -> None:
    sweep = make_grid()
    rows = list(data(named(sweep)["throughput-by-load"].spec))
    served = {row["load"]: row["value"] for row in rows if "flight" in row}
    told = {s.ask.level: s.point.output_tokens_per_s for s in sweep.stages if s.point}
    assert served == told
    rows = list(data(named(sweep)["latency-by-load"].spec))
    p99 = {row["load"]: row["value"] for row in rows if row.get("percentile") == "p99"}
    assert all(s.point.ttft_ms["p99"].value is not None for s in sweep.stages if s.point)
    assert set(p99) == set(told)


def test_the_law_is_drawn_at_the_stages_that_it_was_fitted_to() -> None:
    sweep = make_grid()
    law = sweep.curves.scalability
    assert law is not None and law.gamma and law.sigma is not None and law.kappa is not None
    rows = {
        row["load"]: row["value"]
        for row in data(named(sweep)["throughput-by-load"].spec)
        if "says" in row and "load" in row
    }
    assert set(rows) == {1.0, 10.0, 20.0, 40.0}
    n = 15.0  # requests in flight at 10 requests/s
    assert rows[10.0] == pytest.approx(law.gamma * n / (1 + law.sigma * (n - 1) + law.kappa * n * (n - 1)))


def test_the_bracket_and_the_target_of_a_search() -> None:
    chart = named(make_search())["attainment"]
    rows = list(data(chart.spec))
    assert {"load": 41.2, "to": 43.0} in [{key: row[key] for key in ("load", "to")} for row in rows if "to" in row]
    assert any(row.get("says") == "target 99 %" for row in rows)
    assert len(chart.spec["vconcat"]) == 2 if chart.spec else False  # 41 % and 99.3 % are not to be read on one axis
    answers = {row["stage"]: row["answer"] for row in rows if "answer" in row}
    assert answers == {2: "pass", 3: "pass", 4: "fail", 5: "pass", 6: "fail", 7: "undecided"}


def test_a_repeated_load_is_one_point_of_a_curve_and_two_of_the_attainment() -> None:
    charts = named(make_search())
    flights = [row for row in data(charts["throughput-by-load"].spec) if "flight" in row]
    assert [row["load"] for row in flights] == [10.0, 20.0, 41.2, 43.0, 45.1]
    near = charts["attainment"].spec
    assert near is not None
    assert sum(row.get("load") == 41.2 and "share" in row for row in near["vconcat"][0]["data"]["values"]) == 2


def test_the_front_is_that_of_the_sweep() -> None:
    sweep = make_grid()
    on = {row["stage"] for row in data(named(sweep)["pareto"].spec) if row.get("on")}
    assert on == set(sweep.curves.pareto)


def test_other_fields_become_lines_or_categories() -> None:
    rows = list(data(named(mixed_grid())["throughput-by-load"].spec))
    assert {row["series"] for row in rows if "series" in row} == {"output_tokens 64", "output_tokens 512"}
    chart = named(category_grid())["throughput-by-load"]
    assert '"type": "line"' not in json.dumps(chart.spec)  # nothing lies between two categories
    at = {row["at"]: row["asked"] for row in data(chart.spec) if "at" in row}
    assert at["stage 1"] == "prompts mix.jsonl0"  # too long for an axis, but not for its tooltip


def test_a_limit_far_above_all_figures_is_told_not_drawn() -> None:
    stages = [make_stage(i, level, ttft_ms=spread(5.0), tpot_ms=spread(1.0)) for i, level in enumerate((1.0, 2.0), 1)]
    chart = named(make_grid(stages=stages))["latency-by-load"]
    assert "SLO 2,000 ms" in json.dumps(chart.spec)
    assert '"datum": 2000' not in json.dumps(chart.spec)


def test_without_an_slo_it_says_so() -> None:
    sweep = make_grid()
    spec = msgspec.structs.replace(sweep.plan.spec, slo=Slo())
    stages = [replace(s, point=s.point and replace(s.point, goodput=None)) for s in sweep.stages]
    chart = named(replace(sweep, stages=stages, plan=replace(sweep.plan, spec=spec)))["attainment"]
    assert chart.spec is None and chart.missing == "no SLO was given (--slo)"
