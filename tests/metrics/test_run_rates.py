"""The rates of the whole run by the definition of other tools, against sums that are taken by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from made import MS, failed_request, ok_request

from loadcell.metrics import build_result
from loadcell.recording.read import Recording

Make = Callable[..., Recording]


def test_they_run_from_the_first_send_to_the_last_reply(make: Make) -> None:
    """Ten tokens and 110 prompt tokens each; a failure is in the time, not in the counts; beyond is in neither."""
    beyond = ok_request(3, start_ms=900, counted=False)
    rows = [failed_request(0, "http_500", start_ms=10), *(ok_request(i, start_ms=100 * i) for i in (1, 2)), beyond]
    found = build_result(make(rows)).run_rates
    last_end_ms = 200 + 50 + 9 * 20 + 20
    assert found is not None and found.seconds == pytest.approx((last_end_ms - 10) / 1e3)
    assert found.requests_per_s == pytest.approx(2 / found.seconds)
    assert found.output_tokens_per_s == pytest.approx(20 / found.seconds)
    assert found.total_tokens_per_s == pytest.approx(240 / found.seconds)


def test_without_a_reply_they_are_unknown(make: Make) -> None:
    found = build_result(make([failed_request(0, "http_500")])).run_rates
    assert found is not None and found.seconds is None and found.requests_per_s is None


def test_without_a_count_the_rate_of_tokens_is_unknown(make: Make) -> None:
    found = build_result(make([ok_request(0, output_tokens=None, first_tokens=None, end_ns=500 * MS)])).run_rates
    assert found is not None and found.output_tokens_per_s is None and found.requests_per_s == pytest.approx(2)
