"""Two names of a model on a real server: its own counter of tokens is the witness that no request is lost."""

from __future__ import annotations

import duckdb
import pytest
from real_run import Run, Server

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("alone")]

PROBES = 12 + 1 + 12
"""Output tokens before the load: a probe of each class, and one of the first that tells how prompts are counted."""


def test_two_names_of_a_model(run: Run, server: Server) -> None:
    before = server.metric("tokens_predicted_total")
    ran = run(
        server.url, "--models", "smollm2-135m=2,adapter=1", "--deal", "round-robin", "--requests", "15",
        "--concurrency", "2", "--input-tokens", "24", "--output-tokens", "12", "--slo", "e2e=1h",
        "--slo-of", "adapter=e2e=1ms", "--json", "--no-html",
    )  # fmt: skip
    counted = server.metric("tokens_predicted_total") - before
    groups = ran.result.classes
    assert [group.name for group in groups] == ["smollm2-135m", "adapter"]
    assert sum(group.counts.run.ok for group in groups) == ran.result.counts.run.ok == 15
    assert groups[0].counts.run.ok == pytest.approx(10, abs=2)
    files = f"{ran.folder}/requests-*.parquet"
    sums = dict(duckdb.sql(f"select class, sum(output_tokens) from '{files}' group by 1").fetchall())
    assert counted == sum(sums.values()) + PROBES
    goods = [group.goodput.good for group in groups if group.goodput]
    assert goods == [groups[0].counts.window.ok, 0] and ran.result.goodput and ran.result.goodput.good == goods[0]
    assert any("does not list the model adapter" in note for note in ran.result.notes)
