"""What the stages say together: the Pareto front, knees by a named method, and a fit of the scalability law.

None of these decides anything: a search judges stages by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from loadcell.phrases import phrase
from loadcell.search.model import Curves, Knee, Plan, Point, Scalability, Stage

Floats = npt.NDArray[np.float64]

LEAST_FOR_KNEE, LEAST_FOR_FIT = 5, 4
_SENSITIVITY = 1.0
_NEGLIGIBLE = 1e-6
"""A part of the law's denominator below this, at the highest load, is none."""


def curves(plan: Plan, stages: Sequence[Stage]) -> Curves:
    """Pareto front, knees and fit over the stages that may be set beside each other (see `left_out`)."""
    knees = [knee(stages, *curve) for curve in KNEES] if plan.axis is not None else []
    return Curves(
        pareto=pareto(stages),
        knees=[found for found in knees if found is not None],
        scalability=scalability(stages),
    )


def left_out(stage: Stage) -> str | None:
    """Why a stage has no place among steady ones; None if it has."""
    if stage.point is None:
        return phrase("without figures")
    if stage.state != "complete":
        return phrase("cut off")
    if stage.point.verdict == "INVALID":
        return "INVALID"
    return "unstable" if stage.point.stable is False else None


def _points(stages: Sequence[Stage]) -> list[tuple[Stage, Point]]:
    return [(stage, stage.point) for stage in stages if stage.point is not None and left_out(stage) is None]


# --- the Pareto front ------------------------------------------------------------------------------------------------


def pareto(stages: Sequence[Stage]) -> list[int]:
    """Numbers of the stages that none beats in both tokens/s a user and tokens/s in total, by rising total.

    Totals are per GPU where all of them are known so. Of two that are alike in both, neither beats the other. To three
    digits: a user's tokens/s that differ by less are the same, and the front would be a list of chances.
    """
    points = _points(stages)
    per_gpu = all(point.tokens_per_s_per_gpu is not None for _, point in points)
    each = [
        (stage.ask.number, float(f"{point.tokens_per_s_per_user:.3g}"), float(f"{total:.3g}"))
        for stage, point in points
        if (total := point.tokens_per_s_per_gpu if per_gpu else point.output_tokens_per_s) is not None
        and point.tokens_per_s_per_user is not None
    ]
    front = [one for one in each if not any(_beats(other, one) for other in each)]
    return [number for number, _, _ in sorted(front, key=lambda one: (one[2], one[0]))]


def _beats(one: tuple[int, float, float], other: tuple[int, float, float]) -> bool:
    return one[1:] != other[1:] and one[1] >= other[1] and one[2] >= other[2]


# --- knees -----------------------------------------------------------------------------------------------------------


def kneedle(x: Floats, y: Floats, *, convex: bool = False) -> int | None:
    """Index of the knee of a rising curve; None if it has none (or fewer than 5 points).

    Satopaa, Albrecht, Irwin, Raghavan, "Finding a Kneedle in a Haystack" (2011): both axes are scaled to 0..1; the knee
    is a local maximum of d = y - x (x - y on a convex curve) from which d falls by more than S times the mean step of x
    before it rises again; S = 1. The points are few, so they are not smoothed by a spline. Of several the first; at the
    end of the curve there is none.
    """
    if len(x) < LEAST_FOR_KNEE or np.ptp(x) <= 0 or np.ptp(y) <= 0:
        return None
    across, up = (x - x.min()) / np.ptp(x), (y - y.min()) / np.ptp(y)
    apart = across - up if convex else up - across
    fall = _SENSITIVITY * float(np.mean(np.diff(across)))
    for i in range(1, len(apart) - 1):
        if not (apart[i] > 0 and apart[i] >= apart[i - 1] and apart[i] > apart[i + 1]):
            continue
        for after in apart[i + 1 :]:
            if after > apart[i]:
                break
            if after < apart[i] - fall:
                return i
    return None


Curve = tuple[str, Callable[[Point], float | None], bool]
KNEES: tuple[Curve, ...] = (
    (phrase("output tokens/s against load"), lambda point: point.output_tokens_per_s, False),
    (phrase("inputs/s against load"), lambda point: point.inputs_per_s, False),
    (phrase("images/s against load"), lambda point: point.images_per_s, False),
    (phrase("s of audio/s against load"), lambda point: point.audio_s_per_s, False),
    (
        phrase("p99 TTFT against load"),
        lambda point: point.ttft_ms["p99"].value if "p99" in point.ttft_ms else None,
        True,
    ),
)


def knee(stages: Sequence[Stage], curve: str, figure: Callable[[Point], float | None], convex: bool) -> Knee | None:
    """The knee of a figure against the load; None with fewer than 5 loads that tell it.

    Throughput counts of unstable stages too: a server with a queue shows what it carries. Latencies of these do not:
    they are as long as the stage was.
    """
    usable = [
        (stage.ask.level, value, stage.ask.number)
        for stage in stages
        if stage.ask.level is not None
        and stage.ask.phase != "floor"
        and stage.point is not None
        and (left_out(stage) is None or (left_out(stage) == "unstable" and not convex))
        and (value := figure(stage.point)) is not None
    ]
    levels = sorted({level for level, _, _ in usable})
    if len(levels) < LEAST_FOR_KNEE:
        return None
    means = [float(np.mean([value for at, value, _ in usable if at == level])) for level in levels]
    found = kneedle(np.array(levels), np.array(means), convex=convex)
    method = phrase("Kneedle (Satopaa et al. 2011), S = 1, without smoothing")
    if found is None:
        says = phrase("{} shows no knee between {:g} and {:g}", curve, levels[0], levels[-1])
        return Knee(method=method, curve=curve, level=None, stage=None, says=says)
    return Knee(
        method=method,
        curve=curve,
        level=levels[found],
        stage=next(number for level, _, number in usable if level == levels[found]),
        says=phrase(
            "{} bends at {:g}, among loads from {:g} to {:g}: it moves with that range, and decides nothing",
            curve,
            levels[found],
            levels[0],
            levels[-1],
        ),
    )


# --- the scalability law ---------------------------------------------------------------------------------------------


def scalability(stages: Sequence[Stage]) -> Scalability | None:
    """Gunther's law fitted to output tokens/s against mean requests in flight; None with fewer than 4 usable loads.

    Usable are stages with at least one request in flight (the law begins there) that are neither INVALID nor unstable:
    of a growing queue there is no mean.
    """
    usable = [
        (stage.ask.number, point.concurrency, point.output_tokens_per_s)
        for stage, point in _points(stages)
        if point.concurrency is not None and point.concurrency >= 1 and point.output_tokens_per_s
    ]
    flight = np.array([n for _, n, _ in usable], np.float64)
    if len(np.unique(flight.round(6))) < LEAST_FOR_FIT:
        return None
    rates = np.array([rate for _, _, rate in usable], np.float64)
    gamma, sigma, kappa = fit_law(flight, rates)
    highest = float(flight.max())
    if kappa * highest**2 < _NEGLIGIBLE:
        kappa = 0.0
    if sigma * highest < _NEGLIGIBLE:
        sigma = 0.0
    peak = math.sqrt((1 - sigma) / kappa) if kappa and sigma < 1 else None
    peak = peak if peak is not None and peak >= 1 else None
    spread = float(np.sum((rates - rates.mean()) ** 2))
    missed = float(np.sum((rates - law(flight, gamma, sigma, kappa)) ** 2))
    return Scalability(
        figure=phrase("output tokens/s"),
        gamma=gamma,
        sigma=sigma,
        kappa=kappa,
        peak=peak,
        r_squared=1 - missed / spread if spread > 0 else None,
        stages=[number for number, _, _ in usable],
        says=_explained(sigma, kappa, peak, gamma, highest, len(usable)),
    )


def law(flight: Floats, gamma: float, sigma: float, kappa: float) -> Floats:
    """X(N) = g N / (1 + s (N-1) + k N (N-1)) (Gunther, "Guerrilla Capacity Planning", 2007)."""
    return gamma * flight / (1 + sigma * (flight - 1) + kappa * flight * (flight - 1))


def fit_law(flight: Floats, rates: Floats) -> tuple[float, float, float]:
    """g, s and k of the law by least squares, none below 0.

    N / X is linear in 1/g, s/g and k/g: their non-negative least squares are where the search begins.
    """
    from scipy.optimize import least_squares, nnls

    terms = np.stack([np.ones_like(flight), flight - 1, flight * (flight - 1)], axis=1)
    scale = np.abs(terms).max(axis=0)
    (a, b, c), _ = nnls(terms * (rates / flight)[:, None] / scale, np.ones_like(flight))
    a, b, c = a / scale[0], b / scale[1], c / scale[2]
    gamma = 1 / a if a > 0 else float((rates / flight).max())
    begin = np.array([gamma, b * gamma, c * gamma])
    units = np.array([gamma, 1.0, 1 / float(flight.max())])
    found = least_squares(
        lambda parts: (law(flight, *(parts * units)) - rates) / rates.max(),
        begin / units,
        bounds=(0, np.inf),
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-12,
    )
    g, s, k = (float(part) for part in found.x * units)
    return g, s, k


def _explained(sigma: float, kappa: float, peak: float | None, gamma: float, highest: float, count: int) -> str:
    if peak is not None:
        top = phrase("a peak at {:.3g} requests in flight", peak)
        if peak > highest:
            top = phrase("{}, beyond the {:.3g} that were measured: a guess", top, highest)
    elif kappa == 0 and sigma > 0:
        top = phrase("no peak, but a ceiling of {:.3g} tokens/s", gamma / sigma)
    elif kappa == 0:
        top = phrase("no peak and no ceiling within what was measured")
    else:
        top = phrase("no peak: more in flight brought less from the start")
    return phrase("by the law fitted to {} stages there is {}. It explains the curve and decides nothing", count, top)
