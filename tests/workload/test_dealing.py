"""How requests are dealt to classes: by their shares, from the seed, whatever comes after them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from loadcell.spec import build_spec, with_defaults
from loadcell.workload import plan
from loadcell.workload.dealing import deal

SHARES = [0.5, 0.3, 0.2]


def counts(kinds: NDArray[np.int32], shares: list[float]) -> NDArray[np.float64]:
    """How many of each class there are in each of the first rows."""
    return np.cumsum(kinds[:, None] == np.arange(len(shares)), axis=0).astype(np.float64)


def dealt(shares: list[float], rows: int, by: str, seed: int = 0) -> NDArray[np.int32]:
    found = deal(shares, rows, seed=seed, by=by)  # type: ignore[arg-type]
    assert found is not None and len(found) == rows
    return found


def test_one_class_needs_no_dealing() -> None:
    assert deal([1.0], 10, seed=0, by="weights") is None


@pytest.mark.parametrize("by", ["weights", "round-robin"])
def test_more_rows_change_none_of_the_first(by: str) -> None:
    whole = dealt(SHARES, 1000, by)
    for rows in (1, 2, 7, 500, 999):
        assert (dealt(SHARES, rows, by) == whole[:rows]).all()
    assert (dealt(SHARES, 1000, by, seed=1) != whole).any()


def test_weights_are_the_chances_of_each_request_alone() -> None:
    kinds = dealt(SHARES, 200_000, "weights")
    shares = np.bincount(kinds) / len(kinds)
    assert np.abs(shares - SHARES).max() < 4 * np.sqrt(0.25 / len(kinds))
    # Independent: what follows a request does not depend on its class.
    after = np.array([np.bincount(kinds[1:][kinds[:-1] == one], minlength=3) for one in range(3)], float)
    assert np.abs(after / after.sum(axis=1, keepdims=True) - SHARES).max() < 0.01


@pytest.mark.parametrize("shares", [[0.5, 0.5], [1 / 3] * 3, SHARES, [0.9, 0.06, 0.04], [1 / 7] * 7])
def test_round_robin_is_never_far_from_the_shares(shares: list[float]) -> None:
    kinds = dealt(shares, 5000, "round-robin")
    asked = np.arange(1, 5001)[:, None] * np.array(shares)
    assert np.abs(counts(kinds, shares) - asked).max() < len(shares)
    if len(set(shares)) == 1:  # each round holds each class once
        whole = kinds[: 5000 - 5000 % len(shares)].reshape(-1, len(shares))
        assert (np.sort(whole, axis=1) == np.arange(len(shares))).all()


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_no_load_process_keeps_to_one_class(workers: int) -> None:
    kinds = dealt([0.5, 0.5], 4000, "round-robin")
    for worker in range(workers):
        assert abs(kinds[worker::workers].mean() - 0.5) < 0.08


def test_the_schedule_holds_the_classes_and_its_hash_does() -> None:
    def planned(**classes: object):  # type: ignore[no-untyped-def]
        tree = {"endpoint": {"url": "http://a"}, "load": {"requests": 50}, "classes": classes, "run": {"salt": ""}}
        return plan(with_defaults(build_spec(tree))).schedule

    alone, two = planned(), planned(also=["http://b"])
    assert alone.kinds is None and set(two.kinds.tolist()) == {0, 1}
    assert (alone.input_tokens == two.input_tokens).all() and (alone.output_tokens == two.output_tokens).all()
    assert alone.hash != two.hash != planned(also=["http://b=2"]).hash
    assert two.hash == planned(also=["http://c"]).hash  # where it goes is no part of what is sent
