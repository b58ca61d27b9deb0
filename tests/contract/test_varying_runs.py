"""Runs at a rate that was meant to vary, with lengths from a table: what is sent, and what the result says of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from contract_runs import Run
from small_engine import engine, truth_of

from loadcell.cli.main import main
from loadcell.recording.read import open_recording
from loadcell.search.grid import changed_spec
from loadcell.spec import Load, build_spec

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
    assert result.throughput.requests_per_s == pytest.approx(40, rel=0.1)
    assert result.throughput.requests_interval is None and result.throughput.output_tokens_interval is None
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
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    assert ran.result.methodology.effective["lengths_sha256"] == {str(table): digest}


def test_a_recorded_run_takes_another_series_or_another_mean(tmp_path: Path) -> None:
    def load(*words: str) -> Load:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        short = ("--input-tokens", "8", "--output-tokens", "4", "--json", "--trust")
        assert main(["run", *words, *short, "--output", str(folder)]) in (0, 4)
        return open_recording(folder).spec.load

    with engine() as url:
        first = load(url, "--requests", "4", "--concurrency", "2", "--ramp", "0")
        series = load(str(tmp_path / "0"), "--rate-series", "30@300ms,60@300ms", "--requests", "20")
        scaled = load(str(tmp_path / "1"), "--rate", "90")
        other = load(str(tmp_path / "1"), "--rate-series", "50@200ms")
        steady = load(str(tmp_path / "1"), "--set", "load.rate_series=none")
    assert (first.rate, first.rate_series, series.rate, series.concurrency) == (None, None, 45.0, None)
    assert (scaled.rate, scaled.rate_series) == (90.0, series.rate_series)
    assert (other.rate, other.rate_series) == (50.0, "50@0.2s")
    assert (steady.rate, steady.rate_series) == (45.0, None)


def test_a_grid_scales_a_series_or_takes_several() -> None:
    spec = build_spec({"endpoint": {"url": "localhost:1"}, "load": {"rate_series": "10@60s,50@60s"}})
    assert (spec.load.rate, changed_spec(spec, {"load.rate": 6.0}).load.rate) == (30.0, 6.0)
    other = changed_spec(spec, {"load.rate_series": "1@1s,3@1s"}).load
    assert (other.rate, other.rate_series) == (2.0, "1@1s,3@1s")
    assert changed_spec(spec, {"load.rate_series": "none"}).load.rate == 30.0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "--rate-series", "5@1s", "--stop-when-saturated"), "cannot be told from it"),
        (("run", "--rate-series", "nothing.csv"), "load.rate_series: there is no file nothing.csv"),
        (("run", "--lengths", "arxiv", "--input-tokens", "5"), "leave out workload.input_tokens"),
        (("run", "--lengths", "sharegtp"), "sharegpt"),
        (("run", "--lengths", "bwb", "--api", "embeddings"), "--input-tokens empirical:bwb#COLUMN"),
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
