"""Which requests a tool measured, what was true of them, and what it reports: pure functions over made records."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.audit import run
from loadcell.audit.command import filled, values_of, words_of
from loadcell.audit.known import injected, seen, told_apart, true_figures
from loadcell.audit.model import Audit, Audited, Cost, Faults, Load, Off
from loadcell.audit.recipes import recipes
from loadcell.audit.reported import read_files, reported_figures
from loadcell.audit.run import noticed
from loadcell.errors import UsageError
from loadcell.interop.model import Run, Told
from loadcell.interop.read import TOOLS
from loadcell.report.audit import audit_page
from loadcell.report.render.terminal import show
from loadcell.report.view.audit import audit_sections, recipes_section
from loadcell.selftest.truth import Truth

PEERS = Path(__file__).parent.parent / "data" / "peers"
MS = 1_000_000
LOAD = Load()


def record(start_ms: float, ttft_ms: float = 50, itl_ms: float = 10, tokens: int = 5, **more: object) -> Truth:
    stamps = [round((start_ms + ttft_ms + i * itl_ms) * MS) for i in range(tokens)]
    end = stamps[-1] if stamps else round(start_ms * MS)
    fields = {"id": None, "outcome": "ok", "peer": 1, **more}
    return Truth(arrival_ns=round(start_ms * MS), tokens_ns=stamps, end_ns=end, **fields)  # type: ignore[arg-type]


def test_the_truth_is_told_by_definition() -> None:
    records = [record(0, 50, 10), record(10, 70, 20)]
    figures = true_figures(records)
    assert figures["ttft", "p50"] == pytest.approx(60)
    assert figures["tpot", "p50"] == pytest.approx(15)
    assert figures["e2e", "p99"] == pytest.approx(np.percentile([90, 150], 99))
    assert figures["itl", "p90"] == pytest.approx(np.percentile([10] * 4 + [20] * 4, 90))
    assert figures["requests_per_s", None] == pytest.approx(2 / 0.160)
    assert figures["output_tokens_per_s", None] == pytest.approx(10 / 0.160)
    assert true_figures([]) == {}


def test_a_request_of_one_token_has_no_gap() -> None:
    assert {metric for metric, stat in true_figures([record(0, tokens=1)]) if stat} == {"ttft", "e2e"}


def test_what_a_tool_asks_besides_is_told_apart() -> None:
    load = [record(100 + i) for i in range(4)]
    warm_up, probe = record(0), record(5, tokens=1)
    left = record(50, outcome="disconnected", gone_ns=60 * MS)
    for besides, said in (
        ([], "all that came to their end"),
        ([warm_up], "the first 1"),
        ([probe], "1 of another length"),
        ([left], "1 whose client left before the end"),
        ([warm_up, probe, left], "1 whose client left before the end, 1 of another length, the first 1"),
    ):
        measured, rule = told_apart([*besides, *load], 4)
        assert measured == load
        assert said in rule
    assert told_apart([warm_up, *load, left], None)[0] == [warm_up, *load]
    assert told_apart(load, 9)[0] == load


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 4), st.booleans())), st.integers(0, 30))
def test_no_more_are_measured_than_counted(shapes: list[tuple[int, int, bool]], counted: int) -> None:
    records = [
        record(at, tokens=tokens, **({} if ok else {"outcome": "disconnected", "gone_ns": 1}))
        for at, tokens, ok in shapes
    ]
    measured, rule = told_apart(records, counted)
    assert len(measured) <= counted
    assert len(measured) == min(counted, len(measured)) == len({id(one) for one in measured})
    assert all(any(one is other for other in records) for one in measured)
    assert rule
    if sum(ok for *_, ok in shapes) >= counted:
        assert len(measured) == counted


def test_faults_are_counted_by_what_they_were() -> None:
    records = [
        record(0), record(0, tokens=0, outcome="error"), record(0, outcome="error"), record(0, outcome="cut"),
        record(0, outcome="short"), record(0, tokens=0, outcome="error"),
    ]  # fmt: skip
    assert injected(records) == {"http_500": 2, "cut": 1, "error_event": 1, "short": 1}


def test_the_load_as_the_engine_saw_it() -> None:
    found = seen([record(0, peer=1), record(20, peer=2), record(1000, peer=2)], 2, "so", -500 * MS)
    assert (found.arrived, found.connections, found.most_at_once, found.tokens) == (3, 2, 2, 15)
    assert found.first_request_s == pytest.approx(0.5)
    assert found.measured == 2


def test_sums_tell_kinds_only_where_they_can() -> None:
    met = {"http_500": 17, "cut": 7, "error_event": 2, "short": 1}
    assert noticed(met, 24) == ["http_500", "cut"]
    assert noticed(met, 27) == list(met)
    assert noticed(met, 0) == []
    assert noticed(met, 23) is None
    assert noticed(met, None) is None
    assert noticed({"http_500": 2, "cut": 2}, 2) is None


@pytest.mark.parametrize(
    "folder", ["vllm_rs", "vllm_bench_detailed", "aiperf", "guidellm", "inference_perf", "evalscope", "genai_bench"]
)
def test_real_files_are_read_for_their_figures(folder: str, tmp_path: Path) -> None:
    """Where the tool states a percentile it stands there to the letter; else it is of the times that it wrote."""
    (tmp_path / "output").symlink_to(PEERS / folder)
    reading = read_files(tmp_path, [record(i) for i in range(65)])
    assert (reading.ok, len(reading.measured)) == (64, 64)
    assert {("ttft", "p50"), ("ttft", "p99"), ("e2e", "p50"), ("output_tokens_per_s", None)} <= reading.figures.keys()
    assert 50 < reading.figures["ttft", "p50"][0] < 80
    assert reading.figures["e2e", "p99"][0] > reading.figures["ttft", "p99"][0]
    if folder == "vllm_rs":
        told = json.loads((PEERS / folder / "r.json").read_text())
        for metric, key in (("ttft", "ttft"), ("itl", "itl"), ("tpot", "tpot"), ("e2e", "e2el")):
            assert reading.figures[metric, "p99"] == (told[f"p99_{key}_ms"], False)
        assert reading.figures["requests_per_s", None] == (told["request_throughput"], False)


def test_a_folder_without_results_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "log.txt").write_text("all went well")
    with pytest.raises(UsageError, match=r"log\.txt"):
        read_files(tmp_path, [])


def test_places_are_filled_in_and_unknown_ones_refused(tmp_path: Path) -> None:
    words = words_of("""tool --url {url} --extra '{"a": {"b": 1}}' -n {requests} --out={output}/x.json""")
    values = values_of("http://127.0.0.1:4711", LOAD, "/tok", tmp_path / "a b", "m")
    assert [filled(word, values) for word in words] == [
        "tool", "--url", "http://127.0.0.1:4711", "--extra", '{"a": {"b": 1}}', "-n", "64",
        f"--out={tmp_path}/a b/x.json",
    ]  # fmt: skip
    assert filled("{host}:{port} {base_url}", values) == "127.0.0.1:4711 http://127.0.0.1:4711/v1"
    for command, said in (
        ("tool --url {ulr}", "did you mean url"),
        ("tool --url http://127.0.0.1", "where to send"),
        ("tool 'open", "cannot be read"),
        ("", "empty"),
    ):
        with pytest.raises(UsageError, match=said):
            words_of(command)


def test_recipes_are_whole() -> None:
    for name, recipe in recipes().items():
        words = words_of(recipe.command, recipe.files.values())
        text = " ".join([*words, *recipe.files.values()])
        for place in ("model", "concurrency", "requests", "input_tokens", "output_tokens", "output", "tokenizer"):
            assert f"{{{place}}}" in text, (name, place)
        assert any(
            f"{recipe.package}=={recipe.version}" in word.replace("[perf]", "")
            for call in recipe.install
            for word in call
        )
        assert name in TOOLS
    assert run.install_line(recipes()["aiperf"]) == "pip install aiperf==0.13.0"


# --- what is shown ----------------------------------------------------------------------------------------------------


def made(name: str, off_ms: float | None, failed: int | None = 24) -> Audited:
    value = None if off_ms is None else 50 + off_ms
    bias = [
        Off(metric=metric, stat=stat, unit="ms", reported=value, true=50.0, off=off_ms,
            share=None if off_ms is None else off_ms / 50, from_rows=metric == "itl")
        for metric in ("ttft", "itl", "tpot", "e2e") for stat in ("p50", "p90", "p99")
    ]  # fmt: skip
    bias.append(
        Off(metric="output_tokens_per_s", stat=None, unit="tokens/s", reported=99.0, true=100.0, off=-1.0, share=-0.01)
    )
    met = {"http_500": 17, "cut": 7, "error_event": 2, "short": 1}
    return Audited(
        name=name, title=f"The tool {name}", version="1.2.3", command="tool --url {url}", load=LOAD, bias=bias,
        seen=seen([record(0)], 1, "all that came to their end", 0),
        cost=Cost(wall_s=9.5, cpu_s=4.0, cpu_us_per_token=1234.5),
        ok=64, failed=0,
        faults=Faults(load=LOAD, injected=met, requests=64, ok=40, failed=failed, noticed=noticed(met, failed),
                      unnoticed=None if failed is None else 27 - failed),
        problems=[] if off_ms is not None else ["it ended with status 3; its last words: [bold]no[/bold]"],
        notes=["A note."],
    )  # fmt: skip


def audited(*tools: Audited) -> Audit:
    machine = {"cpu": "A CPU", "cores_allowed": 2, "system": "Linux 6", "python": "3.11.7", "load_average": 0.1}
    return Audit(measured_at="2026-12-01T12:00:00+00:00", machine=machine, load=LOAD, tools=list(tools),
                 ours=made("loadcell", 0.02, 27), missing={} if len(tools) == 1 else {"sglang": "it is not there"},
                 loadcell="0.1.0")  # fmt: skip


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_a_terminal(width: int) -> None:
    from rich.console import Console

    for audit in (audited(made("one", 10.25)), audited(made("one", 10.25), made("inference-perf", None, None))):
        console = Console(width=width, record=True, file=io.StringIO())
        show(audit_sections(audit), console)
        lines = console.export_text().splitlines()
        assert max(map(len, lines)) <= width
        text = " ".join(" ".join(lines).split())
        assert "+10.2" in text
        assert "3 of 27" in text or "of 27" in text
        assert "[bold]no[/bold]" in text or len(audit.tools) == 1


def test_the_page_of_a_field() -> None:
    page = audit_page(audited(made("one", 10.25), made("two", None, None)))
    assert page.startswith("# The field, measured")
    for words in ("2026-12-01", "A CPU", "--load 8x50", "it is not there", "tool --url {url}", "+10.2", "1.2.3"):
        assert words in page, words
    assert "None" not in page
    assert "nan" not in page


def test_the_list_of_recipes() -> None:
    section = recipes_section(
        {name: (one.title, one.version, one.install, one.command) for name, one in recipes().items()}
    )
    assert [label for label, _ in section.blocks[0].rows if label] == list(recipes())  # type: ignore[union-attr]


def test_a_rate_a_minute_is_taken_as_one_a_second(tmp_path: Path) -> None:
    """As LLMPerf states its requests; a unit that is none of a rate is left out."""
    stated = [
        Told(key="per_min", value=377.4, unit="requests/min", metric="requests_per_s"),
        Told(key="share", value=5.0, unit="%", metric="output_tokens_per_s"),
        Told(key="ttft", value=0.05, unit="s", metric="ttft_ms", stat="p50"),
    ]
    run = Run(tool="llmperf", schema="made", files=[], name="a", told=stated)
    assert reported_figures(run) == {
        ("requests_per_s", None): (pytest.approx(6.29), False),
        ("ttft", "p50"): (pytest.approx(50.0), False),
    }
