"""The checks of the server's own counters: did it do what was asked, for this run alone, and from beginning to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from loadcell.metrics.checks_load import LIMITS as OF_LOAD
from loadcell.metrics.checks_load import beyond_plan, cached_advice, cached_slack, page_tells_cache, shares_by_plan
from loadcell.metrics.limits import Limits, grade, label, number
from loadcell.metrics.model import Check, Result, Series
from loadcell.phrases import phrase

LIMITS = {
    "others": Limits(phrase("requests that the server counted beyond those of this run"), "share", 0.01, None),
    "preemptions": Limits(phrase("requests that the server preempted in the window"), "", 0, None),
}
FINDINGS = {
    "restart": "SUSPECT where the server started anew, or the size of its KV cache changed, while the run lasted",
    "running": "SUSPECT where a closed loop had more requests in flight than the server ever ran, and the rest waited",
}
_LEAST_LOOKS = 5
"""Looks in the window from which on the largest value seen is a limit of the server."""
_PLATEAU = 0.75
"""A server that keeps at its limit runs this share of its most on average."""
_LEAST_WAITING = 0.5
"""Requests that wait on average, at least."""


def _restart(result: Result) -> Iterator[Check]:
    told, watched = result.counters, [] if result.observed is None else result.observed.restarted
    if told is None and result.observed is None:
        yield label("restart", None, phrase("the server has no page of counters"))
    elif watched or (told is not None and told.restarted):
        yield label(
            "restart",
            "SUSPECT",
            phrase("the server started anew while the run lasted, or its counters went down"),
            phrase("what it had in its caches was lost: run again, and see why it restarts"),
        )
    elif told is not None and told.pool_before and told.pool_after and told.pool_before != told.pool_after:
        yield label(
            "restart",
            "SUSPECT",
            phrase(
                "the server's KV cache went from {:,.0f} to {:,.0f} while the run lasted",
                told.pool_before,
                told.pool_after,
            ),
            phrase("before and after are two servers: run again"),
        )
    else:
        yield label("restart", "VALID", phrase("the server's counters did not start anew"))


def _others(result: Result) -> Iterator[Check]:
    """Whether another client loads the server: by requests, else by output tokens."""
    told = result.counters
    more: float | None = None
    if told is not None and result.run.state in ("running", "broken"):
        yield label("others", None, phrase("not all that this run sent is recorded: others cannot be told from it"))
        return
    says = phrase("the server counts no requests")
    if told is not None and told.own_requests:
        count, tokens = told.gained.get("requests_finished"), told.gained.get("output_tokens")
        own = max(told.own_requests, told.own_inputs or 0)  # vLLM counts each input as a request
        if count is not None:
            more = max(0.0, count - own) / own
            says = phrase("the server counted {:,.0f} requests where this run sent {:,}", count, own)
        elif "requests_finished" not in told.gained and tokens is not None and told.own_output_tokens:
            more = max(0.0, tokens - told.own_output_tokens) / told.own_output_tokens
            says = phrase(
                "the server counted {:,.0f} output tokens where this run got {:,.0f}", tokens, told.own_output_tokens
            )
    one = 1 / told.own_requests if told is not None and told.own_requests else 0.0  # a look by hand is no load
    yield grade(
        result,
        "others",
        more,
        says,
        phrase("another client loads this server: its requests are in every figure, so run when it is alone"),
        limits=LIMITS["others"],
        slack=(one, one),
    )


def _preemptions(result: Result) -> Iterator[Check]:
    series = _series(result, "preemptions")
    count = None if series is None else series.gained
    if count is None and result.counters is not None:
        count = result.counters.gained.get("preemptions")
    yield grade(
        result,
        "preemptions",
        count,
        phrase("the server preempted {} requests", number(count, "")),
        phrase(
            "its KV cache was full, and what was thrown out was computed again: lower the load, or give it more memory"
        ),
        limits=LIMITS["preemptions"],
    )


def _running(result: Result) -> Iterator[Check]:
    """Closed loop: whether the server ran as many as were in flight. An open loop asks for none in particular."""
    running, waiting, flight = (
        _series(result, "requests_running"),
        _series(result, "requests_waiting"),
        result.concurrency,
    )
    spec = result.methodology.spec
    together, ordered = spec.load.lockstep, spec.loadgen.scenario is not None
    pausing = spec.sessions.think is not None or result.sessions is not None
    if result.methodology.loop == "open" or together or ordered or pausing or not flight.asked or flight.mean is None:
        return
    if running is None or running.max is None or running.mean is None or _looks(result, running) < _LEAST_LOOKS:
        yield label("running", None, phrase("too few looks at the server to tell how many requests it ran"))
        return
    waits = None if waiting is None else waiting.mean
    kept_back = running.max <= flight.asked - 1 and running.mean >= _PLATEAU * running.max
    if kept_back and (waits if waits is not None else flight.mean - running.max) >= _LEAST_WAITING:
        yield label(
            "running",
            "SUSPECT",
            phrase(
                "the server ran {:,.0f} requests at most while {:,.3g} of {:,} users had one in flight",
                running.max,
                flight.mean,
                flight.asked,
            ),
            _RUNNING_ADVICE,
        )
    else:
        yield label("running", "VALID", phrase("the server ran {:,.0f} requests at most", running.max))


_RUNNING_ADVICE = phrase(
    "the rest waited for a place, and TTFT holds it: raise the server's limit (max-num-seqs, max-running-requests, "
    "slots), or ask for fewer users"
)


def _cached(result: Result) -> Iterator[Check]:
    """Cached prompt tokens where the server's page alone tells of them; what replies tell has a check of its own."""
    if not page_tells_cache(result) or result.counters is None:
        return
    hits, asked = (result.counters.gained[f"prefix_cache_{name}"] or 0.0 for name in ("hits", "queries"))
    template = result.methodology.effective.get("template_tokens") or 0
    share = max(0.0, hits - float(template) * result.counters.own_requests) / asked
    if shares_by_plan(result):
        share = max(0.0, beyond_plan(result, "page"))
    yield grade(
        result,
        "cached_prompts",
        share,
        phrase("the server took {} of the prompt tokens from its cache, by its own counters", number(share, "share")),
        cached_advice(result),
        limits=OF_LOAD["cached_prompts"],
        slack=cached_slack(result),
    )


def _series(result: Result, name: str) -> Series | None:
    return None if result.observed is None else result.observed.series.get(name)


def _looks(result: Result, series: Series) -> int:
    window = result.methodology.window
    inside = (window.start_s <= t <= window.end_s for t in series.t_s)
    return sum(held and value is not None for held, value in zip(inside, series.values, strict=True))


CHECKS: tuple[Callable[[Result], Iterator[Check]], ...] = (_restart, _others, _preemptions, _running, _cached)
