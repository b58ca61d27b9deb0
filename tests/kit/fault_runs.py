"""Runs with a fault in them, against the embedded engine in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import pytest
from contract_runs import short_spec
from engine_client import Engine

from loadcell.load import Progress, crew, run_load
from loadcell.metrics import Result, build_result
from loadcell.recording.read import open_recording
from loadcell.recording.schema import Manifest

MS = 1_000_000
ENGINE = ("--ttft", "50ms", "--itl", "5ms")

Fault = Callable[[], None]


@dataclass
class Faulty:
    """A finished run, what its workers said of themselves, and what the result says of all of it."""

    folder: Path
    manifest: Manifest

    @property
    def audits(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_bytes()) for file in sorted(self.folder.glob("audit-*.json"))]

    @cached_property
    def result(self) -> Result:
        result = build_result(open_recording(self.folder))
        counts = result.counts.run
        assert counts.planned == counts.ok + counts.failed + counts.cancelled + counts.unsent
        return result

    def stalls_ms(self) -> list[float]:
        """Lengths of the stalls that began after the load had settled."""
        return [length / MS for audit in self.audits for begin, length in audit["stalls"] if begin > 500 * MS]

    def word(self, check: str) -> str | None:
        """What one check says, whatever the others say: other work on the machine may be a fault of its own."""
        (word,) = [found.word for found in self.result.verdict.checks if found.name == check]
        return word

    def reason(self, *words: str) -> str:
        """The first reason of the verdict that holds one of the words."""
        return next((r for r in self.result.verdict.reasons if any(word in r for word in words)), "")


def run_with(engine: Engine, folder: Path, faults: dict[float, Fault] | None = None, **fields: Any) -> Faulty:
    """Run a load in which each fault happens at its time (s); the server is meant to be on this machine."""
    spec = short_spec(
        f"http://127.0.0.1:{engine.port}", **({"concurrency": 8, "duration_s": 3.0, "output_tokens": "20"} | fields)
    )
    spec = msgspec.structs.replace(spec, run=msgspec.structs.replace(spec.run, shared_host=True))
    waiting = sorted((faults or {}).items())

    def watch(now: Progress) -> None:
        while now.stage == "load" and waiting and now.elapsed_s >= waiting[0][0]:
            waiting.pop(0)[1]()

    manifest = run_load(spec, folder, watch)
    assert not waiting, "the run ended before its fault"
    return Faulty(folder, manifest)


def workers() -> list[int]:
    """The load processes of the run that goes on in this process."""
    words = ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())]
    found = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    return [int(line.split()[0]) for line in found if "loadcell.load.process" in line]


def worker_with(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Let the load processes of this test run some code before their own."""
    code = f"{fault}\nimport os\nfrom loadcell.load.process import main\nos._exit(main())"
    monkeypatch.setattr(crew, "WORKER_COMMAND", (sys.executable, "-c", code))
    monkeypatch.setattr(crew, "can_fork", lambda: False)
