"""A tool as a process: bounded in time, ended with all that it started, its CPU time counted."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from loadcell.audit import supervise
from loadcell.errors import LoadcellError

_TAIL = 4
_TAIL_CHARACTERS = 400
_GRACE_S = 30.0
PRINTED_MOST = 1 << 30
"""Bytes that a tool may print: more would fill the disk before its time is over."""
_LOOK_S = 0.2


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """How it went."""

    status: int | None = None
    """None where it was ended by force."""
    timed_out: bool = False
    wall_s: float = 0.0
    cpu_s: float = 0.0
    started_ns: int = 0
    """On CLOCK_MONOTONIC."""
    left: int = 0
    """Processes that it had left behind."""
    error: str | None = None
    """Why it could not be started."""
    flooded: bool = False
    """It was ended since it printed too much."""


def run_tool(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    timeout_s: float,
    cores: Sequence[int],
    here: bool = False,
) -> Ran:
    """Run it on `cores` (none: wherever), in `folder` or `here`, where this process is; stdout.txt and stderr.txt are
    then in `folder`.

    KeyboardInterrupt once all of it has ended; LoadcellError if what watches over it broke.
    """
    report = folder / "process.json"
    watcher = [sys.executable, "-I", str(supervise.__file__), str(report), f"{timeout_s:g}"]
    with (folder / "stdout.txt").open("wb") as out, (folder / "stderr.txt").open("wb") as err:
        process = subprocess.Popen(
            [*watcher, ",".join(map(str, cores)) or "-", *command],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            cwd=None if here else folder,
            env=dict(environment),
            start_new_session=True,
        )
        assert process.stdin is not None
        try:
            flooded = _printed_too_much(process, [out.fileno(), err.fileno()], timeout_s + _GRACE_S)
        finally:
            process.stdin.close()  # which ends all of it, where it has not ended
            process.wait(_GRACE_S)
    try:
        ran = msgspec.json.decode(report.read_bytes(), type=Ran)
        return msgspec.structs.replace(ran, flooded=flooded)
    except (OSError, msgspec.DecodeError):
        raise LoadcellError(
            f"what watches over the tool ended with status {process.returncode}: {tail(folder) or 'it says nothing'}"
        ) from None


def _printed_too_much(process: subprocess.Popen[bytes], files: Sequence[int], limit_s: float) -> bool:
    """Wait for its end, or until it has printed too much; TimeoutExpired where neither comes."""
    until = time.monotonic() + limit_s
    while True:
        try:
            process.wait(min(_LOOK_S, max(0.0, until - time.monotonic())))
            return False
        except subprocess.TimeoutExpired:
            if time.monotonic() >= until:
                raise
        if sum(os.fstat(file).st_size for file in files) > PRINTED_MOST:
            return True


def environment_of(more: Mapping[str, str], first_on_path: Sequence[Path] = ()) -> dict[str, str]:
    """This process's own, with `more`, and no proxy before this machine."""
    path = os.pathsep.join([*map(str, first_on_path), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PATH": path, **more}


def tail(folder: Path) -> str:
    """The last lines that the tool wrote to standard error, or else to standard output, as one."""
    for name in ("stderr.txt", "stdout.txt"):
        file = folder / name
        if not file.exists():
            continue
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - 20_000))
            text = stream.read().decode(errors="replace")
        lines = [" ".join(line.split()) for line in text.replace("\r", "\n").splitlines() if line.strip()]
        if lines:
            return " / ".join(lines[-_TAIL:])[-_TAIL_CHARACTERS:]
    return ""
