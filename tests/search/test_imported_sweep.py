"""Several imported runs of one tool as the stages of a sweep."""

import json

import pytest
from made_import import a_placed, a_told, an_unplaced, placed_rows, write_import

from loadcell.cli.main import main
from loadcell.errors import UsageError
from loadcell.search import build_imports, is_imports


def runs(folder, rates=(20, 5, 10)):
    for rate in rates:
        rows = placed_rows(120, every_ms=1000 / rate, seed=rate)
        write_import(folder / f"rate-{rate}", rows, tree={"load": {"rate": float(rate)}})
    return folder


def test_runs_are_stages_in_the_order_of_their_loads(tmp_path):
    sweep = build_imports(runs(tmp_path))
    assert sweep.imported == "vLLM bench serve 0.33.0"
    assert sweep.plan.axis == "load.rate"
    assert [stage.ask.level for stage in sweep.stages] == [5.0, 10.0, 20.0]
    assert [stage.folder for stage in sweep.stages] == ["rate-5", "rate-10", "rate-20"]
    assert [round(stage.point.requests_per_s) for stage in sweep.stages] == [5, 10, 20]
    assert all(stage.point.verdict == "SUSPECT" for stage in sweep.stages)
    assert sweep.curves.pareto
    assert "nobody judged the client" in sweep.findings[0]


def test_told_and_unplaced_runs_are_stages_too_and_said_to_be(tmp_path):
    about = {"tool": "vllm", "title": "vLLM bench serve", "version": "0.33.0"}
    for users, make in ((1, a_told), (2, an_unplaced)):
        make(tmp_path / f"users-{users}", tree={"load": {"concurrency": users, "rate": None}}, about=about)
    write_import(tmp_path / "users-4", placed_rows(100), loop="closed", tree={"load": {"concurrency": 4}})
    sweep = build_imports(tmp_path)
    assert sweep.plan.axis == "load.concurrency"
    told, alone, placed = (stage.point for stage in sweep.stages)
    assert told.ttft_ms["p50"].value == 58.5
    assert told.ttft_ms["p50"].low is None
    assert alone.concurrency is None
    assert [stage.took_s is None for stage in sweep.stages] == [True, True, False]
    assert placed.ttft_ms["p50"].low is not None
    assert "stage 1: figures as the tool told them, without intervals" in sweep.findings
    assert any(finding.startswith("stage 2: without send times") for finding in sweep.findings)


def test_runs_of_two_tools_are_no_sweep(tmp_path):
    a_placed(tmp_path / "a")
    an_unplaced(tmp_path / "b")
    with pytest.raises(UsageError, match=r"runs of several tools.*loadcell compare"):
        build_imports(tmp_path)


def test_one_run_or_a_measured_one_among_them_is_no_folder_of_imports(tmp_path):
    a_placed(tmp_path / "a")
    assert not is_imports(tmp_path)
    assert not is_imports(tmp_path / "a")
    a_placed(tmp_path / "b")
    assert is_imports(tmp_path)
    (tmp_path / "b" / "imported.json").unlink()
    assert not is_imports(tmp_path)


def test_report_shows_the_folder(tmp_path, capsys):
    folder = str(runs(tmp_path))
    assert main(["report", folder]) == 0
    shown = capsys.readouterr().out
    assert "from vLLM bench serve 0.33.0" in shown
    assert "--resume" not in shown
    assert main(["report", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["imported"] == "vLLM bench serve 0.33.0"
    assert main(["report", folder, "--html", "--csv"]) == 0
    assert (tmp_path / "report.html").stat().st_size > 100_000


def test_runs_that_tell_no_load_are_stages_without_an_axis(tmp_path):
    for name in "ab":
        write_import(tmp_path / name, placed_rows(60), loop=None)
    sweep = build_imports(tmp_path)
    assert sweep.plan.axis is None
    assert [stage.ask.changes for stage in sweep.stages] == [{"run": "a"}, {"run": "b"}]
