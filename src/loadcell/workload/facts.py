"""What prompts follow from, for a hash over all of them without making each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Facts(NamedTuple):
    """Of the first prompts of a run; in this order they go into the hash."""

    columns: list[bytes]
    """Numbers: lengths, and what stands where."""
    texts: list[bytes]
    """What the texts are made of, or the texts themselves."""
    attached: Iterable[bytes] = ()
    """What images and audio follow from."""

    def after(self, *columns: bytes) -> Facts:
        """The same with further columns before its own."""
        return self._replace(columns=[*columns, *self.columns])
