"""The checks of the server's side: did it change, did its stream come through, did it do what was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from loadcell.metrics.glossary import GLOSSARY
from loadcell.metrics.limits import Limits, grade, label, number
from loadcell.metrics.model import Change, Check, Delivered, Result, Word
from loadcell.metrics.varying import NO_CHANGE, replays
from loadcell.phrases import phrase

LIMITS = {
    "shared_host": Limits(
        phrase("server on this machine: the most of its time that the load can have taken from it"), "share", 0.01, None
    ),
    "together": Limits(
        phrase(
            "events that came together with the one before, not by the client's lateness (replies of 2 tokens or more)"
        ),
        "share",
        0.1,
        None,
    ),
    "at_once": Limits(phrase("of these replies: those whose output came at once"), "share", 0.1, None),
}
FINDINGS = {
    "server_ttft": "SUSPECT where TTFT by the client and by the server itself are apart by more than 10 % and 5 ms",
    "change": "SUSPECT where the median of TTFT or TPOT (E2E where nothing is generated) rose or fell by 5 % or more "
    "through the window, beyond noise",
}


def _change(result: Result) -> Iterator[Check]:
    method = result.methodology
    if method.spec.load.rate_series is not None or replays(method.loop, method.effective):
        yield label("change", None, NO_CHANGE)
        return
    queue_grows = result.steady.stable is False and result.steady.growth_per_s.value is not None
    judged = {
        name: found
        for name, found in result.change.items()
        if found.kind is not None and not (queue_grows and name != "tpot_ms")  # the queue's own check says it
    }
    changed = {name: found for name, found in judged.items() if found.kind != "none"}
    for name, found in changed.items():
        yield label("change", "SUSPECT", change_says(name, found), _CHANGE_ADVICE)
    held = (
        phrase("E2E held through the window") if "e2e_ms" in judged else phrase("TTFT and TPOT held through the window")
    )
    if not changed:
        yield (
            label("change", "VALID", held)
            if judged
            else label("change", None, phrase("too few requests to tell whether the server changed under the load"))
        )


_CHANGE_ADVICE = phrase(
    "one figure does not stand for both parts: look for throttling, a cache that fills or others on the server, and "
    "give the part that is meant by --warmup or --window"
)


def change_says(name: str, found: Change) -> str:
    """A change in words, with the figures of both parts."""
    title, share = GLOSSARY[name.removesuffix("_ms")].title, f"{abs(found.share or 0):.0%}".replace("%", " %")
    rose = (found.share or 0) > 0
    before, after = f"{found.before_ms:.4g}", f"{found.after_ms:.4g}"
    if found.kind == "step":
        at_s = f"{found.at_s:.3g}"
        key = phrase("{} fell by {} at {} s: p50 {} ms before, {} ms after")
        if rose:
            key = phrase("{} rose by {} at {} s: p50 {} ms before, {} ms after")
        return phrase(key, title, share, at_s, before, after)
    key = phrase("{} fell by {} through the window: p50 {} ms at first, {} ms at last")
    if rose:
        key = phrase("{} rose by {} through the window: p50 {} ms at first, {} ms at last")
    return phrase(key, title, share, before, after)


# --- the machine that it shares with the load ------------------------------------------------------------------------


def _shared_host(result: Result) -> Iterator[Check]:
    """What the load took from a server beside it is in every latency; where neither can tell how much, it is said."""
    host = result.instrument.host
    if host.server is None or host.server == "elsewhere":
        yield label(
            "shared_host", None if host.server is None else "VALID", phrase("server {}", host.server or "not located")
        )
        return
    where = (
        phrase("server on this machine")
        if host.server == "this machine"
        else phrase("server on this machine ({})", host.server)
    )
    if host.taken_share is None:
        word: Word | None = "VALID" if host.declared or host.server == "other cores" else None
        yield label("shared_host", word, phrase("{}: what the load took from it was not measured", where))
        return
    says = phrase(
        "{}: the load took at most {} of its time, by {}", where, number(host.taken_share, "share"), host.taken_by
    )
    if host.declared:
        yield label("shared_host", "VALID", phrase("{}; it was declared by --shared-host", says))
    elif host.server == "other cores":
        yield label("shared_host", "VALID", says)
    else:
        advice = _SHARED_PROCESS if host.server == "this process" else _SHARED_ADVICE
        yield grade(result, "shared_host", host.taken_share, says, advice, limits=LIMITS["shared_host"])


_SHARED_ADVICE = phrase("load from another machine, pin the server to other cores, or accept it with --shared-host")
_SHARED_PROCESS = phrase("put a server in front of the engine and load that, or accept it with shared_host=True")


# --- the stream ------------------------------------------------------------------------------------------------------


def _stream(result: Result) -> Iterator[Check]:
    found = result.delivered
    together, at_once = (None, None) if found is None else (found.together_share, found.at_once_share)
    held = any(one.accepted_tokens for one in result.speculation)
    yield grade(
        result, "at_once", at_once, phrase("{} of replies came in one piece", number(at_once, 'share')),
        _STREAM_ADVICE, limits=LIMITS["at_once"],
    )  # fmt: skip
    yield grade(
        result, "together", together, _bursts_say(found),
        _SPECULATIVE_ADVICE if held else _STREAM_ADVICE, limits=LIMITS["together"],
    )  # fmt: skip


def _bursts_say(found: Delivered | None) -> str:
    share = None if found is None else found.together_share
    if found is None or found.itl is None or found.burst_events is None or found.burst_apart_ms is None:
        return phrase("{} of events came together with the one before", number(share, "share"))
    return phrase(
        "events come in bursts of {:.3g}, {} apart: ITL and TTFT "
        "are the path's, for {} came together with the one before",
        found.burst_events,
        number(found.burst_apart_ms, "ms"),
        number(share, "share"),
    )


def _ttft(result: Result) -> Iterator[Check]:
    """The server's own TTFT against the client's, over the same requests: its page's, else that of its replies."""
    told = [side for side in result.server if side.own_ttft_ms is not None and side.ttft_ms is not None]
    if not told:
        yield label("server_ttft", None, phrase("the server tells no TTFT of its own for the same requests"))
        return
    side = max(told, key=lambda side: "Prometheus" in side.source)
    assert side.own_ttft_ms is not None and side.ttft_ms is not None
    apart = abs(side.ttft_ms - side.own_ttft_ms)
    says = phrase(
        "TTFT was {:.4g} ms mean at the client and {:.4g} ms by the server's own clock ({}, {:,} requests)",
        side.ttft_ms,
        side.own_ttft_ms,
        side.source,
        side.requests,
    )
    if apart <= max(APART_SHARE * side.own_ttft_ms, APART_MS):
        yield label("server_ttft", "VALID", says)
    else:
        yield label("server_ttft", "SUSPECT", says, _TTFT_ADVICE)


_TTFT_ADVICE = phrase(
    "what lies between them is in every figure: look for a proxy that buffers, a front end that is busy, or a network "
    "that is slow"
)
APART_SHARE, APART_MS = 0.1, 5.0
"""What the two may be apart, of the server's own or at least."""
_STREAM_ADVICE = phrase(
    "something between server and client collects the stream, or the server sends several events at once: turn off the "
    "proxy's buffering (nginx: proxy_buffering off), or measure the server itself"
)


_SPECULATIVE_ADVICE = phrase(
    "the server decodes speculatively: the tokens of a step may be events of their own that come at once, and TPOT "
    "holds; else something between server and client collects the stream"
)


# Causes come before effects: the first reason is the one that is read.
CHECKS: tuple[Callable[[Result], Iterator[Check]], ...] = (_shared_host, _stream, _ttft, _change)
