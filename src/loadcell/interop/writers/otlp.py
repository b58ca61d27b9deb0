"""An OTLP/JSON export request of metrics: what a collector's HTTP receiver (/v1/metrics) and its file receiver take.

Distributions are histograms of the window's successes with the buckets that OpenTelemetry's conventions for generative
AI recommend, and their percentiles are gauges beside them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from loadcell import __version__
from loadcell.interop.write import Asked, Held, Written
from loadcell.interop.writers.figures import Family, families, labels_of, quantiles
from loadcell.metrics import find_window
from loadcell.metrics.behaved import timed
from loadcell.metrics.latency import of_requests
from loadcell.metrics.model import Summary
from loadcell.metrics.rows import Floats, read_rows
from loadcell.metrics.window import anchors

_FIRST = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_WHOLE = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_BOUNDS = {"ttft": _FIRST, "ttfa": _FIRST, "tpot": _TOKEN, "ntpot": _TOKEN, "e2e": _WHOLE, "first_audio": _FIRST}
_CUMULATIVE = 2
_UNITS = {"seconds": "s", "ratio": "1", "": "1"}


def write(runs: Sequence[Held], asked: Asked, name: str) -> Written:
    """One request with a resource a run."""
    request = {"resourceMetrics": [_resource(run) for run in runs]}
    left_out = [
        "intervals, budgets and notes; percentiles that the samples cannot tell",
        "a histogram of ITL, whose gaps are pooled: its percentiles are there",
    ]
    return Written({name: json.dumps(request, allow_nan=False, separators=(",", ":"))}, left_out)


def _resource(run: Held) -> dict[str, Any]:
    started = datetime.fromisoformat(run.recording.manifest.started_at).timestamp()
    end = started + (run.result.run.duration_s or 0.0)
    times = {"startTimeUnixNano": str(int(started * 1e9)), "timeUnixNano": str(int(end * 1e9))}
    samples = _samples(run)
    metrics = [metric for family in families([run]) for metric in _metrics(family, samples, times)]
    resource = {"service.name": "loadcell", "service.version": __version__}
    resource |= {f"loadcell.{name}": value for name, value in labels_of(run).items()}
    return {
        "resource": {"attributes": _attributes(resource)},
        "scopeMetrics": [{"scope": {"name": "loadcell", "version": __version__}, "metrics": metrics}],
    }


def _samples(run: Held) -> dict[tuple[str, str], Floats]:
    """Values of the window's successes by metric and anchor, s."""
    rows, loop = timed(read_rows(run.recording)), run.recording.manifest.loop
    chosen = find_window(run.recording).members(rows, anchors(rows, loop)) & rows.ok
    found = {}
    for name, columns in of_requests(rows).items():
        for anchor, column in zip(("service", "response"), columns, strict=True):
            values = column[chosen]
            found[name, anchor] = values[~np.isnan(values)] / 1e9
    return found


def _metrics(family: Family, samples: dict[tuple[str, str], Floats], times: dict[str, str]) -> list[dict[str, Any]]:
    name = f"loadcell.{family.name.removesuffix(f'_{family.unit}')}"
    about = {"unit": _UNITS[family.unit], "description": family.about}
    metric = name.removeprefix("loadcell.")
    gauges, histograms = [], []
    for point in family.points:
        if not isinstance(point.value, Summary):
            gauges.append(_gauge(point.labels, point.value, times))
            continue
        scale = 1e3 if family.unit == "seconds" else 1.0
        stats: dict[str, float | None] = {f"p{100 * share:g}": at for share, at in quantiles(point.value).items()}
        stats |= {"mean": point.value.mean, "min": point.value.min, "max": point.value.max}
        gauges += [
            _gauge(point.labels | {"stat": stat}, value / scale, times)
            for stat, value in stats.items()
            if value is not None
        ]
        values = samples.get((metric, point.labels["anchor"]))
        if metric in _BOUNDS and values is not None and 0 < values.size == point.value.n:
            histograms.append(_histogram(point.labels, values, _BOUNDS[metric], times))
    found = []
    if histograms:
        data = {"aggregationTemporality": _CUMULATIVE, "dataPoints": histograms}
        found.append({"name": name, **about, "histogram": data})
        name += ".stat"
    return [*found, {"name": name, **about, "gauge": {"dataPoints": gauges}}]


def _gauge(labels: dict[str, str], value: float, times: dict[str, str]) -> dict[str, Any]:
    return {"attributes": _attributes(labels), **times, "asDouble": float(value)}


def _histogram(
    labels: dict[str, str], values: Floats, bounds: Sequence[float], times: dict[str, str]
) -> dict[str, Any]:
    """Buckets hold what is above the bound before and up to their own, as OTLP has them."""
    places = np.searchsorted(np.asarray(bounds), values, side="left")
    counts = np.bincount(places, minlength=len(bounds) + 1)
    return {
        "attributes": _attributes(labels), **times, "count": str(values.size), "sum": float(values.sum()),
        "bucketCounts": [str(count) for count in counts.tolist()], "explicitBounds": list(bounds),
        "min": float(values.min()), "max": float(values.max()),
    }  # fmt: skip


def _attributes(pairs: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": name, "value": {"stringValue": value}} for name, value in pairs.items()]
