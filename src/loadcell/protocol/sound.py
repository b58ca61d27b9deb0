"""Audio as bytes: how long it lasts, by its WAV header or as raw PCM, and whether it is whole.

Sound is counted, not kept and not decoded: of MP3, Opus, AAC and FLAC, as of all that has no header of a WAV and is not
raw PCM by its request, nothing here tells how long they last. Text is no sound, whatever type it names.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from loadcell.phrases import phrase
from loadcell.protocol.refusal import error_message

PCM_BYTES_PER_S = 2 * 24_000
"""Of raw PCM, which says nothing of itself: 24,000 samples of 16 bits a second, one channel, by OpenAI's reference."""
_FILES = (b"RIFF", b"RF64")
_FURTHER, _MARK_BYTES = re.compile(rb"(?:RIFF|RF64).{4}WAVE(?:fmt |ds64)", re.DOTALL), 16
"""What a WAV in the midst of others is known by."""
_MOST_HEADER_BYTES = 64 * 1024
_UNKNOWN_BYTES = 0x7FFF_0000
"""From this size on, and at 0, a header that was written before the sound names no size."""
_TEXT_BYTES, _MOST_TEXT_BYTES = 512, 1024 * 1024
"""So much that reads as text is text; so much of it is kept, for its words."""
_IN_DS64 = 0xFFFF_FFFF
"""Named where the size stands in a chunk of its own, by RF64 (EBU Tech 3306)."""
_PLAIN_FORMATS = (1, 3, 0xFFFE)
"""PCM, floats, and either in the extended form: a sample takes what the header says of a block."""


class _Header(NamedTuple):
    bytes_per_s: int | None
    named: int | None
    """Bytes of sound that it names; None where it was written before they were known."""
    begin: int
    """Where the sound begins."""


class Sound:
    """The sound of a reply so far."""

    def __init__(self) -> None:
        self.pcm = False
        """Whether raw PCM was asked for."""
        self.bytes = 0
        self._header: _Header | None = None
        self._start = b""
        """What may be the begin of a header, or is text."""
        self._held = 0
        """Of the WAV that it is in, as there may be several."""
        self._before_ns: int | None = 0
        """How long those before it last."""
        self._after = b""
        """The last that may be the begin of a further one."""

    def take(self, data: bytes) -> bool:
        """A further piece; whether it brought sound, and not a header or what follows the sound alone."""
        brought = False
        more: bytes | None = data
        while more is not None:
            if self._header is None:
                if len(self._start) < _MOST_TEXT_BYTES:
                    self._start += more
                self._header = None if self.text else _header_of(self._start, pcm=self.pcm)
                if self._header is None:
                    return brought
                more, self._start = self._start[self._header.begin :], b""
            size, more = self._split(self._header, more)
            self._held += size
            self.bytes += size
            brought = brought or size > 0
            if more is not None:  # servers that speak sentence by sentence send a WAV for each
                self._before_ns, self._header, self._held, self._after = self.lasts_ns, None, 0, b""
        return brought

    def _split(self, header: _Header, data: bytes) -> tuple[int, bytes | None]:
        """(Bytes of sound in a piece, what of it begins with the header of a further WAV)."""
        if not header.begin:
            return len(data), None
        size = len(data) if header.named is None else min(len(data), header.named - self._held)
        seen = self._after + (data if header.named is None else data[size:])
        found = _FURTHER.search(seen)
        if found is None:
            self._after = seen[-_MARK_BYTES + 1 :]
            return size, None
        if header.named is None:  # below 0: what of the mark came before was taken for sound
            size = found.start() - len(self._after)
        return size, seen[found.start() :]

    @property
    def text(self) -> bytes:
        """What came, as long as it reads as text, up to 1 MiB: no format of audio begins so."""
        start = self._start[:_TEXT_BYTES]
        return self._start if start[:4] not in _FILES and _is_text(start) else b""

    @property
    def lasts_ns(self) -> int | None:
        """How long it lasts; None where nothing tells."""
        rate = self._header and self._header.bytes_per_s
        return self._before_ns + round(self._held * 1e9 / rate) if rate and self._before_ns is not None else None

    @property
    def told_whole(self) -> bool:
        """Whether its header, or the last of them, names a size, and it has that."""
        return self._header is not None and self._header.named == self._held

    def lacks(self) -> tuple[str, str] | None:
        """(kind, words) of what is missing of it, where the reply is over."""
        if text := self.text.strip():
            return "protocol", phrase("the reply has no {}: {}", "audio", error_message(text[:200]))
        if self._start.strip():
            return "cut", phrase("the audio ended inside its WAV header, after {} bytes", len(self._start))
        if not self.bytes:
            return "empty", phrase("the reply holds no audio")
        named = self._header.named if self._header else None
        if named is not None and self._held < named:
            return "cut", phrase("the audio ended after {:,} of the {:,} bytes that its WAV header names",
                                 self._held, named)  # fmt: skip
        return None


def _is_text(start: bytes) -> bool:
    """Whether bytes are text, but for a last character that may be on its way."""
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.end < len(start) or error.reason != "unexpected end of data":
            return False
        text = start[: error.start].decode()
    return text.isprintable() or all(one.isprintable() or one.isspace() or one == "\ufeff" for one in text)


def _header_of(start: bytes, *, pcm: bool) -> _Header | None:
    """What is known of a sound that begins so; None as long as its header is not whole."""
    if len(start) < 4 and any(mark.startswith(start) for mark in _FILES):
        return None
    none = _Header(PCM_BYTES_PER_S if pcm else None, None, 0)
    if start[:4] not in _FILES or (len(start) >= 12 and start[8:12] != b"WAVE"):
        return none
    place, rate, long = 12, None, 0
    while place + 8 <= len(start):
        name, size = start[place : place + 4], int.from_bytes(start[place + 4 : place + 8], "little")
        place += 8
        if name == b"data":
            size = long if long and size == _IN_DS64 else size
            return _Header(rate, size if 0 < size < _UNKNOWN_BYTES else None, place)
        if name == b"fmt " and place + 16 <= len(start):
            form, _, hertz, mean, block = struct.unpack_from("<HHIIH", start, place)
            rate = (hertz * block if form in _PLAIN_FORMATS else mean) or None
        if name == b"ds64" and place + 16 <= len(start):
            long = int.from_bytes(start[place + 8 : place + 16], "little")
        place += size + size % 2
    return None if len(start) <= _MOST_HEADER_BYTES else none
