"""LoadGen's two logs: the detail log, one JSON record a line, and the summary for people. Format: mlperf_log_*.txt.

Figures in them are rounded to six significant digits, times are integer nanoseconds.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from loadcell.mlperf.files.reading import parse_json, read_text
from loadcell.mlperf.findings import failed, noted
from loadcell.mlperf.model import Finding

DETAIL, SUMMARY = "mlperf_log_detail.txt", "mlperf_log_summary.txt"
OURS = ":::LOADCELL"
"""Marks the lines of logs in this layout that Loadcell wrote itself."""
MARKERS = (":::MLLOG", ":::ENDPTS", OURS)
_OFTEN = ("generic_message", "error_", "warning_", "generic_")
"""Beginnings of keys that come more than once in a sound log."""
_MAX_SAID = 5


class Detail(msgspec.Struct, kw_only=True):
    """A detail log: the first value of each key, and what is wrong with the file."""

    path: Path
    marker: str | None = None
    values: dict[str, Any] = {}
    errors: list[str] = []
    warnings: list[str] = []
    last_key: str | None = None
    problems: list[Finding] = []

    def number(self, key: str) -> float | None:
        """A number; None if it is missing or none."""
        value = self.values.get(key)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def integer(self, key: str) -> int | None:
        """A whole number; None if it is missing or none."""
        value = self.number(key)
        return int(value) if value is not None and value == int(value) else None

    def text(self, key: str) -> str | None:
        """A string; None if it is missing or none."""
        value = self.values.get(key)
        return value if isinstance(value, str) else None

    def truth(self, key: str) -> bool | None:
        """True or false; None if it is missing or neither."""
        value = self.values.get(key)
        return value if isinstance(value, bool) else None

    def integers(self, key: str) -> list[int] | None:
        """A list of whole numbers; None if it is missing or none."""
        value = self.values.get(key)
        return value if isinstance(value, list) and all(type(item) is int for item in value) else None


def read_detail(path: Path) -> Detail:
    """Read a detail log, whole or not; `problems` tells what is wrong with it."""
    detail = Detail(path=path)
    text = read_text(path, detail.problems)
    if text is None:
        return detail
    lines = text.splitlines()
    cut = bool(text) and not text.endswith("\n")
    strange: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        said = _take(detail, line)
        if said and cut and number == len(lines):
            says = f"{path.name} is cut short: its last line, {number}, is incomplete"
            detail.problems.append(failed("log-complete", says, path, "take the whole log"))
        elif said:
            strange.append(f"line {number} {said}")
    if strange:
        more = f" and {len(strange) - _MAX_SAID} more" if len(strange) > _MAX_SAID else ""
        says = f"{path.name}: {'; '.join(strange[:_MAX_SAID])}{more}"
        detail.problems.append(failed("log-form", says, path, "take the log as its writer left it"))
    if not detail.values:
        detail.problems.append(failed("log-form", f"{path.name} holds no record of a log", path, "take the whole log"))
    elif not lines[0].startswith(MARKERS):
        detail.problems.append(failed("log-form", f"{path.name} does not begin with a marker, as {MARKERS[0]}", path))
    return detail


def _take(detail: Detail, line: str) -> str | None:
    """Put the record of a line into `detail`; returns what is wrong with the line."""
    marker, _, body = line.strip().partition(" ")
    if marker not in MARKERS:
        return "is no record"
    try:
        record, bare = parse_json(body)
    except ValueError as error:
        return str(error)
    if not isinstance(record, dict) or not isinstance(record.get("key"), str):
        return "has no key"
    key, value = record["key"], record.get("value")
    detail.last_key = key
    if detail.marker is None:
        detail.marker = marker
    if marker != detail.marker:
        return f"is marked {marker}, others {detail.marker}"
    if bare:
        says = f"{key} is nan or inf, which is no JSON: read as missing"
        detail.problems.append(noted("log-form", says, detail.path))
    _note(detail, record, key, value)
    if key in detail.values and not key.startswith(_OFTEN):
        same = "again, with the same value" if detail.values[key] == value else "again, with another value"
        says = f"{key} stands in {detail.path.name} {same}"
        detail.problems.append(failed("log-repeated", says, detail.path, "a log has each key once: take the original"))
    detail.values.setdefault(key, value)
    return None


def _note(detail: Detail, record: dict[str, Any], key: str, value: Any) -> None:
    """Count an error or a warning of the log, by its flag or by its name."""
    about = record.get("metadata")
    flags = about if isinstance(about, dict) else {}
    if flags.get("is_error") is True or key.startswith("error_"):
        detail.errors.append(f"{key}: {value}")
    elif flags.get("is_warning") is True or key.startswith("warning_"):
        detail.warnings.append(f"{key}: {value}")


class Summary(msgspec.Struct, kw_only=True):
    """A summary: its lines by label, as printed, the parameters apart; errors as it counts them (None: no word)."""

    path: Path
    banner: bool = False
    valid: bool | None = None
    figures: dict[str, str] = {}
    parameters: dict[str, str] = {}
    errors: int | None = None
    warnings: int | None = None
    problems: list[Finding] = []


_LINE = re.compile(r"\s*(?P<label>[^:]+?)\s*:\s*(?P<value>\S.*?)?\s*$")
_COUNT = re.compile(r"(?P<count>No|\d+) (?P<what>error|warning)s? encountered", re.IGNORECASE)


def read_summary(path: Path) -> Summary:
    """Read a summary, whole or not; `problems` tells what is wrong with it."""
    summary = Summary(path=path)
    text = read_text(path, summary.problems)
    if text is None:
        return summary
    into = summary.figures
    for line in text.splitlines():
        words = line.strip()
        summary.banner |= words == "MLPerf Results Summary" or words.startswith("Loadcell: MLPerf-style")
        if words == "Test Parameters Used":
            into = summary.parameters
        elif counted := _COUNT.match(words):
            number = 0 if counted["count"].lower() == "no" else int(counted["count"])
            setattr(summary, f"{counted['what'].lower()}s", number)
        elif (found := _LINE.match(line)) and not words.startswith(("*", "WARNING")) and found["value"] is not None:
            _keep(summary, into, found["label"], found["value"])
    word = summary.figures.get("Result is")
    summary.valid = {"VALID": True, "INVALID": False}.get(word or "")
    _complete(summary)
    return summary


def _keep(summary: Summary, into: dict[str, str], label: str, value: str) -> None:
    if into.setdefault(label, value) != value:
        says = f"{summary.path.name} says {label!r} twice: {into[label]} and {value}"
        summary.problems.append(failed("log-repeated", says, summary.path, "take the original"))


def _complete(summary: Summary) -> None:
    """A finding if the summary of a run ends too early, or is none."""
    path, advice = summary.path, "take the whole file, as its writer left it"
    if not (summary.figures or summary.parameters or summary.errors is not None or summary.warnings is not None):
        summary.problems.append(failed("log-form", f"{path.name} is no summary of a run", path, advice))
    elif summary.errors is None:
        says = f"{path.name} is cut short: it ends before the line that counts the errors"
        summary.problems.append(failed("log-complete", says, path, advice))
    elif summary.banner and summary.valid is None and summary.figures.get("Mode") != "AccuracyOnly":
        summary.problems.append(
            failed("log-form", f"{path.name} does not say whether the result is VALID", path, advice)
        )
