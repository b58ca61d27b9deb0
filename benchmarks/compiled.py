"""The benchmarks' own C programs, compiled on demand: a server of known timing, and the floor of a client."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import ROOT, WORK, Engine, cores

_FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror")


class NotCompiled(RuntimeError):
    """There is no C compiler, or it refused a program; the message says which."""


def program(name: str) -> Path:
    """The program of benchmarks/NAME.c, compiled unless that was done before; NotCompiled without a compiler."""
    wanted = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if not wanted:
        raise NotCompiled("there is no C compiler: install gcc or clang, or name one by CC")
    source = ROOT / "benchmarks" / f"{name}.c"
    command = [*wanted.split(), *_FLAGS]
    key = hashlib.sha256(b"\0".join([source.read_bytes(), *map(str.encode, command)])).hexdigest()[:16]
    made = WORK / f"{name}-{key}"
    if not made.exists():
        WORK.mkdir(exist_ok=True)
        draft = made.with_name(f"{made.name}.{os.getpid()}")
        try:
            done = subprocess.run([*command, source, "-o", draft], capture_output=True, text=True, check=False)
        except OSError as error:
            raise NotCompiled(f"{wanted} cannot be run: {error.strerror}") from None
        if done.returncode:
            raise NotCompiled(f"{wanted} does not compile {source.name}: {done.stderr[-2000:]}")
        draft.replace(made)  # whole or not at all, whoever else compiles it
    return made


@contextmanager
def known_server(ttft_ms: float, itl_ms: float) -> Iterator[Engine]:
    """The server of known timing, alone on the first core; it tells its truth as the embedded engine does."""
    command = [str(program("known_server")), "0", f"{ttft_ms * 1e3:.0f}", f"{itl_ms * 1e3:.0f}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            os.sched_setaffinity(process.pid, {cores()[0]})
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("listening on "):
                raise RuntimeError("the server of known timing did not start: its error stands above")
            yield Engine(line.split()[2])
            if process.poll() is not None:
                raise RuntimeError(f"the server of known timing ended with status {process.returncode}")
        finally:
            process.terminate()


@contextmanager
def client_cores() -> Iterator[None]:
    """Keep what is started meanwhile off the first core, where there is another."""
    here = cores()
    os.sched_setaffinity(0, set(here[1:] or here))
    try:
        yield
    finally:
        os.sched_setaffinity(0, set(here))


def floor_us(target: Engine, streams: int, requests: int, output_tokens: int, ramp_s: float) -> float:
    """CPU µs a token of the floor in C under that load, its start included."""
    words = (target.port, streams, requests, output_tokens, ramp_s)
    done = subprocess.run([str(program("floor")), *map(str, words)], stdout=subprocess.PIPE, check=True)
    told = json.loads(done.stdout)
    return float(told["cpu_s"]) * 1e6 / float(told["tokens"])
