"""What is said of each difficult stream: one row a stream, through both APIs."""

from __future__ import annotations

import pytest
from difficult import EACH, ROWS, Said
from known import lies_in

CASES = [
    (api, name) for api in ("chat", "completions") for name, row in ROWS.items() if api == "chat" or not row.chat_only
]


@pytest.fixture
def said(request: pytest.FixtureRequest, api: str, name: str) -> Said:
    found: dict[str, Said] = request.getfixturevalue(api)
    return found[name]


@pytest.mark.parametrize(("api", "name"), CASES)
def test_stream(said: Said, name: str) -> None:
    expected, result = ROWS[name], said.result
    counts = result.counts.window
    assert (counts.planned, counts.ok, counts.failed) == (EACH, expected.ok, EACH - expected.ok), said.rows
    failures = {row["error_kind"] for row in said.rows if row["status"] == "failed"}
    assert failures == ({expected.error} if expected.error else set())
    assert all(row["error"] for row in said.rows if row["status"] == "failed")
    judged = [row for row in said.rows if row["status"] == "ok"] or said.rows
    assert {row["output_chunks"] for row in judged} == {expected.chunks}
    if expected.tokens is not None or expected.source is None:
        assert {row["output_tokens"] for row in judged} == {expected.tokens}
    if expected.ok:
        assert {row["token_source"] for row in judged} == {expected.source}
    if not expected.ok:
        assert all(summary.service.n == 0 and summary.service.mean is None for summary in result.latency.values())
        return
    nominal = {
        "ttft_ms": expected.ttft_ms,
        "itl_ms": expected.itl_ms,
        "tpot_ms": expected.tpot_ms,
        "e2e_ms": expected.e2e_ms,
    }
    for figure, value in nominal.items():
        assert (said.service_ms(figure) is None) == (value is None), figure
    assert expected.ttft_ms is not None and expected.e2e_ms is not None
    bounds = said.bounds_ms
    assert bounds["ttft"][1] >= expected.ttft_ms and bounds["e2e"][1] >= expected.e2e_ms, "the server kept to its times"
    assert lies_in(said.service_ms("ttft_ms"), bounds["ttft"], 5)
    assert lies_in(said.service_ms("e2e_ms"), bounds["e2e"], 5)
    for value, figure in ((expected.itl_ms, "itl_ms"), (expected.tpot_ms, "tpot_ms")):
        if value is not None:
            steps = (expected.e2e_ms - expected.ttft_ms) / value
            low, high = bounds["spread"]
            assert lies_in(said.service_ms(figure), (low / steps, high / steps), 1), figure
