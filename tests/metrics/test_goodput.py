from __future__ import annotations

from collections.abc import Callable

import pytest
from made import MS, failed_request, ok_request

from loadcell.metrics import build_result
from loadcell.recording.read import Recording
from loadcell.spec import Slo

Make = Callable[..., Recording]


def test_failed_cancelled_and_unsent_are_misses(make: Make) -> None:
    rows = [ok_request(0), ok_request(1, start_ms=10), failed_request(2, "cut"), failed_request(3, "cut")]
    rows[3]["status"] = "cancelled"
    result = build_result(make(rows, planned=5, slo={"ttft_ms": 60}))
    good = result.goodput
    assert good is not None
    assert (good.good, good.planned, good.attainment.value) == (2, 5, 0.4)
    assert good.goodput_per_s == pytest.approx(2 / 0.26)
    assert good.anchor == "service"


def test_every_limit_is_judged_apart_and_together(make: Make) -> None:
    rows = [
        ok_request(0),
        ok_request(1, first_any_ns=90 * MS),  # slow to start, then a faster pace
        ok_request(2, last_ns=500 * MS),
    ]
    good = build_result(make(rows), slo=Slo(ttft_ms=60, tpot_ms=30, e2e_ms=230)).goodput
    assert good is not None and good.good == 1
    assert {name: limit.met for name, limit in good.limits.items()} == {"ttft_ms": 2, "tpot_ms": 2, "e2e_ms": 2}


def test_a_limit_met_exactly_is_met(make: Make) -> None:
    good = build_result(make([ok_request(0)]), slo=Slo(ttft_ms=50, tpot_ms=20, e2e_ms=230)).goodput
    assert good is not None and good.good == 1


def test_an_open_loop_is_judged_by_response_time(make: Make) -> None:
    row = ok_request(0, start_ms=40, planned_ns=0, ready_ns=None)
    recording = make([row], loop="open", planned=[0])
    good = build_result(recording, slo=Slo(ttft_ms=60)).goodput
    assert good is not None and (good.good, good.anchor) == (0, "response")
    assert build_result(recording, slo=Slo(ttft_ms=90)).goodput.good == 1  # type: ignore[union-attr]


def test_one_token_keeps_a_limit_on_tpot(make: Make) -> None:
    good = build_result(make([ok_request(0, tokens=1)]), slo=Slo(tpot_ms=1)).goodput
    assert good is not None and good.good == 1


def test_what_a_reply_does_not_show_cannot_be_judged(make: Make) -> None:
    row = ok_request(0, first_any_ns=None, first_answer_ns=None, first_tokens=None, output_chunks=1)
    good = build_result(make([row], events=[]), slo=Slo(ttft_ms=500, e2e_ms=500)).goodput
    assert good is not None
    assert (good.good, good.attainment.value, good.goodput_per_s) == (None, None, None)
    assert good.limits["ttft_ms"].met is None and "cannot be judged" in (good.limits["ttft_ms"].note or "")
    assert good.limits["e2e_ms"].met == 1


def test_without_limits_there_is_no_goodput(make: Make) -> None:
    assert build_result(make([ok_request(0)])).goodput is None


def test_attainment_of_nothing_is_not_zero(make: Make) -> None:
    good = build_result(make([], planned=0, ended_ns=0), slo=Slo(ttft_ms=1)).goodput
    assert good is not None and (good.attainment.value, good.goodput_per_s) == (None, None)


@pytest.mark.parametrize("start", [0, 40])
def test_misses_in_a_run_widen_the_interval(make: Make, start: int) -> None:
    """40 misses of 200: every fifth request, or one after the other; failures among them."""
    missed = set(range(start, start + 40)) if start else set(range(0, 200, 5))
    rows = [ok_request(i, start_ms=i) if i not in missed else failed_request(i, "cut", start_ms=i) for i in range(200)]
    good = build_result(make(rows), slo=Slo(ttft_ms=60), window_s=(0, 1)).goodput
    assert good is not None and good.attainment.value == 0.8
    assert good.attainment.low is not None and (good.attainment.low < 0.6) is bool(start)
