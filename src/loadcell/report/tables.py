"""A Result as files: JSON for programs, CSV in long form for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import msgspec

from loadcell.metrics import GLOSSARY, Estimate, Repeats, Result, Share, word_of

CSV_COLUMNS = ("metric", "anchor", "statistic", "unit", "value", "low", "high", "n")
Row = tuple[str, str, str, str, Any, Any, Any, Any]


def to_json(result: Result | Repeats) -> bytes:
    """The Result, or several together, as indented JSON, keys in the schema's order, numbers always finite or null."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"


def to_csv(result: Result) -> str:
    """One line a figure. A figure that could not be measured has an empty value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(_rows(result))
    return out.getvalue()


def _rows(result: Result) -> Iterator[Row]:
    yield "verdict", "", word_of(result), "", None, None, None, None
    for metric, latency in result.latency.items():
        name = metric.removesuffix("_ms")
        for anchor, summary in (("response", latency.response), ("service", latency.service)):
            if summary is not None:
                for statistic in ("p50", "p90", "p95", "p99", "p99_9"):
                    yield _estimate(name, anchor, statistic, latency.unit, getattr(summary, statistic), summary.n)
                yield name, anchor, "mean", latency.unit, summary.mean, None, None, summary.n
                yield name, anchor, "max", latency.unit, summary.max, None, None, summary.n
    yield from _rates(result)
    yield from _goodput(result)
    for extent, counts in (("run", result.counts.run), ("window", result.counts.window)):
        for name in counts.__struct_fields__:
            yield "requests", extent, name, "requests", getattr(counts, name), None, None, None
    flight = result.concurrency
    for statistic, value in (("asked", flight.asked), ("mean", flight.mean), ("max", flight.max)):
        yield "concurrency", "", statistic, "requests", value, None, None, None
    yield from _instrument(result)


def _rates(result: Result) -> Iterator[Row]:
    rates = result.throughput  # a withheld result keeps the lines of its rates, without values
    between = {"requests_per_s": rates.requests_interval, "output_tokens_per_s": rates.output_tokens_interval}
    for name in ("requests_per_s", "output_tokens_per_s", "input_tokens_per_s", "chunks_per_token"):
        span = between.get(name)
        low, high = (None, None) if span is None else (span.low, span.high)
        yield name, "", "mean", GLOSSARY[name].unit, getattr(rates, name), low, high, None
    samples = result.latency["tpot_ms"].service.n if result.latency else None
    for statistic, estimate in rates.user_tokens_per_s.items():
        yield _estimate("user_tokens_per_s", "", statistic, "tokens/s", estimate, samples)


def _goodput(result: Result) -> Iterator[Row]:
    good = result.goodput
    if good is None:
        return
    yield "goodput", good.anchor, "mean", "requests/s", good.goodput_per_s, None, None, good.planned
    yield _share("slo_attainment", good.anchor, "all", good.attainment, good.planned)
    for name, limit in good.limits.items():
        anchor = "" if name == "tpot_ms" else good.anchor
        yield _share("slo_attainment", anchor, f"{name}<={limit.limit_ms:g}", limit.attainment, good.planned)


def _instrument(result: Result) -> Iterator[Row]:
    audit = result.instrument
    for name, spread in (("send_lateness", audit.send_lateness), ("read_lag", audit.read_lag)):
        for statistic in ("min", "p50", "p99", "max"):
            yield name, "", statistic, "ms", getattr(spread, f"{statistic}_ms"), None, None, spread.n
    yield "merged", "", "all", "share", audit.merged_share, None, None, audit.events
    yield "merged", "", "client", "share", audit.merged_by_client_share, None, None, audit.events
    for check in result.verdict.checks:
        yield "check", check.name, check.word or "", check.unit, check.value, None, check.limit, None
    yield "cpu_us_per_token", "", "mean", "µs", audit.cpu_us_per_token, None, None, None


def _estimate(metric: str, anchor: str, statistic: str, unit: str, estimate: Estimate, n: int | None) -> Row:
    return metric, anchor, statistic, unit, estimate.value, estimate.low, estimate.high, n


def _share(metric: str, anchor: str, statistic: str, share: Share, n: int) -> Row:
    return metric, anchor, statistic, "share", share.value, share.low, share.high, n
