"""Rows of a file as people have them: JSON Lines, JSON, CSV, TSV or Parquet, compressed or not.

The form is judged by the content, never by the name. Rows come one after another, so that a large file takes no more
memory than its reader keeps; a JSON document alone is held whole, as bytes.
"""

from __future__ import annotations

import bz2
import csv
import decimal
import gzip
import hashlib
import io
import lzma
import re
import shutil
import sys
import tempfile
import zlib
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from loadcell.errors import UsageError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Row = dict[str, Any]
_COMPRESSED: tuple[tuple[bytes, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
    (b"\x28\xb5\x2f\xfd", zstd.ZstdFile),
)
_PARQUET = b"PAR1"
_ARROW, _ARROW_STREAM = b"ARROW1", b"\xff\xff\xff\xff"
_UNREAD = (
    (b"PK\x03\x04", "is a zip archive or a spreadsheet: unpack it, or save it as CSV"),
    (b"\xff\xfe", "is not UTF-8 but UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "is not UTF-8 but UTF-16: save it as UTF-8"),
)
_PICKLES = (".pkl", ".pickle", ".pk")
_PICKLE_MAGIC = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError)
_SEPARATORS = ",\t;|"
_LINE_BYTES = 256 << 20
"""Longest line of JSON Lines or CSV: a longer one is another form of file, or endless."""
_LOOKED_AT = 4096
"""Bytes of the first line that tell whether a file is text."""
_AT_BYTE = re.compile(r"\(byte (\d+)\)")


class Read(NamedTuple):
    """One row as it was read; or why it could not be."""

    number: int
    row: Any
    raw: bytes | None = None
    """The JSON that it was read from, as it stands in the file; None where it was none."""
    wrong: UsageError | None = None


class Rows:
    """The rows of the file at `path`, each with its number: objects of JSON, or what else stands where one should.

    By one of the columns in `wanted` a CSV's header is told from text, and a wrapped list from a row; of Parquet only
    those and the ones in `more` are read. UsageError says what is wrong with the file, and in which line. Once
    the rows have been read, `sha256` is that of the file.
    """

    def __init__(
        self,
        path: str | Path,
        wanted: Collection[str],
        more: Collection[str] = (),
        what: str = "the prompts",
        advice: str = "",
    ) -> None:
        self.path = str(path)
        self.what, self._advice = what, advice
        self.cells = False
        """Whether values are the cells of a CSV file: text, whatever they mean."""
        self.unread: list[str] = []
        """Columns of Parquet that were left where they are."""
        self.sha256 = b""
        self._wanted = {name.casefold(): name for name in wanted}
        self._known = {name.casefold(): name for name in more} | self._wanted
        self._in_rows = False
        self._elements_at = array("q")
        """The line in which each element of a list begins."""

    def where(self, number: int) -> str:
        """Where row `number` stands, for an error."""
        if self._in_rows:
            return f"row {number} of {self.path}"
        if self._elements_at:
            return f"{self.path}:{self._elements_at[number - 1]}: element {number}"
        return f"{self.path}:{number}"

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        for number, row, _, wrong in self.each():
            if wrong is not None:
                raise wrong
            yield number, row

    def each(self) -> Iterator[Read]:
        """The rows; a broken one, after which the others can be read, as what is wrong with it."""
        try:
            with Path(self.path).expanduser().open("rb", buffering=0) as raw:
                hashed = _Hashed(raw)
                file = io.BufferedReader(hashed, 1 << 20)
                yield from self._rows(file)
                while file.read(1 << 20):
                    pass
                self.sha256 = hashed.sha256.digest()
        except _DAMAGED as error:
            why = getattr(error, "strerror", None) or f"it is damaged: {error}"
            raise UsageError(f"{self.what} {self.path} cannot be read: {why}") from None

    def text(self) -> Iterator[Read]:
        """The file whole, as one row that is a text."""
        try:
            data = Path(self.path).read_bytes()
        except OSError as error:
            raise UsageError(f"{self.what} {self.path} cannot be read: {error.strerror}") from None
        self.sha256 = hashlib.sha256(data).digest()
        try:
            text = str(data.removeprefix(b"\xef\xbb\xbf"), "utf-8")
        except UnicodeDecodeError as error:
            yield Read(1, None, wrong=UsageError(f"{self.path}: not UTF-8: {error.reason} at byte {error.start}"))
            return
        wrong = None if text.strip() else UsageError(f"{self.path}: the text is empty")
        yield Read(1, text, wrong=wrong)

    def _rows(self, packed: Any) -> Iterator[Read]:
        head, name = packed.peek(8), Path(self.path).name
        if head.startswith(_PICKLE_MAGIC) or Path(name).suffix.lower() in _PICKLES:
            raise UsageError(
                f"{self.path} is a pickle, which can run any code when it is read: convert it where you trust it, by "
                f"python -c \"import pandas; pandas.read_pickle('{name}').to_parquet('{Path(name).stem}.parquet')\""
            )
        if head.startswith((_PARQUET, _ARROW, _ARROW_STREAM)):
            yield from self._columns(head, Path(self.path).expanduser())
            return
        file = next((unpack(packed) for magic, unpack in _COMPRESSED if head.startswith(magic)), packed)
        head = head if file is packed else file.peek(8)
        if head.startswith(_PARQUET):  # its end tells where its columns are: it must lie unpacked
            with tempfile.NamedTemporaryFile(suffix=".parquet") as unpacked:
                shutil.copyfileobj(file, unpacked, 1 << 20)
                unpacked.flush()
                yield from self._columns(head, Path(unpacked.name))
            return
        for magic, why in _UNREAD:
            if head.startswith(magic):
                raise UsageError(f"{self.path} {why.format(name=name)}")
        if head.startswith(b"\xef\xbb\xbf"):
            file.read(3)
        lines = self._lines(file)
        number, line = next(((n, line) for n, line in lines if line.strip()), (0, b""))
        if b"\0" in line[:_LOOKED_AT]:
            raise UsageError(f"{self.path} is binary, in no form that is known: write JSON Lines, JSON, CSV or Parquet")
        if line and (header := self._header(number, line)):
            self.cells = True
            yield from self._table(number, *header, lines)
        elif line:
            yield from self._json(number, line, lines, file)

    def _lines(self, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        number = 0
        while line := file.readline(_LINE_BYTES):
            number += 1
            yield number, line
            if len(line) == _LINE_BYTES:  # a JSON document in one line has been read by now
                raise UsageError(f"{self.where(number)}: the line is longer than {_LINE_BYTES >> 20} MiB")

    def _text(self, raw: bytes | msgspec.Raw, number: int) -> str:
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.where(number)}: not UTF-8: {error.reason} at byte {error.start}") from None

    # --- JSON ---

    def _json(self, number: int, line: bytes, lines: Iterator[tuple[int, bytes]], file: IO[bytes]) -> Iterator[Read]:
        """JSON Lines where the first line is JSON by itself and others follow; else one document."""
        rest = ((n, more) for n, more in lines if more.strip())
        try:
            msgspec.json.decode(line, type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError) as error:
            if line.lstrip()[:1] not in (b"{", b"["):
                begin = " ".join(line[:60].decode("utf-8", "replace").split())
                raise UsageError(
                    f"{self.where(number)}: {begin!r} is neither JSON nor the header of a CSV file with a column "
                    f"{' or '.join(self._wanted.values())}{self._advice}"
                ) from None
            data = line + file.read()
            yield from self._document(data, number, error)
            return
        second = next(rest, None)
        if second is None and line.lstrip()[:1] in (b"{", b"["):
            yield from self._document(line, number)
            return
        for n, more in chain([(number, line)], [second] if second else [], rest):
            yield self._decoded(more, n, line=True)

    def _document(self, data: bytes, first: int, alone: Exception | None = None) -> Iterator[Read]:
        """The elements of a list; else those of the only list in an object, its rows by column, or itself.

        `alone` is what is wrong with the first line as a document of its own.
        """
        try:
            if data.lstrip().startswith(b"["):
                yield from self._elements(data, first, msgspec.json.decode(data, type=list[msgspec.Raw]), 0)
                return
            fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, RecursionError) as error:
            lines = data.rstrip().count(b"\n")
            at = _AT_BYTE.search(str(error))
            line = data.count(b"\n", 0, int(at[1])) if at else lines
            first_alone = alone is not None and lines and "truncated" not in str(alone)
            wrong, number = (alone, first) if first_alone else (error, first + line)
            raise self._not_json(number, wrong, data.split(b"\n", 1)[0] if first_alone else b"") from None
        known = [name for name in fields if name.casefold() in self._known]
        lists = [raw for raw in fields.values() if re.match(rb"\[\s*\{", raw)]
        if not known and len(lists) == 1:
            start = data.find(lists[0])
            yield from self._elements(data, first, msgspec.json.decode(lists[0], type=list[msgspec.Raw]), start)
            return
        whole = self._decoded(data, first)
        if whole.wrong is not None:
            raise whole.wrong
        tree = whole.row
        by_row = [values for values in tree.values() if isinstance(values, dict) and "".join(values).isdecimal()]
        if tree and len(by_row) == len(tree):  # as pandas writes a table: {column: {row: value}}
            for number, row in enumerate(by_row[0], 1):
                self._elements_at.append(first)
                yield Read(number, {column: values.get(row) for column, values in tree.items()})
        else:
            yield whole

    def _elements(self, data: bytes, first: int, elements: list[msgspec.Raw], start: int) -> Iterator[Read]:
        """The elements of a list, each with the line in which it begins."""
        line, at = first, 0
        for number, raw in enumerate(elements, 1):
            begin = data.find(raw, max(at, start))
            line += data.count(b"\n", at, begin)
            self._elements_at.append(line)
            yield self._decoded(raw, number)
            at = begin + len(raw)
            line += data.count(b"\n", begin, at)

    def _decoded(self, raw: bytes | msgspec.Raw, number: int, *, line: bool = False) -> Read:
        try:
            return Read(number, msgspec.json.decode(self._text(raw, number)), bytes(raw))
        except UsageError as error:
            return Read(number, None, wrong=error)
        except (msgspec.DecodeError, RecursionError) as error:
            return Read(number, None, wrong=self._not_json(number, error, bytes(raw) if line else b""))

    def _not_json(self, number: int, error: Exception | None, line: bytes) -> UsageError:
        comma = "; the line ends with a comma that must go" if line.rstrip().endswith(b",") else ""
        return UsageError(
            f"{self.where(number)}: not JSON: {error}{comma}; such a file holds one JSON object a line, or one list"
        )

    # --- tables ---

    def _header(self, number: int, line: bytes) -> tuple[str, list[str]] | None:
        """What separates the cells of a CSV file, and its columns; None where the line names no wanted one."""
        if line.lstrip()[:1] in (b"{", b"["):
            return None
        text = self._text(line, number)
        for mark in _SEPARATORS:
            try:
                header = [cell.strip() for cell in next(csv.reader([text], delimiter=mark))]
            except csv.Error:  # a line feed's other half within the line: no header
                return None
            if self._wanted.keys() & map(str.casefold, header):
                own = self._known.values()
                names = [name if name in own else self._known.get(name.casefold(), name) for name in header]
                if twice := [name for name in names if name in own and names.count(name) > 1]:
                    raise UsageError(f"{self.where(number)}: the header has {twice[0]!r} twice")
                return mark, names
        return None

    def _table(self, number: int, mark: str, names: list[str], lines: Iterator[tuple[int, bytes]]) -> Iterator[Read]:
        """The rows of a CSV file below its header; cells without text are left out."""
        reader = csv.reader((self._text(raw, n) for n, raw in lines), delimiter=mark, strict=True)
        before = csv.field_size_limit(_LINE_BYTES)
        begins = number
        try:
            for cells in reader:
                at, begins = begins + 1, number + reader.line_num
                if any(map(str.strip, cells[len(names) :])):
                    words = (
                        f"{self.where(at)}: {len(cells)} cells where the header has {len(names)} "
                        f"({', '.join(names)}): put quotes around a text that holds {mark!r}"
                    )
                    yield Read(at, None, wrong=UsageError(words))
                elif cells:
                    yield Read(at, {name: cell for name, cell in zip(names, cells, strict=False) if cell})
        except csv.Error as error:
            raise UsageError(f"{self.where(begins + 1)}: not CSV: {error}") from None
        finally:
            csv.field_size_limit(before)

    def _columns(self, head: bytes, path: Path) -> Iterator[Read]:
        """The rows of a file that holds columns."""
        self._in_rows = True
        rows = self._parquet(str(path)) if head.startswith(_PARQUET) else self._arrow(head, path)
        for number, row in enumerate(rows, 1):
            yield Read(number, row)

    def _wanted_of(self, columns: Sequence[str]) -> list[str]:
        """The columns that are read; the others are `unread`."""
        names = [name for name in columns if name in self._known.values()]
        self.unread = [name for name in columns if name not in names]
        return names

    def _arrow(self, head: bytes, path: Path) -> Iterator[Row]:
        try:
            import pyarrow
        except ImportError:
            raise UsageError(
                f"{self.path} is an Arrow file, which needs a library: pip install 'loadcell[datasets]'; or save it as "
                "Parquet"
            ) from None
        try:
            with pyarrow.memory_map(str(path)) as file:
                if head.startswith(_ARROW):
                    reader = pyarrow.ipc.open_file(file)
                    batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
                else:
                    batches = reader = pyarrow.ipc.open_stream(file)
                names = self._wanted_of(reader.schema.names)
                for batch in batches:
                    if not names and batch.num_rows:
                        yield dict.fromkeys(reader.schema.names)
                        return
                    for row in batch.select(names).to_pylist():
                        yield {name: _known(value) for name, value in row.items() if value == value}
        except pyarrow.ArrowException as error:
            raise UsageError(
                f"{self.path} is not an Arrow file that can be read: {str(error).splitlines()[0]}"
            ) from None

    def _parquet(self, path: str) -> Iterator[Row]:
        import duckdb

        try:
            with duckdb.connect() as connection:
                columns = connection.read_parquet(path).columns
                names = self._wanted_of(columns)
                if not names:
                    yield dict.fromkeys(columns)
                    return
                quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
                chosen = connection.execute(f"SELECT {quoted} FROM read_parquet(?)", [path])
                while batch := chosen.fetchmany(1024):
                    for row in batch:
                        yield {name: _known(value) for name, value in zip(names, row, strict=True) if value == value}
        except (duckdb.Error, RuntimeError) as error:  # the latter where a name is not UTF-8
            raise UsageError(
                f"{self.path} is not a Parquet file that can be read: {str(error).splitlines()[0]}"
            ) from None


def _known(value: Any) -> Any:
    """A value without the nulls that fill up the structs of Parquet; decimals are numbers, as JSON has them."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _known(inner) for key, inner in value.items() if inner is not None}
    return [_known(inner) for inner in value] if isinstance(value, list) else value


class _Hashed(io.RawIOBase):
    """A file whose digest is taken while it is read."""

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        size = self._raw.readinto(into)
        self.sha256.update(memoryview(into)[:size])
        return size
