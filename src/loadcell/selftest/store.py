"""Where self-tests are kept: a file for each machine, for what its figures depend on is in the file's name."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadcell import __version__
from loadcell.errors import RecordingError
from loadcell.recording.index import state_home
from loadcell.recording.read import dump_json

if TYPE_CHECKING:
    from loadcell.metrics import SelfTest

Warn = Callable[[str], None]


def state_folder() -> Path:
    """Where they are: $XDG_STATE_HOME/loadcell/selftest."""
    return state_home() / "selftest"


def this_machine(tls: bool) -> dict[str, Any]:
    """What the figures of a self-test depend on."""
    from loadcell.core import form

    return {
        "cpu": _cpu_model(),
        "cores_allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "loadcell": __version__,
        "core": form()[0],
        "tls": tls,
    }


def _cpu_model() -> str | None:
    """As the kernel names it, else as the platform does; None if neither does."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor()) or None


def file_of(machine: dict[str, Any]) -> Path:
    """The file of a machine's self-test."""
    text = json.dumps(machine, sort_keys=True)
    return state_folder() / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def known_selftest(tls: bool = False, warn: Warn | None = None) -> dict[str, Any] | None:
    """The self-test that is kept of this machine, as it stands in its file; None if there is none.

    A file that cannot be read is as good as none; `warn` (default: a line on standard error) is told so.
    """
    return _read(file_of(this_machine(tls)), warn or _say)


def stored_selftests(warn: Warn | None = None) -> list[tuple[Path, SelfTest]]:
    """Every self-test that is kept, the newest first; `warn` is told of files that are none."""
    import msgspec

    from loadcell.metrics import SelfTest

    found, tell = [], warn or _say
    for file in sorted(state_folder().glob("*.json")):
        if (tree := _read(file, tell)) is None:
            continue
        try:
            found.append((file, msgspec.convert(tree, SelfTest)))
        except msgspec.ValidationError:
            tell(f"{file} holds a self-test of another version: loadcell selftest makes a new one")
    return sorted(found, key=lambda pair: pair[1].measured_at, reverse=True)


def keep_selftest(selftest: SelfTest) -> Path:
    """Keep a self-test in place of the one before; RecordingError if it cannot be written."""
    file = file_of(selftest.machine)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordingError(f"cannot make {file.parent}: {error.strerror}") from None
    dump_json(file, selftest)
    return file


def _read(file: Path, warn: Warn) -> dict[str, Any] | None:
    try:
        tree = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        warn(f"the self-test in {file} cannot be read ({error.strerror}): this run goes without it")
        return None
    except ValueError:
        tree = None
    if not isinstance(tree, dict) or "rungs" not in tree:
        warn(f"{file} holds no self-test, or half of one: loadcell selftest makes a new one")
        return None
    return tree


def _say(words: str) -> None:
    sys.stderr.write(f"loadcell: {words}\n")
