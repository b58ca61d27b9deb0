"""How often `loadcell check` answers what is so: simulated TTFTs through the functions that the command decides by.

A simulated check is the command without its sockets: a pilot, the number of requests that follows from it, the duel of
so many, the answer. Then a duel of half as many, its answer, and a duel of the number that this asked for.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter
from tables import Row, Table

from loadcell.compare.check import Check, Failures, Word, check_turns
from loadcell.compare.duel import ROUNDS, ordered_blocks
from loadcell.compare.figures import NOT_KEPT, Figure
from loadcell.compare.gates import Bound, parse_gate
from loadcell.compare.judge import Sides, judge
from loadcell.compare.measures import MEASURES
from loadcell.compare.model import Change, Comparison, DuelShown, Pair
from loadcell.compare.needed import layout, pilot, planned
from loadcell.compare.pairing import Told, in_time
from loadcell.compare.pairs import least_pairs, paired_effect, values_of
from loadcell.metrics.rows import Floats

CHECKS = 200
PACE_SD, OVER = 0.03, 100
TRUTHS = (0.0, 0.05, 0.10)
_GATE = "ttft.{}>+5%"
_ABSENT = {key: Figure(None, why=NOT_KEPT) for key in MEASURES}


class Server(NamedTuple):
    """TTFTs of one user: lognormal, of which the lengths, which both sides have in common, make the share `common`."""

    stat: str
    sigma: float
    common: float


SERVERS = (
    Server("p50", 0.3, 0.5),
    Server("p50", 0.6, 0.8),
    Server("p99", 0.3, 0.8),
    Server("p99", 0.45, 0.5),
    Server("p99", 0.6, 0.9),
)


class Told3(NamedTuple):
    """What one simulated check came to."""

    announced: int
    whole: Word
    half: Word
    asked: int | None
    then: Word | None
    """Of a check of the number that the half asked for; None where the half answered."""


def duel(rng: np.random.Generator, server: Server, slower: float, requests: int, bound: Bound) -> Comparison:
    """What a duel of so many requests a side would tell of TTFT: turns A B B A, a pace that drifts under both."""
    turn, couples = layout(requests, ROUNDS)
    return told(rng, server, slower, turn, couples, bound)


def told(rng: np.random.Generator, server: Server, slower: float, turn: int, couples: int, bound: Bound) -> Comparison:
    """As `duel`, of so many turns."""
    n = turn * couples
    rho = np.exp(-1 / OVER)
    steps = rng.standard_normal(2 * n) * np.sqrt(1 - rho**2)
    steps[0] /= np.sqrt(1 - rho**2)
    pace = (PACE_SD * lfilter([1.0], [1.0, -rho], steps)).reshape(2 * couples, turn)
    order = np.arange(2 * couples).reshape(couples, 2)
    order[1::2] = order[1::2, ::-1]  # A B B A
    lengths = np.sqrt(server.common) * rng.standard_normal(n)
    a, b = (_ttft(rng, server, lengths, pace[order[:, side]].ravel()) * f for side, f in enumerate((1.0, 1 + slower)))
    paired = in_time(a, b, np.repeat(ordered_blocks(range(couples)), turn), chained=False)
    stats = {bound.measure.stat, {"p99": "p95"}.get(bound.measure.stat, "p50")}
    found = {
        f"ttft.{stat}": Told(*values_of(paired, stat), paired_effect(paired, stat))
        for stat in stats
        if paired.n >= least_pairs(stat)
    }
    return _compared(judge([Sides("B", [_ABSENT], [_ABSENT], found)], 0.01)[0], turn, couples)


def _ttft(rng: np.random.Generator, server: Server, lengths: Floats, pace: Floats) -> Floats:
    own = np.sqrt(1 - server.common) * rng.standard_normal(lengths.size)
    return np.asarray(2e8 * np.exp(server.sigma * (lengths + own) + pace))


def _compared(changes: list[Change], turn: int, couples: int) -> Comparison:
    pair = Pair(name="B", comparable="comparable", forbids=[], care=[], notes=[], changes=changes)
    shown = DuelShown(folder="", turn=turn, couples=couples, planned=couples)
    return Comparison(
        loadcell="", min_effect=0.01, min_points=0.002, forced=False, sides=[], pairs=[pair], noise=None, gates=[],
        duel=shown,
    )  # fmt: skip


def checked(seed: tuple[int, ...], server: Server, slower: float, half_too: bool = True) -> Told3:
    """One check: pilot, plan, duel; and one of half as many requests, with the one of the number that this asks for."""
    rng, bound = np.random.default_rng(seed), parse_gate(_GATE.format(server.stat))
    turn, couples = pilot([bound], ROUNDS)
    first = told(rng, server, slower, turn, couples, bound)
    (needs,) = planned([bound], first.pairs[0].changes, turn * couples)
    assert needs is not None

    def judged(found: Comparison, announced: int) -> Check:
        return check_turns(found, [bound], Failures(0, 0, 0, 0), announced=[announced], noise=None)

    def answer(requests: int, announced: int) -> tuple[Word, int | None]:
        found = judged(duel(rng, server, slower, requests, bound), announced)
        return found.word, found.needs

    whole = judged(first, needs).word
    if whole == "INCONCLUSIVE" and needs > turn * couples:
        whole, _ = answer(needs, needs)
    if not half_too:
        return Told3(needs, whole, "INCONCLUSIVE", None, None)
    half, asked = answer(needs // 2, needs)
    then = answer(asked, asked)[0] if half == "INCONCLUSIVE" and asked is not None else None
    return Told3(needs, whole, half, asked, then)


def measure(quick: bool) -> list[Table]:
    """The table of all servers and truths."""
    checks = 4 if quick else CHECKS
    table = Table(
        f"Simulated checks of {_GATE.format('p..')}, {checks} of each",
        ("server", "B slower by", "announced", "PASS", "FAIL", "half: PASS, FAIL", "INCONCLUSIVE", "then answered"),
        notes=(
            "TTFT lognormal with this sigma; the named share of its variance is common to both of a pair (lengths); "
            f"a pace with sd {PACE_SD:.0%} drifts under both, forgotten by 1/e in {OVER} requests; one user, turns "
            "A B B A. Announced: requests a side by the pilot, median. Half: a check of half as many. Then answered: "
            "of the checks of the number that an INCONCLUSIVE half asked for, FAIL at 10 %, PASS at 0. At 5 %, the "
            "bound itself, PASS and FAIL are wrong, each in 2.5 % by the level of its test.",
        ),
    )  # fmt: skip
    for i, server in enumerate(SERVERS[:2] if quick else SERVERS):
        for j, slower in enumerate(TRUTHS):
            found = [checked((i, j, k), server, slower, slower != 0.05) for k in range(checks)]
            table.rows.append(row(server, slower, found))
    return [table]


def row(server: Server, slower: float, found: list[Told3]) -> Row:
    """One line of the table with its bars, scaled to the number of checks."""
    n, right = len(found), {0.0: "PASS", 0.10: "FAIL"}.get(slower)
    whole, half = Counter(one.whole for one in found), Counter(one.half for one in found)
    then = [one.then for one in found if one.then is not None]
    name = f"{server.stat}, sigma {server.sigma:g}, {server.common:.0%} common"
    cells = (
        name, f"{slower:.0%}", f"{np.median([one.announced for one in found]):,.0f}",
        str(whole["PASS"]), str(whole["FAIL"]),
        f"{half['PASS']}, {half['FAIL']}" if right else "", str(half["INCONCLUSIVE"]) if right else "",
        f"{then.count(right)} of {len(then)}" if right else "",  # type: ignore[arg-type]
    )  # fmt: skip
    enough = not right or 10 * then.count(right) >= 9 * len(then)  # type: ignore[arg-type]
    bars = {
        0.0: (f"FAIL <= {n * 7 // 100}, PASS >= {n * 4 // 5}", whole["FAIL"] <= n * 0.07 and whole["PASS"] >= n * 0.8),
        0.05: (f"PASS, FAIL <= {n * 7 // 100} each", max(whole["PASS"], whole["FAIL"]) <= n * 0.07),
        0.10: (f"FAIL >= {n * 9 // 10}, PASS <= {n // 100}", whole["FAIL"] >= n * 0.9 and whole["PASS"] <= n * 0.01),
    }  # fmt: skip
    bar, met = bars[slower]
    return Row(cells, bar + (", answered >= 90 %, half mostly INCONCLUSIVE" if right else ""),
               met and enough and (not right or 2 * half["INCONCLUSIVE"] > n))  # fmt: skip
