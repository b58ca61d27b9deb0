"""Cleaning against the counts and the corrections that are known of the published summaries."""

from __future__ import annotations

import gzip
import json
import runpy
from collections import Counter, defaultdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from published_summaries import DATA, raw, raw_bytes

from loadcell.errors import LoadcellError, RecordingError, UsageError
from loadcell.published.clean import clean_summary, cleaning
from loadcell.published.model import SCENARIO_NAMES, Registry, Row

ROUNDS = ("v5.1", "v6.0")
COUNTS = {
    "v5.1": {
        "deepseek-r1": (8, 8, 0), "llama2-70b-99": (47, 45, 22), "llama2-70b-99.9": (47, 45, 24),
        "llama3.1-405b": (23, 23, 12), "llama3.1-8b": (24, 24, 8), "mixtral-8x7b": (11, 11, 0), "whisper": (37, 0, 0),
    },
    "v6.0": {
        "deepseek-r1": (18, 18, 3), "gpt-oss-120b": (28, 28, 4), "llama2-70b-99": (41, 41, 18),
        "llama2-70b-99.9": (32, 32, 14), "llama3.1-405b": (7, 7, 3), "llama3.1-8b": (29, 29, 10),
        "mixtral-8x7b": (5, 5, 0), "whisper": (37, 0, 0), "qwen3-vl-235b-a22b": (8, 8, 0),
    },
}  # fmt: skip
"""Closed rows by benchmark: Offline, Server, Interactive."""


def cleaned(rows: Any, **more: Any) -> list[Row]:
    data = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
    return clean_summary(data, origin="summary.json", retrieved="2026-01-01", **more)[0]


def of(round: str) -> list[Row]:
    return cleaned(raw_bytes(round))


@pytest.mark.parametrize("round", ROUNDS)
def test_the_package_data_is_what_the_tool_makes_of_the_summaries(round: str) -> None:
    tool = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "published.py"))
    made = tool["packaged_bytes"](round, tool["summary_bytes"](DATA, round))
    kept = (files("loadcell.published") / "data" / f"{round}.json.gz").read_bytes()
    assert gzip.decompress(made) == gzip.decompress(kept)


@pytest.mark.parametrize(("round", "rows", "closed"), [("v5.1", 453, 421), ("v6.0", 438, 425)])
def test_rows_are_as_many_as_were_published(round: str, rows: int, closed: int) -> None:
    found = of(round)
    assert len(found) == rows
    assert sum(row.division == "closed" for row in found) == closed
    counts = Counter((row.benchmark, row.scenario) for row in found if row.division == "closed")
    for benchmark, per_scenario in COUNTS[round].items():
        assert tuple(counts[benchmark, name] for name in ("offline", "server", "interactive")) == per_scenario, (
            benchmark
        )


@pytest.mark.parametrize(("round", "total", "ids", "submitters"), [("v5.1", 1448, 390, 32), ("v6.0", 520, 112, 25)])
def test_the_summaries_are_whole(round: str, total: int, ids: int, submitters: int) -> None:
    rows = raw(round)
    assert (len(rows), len({row["ID"] for row in rows}), len({row["Submitter"] for row in rows})) == (
        total,
        ids,
        submitters,
    )
    _, source = clean_summary(raw_bytes(round), origin="x", retrieved="2026-01-01")
    assert source.rows + sum(source.left_out.values()) == total
    assert source.left_out["resnet"] == {"v5.1": 822, "v6.0": 15}[round]


def test_no_figure_is_changed_and_every_row_can_be_cited() -> None:
    for round in ROUNDS:
        published = {(row["Location"], row["Performance_Result"]) for row in raw(round)}
        for row in of(round):
            assert any((f"{front}{row.location}{back}", row.result) in published
                       for front in ("", "./") for back in ("", "/performance/run_1"))  # fmt: skip
            assert row.entry and row.round == round and row.retrieved and row.availability in ("available", "preview")
            assert row.link.startswith(f"https://github.com/mlcommons/inference_results_{round}/tree/")
            assert row.link.endswith(row.location.replace(" ", "%20"))


def test_wrong_units_are_corrected_and_the_published_label_is_kept() -> None:
    corrected = [row for round in ROUNDS for row in of(round) if row.unit != cleaning().units[row.unit_published]]
    counts = Counter((row.round, row.benchmark, row.scenario, row.unit_published, row.unit) for row in corrected)
    assert counts == {
        ("v5.1", "whisper", "offline", "Samples/s", "tokens/s"): 37,
        ("v6.0", "whisper", "offline", "Samples/s", "tokens/s"): 37,
        ("v5.1", "llama3.1-8b", "interactive", "Queries/s", "tokens/s"): 8,
    }
    assert all(any("published as" in remark for remark in row.remarks) for row in corrected)


@pytest.mark.parametrize(("round", "pairs", "equal"), [("v5.1", 110, 88), ("v6.0", 78, 65)])
def test_both_accuracy_targets_of_llama2_70b_share_most_runs(round: str, pairs: int, equal: int) -> None:
    found: dict[Any, dict[str, float]] = defaultdict(dict)
    for row in of(round):
        if row.family == "llama2-70b" and row.division == "closed":
            found[row.entry, row.platform, row.scenario][row.benchmark] = row.result
    both = [results for results in found.values() if len(results) == 2]
    assert (len(both), sum(len(set(results.values())) == 1 for results in both)) == (pairs, equal)


def test_accelerators_are_nodes_times_those_a_node_and_none_for_cpus() -> None:
    rows = [row for round in ROUNDS for row in of(round)]
    for row in rows:
        if row.accelerator is None:
            assert row.accelerators is None and row.accelerators_per_node is None
        else:
            assert row.nodes and row.accelerators == row.nodes * (row.accelerators_per_node or 0)
    assert sum(row.accelerator is None for row in rows) == 38
    odd = {(row.entry, row.accelerators) for row in rows if any("its name says" in remark for remark in row.remarks)}
    assert odd == {("6.0-0001", 88), ("6.0-0003", 96)}


def test_open_rows_name_the_model_that_was_run() -> None:
    ran = {row.model_run for row in of("v5.1") if row.division == "open" and row.benchmark == "llama2-70b-99.9"}
    assert "llama3_1-70b-fp8_pre" in ran


def test_power_stands_in_fields_of_its_own() -> None:
    with_power = [row for row in of("v5.1") if row.power is not None]
    assert len(with_power) == 9 and {row.power_unit for row in with_power} == {"Watts"}
    assert not any(row.power for row in of("v6.0"))


def test_latencies_are_those_of_single_stream() -> None:
    rows = [row for round in ROUNDS for row in of(round)]
    assert {row.scenario for row in rows if row.unit == "ms"} == {"singlestream"}
    assert {row.unit for row in rows if row.scenario == "singlestream"} == {"ms"}
    assert {row.scenario for row in rows} <= set(SCENARIO_NAMES)


# --- the form of v6.1 ------------------------------------------------------------------------------------------------


def later() -> dict[str, dict[str, Any]]:
    tree: dict[str, dict[str, Any]] = json.loads((DATA / "summary_v6.1.json").read_text())
    return tree


def test_the_form_of_v6_1_is_read() -> None:
    rows = cleaned(later())
    assert len(rows) == 9
    by = {(row.benchmark, row.scenario, row.platform): row for row in rows}
    assert by["qwen3-vl-235b-a22b", "server", "acme-one"].task == "vision-language"
    assert by["qwen3.6-27b", "singlestream", "acme-one"].unit == "ms"
    assert by["whisper", "offline", "acme-one"].unit == "tokens/s"
    assert by["llama3.1-8b", "server", "acme-one"].result == 140000.0
    lab = by["llama3.1-8b", "offline", "lab"]
    assert (lab.availability, lab.division, lab.entry) == ("rdi", "open", None)
    assert lab.link.endswith("/open/Acme%20Labs%20LLC/results/lab/llama3.1-8b-pruned/Offline")
    assert by["llama3.1-8b", "offline", "acme-cpu"].accelerators is None
    assert by["llama3.1-8b", "offline", "87xacme"].remarks


# --- bad files -------------------------------------------------------------------------------------------------------

Break = dict[str, Any]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Result": "fast"}, "row 1: result is 'fast', not a number"),
        ({"Result": None}, "row 1: result is None"),
        ({"Result": -1.0}, "not a number above 0"),
        ({"Result": True}, "not a number above 0"),
        ({"Units": "Tokens per second"}, "row 1: unit is Tokens per second (did you mean Tokens/s?)"),
        ({"Scenario": "Ofline"}, "row 1: scenario is ofline (did you mean offline?)"),
        ({"Division": "ajar"}, "row 1: division is ajar"),
        ({"accelerators_per_node": "8 or so"}, "accelerators_per_node is '8 or so', not a number"),
        ({"number_of_nodes": 1.5}, "not a whole number"),
        ({"Organization": ""}, "row 1: submitter is empty"),
        ({"version": "six"}, "does not say of which round it is: give --round"),
    ],
)
def test_a_row_edited_by_hand_is_diagnosed(change: Break, says: str) -> None:
    tree = later()
    tree["0"] |= change
    with pytest.raises(LoadcellError, match=r"summary\.json") as caught:
        cleaned(tree)
    assert says in str(caught.value)


def test_a_column_that_one_row_lacks_is_named() -> None:
    tree = later()
    del tree["3"]["Units"]
    with pytest.raises(RecordingError, match=r"row 4: there is no Units"):
        cleaned(tree)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON, or it was cut short"),
        (raw_bytes("v6.0")[:5000], "not JSON, or it was cut short"),
        (b"[]", "no list of results"),
        (b"3", "no list of results"),
        (b'{"a": 1}', "no list of results"),
        (b'[{"x": 1}]', "no summary of results"),
        (b"\xff\xfe", "not JSON"),
    ],
)
def test_a_file_of_another_kind_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(RecordingError, match=says):
        cleaned(data)


def test_a_file_without_a_row_that_is_kept_is_refused() -> None:
    rows = [row for row in raw("v5.1") if row["Model"] == "resnet"]
    with pytest.raises(RecordingError, match="no row of a language, speech or vision-language benchmark"):
        cleaned(rows)


def test_the_same_result_twice_is_refused() -> None:
    tree = later()
    tree["again"] = tree["0"]
    with pytest.raises(RecordingError, match="the same result twice"):
        cleaned(tree)


def test_a_round_that_the_file_contradicts_is_refused() -> None:
    with pytest.raises(UsageError, match=r"of round v6\.1, not v6\.0: leave --round out"):
        cleaned(later(), round="v6.0")


def test_a_file_without_a_round_needs_one() -> None:
    tree = {name: row | {"version": None} for name, row in later().items()}
    with pytest.raises(UsageError, match="give --round"):
        cleaned(tree)
    assert {row.round for row in cleaned(tree, round="v6.1")} == {"v6.1"}


def test_packaged_rows_are_unique(known: Registry) -> None:
    assert len({row.key for row in known.rows}) == len(known.rows) == 891
