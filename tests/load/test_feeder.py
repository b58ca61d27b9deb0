"""Request bodies made ahead of the load: the same bytes whoever makes them, as many as are wanted, gone when sent."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from loadcell.api_template import template_of
from loadcell.load import feeder
from loadcell.load.ahead import AHEAD_NS, Pace, first_rows, horizon_ns, used_rows
from loadcell.load.bodies import Source
from loadcell.load.feeder import Feed
from loadcell.load.live import Count, Live
from loadcell.load.prepare import Files, fill, nameless_files
from loadcell.load.spool import PLACE_BYTES, Bodies, Spool
from loadcell.protocol import dialect_of
from loadcell.workload import FilePrompts, SyntheticPrompts
from loadcell.workload.files import PromptFile
from loadcell.workload.requests import Seen
from loadcell.workload.rows import Rows

WORDS = ("one", "two", "three", "four", "five")
SECOND = 1_000_000_000


def synthetic(rows: int = 40, tokens: int = 50, seed: int = 7) -> Source:
    prompts = SyntheticPrompts(WORDS, np.full(rows, tokens, np.int32), seed)
    return Source("chat", [(b'{"model":"m"', "max_tokens")], prompts, np.arange(1, rows + 1, dtype=np.int32))


def of_lines(rows: int = 40, lines: int = 3) -> Source:
    """Rows that go round the lines of a file, each asking for one of two lengths."""
    own = tuple(b'{"messages":[],"user":"%b"}' % (b"line %d " % i * 30) for i in range(lines))
    none = np.zeros((lines, 2), np.int32)
    file = PromptFile("p.jsonl", own, none[:, 0], none, b"", Seen(), np.arange(lines), Rows("p.jsonl", ()))
    prompts = FilePrompts(file, np.arange(rows) % lines)
    return Source("chat", [(b'{"model":"m"', "max_tokens")], prompts, 1 + np.arange(rows, dtype=np.int32) // lines % 2)


def of_classes(source: Source) -> Source:
    """The same for two models in turn."""
    forms = [*source.forms, (b'{"model":"other"', "max_completion_tokens")]
    return dataclasses.replace(source, forms=forms, kinds=np.arange(len(source), dtype=np.int32) % 2)


def expected(source: Source) -> list[bytes]:
    """The bodies, made one by one."""
    asked = source.output_tokens.tolist()
    pairs = zip(source.prompts, asked, strict=True)
    body = dialect_of(source.api).body
    kinds = [0] * len(source) if source.kinds is None else source.kinds.tolist()
    forms = [source.forms[kind] for kind in kinds]
    return [body(prefix, prompt, most, field) for (prefix, field), (prompt, most) in zip(forms, pairs, strict=True)]


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    with nameless_files(tmp_path) as files:
        yield files


@pytest.fixture
def live(files: Files) -> Live:
    fill(files.live, Live.size(2))
    return Live(files.live, 2)


def spooled(source: Source, files: Files, live: Live, first: int) -> Bodies:
    """Rows before `first` written by one end, the others by another."""
    fill(files.places, PLACE_BYTES * len(source))
    head = Spool(files.segments, files.places, live)
    for payload in source.bodies(0):
        if head.row == first:
            break
        head.again(payload) if isinstance(payload, int) else head.add(payload)
    head.flush()
    rest = Spool(files.segments, files.places, live, row=first, keep_first=source.shared)
    for payload in source.bodies(first) if first < len(source) else ():
        rest.again(payload) if isinstance(payload, int) else rest.add(payload)
        rest.turn(0, 0)
    rest.flush()
    return Bodies(files.segments, files.places, len(source), live)


@pytest.mark.parametrize("first", [1, 2, 7, 39, 40])
@pytest.mark.parametrize(
    "source",
    [synthetic(), of_lines(), of_lines(lines=40), of_classes(synthetic()), of_classes(of_lines())],
    ids=["synthetic", "lines", "once", "classes", "lines of classes"],
)
def test_the_same_bytes_whoever_makes_them(source: Source, first: int, files: Files, live: Live) -> None:
    bodies = spooled(source, files, live, first)
    assert [bodies.read(row) for row in range(len(source))] == expected(source)


def test_a_line_sent_again_is_written_once(files: Files, live: Live) -> None:
    source = of_lines(rows=600)
    spooled(source, files, live, first=300)
    different = set(expected(source))
    assert os.fstat(files.segments[0]).st_size == sum(map(len, different)) and len(different) == 6
    assert os.fstat(files.segments[1]).st_size == 0


def test_a_body_is_there_once_it_is_written(files: Files, live: Live) -> None:
    source = synthetic(3)
    fill(files.places, PLACE_BYTES * 3)
    spool, bodies = Spool(files.segments, files.places, live), Bodies(files.segments, files.places, 3, live)
    payloads = expected(source)
    spool.add(payloads[0])
    assert not bodies.ready(0)
    spool.flush()
    assert bodies.ready(0) and not bodies.ready(1) and bodies.read(0) == payloads[0]


def test_files_are_emptied_behind_use(files: Files, live: Live) -> None:
    """1,000 bodies of 100 kB, of which 20 are ahead: the disk never holds 30 MB, and each reads as it was written."""
    rows, size, ahead = 1000, 100_000, 20
    fill(files.places, PLACE_BYTES * rows)
    head = Spool(files.segments, files.places, live)
    for row in range(ahead):
        head.add(b"%06d" % row + bytes(size - 6))
    head.flush()
    spool = Spool(files.segments, files.places, live, row=ahead, keep_first=False)
    bodies, most = Bodies(files.segments, files.places, rows, live), 0
    for used in range(rows):
        assert bodies.read(used)[:6] == b"%06d" % used and len(bodies.read(used)) == size
        spool.turn(used, ahead * size)
        if spool.row < rows:
            spool.add(b"%06d" % spool.row + bytes(size - 6))
            spool.flush()
        most = max(most, sum(os.fstat(fd).st_size for fd in files.segments))
    assert most < 30_000_000 < rows * size


def test_what_is_sent_again_stays(files: Files, live: Live) -> None:
    source = of_lines(rows=40)
    fill(files.places, PLACE_BYTES * 40)
    bodies = spooled(source, files, live, first=6)
    spool = Spool(files.segments, files.places, live, row=40, keep_first=True)
    spool.turn(40, 0)
    assert bodies.read(0) == expected(source)[0]


# --- the hash --------------------------------------------------------------------------------------------------------


def test_the_hash_tells_bodies_apart_and_nothing_else() -> None:
    base = synthetic(100)
    assert base.hash(100) == synthetic(100).hash(100)
    longer = dataclasses.replace(
        synthetic(120), output_tokens=np.concatenate([base.output_tokens, np.ones(20, np.int32)])
    )
    assert longer.hash(100) == base.hash(100) != longer.hash(120)  # rows that keep the load on are not in it
    other_length = dataclasses.replace(base, output_tokens=base.output_tokens + (np.arange(100) == 99))
    others = [
        synthetic(100, seed=8),
        synthetic(100, tokens=51),
        other_length,
        dataclasses.replace(base, forms=[(b'{"model":"n"', "max_tokens")]),
        dataclasses.replace(base, api="completions"),
        dataclasses.replace(base, forms=[(b'{"model":"m"', "max_completion_tokens")]),
        of_classes(base),
        dataclasses.replace(of_classes(base), kinds=np.arange(100, dtype=np.int32) % 3 // 2),
        of_lines(100),
        of_lines(100, lines=4),
    ]
    assert len({base.hash(100), *(other.hash(100) for other in others)}) == 1 + len(others)


def test_lines_that_are_not_sent_are_not_in_the_hash() -> None:
    assert of_lines(3, lines=3).hash(3) == of_lines(3, lines=9).hash(3)


# --- how many are wanted ---------------------------------------------------------------------------------------------


def test_an_open_loop_knows_its_pace() -> None:
    times = np.arange(1000, dtype=np.int64) * SECOND // 10
    assert first_rows(times, 1, 0.001, 100 * SECOND) == 200
    assert first_rows(times, 1, 0.001, 7 * SECOND) == 70
    pace = Pace(times, 1, 200, 100 * SECOND)
    assert [pace.wanted(at * SECOND, 0) for at in (0, 1, 50, 90)] == [200, 210, 700, 1000]


def test_a_closed_loop_has_the_pace_of_the_probe_then_its_own() -> None:
    assert first_rows(None, 8, 0.5, 60 * SECOND) == 8 + 8 * 40
    assert first_rows(None, 8, 0.5, 10 * SECOND) == 8 + 8 * 20
    assert first_rows(None, 8, None, 60 * SECOND) is None
    pace = Pace(None, 8, 328, 60 * SECOND)
    assert pace.wanted(0, 0) == 328
    seen = {at: pace.wanted(at * SECOND // 2, 4 * at) for at in range(1, 41)}  # 8 a second: half of what was thought
    assert seen[1] == seen[4] == 328
    assert seen[20] == 80 + 8 + 160 and seen[40] == 160 + 8 + 160
    assert pace.wanted(21 * SECOND, 160 + 40) > 200 + 8 + 200  # a burst counts at once


def test_what_ends_soon_needs_less() -> None:
    assert horizon_ns(0, None) == horizon_ns(0, 60 * SECOND) == AHEAD_NS
    assert horizon_ns(48 * SECOND, 60 * SECOND) == 12 * SECOND
    assert horizon_ns(70 * SECOND, 60 * SECOND) == 5 * SECOND  # what keeps the load on


def test_rows_in_use_are_those_of_every_worker(live: Live) -> None:
    live.cells(0)[Count.ISSUED], live.cells(1)[Count.ISSUED] = 5, 2
    assert used_rows(live) == (1 + 2 * 2, 2 * 5)


# --- the process -----------------------------------------------------------------------------------------------------


def feed(source: Source, files: Files, first: int, **changes: object) -> Feed:
    told = Feed(
        source, first, 2, files.live, files.places, files.segments,
        planned_ns=None, users=8, suggested=first, end_ns=None, keep=False, cores=[],
    )  # fmt: skip
    return dataclasses.replace(told, **changes)  # type: ignore[arg-type]


@contextmanager
def started(
    source: Source, files: Files, live: Live, first: int, **changes: object
) -> Iterator[tuple[subprocess.Popen[bytes], Bodies]]:
    fill(files.places, PLACE_BYTES * len(source))
    head = Spool(files.segments, files.places, live)
    for payload in source.bodies(0):
        if head.row == first:
            break
        head.again(payload) if isinstance(payload, int) else head.add(payload)
    head.flush()
    with feeder.start(files.all()) as process:
        try:
            feeder.tell(process, feed(source, files, first, **changes))
            assert feeder.said(process) is None
            yield process, Bodies(files.segments, files.places, len(source), live)
        finally:
            process.kill()


def until(what: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something holds: the feeder has the last word on no busy machine."""
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.mark.usefixtures("processes")
def test_the_process_makes_what_is_wanted_and_waits(files: Files, live: Live) -> None:
    source = synthetic(400)
    with started(source, files, live, first=10, suggested=100) as (process, bodies):
        until(lambda: live.made >= 100 and live.feeder_cpu_ns and live.feeder_bytes)
        assert live.made == 100 and live.feeder_rows == 90  # as the probe suggested, before the load has a pace
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 19
        if hasattr(os, "SCHED_IDLE"):
            assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE
        live.t0_ns = time.monotonic_ns() - 10 * SECOND
        live.cells(0)[Count.ISSUED] = live.cells(1)[Count.ISSUED] = 100  # 20 a second
        until(lambda: process.poll() is not None)
        assert live.made == 400 and process.returncode == 0
        assert live.feeder_bytes == sum(map(len, expected(source)[10:]))
        assert [bodies.read(row) for row in range(10, 400)] == expected(source)[10:]


@pytest.mark.usefixtures("processes")
def test_the_process_ends_with_the_load(files: Files, live: Live) -> None:
    with started(synthetic(400), files, live, first=10) as (process, _):
        live.stop = True
        assert process.wait(60) == 0
    assert live.made < 400


@pytest.mark.usefixtures("processes")
def test_a_template_that_makes_no_body_is_told(files: Files, live: Live) -> None:
    body = '{"p": {{ prompt | tojson }}, "n": {{ 100 // (50 - max_tokens) }}}'
    api = template_of({"name": "t.yaml", "path": "/p", "body": body, "event": {"text": "t", "done": "d"}}, "t.yaml")
    dialect = dialect_of(api)
    prefix = dialect.prefix("m", True, dialect.form, {})
    source = dataclasses.replace(synthetic(400), api=api, forms=[(prefix, dialect.form.max_tokens_field)])
    with started(source, files, live, first=10, suggested=400) as (
        process,
        bodies,
    ):
        words = "t.yaml: body, line 1: integer division or modulo by zero"
        assert feeder.said(process) == f"the request bodies could not be made: {words}"
        assert process.wait(60) == 1
        assert bodies.read(0).endswith(b',"n":2}')


@pytest.mark.usefixtures("processes")
def test_a_disk_that_takes_no_more_is_told(files: Files, live: Live) -> None:
    read_only = os.open(os.devnull, os.O_RDONLY)
    try:
        broken = Files(files.live, files.outcomes, files.places, [files.segments[0], read_only])
        with started(synthetic(400), broken, live, first=10, suggested=400) as (process, _):
            assert feeder.said(process) == "the request bodies could not be made: Bad file descriptor"
            assert process.wait(60) == 1
    finally:
        os.close(read_only)
