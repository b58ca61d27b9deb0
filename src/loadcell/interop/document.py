"""JSON, JSON Lines and YAML of other tools, packed by gzip or not, bare NaN and Infinity included."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from loadcell.errors import UsageError

Each = Callable[[Any], Any]


def load(path: Path, *, without: Collection[str] = (), each: Mapping[str, Each] | None = None) -> Any:
    """The JSON document at `path`, in little memory however large it is.

    Paths are keys joined by dots, `*` for the items of a list. What stands at a path of `without` (texts that nobody
    needs) is None; what stands at one of `each` is what that function makes of it, called as soon as it is whole, so
    that rows can be kept as something smaller than dicts. UsageError names the file and the place where it breaks.
    """
    try:
        with opened(path) as file:
            tree = json.load(file)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no whole JSON: {error}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    return _made(tree, "", frozenset(without), each or {})


def lines(path: Path) -> Iterator[tuple[int, Any]]:
    """The objects of JSON Lines, each with the number of its line; UsageError names the line that is none."""
    try:
        with opened(path) as file:
            for number, line in enumerate(file, 1):
                if not line.isspace():
                    yield number, _line(path, number, line)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot read {path}: {error}") from None


def opened(path: Path) -> IO[bytes]:
    """Its bytes, unpacked."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")  # type: ignore[return-value]


def _line(path: Path, number: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}:{number} is no JSON: {error}") from None


def _made(tree: Any, path: str, without: frozenset[str], each: Mapping[str, Each]) -> Any:
    if path in without:
        return None
    if isinstance(tree, dict):
        tree = {key: _made(value, f"{path}.{key}" if path else key, without, each) for key, value in tree.items()}
    elif isinstance(tree, list):
        at = f"{path}.*" if path else "*"
        tree = [_made(value, at, without, each) for value in tree]
    return each[path](tree) if path in each else tree
