"""Words: how a report says things in one language."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from loadcell.errors import UsageError, nearest
from loadcell.grammar import one
from loadcell.metrics.glossary import GLOSSARY, Metric
from loadcell.report.text import figure, percent
from loadcell.report.words.tables import Language

LANGUAGES = {"en": "English", "es": "español"}
_ENGLISH_NUMBERS = {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["$", ""]}
_PROSE = ("title", "unit", "formula", "meaning", "blind", "source")


@dataclass(frozen=True)
class Words:
    """One language. English is what the code says; other languages are catalogues over it."""

    lang: str

    def say(self, text: str, **values: str) -> str:
        """A sentence or label of ours in this language, with `values` put in its {places} after that.

        A finished sentence of a Result is found by its pattern. What no catalogue knows, words from outside among it,
        stays as it is.
        """
        other = _language(self.lang)
        if other is not None:
            text = other.labels.get(text) or (None if values else other.sentences.find(text)) or text
        said = text.format(**values) if values else text
        return one(said) if other is None else other.one(said)

    def knows(self, text: str) -> bool:
        """Whether `say` has this text in the language: what it does not know stays in the words it came in."""
        other = _language(self.lang)
        return other is None or text in other.labels or other.sentences.find(text) is not None

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
        other = _language(self.lang)
        return text if other is None else other.number(text) or self.say(text)

    def metric(self, name: str) -> Metric:
        """The glossary's entry in this language."""
        entry = GLOSSARY[name]
        if _language(self.lang) is None:
            return entry
        return msgspec.structs.replace(entry, **{field: self.say(getattr(entry, field)) for field in _PROSE})

    def vega_locale(self) -> dict[str, Any]:
        """How Vega writes numbers in this language: d3's number locale."""
        other = _language(self.lang)
        return dict(_ENGLISH_NUMBERS if other is None else other.vega_locale)


@lru_cache
def _language(lang: str) -> Language | None:
    """The tables of a language; None for English, which is what the code says."""
    if lang == "en":
        return None
    from loadcell.report.words.es import SPANISH

    return SPANISH


def words_for(lang: str) -> Words:
    """The words of a language by its code; UsageError if there is none."""
    if lang not in LANGUAGES:
        raise UsageError(f"--lang {lang!r}: there is {', '.join(LANGUAGES)}{nearest(lang, LANGUAGES)}")
    return Words(lang)
