"""What a language is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from loadcell.report.words.matching import Catalogue


class Language(NamedTuple):
    """A language other than English, as tables over the English of the code."""

    labels: Mapping[str, str]
    """Labels and sentences that are asked for by their literal text, {named} places in it."""
    sentences: Catalogue
    """Finished sentences of a Result, a Sweep or a Comparison."""
    number: Callable[[str], str | None]
    """A number with its unit in the marks of the language; None for what is not one."""
    vega_locale: Mapping[str, Any]
    one: Callable[[str], str]
    """A text with the singular wherever it counts one of something."""
