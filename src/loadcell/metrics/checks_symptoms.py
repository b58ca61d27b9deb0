"""What the instrument noticed of itself and of its machine. Symptoms judge nothing: they explain a figure whose error
budget is too wide, and say what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from loadcell.apis import CALLABLE
from loadcell.metrics.limits import SYMPTOMS, label, note, number
from loadcell.metrics.model import Check, Result, Spread
from loadcell.phrases import joined, phrase
from loadcell.urls import socket_of

_OTHERS = phrase("keep other work off this machine, or off the cores of the load")


def relief(result: Result) -> str:
    """How to take load off the client."""
    method = result.methodology
    load = "rate" if method.loop == "open" else "concurrency"
    cores, quota = method.environment.get("cores_allowed"), method.environment.get("cores_quota")
    cores = int(min(cores, quota)) if isinstance(cores, int) and isinstance(quota, int | float) else cores
    if method.spec.endpoint.api == CALLABLE:
        return phrase("halve the {}, or put a server in front of the engine and load that", load)
    more = method.workers * 2
    if isinstance(cores, int) and more < cores:
        return phrase("use --workers {} or halve the {}", more, load)
    return phrase("halve the {}, or load from a machine with more cores", load)


def in_time(result: Result) -> str:
    """How to make the client do things in time: where it has little to do, its load is not what keeps it from it."""
    busy = [worker.busy_share for worker in result.instrument.workers]
    if busy and all(share is not None and share < SYMPTOMS["busy"].valid / 2 for share in busy):
        return phrase("the client has little to do, so keep other work off this machine and run again")
    return relief(result)


def _tail_ms(spread: Spread) -> tuple[str, float | None]:
    """The 99th percentile, or the maximum where there are too few samples for it."""
    return ("p99", spread.p99_ms) if spread.p99_ms is not None else ("max", spread.max_ms)


def _worst(result: Result, name: str) -> float | None:
    values = [getattr(worker, name) for worker in result.instrument.workers]
    return max((value for value in values if value is not None), default=None)


def _machine(result: Result) -> Iterator[Check]:
    busy, switches, steal = _worst(result, "busy_share"), _worst(result, "switches_per_s"), _steal(result)
    stall, wait = result.instrument.longest_stall_ms, _worst(result, "core_wait_share")
    yield note(
        result,
        "busy",
        busy,
        phrase("a load process was busy for {} of the time", number(busy, "share")),
        relief(result),
    )
    yield note(result, "stall", stall, _stall_says(result), phrase("keep other work off this machine and run again"))
    says = phrase("the client waited for a core for {} of the time", number(wait, "share"))
    yield note(result, "core_wait", wait, says, _OTHERS)
    says = phrase("the client was put aside {} times a second", number(switches, ""))
    yield note(result, "switches", switches, says, _OTHERS)
    says = phrase("the hypervisor took {} of the cores' time", number(steal, "share"))
    yield note(result, "steal", steal, says, phrase("use a machine whose cores are its own"))
    host = result.instrument.host
    if host.throttled_share is not None:
        says = phrase(
            "the container's quota of CPU time was used up in {} of its periods: "
            "its processes were put aside for {} in all",
            number(host.throttled_share, "share"),
            number(host.throttled_s, "s"),
        )
        yield note(
            result,
            "throttled",
            host.throttled_share,
            says,
            phrase("give the container more CPU (cpu.max), or lower the load"),
        )


def _steal(result: Result) -> float | None:
    return result.instrument.host.steal_share


def _stall_says(result: Result) -> str:
    stall, pause = result.instrument.longest_stall_ms, _worst(result, "gc_pause_max_ms")
    if pause and stall and pause > stall / 2:
        return phrase(
            "the client stood still for {}, a garbage collection of {}", number(stall, "ms"), number(pause, "ms")
        )
    return phrase("the client stood still for {}", number(stall, "ms"))


def _sending(result: Result) -> Iterator[Check]:
    audit = result.instrument
    if result.methodology.loop == "open" and result.concurrency.asked is not None:
        yield label(
            "send_lateness", None, phrase("sends wait for the cap on concurrency: lateness is not the instrument's")
        )
        return
    name, late = _tail_ms(audit.send_lateness)
    yield note(
        result, "send_lateness", late, phrase("sends late by {} at {}", number(late, "ms"), name), in_time(result)
    )
    off = None if audit.on_time_share is None else 1 - audit.on_time_share
    key = phrase("client late or early by more than 1 ms, and more than 1 % of TTFT, on {} of sends")
    spec = result.methodology.spec
    if not (spec.workload.generates and spec.endpoint.stream):
        key = phrase("client late or early by more than 1 ms, on {} of sends")
    says = phrase(key, number(off, "share"))
    yield note(result, "on_time", off, says, in_time(result), least=1 / (audit.send_lateness.n or 1))


def _reading(result: Result) -> Iterator[Check]:
    audit = result.instrument
    name, lag = _tail_ms(audit.read_lag)
    says = phrase("events read {} after they came, at {}", number(lag, "ms"), name)
    yield note(result, "read_lag", lag, says, in_time(result))
    merged = audit.merged_by_client_share
    says = phrase("{} of events lost their own time in reads that came late", number(merged, "share"))
    yield note(result, "merged", merged, says, in_time(result))
    bare = audit.reads_without_stamp / audit.reads if audit.reads and audit.reads_without_stamp is not None else None
    says = phrase("clock {}: {} of reads without a kernel stamp", audit.clock, number(bare, "share"))
    stamped = phrase("measure from Linux, where the kernel stamps every read")
    if result.methodology.spec.endpoint.api == CALLABLE:
        stamped = phrase(
            "a Python callable has no stamps of the kernel: put a server in front of the engine to have them"
        )
    elif socket_of(result.methodology.spec.endpoint.url):
        stamped = phrase("a unix socket has no stamps of the kernel: load the server over TCP from Linux to have them")
    yield note(result, "stamps", bare, says, stamped)
    if result.methodology.spec.endpoint.http == "2":
        mixed = sum(worker.mixed_reads or 0 for worker in audit.workers)
        says = phrase(
            "HTTP/2: {:,} reads brought bytes of several requests, which have the time of the last of them; those "
            "before may have come earlier, as the error budget says",
            mixed,
        )
        yield label("streams", None, says)


class _Noted(NamedTuple):
    name: str
    beyond: float
    says: str
    advice: str


class Cause(NamedTuple):
    """What best explains a budget that is too wide."""

    says: str
    advice: str


_EFFECTS = ("send_lateness", "on_time", "read_lag", "merged")
"""What comes of the others: no explanation where one of those is there."""


def cause(result: Result) -> Cause | None:
    """The two symptoms that are the furthest beyond what is usual, a stall as the part of the window that it took."""
    window = result.methodology.window
    length_ms = 1000 * (window.end_s - window.start_s)
    found: list[_Noted] = []
    for check in symptoms(result):
        if check.word != "NOTED" or not check.value or check.limit is None:
            continue
        beyond = check.value / check.limit if check.limit else float("inf")
        if check.name == "stall":
            beyond = 100 * check.value / length_ms if length_ms else beyond
        found.append(_Noted(check.name, beyond, check.says, check.advice or phrase("run again")))
    causes = [one for one in found if one.name not in _EFFECTS] or found
    worst = sorted(causes, key=lambda one: -one.beyond)[:2]
    return Cause(joined("; ", (one.says for one in worst)), worst[0].advice) if worst else None


def symptoms(result: Result) -> Iterator[Check]:
    """Every symptom; causes come before effects."""
    for check in (_machine, _sending, _reading):
        yield from check(result)


CHECKS: tuple[Callable[[Result], Iterator[Check]], ...] = (symptoms,)
