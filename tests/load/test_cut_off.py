"""The ordered end of sending: what is planned before it is sent, by every worker, and nothing else."""

from __future__ import annotations

import tempfile
from array import array
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from loadcell.load.due import Due
from loadcell.load.live import Live
from loadcell.load.tail import Tail

T0 = 1_000


def idle_worker(
    number: int, workers: int, live: Live, planned: list[int] | None, users: list[int]
) -> tuple[Due, list[int]]:
    """What a worker has to send, and where it notes what it sends: requests, or the times at which users were ready."""
    sent: list[int] = []
    rows = len(planned) if planned is not None else 10_000
    job = cast(
        Any,
        SimpleNamespace(
            users=None if planned is not None else len(users),
            end_ns=None,
            requests=None,
            least=0,
            worker=number,
            workers=workers,
            rows=rows,
            keep=False,
            starts_ns=users[number::workers],
        ),
    )

    def request(row: int, _: int, ready_ns: int) -> None:
        sent.append(row if planned is not None else ready_ns)

    timer, audit = cast(Any, SimpleNamespace(arm=lambda _: None)), cast(Any, SimpleNamespace())
    due = Due(job, live, Tail(job, live), array("q", planned or []), timer, audit, request)
    due.begin(T0)
    return due, sent


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
                    worker.send(T0 + now)
                    if random.random() < 0.5:
                        worker.past_end()
        everything = sorted(number for _, sent in crew for number in sent)
        assert all(worker.at_ns == 0 for worker, _ in crew), "each knows that it has nothing more to send"
        if open_loop:
            assert everything == [i for i, time in enumerate(times) if time < end]
        else:
            assert everything == [time for time in times if time < end]


def test_without_an_order_all_is_sent() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(bytes(Live.size(1)))
        file.flush()
        worker, sent = idle_worker(0, 1, Live(file.fileno(), 1), [0, 5, 9], [])
        worker.send(T0 + 100)
        assert sent == [0, 1, 2]
