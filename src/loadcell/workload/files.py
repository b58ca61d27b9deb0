"""Prompts from a file: which requests it holds, how long they are, and which of them a run sends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.spec import Spec
from loadcell.workload.facts import Facts
from loadcell.workload.fields import check_names
from loadcell.workload.inputs import Refused
from loadcell.workload.lengths import MAX_TOKENS
from loadcell.workload.requests import NothingToSend, Seen, columns_of, request_of, texts_of, typed
from loadcell.workload.rows import Rows
from loadcell.workload.shards import Shards, broken_rows
from loadcell.workload.sources import find_source
from loadcell.workload.tokenizer import Tokenizer

_BATCH = 512
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
"""Outside of strings, which hold none, JSON may have blanks in place of these."""


@dataclass(frozen=True, eq=False)
class PromptFile:
    """The requests of a prompt file, in its order."""

    path: str
    prompts: tuple[bytes, ...]
    """Of each the fields of its body that are its own, as a JSON object."""
    output_tokens: NDArray[np.int32]
    """Output tokens that each asks for; 0 where it leaves that to the spec."""
    wanted: NDArray[np.int32]
    """Of each, where the API generates nothing, its inputs and the results that its reply must hold."""
    sha256: bytes
    seen: Seen
    places: NDArray[np.int64]
    rows: Rows | Shards
    said: tuple[str, ...] = ()
    """What is to be told of where it is."""
    broken: int = 0
    """Rows that were left out because they are broken."""
    first_broken: str = ""
    """What is wrong with the first of them."""

    def __len__(self) -> int:
        return len(self.prompts)

    def mean_output_tokens(self, otherwise: float) -> float:
        """Mean of what the lines ask for, with `otherwise` for those that do not say."""
        return float(np.where(self.output_tokens > 0, self.output_tokens, otherwise).mean())

    def input_tokens(self, lines: NDArray[np.int64], tokenizer: Tokenizer) -> NDArray[np.int32]:
        """Tokens of the prompt of each of `lines`: its text, that of its messages, calls and tools. What is not sent
        is not counted, for a file may hold a thousand times as much. UsageError for a prompt without text, or an
        endless one."""
        used, which = np.unique(lines, return_inverse=True)
        counts = np.zeros(len(used), np.int64)
        for start in range(0, len(used), _BATCH):
            read = [texts_of(self.prompts[i]) for i in used[start : start + _BATCH].tolist()]
            tokens = iter(tokenizer.counts(list(chain.from_iterable(texts for texts, _ in read))))
            counts[start : start + len(read)] = [ids + sum(next(tokens) for _ in texts) for texts, ids in read]
        for line, count in zip(used.tolist(), counts.tolist(), strict=True):
            if not 0 < count <= MAX_TOKENS and (count or not self.seen.uncounted):
                where = self.rows.where(int(self.places[line]))
                raise UsageError(f"{where}: the prompt has {count:,} tokens; it must have 1 to {MAX_TOKENS:,}")
        return counts.astype(np.int32)[which]

    def keeping(self, keep: NDArray[np.bool_]) -> PromptFile:
        """The same without some of its lines."""
        return replace(
            self,
            prompts=tuple(prompt for prompt, stays in zip(self.prompts, keep.tolist(), strict=True) if stays),
            output_tokens=self.output_tokens[keep],
            wanted=self.wanted[keep],
            places=self.places[keep],
        )

    def with_prompts(self, prompts: tuple[bytes, ...]) -> PromptFile:
        """The same with other fields of its lines."""
        return replace(self, prompts=prompts)

    def only(self, lines: NDArray[np.int64]) -> PromptFile:
        """The same without the texts of other lines: what is not sent takes no memory."""
        used = np.zeros(len(self), bool)
        used[lines] = True
        return replace(self, prompts=tuple(np.where(used, np.array(self.prompts, object), b"").tolist()))

    def notes(self, requests: int | None) -> list[str]:
        """What a reader of a run with `requests` requests must know; None: nobody knows how many there will be."""
        seen, notes = self.seen, list(self.said)
        if requests is not None and requests > len(self):
            notes.append(
                phrase(
                    "prompts repeat: {} lines for {} requests, {:.3g} times each; {:.0%} of the requests repeat an "
                    "earlier one, which a prefix cache can answer",
                    len(self),
                    requests,
                    requests / len(self),
                    1 - len(self) / requests,
                )
            )
        if self.broken:
            notes.append(
                phrase(
                    "broken lines of {} that were left out, as asked (--skip-bad): {}; the first: {}",
                    self.path,
                    self.broken,
                    self.first_broken,
                )
            )
        if same := len(self) - len(set(self.prompts)):
            notes.append(
                phrase(
                    "{} of {} lines of {} repeat an earlier one; a prefix cache can answer repeats",
                    same,
                    len(self),
                    self.path,
                )
            )
        if seen.sent:
            notes.append(
                phrase("keys of {} that were sent with their prompts: {}", self.path, _counted(seen.sent, len(self)))
            )
        if seen.ignored:
            notes.append(
                phrase(
                    "keys of {} that were left out, as asked (--ignore-fields): {}",
                    self.path,
                    _counted(seen.ignored, len(self)),
                )
            )
        if seen.overruled:
            notes.append(
                phrase(
                    "output lengths that lines of {} say were not asked for, but --output-tokens: {} of {} lines",
                    self.path,
                    seen.overruled,
                    len(self),
                )
            )
        if unused := sorted({*seen.unused, *self.rows.unread}):
            notes.append(
                phrase(
                    "keys of {} that were not sent, for they are no fields of a request (--send-fields sends them): {}",
                    self.path,
                    ", ".join(unused),
                )
            )
        if seen.replies:
            notes.append(
                phrase(
                    "{} of {} conversations of {} were sent without their last reply",
                    seen.replies,
                    len(self),
                    self.path,
                )
            )
        if seen.silent:
            notes.append(
                phrase("{} conversations of {} were left out, for nobody asks anything in them", seen.silent, self.path)
            )
        if seen.uncounted:
            notes.append(
                phrase(
                    "{} of {} lines of {} hold parts that are no text: input tokens as "
                    "planned are those of the text alone",
                    seen.uncounted,
                    len(self),
                    self.path,
                )
            )
        return notes


def _counted(keys: Counter[str], lines: int) -> str:
    """Keys by name, with the number of their lines where not all have them."""
    return ", ".join(name if count == lines else f"{name} ({count})" for name, count in sorted(keys.items()))


@dataclass(frozen=True, eq=False)
class FilePrompts:
    """The prompts of `file` that the requests send, in their order."""

    file: PromptFile
    lines: NDArray[np.int64]
    """Which line each request sends, empty ones not counted."""

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[str | bytes]:
        return (self.file.prompts[i] for i in self.lines.tolist())

    def select(self, rows: NDArray[np.integer[Any]]) -> Iterator[str | bytes]:
        """The prompts of `rows`, in that order."""
        return (self.file.prompts[i] for i in self.lines[rows].tolist())

    def digest(self) -> bytes:
        """SHA-256 of the file."""
        return self.file.sha256

    def facts(self, rows: int) -> Facts:
        """What the first `rows` prompts follow from: each line that is sent, and which stands where."""
        lines, places = np.unique(self.lines[:rows], return_inverse=True)
        return Facts([places.astype("<i8").tobytes()], [self.file.prompts[line] for line in lines.tolist()])


def _rows_of(spec: Spec) -> tuple[Rows | Shards, tuple[str, ...]]:
    """The rows that the prompts name, and what is to be told of where they are."""
    assert spec.workload.prompts is not None
    source = find_source(spec.workload.prompts)

    def read(path: str | Path) -> Rows:
        return Rows(path, *columns_of(spec), advice=" (--prompt-column NAME names another)")

    if len(source.files) == 1 and not source.texts:
        return read(source.files[0]), source.notes
    return Shards(spec.workload.prompts, source.files, read, texts=source.texts), source.notes


def _nothing(rows: Rows | Shards) -> UsageError:
    path = Path(rows.path).expanduser()
    if path.is_file() and not path.stat().st_size:
        return UsageError(f"{rows.path} is empty")
    return UsageError(f"{rows.path} holds no prompts: write one JSON object a line, as in " + '{"prompt": "Hello"}')


def lines_of(spec: Spec) -> list[bytes]:
    """The rows of the file that `spec.workload.prompts` names, each as a line of JSON: to be dealt out to files that
    the same spec reads."""
    rows, _ = _rows_of(spec)
    lines = []
    for number, row, raw, wrong in rows.each():
        try:
            if wrong is not None:
                raise wrong
            encoded = msgspec.json.encode(typed(row, spec, rows.where(number)) if rows.cells else row)
        except UsageError:
            if not spec.workload.skip_bad:
                raise
            continue
        line = encoded if raw is None else raw.translate(_ONE_LINE).strip()
        lines.append(_with_names(line, row, spec) if isinstance(row, dict) else line)
    if not lines:
        raise _nothing(rows)
    return lines


def _with_names(line: bytes, row: dict[str, Any], spec: Spec) -> bytes:
    """A line that has every field which people name, null where it has none: the rows of one file may lack what those
    of the whole have."""
    workload = spec.workload
    names = [*workload.ignore_fields, *workload.send_fields, *filter(None, [workload.output_column])]
    lacks = [name for name in names if name not in row]
    more = b"".join(b",%b:null" % msgspec.json.encode(name) for name in lacks)
    return b"%b%b}" % (line[:-1], more) if row else line


def read_prompts(spec: Spec) -> PromptFile:
    """The requests of the file that `spec.workload.prompts` names, in the form of its API.

    docs/prompts.md describes the files. UsageError names the file and the line.
    """
    (rows, said), seen = _rows_of(spec), Seen()
    prompts, output_tokens, wanted, places = [], [], [], []
    silent: NothingToSend | None = None
    broken: list[tuple[int, UsageError]] = []
    for number, row, raw, wrong in rows.each():
        try:
            if wrong is not None:
                raise wrong
            where = rows.where(number)
            request = request_of(typed(row, spec, where) if rows.cells else row, where, spec, seen, raw)
        except NothingToSend as nothing:  # files of conversations hold some
            silent = silent or nothing
            seen.silent += 1
            continue
        except Refused:
            raise
        except UsageError as error:
            broken.append((number, error))
            continue
        prompts.append(request.own)
        output_tokens.append(request.output_tokens)
        wanted.append(request.wanted)
        places.append(number)
    if broken and not (spec.workload.skip_bad and prompts):
        raise broken_rows(rows.path, broken, len(prompts))
    if not prompts:
        raise silent or _nothing(rows)
    check_names(spec, {*seen.columns, *rows.unread})
    return PromptFile(
        path=rows.path,
        prompts=tuple(prompts),
        output_tokens=np.array(output_tokens, np.int32),
        wanted=np.array(wanted, np.int32),
        sha256=rows.sha256,
        seen=seen,
        places=np.array(places, np.int64),
        rows=rows,
        said=said,
        broken=len(broken),
        first_broken=str(broken[0][1]) if broken else "",
    )
