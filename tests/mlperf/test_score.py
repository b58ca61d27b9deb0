from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_queries import MS, made_queries, made_rules

from loadcell.errors import UsageError
from loadcell.mlperf.model import Score
from loadcell.mlperf.score import PERCENTILES, block, latencies, score

_TIMES = st.lists(st.integers(0, 10**12), min_size=1, max_size=300)


# --- blocks ----------------------------------------------------------------------------------------------------------


@given(_TIMES)
def test_a_block_is_made_of_elements_and_a_truncated_mean(values: list[int]) -> None:
    got = block(np.array(values, np.int64))
    assert got is not None
    ordered = sorted(values)
    assert (got.n, got.min_ns, got.max_ns) == (len(values), ordered[0], ordered[-1])
    assert got.mean_ns == sum(values) // len(values)
    for name, value in got.percentiles_ns.items():
        assert value == ordered[int(len(values) * PERCENTILES[name])]


def test_a_mean_of_long_runs_does_not_overflow() -> None:
    hour = 3_600 * 10**9
    got = block(np.full(3_000_000, 24 * hour, np.int64))
    assert got is not None and got.mean_ns == 24 * hour


def test_no_values_make_no_block() -> None:
    assert block(np.empty(0, np.int64)) is None


# --- latencies -------------------------------------------------------------------------------------------------------


def test_tpot_is_whole_nanoseconds_and_absent_for_one_token() -> None:
    queries = made_queries([100, 100, 100], ttft_ms=[10, 10, 100], tokens=[8, 2, 1])
    got = latencies(queries)
    assert got.tpot.tolist() == [90 * MS // 7, 90 * MS]
    assert got.ttft.tolist() == [10 * MS, 10 * MS, 100 * MS]
    assert (got.untold_ttft, got.untold_tpot) == (0, 0)


def test_failed_samples_have_no_part_in_latencies() -> None:
    queries = made_queries([100, 9_999, 300], failed=[1])
    got = latencies(queries)
    assert got.latency.tolist() == [100 * MS, 300 * MS]
    assert len(got.ttft) == len(got.tpot) == 2


def test_a_query_is_as_slow_as_its_slowest_sample_and_counts_if_all_completed() -> None:
    times = [float(i) for i in range(1, 25)]
    got = latencies(made_queries(times, per_query=8, failed=[9]))
    assert got.query.tolist() == [8 * MS, 24 * MS]


# --- windows and headlines -------------------------------------------------------------------------------------------


def test_the_two_windows_of_a_server_run() -> None:
    """Three queries at 0, 100 and 200 ms: the second ends last, at 1,100 ms; the last-issued one ends at 300 ms."""
    got = score(made_queries([100, 1_000, 100], tokens=[10, 20, 30]), made_rules())
    assert (got.last_scheduled_ns, got.last_issued_done_ns, got.end_ns) == (200 * MS, 300 * MS, 1_100 * MS)
    assert got.tokens == 60
    assert got.tokens_per_s_loadgen == pytest.approx(60 / 0.3)
    assert got.tokens_per_s_run == pytest.approx(60 / 1.1)
    assert got.samples_per_s_loadgen == pytest.approx(2 / 0.3)
    assert got.samples_per_s_run == pytest.approx(3 / 1.1)
    assert got.scheduled_samples_per_s == pytest.approx(2 / 0.2)
    assert got.headline == got.tokens_per_s_loadgen
    assert got.headline_name == "completed tokens/s in LoadGen's window"


def test_offline_divides_by_the_longest_latency() -> None:
    got = score(made_queries([500, 2_000, 1_000], scheduled_ms=0.0, one_query=True, tokens=10), made_rules("offline"))
    assert (got.queries, got.samples) == (1, 3)
    assert got.headline == got.tokens_per_s_run == pytest.approx(30 / 2.0)
    assert got.samples_per_s_run == pytest.approx(3 / 2.0)
    assert got.scheduled_samples_per_s is None


def test_single_stream_is_compared_by_a_bound_or_by_what_the_rules_name() -> None:
    times = [float(i) for i in range(1, 101)]
    queries = made_queries(times)
    got = score(queries, made_rules("singlestream"))
    (proof,) = got.early_stopping
    assert proof.discarded == 2 and got.headline == 98.0  # 100 samples: t = 3, the third-highest of 1..100 ms
    assert score(queries, made_rules("singlestream", result_key="result_90.00_percentile_latency_ns")).headline == 91.0
    assert score(queries, made_rules("singlestream", result_key="result_mean_latency_ns")).headline == 50.5


def test_inferred_tokens_follow_from_samples() -> None:
    rules = made_rules(result_key="result_inferred_completed_tokens_per_second", inferred_tokens_per_sample=69)
    got = score(made_queries([100, 100, 100]), rules)
    assert got.samples_per_s_loadgen is not None
    assert got.headline == pytest.approx(69 * got.samples_per_s_loadgen)


def test_multistream_bounds_the_latency_of_queries() -> None:
    times = [float(1 + i // 8) for i in range(8 * 700)]
    got = score(made_queries(times, per_query=8), made_rules("multistream"))
    assert (got.queries, got.samples) == (700, 5_600)
    assert got.query_latency is not None and got.query_latency.max_ns == 700 * MS
    (proof,) = got.early_stopping
    assert proof.n == 700 and proof.estimate_ns == 700 * MS and got.headline == 700.0


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("result_key", "result_horses", "result_horses"), ("percentile", 99.0, "99: it is a share"),
     ("samples_per_query", 0, "0 samples a query")],
)  # fmt: skip
def test_rules_that_cannot_be_are_refused(field: str, value: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        score(made_queries([1]), made_rules(**{field: value}))


# --- what is missing -------------------------------------------------------------------------------------------------


def test_nothing_completed() -> None:
    for queries in (made_queries([]), made_queries([5, 5], failed=[0, 1])):
        got = score(queries, made_rules())
        assert got.failed == len(queries)
        assert (got.latency, got.tokens, got.end_ns, got.headline, got.tokens_per_s_run) == (None,) * 5


def test_tokens_are_none_where_one_count_is_unknown() -> None:
    got = score(made_queries([100, 100], tokens=[10, float("nan")]), made_rules())
    assert (got.tokens, got.tokens_per_s_loadgen, got.headline) == (None, None, None)
    assert got.tpot is not None and got.tpot.n == 1
    over = {proof.of: (proof.n, proof.over) for proof in got.early_stopping}
    assert over == {"ttft": (2, 0), "tpot": (2, 1)}  # nobody can say that it was in time


def test_failures_lie_beyond_every_limit() -> None:
    got = score(made_queries([100] * 500, failed=[3, 4]), made_rules())
    assert {proof.of: (proof.n, proof.over, proof.met) for proof in got.early_stopping} == {
        "ttft": (500, 2, False),
        "tpot": (500, 2, False),
    }
    whole = score(made_queries([100] * 500), made_rules())
    assert all(proof.met for proof in whole.early_stopping)


def test_a_bound_that_falls_on_a_failure_is_none() -> None:
    got = score(made_queries([10.0] * 70, failed=[1, 2]), made_rules("singlestream"))
    (proof,) = got.early_stopping
    assert (proof.met, proof.estimate_ns, got.headline) == (False, None, None)


# --- laws ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 4_000), st.integers(1, 40)), min_size=1, max_size=60))
def test_rates_of_both_windows_keep_their_order(pairs: list[tuple[int, int]]) -> None:
    """The last-issued query cannot complete after the last one of all, so LoadGen's window is never the longer one."""
    got = score(made_queries([ms for ms, _ in pairs], ttft_ms=0.5, tokens=[k for _, k in pairs]), made_rules())
    assert got.last_issued_done_ns is not None and got.end_ns is not None
    assert got.last_issued_done_ns <= got.end_ns
    assert got.tokens_per_s_loadgen is not None and got.tokens_per_s_run is not None
    assert got.tokens_per_s_loadgen >= got.tokens_per_s_run


@given(st.lists(st.integers(1, 4_000), min_size=2, max_size=60), st.randoms(use_true_random=False))
def test_latency_figures_do_not_depend_on_the_order_of_completion(values: list[int], rng: random.Random) -> None:
    shuffled = list(values)
    rng.shuffle(shuffled)
    one, other = (score(made_queries(list(map(float, v))), made_rules()) for v in (values, shuffled))
    assert one.latency == other.latency
    assert one.scheduled_samples_per_s == other.scheduled_samples_per_s


def test_a_score_survives_json() -> None:
    got = score(made_queries([100, 200]), made_rules())
    assert msgspec.json.decode(msgspec.json.encode(got), type=Score) == got
