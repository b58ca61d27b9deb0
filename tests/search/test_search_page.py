"""docs/search.md says the numbers of the code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loadcell.load.steer import WORST
from loadcell.search import answer, curves, evidence, idle, levels
from loadcell.search import next as steps

PAGE = " ".join((Path(__file__).parents[2] / "docs/search.md").read_text(encoding="utf-8").split())


def in_words(value: float, known: float, words: str) -> str:
    """What the page says of a value that is written in words; of another value nothing is said yet."""
    return words if value == known else f"{value:g} instead of {words!r}"


@pytest.mark.parametrize(
    "text",
    [
        f"one user alone | {steps.FLOOR_REQUESTS} requests",
        f"{steps._RAMP_E2ES} E2E, or {steps._RAMP_REQUESTS} requests",
        in_words(steps._FIRST, 0.5, "from half of what one user alone reaches"),
        f"to a {steps._LOWEST}th of where it began",
        f"ends after {steps.MOST_STAGES} stages at the latest",
        f"there are {steps.MOST_AT_A_LOAD} at most",
        f"evidence of {10**levels.SETTLES:.0f} to 1 together",
        f"({steps._WARMUP_E2ES} E2E of one user, ",
        "({}, {} and {} of them, averaged)".format(*evidence._FEWER),
        "({:g}, {:g}, {:g} and {:g} times)".format(*evidence._MORE),
        f"10 to the power of {evidence.STEERS}",
        in_words(steps._TOGETHER, 0.25, "a quarter of the requests in flight at once"),
        f"With {steps._MOST_UNDECIDED} of them there",
        f"with {2 * steps._MOST_UNDECIDED} in all the search ends",
        in_words(steps._WARMUP_MOST, 0.25, "a quarter of the stage at most"),
        in_words(steps._WARMUP_MOST, 0.25, "and a third more with its warm-up"),
        f"before {steps._JUDGED_LEAST} requests, nor before {steps._JUDGED_E2ES} times those in flight",
        in_words(answer._CLIFF, 0.5, "less than half of the share that was asked"),
        f"({idle.MOST_S:g} s at most)",
        f"from {curves.LEAST_FOR_KNEE} loads on",
        f"from {curves.LEAST_FOR_FIT} loads on",
    ],
)
def test_the_page_says(text: str) -> None:
    assert text in PAGE


def needed(target: float, missing: float) -> int:
    """Requests that decide, if the share `missing` of them misses."""
    for count in range(20, 10_000):
        codes = np.ones(count, np.uint8)
        codes[: round(missing * count)] = WORST
        if evidence.weigh(codes, target).answer != "undecided":
            return count
    raise AssertionError("never decided")


@pytest.mark.parametrize("target", [0.9, 0.95, 0.99])
def test_the_requests_that_a_decision_needs(target: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "dependence", lambda codes: 1.0)
    row = [needed(target, part * (1 - target)) for part in (0, 0.5, 2, 5)]
    assert f"| {target:.0%} | {' | '.join(f'{count:,}' for count in row)} |" in PAGE
