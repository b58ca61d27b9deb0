"""The checks of what users did beside waiting: did they do it on time, and did the server notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from loadcell.metrics.limits import label, number
from loadcell.metrics.model import Check, Result
from loadcell.phrases import phrase

FINDINGS = {
    "abandoned": "NOTED where users gave up requests before the first output, as planned: TTFT is of the others",
    "noticed": "NOTED where the server went on with requests that their users had given up, by its own page: with at "
    "least a tenth of what was left of them",
}
_GOES_ON = 0.1
"""Share of the work left for nobody that a server surely goes on with from which on it is told."""


def _abandoned(result: Result) -> Iterator[Check]:
    found = None if result.behaved is None else result.behaved.abandoned
    if found is None:
        return
    share = found.before_first / result.counts.window.planned if result.counts.window.planned else None
    says = phrase("{} of users gave up before the first output", number(share, "share"))
    if found.before_first:
        advice = phrase(
            "TTFT is of those to whom it came: read the one that counts the others as at least their patience"
        )
        yield label("abandoned", "NOTED", says, advice)
    else:
        yield label("abandoned", "VALID", phrase("no user gave up before the first output"))


def _noticed(result: Result) -> Iterator[Check]:
    found = result.behaved
    if found is None or found.abandoned is None:
        return
    told = found.noticed
    if told is None:
        yield label(
            "noticed",
            None,
            phrase("nothing tells whether the server stops what was given up: its page tells no requests, or too few"),
        )
        return
    share = number(max(0.0, min(1.0, told.share)), "share")
    if told.low > _GOES_ON:
        yield label(
            "noticed",
            "NOTED",
            phrase(
                "the server went on with requests that were given up: with about {} of what was left of them, by {} "
                "looks at its page",
                share,
                told.looks,
            ),
            phrase(
                "it computes for nobody, and takes places from others: have it end a request whose connection is "
                "closed, and see whether a proxy before it keeps the connection open"
            ),
        )
    elif told.high < 2 * _GOES_ON:
        yield label(
            "noticed",
            "VALID",
            phrase("the server stopped what was given up, as far as {} looks at its page tell", told.looks),
        )
    else:
        yield label(
            "noticed",
            None,
            phrase(
                "whether the server stops what was given up cannot be told: it went on with {} to {} of it, by {} "
                "looks at its page",
                number(max(0.0, told.low), "share"),
                number(min(1.0, told.high), "share"),
                told.looks,
            ),
        )


CHECKS: tuple[Callable[[Result], Iterator[Check]], ...] = (_abandoned, _noticed)
