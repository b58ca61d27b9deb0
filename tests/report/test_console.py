from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from made import MS, failed_request, ok_request
from rich.console import Console

from loadcell.metrics import Result, build_result
from loadcell.recording.read import Recording
from loadcell.report.run import print_result
from loadcell.spec import Slo

Make = Callable[..., Recording]


def shown(result: Result, width: int = 80, **options: Any) -> str:
    console = Console(width=width, file=io.StringIO(), **options)
    print_result(result, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def healthy(make: Make) -> Result:
    rows = [
        ok_request(i, start_ms=10 * i + 0.1, planned_ns=10 * i * MS, ready_ns=None, last_ns=(1234 + 30 * i) * MS)
        for i in range(320)
    ]
    planned = [10.0 * i for i in range(320)]
    slo = {"ttft_ms": 60, "e2e_ms": 20000}
    audits = [{"issued": 320, "cpu_s": 0.01, "reads": 9, "reads_without_stamp": 0}]
    return build_result(make(rows, loop="open", planned=planned, slo=slo, audits=audits))


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_cut_off_nor_wider_than_the_console(healthy: Result, width: int) -> None:
    text = shown(healthy, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width


def test_it_shows_what_was_measured_and_all_figures(healthy: Result) -> None:
    text = words(shown(healthy, 120))
    for expected in (
        "http://localhost:8000 · chat, streamed · model m",
        "open loop, 1 requests/s, poisson",
        "320 planned = 320 ok + 0 failed + 0 cancelled + 0 unsent",
        "TTFT response", "TTFT service", "E2E response", "E2E service", "ITL", "TPOT",
        "mean p50 p90 p95 p99 p99.9 max", "sd ", "100 % [98.8, 100] of 320 planned",
        "TTFT ≤ 60 ms", "clock kernel", "sent late by p99 0.100 ms", "µs CPU a token", "from the start of the load",
        "timeout_s=120", "nearest rank", "usage (320)",
    ):  # fmt: skip
        assert expected in text, expected
    assert "TTFA" not in text  # the same as TTFT here
    assert "INVALID" not in text and "Errors" not in text


def test_the_form_of_the_hot_path_stands_beside_the_clock(make: Make) -> None:
    said = [words(shown(build_result(make([ok_request(0)], core=core)))) for core in (None, "C", "Python")]
    assert ["hot path" in text for text in said] == [False, True, True]
    assert "clock kernel · hot path C ·" in said[1] and "hot path Python" in said[2]


def test_plain_when_piped_and_coloured_on_a_terminal(healthy: Result) -> None:
    assert "\x1b" not in shown(healthy)
    assert "\x1b[" in shown(healthy, force_terminal=True, color_system="standard")


def test_a_closed_loop_says_what_it_cannot_show(make: Make) -> None:
    text = words(shown(build_result(make([ok_request(0, first_answer_ns=90 * MS)]))))
    assert "TTFA" in text and "TTFT response" not in text
    assert "a closed loop cannot show the queueing that it prevents" in text
    assert "n/a" in text and "n<2" in text
    assert "closed loop, 1 user" in text


def test_what_spoils_a_result_comes_first(make: Make) -> None:
    result = build_result(make([ok_request(0)], planned=3, state="interrupted", invalid=["the disk was full"]))
    lines = shown(result).splitlines()
    assert "INVALID" in lines[0] and "the disk was full" in lines[0]
    assert "INTERRUPTED" in lines[1]
    assert "2 unsent" in words("\n".join(lines))


def test_a_run_without_an_end_is_loud(make: Make) -> None:
    result = build_result(make([ok_request(0)], state="running", ended_ns=None))
    assert "NO END" in shown(result).splitlines()[0]
    assert "did not end" in words(shown(result))


def test_failures_come_with_advice_and_without_markup(make: Make) -> None:
    rows = [failed_request(0, "http_429", error="[red]slow\x1b[2J down[/red]"), failed_request(1, "odd", error=None)]
    text = words(shown(build_result(make(rows)), 120))
    assert '1 \N{MULTIPLICATION SIGN} http_429: "[red]slow\N{REPLACEMENT CHARACTER}[2J down[/red]"' in text
    assert "→ the server limits the rate" in text
    assert "1 \N{MULTIPLICATION SIGN} odd" in text


def test_an_empty_run_can_be_shown(make: Make) -> None:
    result = build_result(make([], planned=2, state="interrupted", ended_ns=0), slo=Slo(ttft_ms=1))
    text = words(shown(result))
    assert "n/a requests/s" in text and "0 planned" not in text


def test_long_latencies_do_not_break_the_table(healthy: Result) -> None:
    e2e = healthy.latency["e2e_ms"]
    big = msgspec.structs.replace(e2e.service.p50, value=123456.0, low=123400.0, high=123500.0)
    slow = msgspec.structs.replace(
        e2e, service=msgspec.structs.replace(e2e.service, p50=big, p90=big, p95=big, p99=big)
    )
    text = shown(msgspec.structs.replace(healthy, latency=healthy.latency | {"e2e_ms": slow}))
    assert "…" not in text and "123,456" in text
    assert max(map(len, text.splitlines())) <= 80


def test_labels_fit_their_column(make: Make) -> None:
    rows = [ok_request(0), ok_request(1, start_ms=2000)]
    text = shown(build_result(make(rows), window_s=(1, 3)))
    assert "In window     1 planned" in text
