"""Verdicts: how often an undisturbed run of a server on this machine is called anything but VALID."""

from __future__ import annotations

from collections import Counter

from common import engine, run_loadcell, work_folder
from tables import Row, Table

RUNS = 40
NOT_VALID_MOST = 2
_SECONDS = 5
_LOADS = {
    "16 users": ("--concurrency", "16"),
    "64 users": ("--concurrency", "64"),
    "20 requests/s": ("--rate", "20"),
    "100 requests/s": ("--rate", "100"),
}
"""Taken in turn."""


def measure(quick: bool) -> list[Table]:
    """A row for each load with the words of its runs, and one for all."""
    count = len(_LOADS) if quick else RUNS
    words: dict[str, Counter[str]] = {name: Counter() for name in _LOADS}
    why: Counter[str] = Counter()
    with engine("--slots", "256", "--ttft", "50ms", "--itl", "5ms") as target, work_folder() as folder:
        for number in range(count):
            name = list(_LOADS)[number % len(_LOADS)]
            flags = (*_LOADS[name], "--duration", f"{_SECONDS}", "--output-tokens", "100", "--input-tokens", "64")
            outcome = run_loadcell(target, folder / str(number), *flags)
            words[name][outcome.result["verdict"]["word"]] += 1
            why.update(reason.partition(":")[0] for reason in outcome.result["verdict"]["reasons"])
            target.forget()
    notes = tuple(f"{times} x {reason}" for reason, times in why.most_common())
    table = Table("Words of undisturbed runs", ("load", "VALID", "SUSPECT", "INVALID"), notes=notes)
    for name, found in (*words.items(), ("all", sum(words.values(), Counter()))):
        bad = found["SUSPECT"] + found["INVALID"]
        told = (name, f"{found['VALID']}", f"{found['SUSPECT']}", f"{found['INVALID']}")
        met = bad <= NOT_VALID_MOST if name == "all" and not quick else None
        table.rows.append(Row(told, f"not VALID <= {NOT_VALID_MOST}" if name == "all" else "", met))
    return [table]
