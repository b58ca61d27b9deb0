"""The chart and the page of a curve."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from made_curve import STEADY, point, run_of
from rich.console import Console
from vega_schema import check_spec

from loadcell.mlperf.curve.folder import curve_of
from loadcell.mlperf.curve.model import Curve, CurvePlan, Peak, PlannedPoint, Trend, UsedSeeds
from loadcell.mlperf.curve.regions import region_of, regions_of
from loadcell.mlperf.model import FOOTNOTE, UNVERIFIED
from loadcell.report.charts.curve import curve_chart
from loadcell.report.mlperf import curve_page, print_curve
from loadcell.spec import Endpoint, Spec

replace = msgspec.structs.replace
HOSTILE = '<img src=x onerror="alert(1)">'


def made(model: str = "llama3_1-8b", **fields: Any) -> Curve:
    """A curve of three of five points; the last one drifts."""
    regions = regions_of(256, 2)
    levels, figures = (2, 64, 256), ((100.0, 200.0), (50.0, 3000.0), (10.0, 4000.0))
    planned = [
        PlannedPoint(folder=f"r{c}", concurrency=c, region=region_of(regions, c), min_duration_s=600)
        for c in (*levels, 5, 20)
    ]
    plan = CurvePlan(
        loadcell="0.1.0", round="endpoints v1.0", benchmark="llama3.1-8b", model=model, dataset="cnn_dailymail",
        dataset_size=13368, dataset_sha256="0" * 64, look_alike=True, samples=24, quick=True,
        shortened=["24 samples instead of 13,368"], peak=Peak(c_max=256, found=200, says=["C_max: somehow"]),
        offline="elected", regions=regions, points=planned, uncovered=["Low: 3-8 has no point"],
        seeds=UsedSeeds(id="A"), spec=Spec(endpoint=Endpoint(url=f"http://127.0.0.1:9/{model}")),
    )  # fmt: skip
    runs = [
        replace(run_of(user, total), planned=p, point=point(p.concurrency, tps_per_user=user, system_tps=total))
        for p, (user, total) in zip(planned, figures, strict=False)
    ]
    trend = Trend(metric="tpot_p90_ms", gating=True, state="Drifting Up", values=[80.0, 125.0], low=80.0, high=125.0)
    drifting = replace(STEADY, verdict="drifting_up", status=None, window=None, trends=[trend], says="it goes up")
    runs[2] = replace(runs[2], point=replace(runs[2].point, steady=drifting), instrument="SUSPECT", **fields)
    return curve_of(plan, runs)


def test_the_chart_is_a_step_function_of_the_points_that_none_beats() -> None:
    curve = made()
    chart = curve_chart(curve)
    assert chart.spec is not None
    check_spec(chart.spec)
    rows = chart.spec["vconcat"][0]["data"]["values"]
    assert [(row["user"], row["value"], row["on"]) for row in rows] == [
        (100, 200, True), (50, 3000, True), (10, 4000, False),
    ]  # fmt: skip
    assert UNVERIFIED in chart.title


def test_without_figures_nothing_is_drawn_and_it_says_so() -> None:
    curve = replace(made(), points=[], steps=[], findings=[])
    chart = curve_chart(curve)
    assert chart.spec is None
    assert chart.missing
    assert "nothing to draw" in curve_page(curve)


def test_the_page_is_whole_harmless_and_says_what_it_is_worth() -> None:
    page = curve_page(made(HOSTILE, instrument_reasons=[HOSTILE], notes=[HOSTILE]), source="mlperf/it's")
    assert "<img src=x" not in page
    text = " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)).split())
    for words in (
        UNVERIFIED, FOOTNOTE, "(quick, look-alike samples: not comparable)", "3 of 5 points were run", "C_max 256",
        "drifts up", "8.00-12.5", "Failed", "point-count", "not covered: Low: 3-8 has no point",
    ):  # fmt: skip
        assert words in text, words
    assert "None" not in text, text[text.index("None") - 40 :][:80]
    bare = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"', bare) == []


def test_the_console_shows_a_drift_as_a_range_and_foreign_words_harmlessly() -> None:
    for width in (80, 120):
        console = Console(width=width, force_terminal=False, color_system=None)
        with console.capture() as shown:
            print_curve(made("\x1b[31mred"), console)
        out = shown.get()
        assert "\x1b" not in out
        assert "8.00-12.5" in out
        assert " ".join(out.split()).count(FOOTNOTE) == 1
        assert all(len(line) <= width for line in out.splitlines())
        assert "…" not in out
