"""Replies that are programs: the code in a reply, its tests, and whether it passes them. Runs them in the sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec

from loadcell.errors import UsageError
from loadcell.mlperf.accuracy.exact import final_text
from loadcell.mlperf.accuracy.missing import Unavailable
from loadcell.mlperf.accuracy.sandbox import LIMITS, Limits, Program, check_isolation, running
from loadcell.mlperf.datasets import Sample

RunCode = Literal["off", "sandboxed", "unisolated"]
"""Whether programs of replies are run: not at all, confined, or with no more than limits."""
_BLOCK = re.compile(r"```[ \t]*(\w*)[^\n]*\n(.*?)```", re.DOTALL)
_HOW = "loadcell mlperf accuracy ... --run-code runs them in a sandbox; on the folder of a pass it scores it again"
_FORM = '{"inputs": [...], "outputs": [...], "fn_name": null}'


@dataclass(frozen=True)
class Trial:
    """How a program is tried: a kind of `Program`, and (input, expected output) pairs; "script" expects nothing."""

    kind: Literal["stdin", "call", "script"]
    cases: list[tuple[str, str]]
    function: str | None = None


def code_of(text: str) -> str | None:
    """The first Python block of the answer, else its first block; None without one."""
    blocks = _BLOCK.findall(final_text(text))
    python = [code for word, code in blocks if word.lower() in ("python", "python3", "py")]
    return next(iter([*python, *(code for _, code in blocks)]), None)


def can_run(samples: list[Sample], run_code: RunCode) -> None:
    """Unavailable if the programs that answer `samples` must not, or cannot, be run and tested."""
    if run_code == "off":
        raise Unavailable("permission to run the programs in replies", _HOW)
    for number, sample in enumerate(samples):
        if (sample.language or "python").lower() not in ("python", "python3", "py"):
            raise Unavailable(
                f"an interpreter for {sample.language}: only Python is run here", "score these samples elsewhere"
            )
        if sample.tests is None:
            raise Unavailable(
                f"the tests of {sample.id or f'sample {number} of {sample.subset}'}",
                'name LiveCodeBench\'s own files by --code-tests PATH, or give the data set a column "tests": '
                f"Python code, or {_FORM}",
            )
    if run_code == "sandboxed":
        check_isolation()


def passes(reply: str, sample: Sample, run_code: RunCode, limits: Limits = LIMITS) -> bool:
    """Whether the program in the reply passes every test of the sample; too slow or too big is wrong."""
    code = code_of(reply)
    if code is None and sample.grader == "mbxp":
        code = reply
    if code is None:
        return False
    trial = trial_of(sample)
    program = Program(code, trial.kind, trial.function)
    with running(program, isolated=run_code == "sandboxed", limits=limits) as ask:
        for given, wanted in trial.cases:
            answer = ask(given)
            if answer.status != "ok" or not _SAME[trial.kind](answer.output, wanted):
                return False
    return True


def trial_of(sample: Sample) -> Trial:
    """The tests of a sample: Python code, or a JSON of LiveCodeBench's; UsageError if they are neither."""
    text = sample.tests or ""
    with _explained(sample):
        if text.lstrip()[:1] not in ("{", "["):
            check = f"\ncheck({sample.entry_point})\n" if sample.entry_point and "def check(" in text else ""
            return Trial("script", [(text + check, "")])
        tree = msgspec.json.decode(text)
        if isinstance(tree, list):  # {"input", "output", "testtype"} each
            cases = [(str(case["input"]), str(case["output"])) for case in tree]
            function = sample.entry_point if any(case.get("testtype") == "functional" for case in tree) else None
        else:
            cases = list(zip(map(_given, tree["inputs"]), map(_text, tree["outputs"]), strict=True))
            function = tree.get("fn_name")
        if not cases:
            raise ValueError("there are none")
        return Trial("stdin" if function is None else "call", cases, function)


@contextmanager
def _explained(sample: Sample) -> Iterator[None]:
    try:
        yield
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"the tests of {sample.id or sample.subset or 'a sample'} are neither Python code nor {_FORM}: {error}"
        ) from None


def _given(value: Any) -> str:
    """An input as text; the arguments of a call stand a line each."""
    return "\n".join(map(_text, value)) if isinstance(value, list) else _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def same_output(given: str, wanted: str) -> bool:
    """Whether two outputs are equal line by line without white space at their ends, or in numbers of equal value."""
    ours, theirs = ([line.strip() for line in text.strip().splitlines()] for text in (given, wanted))
    return len(ours) == len(theirs) and all(a == b or _same_numbers(a, b) for a, b in zip(ours, theirs, strict=True))


def _same_numbers(given: str, wanted: str) -> bool:
    try:
        ours, theirs = ([Decimal(word) for word in line.split()] for line in (given, wanted))
    except InvalidOperation:
        return False
    return ours == theirs


def same_value(given: str, wanted: str) -> bool:
    """Whether two JSON values are equal."""
    try:
        return bool(msgspec.json.decode(given) == msgspec.json.decode(wanted))
    except msgspec.DecodeError:
        return False


_SAME: dict[str, Callable[[str, str], bool]] = {
    "stdin": same_output,
    "call": same_value,
    "script": lambda given, wanted: True,
}
