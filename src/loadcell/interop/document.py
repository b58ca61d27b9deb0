"""JSON and JSON Lines of other tools, packed by gzip or not, bare NaN and Infinity included, in little memory.

The scanner is the standard library's, over a window of the text. What fits into the window is decoded at once; of what
does not, containers are gone through item by item where something of them is asked for or left out, so that memory is
what is kept and no more.
"""

from __future__ import annotations

import codecs
import functools
import gzip
import json
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from json.decoder import JSONDecodeError
from pathlib import Path
from typing import IO, Any, NoReturn

from loadcell.errors import UsageError

Each = Callable[[Any], Any]
BLOCK = 1 << 20
"""Bytes that are read at a time."""
_HEAD, _PIECE = 1 << 16, 1 << 10
"""Bytes by which a file is known, and how many of them are unpacked at a time."""
_NEAR = 16
"""Longest word that is no string: what is wrong nearer to the end of the window may go on beyond it."""
_BLANKS = " \t\n\r"
_GO_ON, _GOES_ON = ("", ".", "e", "E"), 4
"""What may stand, and how near to its end, behind a number that goes on beyond the window."""
_scan: Callable[[str, int], tuple[Any, int]] = vars(json.JSONDecoder())["scan_once"]


def load(path: Path, *, without: Collection[str] = (), each: Mapping[str, Each] | None = None) -> Any:
    """The JSON document at `path`, in little memory however large it is.

    Paths are keys joined by dots, `*` for the items of a list. What stands at a path of `without` (texts that nobody
    needs) is None; what stands at one of `each` is what that function makes of it, called as soon as it is whole, so
    that rows can be kept as something smaller than dicts. Of a key that stands twice in one object the last counts.
    UsageError names the file and the place where it breaks.
    """
    with _reading(path) as text:
        found = text.value("", _Asked(without, each))
        if text.left():
            text.refuse("more follows the end of the document")
        return found


def documents(
    path: Path, *, without: Collection[str] = (), each: Mapping[str, Each] | None = None
) -> Iterator[tuple[int, Any]]:
    """The JSON documents of a file that holds several, one after the other, with the line that each begins in: JSON
    Lines, whose lines may be as long as they like. Paths are those inside one document."""
    asked = _Asked(without, each)
    with _reading(path) as text:
        while text.left():
            line = text.line()
            yield line, text.value("", asked)


def lines(path: Path) -> Iterator[tuple[int, Any]]:
    """The objects of JSON Lines, each with the number of its line; UsageError names the line that is none."""
    try:
        with opened(path) as file:
            for number, line in enumerate(file, 1):
                if not line.isspace():
                    yield number, line_of(path, number, line)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot read {path}: {_why(error)}") from None


def head(path: Path) -> Any:
    """The document that a file begins with, as far as its first 64 KiB reach; None where that is no JSON.

    Cheap, and the same however large the file is: what readers know their files by.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    return _head(path, state.st_mtime_ns, state.st_size)


def is_packed(path: Path) -> bool:
    """Whether gzip packed it, whatever it is called."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def opened(path: Path) -> IO[bytes]:
    """Its bytes, unpacked."""
    return gzip.open(path) if is_packed(path) else path.open("rb")  # type: ignore[return-value]


class _Asked:
    """What of a document is left out, or made into something else as soon as it is whole."""

    def __init__(self, without: Collection[str], each: Mapping[str, Each] | None) -> None:
        self.without, self.each = frozenset(without), each or {}
        parts = [path.split(".") for path in (*self.without, *self.each) if path]
        self.above = {".".join(path[:n]) for path in parts for n in range(len(path))}
        """Paths of what holds such a thing."""

    def into(self, path: str) -> bool:
        """Whether a container is gone through item by item."""
        return path in self.above or path in self.without

    def keeps(self, path: str) -> bool:
        """Whether anything of a container is kept."""
        return path not in self.without

    def made(self, tree: Any, path: str) -> Any:
        """What is kept of what stands at a path."""
        if path in self.without:
            return None
        if path in self.above:
            if isinstance(tree, dict):
                tree = {key: self.made(value, _below(path, key)) for key, value in tree.items()}
            elif isinstance(tree, list):
                at = _below(path, "*")
                tree = [self.made(value, at) for value in tree]
        return self.each[path](tree) if path in self.each else tree


class _Text:
    """A window over the text of a file."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self._file = file
        start = file.read(4)
        encoding = json.detect_encoding(start)
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._ended = False
        self.text, self.at = "", 0
        self._before = self._lines = self._counted = 0
        self._add(start)

    def more(self) -> bool:
        """Read on, as much as the window has; False at the end of the file."""
        if self._ended:
            return False
        self._count()
        self._before += self.at
        self.text, self.at, self._counted = self.text[self.at :], 0, 0
        self._add(self._file.read(max(BLOCK, len(self.text))))
        return True

    def left(self) -> bool:
        """Whether something other than blanks follows, which is then what the window stands at."""
        return self._next() != ""

    def line(self) -> int:
        """The line of the file where the window stands, from 1."""
        self._count()
        return self._lines + 1

    def value(self, path: str, asked: _Asked) -> Any:
        """The value that follows, as `asked` leaves it."""
        sign = self._next()
        inside = sign in ("{", "[") and asked.into(path)
        while True:
            try:
                value, end = _scan(self.text, self.at)
            except StopIteration as stop:
                why, place = "Expecting value", int(stop.value)
            except JSONDecodeError as error:
                why, place = error.msg, error.pos
            else:
                if len(self.text) - end < _GOES_ON and self.text[end : end + 1] in _GO_ON and self.more():
                    continue
                self.at = end
                return asked.made(value, path)
            if inside and not self._ended:
                return self._inside(path, asked, sign)
            if not (why.startswith("Unterminated") or place > len(self.text) - _NEAR) or not self.more():
                self.at = place
                self.refuse(why)

    def refuse(self, why: str) -> NoReturn:
        """UsageError that names the place."""
        place = f"line {self.line()}, character {self._before + self.at + 1}"
        raise UsageError(f"{self.path} is no whole JSON: {why}, {place}")

    def _inside(self, path: str, asked: _Asked, sign: str) -> Any:
        """A container that is larger than the window, item by item."""
        kept = asked.keeps(path)
        self.at += 1
        named, close = sign == "{", "}" if sign == "{" else "]"
        found: dict[str, Any] = {}
        items: list[Any] = []
        if self._next() == close:
            self.at += 1
        else:
            while True:
                key = self._key() if named else "*"
                value = self.value(_below(path, key), asked if kept else _NOTHING)
                if kept and named:
                    found[key] = value
                elif kept:
                    items.append(value)
                if (mark := self._next()) not in (",", close):
                    self.refuse("Expecting ',' delimiter")
                self.at += 1
                if mark == close:
                    break
        if not kept:
            return None
        made = found if named else items
        return asked.each[path](made) if path in asked.each else made

    def _key(self) -> str:
        if self._next() != '"':
            self.refuse("Expecting property name enclosed in double quotes")
        key: str = self.value("", _PLAIN)
        if self._next() != ":":
            self.refuse("Expecting ':' delimiter")
        self.at += 1
        return key

    def _next(self) -> str:
        """The next character that is no blank, where the window then stands; "" at the end."""
        while True:
            while self.at < len(self.text):
                if self.text[self.at] not in _BLANKS:
                    return self.text[self.at]
                self.at += 1
            if not self.more():
                return ""

    def _add(self, data: bytes) -> None:
        self._ended = not data
        try:
            self.text += self._decoder.decode(data, self._ended)
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.path} is no text in {error.encoding}: {error.reason}") from None

    def _count(self) -> None:
        self._lines += self.text.count("\n", self._counted, self.at)
        self._counted = self.at


_PLAIN = _Asked((), None)


class _Nothing(_Asked):
    """Nothing is kept of anything."""

    def into(self, path: str) -> bool:
        return True

    def keeps(self, path: str) -> bool:
        return False

    def made(self, tree: Any, path: str) -> Any:
        return None


_NOTHING = _Nothing((), None)


@contextmanager
def _reading(path: Path) -> Iterator[_Text]:
    """The text of a file; UsageError for whatever goes wrong with it."""
    try:
        with opened(path) as file:
            yield _Text(path, file)
    except RecursionError:
        raise UsageError(f"{path} is no whole JSON: it is nested too deeply") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot read {path}: {_why(error)}") from None
    except ValueError as error:  # a number of thousands of digits
        raise UsageError(f"{path} is no whole JSON: {error}") from None


@functools.lru_cache(maxsize=64)
def _head(path: Path, *_: int) -> Any:
    data = b""
    try:
        with opened(path) as file:
            while len(data) < _HEAD and (piece := file.read(_PIECE)):
                data += piece
    except (EOFError, zlib.error, gzip.BadGzipFile):  # who reads all of it will say so
        pass
    except OSError as error:
        raise UsageError(f"cannot read {path}: {_why(error)}") from None
    text = codecs.getincrementaldecoder(json.detect_encoding(data[:4]))("replace").decode(data)
    found: list[Any] = []
    _fill(text, 0, found.append)
    return found[0] if found else None


def _fill(text: str, at: int, put: Callable[[Any], None]) -> int | None:
    """Put the value at a place, as far as the text has it; where it ends, None if it does not."""
    at = _skip(text, at)
    sign = text[at : at + 1]
    if sign not in ("{", "["):
        try:
            value, end = _scan(text, at)
        except (StopIteration, ValueError):
            return None
        if end < len(text) or sign == '"':
            put(value)
        return end
    holds: Any = {} if sign == "{" else []
    put(holds)
    at = _skip(text, at + 1)
    if text[at : at + 1] in ("}", "]"):
        return at + 1
    while True:
        place: Callable[[Any], None] = holds.append if sign == "[" else lambda _: None
        if sign == "{":
            keys: list[str] = []
            named = _fill(text, at, keys.append)
            if named is None or not keys or text[(at := _skip(text, named)) : at + 1] != ":":
                return None
            place = functools.partial(holds.__setitem__, str(keys[0]))
            at += 1
        filled = _fill(text, at, place)
        if filled is None:
            return None
        at = _skip(text, filled) + 1
        if text[at - 1 : at] != ",":
            return at if text[at - 1 : at] in ("}", "]") else None


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def line_of(path: Path, number: int, line: bytes) -> Any:
    """The object of a line; UsageError names the line if it is none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}:{number} is no JSON: {error}") from None
