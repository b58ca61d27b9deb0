"""What takes most of a reply's time, in one sentence, and what a difference between two results comes from.

Means add up, so the parts are means: TTFT by what the server and the client tell of it, and what follows the first
token.
"""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.metrics.model import Result
from loadcell.phrases import joined, phrase

_FULL = 0.95
"""Share of the KV cache from which on it is full."""
_DIFFERS = 0.05
"""Least relative change of a mean whose source is worth a sentence."""
_WAY = phrase("the way to the first token")
_NAMES = {
    "queue": phrase("the server's queue"),
    "prefill": "prefill",
    "front_end": phrase("the server's front end"),
    "network_and_client": phrase("network and client"),
    "prefill+front_end": phrase("prefill and front end"),
    "front_end+network_and_client": phrase("front end, network and client"),
    "queue+front_end+network_and_client": phrase("queue, front end, network and client"),
    "first": _WAY,
    "decode": "decoding",
    "cap": phrase("waiting for a place under the cap on concurrency"),
}


def parts_of_e2e(result: Result) -> dict[str, float]:
    """Mean ms of each part of a reply, by service time; none of replies without a stream.

    What the server tells of TTFT is taken as shares: it may be of the whole run.
    """
    if not {"ttft_ms", "e2e_ms"} <= result.latency.keys():
        return {}
    ttft, e2e = (result.latency[name].service.mean for name in ("ttft_ms", "e2e_ms"))
    if not ttft or not e2e or e2e < ttft:
        return {}
    told = result.where_ttft
    first = {"first": ttft} if told is None else {name: ttft * (part.share or 0.0) for name, part in told.parts.items()}
    return first | {"decode": e2e - ttft}


def bottleneck(result: Result) -> str | None:
    """The largest part of a reply's time in words, with why it is large where that is known; None without parts."""
    parts = parts_of_e2e(result)
    if not parts:
        return None
    parts |= _held_back(result)
    name, whole = max(parts, key=lambda name: parts[name]), sum(parts.values())
    says = phrase("most of E2E is {}: {:.0f} % of {} ms", _NAMES[name], 100 * parts[name] / whole, _ms(whole))
    why = joined("; ", _why_queue(result)) if name == "queue" else ""
    return phrase("{}: {}", says, why) if why else says


def _held_back(result: Result) -> dict[str, float]:
    """Mean ms that requests of an open loop waited for a place under its cap; it is in their response times alone."""
    latency = result.latency["e2e_ms"]
    response = None if latency.response is None else latency.response.mean
    if result.concurrency.asked is None or response is None or latency.service.mean is None:
        return {}
    return {"cap": max(0.0, response - latency.service.mean)}


def _why_queue(result: Result) -> Iterator[str]:
    series = {} if result.observed is None else result.observed.series
    use, running = series.get("kv_cache_use"), series.get("requests_running")
    if use is not None and use.max is not None and use.max >= _FULL:
        yield phrase("its KV cache was full")
    if running is not None and running.max is not None:
        yield phrase("it ran {:,.0f} requests at most", running.max)


def comes_from(a: Result, b: Result) -> str | None:
    """What the difference of mean TTFT comes from, else that of mean E2E; None where neither differs by 5 %."""
    return _of_ttft(a, b) or _of_e2e(a, b)


def _of_ttft(a: Result, b: Result) -> str | None:
    """By the part of TTFT that moved most, where both servers tell the same parts."""
    told = a.where_ttft, b.where_ttft
    means = [result.latency["ttft_ms"].service.mean if "ttft_ms" in result.latency else None for result in (a, b)]
    if told[0] is None or told[1] is None or told[0].parts.keys() != told[1].parts.keys():
        return None
    if not means[0] or not means[1] or abs(means[1] / means[0] - 1) < _DIFFERS:
        return None
    shares = [{name: part.share or 0.0 for name, part in one.parts.items()} for one in told if one is not None]
    moved = {name: shares[1][name] * means[1] - shares[0][name] * means[0] for name in shares[0]}
    up = means[1] > means[0]
    name = max(moved, key=lambda name: moved[name] if up else -moved[name])
    change = f"{means[1] / means[0] - 1:+.0%}".replace("%", " %")
    before, after = (f"{one[name]:.0%}".replace("%", " %") for one in shares)
    return phrase("TTFT {}: {} {} \N{RIGHTWARDS ARROW} {} of it", change, _NAMES[name], before, after)


def _of_e2e(a: Result, b: Result) -> str | None:
    """By the way to the first token, or by what follows it."""
    parts = [_two(parts_of_e2e(result)) for result in (a, b)]
    if not parts[0] or not parts[1]:
        return None
    whole = [sum(one.values()) for one in parts]
    if abs(whole[1] / whole[0] - 1) < _DIFFERS:
        return None
    moved = {name: parts[1][name] - parts[0][name] for name in parts[0]}
    name = max(moved, key=lambda name: moved[name] * (whole[1] - whole[0]))
    change = f"{whole[1] / whole[0] - 1:+.0%}".replace("%", " %")
    return phrase(
        "E2E {}: {} {} \N{RIGHTWARDS ARROW} {} ms of {} \N{RIGHTWARDS ARROW} {} ms",
        change,
        _NAMES[name],
        _ms(parts[0][name]),
        _ms(parts[1][name]),
        _ms(whole[0]),
        _ms(whole[1]),
    )


def _two(parts: dict[str, float]) -> dict[str, float]:
    """The way to the first token as one."""
    if not parts:
        return {}
    return {"first": sum(ms for name, ms in parts.items() if name != "decode"), "decode": parts["decode"]}


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
