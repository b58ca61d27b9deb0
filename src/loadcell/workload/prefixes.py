"""Prompts that share beginnings: a system prompt, what groups of them have in common, and a share of hits to meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.lengths import parse_lengths
from loadcell.phrases import phrase
from loadcell.prefix import Prefix
from loadcell.traces import Ragged
from loadcell.workload.blocks import BlockPrompts, shared_beginnings, shared_tokens
from loadcell.workload.facts import Facts
from loadcell.workload.lengths import sample_lengths
from loadcell.workload.prompts import SyntheticPrompts
from loadcell.workload.streams import stream

_PIECES, _MOST_PIECES = 16, 256
"""Where prompts are too short for all that their group shares they have whole pieces of it: so many make a mean prompt,
as far as the whole has no more than these."""
_SHARE_ERROR = 0.005
"""An intended share is met within this; a share further off is refused."""

_OWN_WORDS = 4
"""Of a request that warms the cache, beside what others share: no other request has these."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SystemPrompts:
    """Prompts whose first block is said by the system, and the rest by the user; for APIs that talk."""

    texts: BlockPrompts

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[bytes]:
        return self.select(np.arange(len(self)))

    @property
    def lengths(self) -> Ints:
        """Words of each prompt."""
        return self.texts.lengths

    def facts(self, rows: int) -> Facts:
        """What the first `rows` prompts follow from."""
        return self.texts.facts(rows).after(b"system")

    def select(self, rows: NDArray[np.integer[Any]]) -> Iterator[bytes]:
        """The prompts of `rows`, in that order, without making the others."""
        blocks = self.texts.blocks
        said = BlockPrompts(self.texts.texts, _without_first(blocks))
        before = 0, b""
        for row, text in zip(rows.tolist(), said.select(rows), strict=True):
            first = int(blocks.of(row)[0])
            if not before[1] or before[0] != first:
                before = first, system_message(next(self.texts.texts.select(np.array([first]))))
            yield before[1] + msgspec.json.encode(text) + b"}]}"


def system_message(text: str) -> bytes:
    """The fields of a body with a message of the system, up to what the user says."""
    return b'{"messages":[{"role":"system","content":%b},{"role":"user","content":' % msgspec.json.encode(text)


def with_system(system: str, text: str) -> bytes:
    """The fields of a body with a message of the system and one of the user."""
    return system_message(system) + msgspec.json.encode(text) + b"}]}"


def _without_first(blocks: Ragged) -> Ragged:
    keep = np.ones(len(blocks.values), bool)
    keep[blocks.ends - blocks.counts] = False
    return Ragged(blocks.values[keep], blocks.ends - np.arange(1, len(blocks) + 1))


@dataclass(frozen=True, eq=False)
class Shares:
    """The blocks of prompts that share beginnings, in words of the vocabulary."""

    words: NDArray[np.int32]
    """Of each block."""
    blocks: Ragged
    input_tokens: NDArray[np.int32]
    """Of each prompt by the server, its template included: as asked, more where that is too few for what is shared."""
    notes: list[str]


def draw_groups(groups: int, zipf: float, rows: int, rng: np.random.Generator) -> Ints:
    """The group of each row, from 0: group k with weight 1/(k+1)^zipf. That of row i does not depend on `rows`."""
    weights = np.cumsum(np.arange(1, groups + 1, dtype=np.float64) ** -zipf)
    drawn: Ints = np.searchsorted(weights, rng.random(rows) * weights[-1], side="right").astype(np.int64)
    return np.minimum(drawn, groups - 1)


def plan_shares(
    prefix: Prefix, input_tokens: NDArray[np.int32], words: NDArray[np.int32], template: int, ratio: float, seed: int,
    counted: int, kinds: NDArray[np.int32] | None, *, warm: bool,
) -> Shares:  # fmt: skip
    """Blocks of prompts of `input_tokens` by the server, which are `words` beside a template of so many tokens.

    `ratio`: server's tokens a word. A target share is met over the first `counted` rows, those of each of the `kinds`
    apart: no two share a cache. `warm`: what is shared is in it before the first. UsageError says with the
    arithmetic what cannot be met.
    """
    system = 0 if prefix.system_tokens is None else max(1, round(prefix.system_tokens / ratio))
    groups = (prefix.groups or 1) if (prefix.tokens or prefix.hit_share) else 0
    room, notes = words.astype(np.int64) - system - 1, list[str]()
    if short := int(np.count_nonzero(room < 0)):
        least = template + (prefix.system_tokens or 0) + ratio
        if short == len(room):
            raise UsageError(
                f"no prompt has room for a system prompt of {prefix.system_tokens} tokens: with the server's chat "
                f"template ({template}) and one word it takes {least:.4g}, and the longest has {input_tokens.max()}: "
                "give more --input-tokens, or fewer --system-tokens"
            )
        input_tokens = np.where(room < 0, np.int32(round(least)), input_tokens)
        notes.append(
            phrase(
                "{} of {} prompts were to have fewer tokens than the system prompt, the server's chat template and one "
                "word have ({:.4g}): they are sent with these",
                short, len(room), least,
            )
        )  # fmt: skip
        room = np.maximum(room, 0)
    group = draw_groups(groups, prefix.zipf, len(words), stream(seed, "prefix groups")) if groups else None
    caches = group if group is None or kinds is None else group + kinds.astype(np.int64) * groups
    if group is None:
        lengths = np.zeros(0, np.int64)
    elif prefix.tokens is not None:
        drawn = sample_lengths(parse_lengths(prefix.tokens), groups, stream(seed, "prefix lengths"))
        lengths = np.maximum(1, np.rint(drawn / ratio)).astype(np.int64)
    else:
        asked = float(prefix.hit_share or 0.0)
        total = float(input_tokens[:counted].sum(dtype=np.int64))
        assert group is not None and caches is not None
        in_groups, in_caches = group, caches

        def share(length: int) -> float:
            taken = _taken(np.full(len(room), length), room, _pieces(length, words))[1]
            if warm:
                shared = _warmed(system, taken, in_groups)[:counted]
            else:
                shared = _shared(system, taken[:counted], in_caches[:counted])
            return float(shared.sum()) * ratio / total

        length, met = _solve(share, asked, int(room.max()), counted, groups, system, ratio, warm=warm)
        lengths = np.full(groups, length, np.int64)
        notes.append(
            phrase(
                "a prefix cache without bounds would have {:.1%} of the input tokens planned, {:.1%} were asked for: "
                "the beginnings that groups share have {:.0f} tokens",
                met, asked, length * ratio,
            )
        )  # fmt: skip
    if group is None:
        return Shares(*_blocks(system, lengths, None, room, room * 0, room * 0, 1), input_tokens, notes)
    own = lengths[group]
    whole = own <= room
    if not whole.any():
        raise UsageError(
            f"no prompt has room for what its group shares ({own.min() * ratio:.0f} tokens and more): the longest has "
            f"{input_tokens.max()} tokens, of these {template} are the server's chat template, "
            f"{prefix.system_tokens or 0} the system prompt, and one word is its own: give more --input-tokens"
        )
    cut = int(np.count_nonzero(~whole))
    pieces = _pieces(int(lengths.max()), words) if cut else 1
    if cut:
        notes.append(
            phrase(
                "{} of {} prompts are too short for all that their group shares: they have as much of it as leaves "
                "them a word of their own, in parts of 1/{} of it",
                cut, len(room), pieces,
            )
        )  # fmt: skip
    taken, words_taken = _taken(own, room, pieces)
    return Shares(*_blocks(system, lengths, group, room, taken, words_taken, pieces), input_tokens, notes)


def _pieces(length: int, words: NDArray[np.int32]) -> int:
    """Into how many what a group shares is parted, where prompts have so many words."""
    return int(np.clip(np.ceil(_PIECES * length / words.mean()), _PIECES, _MOST_PIECES))


def _taken(lengths: Ints, room: Ints, pieces: int) -> tuple[Ints, Ints]:
    """(pieces, words) that each row has of the beginning of its group, of so many words, where there is `room`.

    Piece j ends after j * length // pieces words. Whoever has room for all of it has all.
    """
    count = np.minimum(((room + 1) * pieces - 1) // np.maximum(lengths, 1), pieces)
    return count, count * lengths // pieces


def _shared(system: int, taken: Ints, group: Ints) -> Ints:
    """Of each row the words that an earlier one had too: those of the system prompt, and as many of its group's
    beginning as the longest before it had."""
    order = np.argsort(group, kind="stable")
    sorted_group, values = group[order], taken[order]
    step = int(values.max(initial=0)) + 1
    longest = np.maximum.accumulate(values + sorted_group * step) - sorted_group * step
    first = np.diff(sorted_group, prepend=-1) != 0
    before = np.where(first, 0, np.roll(longest, 1))
    out = np.zeros(len(group), np.int64)
    out[order] = np.minimum(values, before)
    out[1:] += system
    return out


def _warmed(system: int, taken: Ints, group: Ints) -> Ints:
    """Of each row the words that a cache has which was warmed with all that two rows or more share: of its group's
    beginning as many as the second longest has."""
    order = np.lexsort((-taken, group))
    sorted_group, values = group[order], taken[order]
    first = np.flatnonzero(np.diff(sorted_group, prepend=-1) != 0)
    second = np.zeros(int(group.max(initial=0)) + 1, np.int64)
    several = first[np.diff(first, append=len(group)) > 1]
    second[sorted_group[several]] = values[several + 1]
    return np.minimum(taken, second[group]) + (system if len(group) > 1 else 0)


def _solve(
    share: Any, asked: float, most: int, counted: int, groups: int, system: int, ratio: float, *, warm: bool
) -> tuple[int, float]:  # fmt: skip
    """(the length that meets a share, what it gives); UsageError if none does."""
    least_share, most_share = (share(1), share(most)) if most >= 1 else (0.0, 0.0)
    if most < 1 or most_share < asked - _SHARE_ERROR:
        lacks = "a group of one prompt is not warmed" if warm else "the first of a group finds nothing"
        raise UsageError(
            f"--hit-share {asked:.1%} cannot be met: {counted:,} prompts in {groups:,} groups give {most_share:.1%} at "
            f"most, for {lacks}, and the template and a word of each prompt are its own: "
            "ask for less, or give more --requests, longer prompts or fewer groups"
        )
    if least_share > asked + _SHARE_ERROR:
        raise UsageError(
            f"--hit-share {asked:.1%} cannot be met: a system prompt of {system * ratio:.0f} tokens gives "
            f"{least_share:.1%} already: ask for more, or give fewer --system-tokens"
        )
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if share(middle) >= asked else (middle, high)
    best = min((max(low, 1), high), key=lambda length: abs(share(length) - asked))
    met = share(best)
    if abs(met - asked) > _SHARE_ERROR:
        raise UsageError(
            f"--hit-share {asked:.1%} cannot be met within {_SHARE_ERROR:.1%}: {best * ratio:.0f} tokens give "
            f"{met:.1%}, and lengths are whole words: ask for that, or give longer prompts"
        )
    return best, met


def _blocks(
    system: int, lengths: Ints, group: Ints | None, room: Ints, taken: Ints, words_taken: Ints, pieces: int
) -> tuple[NDArray[np.int32], Ragged]:
    """(words of each block, the blocks of each row): the system's is 0, then come the pieces of the groups, then what
    each row has of its own."""
    ends = np.arange(pieces + 1) * lengths[:, None] // pieces
    before = int(system > 0)
    own = before + pieces * len(lengths)
    words = np.concatenate(([system] * before, np.diff(ends, axis=1).ravel(), room + 1 - words_taken)).astype(np.int32)
    counts = before + taken + 1
    stops = np.cumsum(counts)
    row = np.repeat(np.arange(len(room), dtype=np.int32), counts)
    place = np.arange(len(row), dtype=np.int32) - np.repeat((stops - counts + before).astype(np.int32), counts)
    values = own + row
    if group is not None:
        shared = place < taken.astype(np.int32)[row]
        values[shared] = (before + group * pieces).astype(np.int32)[row[shared]] + place[shared]
    values[place < 0] = 0
    if not words.all():  # a short beginning has pieces of no word
        keep = words[values] > 0
        values, stops = values[keep], np.cumsum(np.bincount(row[keep], minlength=len(room)))
    return words, Ragged(values.astype(np.int64), stops)


class Sharing(NamedTuple):
    """Prompts that share beginnings, and what a prefix cache without bounds does with them."""

    prompts: BlockPrompts
    shared_tokens: NDArray[np.int32]
    """Input tokens of each that such a cache would have by then, in the order of rows."""
    warm: BlockPrompts | None
    """Requests that bring each beginning into the cache, once, before the load; None where none is to be."""


def sharing(
    words: tuple[str, ...], sizes: NDArray[np.int32], blocks: Ragged, seed: int, ratio: float,
    kinds: NDArray[np.int32] | None, *, warm: bool,
) -> Sharing:  # fmt: skip
    """Prompts of `blocks` of so many words each; of each of the `kinds` a cache of its own. `warm`: whether what they
    share is in the cache before the first of them."""
    beginnings = shared_beginnings(blocks) if warm else Ragged(np.zeros(0, np.int64), np.zeros(0, np.int64))
    many = len(beginnings)
    sizes = np.concatenate((sizes, np.full(many, _OWN_WORDS, np.int32)))
    texts = SyntheticPrompts(words, sizes, seed)
    shared = np.zeros(len(blocks), np.int32)
    for kind in [None] if kinds is None else np.unique(kinds).tolist():
        rows = slice(None) if kinds is None else np.flatnonzero(kinds == kind)
        mine = blocks if isinstance(rows, slice) else blocks.take(rows)
        mine = _joined(beginnings, mine) if many else mine
        found = shared_tokens(mine, sizes[mine.values])[many:]
        shared[rows] = np.rint(found * ratio).astype(np.int32)
    own = Ragged(np.arange(len(sizes) - many, len(sizes)), np.arange(1, many + 1))
    return Sharing(BlockPrompts(texts, blocks), shared, BlockPrompts(texts, _beside(beginnings, own)) if many else None)


def _joined(first: Ragged, then: Ragged) -> Ragged:
    """The lists of one after those of another."""
    values = np.concatenate((first.values, then.values))
    return Ragged(values, np.concatenate((first.ends, then.ends + len(first.values))))


def _beside(left: Ragged, right: Ragged) -> Ragged:
    """Each list of one with that of the other behind it."""
    return Ragged(np.insert(left.values, left.ends, right.values), left.ends + right.ends)
