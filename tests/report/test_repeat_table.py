from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from made import MS, ok_request
from rich.console import Console

from loadcell.metrics import Estimate, Repeats, Result, Verdict, build_repeats, build_result
from loadcell.recording.read import Recording
from loadcell.report.render.terminal import show
from loadcell.report.view.repeats import repeats_section, run_line
from loadcell.report.words import words_for

replace = msgspec.structs.replace
EN, ES = words_for("en"), words_for("es")


@pytest.fixture(scope="module")
def result(make: Callable[..., Recording]) -> Result:
    """An open loop, VALID."""
    rows = [ok_request(i, start_ms=100 * i + 0.1, planned_ns=100 * i * MS, ready_ns=None) for i in range(40)]
    built = build_result(make(rows, loop="open", planned=[100.0 * i for i in range(40)], slo={"ttft_ms": 60}))
    return replace(built, verdict=Verdict(word="VALID", reasons=[], checks=[]))


def moved(result: Result, p50_ms: float) -> Result:
    ttft = result.latency["ttft_ms"]
    service = replace(ttft.service, p50=Estimate(value=p50_ms, low=p50_ms - 0.5, high=p50_ms + 0.5))
    return replace(result, latency=result.latency | {"ttft_ms": replace(ttft, service=service)})


def shown(together: Repeats, width: int = 80, **options: Any) -> str:
    console = Console(width=width, file=io.StringIO(), **options)
    show([repeats_section(together, EN)], console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


@pytest.mark.parametrize("width", [80, 120])
def test_the_table(result: Result, width: int) -> None:
    text = shown(build_repeats([moved(result, value) for value in (50.0, 60.0, 55.0)]), width)
    assert max(map(len, text.splitlines())) <= width and "…" not in text and "\x1b" not in text
    assert " VALID  3 runs, every one VALID" in text
    (row,) = [line for line in text.splitlines() if "TTFT serv. p50, ms" in line]
    assert row.split()[4:] == ["55.00", "±", "0.9", "%", "9.1", "%", "30.2\N{EN DASH}79.8", "more"]
    assert "TTFT resp. p50, ms" in text and "TTFT serv. p99, ms" in text
    assert "TPOT p50, ms" in text  # it has no anchor to tell
    words = " ".join(text.split())
    assert "Runs differ more than the samples within a run explain: restart or cache effects." in words
    assert "The samples within a run explain how runs differ:" in words


def test_missing_is_not_zero(result: Result) -> None:
    text = shown(build_repeats([result]))
    (row,) = [line for line in text.splitlines() if "TTFT serv. p99, ms" in line]
    assert row.split()[4:] == ["n/a"] * 5
    assert "1 run cannot tell how runs differ" in " ".join(text.split())


def test_an_invalid_set(result: Result) -> None:
    bad = replace(result, invalid=["the disk was \x1b[2J full"])
    text = shown(build_repeats([result, bad], asked=5))
    assert " INVALID  2 of 5 runs: run 2 INVALID" in text
    assert "TTFT" in text


def test_the_line_of_a_run(result: Result) -> None:
    line = run_line(moved(result, 50.25), 2, 5, EN)
    assert line.startswith(" run 2 of 5: TTFT p50 50.10 p99 n/a ms · ") and line.endswith(" tokens/s · VALID")
    suspect = replace(result, verdict=Verdict(word="SUSPECT", reasons=["late: \x1b[2J lower the load"], checks=[]))
    assert run_line(suspect, 1, 2, EN).endswith("· SUSPECT: late: \N{REPLACEMENT CHARACTER}[2J lower the load")
    bad = replace(result, invalid=["the disk was full"])
    assert "TTFT p50" in run_line(bad, 1, 2, EN) and run_line(bad, 1, 2, EN).endswith("· INVALID: the disk was full")


def test_it_is_said_in_another_language_too(result: Result) -> None:
    bad = replace(result, invalid=["the load did not begin"])
    console = Console(width=80, file=io.StringIO())
    show([repeats_section(build_repeats([moved(result, 50.0), moved(result, 60.0), bad], asked=5), ES)], console)
    text = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert (
        "3 de 5 ejecuciones: ejecución 3 NO VÁLIDO" in text
        and "mediana" in text
        and "Mediana de las ejecuciones" in text
    )
    assert " runs " not in text and " run " not in text
    assert run_line(bad, 1, 2, ES).startswith(" ejecución 1 de 2: TTFT p50 50,")
