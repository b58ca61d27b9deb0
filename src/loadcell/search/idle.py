"""Between two stages: what one left in the server's queue must not slow the next.

A stage whose requests were all awaited leaves nothing. One that gave requests up leaves what it had in the air: servers
drop a request when its connection closes, some only at their next token, and a proxy may never tell them. So the
server's page is asked until no more runs or waits than did before the first stage. Where no page tells, the time of a
typical request is given; the small request that every stage sends before its load waits behind what is queued, too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from loadcell.load.preflight import reachable
from loadcell.load.scrape import ANSWER_S, CONNECT_S, FETCH_ERRORS, fetch, metrics_target
from loadcell.load.target import Target, make_target
from loadcell.metrics.vocabulary import NAMES
from loadcell.phrases import phrase
from loadcell.recording.exposition import read_page
from loadcell.search.model import Stage
from loadcell.spec import Spec

MOST_S = 30.0
"""Longest wait for a server that tells of requests."""
_EVERY_S = 0.1
_LEAST_S, _PAUSE_MOST_S = 0.5, 10.0
_TELLS = {name.metric for name in NAMES if name.quantity in ("requests_running", "requests_waiting", "gateway_queue")}


def requests_there(spec: Spec) -> float | None:
    """Requests that run or wait on the server, by all its pages; None where none tells, or one does not answer."""
    told: list[float] = []
    try:
        for page in _pages(spec):
            text = fetch(page, reachable(page, CONNECT_S), CONNECT_S, ANSWER_S)
            told += [sample.value for sample in read_page(text) if sample.name in _TELLS]
    except FETCH_ERRORS:  # a page is a help, not a need: without it there is the pause
        return None
    return sum(told) if told else None


def _pages(spec: Spec) -> Iterator[Target]:
    endpoint = spec.endpoint
    target = make_target(endpoint, os.environ.get(endpoint.api_key_env))
    urls = [] if endpoint.metrics_url == "none" else [endpoint.metrics_url]
    for url in (*urls, *spec.observe.urls):
        yield metrics_target(endpoint, url, target)


def wait_idle(spec: Spec, usual: float | None, left: Stage) -> str | None:
    """Wait until the server has done with the stage `left`; a note if it has not after MOST_S.

    `usual`: what `requests_there` told before the first stage.
    """
    if usual is None:
        time.sleep(_pause_s(left))
        return None
    limit_s = time.monotonic() + MOST_S
    while (there := requests_there(spec)) is not None and there > usual:
        if time.monotonic() > limit_s:
            return phrase(
                "{:g} requests were still on the server {:g} s after the stage before: they slow this one",
                there,
                MOST_S,
            )
        time.sleep(_EVERY_S)
    return None


def _pause_s(left: Stage) -> float:
    """The median time of a request of a stage that gave some up, within bounds; 0 for one that awaited all."""
    if left.ended is None or left.point is None:
        return 0.0
    median = left.point.e2e_ms.get("p50")
    typical_ms = median.value if median is not None and median.value is not None else 0.0
    return min(max(_LEAST_S, typical_ms / 1000), _PAUSE_MOST_S)
