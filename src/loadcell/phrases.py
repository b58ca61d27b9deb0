"""Sentences in English, and what each was made of: so that a report can say it in another language.

What a sentence was made of follows from its text, so there is one table for a process, as of interned strings. A
document takes along what its own sentences were made of (`phrases`) and gives it back where it is read (`learn`).
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from loadcell.grammar import one

_MOST = 50_000
"""Sentences kept: failures of servers have no end. What is forgotten stays in English."""
_COUNT = re.compile(r"[\d,.]+")
_FORMS = string.Formatter()


class Phrase(msgspec.Struct, frozen=True, array_like=True):
    """What a sentence was made of."""

    key: str
    """The sentence with {} where its values stand, by which catalogues know it."""
    values: tuple[str, ...]
    """As they stand in the sentence; some are sentences themselves."""


_made: dict[str, Phrase] = {}


def phrase(key: str, *values: object) -> str:
    """A sentence for a reader: `key` with the values in its places, as `str.format` puts them; kept for `made_of`."""
    if not values:  # marked as a sentence, for catalogues
        return key
    made = _made_with(key, values)
    text = _text(made)
    if text not in made.values:  # a row of one is that one
        _keep({text: made})
    return text


def joined(joint: str, parts: Iterable[str]) -> str:
    """Sentences in a row, as `joint.join` puts them."""
    parts = list(parts)
    return phrase(joint.join(["{}"] * len(parts)), *parts)


def scrubbed(text: str, clean: Callable[[str], str]) -> str:
    """The sentence as `clean` leaves it. It stays one where that takes nothing that lies across its values."""
    made, left = _made.get(text), clean(text)
    if made is not None and left != text:
        values = tuple(scrubbed(value, clean) for value in made.values)
        if _makes(Phrase(made.key, values), left):
            return phrase(made.key, *values)
    return left


def reworded(text: str, value: str, other: str) -> str:
    """The sentence with another value in the first place where this one stands."""
    made = _made.get(text)
    values = list(made.values) if made is not None else []
    for i, piece in enumerate(values):
        values[i] = other if piece == value else reworded(piece, value, other) if piece in _made else piece
        if made is not None and values[i] != piece:
            return phrase(made.key, *values)
    return text if values else text.replace(value, other, 1)


def made_of(text: str) -> Phrase | None:
    """What a finished sentence was made of; None for one without values and for words from outside."""
    return _made.get(text)


def learn(known: Mapping[str, Phrase]) -> None:
    """Take what the sentences of a document say they were made of, if they can be: no document is believed unseen."""
    _keep({text: made for text, made in known.items() if text not in _made and _makes(made, text)})


def phrases(document: object) -> dict[str, Phrase]:
    """What the sentences in a document (builtins, or Structs) were made of, those in their values included."""
    found: dict[str, Phrase] = {}
    left = list(_texts(msgspec.to_builtins(document)))
    while left:
        text = left.pop()
        made = None if text in found else _made.get(text)
        if made is not None:
            found[text] = made
            left += made.values
    return found


def _made_with(key: str, values: tuple[object, ...]) -> Phrase:
    """A key with {} in each of its places, its own braces twice, and its values as they stand there."""
    bare, pieces, left = "", [], iter(values)
    for own, name, spec, how in _FORMS.parse(key):
        bare += own.replace("{", "{{").replace("}", "}}")
        if name is not None:
            bare += "{}"
            pieces.append(format(_FORMS.convert_field(next(left), how), spec or ""))
    assert next(left, None) is None, "more values than places"
    return Phrase(bare, tuple(pieces))


def _makes(made: Phrase, text: str) -> bool:
    """Whether this makes the text, of values that are shorter than it."""
    try:
        places = [place for _, *place in _FORMS.parse(made.key) if place[0] is not None]
    except ValueError:  # no key at all
        return False
    if places != [["", "", None]] * len(made.values) or text in made.values:
        return False
    return _text(made) == text


def _text(made: Phrase) -> str:
    """The sentence, in the singular where its own words count one of something; other values stay."""
    held = [value if _COUNT.fullmatch(value) else f"\0{i}\0" for i, value in enumerate(made.values)]
    text = one(made.key.format(*held))
    for i, value in enumerate(made.values):
        text = text.replace(f"\0{i}\0", value)
    return text


def _keep(known: Mapping[str, Phrase]) -> None:
    _made.update(known)
    if len(_made) > _MOST:
        for text in list(_made)[: len(_made) - _MOST + _MOST // 10]:  # the oldest, and some more: not each time
            _made.pop(text, None)  # another thread may have been here


def _texts(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for value in document.values():
            yield from _texts(value)
    elif isinstance(document, list | tuple):
        for value in document:
            yield from _texts(value)
