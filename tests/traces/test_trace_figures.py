"""The figures of the packaged traces, each computed again from the files by the standard library alone."""

from __future__ import annotations

import csv
import gzip
import json
import math
import statistics
import zipfile
from collections import Counter
from datetime import datetime
from importlib import resources
from itertools import pairwise
from pathlib import Path

import pytest
from known_sharing import hits_of

from loadcell.traces.describe import describe
from loadcell.traces.named import named_traces, path_of
from loadcell.traces.read import read_trace

AZURE = ("azure-code", "azure-conv")
# README of the data: rows, gap CV, dispersion at 10 s, input mean p50 p99 max, output mean p50 p99 max
TABLE = {
    "azure-code": (8819, 13.2, 71.6, (2048, 1469, 7436, 7437), (28, 13, 252, 1899)),
    "azure-conv": (19366, 1.09, 3.9, (1155, 1020, 4142, 14050), (211, 129, 601, 1000)),
    "mooncake-conversation": (12031, 3.03, 2.1, (12035, 6909, 85401, 126195), (343, 350, 1120, 2000)),
    "mooncake-synthetic": (3993, 1.01, 1.2, (15325, 11587, 66458, 191378), (149, 69, 769, 893)),
}


def rows_of(name: str) -> list[tuple[float, int, int, list[int]]]:
    """Seconds, input, output and blocks of each row."""
    text = gzip.decompress(path_of(name).read_bytes()).decode()
    if name in AZURE:
        found = [
            (datetime.fromisoformat(row["TIMESTAMP"][:26]), int(row["ContextTokens"]), int(row["GeneratedTokens"]))
            for row in csv.DictReader(text.splitlines())
        ]
        return [((t - found[0][0]).total_seconds(), i, o, []) for t, i, o in found]
    return [
        (row["timestamp"] / 1000, row["input_length"], row["output_length"], row["hash_ids"])
        for row in map(json.loads, text.splitlines())
    ]


def counted(times: list[float], width: float) -> list[int]:
    bins = Counter(int((t - times[0]) / width) for t in times)
    return [bins[i] for i in range(int((times[-1] - times[0]) / width))]


@pytest.mark.parametrize("name", TABLE)
def test_the_figures_of_a_trace_are_those_of_its_file(name):
    rows = rows_of(name)
    times = sorted(t for t, *_ in rows)
    found = describe(read_trace(name))
    said = TABLE[name]
    assert found.requests == len(rows) == said[0]
    gaps = [b - a for a, b in pairwise(times)]
    arrivals = found.arrivals
    assert arrivals is not None and arrivals.gap_cv is not None
    assert arrivals.gap_cv == pytest.approx(statistics.pstdev(gaps) / statistics.fmean(gaps), rel=1e-5)
    assert arrivals.gap_cv == pytest.approx(said[1], rel=0.005)
    assert arrivals.rate == pytest.approx(len(rows) / (times[-1] - times[0]))
    for width in (1, 10, 60):
        seen = counted(times, width)
        wanted = statistics.pvariance(seen) / statistics.fmean(seen)
        assert arrivals.dispersion[f"{width}"] == pytest.approx(wanted, rel=1e-3), width
    assert arrivals.dispersion["10"] == pytest.approx(said[2], abs=0.06)
    for width in (10, 60):
        seen = counted(times, width)
        assert arrivals.peak_over_mean[f"{width}"] == pytest.approx(max(seen) / statistics.fmean(seen), rel=1e-3)
    assert arrivals.together == pytest.approx(sum(gap <= 0.01 for gap in gaps) / len(gaps), abs=1e-3)
    assert arrivals.longest_silence_s == pytest.approx(max(gaps), abs=1e-6)
    for spread, place, wanted in ((found.input_tokens, 1, said[3]), (found.output_tokens, 2, said[4])):
        values = sorted(row[place] for row in rows)
        ranks = [values[math.ceil(len(values) * q) - 1] for q in (0.5, 0.99, 1.0)]
        assert [spread.p50, spread.p99, spread.max] == ranks == list(wanted[1:])
        assert spread.mean == pytest.approx(statistics.fmean(values))
        assert round(spread.mean) == wanted[0]
    inputs, outputs = ([row[place] for row in rows] for place in (1, 2))
    assert found.correlation == pytest.approx(statistics.correlation(inputs, outputs), abs=1e-9)


@pytest.mark.parametrize(("name", "share"), [("mooncake-conversation", 0.366), ("mooncake-synthetic", 0.640)])
def test_the_hit_share_of_a_cache_without_bounds_is_the_published_one(name, share):
    hits, every, distinct = hits_of(blocks for *_, blocks in rows_of(name))
    sharing = describe(read_trace(name)).sharing
    assert sharing is not None
    assert (sharing.block_tokens, sharing.blocks, sharing.distinct) == (512, every, distinct)
    assert sharing.hit_share == pytest.approx(hits / every, abs=1e-12)
    assert sharing.hit_share == pytest.approx(share, abs=5e-4)


def test_only_times_that_come_in_steps_are_called_quantised():
    steps = {name: describe(read_trace(name)).arrivals.bin_s for name in TABLE}
    assert steps == {"azure-code": None, "azure-conv": None, "mooncake-conversation": 3.0, "mooncake-synthetic": None}


def test_the_packaged_traces_are_what_their_list_says_and_credit_their_makers(thorough):
    for name, each in named_traces().items():
        trace = read_trace(name)
        arrivals = describe(trace).arrivals
        drawn = trace.kind == "servegen"  # from a generator whose numbers another NumPy may change
        assert (trace.name, trace.source) == (name, each.source)
        assert len(trace) == pytest.approx(each.requests, rel=0.01) if drawn else len(trace) == each.requests
        assert each.licence in trace.source
        assert arrivals is not None
        if each.rate is not None:
            assert arrivals.rate == pytest.approx(each.rate, rel=0.01 if drawn else 1e-3)
            assert arrivals.span_s == pytest.approx(each.span_s, abs=60 if drawn else 0.01)


def test_the_notice_names_every_packaged_trace_and_its_licence_is_there():
    notice = (Path(__file__).parents[2] / "NOTICE").read_text(encoding="utf-8")
    assert "src/loadcell/traces/data" in notice
    for each in named_traces().values():
        assert each.file in notice and each.licence in notice
    assert resources.files("loadcell.traces").joinpath("data", "LICENSE-Apache-2.0.txt").is_file()


def test_a_wheel_holds_the_traces(tmp_path, processes, monkeypatch):
    from hatchling.builders.wheel import WheelBuilder

    root = Path(__file__).parents[2]
    monkeypatch.setenv("LOADCELL_NATIVE", "no")
    (built,) = WheelBuilder(str(root)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(built).namelist())
    data = root / "src/loadcell/traces/data"
    assert {f"loadcell/traces/data/{path.relative_to(data)}" for path in data.rglob("*") if path.is_file()} <= names
