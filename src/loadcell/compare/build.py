"""From opened sides to a Comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from loadcell import __version__
from loadcell.compare.effect import RUNS_LEAST
from loadcell.compare.gates import Bound, judge_gates
from loadcell.compare.judge import Sides, judge
from loadcell.compare.measures import SHARES_FINER
from loadcell.compare.model import Change, Comparison, Pair, Pairing, Side
from loadcell.compare.noise import check_repeats, noise_floor, spreads
from loadcell.compare.pairing import Pairs, pair_runs, told_by_pairs
from loadcell.compare.sides import Loaded, Opened, open_runs, open_side, void
from loadcell.errors import LoadcellError
from loadcell.metrics.bottleneck import comes_from
from loadcell.metrics.fingerprint import differences
from loadcell.metrics.headline import reasons_of
from loadcell.phrases import joined, phrase


class InvalidSideError(LoadcellError):
    """A side whose figures may not be trusted."""

    exit_code = 4


def compare(
    paths: Sequence[Path],
    *,
    noise: Sequence[Path] = (),
    gates: Sequence[Bound] = (),
    strict_gates: bool = False,
    min_effect: float = 0.05,
    force: bool = False,
) -> Comparison:
    """Compare every path with the first; without paths, the noise floor alone.

    A path is a recording, a folder of repeats or a saved result. An INVALID side is refused (InvalidSideError), and
    sides that are not comparable get no changes; with `force` both are compared.
    """
    return compare_sides(
        open_sides(paths), noise=noise, gates=gates, strict_gates=strict_gates, min_effect=min_effect, force=force
    )


def open_sides(paths: Sequence[Path]) -> list[Opened]:
    """The sides at `paths`, opened and named A, B, ..."""
    return [open_side(chr(ord("A") + i), path) for i, path in enumerate(paths)]


def compare_sides(
    sides: Sequence[Opened],
    *,
    noise: Sequence[Path] = (),
    gates: Sequence[Bound] = (),
    strict_gates: bool = False,
    min_effect: float = 0.05,
    force: bool = False,
) -> Comparison:
    """As `compare`, of sides that are open already."""
    repeats = [run for path in noise for run in open_runs(path)]
    if noise:
        check_repeats(repeats)
    if not force:
        refuse_invalid([run for side in sides for run in side.runs] + repeats)
    spread = spreads([run.figures for run in repeats]) if noise else None
    pairs = [_pair(sides[0], side, repeats) for side in sides[1:]]
    judged = [i for i, pair in enumerate(pairs) if force or pair.comparable != "not comparable"]
    matched = {i: pair_runs(sides[0].runs, sides[i + 1].runs) for i in judged}
    figures = [
        Sides(
            pairs[i].name,
            [r.figures for r in sides[0].runs],
            [r.figures for r in sides[i + 1].runs],
            told_by_pairs(matched[i]),
        )
        for i in judged
    ]
    changes = dict(zip(judged, judge(figures, min_effect, spread), strict=True))
    full = [_with(pair, changes[i], matched[i]) if i in changes else pair for i, pair in enumerate(pairs)]
    return Comparison(
        loadcell=__version__,
        min_effect=min_effect,
        min_points=min_effect / SHARES_FINER,
        forced=force,
        sides=[_shown(side) for side in sides],
        pairs=full,
        noise=noise_floor(repeats) if noise else None,
        gates=judge_gates(gates, full, strict=strict_gates),
    )


def exit_code(comparison: Comparison) -> int:
    """0; 1 where a gate failed or sides are not comparable (unless forced)."""
    apart = any(pair.comparable == "not comparable" for pair in comparison.pairs) and not comparison.forced
    return 1 if apart or any(gate.fired for gate in comparison.gates) else 0


def refuse_invalid(runs: Sequence[Loaded]) -> None:
    """InvalidSideError for the first run whose figures may not be trusted."""
    for run in runs:
        if void(run):
            reasons = reasons_of(run.result)
            raise InvalidSideError(
                f"{run.path} is INVALID, so nothing is compared{': ' if reasons else ''}{'; '.join(reasons[:3])}\n"
                "Measure it again, or give --force to compare it all the same"
            )


def _pair(a: Opened, b: Opened, noise: Sequence[Loaded]) -> Pair:
    first, second = a.runs[0].result, b.runs[0].result
    found = differences(first, second, (a.name, b.name))
    forbids = [d.says for d in found if d.weight == "forbid"]
    care = [d.says for d in found if d.weight == "care"]
    if {run.result.run.id for run in a.runs} & {run.result.run.id for run in b.runs}:
        care.insert(0, phrase("{} and {} are the same run", a.name, b.name))
    for side in (a, b):
        care += [_suspicion(side)] if side.word != "VALID" else []
        states = sorted({run.result.run.state for run in side.runs} - {"complete"})
        care += [phrase("{}'s run is {}", side.name, state) for state in states]
        ended = sorted({run.result.run.stopped.kind for run in side.runs if run.result.run.stopped is not None})
        care += [
            phrase("{}'s run was ended early ({}): its figures are of its beginning", side.name, kind) for kind in ended
        ]
    return Pair(
        name=b.name,
        comparable="not comparable" if forbids else "comparable with care" if care else "comparable",
        forbids=forbids,
        care=care,
        notes=_notes(a, b, noise),
        changes=[],
    )


def suspicions(sides: Sequence[Opened]) -> list[str]:
    """Which sides are not VALID, and why."""
    return [_suspicion(side) for side in sides if side.word != "VALID"]


def _suspicion(side: Opened) -> str:
    worst = next(run.result for run in side.runs if run.word == side.word)
    reasons = reasons_of(worst)
    says = phrase("{} is {}", side.name, side.word)
    if reasons:
        says = phrase("{}: {}", says, reasons[0])
    return phrase("{} (and {} more)", says, len(reasons) - 1) if len(reasons) > 1 else says


def _notes(a: Opened, b: Opened, noise: Sequence[Loaded]) -> list[str]:
    source = comes_from(a.runs[0].result, b.runs[0].result)
    notes = [] if source is None else [source]
    if any(run.result.classes for run in (*a.runs, *b.runs)):
        notes.append(phrase("several endpoints or models: the figures of all together are compared, not those of each"))
    runs = len(a.runs), len(b.runs)
    if max(runs) < RUNS_LEAST:
        which = (
            phrase("one run a side")
            if runs == (1, 1)
            else phrase("fewer than {} runs a side: only the first counts", RUNS_LEAST)
        )
        notes.append(phrase("{}: differences between runs (restarts, caches) are not in these intervals", which))
    elif min(runs) < RUNS_LEAST:
        few = a if len(a.runs) < RUNS_LEAST else b
        notes.append(
            phrase("{} has {} runs: its spread between runs is taken to be the other's", few.name, len(few.runs))
        )
    saved = [side.name for side in (a, b) if side.kind == "result"]
    if len(saved) == 1:
        notes.append(
            phrase("{} is a saved result: compared by estimates and intervals, without its requests", saved[0])
        )
    if len(saved) == 2:
        notes.append(
            phrase(
                "{} are saved results: compared by estimates and intervals, without its requests", " and ".join(saved)
            )
        )
    if noise:
        apart = [d.says for d in differences(a.runs[0].result, noise[0].result, (a.name, "noise")) if not d.repeats]
        if apart:
            notes.append(phrase("the noise floor is that of another setting: {}", joined("; ", apart)))
    return notes


_GAINS = 1.2
"""Below it, pairs make no difference worth a word."""


def _with(pair: Pair, changes: list[Change], pairs: Pairs) -> Pair:
    return msgspec.structs.replace(pair, changes=changes, pairing=pairing_of(changes, pairs))


def pairing_of(changes: Sequence[Change], pairs: Pairs) -> Pairing:
    """What pairs gained, in words."""
    if not pairs.n:
        return Pairing(requests=0, gain=None, says=phrase("not paired: {}", pairs.why))
    paired = phrase("paired by request: {:,} with the same lengths on both sides", pairs.n)
    best = max((c for c in changes if c.gain is not None), key=lambda c: c.gain or 0.0, default=None)
    if best is None or best.gain is None:
        return Pairing(requests=pairs.n, gain=None, says=paired)
    if best.gain < _GAINS:
        says = phrase("{}; it gains little, for it is not lengths that vary", paired)
    else:
        says = phrase("{}; for it the interval of {} is {:.2g} times narrower", paired, best.title, best.gain)
    return Pairing(requests=pairs.n, gain=best.gain, says=says)


def _shown(side: Opened) -> Side:
    return Side(
        name=side.name,
        path=str(side.path),
        kind=side.kind,
        runs=[run.result.run.id for run in side.runs],
        verdict=side.word,
        requests=sum(run.result.counts.window.ok for run in side.runs),
        fingerprint=side.runs[0].result.methodology.fingerprint,
    )
