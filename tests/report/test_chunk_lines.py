"""What a report says of events of several tokens and of speculative decoding, on one screen and in full."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from made import build, events_of, ok_request

from loadcell.metrics import Result, build_result
from loadcell.metrics.model import Speculation
from loadcell.report.tables import to_csv
from loadcell.report.view.chunks import chunks
from loadcell.report.words import words_for

EN, ES = words_for("en"), words_for("es")
TOLD = Speculation(
    source="vLLM Prometheus", steps=400, draft_tokens=800, accepted_tokens=500, acceptance_rate=0.625,
    acceptance_length=2.25, by_position=[0.75, 0.5],
)  # fmt: skip


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Events of 1 and of 4 tokens by turns, 20 ms apart."""
    sizes = [1, *[1, 4] * 10]
    rows = [ok_request(i, start_ms=900 * i, tokens=21, output_tokens=51) for i in range(20)]
    events = [e | {"tokens": n} for row in rows for e, n in zip(events_of(row), sizes, strict=True)]
    result = build_result(build(tmp_path_factory.mktemp("drafted") / "run", rows, events=events))
    return msgspec.structs.replace(result, speculation=[TOLD])


def said(result: Result, *, short: bool = False, words: object = EN) -> dict[str, str]:
    found = chunks(result, words, short=short)  # type: ignore[arg-type]
    return {label: " · ".join(cell.text for cell in cells) for label, cells in found}


def test_in_full(drafted: Result) -> None:
    assert said(drafted) == {
        "Chunks": "2.43 tokens each: ITL is the time between chunks · p50 1 p90 4 max 4 · 47.6 % hold more than one",
        "ITL by token": "mean 8.00 p50 5.00 p90 20.0 p99 20.0 ms",
        "Speculation": "62.5 % of 800 guessed tokens held · 2.25 tokens a step, 400 steps · by position 75 % 50 % · "
        "by vLLM Prometheus",
    }


def test_on_one_screen(drafted: Result) -> None:
    assert said(drafted, short=True) == {
        "Chunks": "2.43 tokens each: ITL is the time between chunks",
        "ITL by token": "mean 8.00 p50 5.00 p90 20.0 p99 20.0 ms",
        "Speculation": "62.5 % of 800 guessed tokens held · 2.25 tokens a step, 400 steps",
    }


def test_in_spanish(drafted: Result) -> None:
    found = said(drafted, words=ES)
    assert found["Especulación"].endswith("según Prometheus de vLLM")
    assert found["Fragmentos"].startswith("de 2,43 tokens cada uno") and "ITL por token" in found


def test_a_token_an_event_and_a_server_that_tells_nothing_have_no_line(tmp_path: Path) -> None:
    result = build_result(build(tmp_path / "run", [ok_request(i, start_ms=900 * i) for i in range(20)]))
    assert said(result) == {}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Speculation(source="its replies", requests=9, steps=0, draft_tokens=0, accepted_tokens=0),
         "no token was guessed · by its replies, 9 requests"),
        (Speculation(source="its gauges", acceptance_rate=0.5, acceptance_length=3.0, note="as it was"),
         "50 % of guessed tokens held · 3.00 tokens a step · by its gauges · as it was"),
        (Speculation(source="TGI Prometheus", steps=400, accepted_tokens=500, acceptance_length=2.25),
         "2.25 tokens a step, 400 steps · by TGI Prometheus"),
    ],
)  # fmt: skip
def test_what_a_server_does_not_tell_is_left_out(drafted: Result, told: Speculation, words: str) -> None:
    assert said(msgspec.structs.replace(drafted, speculation=[told]))["Speculation"] == words


def test_as_csv(drafted: Result) -> None:
    lines = {tuple(line.split(",")[:3]): line.split(",")[4] for line in to_csv(drafted).splitlines()}
    assert float(lines["itl_by_token", "", "mean"]) == pytest.approx(8)
    assert (lines["tokens_per_chunk", "", "max"], lines["acceptance_rate", "vLLM Prometheus", "all"]) == ("4", "0.625")
