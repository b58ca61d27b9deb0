"""What the benchmarks share: the engine on a core of its own, loadcell as a child process, and the engine's truth."""

from __future__ import annotations

import http.client
import math
import os
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "benchmarks" / ".work"
LOADCELL = (sys.executable, "-m", "loadcell")
Numbers = npt.NDArray[Any]


class Truth(msgspec.Struct):
    """What the engine saw of one request, in ns on its monotonic clock."""

    id: str | None
    arrival_ns: int
    tokens_ns: list[int]
    end_ns: int
    outcome: str


@dataclass(frozen=True)
class Engine:
    """A running engine. `ca_file` is what a client must trust, if it speaks TLS."""

    url: str
    ca_file: str | None = None

    @property
    def port(self) -> int:
        """Port on 127.0.0.1."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def truth(self) -> dict[str, Truth]:
        """Every finished request by its X-Request-Id."""
        records = (msgspec.json.decode(line, type=Truth) for line in self._ask("GET").splitlines())
        return {record.id: record for record in records if record.id}

    def forget(self) -> None:
        """Empty the truth."""
        self._ask("DELETE")

    def _ask(self, method: str) -> bytes:
        client = (
            http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=120, context=ssl.create_default_context(cafile=self.ca_file)
            )
            if self.ca_file
            else http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        )
        try:
            client.request(method, "/truth")
            answer = client.getresponse()
            payload = answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{method} /truth answers HTTP {answer.status}: {payload[:200]!r}")
            return payload
        finally:
            client.close()


@dataclass(frozen=True)
class Outcome:
    """One `loadcell run`: its JSON result, its recording, and what the whole tree of its processes cost."""

    result: dict[str, Any]
    folder: Path
    wall_s: float
    cpu_s: float
    """User and system time of the command and all its children, from exec to exit."""


def cores() -> list[int]:
    """Cores this process may use; the engine takes the first, the load the last."""
    return sorted(os.sched_getaffinity(0))


@contextmanager
def engine(*flags: str, tls: bool = False) -> Iterator[Engine]:
    """An engine alone on the first core; `tls` gives it a certificate of a throw-away authority."""
    with work_folder() as folder:
        ca_file = None
        if tls:
            ca_file, cert, key = _certificates(folder)
            flags = (*flags, "--tls-cert", cert, "--tls-key", key)
        process = subprocess.Popen(
            [*LOADCELL, "serve", "--port", "0", "--cpu", str(cores()[0]), *flags], stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("listening on "):
                raise RuntimeError(f"the engine did not start with {' '.join(flags)}")
            yield Engine(line.split()[2], ca_file)
        finally:
            if process.poll() is not None:
                raise RuntimeError(f"the engine ended before its time, with status {process.returncode}")
            process.terminate()
            process.communicate(timeout=30)


@contextmanager
def work_folder() -> Iterator[Path]:
    """A folder on the disk of the project, gone afterwards."""
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as name:
        yield Path(name)


def run_loadcell(target: Engine, folder: Path, *flags: str) -> Outcome:
    """Run a load to its end; RuntimeError if a request failed."""
    ca = ("--ca-file", target.ca_file) if target.ca_file else ()
    before, start = _children_cpu_s(), time.perf_counter()
    done = subprocess.run(
        [*LOADCELL, "run", target.url, *ca, *flags, "--output", str(folder), "--json"],
        stdout=subprocess.PIPE,
        check=True,
    )
    wall_s = time.perf_counter() - start
    cpu_s, result = _children_cpu_s() - before, msgspec.json.decode(done.stdout)
    check_clean(result)
    return Outcome(result, folder, wall_s, cpu_s)


def check_clean(result: dict[str, Any]) -> None:
    """RuntimeError if a request failed, or if the result says of itself that it is invalid."""
    counts = result["counts"]["run"]
    if counts["failed"] or result["invalid"]:
        raise RuntimeError(f"the run is not clean: {counts}, {result['invalid']}, {result['errors']}")


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def nearest_rank(values: Numbers, percent: float) -> float:
    """The sample at rank ceil(p n) of n sorted samples; NaN of none."""
    if not values.size:
        return math.nan
    rank = max(math.ceil(percent / 100 * values.size), 1) - 1
    return float(np.partition(values, rank)[rank])


def _certificates(folder: Path) -> tuple[str, str, str]:
    """PEM files of a new authority, of a certificate for 127.0.0.1, and of its key."""
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    names = [str(folder / name) for name in ("ca.pem", "cert.pem", "key.pem")]
    authority.cert_pem.write_to_path(names[0])
    issued.cert_chain_pems[0].write_to_path(names[1])
    issued.private_key_pem.write_to_path(names[2])
    return names[0], names[1], names[2]
