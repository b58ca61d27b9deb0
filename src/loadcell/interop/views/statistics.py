"""Statistics of samples as each tool computes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from loadcell.interop.views.definitions import Rules

Floats = npt.NDArray[np.float64]
Which = str | float
"""mean, std, min, max, sum, count, or a percentile."""


def statistics(values: Floats, weights: Floats | None, wanted: Sequence[Which], rules: Rules) -> list[float | None]:
    """Those of `wanted`, in its order; None without a value."""
    if not values.size:
        return [0.0 if which == "count" else None for which in wanted]
    percents = [which for which in wanted if not isinstance(which, str)]
    if weights is not None or rules.percentile == "step":
        distinct, share = _distribution(values, np.ones(values.size) if weights is None else weights)
        found = dict(zip(percents, _steps(distinct, share, percents), strict=True))
    else:
        found = dict(zip(percents, percentiles(values, percents, rules.percentile), strict=True))
    plain: dict[str, Callable[[], float | None]] = {
        "count": lambda: float(values.size),
        "sum": lambda: float(values.sum()),
        "mean": lambda: float(values.mean()),
        "min": lambda: float(values.min()),
        "max": lambda: float(values.max()),
        "std": lambda: float(values.std(ddof=rules.ddof)) if values.size > rules.ddof else None,
    }
    if weights is not None:
        mean = float((distinct * share).sum())
        plain |= {
            "mean": lambda: mean,
            "std": lambda: float(np.sqrt(((distinct - mean) ** 2 * share).sum())),
            "min": lambda: float(distinct[0]),
            "max": lambda: float(distinct[-1]),
        }
    return [plain[which]() if isinstance(which, str) else found[which] for which in wanted]


def named(values: Floats, weights: Floats | None, wanted: Mapping[str, Which], rules: Rules) -> dict[str, float | None]:
    """The same, each by the name that a tool has for it."""
    return dict(zip(wanted, statistics(values, weights, list(wanted.values()), rules), strict=True))


def percentiles(values: Floats, percents: Sequence[float], method: str) -> list[float]:
    """Percentiles of values that are some, by a method of `definitions.Percentile`."""
    if not percents:
        return []
    if method == "linear":
        return [float(value) for value in np.percentile(values, percents)]
    if method == "step":
        return _steps(*_distribution(values, np.ones(values.size)), percents)
    n, shares = values.size, [percent / 100 for percent in percents]
    by: dict[str, Callable[[float], int]] = {
        "rank": lambda p: int(np.ceil(round(p * n, 9))) - 1,
        "lower": lambda p: int(np.floor(p * (n - 1))),
        "floor": lambda p: int(n * p),
    }
    places = [min(n - 1, max(0, by[method](p))) for p in shares]
    ordered = np.partition(values, sorted(set(places)))
    return [float(ordered[place]) for place in places]


def _distribution(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """The distinct values, rising, and their shares of the weight; of values that weigh nothing each counts once."""
    weights = weights if weights.sum() > 0 else np.ones_like(weights)
    distinct, place = np.unique(values, return_inverse=True)
    share = np.bincount(place, weights=weights)
    keep = share > 0
    return distinct[keep], share[keep] / share[keep].sum()


def _steps(distinct: Floats, share: Floats, percents: Sequence[float]) -> list[float]:
    """The first value at which the distribution reaches each."""
    places = np.searchsorted(np.cumsum(share), np.array(percents) / 100)
    return [float(distinct[min(distinct.size - 1, int(place))]) for place in places]
