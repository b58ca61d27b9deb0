"""The embedded engine as a child process on a free port, for runs of a few seconds."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FAST = ("--ttft", "10ms", "--itl", "0.2ms", "--slots", "64")
"""No faster than the schedule of a closed loop thinks that a server can be, or the requests would run out."""


@contextmanager
def engine(*flags: str) -> Iterator[str]:
    """The base URL of an engine that ends with the block."""
    command = [sys.executable, "-m", "loadcell", "serve", "--port", "0", *(flags or FAST)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[2]
        finally:
            process.terminate()


def truth_of(url: str) -> list[dict[str, Any]]:
    """What the engine says of the load's requests, in the order of the schedule; the probe has no number."""
    with urllib.request.urlopen(f"{url}/truth", timeout=10) as reply:
        records = [json.loads(line) for line in reply]
    named = [record for record in records if record["id"] and record["id"].rpartition("-")[2].isdigit()]
    return sorted(named, key=lambda record: int(record["id"].rpartition("-")[2]))
