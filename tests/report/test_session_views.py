"""What is shown of sessions, wherever it is shown."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import made_sessions
import msgspec
import numpy as np
import pytest
import vl_convert
from made_sessions import Call, talk
from rich.console import Console
from vega_schema import check_spec

from loadcell.metrics import Result, build_result
from loadcell.report.charts import run_charts
from loadcell.report.charts.theme import config
from loadcell.report.run import print_result, print_short, run_markdown, run_page
from loadcell.report.tables import to_csv
from loadcell.report.words import words_for

EN, ES = words_for("en"), words_for("es")
DASH = "\N{EN DASH}"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Talks of up to 12 turns of which some fail and some are cut short."""
    rng = np.random.default_rng(3)
    talks = [
        (begin, talk(int(rng.integers(2, 13)), think_ms=200, fails_at=1 if i % 40 == 7 else None))
        for i, begin in enumerate(made_sessions.poisson(rng, 8, 30_000))
    ]
    return build_result(made_sessions.write(tmp_path_factory.mktemp("talks") / "run", talks, stops_ms=30_000))


def shown(result: Result, *, short: bool) -> str:
    console = Console(width=100, file=io.StringIO())
    (print_short if short else print_result)(result, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_console_tells_of_sessions_and_their_turns(result: Result) -> None:
    found = result.sessions
    assert found is not None
    for short in (True, False):
        text = shown(result, short=short)
        for words in (f"{found.begun} begun", f"{found.failed} ended by a failure", "sessions/s", "Time of a session",
                      "Critical path", " Turn ", f"2{DASH}3", f"8{DASH}11"):  # fmt: skip
            assert words in text, words
    assert "turns not sent:" in shown(result, short=False)


def test_tasks_are_called_so(tmp_path: Path) -> None:
    calls = [Call(), Call((0,)), Call((0,)), Call((1, 2))]
    load = {"rate": 10.0, "duration_s": 9, "warmup_s": 0}
    result = build_result(made_sessions.write(tmp_path / "run", [(300.0 * i, calls) for i in range(30)], load=load))
    text = " ".join(shown(result, short=True).split())
    assert "Tasks" in text
    assert "Time of a task" in text
    assert "all calls take 1.34 times those on it" in text


def test_calls_of_an_agent_are_a_task_though_none_branches(tmp_path: Path) -> None:
    load = {"rate": 10.0, "duration_s": 9, "warmup_s": 0}
    talks = [(300.0 * i, talk(2)) for i in range(30)]
    result = build_result(made_sessions.write(tmp_path / "run", talks, load=load))
    method = result.methodology
    spec = msgspec.structs.replace(method.spec, agent=msgspec.structs.replace(method.spec.agent, steps="2"))
    result = msgspec.structs.replace(result, methodology=msgspec.structs.replace(method, spec=spec))
    assert "Time of a task" in shown(result, short=True)
    assert "tasks/s" in shown(result, short=True)
    assert "Sessions" not in shown(result, short=True)


def test_markdown_and_page_have_their_section(result: Result) -> None:
    assert "Sessions" in run_markdown(result, EN)
    assert "Sesiones" in run_markdown(result, ES)
    page = run_page(result, None, EN)
    assert 'id="sessions"' in page
    assert "ttft-by-turn" in page


@pytest.mark.parametrize("words", [EN, ES], ids=["en", "es"])
def test_the_chart_of_turns_is_valid_and_says_what_it_shows(result: Result, words) -> None:  # type: ignore[no-untyped-def]
    (chart,) = [one for one in run_charts(result, None, words) if one.name == "ttft-by-turn"]
    assert chart.spec is not None
    check_spec(chart.spec)
    svg = vl_convert.vegalite_to_svg(chart.spec, config=config(dark=False), show_warnings=True, allowed_base_urls=[])
    assert "<svg" in svg
    assert f"2{DASH}3 p50" in chart.alt


def test_the_table_has_each_figure_once(result: Result) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(result))))
    keys = [(row["metric"], row["anchor"], row["statistic"]) for row in rows]
    assert len(set(keys)) == len(keys)
    found = result.sessions
    assert found is not None
    values = {key: row["value"] for key, row in zip(keys, rows, strict=True)}
    assert values["sessions", "run", "begun"] == str(found.begun)
    assert found.time is not None
    assert float(values["session_time", "", "p50"]) == found.time.p50.value
    assert float(values["ttft of turns 2-3", "response", "p50"]) > float(values["ttft of turn 0", "response", "p50"])
