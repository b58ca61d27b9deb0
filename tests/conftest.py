"""What every test relies on of the process that runs it, and what sorts tests into lanes.

A test that starts a process or listens on a port says so by a fixture, its own or one of those that it uses:
`processes`, or `alone` where other load on the machine could spoil what it asserts. Who says neither fails if it starts
one all the same, and is in the quick lane (`make quick`) unless it asks for `thorough`.
"""

from __future__ import annotations

import atexit
import functools
import multiprocessing.process
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from loadcell.core.clock import HAS_KERNEL_STAMPS, STAMP_BYTES, enable_kernel_stamps
from loadcell.load import local

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Background jobs of shells and many CI runners start with Ctrl-C ignored, and so would each process of a test.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # so do those under nohup with the end of a terminal

# Each process of a test would compile what it imports anew where bytecode is not kept: seconds of each.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What commands keep in a user's state is not that of who runs the tests.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="loadcell-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

platform.processor()  # asks a process for it once, which no test is then blamed for

# Loads of a user on one machine see each other here: those of tests only those of their own process.
os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="loadcell-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_RUNTIME_DIR"], ignore_errors=True)


@pytest.fixture(scope="session")
def processes() -> None:
    """For tests and fixtures that start processes or listen on a port."""


@pytest.fixture(scope="session")
def thorough() -> None:
    """For those that compute for seconds."""


@pytest.fixture(scope="session")
def alone(processes: None) -> None:
    """For those whose figures depend on when something happens: they run one after another, on a quiet machine."""


@pytest.fixture(scope="session")
def stamping(processes: None) -> Iterator[None]:
    """For those that look at the kernel's stamps: it begins with them some time after the first socket asks for them,
    and goes on while one that did is open."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as ours:
        theirs, _ = server.accept()
        enable_kernel_stamps(ours)
        limit = time.monotonic() + 10
        with theirs:
            while HAS_KERNEL_STAMPS and time.monotonic() < limit:
                theirs.send(b"a token")
                if ours.recvmsg(100, STAMP_BYTES)[1]:
                    break
                time.sleep(0.001)
            yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=20, help="simulations of a search, and a fifth of a law's examples")


def pytest_configure(config: pytest.Config) -> None:
    # Tests assert what is so, not how fast: machines pause.
    settings.register_profile("lane", deadline=None, max_examples=5 * config.getoption("--seeds"))
    settings.load_profile("lane")
    local.USUAL = ()  # a server that happens to run on this machine is none of a test's


@pytest.fixture(scope="session")
def seeds(pytestconfig: pytest.Config) -> range:
    """Of the simulations whose number may be small where time counts."""
    return range(pytestconfig.getoption("--seeds"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        used = getattr(item, "fixturenames", ())
        item.add_marker(next((lane for lane in ("alone", "processes", "thorough") if lane in used), "quick"))


_confined: set[pytest.Item] = set()
"""The test that runs, if it has not asked for processes."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    if not item.get_closest_marker("alone") and not item.get_closest_marker("processes"):
        _confined.add(item)
    try:
        return (yield)
    finally:
        _confined.clear()


def _guarded(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(*args: Any, **options: Any) -> Any:
        if _confined:
            pytest.fail("a test that starts a process or listens on a port asks for the fixture `processes` or `alone`")
        return original(*args, **options)

    return call


for _owner, _name in (
    (subprocess.Popen, "__init__"), (multiprocessing.process.BaseProcess, "start"), (socket.socket, "listen"),
    (os, "fork"), (os, "forkpty"), (os, "posix_spawn"), (os, "posix_spawnp"),
):  # fmt: skip
    setattr(_owner, _name, _guarded(getattr(_owner, _name)))
