"""Files of unknown origin, read with care: what is wrong with one becomes a finding, never an exception."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from loadcell.mlperf.findings import failed, noted
from loadcell.mlperf.model import Finding

MAX_BYTES = 50 * 2**20
"""What a submission may hold in one file; larger ones are not opened."""
MAX_YAML_BYTES = 2**20
_BARE = re.compile(r"([:\[,]\s*)-?(?:nan|inf|infinity)(?=\s*[,}\]])", re.IGNORECASE)
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
T = TypeVar("T", bound=msgspec.Struct)


def read_bytes(path: Path, problems: list[Finding], *, limit: int = MAX_BYTES) -> bytes | None:
    """The content; None with a finding if there is none, or more than `limit` bytes."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            problems.append(failed("file-form", f"{path.name} is no file", path, "put the file itself there"))
            return None
        if size > limit:
            says = f"{path.name} has {size:,} bytes, more than {limit:,}: not read"
            problems.append(failed("file-size", says, path, "keep the log as its writer left it"))
            return None
        return path.read_bytes()
    except FileNotFoundError:
        problems.append(failed("file-present", f"{path.name} is missing", path, "put it there, or run again"))
    except OSError as error:
        problems.append(failed("file-form", f"{path.name} cannot be read: {error.strerror}", path))
    return None


def read_text(path: Path, problems: list[Finding], *, limit: int = MAX_BYTES) -> str | None:
    """The content as text. Bytes that are no UTF-8 are replaced, with a finding; binary files are refused."""
    raw = read_bytes(path, problems, limit=limit)
    if raw is None:
        return None
    if b"\0" in raw:
        says = f"{path.name} is binary: it holds a zero byte at {raw.index(0):,}"
        problems.append(failed("file-form", says, path, "put the text file there"))
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        says = f"{path.name} is no UTF-8 text at byte {error.start:,}"
        problems.append(failed("file-form", says, path, "keep the file as its writer left it"))
        return raw.decode(errors="replace")


def parse_json(text: str) -> tuple[Any, bool]:
    """The value, and whether bare nan or inf, which are no JSON, were read as null. ValueError says what is wrong."""
    try:
        return msgspec.json.decode(text), False
    except (msgspec.DecodeError, RecursionError) as error:
        mended = _without_nan(text)
        if mended == text:
            raise ValueError("is nested too deeply" if isinstance(error, RecursionError) else _lower(error)) from None
    try:
        return msgspec.json.decode(mended), True
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("is nested too deeply" if isinstance(error, RecursionError) else _lower(error)) from None


def _without_nan(text: str) -> str:
    """Bare nan and inf as null, outside strings."""
    parts, end = [], 0
    for string in _STRINGS.finditer(text):
        parts += [_BARE.sub(r"\1null", text[end : string.start()]), string.group()]
        end = string.end()
    return "".join([*parts, _BARE.sub(r"\1null", text[end:])])


def _lower(error: Exception) -> str:
    words = str(error)
    return f"is no JSON ({words[:1].lower()}{words[1:]})"


def read_json(path: Path, problems: list[Finding]) -> Any:
    """The value of a JSON file; None with a finding if it cannot be read."""
    text = read_text(path, problems)
    if text is None:
        return None
    try:
        value, bare = parse_json(text)
    except ValueError as error:
        advice = "it may be cut short or edited by hand: take it again from where it was written"
        problems.append(failed("file-form", f"{path.name} {error}", path, advice))
        return None
    if bare:
        problems.append(noted("file-form", f"{path.name} holds bare nan or inf, which is no JSON: read as null", path))
    return value


def read_yaml(path: Path, problems: list[Finding]) -> Any:
    """The value of a YAML file; None with a finding if it cannot be read."""
    text = read_text(path, problems, limit=MAX_YAML_BYTES)
    if text is None:
        return None
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        says = f"{path.name} is no YAML{line}: {error.problem}"
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError, LookupError, AttributeError) as error:
        says = f"{path.name} is no YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    problems.append(failed("file-form", says, path, "correct the file by hand, or take it again"))
    return None


def typed(
    kind: type[T], value: Any, path: Path, problems: list[Finding], *, needed: tuple[str, ...] = (), at: str = ""
) -> T:
    """A struct of what `value` holds: every field of `kind` has a default, which stands in for one that is missing.

    A field of another type than `kind` says becomes a finding, and so does a missing one of `needed`.
    """
    if not isinstance(value, dict):
        if value is not None:
            says = f"{path.name}: {at or 'the whole'} is {_name(value)}, not an object"
            problems.append(failed("file-form", says, path))
        value = {}
    kept: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        raw = value.get(field.encode_name)
        key = f"{at}.{field.encode_name}" if at else field.encode_name
        if raw is None:
            if field.encode_name in needed:
                problems.append(failed("file-fields", f"{path.name}: {key} is missing", path, "fill it in"))
            continue
        try:
            kept[field.name] = msgspec.convert(raw, field.type, str_keys=True)
        except (msgspec.ValidationError, RecursionError, OverflowError) as error:
            problems.append(failed("file-fields", f"{path.name}: {key}: {error}", path, "correct its type"))
    return kind(**kept)


def dug(value: Any, *keys: str) -> Any:
    """The value under `keys`, one after the other; None where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _name(value: Any) -> str:
    names = {list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)
