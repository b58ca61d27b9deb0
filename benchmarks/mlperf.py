"""MLPerf-style runs against the engine, set to meet and to just miss the interactive limits of llama3.1-8b.

Does the verdict follow from what the server did? The engine's own record says how many requests were beyond a limit,
and early stopping's bound what that proves.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec
from common import LOADCELL, Engine, engine, work_folder
from tables import Row, Table

from loadcell.mlperf.early_stopping import least_samples
from loadcell.mlperf.model import EarlyStopping, Outcome
from loadcell.mlperf.rules import find_rules
from loadcell.recording.read import read_manifest
from loadcell.selftest.truth import Truth

_SEEDS = 20
_RULES = find_rules("v6.1", "llama3.1-8b", "interactive")
_RATE, _QUICK_RATE, _OUTPUT = 100, 240, 32
_ENDED = (0, 4)
"""Status of a run that is VALID, and of one that is not."""


@dataclass(frozen=True)
class _Case:
    """An engine, and what the verdict on it must be; None: whatever follows from its own record."""

    name: str
    flags: tuple[str, ...]
    verdict: str | None
    quick: bool = False
    """Part of a quick benchmark."""


_CASES = (
    _Case("meets: TTFT 450 ms, TPOT 29 ms", ("--ttft", "450ms", "--itl", "29ms"), "VALID", quick=True),
    _Case("just misses: TPOT 30.3 ms", ("--ttft", "450ms", "--itl", "30.3ms"), "INVALID", quick=True),
    _Case("just misses: TTFT 505 ms", ("--ttft", "505ms", "--itl", "29ms"), "INVALID"),
    _Case(
        "p99 within, 0.4 % of requests stall for 2 s",
        ("--ttft", "450ms", "--itl", "29ms", "--stall-rate", "0.004", "--stall", "2s"),
        None,
    ),
)
_NOTES = (
    "`loadcell mlperf run URL --benchmark llama3.1-8b --scenario interactive --quick --look-alike` with "
    f"{_RATE} queries/s, {_OUTPUT} output tokens and a schedule seed of its own in every run; limits "
    f"{_RULES.ttft_ms:g} ms TTFT and {_RULES.tpot_ms:g} ms TPOT at p99.",
    "By the engine: runs in which early stopping, applied to what the engine itself sent and when, says the same. Over "
    "and needed: samples beyond a limit, and samples that so many take to prove p99, of the worse latency.",
    "An instrument that is INVALID makes a run INVALID whatever the server did: the last column counts these.",
)


def measure(quick: bool) -> list[Table]:
    """Runs of every seed against each engine."""
    table = Table(
        "Verdict at the interactive limits",
        ("engine", "VALID", "INVALID", "by the engine", "TTFT p99 ms", "TPOT p99 ms", "over", "needed", "instrument"),
        notes=_NOTES,
    )
    with work_folder() as folder:
        for number, case in enumerate(case for case in _CASES if case.quick or not quick):
            home = folder / str(number)
            table.rows.append(_row(case, home, 1, _QUICK_RATE) if quick else _row(case, home, _SEEDS, _RATE))
    return [table]


def _row(case: _Case, folder: Path, seeds: int, rate: int) -> Row:
    found, agreed = [], 0
    with engine("--slots", "4096", *case.flags) as target:
        for seed in range(1, seeds + 1):
            target.forget()
            home = folder / str(seed)
            outcome = _run(target, home, seed, rate)
            found.append(outcome)
            proved = all(proof.met for proof in outcome.score.early_stopping)
            agreed += _proved_by_engine(target.truth(), home, outcome.score.samples) == proved
    valid = sum(outcome.verdict == "VALID" for outcome in found)
    wanted = {"VALID": valid, "INVALID": seeds - valid, None: seeds}[case.verdict]
    worst = [max(outcome.score.early_stopping, key=lambda proof: proof.over or 0) for outcome in found]
    cells = (
        case.name, f"{valid}", f"{seeds - valid}", f"{agreed} of {seeds}",
        _range([_p99_ms(outcome, "ttft") for outcome in found], 1),
        _range([_p99_ms(outcome, "tpot") for outcome in found], 2),
        _range([float(proof.over or 0) for proof in worst], 0), _range(list(map(_needed, worst)), 0),
        f"{sum(outcome.instrument == 'INVALID' for outcome in found)} INVALID",
    )  # fmt: skip
    return Row(cells, f"{case.verdict or 'as by the engine'} in {seeds} of {seeds}", wanted == agreed == seeds)


def _run(target: Engine, folder: Path, seed: int, rate: int) -> Outcome:
    flags = (
        "--benchmark", "llama3.1-8b", "--scenario", "interactive", "--round", "v6.1", "--look-alike", "--quick",
        "--target-qps", str(rate), "--output-tokens", str(_OUTPUT), "--shared-host",
        "--set", "loadgen.min_duration_s=2", "--set", f"loadgen.schedule_seed={seed}",
    )  # fmt: skip
    done = subprocess.run(
        [*LOADCELL, "mlperf", "run", target.url, *flags, "--output", str(folder), "--json", "--no-html"],
        capture_output=True,
        check=False,
    )
    if done.returncode not in _ENDED:
        raise RuntimeError(f"loadcell mlperf run ended with status {done.returncode}: {done.stderr.decode()}")
    return msgspec.json.decode(done.stdout, type=Outcome)


def _proved_by_engine(truth: dict[str, Truth], home: Path, samples: int) -> bool:
    """What early stopping says of what the engine sent, and when."""
    assert _RULES.percentile is not None and _RULES.ttft_ms is not None and _RULES.tpot_ms is not None
    run = read_manifest(home / "performance").id
    spans = [record for name, record in truth.items() if name.startswith(run) and len(record.tokens_ns) > 1]
    if len(spans) != samples:
        raise RuntimeError(f"the engine knows {len(spans)} of {samples} requests")
    late = (
        sum(record.tokens_ns[0] - record.arrival_ns > _RULES.ttft_ms * 1e6 for record in spans),
        sum(
            (record.tokens_ns[-1] - record.tokens_ns[0]) / (len(record.tokens_ns) - 1) > _RULES.tpot_ms * 1e6
            for record in spans
        ),
    )
    return all(samples >= least_samples(_RULES.percentile, over) for over in late)


def _needed(proof: EarlyStopping) -> float:
    return float(proof.needed)


def _p99_ms(outcome: Outcome, of: str) -> float:
    block = getattr(outcome.score, of)
    assert block is not None
    return float(block.percentiles_ns["99.00"]) / 1e6


def _range(values: list[float], digits: int) -> str:
    low, high = f"{min(values):,.{digits}f}", f"{max(values):,.{digits}f}"
    return low if low == high else f"{low} - {high}"
