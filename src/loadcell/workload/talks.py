"""What the turns of a session say: each carries all that was said before it, and brings something new.

The replies to the turns before are made up (planned), or those of a file (recorded): then a prompt is whole. Or they
are the server's own (served), which nobody has by now: then `MARK` stands before and after what a prompt brings, and
the load puts the talk so far there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.workload.facts import Facts
from loadcell.workload.files import FilePrompts, PromptFile
from loadcell.workload.lengths import MAX_TOKENS
from loadcell.workload.prompts import SyntheticPrompts
from loadcell.workload.requests import texts_of
from loadcell.workload.tokenizer import Tokenizer

MARK = "loadcell-5f1c0e8b7d2a4936-here-goes-what-was-said"
"""No text holds it by chance."""
_BATCH = 512
_SYSTEM = ("system", "developer")
_REPLY = "assistant"

Message = dict[str, Any]


@dataclass(frozen=True, eq=False)
class TalkPrompts:
    """Synthetic turns. Small, can be pickled."""

    texts: SyntheticPrompts
    """What each turn brings; where replies are made up, each followed by the reply to it."""
    follows: NDArray[np.int64]
    """Of each row that whose talk it goes on with; -1 for none."""
    served: bool
    messages: bool
    """Whether they are messages, else one text."""
    system: str = ""
    """What the system says before each talk, the same in all; empty for nothing."""

    def __len__(self) -> int:
        return len(self.follows)

    def __iter__(self) -> Iterator[str | bytes]:
        return self.select(np.arange(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Words that each row brings, and of the reply to it where that is made up."""
        lengths = self.texts.lengths.astype(np.int64)
        return lengths if self.served else lengths.reshape(-1, 2).sum(axis=1)

    def select(self, rows: NDArray[np.integer[Any]]) -> Iterator[str | bytes]:
        """The prompts of `rows`, in that order."""
        if self.served:
            yield from (self._whole([MARK, text, MARK]) for text in self.texts.select(rows))
            return
        known: dict[int, list[str]] = {}  # what was said by the end of the reply to each
        texts = self.texts.select(np.column_stack((2 * rows, 2 * rows + 1)).ravel())
        for row, before in zip(rows.tolist(), self.follows[rows].tolist(), strict=True):
            talk = [*self._said(before, known), next(texts)]
            if before < 0:
                known.clear()  # what other sessions said is not needed
            known[row] = [*talk, next(texts)]
            yield self._whole(talk)

    def facts(self, rows: int) -> Facts:
        """What the first `rows` prompts follow from."""
        told = b"%d%d" % (self.served, self.messages) + self.follows[:rows].astype("<i8").tobytes()
        return self.texts.facts(rows if self.served else 2 * rows).after(told + self.system.encode())

    def _said(self, row: int, known: dict[int, list[str]]) -> list[str]:
        """What was said by the end of the reply to `row`, by turns."""
        if row < 0 or row in known:
            return known.get(row, [])
        return [*self._said(int(self.follows[row]), known), *self.texts.select(np.array([2 * row, 2 * row + 1]))]

    def _whole(self, talk: list[str]) -> str | bytes:
        if not self.messages:
            return f"{self.system}\n" * bool(self.system) + ("" if self.served else "\n").join(talk)
        roles = ("user",) * 3 if self.served else ("user", _REPLY)
        said = [{"role": roles[i % len(roles)], "content": text} for i, text in enumerate(talk)]
        system = [{"role": _SYSTEM[0], "content": self.system}] if self.system else []
        return msgspec.json.encode({"messages": [*system, *said]})


@dataclass(frozen=True, eq=False)
class FileTalks:
    """The turns of conversations from a file."""

    whole: FilePrompts
    """Of each row the conversation that it is of."""
    turn: NDArray[np.int32]
    served: bool
    messages: bool = True

    def __len__(self) -> int:
        return len(self.turn)

    def __iter__(self) -> Iterator[bytes]:
        return self.select(np.arange(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each conversation: no row has more words."""
        sizes = np.array([len(own) for own in self.whole.file.prompts], np.int64)
        return sizes[self.whole.lines]

    def facts(self, rows: int) -> Facts:
        """What the first `rows` prompts follow from."""
        return self.whole.facts(rows).after(b"%d" % self.served + self.turn[:rows].astype("<i4").tobytes())

    def select(self, rows: NDArray[np.integer[Any]]) -> Iterator[bytes]:
        """The prompts of `rows`, in that order."""
        known, fields, talk, ends = -1, dict[str, Any](), list[Message](), list[int]()
        for line, turn in zip(self.whole.lines[rows].tolist(), self.turn[rows].tolist(), strict=True):
            if line != known:
                known, fields = line, msgspec.json.decode(self.whole.file.prompts[line])
                talk = fields.get("messages") or []
                ends = turn_ends(talk)
            if not talk:
                yield self.whole.file.prompts[line]
                continue
            said = talk[: ends[turn]]
            if self.served:
                system = next((i for i, one in enumerate(talk) if one["role"] not in _SYSTEM), 0)
                brings = talk[_begin(talk, ends, turn) or system : ends[turn]]
                mark = {"role": "user", "content": MARK}
                said = [*talk[:system], mark, *brings, mark]
            yield msgspec.json.encode({**fields, "messages": said})


def turn_ends(talk: Sequence[Message]) -> list[int]:
    """Where the turns of a conversation end: after what comes right before a reply, and at its end but for a reply."""
    return [
        i + 1
        for i, one in enumerate(talk)
        if one["role"] != _REPLY and (i + 1 == len(talk) or talk[i + 1]["role"] == _REPLY)
    ]


def _begin(talk: Sequence[Message], ends: Sequence[int], turn: int) -> int:
    """Where a turn begins: after the reply, or the replies, to the one before it."""
    if not turn:
        return 0
    begin = ends[turn - 1]
    while talk[begin]["role"] == _REPLY:
        begin += 1
    return begin


def turns_of(file: PromptFile, *, served: bool) -> NDArray[np.int64]:
    """How many turns each conversation of a file has, 1 at least; UsageError for one that cannot be gone on with."""
    counts = np.ones(len(file), np.int64)
    for line, own in enumerate(file.prompts):
        talk = msgspec.json.decode(own).get("messages") or []
        counts[line] = max(1, len(turn_ends(talk)))
        if talk and not turn_ends(talk):
            raise UsageError(
                f"{file.rows.where(int(file.places[line]))}: it holds replies alone: there is nothing to send"
            )
        if served and counts[line] > 1 and any(one["role"] in ("tool", "function") for one in talk):
            raise UsageError(
                f"{file.rows.where(int(file.places[line]))}: it holds results of tools, which answer calls of a "
                "recorded reply and of no other: write --history recorded"
            )
    return counts


def talk_tokens(
    file: PromptFile,
    lines: NDArray[np.int64],
    turn: NDArray[np.int32],
    replies: NDArray[np.int32] | None,
    tokenizer: Tokenizer,
) -> NDArray[np.int64]:
    """Tokens of the prompt of each row: of all its messages, calls and tools. Of replies those of the file count, or
    where the server's own stand for them as many as are asked for (`replies`)."""
    used = np.unique(lines)
    sizes: dict[int, tuple[int, list[int], list[Message]]] = {}
    for start in range(0, len(used), _BATCH):
        owns = [(line, msgspec.json.decode(file.prompts[line])) for line in used[start : start + _BATCH].tolist()]
        parts = [
            [texts_of(msgspec.json.encode({"messages": [one]})) for one in own.get("messages") or []] for _, own in owns
        ]
        wholes = [texts_of(file.prompts[line]) for line, _ in owns]
        each = [*chain.from_iterable(parts), *wholes]
        counts = iter(tokenizer.counts([text for texts, _ in each for text in texts]))
        sums = iter([ids + sum(next(counts) for _ in texts) for texts, ids in each])
        of_messages = [[next(sums) for _ in part] for part in parts]
        for (line, own), each_of, whole in zip(owns, of_messages, sums, strict=True):
            sizes[line] = (whole - sum(each_of), each_of, own.get("messages") or [])
    out = np.zeros(len(lines), np.int64)
    asked = 0
    for row, (line, number) in enumerate(zip(lines.tolist(), turn.tolist(), strict=True)):
        beside, each_of, talk = sizes[line]
        asked = 0 if not number or replies is None else asked + int(replies[row - 1])
        end = turn_ends(talk)[number] if talk else 0
        counted = (n for n, one in zip(each_of[:end], talk, strict=False) if replies is None or one["role"] != _REPLY)
        out[row] = beside + sum(counted) + asked
    if len(out) and out.max() > MAX_TOKENS:
        raise UsageError(f"a turn has {out.max():,} tokens; the most is {MAX_TOKENS:,}: ask for fewer --turns")
    return out


def talk_notes(served: bool, messages: bool) -> list[str]:
    """What a reader of a run with sessions must know."""
    notes = []
    if served:
        notes.append(
            phrase(
                "turns carry the server's own replies: input tokens as planned take each to be as long as it was asked "
                "to be"
            )
        )
    if messages:
        notes.append(
            phrase("what a chat template adds around the messages of later turns is not in input tokens as planned")
        )
    return notes
