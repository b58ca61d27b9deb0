"""A server that wakes up: its first requests are slow, and no view of the run hides that."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from contract_runs import Ran, Run
from rich.console import Console
from scripted import Received, Step, clean, serve

from loadcell.report import to_json
from loadcell.report.run import print_result, print_short, run_page
from loadcell.report.words.language import words_for

pytestmark = pytest.mark.usefixtures("alone")

COLD_S = 2.0


def waking(cold: int) -> Callable[[Received], list[Step]]:
    """The first requests of the load wait for the model to be there; 20 ms to the first token afterwards."""
    count, lock = 0, threading.Lock()

    def steps(_: Received) -> list[Step]:
        nonlocal count
        with lock:
            count += 1
            first = count <= cold
        return clean(10, COLD_S if first else 0.02, 0.005)

    return steps


@pytest.fixture
def ran(run: Run) -> Ran:
    with serve(waking(10)) as server:
        return run(server.url, concurrency=10, duration_s=5.0, output_tokens="10")


def shown(result: Any, show: Callable[..., None], width: int = 80) -> str:
    out = io.StringIO()
    show(result, Console(file=out, width=width, color_system=None))
    return " ".join(out.getvalue().split())


def test_ten_cold_requests_are_in_every_view(ran: Ran) -> None:
    result = ran.result
    rows = ran.rows
    slowest = max(row["first_any_ns"] - row["send_start_ns"] for row in rows if row["counted"] != 0) / 1e6
    cold = result.steady.cold_start
    assert cold is not None and cold.slow == 10 and cold.in_window == 0
    assert cold.least_ms >= 1000 * COLD_S and cold.most_ms == pytest.approx(slowest)
    inside = result.latency["ttft_ms"].service.max
    assert inside is not None and inside < cold.least_ms / 2
    told = json.loads(to_json(result))
    assert told["whole_run"]["latency"]["ttft_ms"]["service"]["max"] == pytest.approx(slowest)
    assert told["steady"]["cold_start"]["slow"] == 10
    most = f"{slowest:,.0f}"
    for text in (shown(result, print_short), shown(result, print_result, 200)):
        assert "few requests, early, outside of the window: TTFT of 10 of the first" in text
        assert most in text
    page = run_page(result, None, words_for("en"))
    assert f"TTFT {most} ms (in the window" in page and "few requests, early" in page


def test_in_a_run_that_counts_as_a_whole_they_turn_the_word(run: Run) -> None:
    with serve(waking(2)) as server:
        ran = run(server.url, concurrency=2, requests=40, output_tokens="10")
    check = next(one for one in ran.result.verdict.checks if one.name == "cold_start")
    assert check.word == "SUSPECT" and ran.result.verdict.word != "VALID"
    assert ran.result.latency["ttft_ms"].service.max >= 1000 * COLD_S
