"""What the engine knows of a load: which requests the tool measured, and their true figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from loadcell.audit.model import Seen
from loadcell.selftest.truth import Numbers, Truth

STATS = {"p50": 50, "p90": 90, "p99": 99}
LATENCIES = ("ttft", "itl", "tpot", "e2e")
RATES = ("requests_per_s", "output_tokens_per_s")


def told_apart(records: Sequence[Truth], counted: int | None) -> tuple[list[Truth], str]:
    """The requests that the tool measured, in order of arrival, and how they were told from its others.

    By number only: the tool says how many it `counted` as ok. Where the engine saw more, those whose client left, then
    those of another length than most, then the first, are taken for what was asked besides.
    """
    left = sorted((one for one in records if one.outcome == "ok" or one.gone_ns), key=lambda one: one.arrival_ns)
    if counted is None:
        ended = [one for one in left if one.outcome == "ok"]
        return ended, "all that came to their end: the tool does not say how many it measured"
    if len(left) <= counted:
        return [one for one in left if one.outcome == "ok"], "all that came to their end"
    most = Counter(len(one.tokens_ns) for one in left if one.outcome == "ok").most_common(1)
    usual = most[0][0] if most else 0
    said = []
    for name, keeps in (
        ("whose client left before the end", lambda one: one.outcome == "ok"),
        ("of another length", lambda one: len(one.tokens_ns) == usual),
    ):
        kept = [one for one in left if keeps(one)]
        if counted <= len(kept) < len(left):
            said.append(f"{len(left) - len(kept)} {name}")
            left = kept
    if len(left) > counted:
        said.append(f"the first {len(left) - counted}")
        left = left[len(left) - counted :]
    return left, f"as many as the tool counts; left out: {', '.join(said)}"


def true_figures(records: Sequence[Truth]) -> dict[tuple[str, str | None], float]:
    """Percentiles in ms (linear interpolation, as most tools have it), and rates from the first arrival to the last
    end; nothing of what there is none of."""
    found: dict[tuple[str, str | None], float] = {}
    for metric, values in true_ms(records).items():
        found |= percentiles(metric, values)
    if records:
        seconds = (max(one.end_ns for one in records) - min(one.arrival_ns for one in records)) / 1e9
        found["requests_per_s", None] = len(records) / seconds
        found["output_tokens_per_s", None] = sum(len(one.tokens_ns) for one in records) / seconds
    return found


def true_ms(records: Iterable[Truth]) -> dict[str, Numbers]:
    """From a request's arrival to just before each send, by metric; ITL pools the gaps of all tokens."""
    with_output = [one for one in records if one.tokens_ns]
    several = [one for one in with_output if len(one.tokens_ns) > 1]
    return {
        "ttft": np.array([one.tokens_ns[0] - one.arrival_ns for one in with_output]) / 1e6,
        "itl": np.concatenate([np.empty(0), *(np.diff(one.tokens_ns) for one in several)]) / 1e6,
        "tpot": np.array([(one.tokens_ns[-1] - one.tokens_ns[0]) / (len(one.tokens_ns) - 1) for one in several]) / 1e6,
        "e2e": np.array([one.tokens_ns[-1] - one.arrival_ns for one in with_output]) / 1e6,
    }


def percentiles(metric: str, values: Numbers) -> dict[tuple[str, str | None], float]:
    """Of one metric; none of no values."""
    values = values[np.isfinite(values)]
    return {(metric, stat): float(np.percentile(values, at)) for stat, at in STATS.items()} if values.size else {}


def seen(records: Sequence[Truth], measured: int, rule: str, started_ns: int) -> Seen:
    """The load as a whole."""
    moves = sorted([(one.arrival_ns, 1) for one in records] + [(one.end_ns, -1) for one in records])
    at_once = np.cumsum([step for _, step in moves])
    return Seen(
        arrived=len(records),
        measured=measured,
        rule=rule,
        tokens=sum(len(one.tokens_ns) for one in records),
        connections=len({one.peer for one in records}),
        most_at_once=int(at_once.max(initial=0)),
        first_request_s=(moves[0][0] - started_ns) / 1e9 if moves else None,
    )


def injected(records: Iterable[Truth]) -> dict[str, int]:
    """Requests that met a fault, by what it was."""
    kinds = {"http_500": 0, "cut": 0, "error_event": 0, "short": 0}
    for one in records:
        if one.outcome in ("cut", "short"):
            kinds[one.outcome] += 1
        elif one.outcome == "error":
            kinds["error_event" if one.tokens_ns else "http_500"] += 1
    return kinds
