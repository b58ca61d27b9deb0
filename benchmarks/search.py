"""The search for the highest load that holds an SLO: does its bracket hold the truth, and what does it cost?

Twice: many searches in virtual time, where the truth is computed, and searches by `loadcell sweep` against the engine,
where it is taken from the engine's own record of long runs.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
from common import LOADCELL, Engine, engine, run_loadcell, work_folder
from tables import Row, Table
from virtual import Server, batcher, grades, plan_of, simulate, true_limit, waits_s

from loadcell.search.answer import answer
from loadcell.search.evidence import SETTLES, weigh
from loadcell.search.likely import elapsed_s
from loadcell.search.model import Found, Sweep

_SEEDS = 20
_HELD, _WIDTH, _RATIO = 0.95, 0.05, 1 / 3
_CASES: tuple[tuple[str, Server, float, float], ...] = (
    ("16 slots, Poisson", Server(16, 0.01, 0.002, (11, 11), 0.04), 0.9, 240.0),
    ("16 slots, Poisson", Server(16, 0.01, 0.002, (11, 11), 0.04), 0.99, 900.0),
    ("16 slots, constant arrivals", Server(16, 0.01, 0.001, (5, 37), 0.02, 0.0), 0.9, 60.0),
    ("16 slots, constant arrivals", Server(16, 0.01, 0.001, (5, 37), 0.02, 0.0), 0.99, 180.0),
    ("4 slots, constant arrivals", Server(4, 0.01, 0.001, (5, 37), 0.02, 0.0), 0.9, 120.0),
    ("64 slots, constant arrivals", Server(64, 0.02, 0.001, (10, 60), 0.03, 0.0), 0.9, 60.0),
)
_REAL, _REAL_TARGET, _REAL_STAGE_S = Server(16, 0.01, 0.002, (5, 37), 0.03, 0.0), 0.9, 30.0
_LONG_S = 30.0
_NEAR = (0.97, 0.985, 1.0, 1.015, 1.03)
"""Rates of the long runs, over the limit that follows from the engine's parameters."""
_NOTES = (
    "Held: the bracket [highest pass, lowest fail] holds the true limit, the rate at which the target share keeps to "
    "the TTFT limit in runs of 400,000 requests. Wide: brackets wider than 5 %, which say so themselves.",
    "A fixed stage: as long as one must be to tell loads 2.5 % off the limit with the certainty of an end of the "
    "bracket (evidence 1000 to 1) in 95 % of cases; ten of them are a linear sweep of equal precision. Last column: "
    "the search over ten stages as long as its own longest, of any precision.",
)
_REAL_NOTES = (
    f"`loadcell sweep URL --slo ttft=30ms --attainment 0.9 --duration {_REAL_STAGE_S:g}s`, constant arrivals and 5 to "
    "37 output tokens, against an engine of 16 slots, TTFT 10 ms and ITL 2 ms, which is started once.",
    "Truth: long runs at rates around the limit that follows from these parameters; in each, the share of requests "
    "whose first token the engine sent within the limit of their arrival, by its own record; the rate at which that "
    "share is 90 %, interpolated in its log-odds. Time: of the whole command, start-up of every stage included.",
)


_BATCH_RATE = 8.0
_BATCH_MOST_S = 2400.0
_BATCH_CASES: tuple[tuple[float, float, float | None, float | None], ...] = (
    (0.95, 1.0, None, 0.05), (0.95, 1.0, 600.0, 0.25), (0.95, 1.0, 1200.0, 0.12),
    (0.90, 1.0, None, None), (0.90, 1.0, 600.0, None), (0.90, 1.0, 1200.0, None),
    (0.99, 1.0, None, None), (0.99, 1.0, 600.0, None), (0.99, 1.0, 1200.0, None),
    (0.95, 5.0, None, None), (0.95, 5.0, 1200.0, None), (0.95, 5.0, 3600.0, None),
)  # fmt: skip
"""Target, how much slower than an E2E of 2 s, --max-time, and the width that the bar asks; None: shown."""
_BATCH_NOTES = (
    "A server that batches: steps of 10 ms + 0.2 ms x batch, 200 tokens, a limit on TPOT that the target share keeps "
    "up to 8.0 requests/s, by 600,000 requests; at an E2E of 10 s all times are five times as long (1.6/s). Held: the "
    "likely bracket holds that limit. Over: brackets wider than the bar.",
    "Bars: without --max-time in 19 of 20 seeds, each bracket within 5 % and the search within 40 minutes; with it in "
    "18 of 20, each within 25 % in 10 minutes and 12 % in 20. Other rows are shown. Before margins were used, these "
    "searches ended undecided after 1.3 to 3.3 hours.",
)


def measure(quick: bool) -> list[Table]:
    """Searches in virtual time, and against the engine."""
    return [
        _virtual(3 if quick else _SEEDS, _CASES[:1] if quick else _CASES),
        _batching(3 if quick else _SEEDS, _BATCH_CASES[:2] if quick else _BATCH_CASES),
        _real(1 if quick else _SEEDS, quick),
    ]


def _batching(seeds: int, cases: tuple[tuple[float, float, float | None, float | None], ...]) -> Table:
    table = Table(
        f"{seeds} searches each on a server that batches, in virtual time",
        ("target", "E2E s", "--max-time s", "held", "width", "widest", "over", "stages", "time s", "longest s"),
        notes=_BATCH_NOTES,
    )
    for target, slower, most_s, bar in cases:
        server, limit = batcher(_BATCH_RATE, target, slower), _BATCH_RATE / slower
        found, took_s, stages = [], [], []
        for seed in range(seeds):
            plan = plan_of(target, None, seed=100 * seed, most_s=most_s)
            done = simulate(server, plan, seed)
            found.append(answer(plan, done))
            took_s.append(elapsed_s(done))
            stages.append(len(done))
        held = sum(_likely_holds(one, limit) for one in found)
        widths = [one.width if one.width is not None else float("inf") for one in found]
        over = sum(width > (bar or _WIDTH) * 1.01 for width in widths)
        cells = (
            f"{target:.0%}", f"{server.hold_s:.0f}", "none" if most_s is None else f"{most_s:.0f}",
            f"{held} of {seeds}", f"{median(widths):.1%}", f"{max(widths):.1%}", f"{over}", f"{median(stages):.0f}",
            f"{median(took_s):.0f}", f"{max(took_s):.0f}",
        )  # fmt: skip
        asked, least = ("shown", 0.0) if bar is None else (f"held >= 18 of 20, <= {bar:.0%}", 0.9 * seeds)
        if bar is not None and most_s is None:
            asked, least = f"held >= 19 of 20, <= {bar:.0%}, <= {_BATCH_MOST_S:.0f} s", _HELD * seeds
        missed = seeds - least  # as many may be wide, or late, as need not hold
        late = 0 if bar is None else sum(took > (most_s or _BATCH_MOST_S) for took in took_s)
        met = bar is None or (held >= least and over <= missed and late <= missed)
        table.rows.append(Row(cells, asked, met))
    return table


def _likely_holds(found: Found, limit: float) -> bool:
    near = found.likely
    if near is None:
        return _holds(found, limit)
    return (near.low or 0.0) <= limit * 1.0005 and limit <= (near.high or float("inf")) * 1.0005


def _virtual(seeds: int, cases: tuple[tuple[str, Server, float, float], ...]) -> Table:
    table = Table(
        f"{seeds} searches each in virtual time",
        ("server", "target", "true limit /s", "held", "wide", "width", "stages", "time s", "10 fixed stages s",
         "time over that", "over 10 x longest"),
        notes=_NOTES,
    )  # fmt: skip
    for name, server, target, stage_s in cases:
        limit = true_limit(server, target)
        fixed_s = 10 * fixed_stage_s(server, target, limit)
        found, took_s, stages, longest_s = [], [], [], []
        for seed in range(seeds):
            plan = plan_of(target, stage_s, seed=100 * seed)
            done = simulate(server, plan, seed)
            found.append(answer(plan, done))
            took_s.append(sum(stage.took_s or 0.0 for stage in done))
            longest_s.append(max(stage.took_s or 0.0 for stage in done))
            stages.append(len(done))
        held, wide = sum(_holds(one, limit) for one in found), sum((one.width or 1) > _WIDTH * 1.01 for one in found)
        ratio = median(took_s) / fixed_s
        cells = (
            name, f"{target:.0%}", f"{limit:.1f}", f"{held} of {seeds}", f"{wide}",
            f"{median(one.width or 1 for one in found):.1%}", f"{median(stages):.0f}", f"{median(took_s):.0f}",
            f"{fixed_s:.0f}", f"{ratio:.2f}",
            f"{median(took / (10 * longest) for took, longest in zip(took_s, longest_s, strict=True)):.2f}",
        )  # fmt: skip
        table.rows.append(Row(cells, "held >= 19 of 20, time <= 1/3", held >= _HELD * seeds and ratio <= _RATIO))
    return table


def fixed_stage_s(server: Server, target: float, limit: float, seeds: int = 20) -> float:
    """Length of a stage, without its warm-up, that settles both ends of a 5 % bracket in 95 % of cases."""
    apart = (1 + _WIDTH) ** 0.5
    length_s = 30 * server.hold_s
    while True:
        right = 0
        for seed in range(seeds):
            right += _evidence(server, limit / apart, target, length_s, seed)[0] >= SETTLES
            right += _evidence(server, limit * apart, target, length_s, seeds + seed)[1] >= SETTLES
        if right >= 0.95 * 2 * seeds:
            return length_s
        length_s *= 1.2


def _evidence(server: Server, rate: float, target: float, length_s: float, seed: int) -> tuple[float, float]:
    """Evidence for a pass and for a fail of one stage of a fixed length."""
    rng, warmup_s = np.random.default_rng(seed), 10 * server.hold_s
    arrivals = server.arrivals(rate, int(1.3 * rate * (length_s + warmup_s)) + 50, rng)
    arrivals = arrivals[arrivals < length_s + warmup_s]
    ttft_s = waits_s(arrivals, server.holds(arrivals.size, rng), server.slots) + server.ttft_s
    codes = grades(ttft_s[arrivals >= warmup_s], server.ttft_limit_s)
    found = weigh(codes, target, 2 * rate * server.hold_s)
    return found.for_pass, found.for_fail


def _holds(found: Found, limit: float) -> bool:
    return bool(found.low and found.high and found.low.level <= limit * 1.0005 <= found.high.level * 1.001)


# --- against the engine ----------------------------------------------------------------------------------------------


def _real(seeds: int, quick: bool) -> Table:
    table = Table(
        "Searches against the engine",
        ("seed", "holds up to /s", "fails at /s", "width", "truth /s", "answer", "stages", "verdicts", "time s"),
        notes=_REAL_NOTES,
    )
    low, high = _REAL.tokens
    flags = (
        "--input-tokens", "32", "--output-tokens", f"uniform:{low},{high}", "--arrivals", "constant",
        "--slo", f"ttft={_REAL.ttft_limit_s * 1e3:g}ms",
    )  # fmt: skip
    times = ("--ttft", f"{_REAL.ttft_s * 1e3:g}ms", "--itl", f"{_REAL.itl_s * 1e3:g}ms")
    with engine("--slots", str(_REAL.slots), *times) as target, work_folder() as folder:
        limit = _truth(target, folder, flags, 4.0 if quick else _LONG_S)
        held, took_s = 0, []
        for seed in range(1, seeds + 1):
            sweep = _search(target, folder / str(seed), flags, seed, 8.0 if quick else _REAL_STAGE_S)
            found = sweep.found
            assert found is not None and sweep.took_s is not None
            held += _holds(found, limit)
            took_s.append(sweep.took_s)
            right = _holds(found, limit) and (found.width or 1) <= _WIDTH * 1.01
            table.rows.append(Row(_cells(seed, limit, found, sweep), "holds the truth, <= 5 %", right))
    fixed_s = 10 * fixed_stage_s(_REAL, _REAL_TARGET, true_limit(_REAL, _REAL_TARGET))
    ratio = median(took_s) / fixed_s
    cells = ("all", f"held {held} of {seeds}", "", "", "", f"{ratio:.2f} of 10 fixed stages ({fixed_s:.0f} s)", "", "")
    table.rows.append(
        Row((*cells, f"{median(took_s):.0f}"), ">= 19 of 20, <= 1/3", held >= _HELD * seeds and ratio <= _RATIO)
    )
    return table


def _cells(seed: int, limit: float, found: Found, sweep: Sweep) -> tuple[str, ...]:
    low, high = (f"{end.level:.1f}" if end else "n/a" for end in (found.low, found.high))
    words = [stage.point.verdict for stage in sweep.stages if stage.point]
    verdicts = " ".join(f"{words.count(word)} {word}" for word in sorted(set(words)))
    width = f"{found.width:.1%}" if found.width else "n/a"
    stages, took = str(len(sweep.stages)), f"{sweep.took_s:.0f}"
    return str(seed), low, high, width, f"{limit:.1f}", found.word, stages, verdicts, took


def _search(target: Engine, folder: Path, flags: tuple[str, ...], seed: int, stage_s: float) -> Sweep:
    command = [
        *LOADCELL, "sweep", target.url, *flags, "--attainment", str(_REAL_TARGET), "--duration", f"{stage_s:g}s",
        "--seed", str(seed), "--shared-host", "--output", str(folder), "--json", "--force",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=False)
    if not done.stdout:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode()[-500:]}")
    target.forget()
    return msgspec.json.decode(done.stdout, type=Sweep)


def _truth(target: Engine, folder: Path, flags: tuple[str, ...], long_s: float) -> float:
    """The rate at which the target share keeps to the limit, by the engine's record of long runs."""
    limit = true_limit(_REAL, _REAL_TARGET)
    rates, odds = [], []
    for number, near in enumerate(_NEAR):
        rate = limit * near
        load = ("--rate", f"{rate:.5g}", "--duration", f"{long_s:g}s", "--seed", str(1000 + number), "--no-keep-load")
        done = run_loadcell(target, folder / f"truth-{number}", *flags, *load)
        share = _kept_share(target, done.result["run"]["id"])
        target.forget()
        rates.append(float(f"{rate:.5g}"))
        odds.append(np.log((share + 1e-4) / (1 - share + 1e-4)))
    wanted = float(np.log(_REAL_TARGET / (1 - _REAL_TARGET)))
    return float(np.interp(-wanted, -np.minimum.accumulate(odds), rates))


def _kept_share(target: Engine, run_id: str) -> float:
    """Share of a run's requests whose first token the engine sent within the limit, the first tenth left out."""
    known = {id: record for id, record in target.truth().items() if id.startswith(run_id)}
    records = sorted(known.values(), key=lambda record: record.arrival_ns)[len(known) // 10 :]
    kept = [record.tokens_ns[0] - record.arrival_ns <= _REAL.ttft_limit_s * 1e9 for record in records]
    return sum(kept) / len(kept)
