"""Our client as LoadGen sees it, without LoadGen: every sample is told of exactly once, whatever becomes of it."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest
from small_engine import FAST, engine

from loadcell.load.preflight import reachable
from loadcell.load.target import make_target
from loadcell.mlperf.wheel.client import Client
from loadcell.mlperf.wheel.model import ROW, Job, Message
from loadcell.protocol.openai.dialect import chat_body
from loadcell.recording.schema import MISSING
from loadcell.spec import Endpoint
from loadcell.workload import load_tokenizer

pytestmark = pytest.mark.usefixtures("alone")

TOKENS = 3
TROUBLE = ("--error-rate", "0.3", "--cut-rate", "0.3", "--stall-rate", "0.1", "--stall", "5s")


class Ears:
    """What LoadGen would have heard: (what, id, number of token ids, tokens) in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int, int, int]] = []
        self.told: list[Message] = []

    def first(self, id: int, ids: array[int]) -> None:
        self.heard.append(("first", id, len(ids), 0))

    def done(self, id: int, ids: array[int], tokens: int) -> None:
        self.heard.append(("done", id, len(ids), tokens))

    def wait(self, count: int) -> None:
        limit_s = time.monotonic() + 20
        while sum(what == "done" for what, *_ in self.heard) < count:
            assert time.monotonic() < limit_s, self.heard
            time.sleep(0.01)


def write_bodies(file: IO[bytes], samples: int) -> None:
    places = array("q", [0])
    for sample in range(samples):
        payload = chat_body(b'{"model":"loadcell-engine","stream":true', f"sample {sample}", TOKENS)
        places.append(places[-1] + file.write(payload))
    file.write(places.tobytes())
    file.flush()


@contextmanager
def client(url: str, ears: Ears, *, samples: int = 8, cap: int | None = None, keep: bool = False) -> Iterator[Client]:
    """A client that runs in its thread."""
    target = make_target(Endpoint(url=url), None)
    with tempfile.TemporaryFile() as bodies:
        write_bodies(bodies, samples)
        job = Job(
            settings={}, samples=samples, logs="", target=target, addresses=[reachable(target, 5)], api="chat",
            stream=True, reuse=True, cap=cap, pool=2, timeout_s=1.5, connect_timeout_s=5, tell_first=True,
            keep=keep, tokenizer="smollm2", run_id="test", bodies_fd=bodies.fileno(), rows_fd=-1, messages_fd=-1,
        )  # fmt: skip
        made = Client(job, load_tokenizer("smollm2"), ears.first, ears.done, ears.told.append)
        assert made.prepare() is None
        thread = threading.Thread(target=made.run)
        thread.start()
        try:
            yield made
        finally:
            made.stop()
            thread.join()
            made.pool.close()
            for end in (made._wake_in, made._wake_out):
                os.close(end)


def rows_of(made: Client) -> list[dict[str, int]]:
    width = len(ROW)
    return [dict(zip(ROW, made.rows[i : i + width], strict=True)) for i in range(0, len(made.rows), width)]


@pytest.mark.parametrize("trouble", [(), TROUBLE])
def test_each_sample_is_told_of_once_first_token_before_end(trouble: tuple[str, ...]) -> None:
    ears = Ears()
    with engine(*FAST, *trouble) as url, client(url, ears) as made:
        for number in range(40):
            made.issue([(1000 + number, number % 8)])
        ears.wait(40)
    heard: dict[int, list[str]] = {}
    for what, id, _, _ in ears.heard:
        heard.setdefault(id, []).append(what)
    assert heard == {1000 + number: ["first", "done"] for number in range(40)}
    rows = rows_of(made)
    good = [row for row in rows if row["ok"]]
    assert len(rows) == 40 == len(good) + sum(made.failures.values())
    assert bool(made.failures) == bool(trouble) and made.failures.keys() <= {"http_500", "cut", "timeout"}
    assert {tokens for what, _, _, tokens in ears.heard if what == "done"} <= {TOKENS, 0}
    for row in good:
        times = [row[name] for name in ("issued_ns", "sent_ns", "first_ns", "told_first_ns")]
        assert MISSING not in times and times == sorted(times)
        assert row["first_ns"] <= row["end_ns"] <= row["told_end_ns"]


def test_no_more_are_under_way_than_the_cap() -> None:
    ears, most = Ears(), 0
    with engine("--ttft", "20ms", "--itl", "1ms") as url, client(url, ears, cap=3) as made:
        made.issue([(number, number % 8) for number in range(12)])
        while sum(what == "done" for what, *_ in ears.heard) < 12:
            most = max(most, len(made.flights))
            time.sleep(0.001)
    assert most == 3
    assert [row["query"] for row in rows_of(made)] == [0] * 12


def test_for_accuracy_loadgen_gets_the_ids_and_the_first_of_them() -> None:
    ears = Ears()
    with engine(*FAST) as url, client(url, ears, keep=True) as made:
        made.issue([(7, 0)])
        ears.wait(1)
    (_, _, first, _), (_, _, all_of_them, tokens) = ears.heard
    assert (first, tokens) == (1, TOKENS) and all_of_them >= TOKENS
    assert made.id_sources == {"tokenizer": 1}
