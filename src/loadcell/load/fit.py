"""Whether a load fits into what its machine allows: said before anything is sent, with the number that fits."""

from __future__ import annotations

import math
import os
from pathlib import Path

from loadcell.errors import RecordingError, UsageError
from loadcell.load.host import descriptor_limit
from loadcell.load.machine import local_ports, memory_left, tasks_left
from loadcell.spec import Spec

SPARE_FILES = 40
"""Open files of a load process besides its connections, and a few to spare."""
_TASKS_A_WORKER = 12
"""Threads of a load process: its own, the one that writes, and the database's."""
_BYTES_A_WORKER = 48 << 20
"""Of its own, besides what it shares with the parent."""
_BYTES_A_REQUEST, _BYTES_AN_EVENT = 120, 6
"""Of a row in the recording's Parquet, measured: rather less than more."""
_FEEDER_TASKS = 2
_COPIES = 2
"""Of a body that is being sent: as it was read, and with its head."""


def check_fit(spec: Spec, workers: int) -> None:
    """UsageError where the load needs more open files, ports, processes or memory than there can be."""
    users = spec.load.concurrency
    if users is not None and spec.endpoint.http == "1.1":  # else they share connections, nobody knows how many
        what = "users" if spec.load.rate is None else "requests in flight"
        _check_files(users, what, workers, descriptor_limit())
        _check_ports(users, what, local_ports())
    _check_tasks(workers, tasks_left())
    _check_memory(workers, memory_left())


def _check_files(users: int, what: str, workers: int, limit: int) -> None:
    each = math.ceil(users / workers)
    if each + SPARE_FILES <= limit:
        return
    if limit <= SPARE_FILES:
        raise UsageError(
            f"a load process needs {SPARE_FILES} open files besides its connections, and the hard limit is {limit}: "
            "raise it (ulimit -Hn)"
        )
    least = math.ceil(users / (limit - SPARE_FILES))
    among = "" if workers == 1 else f" in each of {workers} load processes"
    raise UsageError(
        f"{users:,} {what} need {each + SPARE_FILES:,} open files{among}, and the hard limit is {limit:,}: "
        f"at most {(limit - SPARE_FILES) * workers:,} {what} fit; give as many, or --workers {least}, or raise the "
        "limit (ulimit -Hn)"
    )


def _check_ports(users: int, what: str, ports: int | None) -> None:
    if ports is not None and users > ports:
        raise UsageError(
            f"{users:,} {what} need as many local ports, and there are {ports:,} to one address: at most {ports:,} "
            f"{what} fit; give as many, or widen net.ipv4.ip_local_port_range"
        )


def _check_tasks(workers: int, left: int | None) -> None:
    needed = workers * _TASKS_A_WORKER + _FEEDER_TASKS
    if left is None or needed <= left:
        return
    most = (left - _FEEDER_TASKS) // _TASKS_A_WORKER
    fits = f"give --workers {most}" if most > 0 else "none fits"
    raise UsageError(
        f"{_processes(workers)} need about {needed} processes and threads, and this container allows {max(left, 0)} "
        f"more: {fits}, or raise its limit (pids.max)"
    )


def _check_memory(workers: int, left: int) -> None:
    needed = workers * _BYTES_A_WORKER
    if needed <= left:
        return
    most = left // _BYTES_A_WORKER
    fits = f"give --workers {most}" if most > 0 else "none fits"
    raise UsageError(
        f"{_processes(workers)} need about {needed >> 20:,} MB of memory, and {max(left, 0) >> 20:,} MB are left here: "
        f"{fits}, or give more (memory.max of the container)"
    )


def check_bodies(users: int | None, body_bytes: int, left: int | None = None) -> None:
    """UsageError where the bodies that so many users may be sending at once have no room in memory, of what is `left`
    (by default, of what this machine has left)."""
    each = _COPIES * body_bytes
    left = memory_left() if left is None else left
    if users is None or users * each <= left:
        return
    room = max(left, 0)
    raise UsageError(
        f"{users:,} users may send {users:,} bodies of {_size(body_bytes)} at once, which take {_size(users * each)} "
        f"of memory, and {_size(room)} are left here: at most {room // each:,} users fit; give as many, or send less "
        "(smaller images, shorter clips)"
    )


def _processes(workers: int) -> str:
    return "a load process" if workers == 1 else f"{workers} load processes"


def recording_bytes(requests: int, output_tokens: float) -> int:
    """About what a recording takes on the disk, of so many requests with so many output tokens each (and events)."""
    return int(requests * (_BYTES_A_REQUEST + _BYTES_AN_EVENT * output_tokens))


def check_disk(folder: Path, needed: int, what: str) -> None:
    """RecordingError where the disk of a folder has no room for so many bytes."""
    disk = os.statvfs(folder)
    left = disk.f_bavail * disk.f_frsize
    if needed > left:
        raise RecordingError(
            f"cannot write {what}: it takes about {_size(needed)}, and the disk of {folder} has {_size(left)} left: "
            "free some space, or give --output a folder on another disk"
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count:,} bytes"
