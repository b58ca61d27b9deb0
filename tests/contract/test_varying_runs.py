"""Runs at a rate that was meant to vary, with lengths from a table: what is sent, and what the result says of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from contract_runs import Run
from small_engine import engine, truth_of

from loadcell.cli.main import main

pytestmark = pytest.mark.usefixtures("alone")


def test_the_series_is_sent_and_nothing_cries_wolf(run: Run) -> None:
    with engine() as url:
        ran = run(url, rate_series="20@2s,60@2s,60..20@1s", arrivals="constant", keep_load=False)
        truth = truth_of(url)
    sends = np.array([row["send_start_ns"] for row in ran.rows]) / 1e9
    assert np.abs(np.histogram(sends, bins=[0, 2, 4, 5.5])[0] - np.array([40, 120, 40])).max() <= 2
    assert len(truth) == len(sends) == ran.manifest.planned
    result, spec = ran.result, ran.result.methodology.spec
    assert (spec.load.rate, spec.load.duration_s) == (40.0, 5.0)
    checks = {check.name: check.says for check in result.verdict.checks}
    assert "whether the server changed under the load is not told" in checks["change"]
    words = {check.name: check.word for check in result.verdict.checks}
    assert words["stability"] in (None, "VALID") and words["change"] is None
    assert result.instrument.arrivals.planned_rate == pytest.approx(40, rel=0.03)
    assert result.steady.warmup_s == 0 and result.steady.stable is not False
    assert {found.kind for found in result.change.values()} == {None}


def test_pairs_of_a_table_are_asked_and_credited(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "pairs.jsonl"
    pairs = [(40 + i, 1 + i % 7) for i in range(25)]
    table.write_text("\n".join(json.dumps({"input_length": a, "output_length": b}) for a, b in pairs))
    with engine() as url:
        ran = run(url, lengths=str(table), lengths_order="file", requests=60)
        truth = truth_of(url)
    assert [(row["prompt_tokens"], row["output_tokens"]) for row in ran.rows] == [pairs[i % 25] for i in range(60)]
    found = [(record["prompt_tokens"], record["completion_tokens"]) for record in truth]
    assert found == [pairs[i % 25] for i in range(60)]
    assert any("the 25 pairs of lengths" in note for note in ran.result.notes)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "--rate-series", "5@1s", "--stop-when-saturated"), "cannot be told from it"),
        (("run", "--rate-series", "nothing.csv"), "load.rate_series: nothing.csv cannot be read"),
        (("run", "--lengths", "arxiv", "--input-tokens", "5"), "leave out workload.input_tokens"),
        (("run", "--lengths", "sharegtp"), "sharegpt"),
        (("run", "--input-tokens", "mixture:1*5+x"), "'5+x' is not a token length"),
        (
            ("sweep", "--rate-series", "5@1s", "--slo", "ttft=1s", "--attainment", "99%"),
            "a search holds each load still",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([words[0], "http://127.0.0.1:9", *words[1:]]) == 2
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1
