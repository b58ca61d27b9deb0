from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from made import MS, failed_request, ok_request
from rich.console import Console

from loadcell.metrics import Check, Result, build_result
from loadcell.recording.read import Recording
from loadcell.report.run import print_short

Make = Callable[..., Recording]


def shown(result: Result, width: int = 80, **options: Any) -> list[str]:
    console = Console(width=width, file=io.StringIO(), **options)
    print_short(result, console, "runs/chat")
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text.splitlines()


@pytest.fixture(scope="module")
def troubled(make: Make) -> Result:
    """An open loop with an SLO and more kinds of failures than are shown."""
    ok = [ok_request(i, start_ms=10 * i + 0.1, planned_ns=10 * i * MS, ready_ns=None) for i in range(320)]
    failed = [failed_request(320 + i, f"http_50{i}", start_ms=3200 + 10 * i) for i in range(6)]
    slo = {"ttft_ms": 60, "tpot_ms": 25, "e2e_ms": 20000}
    rows = [row | {"planned_ns": 10 * i * MS, "ready_ns": None} for i, row in enumerate([*ok, *failed])]
    return build_result(make(rows, loop="open", planned=[10.0 * i for i in range(326)], slo=slo))


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_a_screen_and_nothing_is_cut_off(troubled: Result, width: int) -> None:
    lines = shown(troubled, width)
    assert len(lines) <= 30 + 6  # a run with every kind of trouble; a quiet one: below
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)


def test_a_quiet_run_takes_thirty_lines_at_most(make: Make) -> None:
    rows = [ok_request(i, start_ms=10 * i) for i in range(320)]
    lines = shown(build_result(make(rows, slo={"ttft_ms": 60, "tpot_ms": 25})))
    assert len(lines) <= 30


def test_it_shows_what_was_asked_what_came_and_what_it_is_worth(troubled: Result) -> None:
    text = " ".join(" ".join(shown(troubled)).split())
    for expected in (
        "http://localhost:8000 · chat, streamed · model m",
        "open loop, 1 requests/s, poisson",
        "326 planned = 320 ok + 6 failed + 0 cancelled + 0 unsent",
        "mean p50 p90 p99 max",
        "requests/s", "output tokens/s", "tokens/s in and out",
        "TTFT ≤ 60 ms: ", "TPOT ≤ 25 ms: ", "E2E ≤ 20,000 ms: ",
        "1 \N{MULTIPLICATION SIGN} http_500", "and 3 more kinds: --full",
        "All of it: loadcell report runs/chat --full",
        troubled.verdict.word,
    ):  # fmt: skip
        assert expected in text, expected


def test_a_part_of_a_run_says_so_first(make: Make) -> None:
    lines = shown(build_result(make([ok_request(0)], planned=3, state="interrupted")))
    assert "INTERRUPTED" in lines[0] and "1 request had ended" in lines[0]


def test_without_a_reply_there_is_no_table_of_nothing(make: Make) -> None:
    text = "\n".join(shown(build_result(make([failed_request(0, "http_401", error="no such key")]))))
    assert "Latency" not in text and "no such key" in text and "INVALID" in text


def test_markup_and_control_characters_of_a_server_stay_text(make: Make) -> None:
    rows = [ok_request(0), failed_request(1, "odd", error="[red]slow\x1b[2J down[/red]")]
    text = "\n".join(shown(build_result(make(rows)), 120))
    assert "[red]slow" in text and "\x1b[2J" not in text


def test_an_interval_stands_on_one_line_and_is_explained(make: Make) -> None:
    rows = [ok_request(i, start_ms=10 * i + 0.001 * (i * 7 % 13)) for i in range(320)]
    lines = shown(build_result(make(rows)))
    assert not any(line.rstrip().endswith("\N{EN DASH}") for line in lines)
    assert any("Below each figure: its 95 % interval" in line for line in lines)


def test_the_load_says_how_many_requests_its_window_holds(make: Make) -> None:
    rows = [ok_request(i, start_ms=10 * i) for i in range(320)]
    result = build_result(make(rows), window_s=(1.0, 2.0))
    assert result.counts.window.planned < 320
    text = " ".join(" ".join(shown(result)).split())
    assert f"window 1.00 to 2.00 s, {result.counts.window.planned} requests" in text


def test_of_a_latency_by_both_anchors_the_one_that_is_shown_gives_the_reason(troubled: Result) -> None:
    checks = [
        Check(
            name=name, word="SUSPECT", value=0.02, unit="share", limit=0.01, invalid_beyond=0.05, says=says, advice="a"
        )
        for name, says in (("ttft_budget", "TTFT service p90"), ("ttft_response_budget", "TTFT response p90"))
    ]
    verdict = msgspec.structs.replace(troubled.verdict, checks=checks)
    text = "\n".join(shown(msgspec.structs.replace(troubled, verdict=verdict)))
    assert "TTFT response p90" in text and "TTFT service p90" not in text
