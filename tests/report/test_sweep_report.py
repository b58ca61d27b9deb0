"""A sweep as people look at it: on the console, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from made_sweep import (
    make_curves,
    make_found,
    make_grid,
    make_plan,
    make_search,
    make_stage,
    make_trial,
    spread,
)
from rich.console import Console

from loadcell.cli.sweep import exit_code
from loadcell.metrics.model import Energy, Estimate
from loadcell.report.lines import ask_label
from loadcell.report.sweep import print_sweep, stage_line
from loadcell.report.tables import sweep_csv, to_json
from loadcell.report.view.sweep import finished
from loadcell.report.words import Words
from loadcell.search.model import Ask, Stable, Sweep, load_figure
from loadcell.spec import Slo

replace = msgspec.structs.replace
WHY = "late by \x1b[2J 9 ms: lower the load"


def shown(sweep: Sweep, width: int = 80, *, folder: Path | None = None, **options: Any) -> str:
    console = Console(width=width, file=io.StringIO(), **options)
    print_sweep(sweep, console, Words("en"), folder)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def words(text: str) -> str:
    return " ".join(text.split())


def invalid(number: int, level: float, **fields: Any) -> Any:
    return make_stage(number, level, verdict="INVALID", reasons=[WHY], **fields)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("make", [make_search, make_grid])
def test_it_fits_the_console_and_needs_no_colour(make: Any, width: int) -> None:
    sweep = make()
    sweep = replace(sweep, findings=["a finding " * 30])
    text = shown(sweep, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text and "\x1b" not in text
    assert shown(sweep, width, force_terminal=True, no_color=True).count("\x1b[3") == 0


def test_the_answer_of_a_search_comes_first() -> None:
    lines = shown(make_search(), 120).splitlines()
    assert lines[0].split(maxsplit=1) == ["VALID", "between 41.2 and 43.0 requests/s the SLO breaks"]
    text = words("\n".join(lines[:16]))
    for expected in (
        "Holds up to 41.2 requests/s 99.4 % [99.1, 99.7] of 2,310 requests kept to it (stages 5, 7) · goodput 40.9 "
        "requests/s",
        "Fails at 43 requests/s 97.9 % [97.3, 98.5] of 1,450 requests kept to it (stage 6) · goodput 42.1 requests/s",
        "Breaks first TTFT bracket 4.4 % wide",
        "Queue stays bounded up to 43 requests/s it grows at 45.1 requests/s · carries 44.2 requests/s with a queue",
        "SLO TTFT ≤ 2,000 ms, TPOT ≤ 100 ms for 99 % of requests",
        "one user alone, medians · TTFT 20.1 ms · TPOT 2.05 ms",
    ):
        assert expected in text, expected
    assert "E2E" not in text and "mostly missed" not in text  # its floor is not known; TTFT was named already


def test_a_stage_in_the_table() -> None:
    lines = shown(make_search()).splitlines()
    i = next(i for i, line in enumerate(lines) if line.split()[:3] == ["3", "20", "holds"])
    assert lines[i].split() == ["3", "20", "holds", "70.00", "15.00", "15.00", "20.00", "2,000", "VALID"]
    assert lines[i + 1].split() == ["doubling", "99.8", "%", "280.0", "60.00", "60.00", "19.94", "66.67"]


@pytest.mark.parametrize("width", [80, 120])
def test_why_a_stage_ended_is_said_at_any_width(width: int) -> None:
    grid = make_grid()
    early = replace(grid.stages[4], ended="the queue grew by 38 requests/s")
    text = words(shown(replace(grid, stages=[*grid.stages[:4], early]), width))
    assert "E: ended early" in text and ("grew by 38 requests/s" in text) == (width == 120)
    text = words(shown(make_search(), width))
    assert "E: ended early" in text and ("98.2 % of 512" in text) == (width == 120)


@pytest.mark.parametrize(
    ("word", "ends", "expected"),
    [
        ("none holds", {"low": None}, "Holds up to n/a Fails at 43 requests/s"),
        ("all hold", {"high": None, "width": None}, "Fails at n/a Breaks first TTFT Queue"),
        ("unfinished", {"low": None, "high": None}, "Holds up to n/a Fails at n/a"),
        ("undecided", {}, "bracket 4.4 % wide"),
    ],
)
def test_answers_that_are_no_bracket(word: Any, ends: dict[str, Any], expected: str) -> None:
    text = words(shown(make_search(found=make_found(word=word, says="as the search says", **ends))))
    assert text.startswith("VALID as the search says") and expected in text
    assert ("This sweep is not finished." in text) == (word == "unfinished")


def test_findings_of_the_search_are_said() -> None:
    found = make_found(cliff=True, findings=["a cliff: attainment falls", "not monotone: 20 fails, 40 \x1b[2J passes"])
    text = shown(make_search(found=found))
    assert "a cliff: attainment falls" in words(text) and "not monotone: 20 fails" in text
    assert "\x1b" not in text


def test_a_search_has_one_bar_a_load() -> None:
    sweep = make_search()
    lines = shown(sweep).splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith(" requests/s") and "tokens/s" in line)
    rows = [line.split()[0] for line in lines[head + 1 : lines.index("", head) if "" in lines[head:] else None]]
    loads = [row for row in rows if row.replace(".", "").isdecimal()]
    asked = {load_figure(stage.ask.level) for stage in sweep.stages if stage.ask.level is not None}
    assert len(asked) < len(sweep.stages) - 1  # one was tried twice
    assert len(loads) == len(set(loads)) and asked <= set(loads)


def test_reasons_that_differ_in_their_figures_are_one() -> None:
    grid = make_grid()
    told = [make_stage(i, float(i), verdict="SUSPECT", reasons=[f"late by {i}.5 ms: lower it"]) for i in range(1, 6)]
    text = words(shown(replace(grid, stages=told)))
    assert "SUSPECT stages 1 to 5: stage 1: late by 1.5 ms: lower it" in text and "2.5 ms" not in text


def test_a_closed_loop_has_no_queue_to_tell_of() -> None:
    sweep = make_search()
    closed = replace(sweep, plan=replace(sweep.plan, axis="load.concurrency"))
    assert "stays bounded" in shown(sweep) and "stays bounded" not in shown(closed)


def test_what_is_missing_is_said_with_its_reason() -> None:
    found = make_found(stable=Stable(low=None, high=None, served_per_s=None), floor_ms={"ttft_ms": None})
    text = words(shown(make_search(found=found)))
    assert "bounded up to n/a no stage could tell" in text and "Floor one user alone was not measured" in text
    assert "Stage 1: p99 n/a (fewer than 100 requests)" in text
    growing = spread(90.0) | {"p99": Estimate(value=360.0, caveat="the queue grows")}
    grid = make_grid()
    grid = replace(grid, stages=[*grid.stages[:4], make_stage(5, 80.0, ttft_ms=growing, goodput=None)])
    text = shown(grid)
    assert "Stage 5: no intervals (the queue grows)" in words(text)
    row = next(line for line in text.splitlines() if line.split()[:2] == ["5", "80"])
    below = text.splitlines()[text.splitlines().index(row) + 1]
    assert below.split()[0] == "360.0" and below.split()[3] == "n/a"


def test_a_stage_that_was_cut_off_has_no_answer() -> None:
    sweep = make_search()
    cut = replace(sweep.stages[3], state="interrupted", ended="interrupted by a person")
    assert "fail" not in stage_line("load.rate", cut) and "interrupted by a person" in stage_line("load.rate", cut)
    text = shown(replace(sweep, stages=[*sweep.stages[:3], cut]))
    row = next(line for line in text.splitlines() if line.split()[:1] == ["4"])
    assert "fail" not in row and "interrupted" in text


def test_the_legend_speaks_of_no_tokens_where_nothing_is_generated() -> None:
    plan = make_plan()
    spec = replace(plan.spec, endpoint=replace(plan.spec.endpoint, api="embeddings"))
    spec = replace(spec, workload=replace(spec.workload, output_tokens=None))
    found = words(shown(make_grid(plan=replace(plan, spec=spec))))
    assert "the median over p99; below requests/s the goodput." in found and "user sees" not in found
    assert "below tokens/s what one user sees." in words(shown(make_grid()))


def test_no_slo_no_goodput() -> None:
    grid = make_grid()
    grid = replace(grid, stages=[make_stage(i, level, goodput=None) for i, level in enumerate((1.0, 2.0), 1)])
    assert "no SLO was given" not in words(shown(grid))  # it was, and no stage tells its goodput
    spec = replace(grid.plan.spec, slo=Slo())
    text = words(shown(replace(grid, plan=replace(grid.plan, spec=spec))))
    assert (
        "Goodput n/a: no SLO was given" in text and "Highest goodput" not in text and "Goodput requests/s" not in text
    )


def test_a_grid_shows_goodput_bars_marks_and_methods() -> None:
    text = words(shown(make_grid(), 120))
    assert text.startswith("VALID 5 stages") and "SLO TTFT ≤ 2,000 ms" in text
    assert "grid of given loads · Varied load.rate · Length of a stage 30 s" in text
    assert "Highest goodput 39.88 requests/s 99.7 % kept to every limit · at 40 requests/s, stage 4" in text
    assert "P: on the Pareto front, none beats it in both tokens/s of one user and tokens/s in total" in text
    assert "by Kneedle (Satopaa 2011)" in text and "USL output tokens/s against requests in flight" in text
    lines = shown(make_grid(), 120).splitlines()
    head = next(i for i, line in enumerate(lines) if "TTFT p99" in line) + 1
    full = [line.count("█") for line in lines[head + 1 : head + 6]]
    assert lines[head].split() == ["requests/s", "tokens/s", "ms", "requests/s"]
    assert full[4] > full[2] > full[0] == 0
    assert lines[head + 1].count("▋") >= 2  # the least load is not nothing


def test_bars_are_in_the_order_of_loads_whatever_that_of_the_stages() -> None:
    grid = make_grid((40, 1, 20))
    lines = shown(grid).splitlines()
    head = next(i for i, line in enumerate(lines) if "TTFT p99" in line)
    rows = [line.split()[0] for line in lines[head + 1 : head + 5] if line.strip()]
    assert [row for row in rows if row.isdecimal()] == ["1", "20", "40"]


def test_an_invalid_stage_shows_its_figures_and_its_word() -> None:
    grid = make_grid()
    grid = replace(grid, stages=[*grid.stages[:2], invalid(3, 20.0, ttft_ms=spread(1234.5)), *grid.stages[3:]])
    text = shown(grid)
    assert "1,23" in text and "INVALID stage 3: late by" in words(text)
    assert "5 stages in 2 min 35 s: 4 VALID, 1 INVALID" in text
    assert "1234" in to_json(grid).decode() and "1234" in sweep_csv(grid)


def test_an_answer_stands_where_only_other_figures_of_its_stages_are_bent() -> None:
    """Who kept to the limits is known there; that ITL's p99, say, is not makes the answer SUSPECT at most."""
    sweep = make_search()
    bent = invalid(6, 43.0, phase="bisect", trial=make_trial("fail", 0.97912))
    sweep = replace(sweep, stages=[*sweep.stages[:5], bent, *sweep.stages[6:]])
    text = words(shown(sweep))
    assert text.startswith("SUSPECT between 41.2") and "The answer rests on stage 6, SUSPECT" in text
    assert exit_code(sweep, strict=False) == 0


def test_an_answer_on_invalid_stages_is_none_and_their_figures_stand() -> None:
    sweep = make_search()
    bad = invalid(6, 43.0, phase="bisect", trial=replace(make_trial("fail", 0.97912), sound=False))
    sweep = replace(sweep, stages=[*sweep.stages[:5], bad, *sweep.stages[6:]])
    text = words(shown(sweep))
    assert text.startswith("INVALID not answered: the bracket rests on INVALID stages (6) between 41.2 and 43.0")
    assert "The answer rests on stage 6, INVALID" in text and "Holds up to 41.2" in text
    assert exit_code(sweep, strict=False) == 4
    assert "pass" not in stage_line("load.rate", sweep.stages[0])
    other = replace(make_search(), stages=[invalid(1, None), *make_search().stages[1:]])  # the answer rests elsewhere
    assert "not answered" not in shown(other) and exit_code(other, strict=False) == 0


def test_an_answer_on_suspect_stages_says_so() -> None:
    sweep = make_search()
    stage = replace(sweep.stages[4], point=replace(sweep.stages[4].point, verdict="SUSPECT", reasons=[WHY]))
    sweep = replace(sweep, stages=[*sweep.stages[:4], stage, *sweep.stages[5:]])
    text = words(shown(sweep))
    assert text.startswith("SUSPECT between 41.2") and "The answer rests on stage 5, SUSPECT" in text
    assert "stage 5: late by \N{REPLACEMENT CHARACTER}[2J 9 ms: lower the load" in text and "\x1b" not in text
    assert (exit_code(sweep, strict=False), exit_code(sweep, strict=True)) == (0, 3)


def test_a_cut_stage_and_missing_ones_are_said(tmp_path: Path) -> None:
    grid = make_grid()
    cut = replace(grid.stages[2], state="interrupted", ended="interrupted after 4 s")
    dead = make_stage(4, 40.0, point=None, state="broken", ended="the load did not begin")
    grid = replace(grid, stages=[*grid.stages[:2], cut, dead])
    text = words(shown(grid, folder=tmp_path))
    assert "4 of 5 stages in 2 min 35 s: 3 VALID, 1 without figures" in text
    assert "interrupted" in text and "broken off" in text and "This sweep is not finished." in text
    assert f"loadcell sweep {tmp_path} --resume" in text
    assert not finished(grid) and finished(make_grid())
    assert "--resume" not in shown(make_grid(), folder=tmp_path)
    assert exit_code(replace(grid, stages=[dead]), strict=False) == 1


def test_where_it_lies_can_be_copied(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20)
    text = shown(make_grid(), folder=folder)
    assert f"loadcell report {folder}\n" in text and f"loadcell report {folder}/005-rate-80\n" in text


def test_what_the_server_told_has_a_table() -> None:
    assert "Running" not in shown(make_grid())
    energy = Energy(source="NVML", gpus=1, mean_watts=400.0, joules=10.0, joules_per_output_token=0.84,
                    joules_per_request=80.0, valid=True, says="counter")  # fmt: skip
    told = {"requests_running": 14.2, "requests_waiting": None, "kv_cache_use": 0.415}
    stages = [make_stage(1, 1.0), make_stage(2, 10.0, server=told, energy=energy)]
    lines = shown(replace(make_grid(), stages=stages)).splitlines()
    head = next(i for i, line in enumerate(lines) if "Running" in line)
    assert "Waiting" not in lines[head] and "J/token" in lines[head]
    assert lines[head + 1].split() == ["1", "1", "n/a", "n/a", "n/a"]
    assert lines[head + 2].split() == ["2", "10", "14.20", "41.5", "%", "0.840"]
    unsure = replace(energy, valid=False)
    assert "J/token" not in shown(replace(make_grid(), stages=[make_stage(1, 1.0, server=told, energy=unsure)]))


def test_a_sweep_without_an_axis_is_labelled_by_its_changes() -> None:
    changes = [{"load.rate": 2.0, "workload.output_tokens": tokens} for tokens in ("64", "uniform:16,96")]
    stages = [make_stage(i, None, changes=change) for i, change in enumerate(changes, 1)]
    grid = replace(make_grid(), plan=make_plan(axis=None, stages=changes), stages=stages, planned=2,
                   curves=make_curves())  # fmt: skip
    text = shown(grid, 120)
    assert "rate 2, output_tokens 64" in text and "uniform:16,96" in words(text)
    assert "Varied workload.output_tokens" in text


def test_an_empty_sweep_shows_what_was_to_be() -> None:
    text = words(shown(replace(make_grid(), stages=[], curves=make_curves(), took_s=None)))
    assert text.startswith("N/A 0 of 5 stages") and text.endswith("0 of 5 stages") and "median" not in text
    assert sweep_csv(replace(make_grid(), stages=[])) == "stage,phase,load\n"


@pytest.mark.parametrize("make", [make_search, make_grid])
def test_the_line_of_a_stage_fits_80_columns(make: Any) -> None:
    for stage in make().stages:
        assert max(map(len, stage_line("load.rate", stage).splitlines())) <= 80


def test_the_line_of_a_stage() -> None:
    stages = make_search().stages
    assert stage_line("load.rate", stages[1]) == "   2  10/s ramp: pass, 100 % of 800 · TTFT p50 60.0, p99 240 ms"
    assert stage_line("load.rate", stages[3]).endswith("fail, 41 % of 800 · TTFT p50 1,403, p99 5,612 ms · decided")
    assert stage_line("load.rate", stages[0]) == "   1  1 user floor: TTFT p50 20.1 ms · 100.0 tokens/s"
    bad = invalid(3, 20.0, ttft_ms=spread(1234.5), trial=make_trial("fail", 0.61234))
    assert words(stage_line("load.rate", bad)).endswith(
        "INVALID: late by \N{REPLACEMENT CHARACTER}[2J 9 ms: lower the load"
    )
    assert "1,23" in stage_line("load.rate", bad)
    assert "no figures: the load did not begin" in stage_line(
        "load.rate", make_stage(1, 1.0, point=None, ended="the load did not begin")
    )


def test_csv_has_a_line_a_stage() -> None:
    rows = list(csv.DictReader(io.StringIO(sweep_csv(make_search()))))
    assert [row["stage"] for row in rows] == list("1234567")
    floor, row = rows[0], rows[4]
    assert (row["load"], row["phase"], row["answer"], row["verdict"]) == ("41.2", "bisect", "pass", "VALID")
    assert float(row["ttft_p99_ms"]) == pytest.approx(5144) and float(row["ttft_p50_low_ms"]) < 1286
    assert row["attainment"] == "0.993" and row["pareto"] == "True"
    assert (floor["ttft_p99_ms"], floor["goodput_per_s"], floor["load"]) == ("", "", "")
    dead = make_grid()
    rows = list(csv.DictReader(io.StringIO(sweep_csv(replace(dead, stages=[make_stage(1, 1.0, point=None)])))))
    assert rows[0]["ttft_p50_ms"] == "" and rows[0]["requests_per_s"] == ""


def test_json_is_the_sweep() -> None:
    sweep = make_search()
    assert msgspec.json.decode(to_json(sweep), type=Sweep) == sweep


def test_small_words() -> None:
    assert [load_figure(x) for x in (1.0, 12.5, 41.234, 1024.0, 123456.0)] == [
        "1", "12.5", "41.23", "1,024", "123,456",
    ]  # fmt: skip
    users = Ask(number=1, phase="floor", changes={"load.concurrency": 1, "load.rate": None}, level=None)
    assert ask_label(users) == "1 user"


@pytest.mark.parametrize(
    ("word", "code"),
    [("bracketed", 0), ("likely", 0), ("all hold", 0), ("none holds", 0), ("undecided", 5), ("unfinished", 5)],
)
def test_a_search_without_an_answer_has_an_exit_code_of_its_own(word: str, code: int) -> None:
    sweep = make_search(found=make_found(word=word))
    assert exit_code(sweep, strict=False) == code
