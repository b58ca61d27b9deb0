"""How often a duel finds what is there, and what is not: simulated paces, and two embedded engines 2 % apart."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from common import LOADCELL, engine, work_folder
from tables import Row, Table

from loadcell.compare.duel import ROUNDS, couples_of, ordered_blocks
from loadcell.compare.pairing import in_time
from loadcell.compare.pairs import paired_effect
from loadcell.metrics.rows import Floats

REPEATS, REQUESTS = 600, 300
PACE_SD, ALONE_SD = 0.03, 0.01
SLOWER = 0.01
OVER = (30, 100, 1000)
_TURNS = (1, 2, 5, 10, 20, 50)
_ENGINES, _DUELS = ("5ms", "5.1ms"), 20
_FLAGS = (
    "--concurrency", "1", "--requests", "60", "--turn", "5", "--input-tokens", "20", "--output-tokens",
    "lognormal:30,0.8", "--shared-host", "--min-effect", "0.5%", "--json",
)  # fmt: skip


def pace(rng: np.random.Generator, n: int, over: float) -> Floats:
    """Log pace of the endpoints by request: AR(1), sd 3 %, its correlation fallen to 1/e after `over` requests."""
    rho = np.exp(-1 / over)
    series = np.empty(n)
    series[0] = rng.standard_normal()
    for i, step in enumerate(np.sqrt(1 - rho**2) * rng.standard_normal(n - 1), 1):
        series[i] = rho * series[i - 1] + step
    return np.asarray(PACE_SD * series)


def simulated(rng: np.random.Generator, slower: float, over: float, turn: int = ROUNDS) -> str:
    """The finding for E2E of one duel of one user: lognormal lengths, a pace that both ends share, and noise alone."""
    couples = couples_of(REQUESTS, turn)
    n = couples * turn
    shared = pace(rng, 2 * n, over).reshape(2 * couples, turn)
    first = np.arange(2 * couples).reshape(couples, 2)
    first[1::2] = first[1::2, ::-1]  # A B B A
    lengths = rng.lognormal(np.log(200), 1.0, n)
    a, b = (
        lengths * 5e6 * factor * np.exp(shared[first[:, side]].ravel() + ALONE_SD * rng.standard_normal(n))
        for side, factor in enumerate((1.0, 1 + slower))
    )
    blocks = np.repeat(ordered_blocks(range(couples)), turn)
    effect = paired_effect(in_time(a, b, blocks, chained=False), "geomean")
    shown = effect.p is not None and effect.p < 0.05
    return "none" if not shown else "worse" if effect.effect > 0 else "better"


def measure(quick: bool) -> list[Table]:
    """The simulated table, and duels of two engines."""
    return [_simulated(10 if quick else REPEATS), _real(1 if quick else _DUELS)]


def _simulated(repeats: int) -> Table:
    table = Table(
        f"Simulated duels: {REQUESTS} requests a side, pace sd {PACE_SD:.0%}, {repeats} of each",
        ("turn", "correlation over", f"{SLOWER:.0%} slower: found", "the same: called different"),
        notes=(
            f"E2E by pairs at p < 5 %; each request has {ALONE_SD:.0%} of noise alone. Turns have {ROUNDS} requests.",
        ),
    )
    for turn in _TURNS:
        for over in OVER:
            rng = np.random.default_rng([turn, over])
            found = [simulated(rng, SLOWER, over, turn) for _ in range(repeats)].count("worse")
            wrong = repeats - [simulated(rng, 0.0, over, turn) for _ in range(repeats)].count("none")
            least, most = (repeats * 57 // 60 if over == 100 else 0), repeats * 7 // 60
            judged = turn == ROUNDS
            table.rows.append(
                Row(
                    (str(turn), f"{over} requests", f"{found} of {repeats}", f"{wrong} of {repeats}"),
                    (f"found >= {least}, " if least else "") + f"different <= {most}" if judged else "",
                    (found >= least and wrong <= most) if judged else None,
                )
            )
    return table


def _real(duels: int) -> Table:
    table = Table(
        f"Duels of two embedded engines, {' and '.join(_ENGINES)} a token",
        ("duel", "TPOT p50", "E2E, request by request", "worse", "better"),
        notes=(
            f"`loadcell duel A B {' '.join(_FLAGS)} --seed N`. Found: a figure of TPOT or E2E is worse, none better.",
        ),
    )
    found = 0
    flags = ("--ttft", "20ms", "--itl")
    with engine(*flags, _ENGINES[0]) as a, engine(*flags, _ENGINES[1]) as b, work_folder() as folder:
        for seed in range(duels):
            changes = _duel(a.url, b.url, folder / str(seed), 1000 * seed)
            counts = [sum(c["finding"] == word for c in changes.values()) for word in ("worse", "better")]
            found += counts[0] > 0 and not counts[1]
            shown = [_change(changes.get(key)) for key in ("tpot.p50", "e2e.geomean")]
            table.rows.append(Row((str(seed + 1), *shown, *map(str, counts))))
    table.rows.append(Row(("all", "", "", f"found in {found} of {duels}", ""), "19 of 20", found >= 19))
    return table


def _change(told: dict[str, Any] | None) -> str:
    if told is None or told["low"] is None:
        return "n/a"
    return f"{told['relative']:+.2%} [{told['low']:+.2%}, {told['high']:+.2%}]"


def _duel(a: str, b: str, folder: Path, seed: int) -> dict[str, dict[str, Any]]:
    """What one duel tells of TPOT and E2E, by figure."""
    words = [*LOADCELL, "duel", a, b, *_FLAGS, "--seed", str(seed), "--force", "--output", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"a duel ended with status {done.returncode}: {done.stderr[-500:]}")
    changes = json.loads(done.stdout)["pairs"][0]["changes"]
    return {f"{c['metric']}.{c['stat']}": c for c in changes if c["metric"] in ("tpot", "e2e")}
