"""Loads and matrices as people write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadcell.errors import UsageError
from loadcell.search.grid import Grid, grid_of_flags, grid_of_tree, label, next_of_grid, plan_grid, read_matrix
from loadcell.search.model import Stage
from loadcell.search.ranges import MOST_STAGES, is_grid, parse_bounds, parse_loads
from loadcell.spec import Spec, build_spec


def spec_of(**sections: Any) -> Spec:
    return build_spec({"endpoint": {"url": "http://127.0.0.1:1"}, **sections})


READ = {
    "1,2,4..256": [1, 2, 4, 8, 16, 32, 64, 128, 256],
    "10,20..100": [10, 20, 30, 40, 50, 60, 70, 80, 90, 100],
    "1,3,9..81": [1, 3, 9, 27, 81],
    "2,4,6..8": [2, 4, 6, 8],
    "1,8,64": [1, 8, 64],
    "64,8,1": [64, 8, 1],
    "7": [7],
    " 1 , 2 ,4 .. 16": [1, 2, 4, 8, 16],
    "1,2,4..16,20,100": [1, 2, 4, 8, 16, 20, 100],
}


@pytest.mark.parametrize(("text", "loads"), READ.items())
def test_lists_and_ranges(text: str, loads: list[float]) -> None:
    assert parse_loads(text, "--concurrency", whole=True) == (loads, [])


def test_a_range_after_a_range_goes_on_from_its_end() -> None:
    """5 and 10 set a step of 5, or a ratio of 2 that misses 30."""
    assert parse_loads("1,2,3..5,10..30", "--rate", whole=False).values == [1, 2, 3, 4, 5, 10, 15, 20, 25, 30]


@pytest.mark.parametrize(
    ("text", "steps", "geometric", "whole", "loads"),
    [
        ("1..40", "4", False, False, [1, 14, 27, 40]),
        ("1..64", "4", True, False, [1, 4, 16, 64]),
        ("1..40", "2", False, True, [1, 40]),
        ("1..2", "4", True, False, [1, 1.25992, 1.5874, 2]),
        ("0.5..1.5", "3", False, False, [0.5, 1, 1.5]),
    ],
)
def test_steps(text: str, steps: str, geometric: bool, whole: bool, loads: list[float]) -> None:
    assert parse_loads(text, "--rate", whole=whole, steps=steps, geometric=geometric).values == loads


def test_decimal_steps_are_exact() -> None:
    assert parse_loads("0.1,0.2..0.7", "--rate", whole=False).values == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("1,2..256", {}, ["1 2 3 4 ... 255 256", "1 2 4 8 ... 128 256", "one number more"]),
        ("10,20..80", {}, ["10 20 30 40 ... 70 80", "10 20 40 80"]),
        ("1,3..10", {}, ["1 3 5 7 9 11", "1 3 9 27", "--steps"]),
        ("1,5,10,20..100", {}, ["no step and to no ratio"]),
        ("1..40", {}, ["how many loads between", "--steps"]),
        ("40..1", {"steps": "4"}, ["does not rise"]),
        ("4,2..1", {}, ["does not rise"]),
        ("5..5", {"steps": "2"}, ["does not rise"]),
        ("1,8", {"steps": "4"}, ["leave out --steps"]),
        ("1,8", {"geometric": True}, ["leave out --geometric"]),
        ("1..40", {"geometric": True}, ["--steps"]),
        ("1..40", {"steps": "1"}, ["--steps 1", "2 to 500"]),
        ("1..40", {"steps": "few"}, ["--steps few"]),
        ("1..40", {"steps": "501"}, ["2 to 500"]),
        ("1,2,3..100000", {}, ["more than the 500"]),
        ("", {}, ["lacks a number"]),
        ("1,,2", {}, ["lacks a number"]),
        ("1,2,", {}, ["lacks a number"]),
        ("1..2..3", {}, ["not a number"]),
        ("1,nan", {}, ["'nan' is not a number"]),
        ("1e3", {}, ["'1e3' is not a number"]),
        ("1,0", {}, ["0 is no load"]),
        ("-1,2", {}, ["-1 is no load"]),
        ("1,1.5", {"whole": True}, ["1.5 is no number of users"]),
        ("1.5..4", {"whole": True, "steps": "3"}, ["whole numbers of users"]),
    ],
)
def test_what_is_no_grid_is_refused_in_words(text: str, options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_loads(text, "--rate", **{"whole": False, **options})
    assert all(word in str(caught.value) for word in words)


def test_doubles_are_kept_once_and_said() -> None:
    values, notes = parse_loads("1..4", "--concurrency", whole=True, steps="8")
    assert values == [1, 2, 3, 4]
    assert "4 of the loads" in notes[0]
    assert parse_loads("8,1,8", "--rate", whole=False).values == [8, 1]


numbers = st.integers(1, 10**6)


@settings(deadline=None)
@given(numbers, numbers, st.integers(2, MOST_STAGES), st.booleans(), st.booleans())
def test_steps_lie_inside_rise_and_have_both_ends(a: int, b: int, steps: int, geometric: bool, whole: bool) -> None:
    low, high = sorted((a, b if a != b else b + 1))
    found = parse_loads(f"{low}..{high}", "--rate", whole=whole, steps=str(steps), geometric=geometric).values
    assert (found[0], found[-1]) == (low, high)
    assert found == sorted(set(found))
    assert len(found) <= steps
    assert not whole or all(value == int(value) for value in found)


@settings(deadline=None)
@given(st.integers(1, 1000), st.integers(2, 5), st.integers(3, 8), st.booleans())
def test_a_range_goes_on_by_one_law(start: int, by: int, count: int, geometric: bool) -> None:
    """Three numbers say which law; the whole range follows it."""
    values = [start * by**i if geometric else start + by * i for i in range(count)]
    text = f"{values[0]},{values[1]},{values[2]}..{values[-1]}" if count > 3 else ",".join(map(str, values))
    assert parse_loads(text, "--rate", whole=True).values == values


@settings(deadline=None)
@given(st.text("0123456789.,- e", max_size=12))
def test_anything_is_either_read_or_refused(text: str) -> None:
    try:
        values = parse_loads(text, "--rate", whole=False).values
    except UsageError:
        return
    assert values
    assert all(value > 0 for value in values)


def test_bounds() -> None:
    assert parse_bounds("1..40", "--rate") == (1, 40)
    assert parse_bounds("1,2..40", "--rate") is None
    assert parse_bounds("5", "--rate") is None
    assert [is_grid(text) for text in (None, "5", "1,2", "1..2")] == [False, False, True, True]


# --- flags and files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "concurrency", "words"),
    [
        ("1,2", "1,2", "cannot both vary"),
        ("5", "1,2", "caps an open loop"),
        (None, None, "no grid"),
    ],
)
def test_contradictions(rate: str | None, concurrency: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        grid_of_flags(rate, concurrency)


def test_users_are_whole_numbers_in_the_plan() -> None:
    assert grid_of_flags(None, "1,2").stages == [{"load.concurrency": 1}, {"load.concurrency": 2}]


def test_a_matrix_is_every_combination() -> None:
    grid = grid_of_tree({"matrix": {"load.rate": "1,2,4..8", "workload.output_tokens": [16, "uniform:1,9"]}}, "f")
    assert len(grid.stages) == 8
    assert grid.stages[1] == {"load.rate": 1.0, "workload.output_tokens": "uniform:1,9"}
    plan, _ = plan_grid(spec_of(), grid, 5)
    assert plan.axis is None
    assert plan.stages[0] == {"load.rate": 1.0, "workload.output_tokens": "16"}  # as the spec writes it
    assert label(plan.stages[1]) == "rate 1, output_tokens uniform:1,9"


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (None, "holds no grid"),
        ({}, "holds no grid"),
        ({"matrx": {}}, "did you mean matrix"),
        ({"matrix": {}}, "must hold spec fields"),
        ({"matrix": {"load.rat": [1]}}, "did you mean load.rate"),
        ({"matrix": {"load": {"rate": [1]}}}, "is a section"),
        ({"matrix": {"load.rate": []}}, "needs a list"),
        ({"matrix": {"load.timeout_s": 5}}, "needs a list"),
        ({"matrix": {"load.rate": list(range(1, 30)), "run.seed": list(range(30))}}, "29 x 30 = 870 stages"),
        ({"stages": []}, "names no stage"),
        ({"stages": [{}]}, "a list of spec fields"),
        ({"stages": [{"load.rates": 1}]}, "did you mean load.rate"),
        ({"stages": [{"load.rate": 1}], "matrix": {"load.rate": [1]}}, "both"),
        ({7: 1}, "unknown key 7"),
    ],
)
def test_wrong_files(tree: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        grid_of_tree(tree, "grid.yaml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the matrix"):
        read_matrix(tmp_path / "none.yaml")
    file = tmp_path / "grid.yaml"
    file.write_text("matrix: {load.rate: [1,")
    with pytest.raises(UsageError, match="is not YAML"):
        read_matrix(file)
    file.write_text("stages:\n- load.rate: 1\n- load.rate: 2\n")
    assert read_matrix(file) == Grid([{"load.rate": 1}, {"load.rate": 2}], [])


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([{"load.rate": 1}, {"load.rate": -1}], r"stage 2 \(rate -1\): load.rate is -1"),
        ([{"load.rate": "many"}], r"stage 1 \(rate many\)"),
        ([{"workload.output_tokens": "gauss:1"}], "not a token length"),
        ([{"load.warmup_s": 60}], "leaves nothing of the duration"),
        ([{"endpoint.headers": {"Authorization": "Bearer abcdef"}}], "holds secrets"),
        ([{"endpoint.url": "http://me:secret@127.0.0.1"}], "holds secrets"),
        ([{"observe.urls": ["http://127.0.0.1/m?key=secret"]}], "holds secrets"),
    ],
)
def test_every_stage_is_checked_before_any_runs(stages: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan_grid(spec_of(load={"concurrency": 2}), grid_of_tree({"stages": stages}, "f"), 10)


def test_no_secret_is_in_the_plan_nor_in_the_error() -> None:
    spec = spec_of(endpoint={"url": "http://u:hunter2@127.0.0.1:1", "headers": {"X-Key": "hunter2"}})
    plan, _ = plan_grid(spec, grid_of_flags("1,2", None), 5)
    assert "hunter2" not in str(plan)
    with pytest.raises(UsageError) as caught:
        plan_grid(spec_of(), grid_of_tree({"stages": [{"endpoint.headers": {"X-Key": "hunter2"}}]}, "f"), 5)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("stages", "load", "axis"),
    [
        ([{"load.rate": 1}, {"load.rate": 2}], {}, "load.rate"),
        ([{"load.concurrency": 1}, {"load.concurrency": 2}], {}, "load.concurrency"),
        ([{"load.rate": 1, "run.seed": 3}, {"load.rate": 2, "run.seed": 3}], {}, "load.rate"),
        ([{"load.rate": 1, "run.seed": 3}, {"load.rate": 2, "run.seed": 4}], {}, None),
        ([{"load.rate": 1}, {"load.rate": 2, "run.seed": 4}], {}, None),
        ([{"load.rate": 5, "load.concurrency": 1}, {"load.rate": 5, "load.concurrency": 2}], {}, None),
        ([{"load.rate": 5}], {}, "load.rate"),
        ([{"workload.output_tokens": 5}, {"workload.output_tokens": 6}], {"rate": 5}, None),
    ],
)
def test_the_axis_is_the_load_that_alone_varies(
    stages: list[dict[str, Any]], load: dict[str, Any], axis: str | None
) -> None:
    assert plan_grid(spec_of(load=load), grid_of_tree({"stages": stages}, "f"), 5)[0].axis == axis


def test_users_under_an_open_loop_are_no_load() -> None:
    with pytest.raises(UsageError, match="open loop of 5 requests/s"):
        plan_grid(spec_of(load={"rate": 5}), grid_of_flags(None, "1,2"), 5)
    plan, notes = plan_grid(spec_of(load={"concurrency": 16}), grid_of_flags("1,2", None), 5)
    assert plan.axis == "load.rate"
    assert "at most 16 requests" in notes[0]


def test_equal_stages_run_once() -> None:
    plan, notes = plan_grid(spec_of(), grid_of_tree({"matrix": {"load.rate": [1, 1.0, 2]}}, "f"), 5)
    assert plan.stages == [{"load.rate": 1.0}, {"load.rate": 2.0}]
    assert "1 stage is as another" in notes[0]


def test_a_shuffled_order_is_that_of_the_seed() -> None:
    grid = grid_of_flags("1..40", None, steps="40")
    orders = [plan_grid(spec_of(run={"seed": seed}), grid, 5, shuffle=True)[0].stages for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(stage["load.rate"] for stage in orders[0]) == list(range(1, 41))


def test_the_next_of_a_grid_is_the_first_that_is_missing() -> None:
    plan, _ = plan_grid(spec_of(), grid_of_flags("1,2,4", None), 5)
    done: list[Stage] = []
    for number, level in ((1, 1.0), (2, 2.0), (3, 4.0)):
        ask = next_of_grid(plan, done)
        assert ask is not None
        assert (ask.number, ask.level, ask.phase) == (number, level, "grid")
        done.append(Stage(ask=ask, folder="", state="complete", ended=None, took_s=1, started_at="", point=None))
    assert next_of_grid(plan, done) is None
    missing = next_of_grid(plan, [done[0], done[2]])
    assert missing is not None
    assert missing.number == 2
