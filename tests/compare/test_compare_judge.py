"""The words of a finding."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from loadcell.compare.duel import _invalid_reasons
from loadcell.compare.effect import Effect
from loadcell.compare.judge import _change, _Test
from loadcell.compare.measures import MEASURES


def test_an_open_end_asks_for_the_samples_that_close_it() -> None:
    why = "these are worth 26 of the 29 samples that it needs: some 46 requests"
    effect = Effect(0.0071, 0.0002, None, 0.04, 1e-6, "requests", "", open=why)
    change = _change(_Test(MEASURES["tpot.p90"], 10.94, 11.02, effect, None, None), 0.4, 0.05, 21)
    assert (change.finding, change.says, change.needs) == ("too little data", why, None)


def test_a_duel_is_refused_for_what_is_invalid_not_for_doubts() -> None:
    checks = [
        SimpleNamespace(word="SUSPECT", says="15 % of replies ended after the load did (limit 10 %)"),
        SimpleNamespace(word="INVALID", says="TTFT p90 of 627.4 ms is 555.9 ms to 627.4 ms"),
        SimpleNamespace(word="VALID", says="1 of 2"),
    ]
    reasons = [f"{check.says}: what to do" for check in checks[:2]]
    result: Any = SimpleNamespace(invalid=[], verdict=SimpleNamespace(checks=checks, reasons=reasons))
    assert _invalid_reasons(result) == [reasons[1]]
