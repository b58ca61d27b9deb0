"""Bodies that come packed though nobody asked for it: content codings undone piece by piece, as the reads come."""

from __future__ import annotations

import importlib
import sys
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from loadcell.phrases import phrase

MOST_UNPACKED = 16 * 1024 * 1024
"""What one read may unpack to, in bytes."""
_GZIP_BITS, _ZLIB_BITS, _RAW_BITS = 31, 15, -15
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
Step = Callable[[bytes], bytes]


class CodingError(Exception):
    """A body that cannot be unpacked; the message says why."""


class Unpacking:
    """Undoes the codings of one body, which stand in the order in which they were applied. CodingError as it goes."""

    def __init__(self, codings: Sequence[str]) -> None:
        unknown = [coding for coding in codings if coding not in _STEPS]
        if unknown:
            raise CodingError(
                phrase("the reply is packed as {!r}, which nobody asked for and nobody here reads", unknown[0])
            )
        self._steps = [(coding, _STEPS[coding]()) for coding in reversed(codings)]

    def take(self, data: bytes) -> bytes:
        """What a further piece of the body unpacks to so far."""
        for coding, step in self._steps:
            try:
                data = step(data)
            except CodingError:
                raise
            except Exception as error:  # noqa: BLE001 - each library has its own error for bytes that are not its
                raise CodingError(phrase("the head says {}, the body is not: {}", coding, error)) from None
        return data


def packed_as(start: bytes) -> str | None:
    """The coding that a body with this start has without saying so."""
    return next((coding for magic, coding in _MAGIC.items() if start.startswith(magic)), None)


def _within(data: bytes, *, more: bool) -> bytes:
    """The data, if it is not too much; `more` says that there is more of it."""
    if more or len(data) > MOST_UNPACKED:
        raise CodingError(phrase("one read unpacks to more than {} MiB", MOST_UNPACKED >> 20))
    return data


def _inflate(bits: int) -> Step:
    """zlib's formats; a gzip body may have several members."""
    state = zlib.decompressobj(bits)

    def step(data: bytes) -> bytes:
        nonlocal state
        plain = state.decompress(data, MOST_UNPACKED)
        while state.eof and state.unused_data.strip(b"\0"):
            data, state = state.unused_data, zlib.decompressobj(bits)
            plain = _within(plain + state.decompress(data, MOST_UNPACKED), more=False)
        return _within(plain, more=bool(state.unconsumed_tail))

    return step


def _deflate() -> Step:
    """zlib's format by the standard, the raw one by the habit of some servers: the first two bytes tell."""
    start = b""
    chosen: Step | None = None

    def step(data: bytes) -> bytes:
        nonlocal start, chosen
        if chosen is None:
            start += data
            if len(start) < 2:
                return b""
            is_zlib = start[0] & 15 == 8 and int.from_bytes(start[:2], "big") % 31 == 0
            chosen, data = _inflate(_ZLIB_BITS if is_zlib else _RAW_BITS), start
        return chosen(data)

    return step


def _brotli() -> Step:
    import brotli

    state = brotli.Decompressor()

    def step(data: bytes) -> bytes:
        plain: bytes = state.process(data, output_buffer_limit=MOST_UNPACKED)
        return _within(plain, more=not state.is_finished() and not state.can_accept_more_data())

    return step


def _zstd_library() -> Any:
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def _zstd() -> Step:
    library = _zstd_library()
    state = library.ZstdDecompressor()

    def step(data: bytes) -> bytes:
        nonlocal state
        plain: bytes = state.decompress(data, MOST_UNPACKED)
        while state.eof and state.unused_data:
            data, state = state.unused_data, library.ZstdDecompressor()
            plain = _within(plain + state.decompress(data, MOST_UNPACKED), more=False)
        return _within(plain, more=not state.eof and not state.needs_input)

    return step


_STEPS: dict[str, Callable[[], Step]] = {
    "gzip": lambda: _inflate(_GZIP_BITS),
    "x-gzip": lambda: _inflate(_GZIP_BITS),
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
