"""Statistics of samples as peers write them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from loadcell.metrics.rows import Floats


def known(values: Floats) -> Floats:
    """Those that are there."""
    found: Floats = values[~np.isnan(values)]
    return found


def linear(values: Floats, percentiles: Iterable[float]) -> list[float]:
    """Percentiles by numpy's linear interpolation, as vLLM, AIPerf and inference-perf have them; of at least one."""
    return [float(value) for value in np.percentile(values, list(percentiles))]


def step(values: Floats, weights: Floats, percentiles: Iterable[float]) -> list[float]:
    """Percentiles of a weighted step CDF without interpolation, as GuideLLM has them: the least value whose share
    of the weights is reached."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    places = np.searchsorted(below, np.asarray(list(percentiles)) / 100 * below[-1] * (1 - 1e-12))
    return [float(value) for value in values[order][np.minimum(places, values.size - 1)]]
