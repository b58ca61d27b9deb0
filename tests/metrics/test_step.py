"""Users in step: seen where they are, with what spreads them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from made import MS, build, ok_request

from loadcell.metrics import Result, build_result
from loadcell.recording.read import Recording

Make = Callable[..., Recording]
SAYS = "--output-tokens uniform:64,192 spreads them"


def loop(
    make: Make, *, users: int = 16, ramp_ms: float = 10, spread: float = 0.0, noise: float = 0.0, **load: Any
) -> Result:
    """Users of a server of 20 ms a token after 50 ms for 60 s, one after the other at the start."""
    rng = np.random.default_rng(1)
    rows = []
    for user in range(users):
        at = user * ramp_ms
        while at < 60_000:
            tokens = int(rng.integers(round(128 * (1 - spread)), round(128 * (1 + spread)) + 1))
            row = ok_request(len(rows), start_ms=at, tokens=tokens, asked_tokens=tokens)
            late = round(abs(rng.standard_normal()) * noise * MS)
            rows.append(row | {"last_ns": row["last_ns"] + late, "end_ns": row["last_ns"] + late})
            at = rows[-1]["end_ns"] / MS
    rows = [row | {"request": i} for i, row in enumerate(sorted(rows, key=lambda row: row["send_start_ns"]))]
    return build_result(make(rows, load={"concurrency": users} | load))


def test_constant_lengths_after_a_short_ramp_are_in_step(make: Make) -> None:
    result = loop(make)
    assert result.steady.in_step == pytest.approx(0.99, abs=0.02)
    (note,) = [note for note in result.notes if "in step" in note]
    assert note.endswith(SAYS) and "R = 0.9" in note


def test_a_ramp_of_one_reply_spreads_them(make: Make) -> None:
    result = loop(make, ramp_ms=2590 / 16)
    assert result.steady.in_step < 0.3
    assert not [note for note in result.notes if "in step" in note]


def test_lengths_that_vary_are_not_judged(make: Make) -> None:
    assert loop(make, spread=0.5).steady.in_step is None


@pytest.mark.parametrize("load", [{"users": 4}, {"lockstep": True}])
def test_few_users_and_those_who_were_told_to_are_not_judged(make: Make, load: dict[str, Any]) -> None:
    result = loop(make, **load)
    assert result.steady.in_step is None and not [note for note in result.notes if "in step" in note]


def test_recomputed_by_hand(tmp_path: Path) -> None:
    """Of each round: how long the sum of the directions of its sends is, over all sends."""
    result = loop(partial(build, tmp_path / "run"), noise=40, ramp_ms=60)
    table = duckdb.sql(f"SELECT send_start_ns s, end_ns e FROM '{tmp_path}/run/requests-*.parquet'").fetchall()
    low, high = result.methodology.window.start_s * 1e9, result.methodology.window.end_s * 1e9
    inside = [(s, e) for s, e in table if low <= s <= high]
    stay = sum(e - s for s, e in inside) / len(inside)
    rounds: dict[int, list[float]] = {}
    for s, _ in inside:
        rounds.setdefault(math.floor((s - low) / stay), []).append(2 * math.pi * (s - low) / stay)
    total = sum(math.hypot(sum(map(math.cos, turns)), sum(map(math.sin, turns))) for turns in rounds.values())
    assert result.steady.in_step == pytest.approx(total / len(inside), abs=1e-9)
    assert 0.3 < total / len(inside) < 0.9
