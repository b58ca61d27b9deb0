"""Words: how a report says things in one language."""

from __future__ import annotations

from dataclasses import dataclass

from loadcell.errors import UsageError, nearest
from loadcell.metrics.glossary import GLOSSARY, Metric
from loadcell.report.text import figure, percent

LANGUAGES = {"en": "English", "es": "español"}


@dataclass(frozen=True)
class Words:
    """One language. English is what the code says; other languages are catalogues over it."""

    lang: str

    def say(self, text: str, **values: str) -> str:
        """A sentence or label of ours in this language, with `values` put in its {places} after that.

        A finished sentence of a Result is found by its pattern. What no catalogue knows, words from outside among it,
        stays as it is.
        """
        return text.format(**values) if values else text

    def figure(self, value: float | None, digits: int = 4) -> str:
        """As `text.figure`, with the marks of the language."""
        return figure(value, digits)

    def percent(self, share: float | None) -> str:
        """As `text.percent`, with the marks of the language."""
        return percent(share)

    def metric(self, name: str) -> Metric:
        """The glossary's entry in this language."""
        return GLOSSARY[name]


def words_for(lang: str) -> Words:
    """The words of a language by its code; UsageError if there is none."""
    if lang not in LANGUAGES:
        raise UsageError(f"--lang {lang!r}: there is {', '.join(LANGUAGES)}{nearest(lang, LANGUAGES)}")
    return Words(lang)
