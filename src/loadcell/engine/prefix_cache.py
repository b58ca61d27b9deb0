"""A prefix cache, modelled plainly: blocks of a prompt's words, the least recently used go first. Pure.

A block is known by its words and all before it, as in vLLM: a prompt finds the longest run of known blocks from its
start on, and brings all of its whole blocks in. Its last token is always read, so that a prompt that is known to its
end finds a block less. A prompt counts as read when it arrives: two that come together find each other's blocks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from hashlib import blake2b


class PrefixCache:
    """At most `tokens` of prompts in blocks of `block`."""

    def __init__(self, tokens: int, block: int) -> None:
        self._block, self._most = block, tokens // block
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def take(self, words: Sequence[str]) -> int:
        """Words of a prompt that are known; from now on all in whole blocks are, as far as there is room."""
        usable, found, all_known = (len(words) - 1) // self._block, 0, True
        names = list(self._names(words))
        for number, name in enumerate(names):
            all_known = all_known and name in self._known
            found += all_known and number < usable
        for name in reversed(names):  # the end of a prompt goes before its start
            self._known[name] = None
            self._known.move_to_end(name)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return found * self._block

    def clear(self) -> None:
        self._known.clear()

    def _names(self, words: Sequence[str]) -> Iterator[bytes]:
        name = b""
        for start in range(0, len(words) - self._block + 1, self._block):
            name = blake2b(name + "\0".join(words[start : start + self._block]).encode(), digest_size=16).digest()
            yield name
