"""What people are shown of imported runs, whatever the form."""

import csv
import io
import json

import msgspec
import pytest
from made_import import a_placed, a_told, an_unplaced, write_import

from loadcell.cli.main import main
from loadcell.metrics import build_result
from loadcell.metrics.model import Result
from loadcell.report import to_csv, to_json
from loadcell.report.charts import run_charts
from loadcell.report.detail import build_both
from loadcell.report.run import run_markdown, run_page
from loadcell.report.words import words_for

MAKES = [a_placed, an_unplaced, a_told]
EN = words_for("en")


@pytest.mark.parametrize("make", MAKES)
def test_the_page_and_its_charts_are_made(tmp_path, make):
    result, detail = build_both(make(tmp_path / "run"))
    page = run_page(result, detail, EN)
    assert "nobody judged its client" in page
    assert "Run it again" not in page
    names = {chart.name for chart in run_charts(result, detail, EN)}
    assert ("timeline" in names) is (make is a_placed)
    assert ("ecdf" in names) is (make is not a_told)


@pytest.mark.parametrize("make", MAKES)
def test_json_tells_where_it_comes_from_and_is_read_again(tmp_path, make):
    result = build_result(make(tmp_path / "run"))
    text = to_json(result)
    assert msgspec.json.decode(text, type=Result).imported == result.imported
    tree = json.loads(text)
    assert tree["imported"]["tool"] in ("vllm", "sglang")


def test_csv_marks_what_was_told(tmp_path):
    rows = list(csv.DictReader(io.StringIO(to_csv(build_result(a_told(tmp_path / "run"))))))
    ttft = {row["statistic"]: row for row in rows if row["metric"] == "ttft"}
    assert {row["anchor"] for row in ttft.values()} == {"told"}
    assert ttft["p99"]["value"] == "101.5"
    assert next(row for row in rows if row["metric"] == "requests_per_s")["anchor"] == "told"
    assert [row["value"] for row in rows if row["metric"] == "told" and row["anchor"] == "p75_ttft_ms"] == ["66.0"]


def test_every_told_figure_is_in_a_table_by_its_own_name(tmp_path):
    text = run_markdown(build_result(a_told(tmp_path / "run")), EN)
    assert "As vLLM bench serve 0.33.0 told it" in text
    assert "| `p75_ttft_ms` | 66.00 | ms |" in text
    assert "| `rps_std` | n/a | requests/s |" in text
    assert "Its files do not tell why requests failed." in text


def test_what_nobody_told_is_not_shown_as_asked(tmp_path, capsys):
    missing = [{"field": f"workload.{name}_tokens", "why": "not told"} for name in ("input", "output")]
    missing += [{"field": "endpoint.url", "why": "not told"}]
    recording = write_import(
        tmp_path / "run", [], details=False, loop=None, tree={"workload": {}}, about={"missing": missing, "ok": 400}
    )
    assert main(["report", str(recording.path), "--full"]) == 0
    shown = capsys.readouterr().out
    assert "lengths not told" in shown
    assert "server not told" in shown
    assert "open or closed loop: not told" in shown
    assert "timeout_s" not in shown  # a default of ours was asked of nobody
    assert "seed 0" not in shown
    assert "load processes" not in shown


def test_lengths_of_which_one_is_told(tmp_path, capsys):
    missing = [{"field": "workload.input_tokens", "why": "not told"}]
    recording = write_import(tmp_path / "run", [], details=False, about={"missing": missing})
    assert main(["report", str(recording.path)]) == 0
    assert "n/a tokens in, 11 tokens out" in " ".join(capsys.readouterr().out.split())


def test_queries_see_the_tables_that_there_are(tmp_path, capsys):
    for make, count in ((a_placed, 400), (an_unplaced, 400), (a_told, 0)):
        folder = make(tmp_path / make.__name__).path
        figures = "count(*) as n, avg(ttft_ms) as ttft, avg(ttft_response_ms) as response"
        sql = f"select {figures} from requests where in_window"
        assert main(["query", sql, str(folder), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)[0]
        assert found["n"] == count
        assert found["response"] is None
        assert (found["ttft"] is None) is (count == 0)


def test_images_are_drawn_of_what_there_is(tmp_path):
    pytest.importorskip("vl_convert")
    for make in (an_unplaced, a_told):
        folder = make(tmp_path / make.__name__).path
        assert main(["report", str(folder), "--svg"]) == 0
        assert (folder / "charts" / "overview.svg").exists()


def test_browse_opens_them(tmp_path):
    from loadcell.browse.listing import scan
    from loadcell.browse.reports import run_report

    for make in MAKES:
        make(tmp_path / make.__name__)
    for entry in scan(tmp_path).entries:
        assert "nobody judged its client" in run_report(entry, EN)
