"""The tests of LiveCodeBench's problems, which are in none of MLPerf's data sets: from its own public files.

A line of these (code_generation_lite: test*.jsonl) has "question_id", "public_test_cases" and "private_test_cases"
(JSON in text; the latter may be packed: base64, zlib, and a pickle of that text), and "metadata" with "func_name" where
a function is called. Plain lines {"id": ..., "tests": ...} are taken too.
"""

from __future__ import annotations

import base64
import binascii
import io
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from loadcell.errors import UsageError
from loadcell.mlperf.datasets import Dataset, Sample

_FORM = 'lines with "question_id", "public_test_cases", "private_test_cases" and "metadata", or with "id" and "tests"'


def with_tests(dataset: Dataset, path: Path) -> Dataset:
    """The data set with the tests in `path`, a JSONL file or a folder of them; UsageError if some are not there.

    A problem is known by the id of its sample, or by its reference.
    """
    open_ = {id_ for sample in dataset.samples if _needs(sample) for id_ in _ids(sample)}
    found = {id_: tests for file in _files(path) for id_, tests in _read(file, open_)}
    samples, lacking = [], []
    for sample in dataset.samples:
        tests = next((found[id_] for id_ in _ids(sample) if id_ in found), None) if _needs(sample) else sample.tests
        if tests is None and _needs(sample):
            lacking.append(sample.id or sample.reference or "?")
        samples.append(msgspec.structs.replace(sample, tests=tests))
    if lacking:
        raise UsageError(
            f"{path} has no tests of {len(lacking):,} problems ({', '.join(lacking[:3])}, ...): give all of "
            "LiveCodeBench's files of the version that the data set was made of"
        )
    return msgspec.structs.replace(dataset, samples=samples)


def _needs(sample: Sample) -> bool:
    return sample.grader == "livecodebench" and sample.tests is None


def _ids(sample: Sample) -> list[str]:
    return [id_ for id_ in (sample.id, sample.reference) if id_]


def _files(path: Path) -> list[Path]:
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise UsageError(f"{path} holds no .jsonl file of tests")
    return files


def _read(file: Path, wanted: set[str]) -> Iterator[tuple[str, str]]:
    """Id and tests of the lines that are wanted."""
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    row = msgspec.json.decode(line)
                    id_ = str(row["question_id"] if "question_id" in row else row["id"])
                    if id_ in wanted:
                        yield id_, _tests(row)
                except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
                    raise UsageError(f"{file}:{number}: {error!s}; it needs {_FORM}") from None
    except OSError as error:
        raise UsageError(f"the tests {file} cannot be read: {error.strerror}") from None


def _tests(row: dict[str, Any]) -> str:
    """The tests of one problem in our form."""
    if "tests" in row:
        return row["tests"] if isinstance(row["tests"], str) else msgspec.json.encode(row["tests"]).decode()
    cases = [*msgspec.json.decode(row["public_test_cases"]), *msgspec.json.decode(_unpacked(row["private_test_cases"]))]
    about = msgspec.json.decode(row.get("metadata") or "{}")
    tests = {
        "inputs": [case["input"] for case in cases],
        "outputs": [case["output"] for case in cases],
        "fn_name": about.get("func_name"),
    }
    return msgspec.json.encode(tests).decode()


def _unpacked(text: str) -> str:
    """JSON in text, which may be packed."""
    if text.lstrip()[:1] == "[":
        return text
    try:
        found = _Plain(io.BytesIO(zlib.decompress(base64.b64decode(text, validate=True)))).load()
    except (binascii.Error, zlib.error, pickle.UnpicklingError, EOFError) as error:
        raise ValueError(f"its private_test_cases are neither JSON nor packed JSON ({error})") from None
    if not isinstance(found, str):
        raise ValueError("its private_test_cases are no text")
    return found


class _Plain(pickle.Unpickler):
    """Reads text; a pickle that names anything of Python is refused, so nothing of it can run."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}")
