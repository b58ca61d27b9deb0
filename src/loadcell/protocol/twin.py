"""What a stream's token events have in common: they are alike but for their text, and numbers of their own."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

import msgspec

from loadcell.core.tape import MOMENT, MOST_PLACES, NUMBER, TEXT, TOLD, WHOLE, WILD
from loadcell.protocol.cutting import DATA
from loadcell.protocol.dialect import Dialect, Heard
from loadcell.protocol.values import NOT_JSON

BLANK = b"\n\n"
"""What ends an event of a stream that is no JSON lines."""
_LEAD = re.compile(rb"(?:(?:event: [^\n]*\n)?data: )?")
_OTHER = "another text"
_EXAMPLES = {
    WHOLE: b"1234567890", TOLD: b"", NUMBER: b"-0.25", MOMENT: b"2000-01-01T00:00:00Z", TEXT: _OTHER.encode(),
}  # fmt: skip


class Lesson(NamedTuple):
    """What is known of a stream whose events are looked at."""

    dialect: Dialect
    measured: int | None
    """Index of the output that is measured."""
    lead: bytes
    """What an event has before its data."""
    parted: bytes
    """What ends it."""

    def read(self, payload: bytes) -> Heard:
        """What one event says."""
        return next(self.dialect.hear([payload], self.measured))


class Twin(NamedTuple):
    """A token event with what stands for its text and its own numbers (`core.tape.WHOLE` and the others), from its name
    or field to what ends it.

    An event that differs from a decoded one in the characters of its content alone, none of which ends its JSON string,
    and in numbers that mean nothing or count its output so far, means the same. Knowing the form spares most of the
    JSON decoding (`core.Tape.scan`).
    """

    form: bytes
    beside: int
    """Bytes beside its data, less those of the usual form."""
    kind: int
    tokens: int | None
    """That it lists."""
    lesson: Lesson

    def heard(self, told: int) -> Heard:
        """What such an event says that tells this number."""
        size = len(self.lesson.lead), len(self.lesson.parted)
        return self.lesson.read(_filled(self.form[size[0] : -size[1]], told))


def learn_twin(payload: bytes, heard: Heard, kind: int, running: int | None, lesson: Lesson) -> Twin | None:
    """The form of an event that brought an answer; None unless it is certain where that stands, and that all else in
    other events of the form would mean the same. `running`: output tokens so far, by what it tells."""
    content, lead = heard.answer or "", lesson.lead
    if not _LEAD.fullmatch(lead) or any(byte < b" "[0] for byte in payload):
        return None
    quoted = b'"%b"' % content.encode()
    if payload.count(quoted) != 1 or not content.isprintable():
        return None
    form = payload.replace(quoted, b'"%b"' % TEXT)
    for field, differs in lesson.dialect.differs:
        if field in form:
            form = _field(field, differs).sub(lambda hit, to=differs: hit[1] + to, form, 1 if differs == TOLD else 0)
    next_ = (running or 0) + 1
    try:
        other = lesson.read(_filled(form, next_))
    except NOT_JSON:
        return None
    alike = other == msgspec.structs.replace(heard, answer=_OTHER, ids=other.ids, usage=other.usage, told=other.told)
    counts = (_so_far(heard), _so_far(other)) == ((running, next_) if TOLD in form else (None, None))
    if not (alike and counts) or sum(form.count(differs) for differs in _EXAMPLES) > MOST_PLACES:
        return None
    beside = len(lead) + len(lesson.parted) - len(DATA + BLANK)
    return Twin(lead + form + lesson.parted, beside, kind, heard.tokens, lesson)


def _so_far(heard: Heard) -> int | None:
    """Output tokens so far, by what an event tells; whole times, which come at an end, are none of a token event."""
    running = heard.usage.output_tokens if heard.usage is not None else None
    told = heard.told
    return told.running.output_tokens if running is None and told is not None and told.running is not None else running


def _filled(form: bytes, told: int) -> bytes:
    """An event of the form."""
    for differs, example in _EXAMPLES.items():
        form = form.replace(differs, example or b"%d" % told)
    return form


@cache
def _field(name: bytes, differs: bytes) -> re.Pattern[bytes]:
    """A field, up to what differs in it."""
    return re.compile(rb'("%b": ?\[?"?)%b(?=[],}"])' % (re.escape(name), WILD[differs]))
