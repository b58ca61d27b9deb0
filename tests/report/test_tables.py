from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest
from made import ok_request

from loadcell.metrics import Result, build_result, result_schema
from loadcell.recording.read import Recording
from loadcell.report import to_csv, to_json
from loadcell.report.tables import CSV_COLUMNS

Make = Callable[..., Recording]


@pytest.fixture(scope="module")
def result(make: Make) -> Result:
    return build_result(make([ok_request(i, start_ms=i) for i in range(40)], slo={"ttft_ms": 60, "tpot_ms": 5}))


def test_csv_has_one_line_a_figure(result: Result) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(result))))
    assert tuple(lines[0]) == CSV_COLUMNS
    by_name = {(line["metric"], line["anchor"], line["statistic"]): line for line in lines}
    assert len(by_name) == len(lines)
    ttft = by_name["ttft", "service", "p90"]
    assert (ttft["value"], ttft["low"], ttft["unit"], ttft["n"]) == ("50.0", "50.0", "ms", "40")
    assert by_name["ttft", "service", "p99"]["value"] == ""  # missing is empty, not 0
    assert lines[0]["metric"] == "verdict" and lines[0]["statistic"] == result.verdict.word
    assert by_name["check", "cached_prompts", ""]["value"] == ""  # not judged
    assert by_name["requests", "run", "planned"]["value"] == "40"
    assert by_name["slo_attainment", "", "tpot_ms<=5"]["value"] == "0.0"
    assert by_name["slo_attainment", "service", "ttft_ms<=60"]["value"] == "1.0"
    assert ("ttft", "response", "p50") not in by_name


def test_json_is_indented_stable_and_of_the_schema(result: Result) -> None:
    text = to_json(result)
    assert text == to_json(result) and text.startswith(b'{\n  "format": 4') and text.endswith(b"}\n")
    tree = json.loads(text)
    assert list(tree) == list(result_schema()["$defs"]["Result"]["properties"])
    assert tree["latency"]["ttft_ms"]["unit"] == "ms"
