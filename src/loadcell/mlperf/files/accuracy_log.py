"""What an accuracy run leaves: mlperf_log_accuracy.json, its replies in hex, and accuracy.txt, the evaluator's word."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec

from loadcell.mlperf.files.reading import parse_json, read_bytes, read_text
from loadcell.mlperf.findings import failed, noted
from loadcell.mlperf.model import Finding

ACCURACY_LOG, ACCURACY_TEXT = "mlperf_log_accuracy.json", "accuracy.txt"
MAX_LOG_BYTES = 2**30
"""A whole accuracy log of long replies has hundreds of MB."""


class LoggedReply(msgspec.Struct, frozen=True, kw_only=True):
    """One reply: the sample of the data set, its raw bytes (token ids), how many tokens the client counted."""

    sequence: int
    sample: int
    data: bytes
    tokens: int | None = None

    def token_ids(self) -> list[int]:
        """The bytes as token ids, little-endian.

        Four bytes an id, or eight where the count of tokens says so (without a count: where every upper half is 0 and
        there is more than one). ValueError if the bytes are no whole ids.
        """
        wide = self._wide()
        size = 8 if wide else 4
        if len(self.data) % size:
            raise ValueError(f"{len(self.data)} bytes are no whole ids of {size} bytes")
        return [int.from_bytes(self.data[i : i + size], "little", signed=True) for i in range(0, len(self.data), size)]

    def _wide(self) -> bool:
        if self.tokens:
            return len(self.data) == 8 * self.tokens
        upper = [self.data[i + 4 : i + 8] for i in range(0, len(self.data), 8)]
        return len(self.data) % 8 == 0 and len(upper) > 1 and not any(any(half) for half in upper)


class AccuracyLog(msgspec.Struct, kw_only=True):
    """The replies in the order of the file; `truncated` if only its head and tail are left, as submissions keep it."""

    path: Path
    size: int | None = None
    sha256: str | None = None
    truncated: bool = False
    replies: list[LoggedReply] = []
    problems: list[Finding] = []


_ENTRY = re.compile(r"^\s*(\{.*\})\s*,?\s*$")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")


def read_accuracy_log(path: Path) -> AccuracyLog:
    """Read an accuracy log, whole or truncated to its ends."""
    log = AccuracyLog(path=path)
    raw = read_bytes(path, log.problems, limit=MAX_LOG_BYTES)
    if raw is None:
        return log
    log.size, log.sha256 = len(raw), hashlib.sha256(raw).hexdigest()
    text = raw.decode(errors="replace")
    try:
        entries, _ = parse_json(text)
    except ValueError as error:
        entries = _entries(text)
        log.truncated = text.lstrip().startswith("[") and text.rstrip().endswith("]") and "\n...\n" in text
        if not log.truncated:
            says = f"{path.name} {error}; {len(entries)} whole entries were read"
            log.problems.append(failed("log-complete", says, path, "take the whole log"))
    if not isinstance(entries, list):
        log.problems.append(failed("file-form", f"{path.name} is no list of replies", path))
        return log
    strange = 0
    for entry in entries:
        reply = _reply(entry)
        if reply is None:
            strange += 1
        else:
            log.replies.append(reply)
    if strange:
        says = f"{path.name}: {strange} of {len(entries)} entries lack a whole seq_id or qsl_idx, or data in hex"
        log.problems.append(failed("file-fields", says, path, "take the log as LoadGen wrote it"))
    return log


def _entries(text: str) -> list[Any]:
    """Entries of a file that is no JSON as a whole: those that stand whole on a line."""
    found = []
    for line in text.splitlines():
        if match := _ENTRY.match(line):
            try:
                found.append(parse_json(match[1])[0])
            except ValueError:
                continue  # cut; the file was called truncated already
    return found


def _reply(entry: Any) -> LoggedReply | None:
    if not isinstance(entry, dict):
        return None
    sequence, sample, data, tokens = (entry.get(key) for key in ("seq_id", "qsl_idx", "data", "token_count"))
    if type(sequence) is not int or type(sample) is not int or not isinstance(data, str) or not _HEX.fullmatch(data):
        return None
    return LoggedReply(
        sequence=sequence, sample=sample, data=bytes.fromhex(data), tokens=tokens if type(tokens) is int else None
    )


class AccuracyText(msgspec.Struct, kw_only=True):
    """accuracy.txt: the scores by lower-case name, and the hash of the whole accuracy log."""

    path: Path
    scores: dict[str, float] = {}
    sha256: str | None = None
    problems: list[Finding] = []


_NUMBER = r"['\"]?(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)['\"]?"
_PAIR = re.compile(r"['\"](?P<name>[A-Za-z][\w .-]*)['\"]\s*:\s*(?:np\.float64\()?" + _NUMBER)
_WHISPER = re.compile(r"Word Error Rate:\s*" + _NUMBER + r"%?,\s*accuracy=" + _NUMBER + "%?")
_HASH = re.compile(r"^hash=([0-9a-fA-F]+)\s*$", re.MULTILINE)


def read_accuracy_text(path: Path) -> AccuracyText:
    """Read what an evaluator printed: the last line of scores counts, chatter before it is passed over."""
    found = AccuracyText(path=path)
    text = read_text(path, found.problems)
    if text is None:
        return found
    lines = [line for line in text.splitlines() if "{" in line and _PAIR.search(line)]
    if lines:
        found.scores = {pair["name"].lower(): float(pair[2]) for pair in _PAIR.finditer(lines[-1])}
    elif whisper := _WHISPER.search(text):
        found.scores = {"wer": float(whisper[1]), "accuracy": float(whisper[2])}
    else:
        says = f"{path.name} holds no line of scores, as {{'rouge1': 38.48, ...}}"
        found.problems.append(failed("accuracy-scores", says, path, "put the whole output of the evaluator there"))
    hashes = _HASH.findall(text)
    if len(set(hashes)) > 1:
        found.problems.append(failed("accuracy-hash", f"{path.name} holds {len(hashes)} different hashes", path))
    if len(lines) > 1:
        says = f"{path.name} holds {len(lines)} lines of scores: the last was taken"
        found.problems.append(noted("accuracy-scores", says, path))
    found.sha256 = hashes[-1].lower() if hashes else None
    return found
