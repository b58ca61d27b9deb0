"""A folder that one process writes: made so that no other can have it too, and locked for as long as it is written."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path

from loadcell.errors import RecordingError
from loadcell.recording.index import remember

NEW_FOLDER = "give --output a new folder"
_NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""A file system that keeps no locks on folders, as NFS does."""


@contextmanager
def output_folder(given: str | None, place: str, prefix: str = "") -> Iterator[Path]:
    """The folder that a person named, or one named after the time in `place`, which is made and no one else's.

    One that was made is taken away again if nothing was written to it. Where it holds a recording in the end, that is
    remembered: see `index.py`.
    """
    if given is not None:
        if "\0" in given:
            raise RecordingError("a path cannot hold a NUL byte; give --output another folder")
        try:
            yield Path(given)
        finally:
            _remember(Path(given))
        return
    for name in names_by_time():
        folder = Path(place) / f"{prefix}{name}"
        made = _missing(folder.parent)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except FileExistsError:
            if not folder.parent.is_dir():
                raise RecordingError(f"cannot make {folder}: {place} is a file; give --output another folder") from None
            continue
        except OSError as error:
            raise _cannot_make(folder, error) from None
        try:
            yield folder
        finally:
            _remember(folder)
            _take_away([folder, *made])
        return


def names_by_time() -> Iterator[str]:
    """The time, and the same with a number, for what must not have the name of anything that is there."""
    stamp = f"{datetime.now():%Y%m%d-%H%M%S}"
    yield stamp
    for number in count(2):
        yield f"{stamp}-{number}"


@contextmanager
def claimed(folder: Path, taken: str = NEW_FOLDER) -> Iterator[None]:
    """Make `folder`, or take an empty one, and keep other processes out of it until the end of the block.

    RecordingError if it holds files (`taken` says what to do then), if another process has it, or if it cannot be made.
    After an exception it is taken away again if nothing was written to it.
    """
    refuse_files(folder, taken)
    made = _missing(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_make(folder, error) from None
    with locked(folder):
        refuse_files(folder, taken)  # another process may have come and gone meanwhile
        try:
            yield
        except BaseException:
            _take_away(made)
            raise


def refuse_files(folder: Path, taken: str = NEW_FOLDER) -> None:
    """RecordingError if `folder` holds anything."""
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise RecordingError(f"{folder} already holds files: {taken}")
    except OSError as error:
        raise RecordingError(f"{folder} cannot be read: {error.strerror}; give --output another folder") from None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder; RecordingError if one is at work in it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordingError(f"another process is at work in {folder}: wait for it to end") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            sys.stderr.write(
                f"loadcell: {folder} lies where folders cannot be locked: see to it that no other run writes to it\n"
            )
        yield
    finally:
        os.close(descriptor)


def _remember(folder: Path) -> None:
    """Note where a recording lies. That it cannot be noted costs no run anything: it is said to who watches."""
    try:
        remember(folder)
    except (OSError, RuntimeError) as error:
        if sys.stderr.isatty():
            sys.stderr.write(f"loadcell: {folder} is not noted for `loadcell report --serve` and `query`: {error}\n")


def _missing(folder: Path) -> list[Path]:
    """The folder and those above it that are not there, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _take_away(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # it holds something, or another process took it away
            folder.rmdir()


def _cannot_make(folder: Path, error: OSError) -> RecordingError:
    return RecordingError(f"cannot make {folder}: {error.strerror}; give --output another folder")
