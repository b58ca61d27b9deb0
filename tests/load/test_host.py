"""What the machine allows and does, and where the server runs."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from loadcell.load.environment import command_line, environment
from loadcell.load.host import (
    allowed_cores,
    core_ticks,
    descriptor_limit,
    is_local,
    listeners,
    server_place,
    steal_share,
)
from loadcell.load.target import Address, Target
from loadcell.spec import build_spec, secrets_of

pytestmark = pytest.mark.usefixtures("processes")

needs_proc = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="/proc is Linux's")
HERE = set(allowed_cores())
STAT = """\
cpu  1 2 3 4 5 6 7 8 9 10
cpu0 100 0 50 800 0 0 0 50 30 0
cpu1 100 0 100 800 0 0 0 0 0 0
cpu11 9 9 9 9 9 9 9 900 0 0
intr 1 2 3
"""


def test_stolen_time_is_that_of_the_allowed_cores(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text(STAT)
    assert core_ticks([0, 1], stat) == (50, 2000)
    assert core_ticks([1], stat) == (0, 1000)
    assert core_ticks([], stat) is None
    assert core_ticks([0], tmp_path / "none") is None


def test_steal_share() -> None:
    assert steal_share((50, 2000), (60, 2200)) == 0.05
    assert steal_share((50, 2000), (50, 2000)) is None
    assert steal_share(None, (50, 2000)) is None
    assert steal_share((50, 2000), None) is None


@needs_proc
def test_this_machine_tells_its_ticks() -> None:
    ticks = core_ticks(HERE)
    assert ticks and 0 <= ticks[0] < ticks[1]


# --- where the server runs -------------------------------------------------------------------------------------------


def target(host: str = "server", proxy: str | None = None) -> Target:
    return Target(host=host, port=80, tls=False, prefix="/v1", origin="", headers={}, proxy=proxy)


@pytest.fixture(params=["127.0.0.1", "0.0.0.0", "::1", "::"])
def listening(request: pytest.FixtureRequest) -> Iterator[Address]:
    """How to reach a socket that listens on an address."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    try:
        server = socket.create_server((request.param, 0), family=family, dualstack_ipv6=request.param == "::")
    except OSError:
        pytest.skip("no IPv6 here")
    with closing(server):
        dialled = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(request.param, request.param)
        yield (socket.AF_INET6 if ":" in dialled else socket.AF_INET, (dialled, server.getsockname()[1]))


@needs_proc
def test_a_server_on_this_machine_is_found_by_its_socket(listening: Address) -> None:
    assert len(listeners(listening)) == 1
    assert server_place(target(), listening, HERE) == "same cores"
    assert server_place(target(), listening, {max(HERE) + 1}) == "other cores"


@needs_proc
def test_the_socket_that_names_the_address_is_the_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
        with socket.create_server(("127.0.0.2", port)):
            (inode,) = listeners((socket.AF_INET, ("127.0.0.1", port)))
    assert inode.isdigit()


@needs_proc
@pytest.mark.skipif(len(HERE) < 2, reason="takes two cores")
def test_a_pinned_server_is_on_other_cores() -> None:
    code = (
        f"import os, socket; os.sched_setaffinity(0, {{{min(HERE)}}}); s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout
        address = (socket.AF_INET, ("127.0.0.1", int(process.stdout.readline())))
        assert server_place(target(), address, HERE - {min(HERE)}) == "other cores"
        assert server_place(target(), address, HERE) == "same cores"
        process.communicate("\n")


def test_a_server_whose_process_does_not_show_is_on_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = (socket.AF_INET, ("127.0.0.1", gone.getsockname()[1]))
    assert server_place(target(), address, HERE) == "this machine"


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("0.0.0.0", True), ("::1", True), ("::ffff:127.0.0.1", True),
     ("203.0.113.1", False), ("2001:db8::1", False)],
)  # fmt: skip
def test_which_addresses_are_this_machines_own(address: str, local: bool) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    assert is_local((family, (address, 80))) is local


def test_an_address_of_a_network_interface_is_this_machines_own() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("203.0.113.1", 80))  # sends nothing
        except OSError:
            pytest.skip("no network here")
        mine = sock.getsockname()[0]
    assert is_local((socket.AF_INET, (mine, 80)))


def test_behind_a_proxy_the_place_is_the_servers_not_the_proxys() -> None:
    proxy_address = (socket.AF_INET, ("127.0.0.1", 9))
    assert server_place(target("203.0.113.1", "127.0.0.1:9"), proxy_address, HERE) == "elsewhere"
    assert server_place(target("api.example", "127.0.0.1:9"), proxy_address, HERE) is None
    assert server_place(target("localhost", "203.0.113.9:9"), (socket.AF_INET, ("203.0.113.9", 9)), HERE) is not None


# --- limits and the environment --------------------------------------------------------------------------------------


def test_a_load_process_takes_all_the_descriptors_it_may() -> None:
    code = (
        "import resource as r; from loadcell.load.host import descriptor_limit, raise_descriptor_limit\n"
        "r.setrlimit(r.RLIMIT_NOFILE, (64, 200)); raise_descriptor_limit()\n"
        "assert r.getrlimit(r.RLIMIT_NOFILE) == (200, 200) and descriptor_limit() == 200"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert descriptor_limit() >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0


URL = "http://me:pw@127.0.0.1:9/v1?k=v"
SPEC = build_spec({"endpoint": {"url": URL, "headers": {"X-Short": "abc", "X-Long": "long-secret"}}})


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([URL, "--rate", "2"], ["http://<redacted>@127.0.0.1:9/v1?<redacted>", "--rate", "2"]),
        (["--header", "X-Short=abc"], ["--header", "X-Short=<redacted>"]),
        (["--header=X-Short: abc"], ["--header=X-Short:<redacted>"]),
        (["--header", "X-Long:a=b"], ["--header", "X-Long:<redacted>"]),
        (["--set", 'endpoint.headers={"X-Short": "abc"}'], ["--set", "endpoint.headers=<redacted>"]),
        (["--set=endpoint.headers={}"], ["--set=endpoint.headers=<redacted>"]),
        (["--set", f"endpoint.url={URL}"], ["--set", "endpoint.url=http://<redacted>@127.0.0.1:9/v1?<redacted>"]),
        (["--spec", "of-long-secret.yaml"], ["--spec", "of-<redacted>.yaml"]),
        (["--json"], ["--json"]),
        (["--webhook", "https://hooks.io/services/T0/B0/x9"], ["--webhook", "https://hooks.io/<redacted>"]),
        (["--webhook=http://h:1"], ["--webhook=http://h:1<redacted>"]),
        (["--sink", "corp:project=chat,token=x9"], ["--sink", "corp:project=<redacted>,token=<redacted>"]),
        (["--sink", "mlflow"], ["--sink", "mlflow"]),
    ],
)
def test_the_command_is_shown_without_its_secrets(words: list[str], shown: list[str]) -> None:
    secrets = sorted(secrets_of(SPEC, None), key=len, reverse=True)
    assert command_line(["/opt/bin/loadcell", "run", *words], secrets) == ["loadcell", "run", *shown]
    module = "/opt/lib/loadcell/__main__.py"
    assert command_line([module, *words], secrets) == ["loadcell", *shown]


def test_the_words_of_another_program_are_its_own_affair() -> None:
    assert command_line(["/opt/lib/pytest/__main__.py", "--token", "1234"], []) is None


@pytest.mark.skipif(sys.platform != "linux", reason="these facts are Linux's")
def test_the_environment_tells_what_bounds_the_load() -> None:
    facts = environment([])
    assert facts["affinity"] == allowed_cores() and facts["cores_allowed"] == len(HERE)
    assert facts["descriptor_limit"] == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    low, high = map(int, facts["port_range"].split())
    assert 0 < low < high < 65536
    assert facts["clock_synchronized"] in (True, False)
