"""Writing what a report leaves on disk: whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadcell.errors import LoadcellError


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A name to write to, beside `path`, which it replaces once it is whole; missing folders are made.

    LoadcellError if it cannot be written.
    """
    draft = path.with_name(f".{os.getpid()}-{threading.get_ident()}-{path.name}.tmp")  # no other writer has it
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        draft.replace(path)
    except OSError as error:
        raise LoadcellError(
            f"cannot write {path}: {error.strerror or error}; to write elsewhere, give --output"
        ) from None
    finally:
        _drop(draft)


def _drop(draft: Path) -> None:
    try:
        draft.unlink(missing_ok=True)
    except OSError:  # its folder cannot be entered, which was said
        return


def write_text(path: Path, text: str) -> Path:
    """Write a text file as UTF-8; returns its path."""
    with draft_of(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return path
