"""From a sentence in English to the same in another language, by a table of sentences.

A key of the table is a sentence as the code writes it, with {} where its values stand. A finished sentence is looked up
whole, then by the keys whose fixed words it holds in their order, those with most fixed words first. A value is looked
up likewise, and what is only a number with its unit gets the marks of the language.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

_LONGEST = 4_000
"""Characters; what is longer is no sentence of ours."""
_DEEPEST, _MOST_JOINTS = 8, 16
"""Parts within parts, and joints of a text: foreign words may hold any number."""
_JOINTS = ("; ", ": ", ". ", ", ", " and ")
"""What holds sentences together that were found one by one."""
_FIRM = 5
"""Characters of the fixed words."""
_AROUND = "{} (limit "
"""Begins the keys that stand around any other sentence: they are looked for first."""
_PLACE = re.compile(r"\{(\d*)(=?)\}")
_KEY_PLACE = re.compile(r"\{\}")


class _Place(NamedTuple):
    """A place in a translation."""

    at: int
    verbatim: bool
    """Written {=}: a name, to be left as it is."""


class _Pattern(NamedTuple):
    """A sentence with places, and its translation."""

    fixed: tuple[str, ...]
    """What stands before, between and after the values."""
    template: tuple[str | _Place, ...]

    @property
    def firm(self) -> bool:
        """Whether its words are enough to know it by; else, as in "{} to {}", all values must be numbers."""
        return sum(map(len, self.fixed)) - sum(words.count(" ") for words in self.fixed) >= _FIRM


class Catalogue:
    """The sentences of one language."""

    def __init__(self, sentences: Mapping[str, str], joints: Mapping[str, str], number: Callable[[str], str | None]):
        """`joints` are the words between parts; `number` writes a lone number, None for what is not one."""
        self._exact = {key: text for key, text in sentences.items() if "{}" not in key}
        self._joints, self._number = joints, number
        patterns = [
            _Pattern(tuple(_KEY_PLACE.split(key)), tuple(_template(text)))
            for key, text in sorted(
                sentences.items(), key=lambda item: (not item[0].startswith(_AROUND), -len(item[0]))
            )
            if "{}" in key
        ]
        words = {_first_word(pattern.fixed[0]) for pattern in patterns}
        self._by_word = {
            word: [pattern for pattern in patterns if _first_word(pattern.fixed[0]) in ("", word)] for word in words
        }
        self._found = lru_cache(maxsize=8192)(self._find)

    def find(self, text: str) -> str | None:
        """The translation of a finished sentence; None if this language does not know it."""
        return None if len(text) > _LONGEST else self._found(text, 0)

    def _find(self, text: str, depth: int) -> str | None:
        """The translation of a sentence, or of a part of one at a depth."""
        if text in self._exact:
            return self._exact[text]
        if depth > _DEEPEST:
            return None
        few = sum(map(text.count, _JOINTS)) <= _MOST_JOINTS
        return (
            (
                self._in_parts(text, _JOINTS[:1], depth) if few else None
            )  # before a place swallows the sentence before it
            or self._whole(text, depth)
            or self._as_sentence(text, depth)
            or (self._in_parts(text, _JOINTS[1:], depth) if few else None)
        )

    def _whole(self, text: str, depth: int) -> str | None:
        word = _first_word(text)
        for pattern in self._by_word.get(word if word in self._by_word else "", ()):
            values = match(pattern.fixed, text)
            if values is not None and (pattern.firm or all(map(self._number, values))):
                return "".join(self._piece(piece, values, depth) for piece in pattern.template)
        return None

    def _piece(self, piece: str | _Place, values: tuple[str, ...], depth: int) -> str:
        """Fixed words, or what stands in a place: a number, a part of a sentence, or a name, which stays."""
        if isinstance(piece, str):
            return piece
        value = values[piece.at]
        return value if piece.verbatim else self._part(value, depth) or value

    def _part(self, text: str, depth: int) -> str | None:
        return self._number(text) or self._found(text, depth + 1)

    def _as_sentence(self, text: str, depth: int) -> str | None:
        """With a capital and a full stop of its own (`text.sentence`)."""
        bare = f"{text[:1].lower()}{text[1:]}".removesuffix(".")
        found = None if bare == text else self._exact.get(bare) or self._whole(bare, depth)
        return found and f"{found[:1].upper()}{found[1:]}{'.' if text.endswith('.') else ''}"

    def _in_parts(self, text: str, joints: tuple[str, ...], depth: int) -> str | None:
        """Sentences that stand in a row. What comes before a colon may be a name; else all parts must be known."""
        for joint in joints:
            half = None
            at = text.find(joint)
            while at > 0:
                left, right = text[:at], text[at + len(joint) :]
                first, second = self._part(left, depth), self._part(right, depth)
                if first and second:
                    return f"{first}{self._joints.get(joint, joint)}{second}"
                half = half or (second and f"{left}{joint}{second}")
                at = text.find(joint, at + 1)
            if half and joint == ": ":
                return half
        return None


def match(fixed: tuple[str, ...], text: str) -> tuple[str, ...] | None:
    """The values between the fixed words of a sentence, each as short as can be; None if it is another sentence.

    In time linear in the text, whatever is in it.
    """
    head, *middle, tail = fixed
    end = len(text) - len(tail)
    if not text.startswith(head) or not text.endswith(tail) or end < len(head):
        return None
    at, values = len(head), []
    for words in middle:
        found = text.find(words, at, end)
        if found < 0:
            return None
        values.append(text[at:found])
        at = found + len(words)
    return (*values, text[at:end])


def _first_word(text: str) -> str:
    """The first word, where it is whole: a key that begins with a value, or with a part of a word, has none."""
    return text.partition(" ")[0] if " " in text else ""


def _template(text: str) -> Iterator[str | _Place]:
    at = count = 0
    for place in _PLACE.finditer(text):
        yield text[at : place.start()]
        yield _Place(int(place[1]) if place[1] else count, bool(place[2]))
        at, count = place.end(), count + 1
    yield text[at:]
