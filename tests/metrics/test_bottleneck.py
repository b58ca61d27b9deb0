"""One sentence: what takes most of a reply's time, and what a difference comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from made import MS, build, ok_request

from loadcell.metrics import Result, build_result
from loadcell.metrics.bottleneck import bottleneck, comes_from, parts_of_e2e
from loadcell.metrics.model import Observed, Series
from loadcell.recording.read import Recording

Make = Callable[..., Recording]


@pytest.fixture
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Result]:
    """60 requests of 10 tokens with a TTFT of queue, prefill and 5 ms, and a pace."""

    def go(queue_ms: float | None = 0.0, prefill_ms: float = 45.0, pace_ms: float = 20.0) -> Result:
        def row(i: int) -> dict[str, Any]:
            start = 900 * i * MS
            first = start + round(((queue_ms or 0.0) + prefill_ms + 5) * MS)
            last = first + round(9 * pace_ms * MS)
            told = (
                {}
                if queue_ms is None
                else {"server_queue_ns": round(queue_ms * MS), "server_prefill_ns": round(prefill_ms * MS)}
            )
            return ok_request(i, start_ms=900 * i, first_any_ns=first, last_ns=last, end_ns=last, **told)

        return build_result(build(tmp_path_factory.mktemp("made") / "run", [row(i) for i in range(60)]))

    return go


def test_the_parts_add_up_to_e2e(made: Callable[..., Result]) -> None:
    result = made(10, 40, 20)
    parts = parts_of_e2e(result)
    assert parts == pytest.approx({"queue": 10, "prefill": 40, "front_end+network_and_client": 5, "decode": 180})
    assert sum(parts.values()) == pytest.approx(result.latency["e2e_ms"].service.mean)


@pytest.mark.parametrize(
    ("queue", "prefill", "pace", "says"),
    [
        (0.0, 45.0, 20.0, "most of E2E is decoding: 78 % of 230 ms"),
        (0.0, 400.0, 5.0, "most of E2E is prefill: 89 % of 450 ms"),
        (900.0, 45.0, 5.0, "most of E2E is the server's queue: 90 % of 995 ms"),
        (None, 400.0, 5.0, "most of E2E is the way to the first token: 90 % of 450 ms"),
    ],
)
def test_the_largest_part(
    made: Callable[..., Result], queue: float | None, prefill: float, pace: float, says: str
) -> None:
    assert made(queue, prefill, pace).bottleneck == says


def test_a_queue_says_why(made: Callable[..., Result]) -> None:
    def series(most: float) -> Series:
        return Series(
            title="x",
            unit="x",
            kind="gauge",
            sources=["a"],
            mean=most,
            min=most,
            max=most,
            gained=None,
            t_s=[],
            values=[],
        )

    told = Observed(sources=[], series={"kv_cache_use": series(0.99), "requests_running": series(4.0)}, energy=None)
    says = bottleneck(msgspec.structs.replace(made(900.0, 45.0, 5.0), observed=told))
    assert says is not None and says.endswith(": its KV cache was full; it ran 4 requests at most")


def test_what_a_difference_comes_from(made: Callable[..., Result]) -> None:
    base = made(0, 45, 20)
    assert comes_from(base, made(30, 45, 20)) == "TTFT +60 %: the server's queue 0 % → 38 % of it"
    assert comes_from(base, made(0, 20, 20)) == "TTFT -50 %: prefill 90 % → 80 % of it"
    assert comes_from(base, made(0, 45, 30)) == "E2E +39 %: decoding 180 → 270 ms of 230 → 320 ms"
    assert comes_from(base, made(0, 45, 20.1)) is None
    assert comes_from(base, made(None, 145, 20)) == "E2E +43 %: the way to the first token 50 → 150 ms of 230 → 330 ms"


def test_without_a_stream_there_is_none(make: Make) -> None:
    row = ok_request(0) | {"first_any_ns": None, "first_answer_ns": None}
    assert build_result(make([row], events=[])).bottleneck is None


def test_what_a_cap_holds_back_is_named(make: Make) -> None:
    """Requests of 250 ms that waited 15 s for a place: "most of E2E is decoding: 80 % of 250 ms" beside an E2E of
    15 s."""
    rows = [ok_request(i, start_ms=15_000 + 250 * i, planned_ns=250 * i * MS) for i in range(40)]
    load = {"rate": 4.0, "concurrency": 1, "duration_s": 10.0}
    result = build_result(make(rows, loop="open", planned=[250.0 * i for i in range(40)], load=load))
    assert result.bottleneck is not None
    assert result.bottleneck.startswith("most of E2E is waiting for a place under the cap on concurrency: 98 % of 15,2")
