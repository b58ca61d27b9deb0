"""A worker process: `python -m loadcell.load.process FOLDER`, told its job on standard input.

It answers on standard output with one JSON line when it is ready, {"ready": true} or {"error": words}, then waits for
the start sign in shared memory. What it has to say at the end is in its audit file.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from array import array
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

if __name__ == "__main__":
    gc.disable()  # until its load is over: what is imported now stays, and looking through it takes 20 ms

import msgspec
import numpy as np

from loadcell.core import STALL_NS
from loadcell.errors import LoadcellError, RecordingError
from loadcell.load.audit import Audit
from loadcell.load.course import Course, course_of
from loadcell.load.host import raise_descriptor_limit
from loadcell.load.job import Job
from loadcell.load.live import Count, Live
from loadcell.load.looks import Looks
from loadcell.load.manners import PLANNED, Manners
from loadcell.load.rows import Events, Ledger
from loadcell.load.worker import TICK_NS, Worker
from loadcell.protocol import Evidence, Text, count
from loadcell.recording.read import read_columns
from loadcell.recording.schema import MISSING, TOKENS
from loadcell.recording.write import MISSING_INT, Columns, PartWriter, nameless_file, write_audit, write_part

_SWITCH_INTERVAL_S = 0.0005
"""The writing thread gives the interpreter back to the loop within this time."""


def main() -> int:
    """Do one job. Returns the exit status; the parent decides what it means."""
    # Ctrl-C is the parent's to answer: it tells the workers through shared memory.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_descriptor_limit()
    told = sys.stdin.buffer.read()
    if not told:  # whoever started it was killed while it prepared the run, and left its folder behind
        for left in sys.argv[1:]:
            with suppress(OSError):  # it holds something, or another worker was first
                Path(left).rmdir()
        return 0
    job = msgspec.json.decode(told, type=Job)
    live = Live(job.live_fd, job.workers)
    audit = Audit(job.worker, job.cpu)
    folder = Path(job.folder)
    with nameless_file(folder, "w+") as uncounted:
        try:
            schedule, course = _read_schedule(job, folder)
            looks, spells = Looks(TICK_NS + STALL_NS), list[tuple[int, int]]()
            events = Events(looks, spells)
            writer = PartWriter(folder, job.worker, events, spells)  # its thread may use every core; the loop one
            if job.cpu is not None:
                os.sched_setaffinity(0, {job.cpu})
            kept = uncounted if job.tokenizer != "none" else None
            ledger = Ledger(job.worker, writer, events, kept, job.secrets)
            manners = _read_manners(job, folder)
            worker = Worker(job, live, ledger, looks, schedule, audit, course, manners)
            error = worker.prepare()
        except LoadcellError as problem:
            error = str(problem)
        _settle()
        _say({"error": error} if error else {"ready": True})
        if error:
            return 1
        t0_ns = _wait_for_start(live)
        if t0_ns is None:
            return 0
        events.t0_ns = t0_ns
        _run(worker, t0_ns)
        try:
            _finish(worker, uncounted, folder)
        except RecordingError as problem:  # the disk does not even take this; the parent sees that the audit is missing
            sys.stderr.write(f"loadcell: worker {job.worker}: {problem}\n")
            return 1
    return 0


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _read_manners(job: Job, folder: Path) -> Manners | None:
    """What the users do beside waiting; None where all of them wait."""
    if not job.behaves:
        return None
    columns = read_columns(folder / "schedule.parquet", PLANNED)
    found = {name: values for name, values in columns.items() if not _is_empty(values)}
    return Manners(found) if found else None


def _is_empty(values: Any) -> bool:
    return bool(values.dtype.kind == "f" and (values != values).all())


def _read_schedule(job: Job, folder: Path) -> tuple[dict[str, array[int]], Course | None]:
    """The schedule as flat integers, and its sessions if it has such."""
    wanted = ("planned_ns", "input_tokens", "output_tokens", "inputs", "results", "class", "delay_ns")
    columns = read_columns(folder / "schedule.parquet", (*wanted, "session") if job.sessions else wanted)
    schedule = {}
    for name in wanted:
        values = columns[name]
        if values.dtype.kind != "f":
            schedule[name] = array("q", values.astype("int64").tobytes())
        elif name in ("planned_ns", "delay_ns") and not np.isnan(values).all():  # what waits for others has no plan
            schedule[name] = array("q", np.where(np.isnan(values), MISSING, values).astype("int64").tobytes())
        else:  # all of it is missing; the times of a closed loop are never looked at
            missing = 0 if name == "class" else MISSING_INT
            schedule[name] = array("q", [missing] * (0 if name in ("planned_ns", "delay_ns") else len(values)))
    waits = read_columns(folder / "waits.parquet", ("request", "waits_for")) if job.sessions else None
    return schedule, course_of(columns, waits)


def _wait_for_start(live: Live) -> int | None:
    parent = os.getppid()
    while not live.t0_ns:
        if live.stop or os.getppid() != parent:
            return None
        time.sleep(0.002)
    return live.t0_ns


def _settle() -> None:
    """Put the garbage collector away, before the start: looking through all that was imported takes it long."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.freeze()
    gc.disable()


def _run(worker: Worker, t0_ns: int) -> None:
    """The load itself."""
    worker.audit.begin(t0_ns)
    try:
        worker.run(t0_ns)
    except OSError as error:  # of files; those of sockets are answered where they arise
        worker.audit.died = error.strerror or str(error)
    worker.audit.end_load()
    worker.lanes.close()


def _finish(worker: Worker, uncounted: IO[str], folder: Path) -> None:
    audit, writer = worker.audit, worker.ledger.writer
    writer.close()
    audit.wordless = 0 if worker.talking is None else worker.talking.wordless
    audit.issued, audit.beyond = worker.count[Count.ISSUED], worker.count[Count.BEYOND]
    audit.died = audit.died or writer.error
    try:
        if not audit.died and uncounted.tell():
            count_tokens(uncounted, worker.job.tokenizer, folder, worker.job.worker)
    except OSError as error:  # the texts that wait to be counted have no room
        audit.died = error.strerror or str(error)
    audit.end()
    write_audit(folder, audit.worker, {**audit.as_dict(), "phrases": worker.ledger.phrases})


def count_tokens(uncounted: IO[str], name: str, folder: Path, worker: int) -> None:
    """Count the text of replies of which two sources do not agree, now that nothing is due any more."""
    from loadcell.workload import load_tokenizer

    tokenizer = load_tokenizer(name)
    uncounted.seek(0)
    columns = Columns(TOKENS)
    for line in uncounted:
        request, told, text = json.loads(line)
        tokens = tokenizer.count(text)
        evidence = Evidence(*told)
        found = count(evidence, Text(tokens, len(text.split())))
        row = {
            "request": request,
            "output_tokens": found.tokens,
            "text_tokens": tokens,
            "token_source": found.source,
            "first_tokens": 1 if found.source == "events" else None,
        }
        if found.before:
            row["first_tokens"] = found.before + max(1, round(found.came / evidence.events))
        columns.add(row)
    write_part(folder, "tokens", columns.data, worker=worker)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # All is written. Libraries that are torn down without the collector complain on standard error.
    os._exit(status)
