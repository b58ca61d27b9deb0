"""The page and the charts of a comparison."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from made_comparison import hostile, make_change, make_comparison, make_gate, make_noise, make_pair
from made_detail import empty_detail, made_detail
from vega_schema import check_spec

from loadcell.compare.model import Comparison
from loadcell.report.charts import Chart, comparison_charts
from loadcell.report.compare import comparison_page
from loadcell.report.detail import Detail
from loadcell.report.words import words_for

WORDS = words_for("en")
DETAILS = {"A": made_detail(), "B": made_detail()}
replace = msgspec.structs.replace


def charts_of(comparison: Comparison, details: dict[str, Detail] | None = None) -> dict[str, Chart]:
    found = comparison_charts(comparison, DETAILS if details is None else details, WORDS)
    return {chart.name: chart for chart in found}


def apart(**fields: Any) -> Comparison:
    base = {"comparable": "not comparable", "forbids": ["A is an open loop, B a closed loop"], "changes": []}
    return make_comparison(pairs=[make_pair(**base | fields)])


COMPARISONS = {
    "two": make_comparison,
    "three": lambda: make_comparison("ABC"),
    "eight": lambda: make_comparison("ABCDEFGH"),
    "not comparable": apart,
    "forced": lambda: replace(apart(changes=make_pair().changes), forced=True),
    "noise": lambda: make_comparison("", noise=make_noise()),
    "with noise": lambda: make_comparison(noise=make_noise()),
    "nothing estimable": lambda: make_comparison(pairs=[make_pair(changes=[make_change(relative=None)])]),
    "hostile": hostile,
}  # fmt: skip


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize("kind", COMPARISONS)
@pytest.mark.parametrize("details", [DETAILS, {}, {"B": empty_detail()}], ids=["both", "none", "empty"])
def test_every_comparison_has_a_page_and_valid_charts(kind: str, details: dict[str, Detail]) -> None:
    comparison = COMPARISONS[kind]()
    for chart in comparison_charts(comparison, details, WORDS):
        if chart.spec is None:
            assert chart.missing
        else:
            check_spec(chart.spec)
            assert chart.says and chart.alt
    page = comparison_page(comparison, details, WORDS)
    assert page == comparison_page(comparison, details, WORDS)
    assert "<img src=x" not in page
    assert "None" not in re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)


def test_findings_are_told_as_they_are() -> None:
    page = comparison_page(make_comparison(), DETAILS, WORDS)
    row = re.search(r'<tr><th scope="row">[^\n]*TTFT p50, ms.*?</tr>', page, re.S)
    assert row and all(text in row[0] for text in ("50.00", "65.00", "+30.0 %", "[+26.0, +34.0]", ">worse<"))
    assert "+30.0 points" not in page
    assert "not estimable in A: it needs 100 samples" in page
    assert "needs 5,200 requests a side" in page
    assert "\N{MINUS SIGN}2.00 points" in page


def test_sides_that_are_not_comparable_have_no_findings() -> None:
    page = comparison_page(apart(), DETAILS, WORDS)
    assert "A is an open loop, B a closed loop" in page and "No findings." in page
    assert 'class="numbers changes"' not in page and 'id="chart-differences"' not in page


def test_gates_come_first() -> None:
    gates = [make_gate(), make_gate(expression="itl.p99>+50%", fired=False, says="the difference keeps to the bound")]
    page = comparison_page(make_comparison(gates=gates), DETAILS, WORDS)
    assert "1 of 2 gates failed" in page
    assert page.index("gates failed") < page.index('id="pair-b"')
    assert "gates failed" not in comparison_page(make_comparison(), DETAILS, WORDS)


def test_every_pair_has_a_section_and_a_chart() -> None:
    comparison = make_comparison("ABC")
    assert list(charts_of(comparison)) == ["differences-b", "differences-c", "ecdf-overlay"]
    page = comparison_page(comparison, DETAILS, WORDS)
    for name in "bc":
        assert f'id="pair-{name}"' in page and f'id="chart-differences-{name}"' in page


def test_the_noise_alone_is_a_table() -> None:
    page = comparison_page(COMPARISONS["noise"](), {}, WORDS)
    assert "From 3 runs of the same thing" in page and "3.00 %" in page and "0.20 points" in page
    assert "chart-" not in re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)


def test_an_interval_without_end_does_not_drown_the_others() -> None:
    spec = charts_of(make_comparison())["differences"].spec
    assert spec is not None
    reach = spec["vconcat"][0]["layer"][-1]["layer"][-1]["encoding"]["x"]["scale"]["domain"][1]
    assert 30 < reach < 150  # the largest change is 30 %, an interval reaches to 900 %
    rows = {row["title"]: row for row in spec["vconcat"][0]["data"]["values"]}
    assert rows["ITL p99, ms"]["high"] == reach and rows["ITL p99, ms"]["interval"].endswith("+900]")


def test_the_overlay_draws_the_sides_that_are_known() -> None:
    both, one = charts_of(make_comparison()), charts_of(make_comparison(), {"B": made_detail()})
    assert {"A", "B"} == set(re.findall(r'"side": "(\w)"', json.dumps(both["ecdf-overlay"].spec)))
    assert {"B"} == set(re.findall(r'"side": "(\w)"', json.dumps(one["ecdf-overlay"].spec)))
    assert charts_of(make_comparison(), {})["ecdf-overlay"].spec is None
