"""Requests drawn from ServeGen's clients: rates, burstiness and lengths are those of the files."""

from __future__ import annotations

import ast
import csv
import gzip
import json
import shutil

import numpy as np
import pytest

from loadcell.errors import UsageError
from loadcell.traces.named import path_of
from loadcell.traces.read import read_trace
from loadcell.traces.servegen import WINDOW_S

NAME = "servegen-deepseek-r1"
HOUR = (36_000.0, 39_600.0)
RATES = "client,t,rate,cv,pattern,arg1,arg2\n"
LENGTHS = json.dumps({"0": {"input_tokens": "{10: 0.5, 20: 0.5}", "output_tokens": "{5: 1.0}", "reason_ratio": "{}"}})


@pytest.fixture
def folder(tmp_path):
    def write(rates: str, lengths: str = LENGTHS):
        (tmp_path / "rates.csv").write_text(RATES + rates)
        (tmp_path / "client7_lengths.json").write_text(lengths)
        return tmp_path / "rates.csv"

    return write


def test_an_hour_has_the_requests_that_its_rates_promise():
    rows = csv.DictReader(gzip.decompress((path_of(NAME) / "rates.csv.gz").read_bytes()).decode().splitlines())
    promised = sum(float(row["rate"]) * 600 for row in rows if HOUR[0] <= float(row["t"]) < HOUR[1])
    trace = read_trace(NAME, window_s=HOUR)
    assert len(trace) == pytest.approx(promised, rel=0.02)
    assert HOUR[0] <= trace.t_s[0] < trace.t_s[-1] < HOUR[1]
    assert (np.diff(trace.t_s) >= 0).all()


def test_a_window_has_the_very_requests_that_a_longer_one_has_there():
    part, whole = (read_trace(NAME, window_s=window) for window in ((36_300.0, 37_000.0), HOUR))
    there = (whole.t_s >= 36_300) & (whole.t_s < 37_000)
    assert np.array_equal(part.t_s, whole.t_s[there])
    assert np.array_equal(part.input_tokens, whole.input_tokens[there])
    assert np.array_equal(part.output_tokens, whole.output_tokens[there])


def test_the_seed_decides_and_is_said():
    one, again, other = (read_trace(NAME, window_s=(0, 1200), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.t_s, again.t_s) and not np.array_equal(one.t_s, other.t_s)
    words = [change.words for change in one.changes]
    assert words[0].startswith(f"{len(one):,} requests were drawn") and words[0].endswith("with seed 1")
    assert "clients without lengths: those of client 35 were taken" in words[1]


@pytest.mark.parametrize(("law", "shape"), [("Gamma", 0.05), ("Gamma", 1.2), ("Weibull", 0.4), ("Weibull", 1.1)])
def test_windows_have_their_rate_on_average_however_bursty_they_are(folder, law, shape):
    path = folder("".join(f"7,{600 * i},0.1,1,{law},{shape},99\n" for i in range(2000)))
    counts = np.bincount((read_trace(path).t_s // WINDOW_S).astype(int), minlength=2000)
    assert counts.mean() == pytest.approx(60, abs=4 * counts.std() / len(counts) ** 0.5)


@pytest.mark.parametrize(("law", "shape"), [("Gamma", 0.25), ("Weibull", 0.7), ("Weibull", 2.0)])
def test_gaps_have_the_shape_of_the_law(folder, law, shape):
    from scipy import stats

    gaps = np.diff(read_trace(folder(f"7,0,50,1,{law},{shape},99\n")).t_s)
    known = stats.gamma(shape) if law == "Gamma" else stats.weibull_min(shape)
    assert gaps.std() / gaps.mean() == pytest.approx(known.std() / known.mean(), rel=0.04)
    assert stats.kstest(gaps * 50 * known.mean(), known.cdf).pvalue > 1e-4


def test_lengths_are_those_of_the_client_and_of_its_hours():
    folder = path_of(NAME)
    windows = json.loads(gzip.decompress((folder / "client35_lengths.json.gz").read_bytes()))
    for start, said in ((21_600, (138, 4491)), (64_800, (607, 758))):
        trace = read_trace(NAME, window_s=(start, start + 7200))
        for values, key, mean in zip(
            (trace.input_tokens, trace.output_tokens), ("input_tokens", "output_tokens"), said, strict=True
        ):
            law = ast.literal_eval(windows[str(start)][key])
            total = sum(law.values())
            wanted = sum(int(tokens) * share for tokens, share in law.items()) / total
            assert wanted == pytest.approx(mean, rel=0.01)
            assert values.mean() == pytest.approx(wanted, rel=0.05)
            assert set(np.unique(values).tolist()) <= {max(1, int(tokens)) for tokens in law}


def test_the_files_of_the_repository_are_read_as_they_are(tmp_path):
    (tmp_path / "chunk-7-trace.csv").write_text("0,2.0,1,Gamma,1,1\n600,0,,,,\n1200,1.0,1,Weibull,1,1\n")
    (tmp_path / "chunk-3-trace.csv").write_text("0,1.0,1,Gamma,1,1\n")
    (tmp_path / "chunk-7-dataset.json").write_text(LENGTHS)
    trace = read_trace(tmp_path)
    assert trace.kind == "servegen" and len(trace) == pytest.approx(2400, rel=0.1)
    assert ((trace.t_s < 600) | (trace.t_s >= 1200)).all()
    assert set(trace.input_tokens.tolist()) == {10, 20} and set(trace.output_tokens.tolist()) == {5}


def test_rates_without_lengths_and_lengths_that_are_none_are_told(tmp_path, folder):
    lone = tmp_path / "lone"
    lone.mkdir()
    shutil.copy(path_of(NAME) / "rates.csv.gz", lone)
    with pytest.raises(UsageError, match="holds rates without lengths: put ServeGen's lengths"):
        read_trace(lone / "rates.csv.gz")
    code = '{"0": {"input_tokens": "__import__(\'os\')", "output_tokens": "{1: 1}"}}'
    good = "7,0,1,1,Gamma,1,1\n"
    for rates, lengths, said in (
        (good, code, "holds no lengths"),
        (good, "[]", "holds no lengths"),
        ("7,0,1,1,Pareto,1,1\n", LENGTHS, "line 2 of"),
        (good + "7,x,1,1,Gamma,1,1\n", LENGTHS, "line 3 of"),
    ):
        with pytest.raises(UsageError, match=said):
            read_trace(folder(rates, lengths))
    with pytest.raises(UsageError, match="no requests from 700 to 800 s"):
        read_trace(folder("7,0,1,1,Gamma,1,1\n"), window_s=(700, 800))
