"""The checks of the audit: each looks at one part of the Result and says in words what it found and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from loadcell.metrics import (
    checks_behaved,
    checks_budget,
    checks_cache,
    checks_classes,
    checks_counters,
    checks_imported,
    checks_load,
    checks_replies,
    checks_scenario,
    checks_server,
    checks_symptoms,
    checks_window,
)  # fmt: skip
from loadcell.metrics.limits import FINDINGS, LIMITS, SYMPTOMS, Limits, grade, label, number
from loadcell.metrics.model import Check, Connections, Result
from loadcell.phrases import phrase

# --- what cannot be trusted at all -----------------------------------------------------------------------------------


def _broken(result: Result) -> Iterator[Check]:
    for reason in result.invalid:
        yield label("accounting", "INVALID", reason, phrase("run again"))
    if not result.invalid:
        plain = phrase("planned = ok + failed + cancelled + unsent")
        with_abandoned = phrase("planned = ok + failed + abandoned + cancelled + unsent")
        yield label("accounting", "VALID", with_abandoned if result.counts.run.abandoned else plain)
    audited = [w for w in result.instrument.workers if w.reads is not None and w.died is None]
    if len(audited) < result.methodology.workers and not result.invalid:
        yield label(
            "audit",
            "SUSPECT",
            phrase("the instrument's own counters are missing: nothing says how good it was"),
            phrase("run again"),
        )


# --- the clock -------------------------------------------------------------------------------------------------------


def _clock(result: Result) -> Iterator[Check]:
    steps = [worker.clock_steps for worker in result.instrument.workers if worker.clock_steps is not None]
    count = max(steps, default=None)
    yield grade(
        result,
        "clock_steps",
        count,
        phrase("the wall clock was stepped {} times during the run", count),
        phrase("let the clock settle (NTP), then run again"),
    )


# --- connections and tokens ------------------------------------------------------------------------------------------


def _new_connections_say(used: Connections, loop: str) -> str:
    """What new connections mean for the figures, and what to do about that which caused most of them."""
    by_server, failed = used.closed_by_server, used.closed_after_failure
    if by_server is None or failed is None or by_server >= max(failed, used.new - by_server - failed):
        if loop == "open":
            return phrase(
                "response times include the connect: leave the first ones out with --warmup, or look why the server "
                "closes them"
            )
        return phrase(
            "no latency includes their connect, it lies between a user's requests: give a longer --duration, or "
            "look why the server closes them"
        )
    if failed >= used.new - by_server - failed:
        return phrase(
            "connections of failed requests are closed here, the server closed few: look at the failures first"
        )
    if loop == "open":
        return phrase(
            "response times include the connect; the server closed few, more were in flight than ever before: leave "
            "the first ones out with --warmup"
        )
    return phrase(
        "no latency includes their connect; the server closed few, they opened as users began: give a longer --duration"
    )


def _connections(result: Result) -> Iterator[Check]:
    used, effective = result.instrument.connections, result.methodology.effective
    total = used.new + used.reused
    new = max(0, used.new - result.counts.window.abandoned)  # who gives up closes a connection, as planned
    share = new / total if total else None
    if effective.get("reuse_connections") is False:
        says = (
            phrase("each request opens its own connection, the server keeps none: response times include the connect")
            if result.methodology.loop == "open"
            else phrase("each request opens its own connection, the server keeps none: no latency includes the connect")
        )
        yield label("connections", "VALID", says)
    else:
        yield grade(
            result,
            "connections",
            share,
            phrase("{} of requests had to open a connection", number(share, "share")),
            _new_connections_say(used, result.methodology.loop),
        )
    starved = None if used.no_ports is None or used.no_descriptors is None else used.no_ports + used.no_descriptors
    planned = result.counts.run.planned
    yield grade(
        result,
        "exhaustion",
        None if starved is None or not planned else starved / planned,
        phrase("{} connections failed for want of ports or file descriptors on this machine", starved),
        phrase("raise ulimit -n and net.ipv4.ip_local_port_range, or lower the load"),
    )
    if effective.get("proxy"):
        yield label(
            "proxy",
            "SUSPECT",
            phrase("requests went through the proxy {}: its time is in every figure", effective["proxy"]),
            phrase("set NO_PROXY to measure the server itself"),
        )


def _feeding(result: Result) -> Iterator[Check]:
    made = result.instrument.feeding
    if made is None:
        return
    issued = sum(worker.issued or 0 for worker in result.instrument.workers)
    yield grade(
        result,
        "requests_made",
        made.late / issued if made.late is not None and issued else None,
        phrase("{} of {} requests were sent late, for they were not made yet when they were due", made.late, issued),
        phrase(
            "the client makes them more slowly than the load sends them: use shorter prompts or a prompt file, or load "
            "from a machine with more cores"
        ),
    )


def _tokens(result: Result) -> Iterator[Check]:
    off = result.instrument.tokens.difference_share
    yield grade(
        result,
        "token_closure",
        off,
        phrase("tokens counted in the streams differ from usage by {}", number(off, "share")),
        phrase("per-token figures cannot be trusted: look at what the server counts"),
    )


# --- the run itself --------------------------------------------------------------------------------------------------


def _stability(result: Result) -> Iterator[Check]:
    steady, stall = result.steady, result.instrument.longest_stall_ms
    if steady.stable is False and steady.growth_per_s.value is not None:
        paused = stall is not None and stall > SYMPTOMS["stall"].valid
        advice = (
            phrase("the client itself stood still: see its stall")
            if paused
            else phrase("the server cannot keep up: lower the rate")
        )
        yield label("stability", "SUSPECT", phrase("unstable: {}", steady.says), advice)
    else:
        yield label("stability", "VALID" if steady.stable else None, steady.says)


# --- the tables: a module of checks hangs itself in by its CHECKS, its LIMITS and its FINDINGS ------------------------

# Causes come before effects: the first reason is the one that is read.
CHECKS: tuple[Callable[[Result], Iterator[Check]], ...] = (
    _broken, _feeding, *checks_load.CHECKS, *checks_classes.CHECKS, *checks_budget.CHECKS, _stability, _clock,
    _connections, _tokens, *checks_replies.CHECKS, *checks_server.CHECKS, *checks_counters.CHECKS,
    *checks_cache.CHECKS,
    *checks_window.CHECKS, *checks_behaved.CHECKS, *checks_scenario.CHECKS, *checks_symptoms.CHECKS,
)  # fmt: skip
ALL_LIMITS: dict[str, Limits] = {
    **checks_budget.LIMITS, **LIMITS, **checks_load.LIMITS, **checks_replies.LIMITS, **checks_server.LIMITS,
    **checks_counters.LIMITS, **checks_cache.LIMITS, **checks_window.LIMITS,
}  # fmt: skip
"""Every limit by the name of its check; a module of checks adds its own (`grade(..., limits=LIMITS[name])`)."""
ALL_FINDINGS: dict[str, str] = {
    **FINDINGS, **checks_budget.FINDINGS, **checks_load.FINDINGS, **checks_server.FINDINGS, **checks_counters.FINDINGS,
    **checks_window.FINDINGS, **checks_classes.FINDINGS, **checks_behaved.FINDINGS, **checks_scenario.FINDINGS,
    **checks_imported.FINDINGS,
}  # fmt: skip
"""Every check without a figure, likewise."""
OF_OUTPUT = frozenset((
    "short_outputs", "long_outputs", "selftest", "token_closure", "usage", "several_outputs", "first_field", "at_once",
    "together", "server_ttft", "missed_hits",
))  # fmt: skip
"""Checks of what only APIs have that generate text: they are not made of others."""
