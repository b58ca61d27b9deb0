"""Rows of several files as if they were one, and what is said of those that are broken."""

from __future__ import annotations

import bisect
import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from loadcell.errors import UsageError
from loadcell.workload.rows import Read, Rows

_NAMED = 5
"""Broken rows that are named."""


class Shards:
    """The rows of several files, one after another, as if they were one; or texts, a file each."""

    def __init__(self, path: str, files: Sequence[Path], read: Callable[[Path], Rows], *, texts: bool = False) -> None:
        self.path = path
        self.sha256 = b""
        """Over the digests of the files, in their order."""
        self._files = [read(file) for file in files]
        self._texts = texts
        self._ends = array("q")
        """Rows up to the end of each file that has been read."""

    @property
    def cells(self) -> bool:
        """As of `Rows`, of the file that is being read."""
        return self._files[min(len(self._ends), len(self._files) - 1)].cells

    @property
    def unread(self) -> list[str]:
        """As of `Rows`."""
        return list(dict.fromkeys(name for file in self._files for name in file.unread))

    def where(self, number: int) -> str:
        """Where row `number` stands, for an error."""
        if self._texts:
            return self._files[number - 1].path
        at = bisect.bisect_left(self._ends, number)
        return self._files[at].where(number - (self._ends[at - 1] if at else 0))

    def each(self) -> Iterator[Read]:
        """As of `Rows`; numbers go on from file to file."""
        digest, last = hashlib.sha256(), 0
        for file in self._files:
            before = last
            for one in file.text() if self._texts else file.each():
                last = before + one.number
                yield one._replace(number=last)
            self._ends.append(last)
            digest.update(file.sha256)
        self.sha256 = digest.digest()


def broken_rows(path: str, broken: list[tuple[int, UsageError]], good: int) -> UsageError:
    """That rows of a file are broken, where `good` others are not: the first in words, others by their numbers."""
    first, others = broken[0][1], broken[1:]
    if not others and not good:
        return first
    if not good:
        return UsageError(f"{first}; and so are all {len(broken):,} rows of {path}")
    what = f"{len(broken):,} of {good + len(broken):,} rows are broken"
    if others:
        what += f", {', '.join(str(number) for number, _ in others[: _NAMED - 1])} too"
    more = f" and {len(broken) - _NAMED:,} more" if len(broken) > _NAMED else ""
    return UsageError(f"{first}; {what}{more}: mend them, or leave them out by --skip-bad")
