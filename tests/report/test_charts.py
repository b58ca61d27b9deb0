"""Every chart of every kind of run is a valid specification that says the same each time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import altair
import msgspec
import pytest
import vl_convert
from made import events_of, failed_request, ok_request
from made_detail import empty_detail, made_detail, made_dots, made_ecdf, made_stalls, made_timeline
from vega_schema import check_spec

from loadcell.metrics import Estimate, Observed, Result, Series, Watched, build_result
from loadcell.recording.read import Recording
from loadcell.report.charts import Chart, overview_chart, run_charts
from loadcell.report.charts.drivers import ttft_by_input
from loadcell.report.charts.theme import COLOURS, config
from loadcell.report.detail import Detail
from loadcell.report.words import words_for

pytestmark = pytest.mark.usefixtures("thorough")

NAMES = ["time-parts", "ladder", "ecdf", "timeline", "ttft-by-input", "itl-by-concurrency", "stalls", "server"]
HOSTILE = "</script><img src=x onerror=alert(1)>\"'); datum.x; {{ t }} \u202e\x1b[31m"
WORDS = words_for("en")
replace = msgspec.structs.replace


def made_series(title: str = "Running", unit: str = "requests", **fields: Any) -> Series:
    values: list[float | None] = [float(i % 7) for i in range(40)]
    values[10:14] = [None] * 4
    base: dict[str, Any] = {
        "title": title, "unit": unit, "kind": "gauge", "sources": ["vllm"], "mean": 3.0, "min": 0.0, "max": 6.0,
        "gained": None, "t_s": [float(i) for i in range(40)], "values": values,
    }  # fmt: skip
    return Series(**base | fields)


def made_observed(**series: Series) -> Observed:
    source = Watched(name="vllm", kind="prometheus", engine="vLLM", looks=20, failed=0, longest_gap_s=2.0, says=None)
    return Observed(sources=[source], series=series, energy=None)


@pytest.fixture(scope="module")
def result(make: Callable[..., Recording]) -> Result:
    """An open loop of 400 requests with failures, an SLO, and a server that was watched."""

    def row(i: int) -> dict[str, Any]:
        more = {"start_ms": i * 50, "planned_ns": i * 50_000_000}
        return ok_request(i, tokens=8, **more) if i % 40 else failed_request(i, "http_500", **more)

    rows = [row(i) for i in range(400)]
    events = [event for row in rows if row["status"] == "ok" for event in events_of(row)]
    slo = {"ttft_ms": 400, "tpot_ms": 25}
    recording = make(rows, events=events, planned=[i * 50.0 for i in range(400)], loop="open", slo=slo)
    share = {"unit": "share", "values": [0.5] * 40, "mean": 0.5, "max": 0.5}
    observed = made_observed(
        requests_running=made_series(), requests_waiting=made_series("Waiting"),
        kv_cache_use=made_series("KV cache", **share), gpu_power_watts=made_series("GPU power", "W"),
        output_tokens=made_series("Output tokens", "tokens", kind="rate"), preemptions=made_series("Preemptions"),
    )  # fmt: skip
    return replace(build_result(recording), observed=observed)


def all_charts(result: Result, detail: Detail | None, lang: str = "en") -> list[Chart]:
    words = words_for(lang)
    return [*run_charts(result, detail, words), overview_chart(result, detail, words)]


def nulls(detail: Detail) -> Detail:
    """All that may be null is."""
    line, dots = made_timeline(), made_dots()
    none: list[Any] = [None] * len(line.t_s)
    course = {
        name: replace(one, min_ms=none, p50_ms=none, p99_ms=none, max_ms=none, n=[0] * len(none))
        for name, one in line.latency.items()
    }
    nobody: list[Any] = [None] * len(dots.request)
    return replace(
        detail,
        timeline=replace(line, latency=course, output_tokens_per_s=none),
        dots=replace(dots, input_tokens=nobody, output_tokens=nobody, ttft_ms=nobody, tpot_ms=nobody, e2e_ms=nobody),
        levels=[replace(level, p50_ms=None, p90_ms=None, p99_ms=None) for level in detail.levels],
        stalls=replace(made_stalls(), worst=[], stalls=0, share_of_time=None),
    )


def one_sample(detail: Detail) -> Detail:
    """One request, of no length at all."""
    one = made_ecdf(70, 0.1)
    single = replace(one, n=1, x_ms=[0.0], share=[1.0], exact=True)
    line = replace(made_timeline(), step_s=0.001)
    return replace(detail, ecdf=dict.fromkeys(detail.ecdf, single), timeline=line, levels=detail.levels[:1])


DETAILS: dict[str, Callable[[], Detail | None]] = {
    "full": made_detail,
    "empty": empty_detail,
    "none": lambda: None,
    "nulls": lambda: nulls(made_detail()),
    "one": lambda: one_sample(made_detail()),
}


def drawn(charts: list[Chart]) -> list[Chart]:
    return [chart for chart in charts if chart.spec is not None]


def walk(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every leaf of a specification with the keys that lead to it."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, (*path, key))
    elif isinstance(node, list):
        for value in node:
            yield from walk(value, path)
    else:
        yield path, node


@pytest.mark.parametrize("kind", DETAILS)
def test_every_chart_is_valid_and_compiles_without_a_warning(
    result: Result, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    charts = all_charts(result, DETAILS[kind]())
    assert [chart.name for chart in charts] == [*NAMES, "overview"]
    for chart in charts:
        assert chart.title
        if chart.spec is None:
            assert chart.missing
            continue
        assert chart.alt
        check_spec(chart.spec)
        svg = vl_convert.vegalite_to_svg(chart.spec, config=config(dark=True), show_warnings=True, allowed_base_urls=[])
        assert "<svg" in svg
    captured = capfd.readouterr()
    assert captured.err == captured.out == ""


def test_all_charts_are_drawn_where_there_is_everything(result: Result) -> None:
    assert [chart.name for chart in drawn(run_charts(result, made_detail(), WORDS))] == NAMES


def test_without_a_recording_the_figures_of_the_result_are_drawn(result: Result) -> None:
    charts = run_charts(result, None, WORDS)
    assert [chart.name for chart in drawn(charts)] == ["ladder", "server"]
    assert all("recording" in (chart.missing or "") for chart in charts if chart.name in ("ecdf", "timeline", "stalls"))


@pytest.mark.parametrize("kind", DETAILS)
def test_data_are_finite_and_small(result: Result, kind: str) -> None:
    charts = drawn(all_charts(result, DETAILS[kind]()))
    for chart in charts:
        for _, leaf in walk(chart.spec):
            assert not isinstance(leaf, float) or math.isfinite(leaf)
    text = json.dumps([chart.spec for chart in charts], allow_nan=False)
    assert len(text) < 600_000


def test_the_largest_detail_stays_small(result: Result) -> None:
    dots = made_dots(2000)
    many = {f"q{i}": made_series(f"Quantity {i}", values=[0.123456789] * 400, t_s=[i / 3 for i in range(400)])
            for i in range(30)}  # fmt: skip
    shares = [(i + 1) / 400 for i in range(400)]
    wide = replace(made_ecdf(70, 0.3), x_ms=[70.123456 + i / 7 for i in range(400)], share=shares)
    detail = made_detail(dots=dots)
    detail = replace(detail, ecdf=dict.fromkeys(detail.ecdf, wide))
    crowded = replace(result, observed=made_observed(**many))
    size = sum(len(json.dumps(chart.spec, separators=(",", ":"))) for chart in run_charts(crowded, detail, WORDS))
    assert size < 600_000


def test_the_same_input_gives_the_same_bytes(result: Result) -> None:
    first, second = (msgspec.json.encode(all_charts(result, made_detail())) for _ in range(2))
    assert first == second


def test_every_view_has_the_width_that_a_page_replaces(result: Result) -> None:
    for chart in drawn(run_charts(result, made_detail(), WORDS)):
        views = chart.spec.get("vconcat", [chart.spec]) if chart.spec else []
        assert [view["width"] for view in views] == [640] * len(views)


def test_time_axes_zoom_as_one(result: Result) -> None:
    for chart in run_charts(result, made_detail(), WORDS):
        if chart.name in ("timeline", "server"):
            assert chart.spec is not None
            (zoom,) = chart.spec["params"]
            assert zoom["views"] == [view["layer"][0]["name"] for view in chart.spec["vconcat"]]
            assert chart.hint


def test_no_tooltip_says_null(result: Result) -> None:
    for chart in drawn(run_charts(result, made_detail(), WORDS)):
        for layer in _layers(chart.spec):
            encoding = layer.get("encoding", {})
            fields = {one["field"] for one in encoding.get("tooltip", [])}
            height = encoding.get("y", {}).get("field")
            for row in layer.get("data", {}).get("values", []):
                if height is None or row[height] is not None:  # else there is no mark
                    assert all(row[field] is not None for field in fields), (chart.name, row)


def _layers(node: Any, data: Any = None) -> Iterator[dict[str, Any]]:
    """Unit views with the data that they draw."""
    if isinstance(node, dict):
        data = node.get("data", data)
        if "mark" in node:
            yield node | ({"data": data} if data else {})
        for key in ("layer", "vconcat"):
            for part in node.get(key, []):
                yield from _layers(part, data)


def test_charts_carry_no_colours_of_their_own(result: Result) -> None:
    for chart in drawn(all_charts(result, made_detail())):
        for path, leaf in walk(chart.spec):
            assert path[-1] not in ("color", "fill", "stroke", "background"), path
            assert not (isinstance(leaf, str) and leaf.startswith("#")), path


def test_every_style_that_is_named_is_in_the_theme(result: Result) -> None:
    known = set(config(dark=False)["style"])
    for chart in drawn(all_charts(result, made_detail())):
        assert {leaf for path, leaf in walk(chart.spec) if path[-1] == "style"} <= known


def test_foreign_words_stand_in_data_and_titles_only(result: Result) -> None:
    series = {HOSTILE + str(i): made_series(HOSTILE, HOSTILE, sources=[HOSTILE]) for i in range(3)}
    method = replace(result.methodology, effective=result.methodology.effective | {"model": HOSTILE})
    bad = replace(
        result, methodology=method, observed=made_observed(**series, requests_running=made_series(HOSTILE)),
        verdict=replace(result.verdict, reasons=[HOSTILE]), run=replace(result.run, started_at=HOSTILE),
    )  # fmt: skip
    marks = ("onerror", "datum.x")
    found = 0
    for chart in drawn(all_charts(bad, made_detail())):
        assert chart.spec is not None
        check_spec(chart.spec)
        vl_convert.vegalite_to_svg(chart.spec, config=config(False))
        for path, leaf in walk(chart.spec):
            assert not {"expr", "calculate", "transform", "url", "href"} & set(path), path
            if isinstance(leaf, str) and any(mark in leaf for mark in marks):
                found += 1
                assert "values" in path or path[-1] == "title", path
                assert leaf.isprintable()
    assert found > 5


def test_the_ladder_says_why_a_percentile_is_missing(result: Result) -> None:
    latency = result.latency["ttft_ms"]
    assert latency.response is not None
    few = replace(
        latency.response, p99=Estimate(value=90.0, low=70.0, open=True, needs=299), p99_9=Estimate(needs=1000)
    )
    changed = replace(result, latency=result.latency | {"ttft_ms": replace(latency, response=few)})
    ladder = next(chart for chart in run_charts(changed, None, WORDS) if chart.name == "ladder")
    assert "p99 90.00+ ms, at least 70.0, open above, p99.9 too few samples: needs 1,000" in ladder.alt


def test_a_missing_percentile_is_not_marked_on_its_distribution(result: Result) -> None:
    latency = result.latency["ttft_ms"]
    assert latency.response is not None
    blank = replace(latency, response=replace(latency.response, p99=Estimate(needs=100)))
    changed = replace(result, latency=result.latency | {"ttft_ms": blank})
    told = next(chart.alt for chart in run_charts(changed, made_detail(), WORDS) if chart.name == "ecdf")
    assert told.startswith("TTFT of 900 samples: p50 50.0 ms, max 50.0 ms.")


def test_gaps_of_the_server_stay_gaps(result: Result) -> None:
    chart = next(chart for chart in run_charts(result, None, WORDS) if chart.name == "server")
    rows = next(leaf for leaf in _data(chart.spec) if len(leaf) == 40)
    assert [row["v"] for row in rows[9:15]] == [2.0, None, None, None, None, 0.0]


def _data(node: Any) -> Iterator[list[dict[str, Any]]]:
    if isinstance(node, dict):
        if (
            "values" in node
            and isinstance(node["values"], list)
            and node["values"]
            and isinstance(node["values"][0], dict)
        ):
            yield node["values"]
        for value in node.values():
            yield from _data(value)
    elif isinstance(node, list):
        for value in node:
            yield from _data(value)


def test_failures_and_extremes_are_among_the_dots(result: Result) -> None:
    chart = ttft_by_input(result, made_detail(), WORDS)
    dots = made_dots()
    requests = [row["r"] for rows in _data(chart.spec) for row in rows if "r" in row]
    assert sorted(requests) == sorted(dots.request)


def test_prompts_of_one_length_are_no_picture(result: Result) -> None:
    dots = replace(made_dots(), input_tokens=[1000] * 420)
    chart = ttft_by_input(result, made_detail(dots=dots), WORDS)
    assert (chart.spec, chart.missing) == (None, "Every prompt has 1,000 tokens: there is nothing to compare.")


def test_parts_start_where_the_one_before_ended(result: Result) -> None:
    chart = run_charts(result, made_detail(), WORDS)[0]
    bars = [rows[0] for rows in _data(chart.spec) if "says" not in rows[0]]
    assert bars[0]["a"] < 0.001
    assert bars[-1]["b"] == pytest.approx(1, abs=1e-3)
    assert all(left["b"] == pytest.approx(right["a"], abs=1e-4) for left, right in pairwise(bars))


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read_on_its_ground(dark: bool) -> None:
    """WCAG 2.1: 4.5 to 1 for words, 3 to 1 for marks."""
    colours = COLOURS["dark" if dark else "light"]
    altair.Config.from_dict(config(dark))
    for role, least in {"ink": 7.0, "soft": 4.5, "one": 4.5, "bad": 4.5, "good": 4.5, "two": 3.0, "three": 3.0}.items():
        assert _contrast(colours[role], colours["paper"]) >= least, role


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return float(sum(weight * x for weight, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True)))
