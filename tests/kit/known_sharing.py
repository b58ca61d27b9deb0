"""What a prefix cache without bounds has of prompts, counted plainly: it shares no code with what is judged by it."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Sequence


def hits_of(prompts: Iterable[Sequence[Hashable]]) -> tuple[int, int, int]:
    """(blocks that the cache has when each prompt comes, the first miss ending the match; all; different ones)."""
    known: set[Hashable] = set()
    hits = total = 0
    for blocks in prompts:
        total += len(blocks)
        for block in blocks:
            if block not in known:
                break
            hits += 1
        known.update(blocks)
    return hits, total, len(known)


def beginnings(words: Sequence[str], block: int) -> list[bytes]:
    """A digest of all that stands up to the end of each block of so many words."""
    digest, out = hashlib.sha256(), []
    for start in range(0, len(words), block):
        digest.update(" ".join(words[start : start + block]).encode() + b"\n")
        out.append(digest.digest())
    return out
