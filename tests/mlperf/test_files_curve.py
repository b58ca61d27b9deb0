"""Our own curves: judged again from their recordings, and exported as points that read back the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_run import row, write_recording

from loadcell.cli.main import main
from loadcell.errors import RecordingError, UsageError
from loadcell.mlperf.curve.folder import build_curve, write_curve
from loadcell.mlperf.curve.model import CurvePlan, Peak, PlannedPoint, UsedSeeds
from loadcell.mlperf.curve.regions import region_of, regions_of
from loadcell.mlperf.files.checking import check_folder
from loadcell.mlperf.files.curve_points import read_curve_point
from loadcell.mlperf.files.export import export
from loadcell.mlperf.model import FOOTNOTE, Finding
from loadcell.recording.read import dump_json
from loadcell.spec import Endpoint, Spec

pytestmark = pytest.mark.usefixtures("thorough")

LEVELS = (2, 4, 6, 9, 13, 19, 40)


@pytest.fixture
def curve(tmp_path: Path) -> Path:
    return write(tmp_path / "curve")


def write(folder: Path) -> Path:
    """Seven points of one pass over four samples."""
    regions = regions_of(40, 2)
    planned = [
        PlannedPoint(
            folder=f"r{c}", concurrency=c, region=region_of(regions, c), offline="elected" if c == 40 else None,
            min_duration_s=1.0,
        )
        for c in LEVELS
    ]  # fmt: skip
    plan = CurvePlan(
        loadcell="0.1.0", round="endpoints v1.0", benchmark="llama3.1-8b", model="llama3_1-8b", dataset="cnn_dailymail",
        dataset_size=13368, dataset_sha256="0" * 64, look_alike=True, samples=4, quick=True, shortened=["4 samples"],
        peak=Peak(c_max=40, found=None), offline="elected", regions=regions, points=planned, seeds=UsedSeeds(id="A"),
        target_cohort="2026-10-C1", spec=Spec(endpoint=Endpoint(url="http://h:1")),
    )  # fmt: skip
    for c in LEVELS:
        rows = [row(i, i * 100.0, gap_ms=10 + c / 10 + i / 7, tokens=6) for i in range(12)]
        write_recording(folder / f"r{c}", rows, [i % 4 for i in range(12)], loop="closed")
    dump_json(folder / "plan.json", plan)
    write_curve(folder, build_curve(folder))
    return folder


def failing(folder: Path) -> list[Finding]:
    return [finding for finding in check_folder(folder).findings if finding.ok is False]


def test_our_own_curve_is_judged_again(curve: Path) -> None:
    assert "outcome" in {f.rule for f in check_folder(curve).findings if f.ok}
    told = json.loads((curve / "curve.json").read_text())
    told["points"][3]["point"]["system_tps"] *= 2
    (curve / "curve.json").write_text(json.dumps(told))
    (wrong,) = [finding for finding in failing(curve) if finding.rule == "outcome"]
    assert "system_tps of r9" in wrong.says


def test_a_point_that_is_gone_is_told(curve: Path) -> None:
    (curve / "r9" / "recording.json").unlink()
    rules = {finding.rule for finding in failing(curve)}
    assert {"point-count", "outcome"} <= rules
    (curve / "plan.json").write_text("{")
    assert {finding.rule for finding in failing(curve)} == {"recording"}


def test_points_read_back_as_they_were(curve: Path, tmp_path: Path) -> None:
    written = export(curve, "endpoints", tmp_path / "out")
    assert len(written) == 3 * len(LEVELS)
    assert all(FOOTNOTE in " ".join(path.read_text().split()) for path in written)
    for one in build_curve(curve).points:
        problems: list[Finding] = []
        folder = tmp_path / "out" / "results" / "loadcell" / "llama3_1-8b" / f"r{one.point.concurrency}"
        back, _ = read_curve_point(folder, problems)
        assert problems == []
        for name in ("concurrency", "region", "c_max", "offline", "load_pattern", "issued", "completed", "failed",
                     "output_tokens", "target_cohort", "model", "dataset"):  # fmt: skip
            assert getattr(back, name) == getattr(one.point, name), name
        assert back.system_tps == pytest.approx(one.run.system_tps)
        assert back.tpot_p90_ms == pytest.approx(one.run.tpot_p90_ms, abs=1e-6)
        assert back.ttft_p90_ms == pytest.approx(one.run.ttft_p90_ms, abs=1e-6)
        assert (back.steady is None) == (one.point.steady is None)
        if back.steady is not None and one.point.steady is not None:
            assert (back.steady.status, back.steady.verdict) == (one.point.steady.status, one.point.steady.verdict)


def test_exported_points_are_checked_as_points(curve: Path, tmp_path: Path) -> None:
    export(curve, "endpoints", tmp_path / "out")
    found = check_folder(tmp_path / "out").findings
    held = {finding.rule for finding in found if finding.ok}
    assert held >= {"point-count", "region-placement", "metric-consistency-system-tps", "point-dirname-concurrency"}
    assert {f.rule for f in found if f.ok is False} >= {"min-query-count", "point-duration", "accuracy-coverage"}
    assert not {f.rule for f in found if f.ok is False} & {
        "file-fields",
        "file-form",
        "load-pattern",
        "region-placement",
    }


def test_a_curve_has_one_format(curve: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="is a curve"):
        export(curve, "loadgen-like", tmp_path / "out")
    assert main(["mlperf", "export", str(curve), "--format", "endpoints", "--output", str(tmp_path / "out")]) == 0
    assert "r40/point.yaml" in capsys.readouterr().out
    for c in LEVELS:
        (curve / f"r{c}" / "recording.json").unlink()
    with pytest.raises(RecordingError, match="no whole point"):
        export(curve, "endpoints", tmp_path / "more")
    assert not (tmp_path / "more").exists()
