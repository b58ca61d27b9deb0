"""Numbers in Spanish: decimal comma, thousands apart by a narrow space (Ortografía de la lengua española, 2010)."""

from __future__ import annotations

import re

THIN = "\N{NARROW NO-BREAK SPACE}"
VEGA_LOCALE = {"decimal": ",", "thousands": THIN, "grouping": [3], "currency": ["", " €"]}
_MARKS = str.maketrans({",": THIN, ".": ","})
_NUMBER = re.compile(
    r"(?P<sign>[<>≤≥≈+\-\N{MINUS SIGN}±]?\s?)(?P<digits>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)(?P<exponent>e[+-]?\d+)?"
    r"(?P<space>\s?)(?P<unit>%|ms|s|µs|ns|W|J|°C)?"
)


def number(text: str) -> str | None:
    """A number with its sign and unit, as in "1,234.5 ms" or "12%"; None for any other text, a version among it."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    space = " " if found["unit"] == "%" else found["space"]
    digits = found["digits"].translate(_MARKS)
    return f"{found['sign']}{digits}{found['exponent'] or ''}{space}{found['unit'] or ''}"
