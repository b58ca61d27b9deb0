"""Streams whose events hold all output so far, of which what is new counts."""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.kinds import KIND_ANSWER
from loadcell.protocol.dialect import Heard


class SoFar:
    """What the events of one stream held so far."""

    def __init__(self) -> None:
        self._text: str | None = ""
        """None once they turned out to hold what is new alone."""
        self._ids = 0

    def news(self, told: Iterator[Heard]) -> Iterator[Heard]:
        """Events with what is new in them; one that says nothing new brings no output."""
        for heard in told:
            if heard.so_far and self._text is not None:
                self._keep_new(heard, self._text)
            yield heard

    def _keep_new(self, heard: Heard, known: str) -> None:
        text, ids = heard.answer or "", heard.ids or []
        heard.ids, self._ids = ids[self._ids :], max(self._ids, len(ids))
        if text.startswith(known):
            new, self._text = text[len(known) :], text
        elif known.startswith(text):  # a word that stops the output was taken back
            new = ""
        else:
            new, self._text = text, None
        if heard.answer is not None:
            heard.answer = new
        if not (new if heard.answer is not None else heard.ids):
            heard.kind &= ~KIND_ANSWER
