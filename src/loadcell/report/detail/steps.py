"""The time axis: equal steps over the whole run, and cells within them for what changes faster."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from loadcell.metrics.rows import Floats, Ids, Rows
from loadcell.metrics.window import anchors
from loadcell.report.detail.model import BINS

_FEWEST = 60
"""Steps of a run with few requests, at most: more would hold none each."""
_REQUESTS_EACH = 10
"""Requests for every step beyond those."""
_CELL_BITS = 10
_CELLS = 1 << _CELL_BITS
"""Cells of a step: about 250,000 in a run."""


@dataclass(frozen=True)
class Steps:
    """`count` steps of `each_ns` from the start of the load; times outside belong to the first or the last."""

    each_ns: float
    count: int

    @property
    def edges(self) -> Floats:
        """Starts of the steps, and the end of the last, in ns."""
        return np.arange(self.count + 1, dtype=np.float64) * self.each_ns

    @property
    def cells(self) -> Floats:
        """Edges of the cells, in ns."""
        return np.arange(self.count * _CELLS + 1, dtype=np.float64) * (self.each_ns / _CELLS)

    def place(self, t_ns: npt.NDArray[Any]) -> Ids:
        """The step of each time."""
        return self.step_of(self.cell(t_ns))

    def cell(self, t_ns: npt.NDArray[Any]) -> Ids:
        """The cell of each time."""
        cells = (t_ns * (_CELLS / self.each_ns)).astype(np.int64)
        return np.clip(cells, 0, self.count * _CELLS - 1, out=cells)

    def step_of(self, cells: Ids) -> Ids:
        """The step of each cell."""
        return cells >> _CELL_BITS


def make_steps(rows: Rows, loop: str) -> Steps | None:
    """Steps of 1, 2 or 5 times a power of ten that cover all requests; None without a time above 0."""
    times = np.concatenate((rows.end, rows.last, anchors(rows, loop)))
    times = times[~np.isnan(times)]
    extent = float(times.max()) if times.size else 0.0
    if extent <= 0:
        return None
    most = min(BINS, max(_FEWEST, len(rows) // _REQUESTS_EACH))
    each = _round_up(extent / most)
    return Steps(each, min(BINS, math.floor(extent / each) + 1))


def _round_up(ns: float) -> float:
    """The least of 1, 2, 5, 10, 20, ... at or above."""
    unit = 10.0 ** math.floor(math.log10(ns))
    return next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= ns * (1 - 1e-9))
