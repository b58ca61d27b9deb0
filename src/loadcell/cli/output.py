"""Standard output and error, as commands write to them: nothing that happens to them may cost what was measured.

What cannot be written (a closed pipe, a full disk) is remembered and the rest is dropped: `main` says it at the end.
Characters that an encoding lacks are replaced. What a build log of GitHub or Azure would obey is broken up: words of a
server may stand at the start of a line.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

_COMMAND = re.compile(r"(^|[\n\r])([^\S\n\r]*)::")
_HEAD = re.compile(r"[^\S\n\r]*:?")
_ASCII = {
    "\u00b7": "-", "\u2013": "-", "\u2014": "-", "\u2212": "-", "\u2026": "...", "\u00d7": "x", "\u00b5": "u",
    "\u03bc": "u", "\u00b1": "+-", "\u2264": "<=", "\u2265": ">=", "\u2192": "->", "\u2500": "-", "\u2501": "=",
    "\u2502": "|", "\u2588": "#",
}  # fmt: skip


class Output:
    """A stream that takes everything; `failed` is why it could not write on, None if it could."""

    def __init__(self, stream: TextIO, failed: OSError | None = None) -> None:
        self.stream, self.failed = stream, failed
        self.raising = False
        """Whether a command that only reads is to end when nobody reads its output any more."""
        self._line = ""
        """The beginning of the line so far: blanks and a colon, or anything else."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write text, as far as the stream can."""
        if self.failed is None and text:
            self._try(lambda: self._write(self._harmless(text)))
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Let what was written go out."""
        if self.failed is None:
            self._try(self.stream.flush)

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            self.stream.write(_plain(text, self.stream.encoding or "ascii"))

    def _try(self, act: Any) -> None:
        try:
            act()
        except OSError as error:
            self.failed = error
            with suppress(OSError, ValueError):  # Python tries to write the rest when it ends, and would complain
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
            if self.raising:
                raise

    def _harmless(self, text: str) -> str:
        """The text without commands: `::` at the start of a line, `##[` anywhere."""
        if "##[" in text:
            text = text.replace("##[", "##\\u005b" if _is_json(text) else "## [")
        if self._line.endswith(":") and text.startswith(":"):
            text = f" {text}"
        elif "::" in text:
            text = _COMMAND.sub(r"\1\2: :", f"\0{text}" if self._line.strip() else text).removeprefix("\0")
        last = text[max(text.rfind("\n"), text.rfind("\r")) + 1 :]
        begun = last if len(last) < len(text) else self._line + last
        self._line = begun if _HEAD.fullmatch(begun) else "x"
        return text


@contextmanager
def streams() -> Iterator[Output]:
    """Standard output and error as `Output`s; yields the former."""
    before = sys.stdout, sys.stderr
    _fill_closed()
    out, err = (_taken(stream) for stream in before)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def _taken(stream: TextIO | None) -> Output:
    if stream is None:  # it was closed when the process began
        return Output(Path(os.devnull).open("w", encoding="utf-8"), OSError(errno.EBADF, "it is closed"))
    return Output(stream)


def _fill_closed() -> None:
    """Open the standard descriptors that are closed: else the next file would be one of them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free


def _plain(text: str, encoding: str) -> str:
    """The text in the characters of an encoding; in JSON as escapes, which mean the same."""
    if _is_json(text):
        return "".join(c if c.isascii() else _escape(c) for c in text)
    return "".join(c if _can(c, encoding) else _ASCII.get(c) or _without_marks(c) for c in text)


def _is_json(text: str) -> bool:
    return text.startswith(("{", "[\n", "[{", "[]"))


def _escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _can(char: str, encoding: str) -> bool:
    if char.isascii():
        return True
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _without_marks(char: str) -> str:
    return unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode() or "?"
