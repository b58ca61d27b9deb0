"""Every row of the table of quoted figures: its figures from the registry, and its verdict."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest
from published_summaries import DATA

from loadcell.cli import published
from loadcell.cli.main import Parser
from loadcell.cli.published import _limits
from loadcell.errors import LoadcellError
from loadcell.published.model import Registry
from loadcell.published.press import CheckedClaim, check_press, claims, matches
from loadcell.published.store import registry

CHECKED = check_press(registry().rows, _limits).checked
DOCS = (Path(__file__).parents[2] / "docs" / "published.md").read_text(encoding="utf-8")

TABLE = {
    "GB300 NVL72, DeepSeek-R1": ("holds", ["420,659 / 72 = 5,842.5", "209,328 / 72 = 2,907.3", "2,581.26"]),
    "CoreWeave GB300": ("holds", ["48,047 / 8 = 6,005.9"]),
    "above 18,000": ("differs", ["136,752 / 8 = 17,094", "146,960 / 8 = 18,370", "145,789 / 8 = 18,223.6"]),
    "Whisper": ("holds", ["45,333.4 / 8 = 5,666.7"]),
    "MiTAC": ("holds", ["llama2-70b-99 Interactive: 18,846.1", "llama2-70b-99.9 Interactive: 18,846.1"]),
    "Nebius": ("holds", ["596.108", "855.82"]),
    "SGLang on 8 H200": ("differs", ["31,383.2"]),
    "vLLM on 8 H200": ("holds", ["26,318.8"]),
    "that pair ran": ("holds", ["5.1-0381: llama3_1-70b-fp8_pre", "5.1-0383: llama3_1-70b-fp8_pre"]),
    "SGLang is faster": (
        "holds in part",
        ["31,383.2 (5.1-0381), vLLM v0.9.2 26,318.8 (5.1-0383)", "27,697 (5.1-0380), vLLM v0.9.2 30,893.1 (5.1-0382)"],
    ),
    "DeepSeek-R1 Server limits": ("holds", ["ttft_ms 2000", "tpot_ms 80", "max_output_tokens 20000", "16 closed runs"]),
    "73 out": ("misleading", ["128.98"]),
    "Llama 3.1 8B limits": ("holds", ["ttft_ms 2000", "tpot_ms 100", "ttft_ms 500", "tpot_ms 30", "gate_factor 0.99"]),
}


def row_of(part: str) -> CheckedClaim:
    (found,) = [one for one in CHECKED if part in one.quoted]
    return found


@pytest.mark.parametrize("part", TABLE)
def test_a_quoted_figure_is_reproduced(part: str) -> None:
    verdict, figures = TABLE[part]
    found = row_of(part)
    assert found.verdict == verdict
    said = "\n".join(found.data)
    assert [figure for figure in figures if figure not in said] == []


def test_the_table_is_complete_and_two_figures_differ() -> None:
    assert len(CHECKED) == len(TABLE) == 13
    assert [one.quoted for one in CHECKED if one.verdict == "differs"] == [
        row_of("above 18,000").quoted,
        row_of("SGLang on 8 H200").quoted,
    ]


@pytest.mark.parametrize("one", CHECKED, ids=lambda one: one.quoted[:40])
def test_the_command_beside_it_shows_the_figures(one: CheckedClaim, capsys: pytest.CaptureFixture[str]) -> None:
    _, name, *words = shlex.split(one.ask)
    parser = Parser(prog="loadcell published", allow_abbrev=False)
    published.configure(parser)
    json_asked = [*words, "--json"] if "--json" not in words else words
    assert name == "published" and published.run(parser.parse_all(json_asked)) == 0
    shown = capsys.readouterr().out
    for entry in re.findall(r"\d\.\d-\d{4}", " ".join(one.data)):
        assert entry in shown, entry
    assert one.ask in DOCS


def test_a_quoted_figure_may_be_cut_or_rounded_at_its_last_digit() -> None:
    assert (
        matches("5842", 5842.49) and matches("6005", 6005.9) and matches("5667", 5666.7) and matches("596.11", 596.108)
    )
    assert not matches("31391", 31383.2) and not matches("596.11", 596.13) and not matches("18846.1", 18846.3)


def test_a_changed_row_changes_the_verdict(known: Registry) -> None:
    import msgspec

    rows = [msgspec.structs.replace(row, result=row.result * 1.01) for row in known.rows]
    changed = {one.quoted: one.verdict for one in check_press(rows, _limits).checked}
    assert changed[row_of("MiTAC").quoted] == "differs" and changed[row_of("Nebius").quoted] == "differs"


def test_a_changed_rule_changes_the_verdict(known: Registry) -> None:
    def other(round: str, benchmark: str, scenario: str) -> Mapping[str, float | None]:
        return {"ttft_ms": 1.0}

    changed = {one.quoted: one.verdict for one in check_press(known.rows, other).checked}
    assert changed[row_of("Llama 3.1 8B limits").quoted] == "differs"
    assert changed[row_of("DeepSeek-R1 Server limits").quoted] == "holds in part"


def test_a_registry_without_the_rows_says_so() -> None:
    with pytest.raises(LoadcellError, match="the registry lacks entry"):
        check_press([], _limits)


def test_figures_of_run_logs_are_those_of_the_logs() -> None:
    logs = json.loads((DATA / "run_logs.json").read_text())
    (full_run,) = [logged for claim in claims() for logged in claim.logged if "full run" in logged.what]
    (per_sample,) = [logged for claim in claims() for logged in claim.logged if "a sample" in logged.what]
    server, offline = logs["server_deepseek-r1"], logs["offline_llama3.1-8b"]
    begin, end = (datetime.strptime(server[name], "%m-%d-%Y %H:%M:%S.%f") for name in ("power_begin", "power_end"))
    last = (server["generated_query_count"] - 1) / server["result_completed_samples_per_sec"]
    tokens = server["result_completed_tokens_per_second"] * last
    assert tokens / (end - begin).total_seconds() / 72 == pytest.approx(full_run.value, abs=0.05)
    rate = offline["result_tokens_per_second"] / offline["result_samples_per_second"]
    assert rate == pytest.approx(per_sample.value, abs=0.01)
