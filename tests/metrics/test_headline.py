"""The word of a result and its reasons; and a result that an older version saved without its figures."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from made import ok_request
from rich.console import Console

from loadcell.cli.main import main
from loadcell.compare import read_result
from loadcell.metrics import Throughput, build_result, reasons_of
from loadcell.recording.read import Recording
from loadcell.report import to_csv, to_json
from loadcell.report.run import print_result, print_short


@pytest.fixture(params=["open", "closed"])
def old(make: Callable[..., Recording], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """What an older version saved of an INVALID run: no latency, no rate."""
    planned = [float(i) for i in range(40)] if request.param == "open" else None
    rows = [ok_request(i, start_ms=i, planned_ns=i * 1_000_000 if planned else None) for i in range(40)]
    recording = make(rows, planned=planned, loop=request.param, slo={"ttft_ms": 60}, invalid=["the disk was full"])
    none = dict.fromkeys(Throughput.__struct_fields__) | {"user_tokens_per_s": {}}
    bare = msgspec.structs.replace(
        build_result(recording), withheld=True, latency={}, throughput=Throughput(**none), goodput=None, whole_run=None
    )
    (tmp_path / "old.json").write_bytes(to_json(bare))
    return tmp_path / "old.json"


def test_an_old_result_without_figures_is_read_and_shown(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = read_result(old)
    assert result.latency["ttft_ms"].service.p50.withheld and result.throughput.requests_per_s is None
    for show in (print_short, print_result):
        out = io.StringIO()
        show(result, Console(file=out, width=100))
        assert "the disk was full" in out.getvalue()
    assert "ttft,service,mean,ms,,,,0" in to_csv(result)
    for form in ("--md", "--html"):
        assert main(["report", str(old), form]) == 4
    page = old.with_suffix(".html").read_text()
    assert "INVALID" in page and "the disk was full" in page
    capsys.readouterr()
    assert main(["compare", str(old), str(old), "--force"]) == 0
    assert "left out the figures of an INVALID run" in " ".join(capsys.readouterr().out.split())


def test_a_result_of_a_version_with_other_fields_of_the_spec_is_shown(old: Path) -> None:
    tree = json.loads(old.read_text())
    tree["methodology"]["spec"] = {"endpoint": {"url": "http://h:1", "unheard": 1}, "load": {"concurrency": 3}}
    old.write_text(json.dumps(tree))
    spec = read_result(old).methodology.spec
    assert spec.load.concurrency == 3 and spec.workload.prompts is None
    for form in ("--md", "--html", "--json"):
        assert main(["report", str(old), form]) == 4


def test_each_reason_is_said_once(make: Callable[..., Recording]) -> None:
    result = build_result(make([ok_request(0)], invalid=["the disk was full"]))
    assert sum("the disk was full" in reason for reason in reasons_of(result)) == 1
    spoilt = msgspec.structs.replace(result, invalid=["the disk was full", "a worker died"])
    assert reasons_of(spoilt)[0] == "a worker died"  # found after the verdict
