"""The cost of a token in each streaming API that the embedded engine speaks, beside that of chat."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

from common import Engine, engine, run_loadcell, work_folder
from tables import Row, Table

_APIS = ("completions", "messages", "responses")
_RATIO = 1.2
_TOKENS = 200
_LOAD = ("--concurrency", "64", "--input-tokens", "128", "--output-tokens", str(_TOKENS))
_COLUMNS = ("API", "whole µs", "worker µs", "whole / chat", "in the rounds", "worker / chat")


def measure(quick: bool) -> list[Table]:
    """One table, a row for each API."""
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
    return [table]


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
