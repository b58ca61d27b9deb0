"""Other loads of this user from this machine at the same time: each has a locked file; the lock ends with it."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from loadcell.phrases import phrase

_LOOK_S = 0.5


class Neighbour(msgspec.Struct, frozen=True):
    """A load of another process."""

    pid: int
    origin: str
    """Scheme, host and port that it loads."""


class Neighbours:
    """Who else loads from this machine; `seen` grows while `look` is called."""

    def __init__(self, place: Path, own: str, why: str | None = None) -> None:
        self.seen: dict[Neighbour, None] = {}
        self.now = 0
        """Loads beside this one at the last look."""
        self._place, self._own, self._why = place, own, why
        self._looked_s = -_LOOK_S

    def look(self) -> None:
        """Look who is there, if it is time to."""
        now_s = time.monotonic()
        if self._why is not None or now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        found = [one for file in self._place.glob("*.load") if file.name != self._own and (one := _alive(file))]
        self.now = len(found)
        self.seen.update(dict.fromkeys(found))

    def notes(self) -> list[str]:
        """What a reader of the run must know of it."""
        if self._why is not None:
            return [phrase("whether other loads ran on this machine cannot be told: {}", self._why)]
        others = ", ".join(f"{one.pid} {one.origin}" for one in self.seen)
        if not others:
            return []
        return [
            phrase(
                "another load came from this machine at the same time (process, endpoint: {}): each takes cores, "
                "and perhaps the server, from the other",
                others,
            )
        ]


@contextmanager
def neighbours(origin: str) -> Iterator[Neighbours]:
    """Be seen by the loads of other processes, as one on `origin`, and see theirs."""
    place = _place()
    try:
        _make(place)
        descriptor, file = _sign(place, Neighbour(os.getpid(), origin))
    except OSError as error:
        yield Neighbours(place, "", f"{error.filename or place}: {error.strerror}")
        return
    try:
        yield Neighbours(place, file.name)
    finally:
        file.unlink(missing_ok=True)
        os.close(descriptor)


def _place() -> Path:
    """A folder of this user on this machine that does not outlive its start."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "loadcell" if runtime else Path(tempfile.gettempdir()) / f"loadcell-{os.getuid()}"


def _make(place: Path) -> None:
    """Make the folder; OSError if it is not this user's alone: names in it come from whoever may write there."""
    with suppress(FileExistsError):
        place.mkdir(mode=0o700)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(0, "not this user's own folder", str(place))


def _sign(place: Path, who: Neighbour) -> tuple[int, Path]:
    """Leave a locked file, and the descriptor that holds it: it gets the name that others look at once it is locked."""
    descriptor, draft = tempfile.mkstemp(dir=place)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, msgspec.json.encode(who))
        return descriptor, Path(draft).rename(f"{draft}.load")
    except OSError:
        os.close(descriptor)
        Path(draft).unlink()
        raise


def _alive(file: Path) -> Neighbour | None:
    """Whose file it is; None, and the file is taken away, where its process has ended."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:  # it has just ended
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        try:
            return msgspec.json.decode(os.read(descriptor, 4096), type=Neighbour)
        except msgspec.DecodeError:  # of another version
            return Neighbour(0, "?")
    else:
        file.unlink(missing_ok=True)
        return None
    finally:
        os.close(descriptor)
