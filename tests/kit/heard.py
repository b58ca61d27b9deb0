"""Audio as servers of speech write it, and whole replies that hold it."""

from __future__ import annotations

import base64
import struct

from scripted import event

NO_SIZE = 0xFFFF_FFFF
"""What a WAV names that is written before its length is known."""


def wav(
    seconds: float,
    *,
    hertz: int = 24_000,
    channels: int = 1,
    bits: int = 16,
    form: int = 1,
    named: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
    mark: bytes = b"RIFF",
    first: bytes = b"",
) -> bytes:
    """A WAV of silence; `before` and `after` are chunks around that of the sound, `first` one before its form, `named`
    the size that it names."""
    block = channels * bits // 8
    sound = bytes(round(seconds * hertz) * block)
    size = len(sound) if named is None else named
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, form, channels, hertz, hertz * block, block, bits)
    rest = b"WAVE" + first + fmt + before + b"data" + struct.pack("<I", size) + sound + after
    return mark + struct.pack("<I", NO_SIZE if named else len(rest)) + rest


def ds64(size: int) -> bytes:
    """The chunk in which an RF64 names the size of its sound."""
    return struct.pack("<4sIQQQI", b"ds64", 28, size + 72, size, size // 2, 0)


def delta(audio: bytes) -> bytes:
    """An event with audio."""
    return event({"type": "speech.audio.delta", "audio": base64.b64encode(audio).decode()})


DONE = event({"type": "speech.audio.done", "usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}})
"""The last event."""


def sse(audio: bytes, *, pieces: int = 3) -> bytes:
    """The events of a stream of audio."""
    size = -(-len(audio) // pieces)
    return b"".join([*(delta(audio[i : i + size]) for i in range(0, len(audio), size)), DONE])


def framed(body: bytes, media: str = "audio/wav", *, chunks: int = 0, length: bool = True) -> bytes:
    """A reply with such a body: with its length, in chunks of a size, or up to the end of the connection."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {media}\r\n".encode()
    if not chunks:
        return head + (b"Content-Length: %d\r\n" % len(body) if length else b"") + b"\r\n" + body
    pieces = [body[i : i + chunks] for i in range(0, len(body), chunks)]
    return (
        head
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces)
        + b"0\r\n\r\n"
    )
