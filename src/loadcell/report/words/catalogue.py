"""A language other than English: one file beside this one, over the English of the code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

import msgspec

from loadcell.packaged import packaged_names, packaged_yaml
from loadcell.phrases import made_of

_DEEPEST = 8
"""Sentences within sentences: what a document from outside says of its own may go in a circle."""
_PLACE = re.compile(r"\{(\d*)(=?)\}")
_NUMBER = re.compile(
    r"(?P<sign>[<>≤≥≈+\-\N{MINUS SIGN}±]?\s?)(?P<digits>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)(?P<exponent>e[+-]?\d+)?"
    r"(?P<space>\s?)(?P<unit>%|ms|s|µs|ns|W|J|°C)?"
)


class Numbers(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The marks of numbers."""

    decimal: str
    thousands: str
    before_percent: str
    currency: tuple[str, str]


class Catalogue(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the file of a language holds."""

    name: str
    """In the language itself."""
    numbers: Numbers
    singular: dict[str, str]
    """Nouns as they stand after a 1, by their plural."""
    words: dict[str, str]

    def find(self, text: str, depth: int = 0) -> str | None:
        """The translation of a label, or of a finished sentence by what it was made of; None for words from outside."""
        return self.words.get(text) or self._made(text, depth) or self._as_sentence(text, depth)

    def number(self, text: str) -> str | None:
        """A number with its sign and unit, as in "1,234.5 ms" or "12%"; None for any other text, a version among it."""
        found = _NUMBER.fullmatch(text)
        if found is None:
            return None
        space = self.numbers.before_percent if found["unit"] == "%" else found["space"]
        marks = {ord(","): self.numbers.thousands, ord("."): self.numbers.decimal}
        digits = found["digits"].translate(marks)
        return f"{found['sign']}{digits}{found['exponent'] or ''}{space}{found['unit'] or ''}"

    def one(self, text: str) -> str:
        """A text with the singular wherever it counts one of something."""
        if not self.singular:
            return text
        return _ones(tuple(self.singular)).sub(lambda found: f"1 {self.singular[found[1]]}", text)

    def _made(self, text: str, depth: int) -> str | None:
        made = made_of(text) if depth < _DEEPEST else None
        if made is None:
            return None
        told: dict[str, str] = {}
        said = self.one("".join(self._filled(self.words.get(made.key, made.key), made.values, depth, told)))
        for place, value in told.items():
            said = said.replace(place, value)
        return said

    def _filled(self, template: str, values: Sequence[str], depth: int, told: dict[str, str]) -> Iterator[str]:
        """The translation with its numbers in place, and marks where what is in `told` is to stand, untouched."""
        at = 0
        for count, place in enumerate(_PLACE.finditer(template)):
            yield template[at : place.start()]
            value = values[int(place[1]) if place[1] else count]
            number = None if place[2] else self.number(value)
            if number is None:
                told[f"\0{count}\0"] = value if place[2] else self.find(value, depth + 1) or value
            yield f"\0{count}\0" if number is None else number
            at = place.end()
        yield template[at:]

    def _as_sentence(self, text: str, depth: int) -> str | None:
        """With a capital and a full stop of its own (`text.sentence`)."""
        bare = f"{text[:1].lower()}{text[1:]}".removesuffix(".")
        found = None if bare == text else self.words.get(bare) or self._made(bare, depth)
        return found and f"{found[:1].upper()}{found[1:]}{'.' if text.endswith('.') else ''}"


@cache
def catalogue(lang: str) -> Catalogue:
    """The catalogue of a language by its code; FileNotFoundError if there is none."""
    return msgspec.convert(packaged_yaml("loadcell.report.words", f"{lang}.yaml"), Catalogue)


def catalogues() -> list[str]:
    """The codes of the languages that have one."""
    return packaged_names("loadcell.report.words")


@cache
def _ones(plurals: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.,/+-])1 ({'|'.join(plurals)})\b(?!/)")
