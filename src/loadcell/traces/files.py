"""Files of traces: which form one has, by its content, and its rows as columns or objects."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import msgspec

from loadcell.errors import UsageError

Form = Literal["csv", "jsonl", "json", "parquet", "text", "folder"]
_HEAD_BYTES = 1 << 16
_KEY = re.compile(r'"([\w.]+)"\s*:')
_SEPARATORS = ",\t;|"
_UNREAD = (
    (b"\x28\xb5\x2f\xfd", "is packed by zstd: unpack it first, by zstd -d {}"),
    (b"BZh", "is packed by bzip2: unpack it first, by bunzip2 {}"),
    (b"\xfd7zXZ\x00", "is packed by xz: unpack it first, by unxz {}"),
    (b"PK\x03\x04", "is a zip archive or a spreadsheet: unpack it, or save it as CSV"),
    (b"\xff\xfe", "is not UTF-8 but UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "is not UTF-8 but UTF-16: save it as UTF-8"),
)


class Asked(NamedTuple):
    """What a caller says of a file beside its name."""

    unit: str | None = None
    """Of its times, where it is another than the format's."""
    window_s: tuple[float, float] | None = None
    """All that a trace which is generated need hold."""
    seed: int = 0
    """Of one that is generated."""

    def no_unit(self, kind: str) -> None:
        """UsageError where a unit is given to a format that leaves no choice."""
        if self.unit is not None:
            raise UsageError(f"--time-unit: the format {kind} tells the unit of its times itself")


@dataclass(frozen=True)
class Source:
    """A file, and what its beginning tells."""

    path: Path
    form: Form
    packed: bool
    """Whether gzip packed it."""
    columns: tuple[str, ...]
    """Of a CSV or Parquet file; of JSON Lines the keys of the first object, of JSON those near the beginning."""
    separator: str = ","
    head: str = ""
    """The beginning of its text."""
    header: bool = True
    """Whether the first line of a CSV names the columns."""

    @property
    def name(self) -> str:
        """The file's name without endings."""
        return self.path.name.removesuffix(".gz").rpartition(".")[0] or self.path.name


def open_source(path: Path) -> Source:
    """What kind of file this is, or a folder. UsageError where it cannot be read, is empty, or is none of them."""
    if path.is_dir():
        return Source(path, "folder", False, ())
    head, packed = _head(path)
    if not head.strip():
        raise UsageError(f"{path} is empty: it holds no requests")
    for magic, what in _UNREAD:
        if head.startswith(magic):
            raise UsageError(f"{path} {what.format(path)}")
    if head.startswith(b"PAR1"):
        if packed:
            raise UsageError(f"{path} is a Parquet file packed by gzip: unpack it first, by gunzip {path}")
        return Source(path, "parquet", False, _parquet_columns(path))
    text = head.decode("utf-8", "replace").removeprefix("\ufeff")
    if "\ufffd" in text[:-4] and text.count("\ufffd") > len(text) / 20:
        raise UsageError(f"{path} is no text: a trace is CSV, JSON Lines, JSON or Parquet, packed by gzip or not")
    bare = text.lstrip()
    first = bare.partition("\n")[0].strip()
    if bare[0] in "[{":
        line = _decoded(first)
        if isinstance(line, dict):
            return Source(path, "jsonl", packed, tuple(line), head=text)
        if line is None and bare[0] == "{" and first.endswith("}"):  # a first line that is broken
            return Source(path, "jsonl", packed, _first_keys(bare), head=text)
        return Source(path, "json", packed, tuple(dict.fromkeys(_KEY.findall(text))), head=text)
    separator = max(_SEPARATORS, key=first.count)
    if first.count(separator):
        names = tuple(name.strip().strip('"').strip() for name in first.split(separator))
        return Source(path, "csv", packed, names, separator, text)
    return Source(path, "text", packed, (), head=text)


def lines(source: Source) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, each with its number from 1."""
    try:
        with opened(source) as file:
            for number, line in enumerate(file, 1):
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if not line.isspace():
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(source.path, error) from error


def document(source: Source) -> Any:
    """A JSON file as a whole."""
    try:
        with opened(source) as file:
            return msgspec.json.decode(file.read().removeprefix(b"\xef\xbb\xbf"))
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(source.path, error) from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{source.path} is neither JSON nor JSON Lines: {error}") from error


def opened(source: Source) -> IO[bytes]:
    """Its bytes, unpacked."""
    return gzip.open(source.path) if source.packed else source.path.open("rb")  # type: ignore[return-value]


def _head(path: Path) -> tuple[bytes, bool]:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            return file.read(_HEAD_BYTES), packed
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UsageError:
    why = getattr(error, "strerror", None) or str(error) or "it is damaged"
    return UsageError(f"cannot read {path}: {why}")


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None


def _first_keys(text: str) -> tuple[str, ...]:
    """The keys of the first line that is an object."""
    for line in text.split("\n")[:-1]:
        if isinstance(found := _decoded(line), dict):
            return tuple(found)
    return ()


def _parquet_columns(path: Path) -> tuple[str, ...]:
    import duckdb

    try:
        with duckdb.connect() as database:
            rows = database.execute(
                "select column_name from (describe select * from read_parquet(?))", [str(path)]
            ).fetchall()
    except duckdb.Error as error:
        raise UsageError(f"cannot read {path}: {str(error).splitlines()[0]}") from error
    return tuple(name for (name,) in rows)
