"""How often `loadcell watch` cries wolf, and how soon it sees a step: by simulation, with the function that it uses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from tables import Row, Table

from loadcell.compare.steps import boundary, steps

_FIGURES, _SEED = 6, 1
Floats = NDArray[np.float64]
LAWS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "normal": lambda rng, n: rng.normal(100, 1, n),
    "lognormal, sigma 1": lambda rng, n: rng.lognormal(0, 1, n),
    "Student, 2 degrees": lambda rng, n: rng.standard_t(2, n),
    "whole numbers, many ties": lambda rng, n: np.round(rng.normal(100, 1, n)),
}


def measure(quick: bool) -> list[Table]:
    """Values to a false alarm, by law; values to a step that is seen, by what came before and the noise."""
    return [_alarms(2 if quick else 200), _dependent(2 if quick else 100), _delays(5 if quick else 400)]


def _alarms(series: int) -> Table:
    asked, length = 100, 2000
    height, rng = boundary(asked, 1), np.random.default_rng(_SEED)
    table = Table("Steps: false alarms of one figure", ("law", "values", "alarms", "values an alarm"))
    for name, law in LAWS.items():
        found = sum(len(steps(law(rng, length).tolist(), height, lambda *_: True)) for _ in range(series))
        each = series * length / max(found, 1)
        row = (name, f"{series * length:,}", f"{found:,}", f"{each:.0f}")
        table.rows.append(Row(row, f">= {asked}", each >= asked))
    return table


def _dependent(series: int) -> Table:
    """What becomes of the rate where rounds are not exchangeable: nothing is promised, so there is no bar."""
    length = 2000
    height, rng = boundary(1000, _FIGURES), np.random.default_rng(_SEED)
    columns = ("correlation with the round before", "rounds an alarm")
    notes = (f"{_FIGURES} figures that do not depend on each other, one false alarm in 1,000 rounds asked for.",)
    table = Table("Steps: false alarms where rounds depend on each other", columns, notes=notes)
    for correlation in (0.0, 0.2, 0.3, 0.5, 0.8):
        found = sum(
            len(steps(_dependent_values(rng, length, correlation), height, lambda *_: True))
            for _ in range(series * _FIGURES)
        )
        each = f"{series * length / found:,.0f}" if found else f"> {series * length:,}"
        table.rows.append(Row((f"{correlation:g}", each)))
    return table


def _dependent_values(rng: np.random.Generator, length: int, correlation: float) -> list[float]:
    """An autoregressive series of order 1 and variance 1."""
    values = rng.standard_normal(length)
    scale = (1 - correlation**2) ** 0.5
    for place in range(1, length):
        values[place] = correlation * values[place - 1] + scale * values[place]
    return [float(value) for value in values]


def _delays(series: int) -> Table:
    height, rng = boundary(1000, _FIGURES), np.random.default_rng(_SEED)
    columns = ("rounds before", "noise", "step", "seen after, median", "p90", "seen at all")
    notes = (f"One of {_FIGURES} figures, at most one false alarm in 1,000 rounds; steps of 5 % and more matter.",)
    table = Table("Steps: how soon one is seen", columns, notes=notes)
    for before in (20, 50, 200):
        for noise in (0.02, 0.05):
            values = [_delay(rng, before, noise, height) for _ in range(series)]
            seen = [value for value in values if value is not None]
            middle, late = np.percentile(seen, (50, 90)) if seen else (np.nan, np.nan)
            share = len(seen) / len(values)
            cells = (str(before), f"{noise:.0%}", "+10 %", f"{middle:.0f} rounds", f"{late:.0f}", f"{share:.0%}")
            table.rows.append(Row(cells))
    return table


def _delay(rng: np.random.Generator, before: int, noise: float, height: float) -> int | None:
    values = np.concatenate([rng.normal(1, noise, before), rng.normal(1.1, noise, 100)]).tolist()
    found = steps(values, height, lambda a, b: abs(b - a) >= 0.05 * a)
    return next((step.seen - before + 1 for step in found if step.seen >= before), None)
