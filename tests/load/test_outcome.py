"""What a worker says of a request while the load runs, against what the result says of it afterwards."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadcell.load.outcome import outcome
from loadcell.load.steer import AT_LIMIT, Outcome
from loadcell.metrics.goodput import goodput
from loadcell.metrics.model import Counts
from loadcell.metrics.window import Span
from loadcell.recording.schema import MISSING
from loadcell.recording.write import MISSING_INT
from loadcell.spec import Slo

MS = 1_000_000
TIME = st.integers(0, 50).map(lambda n: n * MS)
LIMIT = st.none() | st.integers(1, 60).map(float)


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """A row as a worker writes it: of a stream, of a whole reply, or with no count of its tokens."""
    planned = draw(TIME | st.just(MISSING))
    sent = (0 if planned == MISSING else planned) + draw(TIME)
    streamed, tokens = draw(st.booleans()), draw(st.integers(0, 6) | st.just(MISSING_INT))
    chunks = draw(st.integers(1, 4)) if streamed else 1
    first = sent + draw(TIME)
    return {
        "status": draw(st.sampled_from(["ok", "ok", "ok", "failed", "cancelled"])),
        "planned_ns": planned,
        "send_start_ns": sent,
        "first_any_ns": first if streamed else MISSING,
        "first_audio_ns": first if draw(st.booleans()) else MISSING,
        "last_ns": first + (draw(TIME) if chunks > 1 else 0),
        "output_tokens": tokens,
        "first_tokens": draw(st.just(MISSING_INT) | st.integers(1, 3)) if streamed else MISSING_INT,
        "output_chunks": chunks,
    }


class OneRow(SimpleNamespace):
    """The columns of a single request."""

    def __len__(self) -> int:
        return 1


def in_result(row: dict[str, Any], slo: Slo) -> bool | None:
    """Whether the result counts it as good; None where it cannot judge."""

    def column(name: str) -> np.ndarray[Any, Any]:
        return np.array([np.nan if row[name] in (MISSING, MISSING_INT) else float(row[name])])

    names = ("planned", "send_start", "first_any", "first_audio", "last")
    table = {short: column(f"{short}_ns") for short in names}
    counts = {name: column(name) for name in ("output_tokens", "first_tokens", "output_chunks")}
    ok = np.array([row["status"] == "ok"])
    shares = np.where(counts["output_chunks"] == 1, counts["output_tokens"], 1.0)
    first = np.where(np.isnan(counts["first_tokens"]), shares, counts["first_tokens"])
    later = np.where(np.isnan(table["first_any"]), np.nan, counts["output_tokens"] - first)
    alone = dict.fromkeys(("first_events", "last_events", "pace_end"), np.array([np.nan]))
    it = OneRow(
        **table,
        **counts,
        **alone,
        later_tokens=later,
        ok=ok,
        sent=np.array([True]),
        end=table["last"],
        streamed=~np.isnan(table["first_any"]),
    )
    loop = "closed" if row["planned_ns"] == MISSING else "open"
    planned = Counts(planned=1, ok=int(ok[0]), failed=int(not ok[0]), cancelled=0, unsent=0)
    found = goodput(cast(Any, it), np.array([True]), planned, Span(0, 1e9, "", "found", 1e9), slo, loop)
    return bool(ok[0]) if found is None else None if found.good is None else found.good == 1


@given(rows(), st.builds(Slo, ttft_ms=LIMIT, tpot_ms=LIMIT, e2e_ms=LIMIT, first_audio_ms=LIMIT))
def test_the_outcome_is_that_of_the_result(row: dict[str, Any], slo: Slo) -> None:
    said, found = outcome(row, slo), in_result(row, slo)
    assert (said == Outcome.FAILED) == (row["status"] != "ok")
    assert (0 < said <= AT_LIMIT) == (found is True), "and a limit that cannot be judged is not met"


def test_a_request_counts_from_its_planned_time_or_from_its_send() -> None:
    row = {
        "status": "ok", "planned_ns": 0, "send_start_ns": 30 * MS, "first_any_ns": 50 * MS, "last_ns": 60 * MS,
        "first_audio_ns": MISSING, "output_tokens": 2, "first_tokens": 1, "output_chunks": 2,
    }  # fmt: skip
    slo = Slo(ttft_ms=40.0)
    assert outcome(row, slo) > AT_LIMIT
    assert 0 < outcome(row | {"planned_ns": MISSING}, slo) <= AT_LIMIT
    assert 0 < outcome(row, Slo(ttft_ms=50.0, tpot_ms=10.0, e2e_ms=60.0)) <= AT_LIMIT
    assert outcome(row, Slo(tpot_ms=9.9)) > AT_LIMIT
    assert 0 < outcome(row | {"output_tokens": 1}, Slo(tpot_ms=9.9)) <= AT_LIMIT, "one token has no pace"
    assert outcome(row | {"first_tokens": 3}, Slo(tpot_ms=9.9)) == 1, "nor have tokens that came at once"
