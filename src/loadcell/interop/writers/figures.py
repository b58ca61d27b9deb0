"""The figures of a result as families of points, for formats of metrics: our own definitions, base units."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from loadcell.interop.write import Held
from loadcell.interop.writers.calls import effective
from loadcell.metrics import Result, word_of
from loadcell.metrics.glossary import GLOSSARY
from loadcell.metrics.model import Estimate, Summary
from loadcell.secrets import bare_url

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}
WORDS = ("VALID", "SUSPECT", "INVALID")
_RATES = {
    "requests_per_s": ("requests_per_second", "Requests that succeeded, a second of the window."),
    "output_tokens_per_s": ("output_tokens_per_second", "Output tokens a second of the window."),
    "input_tokens_per_s": ("input_tokens_per_second", "Prompt tokens a second of the window."),
    "total_tokens_per_s": ("total_tokens_per_second", "Prompt and output tokens a second of the window."),
}


class Point(NamedTuple):
    """One figure of one run."""

    run: Held
    labels: dict[str, str]
    value: float | Summary
    """A number, or a distribution in ms."""


class Family(NamedTuple):
    """Figures of one name."""

    name: str
    """Without the prefix `loadcell`, its unit last."""
    unit: str
    """Base unit by its name in OpenMetrics; empty of a number without any."""
    about: str
    points: list[Point]


def labels_of(run: Held) -> dict[str, str]:
    """What tells a run from others, without secrets."""
    spec = run.recording.spec
    found = {
        "run": run.name,
        "run_id": run.recording.manifest.id,
        "model": effective(run.recording, "model") or spec.endpoint.model,
        "api": spec.endpoint.api,
        "url": bare_url(spec.endpoint.url),
        "concurrency": spec.load.concurrency,
        "rate": spec.load.rate,
    }
    return {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in found.items() if value}


def families(runs: list[Held]) -> list[Family]:
    """All figures that any of the runs has; a figure that a run has not is left out of its points."""
    found: dict[str, Family] = {}
    for run in runs:
        for name, unit, about, labels, value in _of(run.result):
            family = found.setdefault(name, Family(name, unit, about, []))
            family.points.append(Point(run, labels, value))
        started = datetime.fromisoformat(run.recording.manifest.started_at).timestamp()
        about = "When the load began, Unix time."
        family = found.setdefault("start_timestamp_seconds", Family("start_timestamp_seconds", "seconds", about, []))
        family.points.append(Point(run, {}, started))
    return list(found.values())


_Figure = tuple[str, str, str, dict[str, str], float | Summary]


def _of(result: Result) -> Iterator[_Figure]:
    for field, latency in result.latency.items():
        metric = GLOSSARY[field.removesuffix("_ms")]
        name, unit = (
            (f"{metric.name}_seconds", "seconds") if latency.unit == "ms" else (f"{metric.name}_ratio", "ratio")
        )
        about = f"{metric.title}: {metric.formula}."
        for anchor, summary in (("service", latency.service), ("response", latency.response)):
            if summary is not None and summary.mean is not None:
                yield name, unit, about, {"anchor": anchor}, summary
    counts = result.counts.window
    for outcome in ("ok", "failed", "cancelled", "abandoned", "unsent"):
        yield (
            "requests",
            "",
            "Requests of the window by what became of them.",
            {"outcome": outcome},
            getattr(counts, outcome),
        )
    for field, (name, about) in _RATES.items():
        value = getattr(result.throughput, field)
        if value is not None:
            yield name, "", about, {}, value
    if result.concurrency.mean is not None:
        yield "concurrency", "", "Mean of the requests in flight while the load was on.", {}, result.concurrency.mean
    if result.run.duration_s is not None:
        yield "run_duration_seconds", "seconds", "Length of the run.", {}, result.run.duration_s
    if result.goodput is not None:
        if result.goodput.goodput_per_s is not None:
            about = "Requests a second that kept to every limit."
            yield "goodput_requests_per_second", "", about, {}, result.goodput.goodput_per_s
        if result.goodput.attainment.value is not None:
            about = "Share of the planned requests of the window that kept to every limit."
            yield "slo_attainment_ratio", "ratio", about, {}, result.goodput.attainment.value
    for word in WORDS:
        yield "verdict", "", "What the run is worth: 1 of one word.", {"verdict": word}, float(word == word_of(result))


def quantiles(summary: Summary) -> dict[float, float]:
    """Percentiles that the samples tell, by their share, in the unit of the summary."""
    found: dict[float, float] = {}
    for name, share in QUANTILES.items():
        estimate: Estimate = getattr(summary, name)
        if estimate.value is not None:
            found[share] = estimate.value
    return found
