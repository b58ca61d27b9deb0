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


_ONE = re.compile(
    r"(?<![\w.,/+-])1 (?:(prompt|token|evento|usuario|proceso|modelo|archivo|turno|paso|fallo|grupo|punto)s"
    r"|(solicitud|servidor|error|valor|trabajador)es|(línea|etapa|respuesta|muestra|lectura|palabra|página|prueba)s"
    r"|(ejecuci|conexi|grabaci|petici)ones|(veces))\b(?!/)"
)


def one(text: str) -> str:
    """A text with the singular wherever it counts one of something."""
    return _ONE.sub(_singular, text)


def _singular(found: re.Match[str]) -> str:
    return "1 " + (found[1] or found[2] or found[3] or (f"{found[4]}ón" if found[4] else "vez"))
