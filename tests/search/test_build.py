"""What a sweep's folder says as a whole, and folders that are none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_sweep import make_plan, make_point, make_stage, make_trial

from loadcell.errors import RecordingError
from loadcell.recording.read import dump_json
from loadcell.search import build_sweep, sweep_schema
from loadcell.search.build import numbers, together
from loadcell.search.model import Ask, Plan, Stage
from loadcell.search.stages import Facts, Seen, served_nothing

FACTS = Facts(
    model="m", address="127.0.0.1", loadcell="1", machine="here", server_place="elsewhere", place_declared=False,
    cached_share=0.0, ok=100, failed=0, timeouts=0, failure=None, dead_at_end=False,
)  # fmt: skip


def plan_of(count: int, path: str = "load.rate", **fields: Any) -> Plan:
    return make_plan(stages=[{path: float(i)} for i in range(1, count + 1)], **fields)


def seen(number: int, *, state: str = "complete", verdict: str = "VALID", reasons: Any = (), **facts: Any) -> Seen:
    ask = Ask(number=number, phase="grid", changes={"load.rate": float(number)}, level=float(number))
    point = make_point(float(number), verdict=verdict, reasons=list(reasons))
    stage = Stage(ask=ask, folder="", state=state, ended=None, took_s=2.0, started_at="", point=point)
    return Seen(stage, replace(FACTS, **facts))


def findings(folder: Path, stages: list[Seen], plan: Plan | None = None) -> list[str]:
    return together(folder, plan or plan_of(len(stages)), stages).findings


def test_a_sweep_of_like_stages_has_nothing_to_tell(tmp_path: Path) -> None:
    assert findings(tmp_path, [seen(1), seen(2), seen(3)]) == []


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"model": "other"}, "the model changed at stage 2: m, other"),
        ({"address": "10.0.0.1"}, "the server's address changed at stage 2"),
        ({"loadcell": "2"}, "the version of loadcell changed at stage 2"),
        ({"machine": "there"}, "this machine changed at stage 2"),
        ({"server_place": "same cores"}, "share this machine's cores"),
        ({"cached_share": 0.5}, "stage 2: the server took prompts from its prefix cache"),
        ({"verdict": "INVALID", "reasons": ["it stood still"]}, "stage 2 INVALID: it stood still"),
        ({"state": "interrupted"}, "stage 2: "),
    ],
)
def test_what_one_stage_has_of_its_own_is_told(tmp_path: Path, odd: dict[str, Any], words: str) -> None:
    (found,) = findings(tmp_path, [seen(1), seen(2, **odd), seen(3)])
    assert words in found


@pytest.mark.parametrize(
    "odd", [{"model": None}, {"cached_share": None}, {"server_place": None}, {"server_place": "other cores"}]
)
def test_what_is_not_known_is_no_finding(tmp_path: Path, odd: dict[str, Any]) -> None:
    assert findings(tmp_path, [seen(1), seen(2, **odd)]) == []


def test_what_was_meant_to_vary_is_no_drift(tmp_path: Path) -> None:
    stages = [seen(1), seen(2, model="other")]
    assert findings(tmp_path, stages, plan_of(2, "endpoint.model", axis=None)) == []
    (found,) = findings(tmp_path, [seen(1), seen(2)], plan_of(2, "workload.output_tokens", axis=None))
    assert "different work" in found


def test_a_server_here_that_was_declared_is_no_finding(tmp_path: Path) -> None:
    here = {"server_place": "same cores", "place_declared": True}
    assert findings(tmp_path, [seen(1, **here), seen(2, **here)]) == []


def test_missing_unstable_and_set_aside(tmp_path: Path) -> None:
    (tmp_path / "002-rate-2.cut-1").mkdir()
    (tmp_path / "009-rate-9").mkdir()
    told = findings(tmp_path, [seen(1), seen(50)], plan_of(52))
    assert any("stages 2 to 49, 51 and 52 of 52 did not run" in text for text in told)
    assert any("stage 50 unstable" in text for text in told)
    assert any("002-rate-2.cut-1" in text for text in told)
    assert any("009-rate-9" in text for text in told)


def test_stages_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    sweep = together(tmp_path, plan_of(3), [seen(3), seen(1), seen(2)])
    assert [stage.ask.number for stage in sweep.stages] == [1, 2, 3]
    assert sweep.took_s == 6
    (tmp_path / "sessions.json").write_text("[5.0, 4.0]")
    assert together(tmp_path, plan_of(3), [seen(1)]).took_s == 9


def test_a_sweep_without_any_stage(tmp_path: Path) -> None:
    sweep = together(tmp_path, plan_of(2), [])
    assert (sweep.stages, sweep.took_s, sweep.curves.pareto) == ([], None, [])
    assert "stages 1 and 2 of 2 did not run" in sweep.findings[0]


@pytest.mark.parametrize(
    ("which", "words"),
    [([3], "stage 3"), ([1, 2], "stages 1 and 2"), ([1, 2, 3, 7], "stages 1 to 3, 7"), ([5, 1], "stages 1, 5")],
)
def test_numbers_in_words(which: list[int], words: str) -> None:
    assert numbers(which) == words


@pytest.mark.parametrize(
    ("facts", "nothing"),
    [
        ({"ok": 0, "failed": 9}, True),
        ({"ok": 1, "failed": 9}, False),
        ({"ok": 0, "failed": 9, "timeouts": 9}, False),  # slow is an answer
        ({"ok": 0, "failed": 0}, False),
    ],
)
def test_a_stage_without_success_is_no_answer(facts: dict[str, Any], nothing: bool) -> None:
    assert served_nothing(replace(FACTS, **facts)) is nothing


def test_a_load_at_which_the_server_was_gone_is_no_answer(tmp_path: Path) -> None:
    """It was "likely below 16 requests/s ... failed requests breaks first" of a server that had been ended."""
    plan = make_plan("search", lowest=1.0, highest=100.0, most_s=60.0)

    def one(number: int, level: float | None, answer: Any, attained: float, **facts: Any) -> Seen:
        trial = make_trial(answer, attained, binding=None if attained == 1 else "failures")
        phase = "floor" if level is None else "ramp"
        stage = make_stage(number, level, phase=phase, trial=trial, point=make_point(level or 1.0))
        return Seen(stage, replace(FACTS, **facts))

    seen = [one(1, None, "undecided", 1.0), one(2, 4.0, "pass", 1.0)]
    gone = one(3, 16.0, "fail", 0.0, ok=0, failed=12)
    before, after = (together(tmp_path, plan, stages).found for stages in (seen, [*seen, gone]))
    assert before is not None and after is not None
    assert (after.likely, after.binding, after.says) == (before.likely, None, before.says)
    full = together(tmp_path, plan, [*seen, one(3, 16.0, "fail", 0.0, ok=1, failed=12)]).found
    assert full is not None and full.likely is not None and full.likely.high == 16, "one who answers, answers"


# --- wrong folders ---------------------------------------------------------------------------------------------------


def test_folders_that_are_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such folder"):
        build_sweep(tmp_path / "none")
    with pytest.raises(RecordingError, match=r"has no sweep\.json"):
        build_sweep(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match="but a file"):
        build_sweep(tmp_path / "file")
    stage = tmp_path / "sweep" / "001-rate-1"
    stage.mkdir(parents=True)
    (stage / "recording.json").write_text("{}")
    with pytest.raises(RecordingError, match=f"recording of one run: see it with loadcell report {stage}"):
        build_sweep(stage)
    dump_json(tmp_path / "sweep" / "sweep.json", plan_of(1))
    with pytest.raises(RecordingError, match=f"it is a stage of {tmp_path / 'sweep'}"):
        build_sweep(stage)


def test_plans_that_cannot_be_read(tmp_path: Path) -> None:
    dump_json(tmp_path / "sweep.json", plan_of(1))
    plan = json.loads((tmp_path / "sweep.json").read_text())
    assert build_sweep(tmp_path).planned == 1
    (tmp_path / "sweep.json").write_text(json.dumps(plan | {"format": 99, "loadcell": "9.9"}))
    with pytest.raises(RecordingError, match=r"written by loadcell 9\.9 in format 99"):
        build_sweep(tmp_path)
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(RecordingError, match=r"sweep\.json"):
        build_sweep(tmp_path)


def test_the_schema_names_what_a_sweep_holds() -> None:
    schema = sweep_schema()
    assert schema["title"] == "Loadcell sweep"
    assert {"Plan", "Stage", "Found", "Curves"} <= set(schema["$defs"])
