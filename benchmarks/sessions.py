"""Sessions beside single requests: what a token costs the load, and how far TTFT is from the engine's own."""

from __future__ import annotations

import json
import tempfile
import time
from array import array
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
from common import Engine, Outcome, engine, run_loadcell, work_folder
from tables import Row, Table

from loadcell.load.audit import Audit
from loadcell.load.course import Course
from loadcell.load.due import Due
from loadcell.load.live import Live
from loadcell.load.splice import Talk, gapped
from loadcell.load.tail import Tail
from loadcell.load.talking import Talking
from loadcell.protocol import dialect_of
from loadcell.recording.read import open_recording
from loadcell.selftest.truth import nearest_rank, reported_ms, truth_ms
from loadcell.workload.sessions import chains
from loadcell.workload.talks import MARK

_TURNS, _BRINGS, _OUTPUT = 8, 64, 128
_MEAN = _BRINGS + (_TURNS - 1) * (_BRINGS + _OUTPUT) // 2
"""Input tokens of a mean turn: single requests have so many."""
_BAR = 1.15
_BIAS_MS = 0.1
_FORMS: dict[str, tuple[str, ...]] = {
    "alone": ("--input-tokens", str(_MEAN)),
    "planned": ("--input-tokens", str(_BRINGS), "--turns", str(_TURNS), "--history", "planned"),
    "served": ("--input-tokens", str(_BRINGS), "--turns", str(_TURNS)),
    "served, one connection": (
        "--input-tokens", str(_BRINGS), "--turns", str(_TURNS), "--sticky", "connection",
    ),
}  # fmt: skip
_NOTES = (
    f"32 users, {_OUTPUT} tokens out at 100/s each, an event a token; sessions of {_TURNS} turns that bring {_BRINGS} "
    f"tokens each, requests alone of {_MEAN}. CPU is that of the load processes, median of rounds in which all forms "
    "take turns; TTFT is p50 of the last round.",
)

_KEPT = (
    "What a worker does of its own to know what is due, and to put the server's replies into the next body, with "
    "made-up flights: no socket, no parsing. The rest of a difference above is code that runs cold, for a reply that "
    "the next turn waits for is parsed alone."
)


@dataclass
class Form:
    """What the rounds of one form gave."""

    cpu_us: list[float] = field(default_factory=list)
    reported_ms: float = 0.0
    truth_ms: float = 0.0


def measure(quick: bool) -> list[Table]:
    """What a run costs, and what keeping the sessions costs of it."""
    found = {name: Form() for name in _FORMS}
    requests = 256 if quick else 1024  # whole sessions for each of 32 users: else fewer are in flight than alone
    with engine("--ttft", "50ms", "--itl", "10ms", "--slots", "256") as target, work_folder() as folder:
        for number in range(1 if quick else 5):
            for name, flags in _FORMS.items():
                _round(
                    target,
                    folder / f"{number}-{name.replace(', ', '-').replace(' ', '-')}",
                    flags,
                    requests,
                    found[name],
                )
    table = Table(
        "Sessions beside single requests",
        ("requests", "µs CPU a token", "of those alone", "TTFT p50", "truth", "difference"),
        notes=_NOTES,
    )
    alone = median(found["alone"].cpu_us)
    for name, form in found.items():
        cost = median(form.cpu_us)
        apart = form.reported_ms - form.truth_ms
        met = cost <= _BAR * alone and abs(apart) <= _BIAS_MS
        values = (
            name,
            f"{cost:.2f}",
            f"{cost / alone:.3f}",
            f"{form.reported_ms:.3f}",
            f"{form.truth_ms:.3f}",
            f"{apart:+.3f}",
        )
        table.rows.append(Row(values, bar=f"<= {_BAR} and {_BIAS_MS} ms", met=met))
    return [table, _keeping(200 if quick else 4000)]


def _keeping(sessions: int) -> Table:
    """What it takes to know what is due, and to put replies into bodies: without sockets and parsing."""
    each = Table("What is kept of sessions", ("turns", "µs CPU a turn"), notes=(_KEPT,))
    for name, served in (("alone", None), ("planned", False), ("served", True)):
        each.rows.append(Row((name, f"{min(_turn_us(sessions, served) for _ in range(3)):.1f}")))
    return each


def _turn_us(sessions: int, served: bool | None) -> float:
    """Of a turn of 32 users, whose replies end one after the other; `served` is None for requests alone."""
    rows, chained = sessions * _TURNS, chains(np.full(sessions, _TURNS))
    waits = {"request": np.flatnonzero(~chained.first), "waits_for": chained.waits.values}
    course = None if served is None else Course(chained.session.astype(np.int64), waits, None)
    talking = None
    if course is not None:
        talking = Talking(course, Talk(True) if served else None, b"", lambda _: None, lambda _: None)
    dialect, mark = dialect_of("chat"), {"role": "user", "content": MARK}
    own = msgspec.json.encode({"messages": [mark, {"role": "user", "content": "word " * _BRINGS}, mark]})
    kept = gapped(dialect.body(dialect.prefix("m", True, dialect.form, {}), own, _OUTPUT, "max_tokens"), messages=True)
    assert kept is not None
    air: deque[int] = deque()

    def request(row: int, _: int, __: int) -> None:
        if talking is not None:
            talking.body(row, kept)
        air.append(row)

    job: Any = SimpleNamespace(
        worker=0, workers=1, rows=rows, requests=rows, users=32, end_ns=None, keep=False, least=0, lockstep=False,
        e2e_ns=0, starts_ns=[0] * 32,
    )  # fmt: skip
    timer: Any = SimpleNamespace(arm=lambda _: None)
    reply, now = SimpleNamespace(failure=None, content=["word " * _OUTPUT]), 1
    with tempfile.TemporaryFile() as file:
        file.write(bytes(Live.size(1)))
        file.flush()
        live = Live(file.fileno(), 1)
        further = () if talking is None else (talking.settle, talking.over)
        due = Due(job, live, Tail(job, live), array("q"), timer, Audit(0, None), request, None, course, *further)
        due.begin(now)
        began = time.process_time_ns()
        due.send(now)
        while air:
            now += 1000
            flight: Any = SimpleNamespace(
                request=air.popleft(), end_ns=now, failure=None, cancelled=False, gave_up=None, reply=reply,
                send_start_ns=now,
            )  # fmt: skip
            if talking is not None:
                talking.landed(flight)
            due.go_on(flight, now, None, alone=False)
            if talking is not None:
                talking.settled(flight)
            due.send(now)
        return (time.process_time_ns() - began) / 1000 / rows


def _round(target: Engine, folder: Path, flags: tuple[str, ...], requests: int, form: Form) -> None:
    target.forget()
    load = ("--concurrency", "32", "--requests", str(requests), "--output-tokens", str(_OUTPUT), "--workers", "1")
    done: Outcome = run_loadcell(target, folder, *load, *flags, "--no-html")
    audits = [json.loads(path.read_bytes()) for path in folder.glob("audit-*.json")]
    form.cpu_us.append(1e6 * sum(audit["cpu_s"] for audit in audits) / (requests * _OUTPUT))
    members, reported = reported_ms(open_recording(folder), 0.0, float("inf"))
    truth = truth_ms(target.truth(), str(done.result["run"]["id"]), members)
    form.reported_ms, form.truth_ms = (nearest_rank(times["ttft"], 50) for times in (reported, truth))
