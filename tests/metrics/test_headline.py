from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from made import ok_request

from loadcell.metrics import Result, build_result, reasons_of, withhold
from loadcell.recording.read import Recording
from loadcell.report import to_csv, to_json

KEPT = {"format", "loadcell", "run", "verdict", "invalid", "notes", "counts", "steady", "concurrency", "instrument",
        "calibration", "errors", "methodology"}  # fmt: skip


@pytest.fixture
def bare(make: Callable[..., Recording]) -> tuple[Result, Result]:
    result = build_result(make([ok_request(i, start_ms=i) for i in range(40)], slo={"ttft_ms": 60}))
    return result, withhold(result)


def test_figures_leave_and_the_rest_stays(bare: tuple[Result, Result]) -> None:
    full, less = bare
    assert less.withheld and not full.withheld
    assert (less.latency, less.goodput, less.whole_run, less.server) == ({}, None, None, [])
    rates = msgspec.structs.asdict(less.throughput)
    assert not any(rates.values()) and rates["requests_per_s"] is None
    assert {name for name in Result.__struct_fields__ if getattr(full, name) == getattr(less, name)} >= KEPT


def test_it_is_still_a_result(bare: tuple[Result, Result]) -> None:
    less = bare[1]
    assert msgspec.json.decode(to_json(less), type=Result) == less
    lines = to_csv(less).splitlines()
    assert "requests_per_s,,mean,requests/s,,,," in lines
    assert not any(line.startswith(("ttft,", "goodput,")) for line in lines)


def test_each_reason_is_said_once(make: Callable[..., Recording]) -> None:
    result = build_result(make([ok_request(0)], invalid=["the disk was full"]))
    assert sum("the disk was full" in reason for reason in reasons_of(result)) == 1
    spoilt = msgspec.structs.replace(result, invalid=["the disk was full", "a worker died"])
    assert reasons_of(spoilt)[0] == "a worker died"  # found after the verdict
