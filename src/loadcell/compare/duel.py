"""A duel: the same requests to two endpoints in turns A B B A, the idle side resting, compared by request and by time.

Two turns with the same requests are a couple. What drifts while the duel runs (the machine, the network, a neighbour)
meets both sides of a couple nearly alike, and a drift that is linear cancels in a block of two couples, A B B A. Blocks
are the units of every interval: with turns that are short against the drift, they hardly depend on each other.

A folder of a duel holds `duel.json` (`DuelPlan`) and an ordinary recording for each turn: 001-A, 002-B, 003-B, 004-A.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np

from loadcell import __version__
from loadcell.compare.build import InvalidSideError, pairing_of, suspicions
from loadcell.compare.effect import Effect, by_student, scaled
from loadcell.compare.figures import LEFT_OPEN, NOT_KEPT, NOT_OF_API, Figure, latencies_ns, left_open, of_api
from loadcell.compare.gates import Bound, judge_gates
from loadcell.compare.judge import Sides, judge
from loadcell.compare.measures import LATENCIES, MEASURES, SHARES_FINER, Measure
from loadcell.compare.model import Comparison, DuelShown, Pair, Side
from loadcell.compare.pairing import Pairs, Told, align, in_time, told_by_pairs
from loadcell.compare.pairs import LEAST_BLOCKS, least_pairs
from loadcell.compare.sides import Loaded, Opened, load_run, void
from loadcell.errors import LoadcellError
from loadcell.metrics import Result
from loadcell.metrics.behaved import timed
from loadcell.metrics.fingerprint import differences
from loadcell.metrics.glossary import made_of
from loadcell.metrics.headline import reasons_of
from loadcell.metrics.interval import wilson
from loadcell.metrics.rows import Floats, Ids, Rows
from loadcell.metrics.throughput import made_by
from loadcell.phrases import joined, phrase
from loadcell.recording.campaign import Campaign
from loadcell.spec import Spec

Doc = msgspec.Meta
FORMAT = 1
"""Version of duel.json."""
ORDER = "ABBA"
ROUNDS = 5
"""Requests a user sends in a turn: shorter ones are mostly ramp, longer ones let the drift in (docs/compare.md)."""
REQUESTS_LEAST, TURNS_LEAST = 300, 12
"""What a duel sends to each side unless it is told otherwise."""
_BLOCKS_MOST = 60
_OPEN_MOST = 0.1
"""Of a side's turns: where more leave a figure open it is not compared."""


class DuelPlan(msgspec.Struct, frozen=True, kw_only=True):
    """duel.json: what a duel is to do."""

    format: int = FORMAT
    loadcell: str = __version__
    a: Annotated[Spec, Doc(description="of a turn on A, secrets removed; its seed is that of turn 1")]
    b: Spec
    turn: Annotated[int, Doc(description="requests of a turn")]
    couples: Annotated[int, Doc(description="turns of each side")]
    models: Annotated[list[str], Doc(description="models that the ends serve")]


DUEL = Campaign(
    noun="a duel",
    part="a turn",
    command="loadcell duel",
    place="duels",
    file="duel.json",
    form=DuelPlan,
    newest=FORMAT,
    reported=True,
)


class Turn(NamedTuple):
    """One turn."""

    couple: int
    side: Literal["A", "B"]
    folder: Path


def turns_of(plan: DuelPlan, folder: Path) -> Iterator[Turn]:
    """Every turn in the order in which they run: A B B A A B B A ..."""
    for i in range(2 * plan.couples):
        side: Literal["A", "B"] = "A" if ORDER[i % 4] == "A" else "B"
        yield Turn(i // 2, side, folder / f"{i + 1:03}-{side}")


def turn_length(users: int | None, rate: float | None, each: float = 1.0) -> int:
    """Requests of a turn unless told otherwise: five for each user; of an open loop what arrives in five seconds. Where
    users run sessions of so many requests `each`, five sessions: of fewer, most of a turn is their begin and end."""
    sessions = ROUNDS * (users or 1) if rate is None else max(ROUNDS, round(ROUNDS * rate))
    return math.ceil(sessions * max(1.0, each))


def couples_of(requests: int | None, turn: int) -> int:
    """Turns of each side, an even number, so that the order is A B B A to the end."""
    asked = max(REQUESTS_LEAST, TURNS_LEAST * turn) if requests is None else requests
    return max(2, 2 * -(-asked // (2 * turn)))


@dataclass(frozen=True)
class _Couple:
    """Two turns with the same requests."""

    number: int
    a: Loaded
    b: Loaded


def compare_duel(
    folder: Path,
    *,
    gates: Sequence[Bound] = (),
    min_effect: float = 0.05,
    force: bool = False,
    strict_gates: bool = False,
) -> Comparison:
    """What a duel tells so far, as a Comparison of B with A.

    Couples with a turn that is missing or cut short are left out; so are, without `force`, those with one that is void.
    LoadcellError where nothing can be compared, InvalidSideError where INVALID turns leave less than half.
    """
    plan = DUEL.read(folder)
    whole = list(_whole(plan, folder))
    kept = [c for c in whole if force or not (void(c.a) or void(c.b))]
    if not kept or 2 * len(kept) < len(whole):
        _refuse(folder, whole)
    lengths = [align(_rows(c.a), _rows(c.b), fixed=True) for c in kept]
    apart = next((says for *_, says in lengths if says), "")
    if apart:
        raise LoadcellError(f"{folder}: the turns of a couple are not the same requests: {apart}")
    sides = [
        Opened("A", Path(plan.a.endpoint.url), [c.a for c in kept]),
        Opened("B", Path(plan.b.endpoint.url), [c.b for c in kept]),
    ]
    block = ordered_blocks([c.number for c in kept])
    found = differences(sides[0].runs[0].result, sides[1].runs[0].result)
    forbids = [d.says for d in found if d.weight == "forbid"]
    care = [*suspicions(sides), *(d.says for d in found if d.weight == "care")]
    pairs = _pairs(kept, lengths, block, plan.turn)
    changes = judge([_sides(kept, pairs, block)], min_effect)[0] if force or not forbids else []
    pair = Pair(
        name="B",
        comparable="not comparable" if forbids else "comparable with care" if care else "comparable",
        forbids=forbids,
        care=care,
        notes=list(_notes(plan, whole, kept)),
        pairing=pairing_of(changes, pairs),
        changes=changes,
    )
    return Comparison(
        loadcell=__version__,
        min_effect=min_effect,
        min_points=min_effect / SHARES_FINER,
        forced=force,
        sides=[_side(side, plan.models[i]) for i, side in enumerate(sides)],
        pairs=[pair],
        noise=None,
        gates=judge_gates(gates, [pair], strict=strict_gates),
        duel=DuelShown(folder=str(folder), turn=plan.turn, couples=len(kept), planned=plan.couples),
    )


def _whole(plan: DuelPlan, folder: Path) -> Iterator[_Couple]:
    """Couples of which both turns ended."""
    both: dict[int, dict[str, Loaded]] = {}
    for turn in turns_of(plan, folder):
        if not (turn.folder / "recording.json").exists():
            continue
        run = load_run(turn.folder)
        if run.result.run.state == "complete":
            both.setdefault(turn.couple, {})[turn.side] = run
    return (_Couple(number, c["A"], c["B"]) for number, c in sorted(both.items()) if len(c) == 2)


def _refuse(folder: Path, whole: Sequence[_Couple]) -> None:
    if not whole:
        raise LoadcellError(f"nothing to compare: {folder} has no turn of A and of B that ended")
    words: Counter[str] = Counter()
    for couple in whole:
        for run in (couple.a, couple.b):
            words.update(_invalid_reasons(run.result) if void(run) else [])
    most = joined("; ", (reason for reason, _ in words.most_common(2)))
    raise InvalidSideError(
        f"most turns of {folder} are INVALID, so nothing is compared{': ' if most else ''}{most}\n"
        "Measure it again, or give --force to compare them all the same"
    )


def _invalid_reasons(result: Result) -> list[str]:
    """Why a turn is INVALID, without what else is doubtful about it."""
    bad = {check.says for check in result.verdict.checks if check.word == "INVALID"}
    return [reason for reason in reasons_of(result) if any(reason.startswith(says) for says in (*result.invalid, *bad))]


def _rows(run: Loaded) -> Rows:
    assert run.rows is not None
    return run.rows


def ordered_blocks(numbers: Sequence[int]) -> Ids:
    """Block of each couple: the two of an A B B A, of which one may be left out; many blocks are joined."""
    block = np.unique(np.array(numbers) // 2, return_inverse=True)[1].astype(np.int64)
    blocks = int(block.max()) + 1
    return block * min(blocks, _BLOCKS_MOST) // blocks


def _pairs(kept: Sequence[_Couple], lengths: Sequence[tuple[Ids, Ids, str]], block: Ids, turn: int) -> Pairs:
    """The latencies of all couples, request by request, blocks of couples as blocks."""
    a: dict[str, list[Floats]] = {}
    b: dict[str, list[Floats]] = {}
    blocks: list[Ids] = []
    for couple, (one, other, _), number in zip(kept, lengths, block, strict=True):
        first, second = _rows(couple.a), _rows(couple.b)
        good = timed(first).ok[one] & timed(second).ok[other]
        loop = couple.a.recording.manifest.loop if couple.a.recording else "closed"
        for into, rows, places in ((a, first, one[good]), (b, second, other[good])):
            for name, values in latencies_ns(rows, loop).items():
                into.setdefault(name, []).append(values[places])
        blocks.append(np.full(int(good.sum()), number))
    of = np.concatenate(blocks)
    paired = {
        name: in_time(np.concatenate(a[name]), np.concatenate(b[name]), of, chained=False) for name in a if of.size
    }
    enough = {name: one for name, one in paired.items() if one.blocks >= LEAST_BLOCKS}
    ended, would_do = int(block.max()) + 1, LEAST_BLOCKS * 2 * turn
    lacks = phrase(
        "{} blocks of A B B A have ended, {} are needed: --requests {} would do", ended, LEAST_BLOCKS, would_do
    )
    why = "" if enough else lacks
    return Pairs([enough] if enough else [], int(of.size) if enough else 0, why)


def _sides(kept: Sequence[_Couple], pairs: Pairs, block: Ids) -> Sides:
    """What the couples tell, by measure; shares are of all requests together."""
    told = told_by_pairs(pairs)
    if pairs.n:
        told |= _rates(kept, block)
    bad = {key for key in told if _left_open(MEASURES[key], kept)}
    told = {key: one for key, one in told.items() if key not in bad}
    shown = {key: _missing(measure, pairs, kept[0].a.result) for key, measure in MEASURES.items()}
    shown |= dict.fromkeys(bad, Figure(None, why=LEFT_OPEN))
    sides = []
    for name in ("a", "b"):
        runs: list[Loaded] = [getattr(couple, name) for couple in kept]
        planned = sum(run.result.counts.run.planned for run in runs)
        failed = wilson(sum(run.result.counts.run.failed for run in runs), planned)
        mine = {"failed.share": Figure(failed.value, planned, failed.low, failed.high)}
        good = [run.result.goodput for run in runs]
        if all(one is not None and one.attainment.value is not None for one in good):
            judged = [(one.attainment.value or 0.0, one.planned) for one in good if one is not None]
            due = sum(n for _, n in judged)
            kept_to = wilson(round(sum(share * n for share, n in judged)), due)
            mine["slo_attainment.share"] = Figure(kept_to.value, due, kept_to.low, kept_to.high)
        sides.append(shown | mine)
    return Sides("B", [sides[0]], [sides[1]], told)


def _left_open(measure: Measure, kept: Sequence[_Couple]) -> bool:
    """Whether in too many turns of a side the client's clock readings leave a figure open."""
    sides = ([c.a for c in kept], [c.b for c in kept])
    return any(sum(left_open(measure, run.result) for run in runs) > _OPEN_MOST * len(runs) for runs in sides)


def _missing(measure: Measure, pairs: Pairs, result: Result) -> Figure:
    """A figure of which couples tell nothing, and why; `result` is that of a turn."""
    if not of_api(measure.metric, result):
        return Figure(None, why=NOT_OF_API)
    if measure.metric not in LATENCIES or measure.metric == "itl":
        return Figure(None, why=NOT_KEPT)
    if not pairs.n:
        return Figure(None, why=pairs.why, few=True) if measure.stat == "geomean" else Figure(None, why=NOT_KEPT)
    n = pairs.runs[0][measure.metric].n if measure.metric in pairs.runs[0] else 0
    if not n:
        return Figure(None, why=NOT_KEPT)
    return Figure(None, why=phrase("{:,} pairs of requests, {} are needed", n, least_pairs(measure.stat)), few=True)


def _rates(kept: Sequence[_Couple], block: Ids) -> dict[str, Told]:
    """Throughput of the turns, from the first send to the last end: what a couple differs by, and so its blocks."""
    found = {}
    for name in (made_of(kept[0].a.result.methodology.spec), "requests_per_s"):
        key, rates = f"{name}.mean", np.array([[_rate(run, name) for run in (c.a, c.b)] for c in kept])
        if name == "audio_s_per_s" and not rates.all():  # nothing tells how long it lasts
            continue
        logs = scaled(rates, True)
        apart = logs[:, 1] - logs[:, 0]
        effect = float(apart.mean())
        sums = np.bincount(block, weights=apart - effect)
        k = sums.size
        error = float(np.sqrt(k / (k - 1) * (sums * sums).sum())) / apart.size
        n = sum(run.result.counts.run.ok for c in kept for run in (c.a,))
        a, b = np.exp(logs.mean(axis=0)).tolist()
        found[key] = Told(a, b, _by_turns(effect, error, k, error**2 * n))
    return found


def _by_turns(effect: float, error: float, blocks: int, variance: float) -> Effect:
    return by_student(effect, error, blocks, variance, "requests", phrase("pairs of turns in {} blocks", blocks))


def _rate(run: Loaded, name: str) -> float:
    rows = _rows(run)
    length_s = (float(np.nanmax(rows.end)) - float(np.nanmin(rows.send_start))) / 1e9
    each = rows.output_tokens if name == "output_tokens_per_s" else made_by(rows, name)
    received = rows.ok | (rows.abandoned & (name == "output_tokens_per_s"))
    amount = np.count_nonzero(rows.ok) if name == "requests_per_s" else np.nansum(each[received])
    return float(amount) / length_s


def _notes(plan: DuelPlan, whole: Sequence[_Couple], kept: Sequence[_Couple]) -> Iterator[str]:
    yield phrase(
        "{} turns a side of {} requests, in the order A B B A; each begins and ends without load, "
        "on both sides alike: how fast a side is under a load that stands tells a run",
        len(kept),
        plan.turn,
    )
    if len(kept) < plan.couples:
        ended = {couple.number for couple in whole}
        bad = ended - {couple.number for couple in kept}
        missing = set(range(plan.couples)) - ended
        if bad:
            yield phrase("{} of {} couples of turns are left out as INVALID: {}", len(bad), plan.couples, _named(bad))
        if missing:
            yield phrase(
                "{} of {} couples of turns did not run to their end: {}", len(missing), plan.couples, _named(missing)
            )


_NAMED = 12


def _named(couples: set[int]) -> str:
    """Couples by the numbers of their turns' folders."""
    first = ", ".join(f"{2 * number + 1:03}+{2 * number + 2:03}" for number in sorted(couples)[:_NAMED])
    return first if len(couples) <= _NAMED else f"{first}, ..."


def _side(side: Opened, model: str) -> Side:
    return Side(
        name=side.name,
        path=f"{_url(side)} ({model})",
        kind="turns",
        runs=[run.result.run.id for run in side.runs],
        verdict=side.word,
        requests=sum(run.result.counts.run.ok for run in side.runs),
        fingerprint=side.runs[0].result.methodology.fingerprint,
    )


def _url(side: Opened) -> str:
    return side.runs[0].result.methodology.spec.endpoint.url
