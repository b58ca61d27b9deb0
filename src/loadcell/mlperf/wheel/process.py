"""The child: `python -m loadcell.mlperf.wheel.process`, told its job on standard input.

LoadGen runs in the main thread, which it blocks, and calls back from threads of its own.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import traceback
from array import array
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from loadcell.load.host import raise_descriptor_limit
from loadcell.mlperf.wheel.client import Client, Done, First
from loadcell.mlperf.wheel.model import Job, Message
from loadcell.workload import load_tokenizer

_SWITCH_INTERVAL_S = 0.0005
"""The thread of the sockets gives the interpreter to LoadGen's within this time."""


def main() -> int:
    """Do one job. Returns the exit status; the parent decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    raise_descriptor_limit()
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)

    def tell(message: Message) -> None:
        os.write(job.messages_fd, msgspec.json.encode(message) + b"\n")

    import mlperf_loadgen as lg

    tokenizer = load_tokenizer(job.tokenizer) if job.tokenizer != "none" else None
    if tokenizer is not None:
        tokenizer.count("")  # it is read now, not beside the load
    client = Client(job, tokenizer, *_ears(lg, counted=job.settings["use_token_latencies"]), tell)
    if error := client.prepare():
        tell(Message(error=error))
        return 1
    _settle()
    tell(Message(started=True))
    thread = threading.Thread(target=_guarded(client.run), daemon=True)
    thread.start()
    _start(lg, job, client)
    client.stop()
    thread.join()
    with os.fdopen(job.rows_fd, "wb") as file:
        client.rows.tofile(file)
    tell(msgspec.structs.replace(client.counts, ended=client.ended()))
    return 0


def _ears(lg: Any, *, counted: bool) -> tuple[First, Done]:
    """How LoadGen is told of a first token and of a completion; the ids stay alive until it has read them."""

    def first(id: int, ids: array[int]) -> None:
        address, count = ids.buffer_info()
        lg.FirstTokenComplete([lg.QuerySampleResponse(id, address, count * ids.itemsize)])

    def done(id: int, ids: array[int], tokens: int) -> None:
        address, count = ids.buffer_info()
        tail = (tokens,) if counted else ()
        lg.QuerySamplesComplete([lg.QuerySampleResponse(id, address, count * ids.itemsize, *tail)])

    return first, done


def _start(lg: Any, job: Job, client: Client) -> None:
    """LoadGen from its settings to the end of its logs."""
    settings = lg.TestSettings()
    named = {"scenario": lg.TestScenario, "mode": lg.TestMode}
    for name, value in job.settings.items():
        setattr(settings, name, getattr(named[name], value) if name in named else value)
    logs = lg.LogSettings()
    logs.log_output.outdir = job.logs
    logs.log_output.copy_summary_to_stdout = False
    logs.enable_trace = False
    issue = _guarded(lambda samples: client.issue([(sample.id, sample.index) for sample in samples]))
    sut = lg.ConstructSUT(issue, lambda: None)
    qsl = lg.ConstructQSL(job.samples, job.samples, lambda _: None, lambda _: None)
    lg.StartTestWithLogSettings(sut, qsl, settings, logs, f"{job.logs}/no-audit.config")
    lg.DestroyQSL(qsl)
    lg.DestroySUT(sut)


def _guarded(work: Callable[..., None]) -> Callable[..., None]:
    """The work; an error in it ends the process, for LoadGen would wait for ever."""

    def guarded(*args: Any) -> None:
        try:
            work(*args)
        except BaseException:  # noqa: BLE001 - whatever it is, nobody else would hear of it
            traceback.print_exc()
            _leave(70)

    return guarded


def _settle() -> None:
    """Put the garbage collector away: looking through all that was imported takes it long."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.disable()


def _leave(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _leave(main())
