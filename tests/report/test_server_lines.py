from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from made import MS, ok_request

from loadcell.metrics import Result, build_result
from loadcell.metrics.model import ServerPart, ServerSide
from loadcell.recording.read import Recording
from loadcell.report.server import server_lines

Make = Callable[..., Recording]


def part(mean_ms: float | None, share: float | None = None) -> ServerPart:
    return ServerPart(mean_ms=mean_ms, p50_ms=None, p99_ms=None, share=share)


def side(**fields: Any) -> ServerSide:
    known: dict[str, Any] = {
        "source": "vLLM metrics", "requests": 384, "ttft_ms": 36.0, "queue": part(10.5, 10.5 / 36),
        "prefill": part(20.1, 20.1 / 36), "unattributed": part(5.4, 5.4 / 36),
    }  # fmt: skip
    return ServerSide(**known | fields)


def lines(result: Result, *sides: ServerSide) -> list[tuple[str, str]]:
    return list(server_lines(msgspec.structs.replace(result, server=list(sides))))


def test_a_server_that_tells_nothing_takes_no_line(make: Make) -> None:
    assert list(server_lines(build_result(make([ok_request(0)])))) == []


def test_the_parts_of_a_recording(make: Make) -> None:
    rows = [ok_request(i, server_queue_ns=10 * MS, server_prefill_ns=35 * MS) for i in range(2)]
    (line,) = server_lines(build_result(make(rows)))
    assert line == (
        "Server",
        "TTFT was 50.0 ms mean: 10.0 queue (20 %), 35.0 prefill (70 %), 5.00 unattributed (10 %) "
        "· by vLLM metrics of 2 requests",
    )


def test_each_source_has_a_line_and_its_notes_below(make: Make) -> None:
    page = side(source="vLLM Prometheus", notes=["both", "others\x1b load it"])
    found = lines(build_result(make([ok_request(0)])), side(notes=["both"]), page)
    assert [label for label, _ in found] == ["Server", "", "", ""]
    assert found[1][1] == "both"
    assert found[2][1].endswith("(15 %) · by vLLM Prometheus of 384 requests")
    assert found[3][1] == "others\N{REPLACEMENT CHARACTER} load it"


def test_what_is_not_told_is_left_out(make: Make) -> None:
    result = build_result(make([ok_request(0)]))
    no_queue = side(queue=part(None), prefill=part(30.0, 30 / 36), unattributed=part(6.0, 6 / 36), requests=1)
    assert lines(result, no_queue)[0][1] == (
        "TTFT was 36.0 ms mean: 30.0 prefill (83.3 %), 6.00 unattributed (16.7 %) · by vLLM metrics of 1 request"
    )
    no_ttft = side(ttft_ms=None, queue=part(10.5), prefill=part(20.1), unattributed=part(None))
    assert lines(result, no_ttft)[0][1] == "10.5 queue, 20.1 prefill ms mean · by vLLM metrics of 384 requests"
    nothing = side(queue=part(None), prefill=part(None), unattributed=part(None))
    assert lines(result, nothing)[0][1] == "TTFT was 36.0 ms mean: n/a · by vLLM metrics of 384 requests"
