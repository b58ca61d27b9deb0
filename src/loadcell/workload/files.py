"""Prompts from a JSONL file: one prompt, or one list of chat messages, a line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError, nearest
from loadcell.workload.lengths import MAX_TOKENS
from loadcell.workload.tokenizer import Tokenizer

Messages = list[dict[str, str]]


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: str


class _Line(msgspec.Struct):
    prompt: str | None = None
    messages: list[_Message] | None = None
    output_tokens: int | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, eq=False)
class PromptFile:
    """The lines of a prompt file, in its order."""

    path: str
    prompts: tuple[str | Messages, ...]
    input_tokens: NDArray[np.int32]
    """Tokens of each prompt: its text, or the contents of its messages."""
    output_tokens: NDArray[np.int32]
    """Output tokens that each line asks for; 0 where it leaves that to the spec."""
    sha256: bytes
    ignored_keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.prompts)

    def mean_output_tokens(self, otherwise: float) -> float:
        """Mean of what the lines ask for, with `otherwise` for those that do not say."""
        return float(np.where(self.output_tokens > 0, self.output_tokens, otherwise).mean())

    def notes(self, requests: int) -> list[str]:
        """What a reader of a run with `requests` requests must know."""
        notes = []
        if requests > len(self):
            notes.append(
                f"prompts repeat: {len(self)} lines for {requests} requests; a prefix cache can answer repeats"
            )
        if same := len(self) - len({msgspec.json.encode(p) for p in self.prompts}):
            notes.append(
                f"{same} of {len(self)} lines of {self.path} repeat an earlier one; a prefix cache can answer repeats"
            )
        if self.ignored_keys:
            notes.append(f"keys of {self.path} that were not used: {', '.join(self.ignored_keys)}")
        return notes


@dataclass(frozen=True, eq=False)
class FilePrompts:
    """The prompts of `file` that the requests send, in their order."""

    file: PromptFile
    lines: NDArray[np.int64]
    """Which line each request sends, empty ones not counted."""

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[str | Messages]:
        return (self.file.prompts[i] for i in self.lines.tolist())

    def select(self, rows: NDArray[np.integer[Any]]) -> Iterator[str | Messages]:
        """The prompts of `rows`, in that order."""
        return (self.file.prompts[i] for i in self.lines[rows].tolist())

    def digest(self) -> bytes:
        """SHA-256 of the file."""
        return self.file.sha256


def read_prompts(path: str, tokenizer: Tokenizer) -> PromptFile:
    """The prompts of a JSONL file, counted.

    A line is {"prompt": TEXT} or {"messages": [{"role": R, "content": TEXT}, ...]}; its "output_tokens" or
    "max_tokens", if any, goes before the spec's. Empty lines are passed over. UsageError names the file and the line.
    """
    try:
        data = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise UsageError(f"the prompts {path} cannot be read: {error.strerror}") from None
    trees = [
        (number, _tree(f"{path}:{number}", raw))
        for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1)
        if raw.strip()
    ]
    if not trees:
        raise UsageError(f"{path} holds no prompts: write one JSON object a line, as in " + '{"prompt": "Hello"}')
    lines = [_line(f"{path}:{number}", tree) for number, tree in trees]
    counts = [_count(line, tokenizer) for line in lines]
    for (number, _), count in zip(trees, counts, strict=True):
        if not 0 < count <= MAX_TOKENS:
            raise UsageError(f"{path}:{number}: the prompt has {count:,} tokens; it must have 1 to {MAX_TOKENS:,}")
    return PromptFile(
        path=path,
        prompts=tuple(line.prompt if line.prompt is not None else msgspec.to_builtins(line.messages) for line in lines),
        input_tokens=np.array(counts, np.int32),
        output_tokens=np.array([line.output_tokens or line.max_tokens or 0 for line in lines], np.int32),
        sha256=hashlib.sha256(data).digest(),
        ignored_keys=tuple(sorted({key for _, tree in trees for key in tree} - set(_Line.__struct_fields__))),
    )


def _tree(where: str, raw: bytes) -> dict[str, Any]:
    try:
        tree = msgspec.json.decode(raw.decode())
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: not UTF-8: {error.reason} at byte {error.start}") from None
    except msgspec.DecodeError as error:
        raise UsageError(f"{where}: not JSON: {error}; a prompt file holds one JSON object a line") from None
    if not isinstance(tree, dict):
        raise UsageError(f'{where}: a line must be a JSON object with "prompt" or "messages"')
    return tree


def _line(where: str, tree: dict[str, Any]) -> _Line:
    try:
        line = msgspec.convert(tree, _Line)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}") from None
    if (line.prompt is None) == (line.messages is None):
        hint = "".join(nearest(key, ("prompt", "messages")) for key in list(tree)[:1]) if line.prompt is None else ""
        raise UsageError(f'{where}: a line must have either "prompt" or "messages"{hint}')
    for asked in (line.output_tokens, line.max_tokens):
        if asked is not None and not 0 < asked <= MAX_TOKENS:
            raise UsageError(f"{where}: {asked:,} output tokens are asked for; it must be 1 to {MAX_TOKENS:,}")
    if None not in (line.output_tokens, line.max_tokens) and line.output_tokens != line.max_tokens:
        raise UsageError(f'{where}: "output_tokens" and "max_tokens" differ: give one of them')
    return line


def _count(line: _Line, tokenizer: Tokenizer) -> int:
    texts = [line.prompt] if line.prompt is not None else [message.content for message in line.messages or ()]
    return sum(tokenizer.counts(texts))
