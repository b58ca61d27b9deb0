"""What the readers of other tools' files have in common."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from loadcell.errors import UsageError
from loadcell.interop import document
from loadcell.interop.model import Missing
from loadcell.phrases import phrase

T = TypeVar("T")
HEAD = 1 << 16
SCALE = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0, "min": 60.0}
"""Seconds in each unit of time, as the tools write it."""
STATS = {
    "avg": "mean", "average": "mean", "median": "p50", "stddev": "std", "std_dev": "std", "total_sum": "sum",
    "total": "sum", "p0p1": "p0.1", "p99p9": "p99.9",
}  # fmt: skip
"""Words of the tools for statistics; p50, p99, min, max, mean, std, sum and count are everybody's."""
UNTOLD = phrase("the file does not tell")
NO_TIMES = phrase("the file has no send times")
NO_ROWS = phrase("the file holds summaries only")
NO_EVENTS = phrase("the file has no times of single events")


def number(value: Any) -> float | None:
    """A finite number, also one that stands as text; None where it is missing, NaN or infinite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def whole(value: Any) -> int | None:
    """A count as an integer; None where it is missing or NaN."""
    found = number(value)
    return None if found is None else round(found)


def figures(tree: Any, at: str = "") -> Iterator[tuple[str, float | None]]:
    """Every number of nested objects with its key, keys joined by dots; None for NaN and the infinities."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from figures(value, f"{at}.{key}" if at else key)
    elif isinstance(tree, int | float) and not isinstance(tree, bool):
        yield at, number(tree)


def stat_of(name: str) -> str:
    """A statistic by the name that we give it."""
    return STATS.get(name, name)


def bad(path: Path, at: str, what: str) -> UsageError:
    """What is wrong with a field of a file."""
    return UsageError(f"{path}: {at}: {what}" if at else f"{path}: {what}")


def measured(value: Any, path: Path, at: str) -> float | None:
    """A number that stands in a field; None where it is null, NaN or infinite. UsageError where it is no number."""
    if value is None or number(value) is not None:
        return number(value)
    if isinstance(value, float):
        return None
    raise bad(path, at, f"expected a number, got {value!r:.40}")


def typed(value: Any, form: type[T], path: Path, at: str = "") -> T:
    """`value` as a typed form; numbers may stand as text. UsageError names the file and the field, which is below
    `at`."""
    try:
        return msgspec.convert(value, form, strict=False)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        field = re.sub(r"\[(\d+|\.\.\.)\]", r".\1", place.rstrip("`")).removeprefix(".")
        joint = "." if at and field and not at.endswith(" ") else ""
        raise bad(path, f"{at}{joint}{field}", what.replace("`", "").replace(" | ", " or ")) from None


def typed_lines(path: Path, form: type[T]) -> Iterator[tuple[int, T]]:
    """The objects of JSON Lines as a typed form, each with its line."""
    decode = msgspec.json.Decoder(form, strict=False).decode
    try:
        with document.opened(path) as file:
            for number, line in enumerate(file, 1):
                if line.isspace():
                    continue
                try:
                    yield number, decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # NaN, or something to be named
                    yield number, typed(document.line_of(path, number, line), form, path, f"line {number}: ")
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot read {path}: {error}") from None


def within(tree: Any, *keys: str | int) -> Any:
    """What stands at the end of keys and places of lists; None where one of them is missing."""
    for key in keys:
        if isinstance(key, int):
            tree = tree[key] if isinstance(tree, list) and -len(tree) <= key < len(tree) else None
        else:
            tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def first(*values: Any) -> Any:
    """The first that is not None."""
    return next((value for value in values if value is not None), None)


def text(value: Any) -> str | None:
    """A text that is not empty, or None."""
    return value if isinstance(value, str) and value else None


def beginning(path: Path, size: int = HEAD) -> str:
    """How a file begins, unpacked; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            begun = file.read(size)
        if begun[:2] == b"\x1f\x8b":
            begun = zlib.decompressobj(31).decompress(begun, size)
    except (OSError, zlib.error):
        return ""
    return begun.decode(errors="replace")


def has(text: str, *keys: str) -> bool:
    """Whether all of these are keys in a piece of JSON."""
    return all(re.search(rf'"{re.escape(key)}"\s*:', text) for key in keys)


def files(path: Path, *endings: str) -> list[Path]:
    """The file itself, or those of a folder whose names end so, packed or not, sorted."""
    if not path.is_dir():
        return [path]
    names = tuple(f"{ending}{packed}" for ending in endings for packed in ("", ".gz"))
    return sorted(file for file in path.iterdir() if file.name.endswith(names) and file.is_file())


def paired(
    path: Path, kinds: Sequence[Callable[[Path], bool]], name_of: Callable[[Path], str]
) -> dict[str, list[Path | None]]:
    """By name the files that belong together, one of each kind or None; of a file or a folder."""
    found: dict[str, list[Path | None]] = {}
    for file in files(path, ".json"):
        for place, is_one in enumerate(kinds):
            if is_one(file):
                found.setdefault(name_of(file), [None] * len(kinds))[place] = file
    return found


def at_utc(seconds: float | None) -> datetime | None:
    """Unix seconds as a time of day."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def normal(mean: Any, deviation: Any = None) -> str | None:
    """Lengths of a mean and a standard deviation, as `workload.input_tokens` writes them; None without a mean."""
    of, spread = number(mean), number(deviation)
    if of is None or of <= 0:
        return None
    return f"normal:{of:g},{spread:g}" if spread else f"{of:g}"


def untold(why: str, *fields: str) -> list[Missing]:
    """Fields that are missing for one reason."""
    return [Missing(field=field, why=why) for field in fields]


def unique(names: list[str]) -> list[str]:
    """Names with a number behind those that stand more than once."""
    seen: dict[str, int] = {}
    made = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        made.append(name if names.count(name) == 1 else f"{name}-{seen[name]}")
    return made


def packed(path: Path) -> Path:
    """The file, or the same packed by gzip where only that is there."""
    other = path.with_name(f"{path.name}.gz")
    return other if other.is_file() and not path.is_file() else path
