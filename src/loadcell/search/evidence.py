"""Whether a share of requests keeps to the SLO: a sequential test that may look as often as it likes.

Two one-sided tests run side by side. Each weighs the misses against the share q that may miss: by the likelihood of
fewer misses (for a pass) or of more (for a fail), averaged over a few such shares. That is a mixture of sequential
probability-ratio tests (Wald 1945; Robbins 1970). Of independent requests the chance that it ever reaches 1/alpha
against a true null is at most alpha, however often one looks (Ville 1939).

Requests are not independent: a queue makes misses come in runs. The log-likelihoods are divided by the variance
inflation (`metrics.dependence`), so that n requests count as n / VIF. Misses are too few to tell their own dependence
where it matters, so it is measured on a graded outcome as well: how near each request came to its limit. Runs of
requests above some of its percentiles show how long the queue stays high, before a limit breaks. And a stage shorter
than such a run cannot show it: so a number of requests, those in flight together a few times over, counts as one at
least, and a stage must last for many of them (`Ask.together`, `Ask.least_requests`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from loadcell.load.steer import AT_LIMIT
from loadcell.metrics.dependence import inflation
from loadcell.search.model import Answer

Codes = npt.NDArray[np.uint8]

STEERS = 1.5
"""log10 of the evidence that ends a stage: it shows where to look next."""
SETTLES = 3.0
"""log10 of the evidence, over all stages at a load, that an end of the bracket must have."""
ENDS_EARLY = ("bisect", "confirm")
"""Phases whose stages end where they can decide nothing; others show the way, or how near requests come, even so."""
_LOOKS_RATIO = 1.08
_FEWER, _MORE = (0.8, 0.5, 0.2), (1.25, 2.0, 5.0, 20.0)
"""Shares of misses, over the target's, that the evidence is averaged over."""
_MOST_MISSES = 0.9
_LEVELS = (0.5, 0.75, 0.9, 0.95)


class Evidence(NamedTuple):
    """What n graded requests say about a target."""

    judged: int
    missed: int
    dependence: float
    """VIF: requests that count as one."""
    for_pass: float
    """log10 of the evidence that fewer miss than the target allows."""
    for_fail: float

    @property
    def answer(self) -> Answer:
        """What is decided."""
        return answer_of(self.for_pass, self.for_fail)


def answer_of(for_pass: float, for_fail: float) -> Answer:
    """What evidence decides."""
    return "pass" if for_pass >= STEERS else "fail" if for_fail >= STEERS else "undecided"


def weigh(codes: Codes, target: float, together: float = 1.0) -> Evidence:
    """The evidence of graded outcomes in the order of their plan, against a share `target` that keeps to the SLO.

    `together` requests count as one at least.
    """
    judged, missed = codes.size, int(np.count_nonzero(codes > AT_LIMIT))
    vif = max(together, dependence(codes))

    return Evidence(
        judged,
        missed,
        vif,
        _mixture(judged / vif, missed / vif, target, _FEWER),
        _mixture(judged / vif, missed / vif, target, _MORE),
    )


def _mixture(judged: float, missed: float, target: float, ratios: tuple[float, ...]) -> float:
    """log10 of the mean likelihood of the alternatives, over that of the target."""
    allowed = 1.0 - target
    shares = {min(ratio * allowed, max(_MOST_MISSES, 1 - target / 2)) for ratio in ratios}
    logs = [missed * math.log(p / allowed) + (judged - missed) * math.log((1 - p) / (1 - allowed)) for p in shares]
    top = max(logs)
    return (top + math.log(sum(math.exp(x - top) for x in logs) / len(logs))) / math.log(10)


def least_for_pass(target: float) -> int:
    """Independent requests that a pass needs, were none to miss."""
    count = 1
    while _mixture(count, 0, target, _FEWER) < STEERS:
        count = math.ceil(1.01 * count)
    return count


def dependence(codes: Codes) -> float:
    """VIF of graded outcomes: the largest of the misses' and of what exceeds some percentiles of the margin."""
    if not codes.size:
        return 1.0
    limits = {AT_LIMIT, *(int(x) for x in np.quantile(codes, _LEVELS, method="inverted_cdf"))}
    return max(inflation((codes > limit).astype(np.float64)) for limit in limits)


def looks(least: int, available: int) -> Iterator[int]:
    """Numbers of requests at which the test looks, up to those available: each some per cent more than the last."""
    count = float(least)
    while count <= available:
        yield int(count)
        count *= _LOOKS_RATIO


def decide(codes: Codes, target: float, together: float, least: int, most: int | None = None) -> Evidence:
    """The evidence at the first look, from `least` requests on, that ends a stage; else that of all requests.

    A stage ends when it is decided. One that may judge `most` requests ends, too, where it is futile to go on.
    """
    for count in looks(least, codes.size):
        found = weigh(codes[:count], target, together)
        if found.answer != "undecided" or (most is not None and futile(found, target, most)):
            return found
    return weigh(codes, target, together)


def futile(found: Evidence, target: float, most: int) -> bool:
    """Whether a stage that may judge `most` requests can no longer pass or fail, or is half over with all evidence
    against both answers: its load is too near to the boundary.

    It could still pass if no further request missed, and fail if as many did as the alternative expects at the most.
    """
    if 2 * found.judged >= most and max(found.for_pass, found.for_fail) < 0:
        return True
    left = max(0, most - found.judged)
    judged, missed = most / found.dependence, found.missed / found.dependence
    worst = missed + left / found.dependence * min(max(_MORE) * (1 - target), 1.0)
    passes = _mixture(judged, missed, target, _FEWER) >= STEERS
    return not passes and _mixture(judged, worst, target, _MORE) < STEERS
