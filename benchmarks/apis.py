"""The cost of a token in each streaming API, beside that of chat: whole where the embedded engine speaks it, and of
reading it in every one."""

from __future__ import annotations

import gc
from collections import defaultdict
from statistics import median
from time import process_time_ns
from typing import Any

from common import Engine, engine, run_loadcell, work_folder
from fuzz_replies import SPOKEN
from tables import Row, Table

from loadcell.core import Tape, make_tape
from loadcell.protocol import Reply

_APIS = ("completions", "messages", "responses")
_RATIO = 1.2
_TOKENS = 200
_LOAD = ("--concurrency", "64", "--input-tokens", "128", "--output-tokens", str(_TOKENS))
_MS, _SLICE = 1_000_000, 64
_COLUMNS = ("API", "whole µs", "worker µs", "whole / chat", "in the rounds", "worker / chat")


def measure(quick: bool) -> list[Table]:
    """What a token costs in all, and what reading it costs."""
    requests, rounds = (64, 1) if quick else (640, 3)
    flags = (*_LOAD, "--requests", str(requests))
    notes = (
        f"`loadcell run URL --api NAME {' '.join(flags)}` against the embedded engine at 64 x 100 tokens/s, in each "
        "round one API after the other. Whole: user and system time of all processes of the command, from exec to "
        "exit, over the tokens; worker: `instrument.cpu_us_per_token` of the result. Medians of the rounds; the ratios "
        "are medians of those of each round.",
    )
    table = Table("CPU a token, by API", _COLUMNS, notes=notes)
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with engine("--ttft", "50ms", "--itl", "10ms", "--slots", "64") as target:
        for _ in range(rounds):
            for api in ("chat", *_APIS):
                found[api].append(_cost(target, api, flags, requests * _TOKENS))
    for api, costs in found.items():
        table.rows.append(_row(api, costs, found["chat"]))
    worker = median(worker for _, worker in found["chat"])
    return [table, _readings(worker, 20 if quick else 200)]


def _readings(worker: float, replies: int) -> Table:
    """What reading costs in each API, as a share of all that a worker does for a token of chat (µs)."""
    notes = (
        f"Reading: replies of {_TOKENS} tokens, an event each in a read of its own, from their tapes to their events, "
        f"{replies} of them one after the other; the least of 3 tries. `numbered`: events have their own ids, counts, "
        "log probabilities and moments, as servers write them. Worker / chat: what a worker does for a token of chat "
        "in the table above, less reading it, and reading one of this API, over the former.",
    )
    table = Table("CPU of reading a token, by API", ("API", "reading µs", "worker / chat"), notes=notes)
    of_text = {name: spoken for name, spoken in SPOKEN.items() if spoken.dialect.generates and "template" not in name}
    costs = {name: _reading_us(spoken, replies) for name, spoken in of_text.items()}
    for name, cost in costs.items():
        ratio = (worker + cost - costs["chat"]) / worker
        table.rows.append(Row((name, f"{cost:.2f}", f"{ratio:.2f}"), f"<= {_RATIO}", ratio <= _RATIO))
    return table


def _reading_us(spoken: Any, replies: int) -> float:
    """µs of CPU that reading a token of this API takes."""
    data = spoken.reply([f" {number:03d}" for number in range(_TOKENS)]).partition(b"\r\n\r\n")
    reads = [data[0] + data[1], *(piece + b"\n\r\n" for piece in data[2].split(b"\n\r\n") if piece)]
    gc.disable()
    tries = []
    for _ in range(3):
        tapes = [_tape_of(reads) for _ in range(replies)]
        began = process_time_ns()
        for tape in tapes:
            reply = Reply(spoken.dialect)
            while tape.stored:
                reply.take(tape, _SLICE)
            assert reply.failure is None, reply.failure
        tries.append(process_time_ns() - began)
    gc.enable()
    return min(tries) / replies / _TOKENS / 1e3


def _tape_of(reads: list[bytes]) -> Tape:
    tape = make_tape()
    for number, read in enumerate(reads, 1):
        tape.append(read, b"", number * _MS, (0, 0, 0, 0))
    return tape


def _cost(target: Engine, api: str, flags: tuple[str, ...], tokens: int) -> tuple[float, float]:
    """CPU of the whole command and of the worker in µs, each a token."""
    with work_folder() as folder:
        outcome = run_loadcell(target, folder / "run", "--api", api, *flags)
    return outcome.cpu_s * 1e6 / tokens, outcome.result["instrument"]["cpu_us_per_token"]


def _row(api: str, costs: list[tuple[float, float]], chat: list[tuple[float, float]]) -> Row:
    whole, worker = (median(of) for of in zip(*costs, strict=True))
    cells = (api, f"{whole:.2f}", f"{worker:.2f}")
    if costs is chat:
        return Row((*cells, "1", "", "1"))
    wholes, workers = ([ours[n] / its[n] for ours, its in zip(costs, chat, strict=True)] for n in (0, 1))
    ratio = median(wholes)
    beside = (f"{ratio:.2f}", f"{min(wholes):.2f} to {max(wholes):.2f}", f"{median(workers):.2f}")
    return Row((*cells, *beside), f"<= {_RATIO}", ratio <= _RATIO)
