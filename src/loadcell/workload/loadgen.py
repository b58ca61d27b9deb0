"""LoadGen's traffic, bit for bit: which sample is sent when, from three seeds.

One 32-bit Mersenne Twister a seed, and the shuffle and bounded integers of one C++ standard library (GCC 11 and later):
the recipe here is the definition, checked against published logs and the wheel.

Throughout, `n` is the number of loaded samples. Performance mode draws from the sample-index stream, before anything
else, one shuffle that it seldom uses and then whole passes for its minimum count of queries; that is why counts that
seem to have no part in the order are asked for.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.spec import LoadGen
from loadcell.spec import Seeds as Seeds
from loadcell.workload.arrivals import MAX_REQUESTS

SAMPLES_PER_QUERY = 8
"""Neighbouring samples that a query of MultiStream holds."""
Scenario = Literal["server", "offline", "singlestream", "multistream", "endpoints"]
_BLOCK = 65_536  # gaps drawn at a time
_LEAST_RATE = 1e-4  # a block of gaps stays far below 2**63 ns
_WORD = 0xFFFF_FFFF
_BELOW_ONE = math.nextafter(1.0, 0.0)


@dataclass(frozen=True, eq=False)
class Traffic:
    """What is sent, in issue order."""

    samples: NDArray[np.int64]
    """Index in the data set, one a sample."""
    scheduled_ns: NDArray[np.int64] | None = None
    """Server: when each is due, since the first at 0."""
    duration_ns: int | None = None
    """Server: LoadGen's generated_query_duration, one gap more than the last scheduled time."""


# --- generator --------------------------------------------------------------------------------------------------------


def outputs(seed: int) -> Iterator[int]:
    """The 32-bit outputs of a Mersenne Twister, without end; the low 32 bits of the seed count."""
    state = np.random.RandomState(seed & _WORD)  # the legacy one is promised to stay as it is
    while True:
        yield from _words(state, 4096).tolist()


def _words(state: np.random.RandomState, count: int) -> NDArray[np.uint32]:
    return np.frombuffer(state.bytes(4 * count), "<u4")


def bounded(draws: Iterator[int], n: int) -> int:
    """A whole number in [0, n), n below 2**32: the high half of output times n, redrawn where that would be unfair."""
    unfair = (_WORD + 1) % n
    product = next(draws) * n
    while product & _WORD < unfair:
        product = next(draws) * n
    return product >> 32


def shuffle(items: list[int], draws: Iterator[int]) -> None:
    """Shuffle in place: two positions a draw where both fit into 32 bits (up to 65,535 items), else one."""
    n = len(items)
    if n * n > _WORD:
        for i in range(1, n):
            j = bounded(draws, i + 1)
            items[i], items[j] = items[j], items[i]
        return
    first = 1
    if n % 2 == 0 and n:
        first = 2
        j = bounded(draws, 2)
        items[1], items[j] = items[j], items[1]
    for i in range(first, n, 2):
        bound = (i + 1) * (i + 2)
        product = next(draws) * bound  # `bounded`, written out: millions of draws
        if product & _WORD < bound:
            unfair = (_WORD + 1) % bound
            while product & _WORD < unfair:
                product = next(draws) * bound
        j, k = divmod(product >> 32, i + 2)
        items[i], items[j] = items[j], items[i]
        items[i + 1], items[k] = items[k], items[i + 1]


def gaps_ns(state: np.random.RandomState, rate: float, count: int) -> NDArray[np.int64]:
    """The next `count` times between queries, exponential of mean 1/rate (in 1/s), cut to whole ns."""
    low, high = _words(state, 2 * count).reshape(-1, 2).T
    unit = np.minimum((low + high * 4294967296.0) / 18446744073709551616.0, _BELOW_ONE)
    ns = -np.log(1.0 - unit) / rate * 1e9
    # NumPy's logarithm may differ from the C library's, which is LoadGen's, in its last bit: where that could move a
    # gap by 1 ns, the latter is asked
    close = np.abs(ns - np.rint(ns)) < 1e-14 * ns + 1e-14
    ns[close] = [-math.log(rest) / rate * 1e9 for rest in (1.0 - unit[close]).tolist()]
    return ns.astype(np.int64)


# --- orders -----------------------------------------------------------------------------------------------------------


def loaded_set(seed: int, n: int, *, dataset_size: int | None = None) -> NDArray[np.int64]:
    """The samples in the order in which they are loaded (LoadGen's loaded_qsl_set), from the QSL seed.

    LoadGen of before 2026 shuffles the whole data set and keeps its first `n`: give it as `dataset_size` then.
    """
    _check(n)
    items = list(range(dataset_size if dataset_size is not None else n))
    shuffle(items, outputs(seed))
    return np.array(items[:n], np.int64)


def _passes(n: int, queries: int, draws: Iterator[int]) -> list[int]:
    """Positions of whole passes over n, at least one and as many as `queries` fill, each a shuffle of the last."""
    items, cycle = list(range(n)), []
    for _ in range(max(1, whole_passes(queries, n) // n)):
        shuffle(items, draws)
        cycle += items
    return cycle


def _spent(n: int, draws: Iterator[int]) -> None:
    """Draw a shuffle of n that is not used."""
    shuffle([0] * n, draws)


def _performance_order(seeds: Seeds, n: int, *, rows: int, min_queries: int, equal_issue: bool) -> NDArray[np.int64]:
    """Samples of `rows` queries of one sample each (Server, SingleStream)."""
    loaded, draws = loaded_set(seeds.qsl, n), outputs(seeds.sample_index)
    _spent(n, draws)
    cycle = np.array(_passes(n, min_queries, draws), np.int64)  # drawn even where it is not used
    if equal_issue:
        return loaded[cycle[np.arange(rows) % len(cycle)]]
    return loaded[np.fromiter((bounded(draws, n) for _ in range(rows)), np.int64, rows)]


# --- scenarios --------------------------------------------------------------------------------------------------------


def server_traffic(
    seeds: Seeds, n: int, rate: float, *, min_queries: int, min_duration_s: float, equal_issue: bool = True
) -> Traffic:
    """Open loop at `rate` queries/s: it ends with the first query (of a whole pass under equal issue) that is due at or
    after the minimum duration and fulfils the minimum count.
    """
    _check(n, min_queries, min_duration_s)
    _check_rate(rate)
    _check_rows(max(float(min_queries), rate * min_duration_s))
    due_ns = server_schedule(
        seeds.schedule, rate, n,
        min_queries=min_queries, min_duration_ns=round(min_duration_s * 1e9), equal_issue=equal_issue,
    )  # fmt: skip
    samples = _performance_order(seeds, n, rows=len(due_ns) - 1, min_queries=min_queries, equal_issue=equal_issue)
    return Traffic(samples, due_ns[:-1], int(due_ns[-1]))


def server_schedule(
    seed: int, rate: float, n: int, *, min_queries: int, min_duration_ns: int, equal_issue: bool
) -> NDArray[np.int64]:
    """When each query is due, the first at 0, and at the end the time at which the next one would have been."""
    clock = _clock(seed, rate)
    blocks = [next(clock)]
    while blocks[-1][-1] < min_duration_ns:
        blocks.append(next(clock))
    by_time = int(np.searchsorted(np.concatenate(blocks), min_duration_ns)) + 1
    count = max(min_queries, by_time)
    if equal_issue:
        count = whole_passes(count, n)
    missing = count + 1 - sum(map(len, blocks))
    blocks += islice(clock, max(0, math.ceil(missing / _BLOCK)))
    return np.concatenate(blocks)[: count + 1]


def _clock(seed: int, rate: float) -> Iterator[NDArray[np.int64]]:
    """Due times in ns, block after block, the first of them 0."""
    state = np.random.RandomState(seed & _WORD)
    due_ns = np.zeros(1, np.int64)
    while True:
        yield due_ns
        due_ns = due_ns[-1] + np.cumsum(gaps_ns(state, rate, _BLOCK))


def offline_count(*, min_samples: int, min_duration_s: float, expected_rate: float, n: int, equal_issue: bool) -> int:
    """Samples of the one query: the minimum, or 1.1 durations at the expected samples/s, in whole passes."""
    _check(n, min_samples, min_duration_s)
    count = max(min_samples, int(1.1 * min_duration_s * expected_rate))
    return whole_passes(count, n) if equal_issue else count


def offline_traffic(seeds: Seeds, n: int, *, samples: int, equal_issue: bool = True) -> Traffic:
    """`samples` samples at once: loaded sets one after the other, each shuffled under equal issue."""
    _check(n, samples)
    _check_rows(samples)
    loaded, draws = loaded_set(seeds.qsl, n).tolist(), outputs(seeds.sample_index)
    _spent(n, draws)
    _passes(n, 1, draws)
    if not equal_issue:
        return Traffic(np.resize(np.array(loaded, np.int64), samples))
    copies = []
    for _ in range(whole_passes(samples, n) // n):
        copies.append(loaded.copy())
        shuffle(copies[-1], draws)
    return Traffic(np.fromiter(chain.from_iterable(copies), np.int64)[:samples])


def single_stream_count(
    *, min_queries: int, min_duration_s: float, expected_rate: float, n: int, equal_issue: bool = True
) -> int:
    """LoadGen's minimum count in SingleStream: enough for twice the duration at the expected queries/s.

    Under equal issue it goes on to the next whole pass above, even from the end of one.
    """
    _check(n, min_queries, min_duration_s)
    if not equal_issue:
        return min_queries
    count = max(min_queries, int(2 * min_duration_s * expected_rate))
    return count + n - count % n


def single_stream_traffic(seeds: Seeds, n: int, *, rows: int, min_queries: int, equal_issue: bool = True) -> Traffic:
    """The first `rows` queries; `min_queries` is the count that `single_stream_count` gives."""
    _check(n, min_queries)
    _check_rows(rows)
    return Traffic(_performance_order(seeds, n, rows=rows, min_queries=min_queries, equal_issue=equal_issue))


def multi_stream_traffic(seeds: Seeds, n: int, *, queries: int, min_queries: int) -> Traffic:
    """The first `queries` queries of 8 neighbours in the loaded set each, one query after the other."""
    _check(n, min_queries)
    _check_rows(queries * SAMPLES_PER_QUERY)
    loaded, draws = loaded_set(seeds.qsl, n), outputs(seeds.sample_index)
    _spent(len(range(0, n, SAMPLES_PER_QUERY)), draws)
    _passes(n + SAMPLES_PER_QUERY - 1, min_queries, draws)
    starts = np.fromiter((bounded(draws, n) for _ in range(queries)), np.int64, queries)
    return Traffic(loaded[_neighbours(starts, n)])


def accuracy_count(n: int, scenario: Scenario) -> int:
    """Samples of accuracy mode: each once, and in MultiStream as many again as fill the last query."""
    return whole_passes(n, SAMPLES_PER_QUERY) if scenario == "multistream" else n


def accuracy_traffic(
    seeds: Seeds, n: int, scenario: Scenario, *, equal_issue: bool = True, rate: float | None = None
) -> Traffic:
    """Every sample once, in the order of accuracy mode; with a rate in queries/s, when each is due as well."""
    _check(n)
    if scenario == "endpoints":
        raise UsageError("loadgen.mode accuracy is LoadGen's: the Endpoints client has no such order")
    order = _accuracy_order(seeds, n, scenario, equal_issue)
    if rate is None:
        return Traffic(order)
    _check_rate(rate)
    due_ns = server_schedule(seeds.schedule, rate, n, min_queries=n, min_duration_ns=0, equal_issue=equal_issue)
    return Traffic(order, due_ns[:-1], int(due_ns[-1]))


def _accuracy_order(seeds: Seeds, n: int, scenario: Scenario, equal_issue: bool) -> NDArray[np.int64]:
    loaded, draws = loaded_set(seeds.qsl, n), outputs(seeds.sample_index)
    if scenario == "multistream":
        starts = list(range(0, n, SAMPLES_PER_QUERY))
        shuffle(starts, draws)
        return loaded[_neighbours(np.array(starts, np.int64), n)]
    shuffles = []
    for _ in range(3):
        shuffles.append(list(range(n)))
        shuffle(shuffles[-1], draws)
    if scenario != "offline":
        return loaded[shuffles[2] if equal_issue else shuffles[0]]
    copy: list[int] = loaded.tolist()
    if equal_issue:
        shuffle(copy, draws)
    return np.array(copy, np.int64)


def _neighbours(starts: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Positions of the 8 samples of each query, one query after the other; the loaded set goes on from its start."""
    return (starts[:, np.newaxis] + np.arange(SAMPLES_PER_QUERY)).ravel() % n


def traffic_of(loadgen: LoadGen, n: int, *, rate: float | None, rows: int) -> Traffic:
    """The traffic of a Spec over `n` samples: `rows` rows in closed loops, as many as follow in the server one.

    In closed loops `loadgen.min_queries` is the count that `single_stream_count` gives. UsageError if it cannot be.
    """
    seeds = Seeds(qsl=loadgen.qsl_seed, sample_index=loadgen.sample_index_seed, schedule=loadgen.schedule_seed)
    scenario, least, equal_issue = loadgen.scenario, loadgen.min_queries, loadgen.equal_issue
    if scenario is None:
        raise UsageError("loadgen.scenario is not given: without one there is no such traffic")
    if loadgen.mode == "accuracy":
        count = accuracy_count(n, scenario)
        if rate is None and rows != count:
            raise UsageError(f"accuracy mode sends each of the {n:,} samples once: set load.requests to {count}")
        return accuracy_traffic(seeds, n, scenario, equal_issue=equal_issue, rate=rate)
    if scenario == "server":
        if rate is None:
            raise UsageError("loadgen.scenario server needs a rate: give load.rate")
        return server_traffic(
            seeds, n, rate, min_queries=least, min_duration_s=loadgen.min_duration_s, equal_issue=equal_issue
        )
    if scenario == "endpoints":
        _check(n)
        return Traffic(_permutations(loadgen.sample_index_seed, n, rows))
    if scenario == "offline":
        return offline_traffic(seeds, n, samples=rows, equal_issue=equal_issue)
    if scenario == "singlestream":
        return single_stream_traffic(seeds, n, rows=rows, min_queries=least, equal_issue=equal_issue)
    queries = math.ceil(rows / SAMPLES_PER_QUERY)
    return Traffic(multi_stream_traffic(seeds, n, queries=queries, min_queries=least).samples[:rows])


def _permutations(seed: int, n: int, rows: int) -> NDArray[np.int64]:
    """The first `rows` samples of passes that shuffle one list again and again, with CPython's generator."""
    order, items = random.Random(seed), list(range(n))
    samples: list[int] = []
    while len(samples) < rows:
        order.shuffle(items)
        samples += items
    return np.array(samples[:rows], np.int64)


# --- what can be ------------------------------------------------------------------------------------------------------


def whole_passes(count: int, n: int) -> int:
    """`count` rounded up to a multiple of `n`."""
    return -(-count // n) * n


def _check(n: int, queries: int = 1, duration_s: float = 0.0) -> None:
    if not 1 <= n <= _WORD:
        raise UsageError(f"{n:,} samples are loaded: there must be at least one, and fewer than 2**32")
    if queries < 1:
        raise UsageError(f"a minimum of {queries} queries is asked for: it must be 1 or more")
    if not 0 <= duration_s < math.inf:
        raise UsageError(f"a minimum duration of {duration_s:g} s is asked for: it must be 0 or more")


def _check_rate(rate: float) -> None:
    if not _LEAST_RATE <= rate < math.inf:
        raise UsageError(f"the target rate is {rate:g}: it must be at least {_LEAST_RATE:g} queries/s")


def _check_rows(count: float) -> None:
    if count > MAX_REQUESTS:
        raise UsageError(
            f"about {count:,.0f} requests are more than the {MAX_REQUESTS:,} that one run may plan: "
            "lower the rate, the minimum count or the duration"
        )
