"""Shared beginnings and the states of a real server's cache: llama.cpp's own counts are the witness."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from real_run import Ran, Run

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("alone")]

LOAD = (
    "--input-tokens", "120", "--output-tokens", "1", "--requests", "12", "--concurrency", "2", "--shared-host",
    "--json", "--no-html",
)  # fmt: skip
POINTS = 0.03


def _within_three_points(ran: Ran) -> None:
    found = ran.result.cache
    assert found is not None and found.intended_share is not None
    by_usage, by_page = found.reported
    assert by_usage.difference is not None and abs(by_usage.difference) <= POINTS
    assert by_page.share == pytest.approx(by_usage.share, abs=POINTS)
    files = f"{ran.folder}/requests-*.parquet"
    sums = duckdb.sql(f"select sum(cached_tokens) / sum(prompt_tokens), count(*) from '{files}'").fetchall()
    assert sums == [(pytest.approx(by_usage.share), 12)]


def test_a_real_cache_has_what_groups_share(run: Run, serve: Callable[..., Any], tmp_path: Path) -> None:
    """As many groups as its four slots, less one that a prompt of no group may take."""
    groups = ("--prefix-groups", "3", "--prefix-tokens", "50", "--system-tokens", "20")
    with serve(slot_save_path=f"{tmp_path}/") as server:
        cold = run(server.url, *LOAD, *groups, "--cache", "cold", "--salt", "")
        again = run(server.url, *LOAD, *groups, "--cache", "cold", "--salt", "")
        warm = run(server.url, *LOAD, *groups, "--cache", "warm")
    for ran in (cold, again, warm):
        _within_three_points(ran)
    told = again.recording.manifest.effective["cache"][0]
    assert (told["call"], told["calls"], told["seen_by"]) == ("POST /slots/0?action=erase", 4, "usage")
    assert warm.recording.manifest.effective["cache"][0]["requests"] == 3


def test_a_server_that_was_not_started_for_it_is_not_emptied(run: Run, serve: Callable[..., Any]) -> None:
    with serve() as server:
        ran = run(server.url, *LOAD, "--cache", "cold")
    assert ran.code == 1 and "--slot-save-path DIR" in ran.err
