"""The checks of the audit: each looks at one part of the Result and says in words what it found and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from loadcell.metrics import checks_counters, checks_load, checks_server, checks_window
from loadcell.metrics.checks_load import capped, lockstep
from loadcell.metrics.limits import FINDINGS, LIMITS, Limits, grade, label, number
from loadcell.metrics.model import Bias, Check, Result, Spread


def _relief(result: Result) -> str:
    """How to take load off the client."""
    method = result.methodology
    load = "rate" if method.loop == "open" else "concurrency"
    cores = method.environment.get("cores_allowed")
    more = method.workers * 2
    if isinstance(cores, int) and more < cores:
        return f"use --workers {more} or halve the {load}"
    return f"halve the {load}, or load from a machine with more cores"


def _in_time(result: Result) -> str:
    """How to make the client do things in time: where it has little to do, its load is not what keeps it from it."""
    busy = [worker.busy_share for worker in result.instrument.workers]
    if busy and all(share is not None and share < LIMITS["busy"].valid / 2 for share in busy):
        return "the client has little to do, so keep other work off this machine and run again"
    return _relief(result)


def _tail_ms(spread: Spread) -> tuple[str, float | None]:
    """The 99th percentile, or the maximum where there are too few samples for it."""
    return ("p99", spread.p99_ms) if spread.p99_ms is not None else ("max", spread.max_ms)


# --- what cannot be trusted at all -----------------------------------------------------------------------------------


def _broken(result: Result) -> Iterator[Check]:
    for reason in result.invalid:
        yield label("accounting", "INVALID", reason, "run again; its parts that remain can be read with --force")
    if not result.invalid:
        yield label("accounting", "VALID", "planned = ok + failed + cancelled + unsent")
    audited = [w for w in result.instrument.workers if w.reads is not None and w.died is None]
    if len(audited) < result.methodology.workers and not result.invalid:
        yield label(
            "audit", "SUSPECT", "the instrument's own counters are missing: nothing says how good it was", "run again"
        )


# --- sending ---------------------------------------------------------------------------------------------------------


def _sending(result: Result) -> Iterator[Check]:
    audit = result.instrument
    if capped(result):
        yield label("send_lateness", None, "sends wait for the cap on concurrency: lateness is not the instrument's")
    else:
        name, late = _tail_ms(audit.send_lateness)
        yield grade(
            result,
            "send_lateness",
            late,
            f"sends late by {number(late, 'ms')} at {name}",
            _in_time(result),
            fatal=not lockstep(result),
        )
        sends = audit.send_lateness.n or 1
        off = None if audit.on_time_share is None else 1 - audit.on_time_share
        yield grade(
            result,
            "on_time",
            off,
            f"client late or early by more than 1 ms on {number(off, 'share')} of sends",
            _in_time(result),
            slack=(1 / sends, 10 / sends),  # one pause catches several sends: of few, that is a large share
            fatal=not lockstep(result),
        )


# --- reading ---------------------------------------------------------------------------------------------------------


def _reading(result: Result) -> Iterator[Check]:
    audit = result.instrument
    name, lag = _tail_ms(audit.read_lag)
    yield grade(
        result,
        "read_lag",
        lag,
        f"events read {number(lag, 'ms')} after they came, at {name}",
        _in_time(result),
    )
    merged = audit.merged_by_client_share
    yield grade(
        result,
        "merged",
        merged,
        f"{number(merged, 'share')} of events lost their own time in reads that came late",
        _in_time(result),
    )
    bare = audit.reads_without_stamp / audit.reads if audit.reads and audit.reads_without_stamp is not None else None
    yield grade(
        result,
        "stamps",
        bare,
        f"clock {audit.clock}: {number(bare, 'share')} of reads without a kernel stamp",
        "measure from Linux, where the kernel stamps every read",
    )
    steps = [worker.clock_steps for worker in audit.workers if worker.clock_steps is not None]
    count = max(steps, default=None)
    yield grade(
        result,
        "clock_steps",
        count,
        f"the wall clock was stepped {count} times during the run",
        "let the clock settle (NTP), then run again",
    )


# --- the machine -----------------------------------------------------------------------------------------------------


def _machine(result: Result) -> Iterator[Check]:
    audit = result.instrument

    def worst(name: str) -> float | None:
        values = [getattr(worker, name) for worker in audit.workers]
        return max((value for value in values if value is not None), default=None)

    busy, stall, wait = worst("busy_share"), audit.longest_stall_ms, worst("core_wait_share")
    pause = worst("gc_pause_max_ms")
    switches, steal = worst("switches_per_s"), audit.host.steal_share
    yield grade(
        result,
        "busy",
        busy,
        f"a load process was busy for {number(busy, 'share')} of the time",
        _relief(result),
    )
    cause = f", a garbage collection of {number(pause, 'ms')}" if pause and stall and pause > stall / 2 else ""
    yield grade(
        result,
        "stall",
        stall,
        f"the client stood still for {number(stall, 'ms')}{cause}",
        "keep other work off this machine and run again",
    )
    yield grade(
        result,
        "core_wait",
        wait,
        f"the client waited for a core for {number(wait, 'share')} of the time",
        "keep other work off this machine, or off the cores of the load",
    )
    yield grade(
        result,
        "switches",
        switches,
        f"the client was put aside {number(switches, '')} times a second",
        "keep other work off this machine, or off the cores of the load",
    )
    yield grade(
        result,
        "steal",
        steal,
        f"the hypervisor took {number(steal, 'share')} of the cores' time",
        "use a machine whose cores are its own",
    )


# --- connections and tokens ------------------------------------------------------------------------------------------


def _connections(result: Result) -> Iterator[Check]:
    used, effective = result.instrument.connections, result.methodology.effective
    total = used.new + used.reused
    share = used.new / total if total else None
    if effective.get("reuse_connections") is False:
        says = (
            "each request opens its own connection, the server keeps none: response times include the connect"
            if result.methodology.loop == "open"
            else "each request opens its own connection, the server keeps none: no latency includes the connect"
        )
        yield label("connections", "VALID", says)
    else:
        yield grade(
            result,
            "connections",
            share,
            f"{number(share, 'share')} of requests had to open a connection",
            "response times include the connect: give a longer --duration, or look why the server closes them"
            if result.methodology.loop == "open"
            else "no latency includes their connect, it lies between a user's requests: give a longer --duration, or "
            "look why the server closes them",
        )
    starved = None if used.no_ports is None or used.no_descriptors is None else used.no_ports + used.no_descriptors
    planned = result.counts.run.planned
    yield grade(
        result,
        "exhaustion",
        None if starved is None or not planned else starved / planned,
        f"{starved} connections failed for want of ports or file descriptors on this machine",
        "raise ulimit -n and net.ipv4.ip_local_port_range, or lower the load",
    )
    if effective.get("proxy"):
        yield label(
            "proxy",
            "SUSPECT",
            f"requests went through the proxy {effective['proxy']}: its time is in every figure",
            "set NO_PROXY to measure the server itself",
        )


def _tokens(result: Result) -> Iterator[Check]:
    off = result.instrument.tokens.difference_share
    yield grade(
        result,
        "token_closure",
        off,
        f"tokens counted in the streams differ from usage by {number(off, 'share')}",
        "per-token figures cannot be trusted: look at what the server counts",
    )


# --- the run itself --------------------------------------------------------------------------------------------------


def _stability(result: Result) -> Iterator[Check]:
    steady, stall = result.steady, result.instrument.longest_stall_ms
    if steady.stable is False and steady.growth_per_s.value is not None:
        paused = stall is not None and stall > LIMITS["stall"].valid
        advice = (
            "the client itself stood still: see its stall" if paused else "the server cannot keep up: lower the rate"
        )
        yield label("stability", "SUSPECT", f"unstable: {steady.says}", advice)
    else:
        yield label("stability", "VALID" if steady.stable else None, steady.says)


def _calibration(result: Result) -> Iterator[Check]:
    known = result.calibration
    if known is None:
        yield label("selftest", None, "no self-test of this machine: loadcell selftest makes one")
        return
    p50 = _worst_ms(known.bias, "p50_ms")
    p99 = _worst_ms(known.bias, "p99_ms")
    at = f"at {known.tokens_per_s:,.0f} tokens/s"
    advice = _relief(result)
    yield grade(
        result,
        "selftest_p50",
        p50,
        f"self-test {at}: wrong by {number(p50, 'ms')} at p50",
        advice,
    )
    yield grade(
        result,
        "selftest_p99",
        p99,
        f"self-test {at}: wrong by {number(p99, 'ms')} at p99",
        advice,
    )


def _worst_ms(bias: dict[str, Bias], name: str) -> float | None:
    return max((abs(v) for b in bias.values() if (v := getattr(b, name)) is not None), default=None)


# --- the tables: a module of checks hangs itself in by its CHECKS, its LIMITS and its FINDINGS ------------------------

# Causes come before effects: the first reason is the one that is read.
CHECKS: tuple[Callable[[Result], Iterator[Check]], ...] = (
    _broken, _machine, *checks_load.CHECKS, _stability, _sending, _reading, _connections, _tokens, _calibration,
    *checks_server.CHECKS, *checks_counters.CHECKS, *checks_window.CHECKS,
)  # fmt: skip
ALL_LIMITS: dict[str, Limits] = {
    **LIMITS, **checks_load.LIMITS, **checks_server.LIMITS, **checks_counters.LIMITS, **checks_window.LIMITS,
}  # fmt: skip
"""Every limit by the name of its check; a module of checks adds its own (`grade(..., limits=LIMITS[name])`)."""
ALL_FINDINGS: dict[str, str] = {
    **FINDINGS, **checks_load.FINDINGS, **checks_server.FINDINGS, **checks_counters.FINDINGS, **checks_window.FINDINGS,
}  # fmt: skip
"""Every check without a figure, likewise."""
