"""Sessions beside single requests: what a token costs the load, and how far TTFT is from the engine's own."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from common import Engine, Outcome, engine, run_loadcell, work_folder
from tables import Row, Table

from loadcell.recording.read import open_recording
from loadcell.selftest.truth import nearest_rank, reported_ms, truth_ms

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


@dataclass
class Form:
    """What the rounds of one form gave."""

    cpu_us: list[float] = field(default_factory=list)
    reported_ms: float = 0.0
    truth_ms: float = 0.0


def measure(quick: bool) -> list[Table]:
    """One table."""
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
    return [table]


def _round(target: Engine, folder: Path, flags: tuple[str, ...], requests: int, form: Form) -> None:
    target.forget()
    load = ("--concurrency", "32", "--requests", str(requests), "--output-tokens", str(_OUTPUT), "--workers", "1")
    done: Outcome = run_loadcell(target, folder, *load, *flags, "--no-html")
    audits = [json.loads(path.read_bytes()) for path in folder.glob("audit-*.json")]
    form.cpu_us.append(1e6 * sum(audit["cpu_s"] for audit in audits) / (requests * _OUTPUT))
    members, reported = reported_ms(open_recording(folder), 0.0, float("inf"))
    truth = truth_ms(target.truth(), str(done.result["run"]["id"]), members)
    form.reported_ms, form.truth_ms = (nearest_rank(times["ttft"], 50) for times in (reported, truth))
