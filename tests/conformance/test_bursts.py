"""Streams that something collects, or that hold several tokens an event: the pace is the server's, by its own stamps.

The servers write what a collector would have let through; the truth is when they made each token. What they are late by
on a busy machine is in their stamps, against which the figures are held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Any

import pytest
from contract_runs import Ran, Run
from known import Output, Witness, lies_in, sse
from scripted import DONE, Received, Step, chunked, delta, event, serve, token, usage_event

from loadcell.report import to_json
from loadcell.report.run import print_short

pytestmark = pytest.mark.usefixtures("alone")

ITL_S, TTFT_S = 0.02, 0.05
Pieces = list[tuple[float, int]]
"""When each piece is let through, in seconds since the request, and how many events it holds."""


def by_count(tokens: int, sizes: Iterable[int]) -> Pieces:
    found: Pieces = []
    at = 0
    for size in sizes:
        at = min(at + size, tokens)
        found.append((TTFT_S + (at - 1) * ITL_S, at))
        if at == tokens:
            break
    return [(when, upto - before) for (when, upto), before in zip(found, [0, *(n for _, n in found)], strict=False)]


def by_time(tokens: int, every_s: float) -> Pieces:
    """Let through at every tick; the last piece when the reply ends."""
    ticks: dict[int, int] = {}
    for number in range(tokens):
        tick = int((TTFT_S + number * ITL_S) / every_s) + 1
        ticks[tick] = ticks.get(tick, 0) + 1
    end_s = TTFT_S + (tokens - 1) * ITL_S
    return [(min(tick * every_s, end_s), size) for tick, size in ticks.items()]


def script(
    pieces: Pieces, *, each: int = 1, first: int | None = None, apart: bool = False
) -> Callable[[Received], list[Step]]:
    """A reply whose events hold `each` tokens (the first one `first`), let through as told, in one write or several."""

    def steps(_: Received) -> list[Step]:
        found: list[Step] = []
        now, number, total = 0.0, 0, 0
        for when, size in pieces:
            found += [float(when - now)] if when > now else []
            now, events = when, []
            for _ in range(size):
                held = first if number == 0 and first is not None else each
                number, total = number + 1, total + held
                events.append(chunked(event(token("word " * held))))
            found += [Output(one) for one in events] if apart else [Output(b"".join(events))]
        return sse(*found, event(delta(finish="length")) + event(usage_event(total)) + DONE)

    return steps


def ran_of(run: Run, steps: Callable[[Received], list[Step]], tokens: int, **fields: Any) -> tuple[Ran, Witness]:
    witness = Witness()
    with serve(witness(steps)) as server:
        return run(server.url, requests=12, concurrency=4, output_tokens=str(tokens), **fields), witness


def check(ran: Ran, name: str) -> Any:
    return next(one for one in ran.result.verdict.checks if one.name == name)


def paced(ran: Ran, witness: Witness, writes: list[int], each: float = 1) -> tuple[float, float]:
    """Least and most ms a token, mean of requests, between the writes of the same events by the server's own stamps.

    `writes` tells which write brought each event, `each` how many tokens an event holds. What a busy client merged is
    in the recording, and the stamps are those of the last event of the first burst and of the last one.
    """
    low, high = [], []
    for row in ran.rows:
        seen = witness.seen[row["request"]]
        first, last = (row["first_events"] or 1) - 1, len(writes) - 1 - (row["last_events"] or 0)
        if last > first:
            low.append((seen.before_ns[writes[last]] - seen.after_ns[writes[first]]) / (last - first) / each)
            high.append((seen.after_ns[writes[last]] - seen.before_ns[writes[first]]) / (last - first) / each)
    return fmean(low) / 1e6, fmean(high) / 1e6


def places(pieces: Pieces) -> list[int]:
    """Which piece brings each event."""
    return [number for number, (_, size) in enumerate(pieces) for _ in range(size)]


CASES: dict[str, tuple[int, Pieces]] = {
    "2": (40, by_count(40, [2] * 20)),
    "3": (40, by_count(40, [3] * 14)),
    "one to five": (40, by_count(40, [1, 4, 2, 5, 3] * 3)),
    "64": (256, [(TTFT_S + 0.005 * (n * 64 - 1), 64) for n in (1, 2, 3, 4)]),
    "100 ms": (40, by_time(40, 0.1)),
    "4 KiB": (60, by_count(60, [4096 // 200] * 3)),
    "ten tokens in twos": (10, by_count(10, [2] * 5)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_pace_of_a_collected_stream_is_the_servers(run: Run, name: str) -> None:
    tokens, pieces = CASES[name]
    ran, witness = ran_of(run, script(pieces), tokens)
    tpot = ran.result.latency["tpot_ms"].service
    low, high = paced(ran, witness, places(pieces))
    assert tpot.n >= 6 and lies_in(tpot.mean, (low, high), 0.02 * high), (tpot.mean, low, high)
    assert ran.result.latency["itl_ms"].service.p50.value is None
    assert check(ran, "together").word == "SUSPECT" and "ITL and TTFT are the path's" in check(ran, "together").says
    assert ran.result.verdict.word != "VALID"


def test_writes_after_each_other_are_one_burst(run: Run) -> None:
    """Each of 16 events in a write of its own: which of them share a read is chance."""
    pieces = [(TTFT_S + 0.01 * (n * 16 - 1), 16) for n in (1, 2, 3, 4)]
    ran, witness = ran_of(run, script(pieces, apart=True), 64)
    low, high = paced(ran, witness, list(range(64)))
    assert lies_in(ran.result.latency["tpot_ms"].service.mean, (low, high), 0.1 * high)
    assert ran.result.latency["itl_ms"].service.p50.value is None


@pytest.mark.parametrize("tokens", [2, 10, 40])
def test_a_reply_in_one_piece_has_no_pace_and_says_so(run: Run, tokens: int) -> None:
    ran, _ = ran_of(run, script([(TTFT_S + tokens * ITL_S, tokens)]), tokens, tpot_ms=50.0)
    result = ran.result
    assert check(ran, "at_once").word == "SUSPECT" and result.verdict.word != "VALID"
    for name in ("itl_ms", "tpot_ms"):
        summary = result.latency[name].service
        assert summary.mean is None and "proxy buffering" in str(summary.p50.withheld)
    assert result.goodput is not None and result.goodput.attainment.value is None
    whole_ms = 1000 * (TTFT_S + tokens * ITL_S)
    ntpot = result.latency["ntpot_ms"].service.mean
    assert ntpot is not None and ntpot >= whole_ms / tokens
    shown = printed(ran)
    assert "NTPOT" in shown and "TPOT" in shown and "100 %" not in shown.partition("SLO")[2].partition("\n")[0]
    assert b'"withheld": "not measurable: replies came in one piece' in to_json(result)


def printed(ran: Ran) -> str:
    from rich.console import Console

    console = Console(width=80, record=True, file=None)
    with console.capture() as capture:
        print_short(ran.result, console)
    return capture.get()


@pytest.mark.parametrize("first", [1, 4])
def test_the_pace_of_events_of_several_tokens(run: Run, first: int) -> None:
    """Speculative decoding, or a stream interval: four tokens an event, of which the server tells the sum alone."""
    events = 15
    pieces = [(TTFT_S + n * ITL_S, 1) for n in range(events)]
    ran, witness = ran_of(run, script(pieces, each=4, first=first), first + 4 * (events - 1))
    low, high = paced(ran, witness, list(range(events)), 4)
    assert lies_in(ran.result.latency["tpot_ms"].service.mean, (low, high), 0.01 * high)
    itl = ran.result.latency["itl_ms"].service.p50.value
    assert itl is not None and itl > 15, "a gap is one between events"
    assert check(ran, "together").word == check(ran, "at_once").word == "VALID"


def test_a_stream_of_single_events_is_as_it_was(run: Run) -> None:
    ran, witness = ran_of(run, script(by_count(10, [1] * 10)), 10)
    low, high = paced(ran, witness, list(range(10)))
    assert lies_in(ran.result.latency["tpot_ms"].service.mean, (low, high), 0.02 * high)
    assert ran.result.latency["itl_ms"].service.p50.value is not None
    assert check(ran, "together").word == check(ran, "at_once").word == "VALID"
