"""Whether a server goes on with what was given up: the estimate against simulated servers that do, or do in part."""

from __future__ import annotations

import numpy as np
import pytest

from loadcell.metrics.behaved import inside, share_gone_on

S = 1e9


def simulated(share: float, rng: np.random.Generator, looks_s: float) -> tuple[np.ndarray, ...]:  # type: ignore[type-arg]
    """400 s of a load at 5 requests/s that take 4 s; half are given up after 1 s, of which a share is gone on with.

    Returns times of looks, what the server has at them, what is in flight, and what would run if it noticed none.
    """
    sent = np.cumsum(rng.exponential(0.2, 2000)) * S
    given_up, goes_on = rng.random(2000) < 0.5, rng.random(2000) < share
    ended = sent + np.where(given_up, 1.0, 4.0) * S
    at_server = sent + np.where(given_up & ~goes_on, 1.0, 4.0) * S
    t = np.arange(10 * S, 390 * S, looks_s * S)
    expected = inside(t, ended[given_up], ended[given_up] + 3 * S)
    return t, inside(t, sent + 0.001 * S, at_server + 0.001 * S), inside(t, sent, ended), expected


@pytest.mark.parametrize(("share", "looks_s"), [(0.0, 2.0), (0.3, 2.0), (0.3, 0.5), (1.0, 2.0)])
def test_the_share_and_its_interval(share: float, looks_s: float) -> None:
    rng, covered, found = np.random.default_rng(7), 0, []
    for _ in range(200):
        _, has, flight, expected = simulated(share, rng, looks_s)
        value, low, high = share_gone_on(has - flight, expected)
        found.append(value)
        covered += low - 0.01 <= share <= high + 0.01
    assert np.mean(found) == pytest.approx(share, abs=0.02)
    assert covered / 200 > 0.9
