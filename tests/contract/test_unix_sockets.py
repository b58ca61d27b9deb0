"""Loads over unix sockets: without stamps of the kernel, with times that are true all the same, in both forms."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract_runs import Run, ask
from known import Witness, lies_in, reply
from scripted import serve

from loadcell.cli.main import main
from loadcell.core.native import form as library_form
from loadcell.core.native import library
from loadcell.errors import EndpointError, UsageError
from loadcell.load.host import is_local, listeners, owners
from loadcell.load.target import make_target, resolve
from loadcell.load.wire import ConnectError, Connection
from loadcell.spec import Endpoint
from loadcell.urls import full_url


@pytest.fixture
def place() -> Iterator[str]:
    """A path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="lc") as folder:
        yield f"{folder}/api.sock"


@pytest.fixture(params=["auto", "no"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The form of the core, for this process and for workers that are started anew."""
    monkeypatch.setenv("LOADCELL_NATIVE", request.param)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)  # else they are forks of what has loaded it
    library.cache_clear()
    yield "Python" if request.param == "no" else library_form()[0]
    library.cache_clear()


def test_a_load_over_one_is_true_and_says_which_clock_it_had(run: Run, alone: None, form: str, place: str) -> None:
    witness = Witness()
    with serve(witness(lambda _: reply(6, first_s=0.03, gap_s=0.01)), host=place) as server:
        ran = run(full_url(f"unix:{place}"), requests=20, output_tokens="6")
    assert ran.statuses == ["ok"] * 20
    bounds = witness.bounds_ms(ran.rows, witness.t0_ns(ran.rows))
    for name in ("ttft", "e2e"):
        assert lies_in(ran.result.latency[f"{name}_ms"].service.mean, bounds[name], 3)
    assert {request.headers["host"] for request in server.received} == {"localhost"}
    assert {request.path for request in server.load} == {"/v1/chat/completions"}
    told = ran.result.instrument
    assert (ran.manifest.clock, told.clock, ran.manifest.core) == ("user", "user", form)
    assert told.reads_without_stamp == told.reads
    assert ran.manifest.effective["address"] == place
    assert ran.manifest.effective["url"] == f"{server.url}/v1/chat/completions"
    assert any(note.startswith("a unix socket has no receive stamps") for note in ran.manifest.notes)
    assert server.connections < 20, "they are kept"


def test_the_command_takes_both_forms(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(host=place) as server:
        for number, url in enumerate((f"unix:{place}", f"{server.url}/v1")):
            main(
                [
                    "run",
                    url,
                    "--requests",
                    "4",
                    "--concurrency",
                    "2",
                    "--no-html",
                    "--output",
                    str(tmp_path / f"{number}"),
                ]
            )
            said = capsys.readouterr().out
            assert "http+unix://" in said
    assert {request.path for request in server.load} == {"/v1/chat/completions"}


def test_a_proxy_of_the_environment_is_none_for_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    made = make_target(Endpoint(url="http+unix://%2Ftmp%2Fx.sock"), None)
    assert (made.proxy, resolve(made)[0][1]) == (None, ("/tmp/x.sock",))


def test_its_server_is_on_this_machine_and_found(place: str) -> None:
    with serve(host=place) as server:
        address = resolve(make_target(Endpoint(url=server.url), None))[0]
        assert is_local(address)
        assert os.getpid() in set(owners(listeners(address)))


def test_nobody_listens_there(place: str) -> None:
    with pytest.raises(EndpointError, match=r"cannot connect to http\+unix://.*no socket is there"):
        ask(full_url(f"unix:{place}"))
    Path(place).touch()
    with pytest.raises(EndpointError, match=r"cannot connect to http\+unix://.*refused"):
        ask(full_url(f"unix:{place}"))


def test_a_server_that_does_not_accept_is_said_and_not_waited_for(place: str) -> None:
    target = make_target(Endpoint(url=full_url(f"unix:{place}")), None)
    (address,) = resolve(target)
    opened: list[Connection] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen(0)
        with pytest.raises(ConnectError, match="the socket's queue of connections is full"):
            for number in range(10):
                opened.append(Connection(number, target, address, None))
        assert opened and opened[0].advance() is None and opened[0].min_rtt_ns() is None
    for connection in opened:
        connection.close()


@pytest.mark.parametrize("text", ["unix:/", "http+unix:///tmp/x.sock", "http+unix://tmp/v1"])
def test_what_names_no_socket(text: str) -> None:
    with pytest.raises(UsageError, match=r"names no socket: write unix:/path/to\.sock"):
        full_url(text)


def test_both_forms_are_one() -> None:
    assert full_url("unix:///tmp/x.sock") == full_url("unix:/tmp/x.sock") == "http+unix://%2Ftmp%2Fx.sock"
    assert full_url("HTTP+UNIX://%2ftmp%2Fx.sock/v1?a=b") == "http+unix://%2Ftmp%2Fx.sock/v1?a=b"
