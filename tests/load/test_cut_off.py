"""The ordered end of sending: what is planned before it is sent, by every worker, and nothing else."""

from __future__ import annotations

import heapq
import tempfile
from array import array
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from loadcell.load.live import Live
from loadcell.load.tail import Tail
from loadcell.load.worker import Worker

T0 = 1_000


def idle_worker(
    number: int, workers: int, live: Live, planned: list[int] | None, users: list[int]
) -> tuple[Any, list[int]]:
    """A worker without sockets, and where it notes what it sends: requests, or the times at which users were ready."""
    worker = cast(Any, Worker.__new__(Worker))
    sent: list[int] = []
    worker.t0, worker.live, worker.next, worker.due_ns, worker.starved_ns = T0, live, 0, 0, 0
    worker.timer = SimpleNamespace(arm=lambda _: None)
    worker.job = SimpleNamespace(
        users=None if planned is not None else len(users),
        end_ns=None,
        requests=None,
        least=0,
        worker=number,
        keep=False,
    )
    worker.tail = Tail(worker.job, live)
    worker.due = [T0 + ready for ready in users[number::workers]]
    heapq.heapify(worker.due)
    worker.schedule = {"planned_ns": array("q", planned or [])}
    worker.mine = range(number, len(planned) if planned is not None else 10_000, workers)

    def request(_: int, ready_ns: int) -> None:
        sent.append(worker.mine[worker.next] if planned is not None else ready_ns)
        worker.next += 1

    worker._request = request
    worker._arm()
    return worker, sent


@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=40).map(sorted),
    st.integers(1, 4),
    st.integers(0, 150),
    st.integers(1, 60),
    st.lists(st.integers(0, 300), max_size=60),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_the_end_is_exact_however_late_a_worker_wakes(
    times: list[int], workers: int, ordered: int, ahead: int, wakes: list[int], open_loop: bool, random: Any
) -> None:
    end = ordered + ahead
    with tempfile.TemporaryFile() as file:
        file.write(bytes(Live.size(workers)))
        file.flush()
        live = Live(file.fileno(), workers)
        crew = [idle_worker(w, workers, live, times if open_loop else None, times) for w in range(workers)]
        for now in sorted([*wakes, 10_000, 10_001]):
            if now >= ordered:
                live.end_ns = end
            for worker, _ in crew:
                if now >= 10_000 or random.random() < 0.5:
                    worker._send_due(T0 + now)
                    if random.random() < 0.5:
                        worker._past_end()
        everything = sorted(number for _, sent in crew for number in sent)
        assert all(worker.due_ns == 0 for worker, _ in crew), "each knows that it has nothing more to send"
        if open_loop:
            assert everything == [i for i, time in enumerate(times) if time < end]
        else:
            assert everything == [time for time in times if time < end]


def test_without_an_order_all_is_sent() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(bytes(Live.size(1)))
        file.flush()
        worker, sent = idle_worker(0, 1, Live(file.fileno(), 1), [0, 5, 9], [])
        worker._send_due(T0 + 100)
        assert sent == [0, 1, 2]
