"""Early stopping against the table of LoadGen's answers and against scipy's binomial distribution."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from loadcell.mlperf.early_stopping import CONFIDENCE, allowed_over, answer, estimate, least_samples

VECTORS = json.loads(gzip.decompress((Path(__file__).parent / "data" / "golden_vectors.json.gz").read_bytes()))
TABLE = VECTORS["early_stopping"]
LATE = (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500)
WRITTEN = {
    0.5: (7, 11, 14, 17, 22, 35, 59, 128, 237, 451, 1078),
    0.9: (44, 64, 81, 97, 127, 197, 325, 681, 1246, 2337, 5518),
    0.95: (90, 130, 165, 198, 259, 398, 656, 1372, 2504, 4691, 11064),
    0.97: (152, 219, 277, 332, 433, 667, 1097, 2293, 4182, 7831, 18458),
    0.99: (459, 662, 838, 1001, 1307, 2010, 3304, 6898, 12571, 23527, 55427),
    0.999: (4603, 6636, 8403, 10042, 13105, 20140, 33097, 69058, 125826, 235427, 554510),
}


def test_every_row_of_the_tables() -> None:
    for percentile, row in TABLE["n_min"].items():
        for over, expected in row.items():
            assert least_samples(float(percentile), int(over)) == expected, (percentile, over)
    for share, needed in WRITTEN.items():
        assert tuple(least_samples(share, over) for over in LATE) == needed


def test_the_late_samples_that_a_run_may_have() -> None:
    for percentile, row in TABLE["max_over_limit"].items():
        for n, expected in row.items():
            assert allowed_over(float(percentile), int(n)) == (None if expected < 0 else expected), (percentile, n)


def test_a_thousand_random_cases_against_scipys_binomial_tail() -> None:
    rng = np.random.default_rng(20260911)
    shares, overs = rng.uniform(0.3, 0.9995, 1000), (10 ** rng.uniform(0, 4.3, 1000)).astype(int) - 1
    for share, over in zip(shares.tolist(), overs.tolist(), strict=True):
        n = least_samples(share, over)
        enough, too_few = stats.binom.cdf(over, [n, n - 1], 1 - share)
        assert enough < 1 - CONFIDENCE <= too_few, (share, over, n)
        assert allowed_over(share, n) == over


@given(share=st.floats(0.3, 0.999), n=st.integers(0, 5000))
def test_what_is_allowed_and_what_is_needed_say_the_same(share: float, n: int) -> None:
    allowed = allowed_over(share, n)
    if allowed is not None:
        assert least_samples(share, allowed) <= n
    assert least_samples(share, 0 if allowed is None else allowed + 1) > n


def test_209_late_samples_of_24576_pass_and_210_do_not() -> None:
    latencies = np.full(24576, 1.0)
    latencies[:209] = np.inf  # failed
    passed = answer(latencies, 1, 0.99, "ttft")
    assert (passed.met, passed.over, passed.more, passed.limit_ns) == (True, 209, 0, 1)
    latencies[209] = 2.0
    failed = answer(latencies, 1, 0.99, "ttft")
    assert (failed.met, failed.over) == (False, 210)
    assert failed.n + failed.more == failed.needed == least_samples(0.99, 210)


def test_needed_samples_that_are_in_time_turn_the_answer() -> None:
    failed = answer(np.array([5] * 3 + [1] * 500), 4, 0.99, "tpot")
    assert not failed.met
    in_time = np.array([5] * 3 + [1] * (500 + failed.more))
    assert answer(in_time, 4, 0.99, "tpot").met
    assert not answer(in_time[:-1], 4, 0.99, "tpot").met


def test_no_samples_prove_nothing() -> None:
    nothing = answer(np.zeros(0), 1, 0.99, "latency")
    assert (nothing.met, nothing.n, nothing.over, nothing.more) == (False, 0, 0, 459)


def test_estimates() -> None:
    latencies = np.random.default_rng(1).permutation(np.arange(5000))
    found = estimate(latencies, 0.9, "latency")
    assert (found.met, found.discarded, found.estimate_ns, found.limit_ns, found.over) == (True, 449, 4550, None, None)
    short = estimate(latencies[:63], 0.9, "latency")
    assert (short.met, short.estimate_ns, short.discarded, short.more) == (False, None, None, 1)
    least = estimate(np.arange(64), 0.9, "latency")
    assert (least.estimate_ns, least.discarded) == (63, 0)


def test_an_estimate_that_falls_on_a_failed_sample_is_none() -> None:
    latencies = np.arange(64.0)
    latencies[3] = np.inf
    found = estimate(latencies, 0.9, "latency")
    assert (found.met, found.estimate_ns) == (False, None)


def test_a_percentile_in_percent_and_missing_latencies_are_programming_errors() -> None:
    with pytest.raises(ValueError, match="share"):
        least_samples(99.0, 0)
    with pytest.raises(ValueError, match="NaN"):
        answer(np.array([1.0, np.nan]), 1, 0.99, "ttft")
