"""The records of a TLS connection, for the compiled core: it leaves them sealed while they are of usual length."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import Structure, addressof, c_char, c_int64
from typing import Any, ClassVar

_LENGTH_MOST = 1 << 16
Open = Callable[[bytes], bytes]
"""What the bytes are that follow those of the call before, opened; errors and ends as of `recvmsg`."""


class Layout(Structure):
    """As `core.c` has it."""

    _fields_: ClassVar[Any] = [(name, c_int64) for name in ("had", "left", "odd", "least", "most", "alone")] + [
        ("head", c_char * 8)
    ]


class Records:
    """Where records begin, and how long those are that need no look: at first none is."""

    __slots__ = ("_doubted", "_lib", "_of", "address")

    def __init__(self, lib: Any) -> None:
        self._of, self._lib = Layout(least=_LENGTH_MOST), lib
        self.address = addressof(self._of)
        self._doubted = False

    def walk(self, data: bytes) -> None:
        """These bytes came, and were read elsewhere: all that come must pass here or through the library."""
        self._lib.records_walk(self.address, data, len(data))

    def learn(self) -> None:
        """The newest read held a token event: if it was one record, none of its length needs a look."""
        of = self._of
        if of.alone and not self._doubted:
            of.least, of.most = min(of.least, of.alone), max(of.most, of.alone)

    def doubt(self) -> None:
        """What needed a look was as long as token events are: each record is looked at from now on."""
        self._doubted, self._of.least = True, _LENGTH_MOST


Sealed = tuple[Records, Open]
