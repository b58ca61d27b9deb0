"""Runs of every form that is read, through the door: the recording says what the files said."""

import math

import duckdb
import pytest
from made_peers import (
    PEERS,
    aiperf_failure,
    aiperf_record,
    aiperf_summary_of_2025,
    genai_perf_summary,
    guidellm_report,
    inferencex_agentic,
    inferencex_raw,
    inferencex_row,
    llmperf_failure,
    llmperf_row,
    perf_analyzer_export,
    perf_analyzer_request,
    sglang_row,
    sse,
    written,
)

from loadcell.interop.door import all_or_nothing, import_run
from loadcell.interop.read import read_runs
from loadcell.recording.read import open_recording

_PLAIN = ((50.0, sse("a")), (60.0, sse("b")), (75.0, sse(usage=2) + "data: [DONE]\n\n"))
MADE = {
    "aiperf records": ("a.jsonl", [aiperf_record(), aiperf_record(5), aiperf_failure(9)]),
    "aiperf of 2025": ("profile_export_aiperf.json", [aiperf_summary_of_2025()]),
    "genai-perf": ("p_genai_perf.json", [genai_perf_summary()]),
    "perf_analyzer": ("p.json", [perf_analyzer_export(*[perf_analyzer_request(*_PLAIN)] * 9)]),
    **{f"guidellm {form}": ("benchmarks.json", [guidellm_report(form)]) for form in ("2", "1", "0.4", "0.2", "0.1")},
    "sglang": ("a.jsonl", [sglang_row(4)]),
    "sglang summary": ("a.jsonl", [sglang_row(p99_ttft_ms=math.nan, request_rate=math.inf)]),
    "sglang native": ("a.jsonl", [sglang_row(4, backend="sglang")]),
    "inferencex raw": ("a.json", [inferencex_raw(4)]),
    "inferencex row": ("a.json", [inferencex_row()]),
    "inferencex agentic": ("a.json", [inferencex_agentic()]),
    "llmperf": ("x_individual_responses.json", [[llmperf_row(), llmperf_row(), llmperf_failure()]]),
}  # fmt: skip


@pytest.fixture
def imported(tmp_path):
    def run_of(path):
        (run,) = read_runs(path)
        with all_or_nothing(tmp_path / "recording"):
            kept = import_run(run, tmp_path / "recording")
        return run, kept, tmp_path / "recording"

    return run_of


@pytest.mark.parametrize("name", MADE)
def test_a_made_form_becomes_a_recording(tmp_path, imported, name):
    file, rows = MADE[name]
    run, kept, folder = imported(written(tmp_path / file, *rows))
    again = open_recording(folder).imported
    assert (again.told, again.missing, again.derived) == (kept.told, kept.missing, kept.derived)
    assert [told.key for told in kept.told] == [told.key for told in run.told]
    if run.details is None:
        assert not kept.details and "requests" in {missing.field for missing in kept.missing}
        return
    rows = duckdb.sql(f"select * from '{folder}/requests-*.parquet' order by request").fetchall()
    assert len(rows) == len(list(run.details())) and not [note for note in run.notes if "left out there" in note]


@pytest.mark.parametrize("name", ["aiperf", "guidellm", "llmperf"])
def test_a_real_run_becomes_a_recording(imported, name):
    """TTFT and tokens of the Parquet are those of the requests that were read."""
    run, kept, folder = imported(PEERS / name)
    columns = "first_any_ns - send_start_ns, output_tokens, status"
    table = duckdb.sql(f"select {columns} from '{folder}/requests-*.parquet' order by request").fetchall()
    for (ttft_ns, tokens, status), request in zip(table, run.details(), strict=True):
        assert ttft_ns / 1e9 == pytest.approx(request.first_s - (request.sent_s or 0.0), abs=2e-9)
        assert (tokens, status) == (request.output_tokens, request.status)
    assert (kept.tested, kept.ok, kept.placed) == (True, 64, name != "llmperf")
    assert len(read_runs(PEERS / name)) == 1
