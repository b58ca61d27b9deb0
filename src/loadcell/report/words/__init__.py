"""The languages of a report: sentences, figures and definitions in English or Spanish."""

from loadcell.report.words.language import Words, words_for

__all__ = ["Words", "words_for"]
