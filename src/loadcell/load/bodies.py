"""What the request bodies of a run follow from: the same bytes whoever makes them, and whenever."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.apis import Api
from loadcell.errors import UsageError
from loadcell.load.splice import gapped
from loadcell.protocol import Prompt, dialect_of
from loadcell.workload import (
    AttachedPrompts,
    FilePrompts,
    FileTalks,
    Prompts,
    TalkPrompts,
)

_HASHED_ROWS, _HASHED_TOKENS = 64, 500_000
"""The first bodies go into the hash as bytes: as many rows, or as many prompt tokens."""
_SIZED_ROWS = 8
HASH_FORM = "b2:"
"""Stands before a hash of this form. Earlier versions made every body before the load, and hashed them all."""


@dataclass(frozen=True, eq=False)
class Source:
    """Everything that the bodies are made of. It can be pickled."""

    api: Api
    forms: Sequence[tuple[bytes, str]]
    """Of each class the prefix of its bodies, with what is the same in all, and the field of their most tokens."""
    prompts: Prompts
    output_tokens: NDArray[np.int32]
    kinds: NDArray[np.int32] | None = None
    """The class of each row; None where there is one."""

    def __len__(self) -> int:
        return len(self.output_tokens)

    @property
    def shared(self) -> bool:
        """Whether rows may send what another sends: lines of a file."""
        return isinstance(self.prompts, FilePrompts)

    def bodies(self, first: int) -> Iterator[bytes | int]:
        """The body of each row from `first` on; where a row of a file's line sends what an earlier one does, that row.

        Made beyond the start of the schedule, only the rows before `first` are known as earlier ones: what is made
        later does not stay.
        """
        most = self.output_tokens.tolist()
        lines = self.prompts.lines.tolist() if isinstance(self.prompts, FilePrompts) else None
        kinds = self._kinds()
        known: dict[tuple[int, int, int], int] = {}
        if lines is not None:
            for row in range(first):
                known.setdefault((lines[row], most[row], kinds[row]), row)
        for row, prompt in enumerate(self.prompts.select(np.arange(first, len(self))), first):
            before = None if lines is None else known.get((lines[row], most[row], kinds[row]))
            if before is None:
                if lines is not None and not first:
                    known[lines[row], most[row], kinds[row]] = row
                yield self._body(prompt, most[row], kinds[row])
            else:
                yield before

    def _body(self, prompt: Prompt, most: int, kind: int) -> bytes:
        prefix, field = self.forms[kind]
        body = dialect_of(self.api).body(prefix, prompt, most, field)
        if not isinstance(self.prompts, TalkPrompts | FileTalks) or not self.prompts.served:
            return body
        kept = gapped(body, messages=self.prompts.messages)
        if kept is None:
            raise UsageError(
                "sessions.history: in the bodies of this API there is no one place where replies could go: write "
                "--history planned, or recorded with a file"
            )
        return kept

    def _kinds(self) -> list[int]:
        return [0] * len(self) if self.kinds is None else self.kinds.tolist()

    def size(self, rows: int) -> int:
        """About how many bytes the first `rows` bodies take, by the first of them."""
        first = [payload for payload, _ in zip(self.bodies(0), range(min(rows, _SIZED_ROWS)), strict=False)]
        sizes = [len(payload) for payload in first if isinstance(payload, bytes)]
        return sum(sizes) * rows // max(1, len(first))

    def hash(self, rows: int) -> str:
        """Equal where the same bytes are to be sent in the first `rows` rows: SHA-256 in hex over all that they follow
        from, and over the first of them."""
        digest = hashlib.sha256(msgspec.json.encode((self.api, self.forms[0][1], rows)))
        facts = self.prompts.facts(rows)
        for column in facts.columns:
            digest.update(column)
        texts = list(facts.texts)
        digest.update(self.output_tokens[:rows].astype("<i4").tobytes())
        if self.kinds is not None:
            digest.update(self.kinds[:rows].astype("<i4").tobytes())
            texts += [piece for prefix, field in self.forms[1:] for piece in (prefix, field.encode())]
        for part in (self.forms[0][0], *texts, *facts.attached):
            digest.update(hashlib.sha256(part).digest())
        for payload in self._first(rows):
            digest.update(hashlib.sha256(payload).digest())
        return HASH_FORM + digest.hexdigest()

    def _first(self, rows: int) -> Iterator[bytes]:
        """The first bodies."""
        first = np.arange(min(rows, _HASHED_ROWS))
        if isinstance(self.prompts, AttachedPrompts):
            first = first[:_SIZED_ROWS]  # each may take 10 ms and more
        elif not isinstance(self.prompts, FilePrompts):
            tokens = np.cumsum(self.prompts.lengths[first], dtype=np.int64)
            first = first[: 1 + int(np.searchsorted(tokens, _HASHED_TOKENS))]
        kinds = self._kinds()
        for row, prompt, most in zip(
            first.tolist(), self.prompts.select(first), self.output_tokens[first].tolist(), strict=True
        ):
            yield self._body(prompt, most, kinds[row])
