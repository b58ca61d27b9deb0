"""Replies to score, and those of our own recordings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from loadcell.errors import RecordingError
from loadcell.mlperf.model import Finding
from loadcell.recording.read import Recording, open_recording, read_columns

_PART = re.compile(r"accuracy(?:-(\d+))?")


class Reply(msgspec.Struct, frozen=True):
    """What was answered to one sample; `tokens` is None where nobody counted."""

    sample: int
    text: str
    tokens: int | None = None


class Replies(msgspec.Struct, kw_only=True):
    """The first reply to each sample, and what was found besides."""

    by_sample: dict[int, Reply]
    repeated: int
    """Later replies to samples that had one; left out."""
    strange: int
    """Replies to samples that the data set does not have; left out."""
    findings: list[Finding] = []

    @property
    def empty(self) -> int:
        """Replies without text."""
        return sum(not reply.text.strip() for reply in self.by_sample.values())


def settle(replies: Iterable[Reply], samples: int, findings: Iterable[Finding] = ()) -> Replies:
    """The first reply to each of `samples` samples."""
    found = Replies(by_sample={}, repeated=0, strange=0, findings=list(findings))
    for reply in replies:
        if not 0 <= reply.sample < samples:
            found.strange += 1
        elif reply.sample in found.by_sample:
            found.repeated += 1
        else:
            found.by_sample[reply.sample] = reply
    return found


class _Line(msgspec.Struct):
    sample: int


def pass_folders(folder: Path) -> list[Path]:
    """The recordings of an accuracy pass in the order in which they were made: accuracy, accuracy-2, ..."""
    found = [(path, _PART.fullmatch(path.name)) for path in folder.iterdir() if path.is_dir()]
    return [path for _, path in sorted((int(match[1] or 1), path) for path, match in found if match)]


def prompts_of(part: Path) -> Path:
    """Where the prompts of a part lie, beside it."""
    return part.with_name(f"{part.name}-prompts.jsonl")


def recorded_replies(folder: Path) -> list[Reply]:
    """The replies that the accuracy pass in `folder` brought, part by part.

    Failed requests brought none; a reply without output is an empty one. RecordingError says what cannot be read.
    """
    return [reply for part in pass_folders(folder) for reply in _part_replies(part)]


def _part_replies(part: Path) -> list[Reply]:
    recording = open_recording(part)
    rows = recording.requests(("request", "status", "error_kind", "output_tokens"))
    schedule = recording.schedule(("request", "prompt"))
    sample = dict(zip(schedule["request"].tolist(), schedule["prompt"].tolist(), strict=True))
    samples = _samples_of(part)
    text = _texts(recording)
    replies = []
    for request, status, kind, tokens in zip(*(column.tolist() for column in rows.values()), strict=True):
        line = sample[request]
        if line is None or np.isnan(line):
            raise RecordingError(f"{part} does not tell which sample each request sent: it is no accuracy pass")
        if status == "ok" and request in text:  # of a pass that was killed the texts may be cut earlier
            count = None if np.isnan(tokens) else int(tokens)
            replies.append(Reply(samples[int(line)], text[request], count))
        elif kind == "empty":
            replies.append(Reply(samples[int(line)], "", 0))
    return replies


def _samples_of(part: Path) -> list[int]:
    """The sample of each line of a part's prompts."""
    try:
        lines = prompts_of(part).read_bytes().splitlines()
        return [msgspec.json.decode(line, type=_Line).sample for line in lines]
    except OSError as error:
        raise RecordingError(f"{error.filename} cannot be read: {error.strerror}; {part.name} needs it") from None
    except msgspec.DecodeError as error:
        raise RecordingError(f"{prompts_of(part)} is damaged: {error}") from None


def _texts(recording: Recording) -> dict[int, str]:
    """The visible output by request."""
    found: dict[int, str] = {}
    files = sorted(recording.path.glob("text-*.parquet"))
    if not files and recording.request_parts and not recording.spec.run.keep_text:
        raise RecordingError(f"{recording.path} holds no text of its replies: its run.keep_text was off")
    for file in files:
        table = read_columns(file, ("request", "content"))
        found |= {row: text or "" for row, text in zip(table["request"].tolist(), table["content"], strict=True)}
    return found
