from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import ok_request

from loadcell.metrics import Result, build_result
from loadcell.recording.read import Recording
from loadcell.report.timeline import timeline as drawn_over_time
from loadcell.report.words import words_for


def timeline(result: Result, width: int, lang: str = "en") -> list[str]:
    return drawn_over_time(result, width, words_for(lang))


def drawn(result: Result, series: list[float], step_s: float, start_s: float, end_s: float) -> Result:
    """The result with another course of requests in flight and another window."""
    replace = msgspec.structs.replace
    window = replace(result.methodology.window, start_s=start_s, end_s=end_s)
    return replace(
        result,
        concurrency=replace(result.concurrency, series=series, series_step_s=step_s),
        methodology=replace(result.methodology, window=window),
    )


@pytest.fixture(scope="module")
def result(make: object) -> Result:
    recording = make([ok_request(0)])  # type: ignore[operator]
    assert isinstance(recording, Recording)
    return build_result(recording)


def test_the_window_is_marked_under_the_load(result: Result) -> None:
    series = [4.0] * 10 + [8.0] * 80 + [2.0] * 10
    bars, marks, words = timeline(drawn(result, series, 0.6, 6.0, 54.0), 100)
    assert bars == "▄" * 10 + "█" * 80 + "▂" * 10
    assert marks == "·" * 10 + "━" * 80 + "·" * 10
    assert words == "in flight, highest bar 8.00 · warm-up 6.00 s | window 48.0 s | drain 6.00 s"


def test_it_is_named_in_the_language_of_the_report(result: Result) -> None:
    words = timeline(drawn(result, [4.0] * 10 + [8.25] * 90, 0.6, 6.0, 54.0), 100, "es")[-1]
    assert words == "en curso, la barra más alta 8,25 · calentamiento 6,00 s | ventana 48,0 s | vaciado 6,00 s"


def test_a_window_past_the_last_reply_is_drawn_empty(result: Result) -> None:
    bars, marks, words = timeline(drawn(result, [1.0] * 50, 1.0, 0.0, 100.0), 60)
    assert bars == "█" * 30 + " " * 30
    assert marks == "━" * 60
    assert "drain" not in words and "warm-up" not in words


def test_nothing_in_flight_draws_nothing(result: Result) -> None:
    assert timeline(drawn(result, [], 1.0, 0.0, 1.0), 60) == []


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=300), st.floats(0, 1), st.floats(0, 1), st.integers(60, 250))
def test_every_line_fits(values: list[float], a: float, b: float, width: int) -> None:
    end_s = float(len(values))
    lines = timeline(drawn(RESULT[0], values, 1.0, min(a, b) * end_s, max(a, b) * end_s), width)
    assert all(len(line) <= width for line in lines)
    assert len(lines[0]) == len(lines[1]) == width


RESULT: list[Result] = []


@pytest.fixture(autouse=True)
def _keep(result: Result) -> None:
    RESULT[:] = [result]
