"""What the tests of this folder hold in their hands: a server, and what a run of `loadcell run` left."""

from __future__ import annotations

import re
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadcell.metrics import Result, build_result
from loadcell.recording.read import Recording, open_recording


@dataclass(frozen=True)
class Server:
    url: str

    def metric(self, name: str) -> float:
        """One of the server's own counters."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as reply:
            text = reply.read().decode()
        found = re.search(rf"^llamacpp:{name} (\S+)$", text, re.MULTILINE)
        assert found, text
        return float(found[1])


@dataclass(frozen=True)
class Ran:
    """What a run left: exit code, what it said, and its recording, if any."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def recording(self) -> Recording:
        assert (self.folder / "recording.json").exists(), self.err
        return open_recording(self.folder)

    @property
    def measured(self) -> bool:
        """Whether it ended well; a busy machine may still make the verdict INVALID."""
        return self.code == 0 or (self.code == 4 and not self.result.invalid)

    @property
    def result(self) -> Result:
        return build_result(self.recording)

    def column(self, name: str) -> list[Any]:
        """A column of the requests, in the order of the schedule."""
        values: list[Any] = self.recording.requests((name,))[name].tolist()
        return values


Run = Callable[..., Ran]


def command(url: str, folder: Path, *flags: str) -> list[str]:
    """The command line of a run."""
    return [sys.executable, "-m", "loadcell", "run", url, "--json", "--output", str(folder), *flags]
