"""What runs where there is no epoll, no timerfd and no kernel stamp."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from contract_runs import run_once
from scripted import clean, serve

from loadcell.core.poller import READABLE, WRITABLE, EpollPoller, Poller, SelectorPoller
from loadcell.load import crew

pytestmark = pytest.mark.usefixtures("processes")

PORTABLE = """
from loadcell.core import clock
from loadcell.core.poller import SelectorPoller
from loadcell.load import wire, worker
from loadcell.load.process import main
import os

class NoTimer:
    fd = None
    def arm(self, when_ns): pass
    def clear(self): pass

def no_stamps(sock): pass

worker.make_poller, worker.Timer = SelectorPoller, NoTimer
clock.enable_kernel_stamps = wire.enable_kernel_stamps = no_stamps
os._exit(main())
"""


@pytest.mark.parametrize("load", [{"concurrency": 3}, {"rate": 60.0}], ids=["closed", "open"])
def test_a_run_without_any_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: dict[str, Any]) -> None:
    monkeypatch.setattr(crew, "WORKER_COMMAND", (sys.executable, "-c", PORTABLE))
    monkeypatch.setattr(crew, "can_fork", lambda: False)
    with serve(lambda _: clean(3, ttft_s=0.02)) as server:
        ran = run_once(server.url, tmp_path / "run", requests=9, **load)
    rows = ran.rows
    assert [row["status"] for row in rows] == ["ok"] * 9
    assert [row["output_tokens"] for row in rows] == [3] * 9
    assert all(row["first_any_ns"] - row["send_start_ns"] >= 0.02e9 for row in rows)
    if "rate" in load:
        assert all(row["send_start_ns"] >= row["planned_ns"] for row in rows)
    instrument = ran.result.instrument
    assert instrument.reads_without_stamp == instrument.reads
    assert instrument.read_lag.n == 0


@pytest.mark.parametrize("make", [EpollPoller, SelectorPoller])
def test_pollers_have_one_face(make: type[Poller]) -> None:
    if make is EpollPoller and sys.platform != "linux":
        pytest.skip("epoll is Linux's")
    poller = make()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fd = ours.fileno()
        poller.add(fd, WRITABLE)
        assert poller.poll(1) == [(fd, WRITABLE)]
        poller.change(fd, READABLE)
        assert poller.poll(0) == []
        theirs.send(b"x")
        assert poller.poll(1) == [(fd, READABLE)]
        poller.change(fd, READABLE | WRITABLE)
        assert poller.poll(1) == [(fd, READABLE | WRITABLE)]
        ours.recv(1)
        theirs.close()
        poller.change(fd, READABLE)
        ((ready, mask),) = poller.poll(1)
        assert ready == fd and mask & READABLE
        poller.remove(fd)
        assert poller.poll(0) == []
