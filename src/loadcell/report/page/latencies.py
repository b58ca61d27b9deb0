"""Tables of latencies, rates and where TTFT went, for the page of a run."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from loadcell.metrics import Latency, Result, Summary
from loadcell.report.latencies import failing_percentiles, outside, percentiles_of, worth_less
from loadcell.report.page.figures import Figure, averaged, count, estimated, rate, share
from loadcell.report.server import PARTS, where_notes
from loadcell.report.words import Words

_ORDER = ("ttft_ms", "ttfa_ms", "itl_ms", "tpot_ms", "ntpot_ms", "e2e_ms")


class Row(msgspec.Struct, frozen=True):
    """One distribution in the table."""

    term: str
    note: str
    samples: str
    worth: str
    figures: list[Figure]
    mean: Figure
    sd: str
    min: str
    max: str


def latency_rows(latency: dict[str, Latency], words: Words) -> list[Row]:
    """Every latency by both anchors where there are two; TTFA only where it is not TTFT."""
    same = "ttfa_ms" in latency and latency["ttfa_ms"].service == latency["ttft_ms"].service
    rows, shown = [], percentile_names(latency)
    for name in _ORDER:
        if name not in latency or (name == "ttfa_ms" and same):
            continue
        entry = latency[name]
        if entry.response is not None:
            rows.append(_row(name, words.say("response time"), entry.response, shown, words))
        rows.append(_row(name, words.say("service time") if entry.response else "", entry.service, shown, words))
    return rows


def percentile_names(latency: dict[str, Latency]) -> dict[str, str]:
    """The percentiles that the table has, with their titles."""
    return percentiles_of(x for one in latency.values() for x in (one.service, one.response) if x is not None)


def _row(name: str, note: str, summary: Summary, shown: Iterable[str], words: Words) -> Row:
    worth = words.say("worth {n}", n=count(int(summary.effective or 0), words)) if worth_less(summary) else ""
    return Row(
        term=name.removesuffix("_ms"),
        note=note,
        samples=count(summary.n, words),
        worth=worth,
        figures=[estimated(getattr(summary, one), words, "", summary.n, one) for one in shown],
        mean=averaged(summary, words),
        sd=words.figure(summary.sd, 3),
        min=words.figure(summary.min),
        max=words.figure(summary.max),
    )


def with_failures(result: Result, words: Words) -> list[tuple[str, str]]:
    """Percentiles that take failed requests as infinitely late: title and figures; none where none failed."""
    rows = ((entry.title, entry.response or entry.service) for entry in result.latency.values())
    return [(title, words.number(figures)) for title, found in rows if (figures := failing_percentiles(found))]


def bounds(result: Result, words: Words) -> list[tuple[str, str]]:
    """MLPerf's early-stopping bounds of the 99th percentiles: title and bound."""
    rows = ((entry.title, entry.response or entry.service) for entry in result.latency.values())
    return [(title, f"≤ {words.figure(found.p99.bound)} ms") for title, found in rows if found.p99.bound is not None]


def rate_rows(result: Result, words: Words) -> list[tuple[str, Figure]]:
    """Rates of the window, by name in the glossary."""
    rates = result.throughput

    def of(name: str, value: float | None, interval: object = None) -> tuple[str, Figure]:
        return name, rate(value, interval, words.say(words.metric(name).unit), words)  # type: ignore[arg-type]

    rows = [
        of("requests_per_s", rates.requests_per_s, rates.requests_interval),
        of("output_tokens_per_s", rates.output_tokens_per_s, rates.output_tokens_interval),
        of("input_tokens_per_s", rates.input_tokens_per_s),
    ]
    if result.goodput is not None:
        rows.append(of("goodput", result.goodput.goodput_per_s))
        rows.append(("slo_attainment", share(result.goodput.attainment, words)))
    rows.append(of("chunks_per_token", rates.chunks_per_token))
    return rows


def user_rates(result: Result, words: Words) -> list[tuple[str, Figure]]:
    """The rate that so many of the requests reach."""
    found = result.throughput.user_tokens_per_s
    shares = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
    return [
        (
            words.say("{share} of requests", share=words.percent(share)),
            estimated(found[name], words, words.say("tokens/s")),
        )
        for name, share in shares
        if name in found
    ]


def concurrency_words(result: Result, words: Words) -> list[tuple[str, str]]:
    """Requests in flight: asked, mean, most, and Little's law."""
    flight = result.concurrency
    rows = [] if flight.asked is None else [(words.say("asked"), count(flight.asked, words))]
    if flight.mean is None:
        rows.append((words.say("mean"), words.say("n/a: nothing was sent between ramp and drain")))
    else:
        span = words.say(
            "from {a} to {b} s", a=words.figure(flight.mean_from_s, 3), b=words.figure(flight.mean_to_s, 3)
        )
        rows.append((words.say("mean"), f"{words.figure(flight.mean)} ({span})"))
    rows.append((words.say("most"), count(flight.max, words)))
    if result.steady.littles_ratio is not None:
        ratio = words.percent(result.steady.littles_ratio)
        held = words.say("{share} of rate \N{MULTIPLICATION SIGN} time in system", share=ratio)
        rows.append((words.say("Little's law"), held))
    return rows


def run_rates_words(result: Result, words: Words) -> list[str]:
    """The rates of the whole run by the definition of other tools; none of a run without an ok request."""
    found = result.run_rates
    if found is None or found.seconds is None:
        return []
    return [
        words.say("{n} requests/s", n=words.figure(found.requests_per_s)),
        words.say("{n} output tokens/s", n=words.figure(found.output_tokens_per_s)),
        words.say("{n} tokens/s in and out", n=words.figure(found.total_tokens_per_s)),
        words.say("over {s} s, from the first send to the last reply", s=words.figure(found.seconds)),
    ]


def whole_rows(result: Result, words: Words) -> list[Row]:
    """The latencies of the whole run, warm-up and drain included; none where the window is the whole run."""
    return [] if result.whole_run is None else latency_rows(result.whole_run.latency, words)


def outside_words(result: Result, words: Words) -> list[str]:
    """The maxima that lie outside of the window; none where all are in it."""
    return [
        words.say("{title} {whole} ms (in the window {inside})", title=title, whole=words.figure(whole),
                  inside=words.figure(inside))
        for title, whole, inside in outside(result)
    ]  # fmt: skip


def server_rows(result: Result, words: Words) -> list[tuple[str, list[str]]]:
    """Where TTFT went: each part with its mean in ms and its share; none where no server tells."""
    found = result.where_ttft
    if found is None:
        return []
    return [
        (words.say(PARTS[name]), [words.figure(part.mean_ms, 3), words.percent(part.share)])
        for name, part in found.parts.items()
    ]


def token_gap(result: Result, words: Words) -> str:
    """Time per token between events that hold several; nothing where ITL is it."""
    found = result.token_gap
    if found is None:
        return ""
    return words.say(
        "Time per token between events, which hold several here: p50 {p50} ms, p99 {p99} ms",
        p50=words.figure(found.p50_ms, 3), p99=words.figure(found.p99_ms, 3),
    )  # fmt: skip


def server_caption(result: Result, words: Words) -> str:
    """Whose word it is, and of which requests."""
    found = result.where_ttft
    if found is None:
        return ""
    return words.say(
        "Mean TTFT of {n} requests: {ms} ms. Told by {source} and by the client",
        n=count(found.requests, words), ms=words.figure(found.ttft_ms, 3), source=found.source,
    )  # fmt: skip


def server_notes(result: Result) -> list[str]:
    """What the source says besides."""
    return where_notes(result)
