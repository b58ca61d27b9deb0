"""Replies that are audio, as bytes or in events: when sound came of them, and how much."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import msgspec

from loadcell.kinds import KIND_ANSWER, KIND_EMPTY
from loadcell.phrases import phrase
from loadcell.protocol.cutting import Cutter
from loadcell.protocol.dialect import Dialect, Heard
from loadcell.protocol.refusal import is_html
from loadcell.protocol.reply import Reply
from loadcell.protocol.sound import Sound
from loadcell.protocol.values import is_object

_SSE = b"text/event-stream"
_PCM = (b"audio/pcm", b"audio/x-pcm", b"audio/raw", b"audio/x-raw")
"""Types of raw PCM that say no rate; a reply that names another type of audio is not what was asked for."""


class _Asked(msgspec.Struct, gc=False):
    response_format: Any = None


_ASKED = msgspec.json.Decoder(_Asked)


class AudioReply(Reply):
    """State of a reply that should be audio. Each read that brought any is an event, as is each event of a stream."""

    def __init__(self, dialect: Dialect, wanted: tuple[int, int] | None = None) -> None:
        super().__init__(dialect, wanted)
        self.sound: Sound = Sound()
        self._raw = False
        """Whether its body is the sound itself."""

    def asked(self, body: bytes) -> None:
        """Raw PCM is known by its request, unless the reply says otherwise."""
        self.sound.pcm = _ASKED.decode(body).response_format == "pcm"

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        media = self._head.media
        if self.good:
            self._cut = Cutter(media, ok=media == _SSE)
            self.sound.pcm = self.sound.pcm and (media in _PCM or not media.startswith(b"audio/"))
            self._raw = not (media.startswith(b"text/") or media.endswith(b"json"))

    def _unpack(self, piece: bytes) -> bytes:
        if self._raw and not self._head.codings:  # sound may begin like anything that is packed
            self._plain = True
            return piece
        return super()._unpack(piece)

    def _take(self, number: int, data: bytes) -> None:
        if not self._raw:
            super()._take(number, data)
            return
        self._note(number, KIND_ANSWER if self.sound.take(data) else KIND_EMPTY, None, len(data))

    def _hear(self, number: int, heard: Heard, payload: bytes, lead: bytes) -> None:
        if heard.answer is not None:
            data, heard.answer, heard.kind = heard.answer, None, 0
            try:
                heard.kind = KIND_ANSWER if self.sound.take(b64decode(data, validate=True)) else 0
            except ValueError as error:
                heard.failure = ("invalid_json", phrase("the audio of an event is not base64: {}", error))
        super()._hear(number, heard, payload, lead)

    def _whole(self, read: int, payload: bytes) -> None:
        if not self._raw:
            super()._whole(read, payload)
        elif is_object(text := self.sound.text.strip()) or is_html(text):  # an error, whatever type it names
            super()._whole(read, text)

    def _lacks(self) -> tuple[str, str] | None:
        if self._raw and not (self.complete or self.sound.told_whole or self.sound.text):
            return "cut", phrase("nothing tells a whole reply from a cut one: its head names no length")
        return self.sound.lacks()


def reply_to(dialect: Dialect, wanted: tuple[int, int] | None = None) -> Reply:
    """What hears a reply in a dialect; `wanted` as of `Reply`."""
    return (AudioReply if dialect.audio else Reply)(dialect, wanted)
