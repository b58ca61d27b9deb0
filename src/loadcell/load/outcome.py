"""The graded outcome of a request by the SLO, from its row: what `metrics/goodput.py` says of it after the run.

Two things may differ: tokens of a reply whose server does not count them, for which its events stand here, and the pace
of a stream that came in bursts, which are looked for when its rows are written.
"""

from __future__ import annotations

from typing import Any

from loadcell.load.steer import Outcome, grade
from loadcell.recording.schema import MISSING
from loadcell.recording.write import MISSING_INT
from loadcell.spec import Slo

_NEVER = float("inf")
"""A figure that is not known: above every limit."""


def outcome(row: dict[str, Any], slo: Slo) -> int:
    """How a request ended, by its worst limit; `row` as `flight.write_rows` wrote it. One not shown is missed."""
    if row["status"] != "ok":
        return Outcome.FAILED
    anchor = row["send_start_ns"] if row["planned_ns"] == MISSING else row["planned_ns"]
    figures_ns = (
        (slo.ttft_ms, _since(row["first_any_ns"], anchor)),
        (slo.tpot_ms, _tpot_ns(row)),
        (slo.e2e_ms, _since(row["last_ns"], anchor)),
        (slo.first_audio_ms, _since(row["first_audio_ns"], anchor)),
    )
    return grade(
        max((figure / (limit_ms * 1e6) for limit_ms, figure in figures_ns if limit_ms is not None), default=0.0)
    )


def _since(moment_ns: int, anchor_ns: int) -> float:
    return _NEVER if moment_ns == MISSING else float(moment_ns - anchor_ns)


def _tpot_ns(row: dict[str, Any]) -> float:
    """(last - first event) / tokens after the first event; 0 where there are none, for no pace can be too slow."""
    tokens, first = row["output_tokens"], row["first_tokens"]
    if tokens == MISSING_INT:
        return _NEVER
    if tokens <= 1:
        return 0.0
    if row["first_any_ns"] == MISSING:
        return _NEVER
    if first == MISSING_INT:
        first = tokens if row["output_chunks"] == 1 else 1
    later = tokens - first
    return float(row["last_ns"] - row["first_any_ns"]) / later if later >= 1 else 0.0
