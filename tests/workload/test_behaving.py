"""Who gives up and who reads slowly follows from the seed: shares, laws; more rows change none of the first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.behaviour import Behaviour
from loadcell.kinds import MISSING
from loadcell.spec import build_spec, with_defaults
from loadcell.workload import plan
from loadcell.workload.behaving import Behaved, behave

MANY = 100_000


def columns(behaviour: Behaviour, rows: int = MANY, seed: int = 0) -> Behaved:
    found = behave(behaviour, rows, seed=seed)
    assert found is not None
    return found


def test_nobody_behaves_by_default() -> None:
    assert behave(Behaviour(), 10, seed=0) is None


def test_shares_are_kept_and_no_request_is_cancelled_twice() -> None:
    found = columns(Behaviour(cancel=["20%@2s", "10%@20t", "5%@500ms"]))
    assert found.cancel_ns is not None and found.cancel_tokens is not None
    assert found.patience_ns is None and found.read_bytes_per_s is None
    for value, share in ((2_000_000_000, 0.2), (500_000_000, 0.05)):
        assert np.mean(found.cancel_ns == value) == pytest.approx(share, abs=0.005)
    assert np.mean(found.cancel_tokens == 20) == pytest.approx(0.1, abs=0.005)
    assert not ((found.cancel_ns != MISSING) & (found.cancel_tokens == 20)).any()


def test_all_of_them() -> None:
    found = columns(Behaviour(cancel=["100%@3t"]))
    assert found.cancel_tokens is not None and (found.cancel_tokens == 3).all() and found.cancel_ns is None


@pytest.mark.parametrize(
    ("law", "median_s", "mean_s"),
    [
        ("4s", 4.0, 4.0),
        ("lognormal:8s,0.5", 8.0, 8.0 * np.exp(0.125)),
        ("exponential:8s", 8.0 * np.log(2), 8.0),
        ("uniform:2s,20s", 11.0, 11.0),
    ],
)
def test_patience_follows_its_law(law: str, median_s: float, mean_s: float) -> None:
    patience = columns(Behaviour(patience=law)).patience_ns
    assert patience is not None and patience.min() > 0
    assert np.median(patience) / 1e9 == pytest.approx(median_s, rel=0.02)
    assert patience.mean() / 1e9 == pytest.approx(mean_s, rel=0.02)


@given(rows=st.integers(1, 200), more=st.integers(0, 200), seed=st.integers(0, 2**40))
def test_more_rows_change_none_of_the_first(rows: int, more: int, seed: int) -> None:
    behaviour = Behaviour(cancel=["30%@2s", "30%@20t"], patience="lognormal:8s,0.5", slow_readers="30%@200B/s")
    few, many = columns(behaviour, rows, seed), columns(behaviour, rows + more, seed)
    for one, other in zip(few, many, strict=True):
        if one is not None:
            assert other is not None
            np.testing.assert_array_equal(one, other[:rows])


def test_the_hash_tells_and_nothing_else_of_the_schedule_moves() -> None:
    def planned(**behaviour: object) -> tuple[str, list[int], list[int]]:
        tree = {
            "endpoint": {"url": "http://localhost:1"},
            "load": {"rate": 10, "requests": 50},
            "run": {"salt": ""},
            "behaviour": behaviour,
        }
        schedule = plan(with_defaults(build_spec(tree))).schedule
        assert schedule.planned_ns is not None
        return schedule.hash, schedule.planned_ns.tolist(), schedule.output_tokens.tolist()

    plain, *rest = planned()
    hashes = {plain}
    for behaviour in ({"cancel": ["50%@2s"]}, {"cancel": ["50%@2t"]}, {"patience": "2s"}, {"slow_readers": "50%@2t/s"},
                      {"slow_readers": "50%@2B/s"}):  # fmt: skip
        found, *others = planned(**behaviour)
        assert others == rest
        hashes.add(found)
    assert len(hashes) == 6
    assert planned(patience="2s")[0] in hashes
