"""The first screen of a page of a run: what was measured, is it valid, how fast was it, did it hold the SLO."""

from __future__ import annotations

import msgspec

from loadcell.metrics import Limit, Result, word_of
from loadcell.metrics.checks_budget import only_budgets
from loadcell.report.page.figures import Figure, asked, count, estimated, rate, share
from loadcell.report.text import MISSING
from loadcell.report.words import Words

_WORST_FIRST = ("INVALID", "SUSPECT")
_TOLD_FIRST = ("stability", "failures")
"""Checks that say what the server did stand before those of the instrument, among those of one word."""
_LATENCIES = ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")


class Finding(msgspec.Struct, frozen=True):
    """One reason of the verdict."""

    word: str
    says: str
    advice: str | None = None


class Tile(msgspec.Struct, frozen=True):
    """One card of headline figures."""

    term: str
    note: str
    figures: list[tuple[str, Figure]]


class Bar(msgspec.Struct, frozen=True):
    """One limit of the SLO: what it asks, how many kept to it, and that as parts of a bar from 0 to 100."""

    term: str
    asks: str
    attained: Figure
    note: str | None
    value: float | None
    low: float
    high: float


def model_of(result: Result) -> str | None:
    """The model that was asked for; None where that was left to the server and is not known."""
    method = result.methodology
    model = method.effective.get("model") or method.spec.get("endpoint", {}).get("model")
    return None if model is None else str(model)


def findings(result: Result) -> list[Finding]:
    """Why the result goes by its word: what spoils it, then what the audit found, worst first; each once."""
    bad = [check for word in _WORST_FIRST for check in result.verdict.checks if check.word == word]
    bad.sort(key=lambda check: (_WORST_FIRST.index(str(check.word)), check.name not in _TOLD_FIRST))
    spoils = [why for why in result.invalid if not any(check.says.startswith(why) for check in bad)]
    return [
        *(Finding("INVALID", why) for why in spoils),
        *(Finding(str(check.word), check.says, check.advice) for check in bad),
    ]


def load_words(result: Result, words: Words) -> str:
    """The load in words: its loop, its rate or users, and its end."""
    load = result.methodology.spec.get("load", {})
    users, rate_asked = load.get("concurrency"), load.get("rate")
    if result.methodology.loop == "open":
        parts = [words.say("open loop, {rate} requests/s, {arrivals}", rate=asked(rate_asked or 0.0, words),
                           arrivals=str(load.get("arrivals") or "?"))]  # fmt: skip
        parts += [words.say("at most {n} in flight", n=count(users, words))] if users else []
    elif users and users > 1:
        parts = [words.say("closed loop, {n} users", n=count(users, words))]
    else:
        parts = [words.say("closed loop, 1 user")]
    if load.get("requests"):
        parts.append(words.say("{n} requests", n=count(load["requests"], words)))
    length_s = result.methodology.effective.get("duration_s")
    if load.get("duration_s"):
        parts.append(words.say("{s} s", s=asked(load["duration_s"], words)))
    elif length_s and not load.get("requests") and load.get("duration_most_s"):
        most = asked(load["duration_most_s"], words)
        parts.append(words.say("{s} s (ended by itself, {most} s at most)", s=words.figure(length_s, 4), most=most))
    return ", ".join(parts)


def workload_words(result: Result, words: Words) -> str:
    """What was asked of the server, in tokens."""
    workload = result.methodology.spec.get("workload", {})
    out = str(workload.get("output_tokens"))
    if workload.get("prompts"):
        return words.say("prompts of {file}, {n} tokens out", file=str(workload["prompts"]), n=out)
    return words.say("{n} tokens in, {m} out", n=str(workload.get("input_tokens")), m=out)


def tiles(result: Result, words: Words) -> list[Tile]:
    """How fast: latencies with their p50 and p99, then rates."""
    latencies = [_latency(result, name, words) for name in _LATENCIES if name in result.latency]
    rates, flight = result.throughput, result.concurrency
    tokens, requests = words.metric("output_tokens_per_s"), words.metric("requests_per_s")
    ok, planned = result.counts.window.ok, result.counts.window.planned
    user = rates.user_tokens_per_s.get("p50")
    reached = Figure(MISSING) if user is None else estimated(user, words, words.say("tokens/s"))
    return [
        *latencies,
        Tile("output_tokens_per_s", "", [("", rate(rates.output_tokens_per_s, rates.output_tokens_interval,
                                                   words.say(tokens.unit), words))]),
        Tile("requests_per_s", "", [("", rate(rates.requests_per_s, rates.requests_interval,
                                               words.say(requests.unit), words))]),
        Tile("user_tokens_per_s", "p50", [("", reached)]),
        Tile("concurrency", "", [("", Figure(
            words.figure(flight.mean, 3), words.say("in flight, mean"),
            words.say("{ok} of {planned} requests ok", ok=count(ok, words), planned=count(planned, words)),
        ))]),
    ]  # fmt: skip


def _latency(result: Result, name: str, words: Words) -> Tile:
    latency = result.latency[name]
    summary = latency.response or latency.service
    figures = [(shown, estimated(getattr(summary, shown), words, n=summary.n, name=shown)) for shown in ("p50", "p99")]
    note = words.say("response time") if latency.response else ""
    return Tile(name.removesuffix("_ms"), note, figures)


def bars(result: Result, words: Words) -> list[Bar]:
    """The limits of the SLO; none without one."""
    limits = {} if result.goodput is None else result.goodput.limits
    return [_bar(name.removesuffix("_ms"), limit, words) for name, limit in limits.items()]


def _bar(term: str, limit: Limit, words: Words) -> Bar:
    kept = limit.attainment
    low, high = (100 * (kept.value or 0.0 if end is None else end) for end in (kept.low, kept.high))
    return Bar(
        term=term,
        asks=f"≤ {asked(limit.limit_ms, words)} ms",
        attained=share(kept, words),
        note=limit.note,
        value=None if kept.value is None else round(100 * kept.value, 3),
        low=round(low, 3),
        high=round(high, 3),
    )


def slo_answer(result: Result, words: Words) -> str | None:
    """Whether the SLO was held, in a sentence with its figures; None without an SLO or where it cannot be judged."""
    good = result.goodput
    if good is None or good.good is None or good.attainment.value is None:
        return None
    return words.say(
        "{good} of {planned} planned requests kept to every limit",
        good=count(good.good, words), planned=count(good.planned, words),
    )  # fmt: skip


def state_words(result: Result, words: Words) -> str | None:
    """What is to be said of a run that did not end by itself; None of one that did."""
    return {
        "complete": None,
        "interrupted": words.say("This run was interrupted: its figures are of the part that ran."),
        "running": words.say("This run never said that it ended: its figures are of the part that was recorded."),
    }.get(result.run.state, words.say("This run broke off: its figures are of the part that ran."))


def verdict_words(result: Result, words: Words) -> str:
    """The verdict in a sentence."""
    return {
        "VALID": words.say("Every check is within its limits."),
        "SUSPECT": words.say("The figures can be used with care."),
        "INVALID": words.say("Do not use the figures that are named here.")
        if only_budgets(result)
        else words.say("Do not use these figures."),
    }[word_of(result)]
