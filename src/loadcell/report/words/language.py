"""Words: how a report says things in one language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from loadcell.errors import UsageError, nearest
from loadcell.grammar import one
from loadcell.metrics.glossary import GLOSSARY, Metric
from loadcell.report.text import figure, percent
from loadcell.report.words.catalogue import Catalogue, catalogue, catalogues

ENGLISH = "en"
_ENGLISH_NUMBERS = {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["$", ""]}
_PROSE = ("title", "unit", "formula", "meaning", "blind", "source")


@dataclass(frozen=True)
class Words:
    """One language. English is what the code says; other languages are catalogues over it."""

    lang: str

    @property
    def _other(self) -> Catalogue | None:
        return None if self.lang == ENGLISH else catalogue(self.lang)

    def say(self, text: str, **values: str) -> str:
        """A sentence or label of ours in this language, with `values` put in its {places} after that.

        A finished sentence of a Result is known by what it was made of. What no catalogue knows, words from outside
        among it, stays as it is.
        """
        other = self._other
        if other is not None:
            text = (other.words.get(text) if values else other.find(text)) or text
        if not values:  # a finished sentence is in the singular where it should be, and words from outside stay
            return text
        return one(text.format(**values)) if other is None else other.one(text.format(**values))

    def figure(self, value: float | None, digits: int = 4) -> str:
        """As `text.figure`, with the marks of the language."""
        return self.number(figure(value, digits))

    def percent(self, share: float | None) -> str:
        """As `text.percent`, with the marks of the language."""
        return self.number(percent(share))

    def count(self, number: int) -> str:
        """A whole number, thousands apart."""
        return self.number(f"{number:,}")

    def number(self, text: str) -> str:
        """A number that is already text, with the marks of the language."""
        other = self._other
        return text if other is None else other.number(text) or self.say(text)

    def interval(self, low: str, high: str) -> str:
        """Both ends in brackets, by a mark that no number holds."""
        other = self._other
        return f"[{low}{'; ' if other is not None and other.numbers.decimal == ',' else ', '}{high}]"

    def metric(self, name: str) -> Metric:
        """The glossary's entry in this language."""
        entry = GLOSSARY[name]
        if self._other is None:
            return entry
        return msgspec.structs.replace(entry, **{field: self.say(getattr(entry, field)) for field in _PROSE})

    def vega_locale(self) -> dict[str, Any]:
        """How Vega writes numbers in this language: d3's number locale."""
        other = self._other
        marks = {} if other is None else msgspec.to_builtins(other.numbers)
        return _ENGLISH_NUMBERS | {name: mark for name, mark in marks.items() if name in _ENGLISH_NUMBERS}


def words_for(lang: str) -> Words:
    """The words of a language by its code; UsageError if there is none."""
    known = [ENGLISH, *catalogues()]
    if lang not in known:
        raise UsageError(f"--lang {lang!r}: there is {', '.join(known)}{nearest(lang, known)}")
    return Words(lang)
