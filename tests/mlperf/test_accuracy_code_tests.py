"""The tests of LiveCodeBench's problems, from its own files."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from loadcell.errors import UsageError
from loadcell.mlperf.accuracy.code_tests import with_tests
from loadcell.mlperf.accuracy.programs import Trial, trial_of
from loadcell.mlperf.datasets import Dataset, Sample, find_dataset
from loadcell.mlperf.rules import find_rules


def dataset(*samples: Sample) -> Dataset:
    return Dataset(
        benchmark="deepseek-r1", name="made", path=None, sha256="", look_alike=False, samples=list(samples),
        whole=len(samples), max_tokens=None,
    )  # fmt: skip


def problem(id_: str, private: str, function: str | None = None) -> dict[str, Any]:
    public = [{"input": "1 2", "output": "3", "testtype": "stdin"}]
    return {
        "question_id": id_, "public_test_cases": json.dumps(public), "private_test_cases": private,
        "metadata": json.dumps({"func_name": function} if function else {}),
    }  # fmt: skip


def packed(value: Any) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


PRIVATE = json.dumps([{"input": "4 5", "output": "9", "testtype": "stdin"}])
ASKED = dataset(
    Sample(grader="livecodebench", reference="abc_1"),
    Sample(grader="livecodebench", id="abc_2", reference="x"),
    Sample(grader="aime", reference="7"),
)


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_public_and_private_tests_are_read_plain_and_packed(tmp_path: Path) -> None:
    write(tmp_path / "test.jsonl", problem("abc_1", PRIVATE), problem("other", "unreadable"))
    write(tmp_path / "test2.jsonl", problem("abc_2", packed(PRIVATE), "add"))
    first, second, third = with_tests(ASKED, tmp_path).samples
    cases = [("1 2", "3"), ("4 5", "9")]
    assert trial_of(first) == Trial("stdin", cases)
    assert trial_of(second) == Trial("call", cases, "add")
    assert third == ASKED.samples[2]


def test_plain_lines_are_read(tmp_path: Path) -> None:
    file = write(
        tmp_path / "t.jsonl", {"id": "abc_1", "tests": [{"input": "1", "output": "2"}]}, {"id": "abc_2", "tests": "f()"}
    )
    first, second, _ = with_tests(ASKED, file).samples
    assert trial_of(first) == Trial("stdin", [("1", "2")])
    assert trial_of(second) == Trial("script", [("f()", "")])


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch loadcell-was-here",)


@pytest.mark.parametrize(
    ("private", "says"),
    [
        (packed(Evil()), "it names"),
        (packed(7), "no text"),
        ("????", "neither JSON"),
        (base64.b64encode(b"not zlib").decode(), "neither JSON"),
        ("[1]", "needs lines"),
    ],
)
def test_what_is_no_test_is_refused_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path / "test.jsonl", problem("abc_1", private))
    with pytest.raises(UsageError, match=says):
        with_tests(ASKED, file)
    assert not (tmp_path / "loadcell-was-here").exists()


def test_problems_without_tests_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"1 problems \(abc_2"):
        with_tests(ASKED, write(tmp_path / "test.jsonl", problem("abc_1", PRIVATE)))
    with pytest.raises(UsageError, match=r"no \.jsonl"):
        (tmp_path / "empty").mkdir()
        with_tests(ASKED, tmp_path / "empty")
    with pytest.raises(UsageError, match="cannot be read"):
        with_tests(ASKED, tmp_path / "nowhere.jsonl")


@pytest.mark.parametrize(("benchmark", "edition"), [("deepseek-r1", "v6.1"), ("mixtral-8x7b", "v6.0")])
def test_the_programs_of_look_alikes_have_tests(benchmark: str, edition: str) -> None:
    rules = find_rules(edition, benchmark, "offline")
    asked = find_dataset(rules, None, look_alike=True, samples=None, accuracy=True)
    programs = [sample for sample in asked.samples if sample.grader in ("livecodebench", "mbxp")]
    assert programs
    for sample in programs:
        assert trial_of(sample).cases


@pytest.mark.parametrize("tests", ["[]", "{}", '{"inputs": [1], "outputs": []}', "[1]", '{"inputs": "'])
def test_tests_of_no_form_are_refused(tests: str) -> None:
    with pytest.raises(UsageError, match="neither Python code nor"):
        trial_of(Sample(grader="livecodebench", id="q", tests=tests))
