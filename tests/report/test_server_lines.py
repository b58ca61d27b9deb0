from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from made import MS, ok_request

from loadcell.metrics import Result, build_result
from loadcell.metrics.model import ServerPart, ServerSide
from loadcell.metrics.server import where_ttft
from loadcell.recording.read import Recording
from loadcell.report.render.terminal import words as shown_words
from loadcell.report.view.observed import server
from loadcell.report.words import words_for

Make = Callable[..., Recording]


def part(mean_ms: float | None, share: float | None = None) -> ServerPart:
    return ServerPart(mean_ms=mean_ms, p50_ms=None, p99_ms=None, share=share)


def side(**fields: Any) -> ServerSide:
    known: dict[str, Any] = {
        "source": "vLLM metrics", "requests": 384, "ttft_ms": 36.0, "queue": part(10.5, 10.5 / 36),
        "prefill": part(20.1, 20.1 / 36), "unattributed": part(5.4, 5.4 / 36),
    }  # fmt: skip
    return ServerSide(**known | fields)


def server_lines(result: Result) -> list[tuple[str, str]]:
    found = server(result, words_for("en"))
    return [(label, " · ".join(shown_words(cell).plain for cell in cells)) for label, cells in found]


def lines(result: Result, *sides: ServerSide) -> list[tuple[str, str]]:
    told = msgspec.structs.replace(result, server=list(sides), where_ttft=where_ttft(list(sides)))
    return server_lines(told)


def test_a_server_that_tells_nothing_takes_no_line(make: Make) -> None:
    assert (server_lines(build_result(make([ok_request(0)])))) == []


def test_the_parts_of_a_recording(make: Make) -> None:
    rows = [ok_request(i, server_queue_ns=10 * MS, server_prefill_ns=35 * MS) for i in range(2)]
    (line,) = server_lines(build_result(make(rows)))
    assert line == (
        "TTFT goes to",
        "mean 50.0 ms = queue 10.0 (20 %) · prefill 35.0 (70 %) · front end, network and client 5.00 (10 %), "
        "by vLLM metrics of 2 requests",
    )


def test_the_page_that_knows_the_front_end_goes_before_replies(make: Make) -> None:
    """One answer of both: its parts add up to the client's TTFT."""
    page = side(source="vLLM Prometheus", own_ttft_ms=33.0, notes=["by the server itself TTFT was 33 ms", "of all\x1b"])
    found = lines(build_result(make([ok_request(0)])), side(notes=["of the replies"]), page)
    assert found == [
        (
            "TTFT goes to",
            "mean 36.0 ms = queue 10.5 (29.2 %) · prefill 20.1 (55.8 %) · front end 2.40 (6.7 %) · network and client "
            "3.00 (8.3 %), by vLLM Prometheus of 384 requests",
        ),
        ("", "of all\N{REPLACEMENT CHARACTER}"),
    ]


def test_a_page_of_other_requests_too_has_no_front_end(make: Make) -> None:
    page = side(source="vLLM Prometheus", own_ttft_ms=None)
    ((_, text),) = lines(build_result(make([ok_request(0)])), page)
    assert "front end, network and client 5.40 (15 %)" in text


def test_replies_of_llama_go_before_its_page(make: Make) -> None:
    """The page shares the time of a batch out among its prompts; a request waits for all of it."""
    no_queue = {"queue": part(None), "unattributed": part(70.0)}
    replies = side(source="llama.cpp timings", ttft_ms=2160.0, prefill=part(2090.0), **no_queue, requests=1)
    page = side(source="llama.cpp Prometheus", ttft_ms=2160.0, prefill=part(555.0), **no_queue)
    ((_, text),) = lines(build_result(make([ok_request(0)])), replies, page)
    assert text == (
        "mean 2,160 ms = prefill 2,090 (96.8 %) · queue, front end, network and client 70.0 (3.2 %), "
        "by llama.cpp timings of 1 request"
    )


def test_sglang_tells_its_front_end_as_prefill(make: Make) -> None:
    page = side(source="SGLang Prometheus", own_ttft_ms=30.6)
    ((_, text),) = lines(build_result(make([ok_request(0)])), page)
    assert "prefill and front end 20.1 (55.8 %) · network and client 5.40 (15 %)" in text


def test_what_cannot_be_is_no_answer(make: Make) -> None:
    """Parts that are more than the whole, a TTFT that nobody saw."""
    result = build_result(make([ok_request(0)]))
    assert lines(result, side(unattributed=part(-3.0))) == []
    assert lines(result, side(ttft_ms=None, unattributed=part(None))) == []
