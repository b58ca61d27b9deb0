"""Since when requests failed, over the whole run."""

from __future__ import annotations

import numpy as np

from loadcell.metrics.model import Failing
from loadcell.metrics.rows import Rows
from loadcell.onset import onset


def failing(rows: Rows) -> Failing | None:
    """When failures became a greater share of what ended, and what share; None where they never clearly did."""
    ended = rows.ok | rows.failed
    order = np.argsort(rows.end[ended], kind="stable")
    failed = rows.failed[ended][order]
    place = onset(~failed, failed)
    if place is None:
        return None
    later = failed[place:]
    first = rows.end[ended][order][place + int(np.argmax(later))]
    return Failing(since_s=float(first) / 1e9, share=float(later.mean()))
