from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.errors import UsageError
from loadcell.spec import parse_lengths
from loadcell.workload.lengths import sample_lengths
from loadcell.workload.streams import stream

FORMS = ["17", "normal:100,30", "normal:2,50", "uniform:3,9", "lognormal:200,1.2"]


def draw(text: str, n: int, seed: int = 0) -> np.ndarray:
    return sample_lengths(parse_lengths(text), n, stream(seed, "input lengths"))


@given(text=st.sampled_from(FORMS), n=st.integers(0, 300), more=st.integers(0, 300), seed=st.integers(0, 2**70))
def test_a_length_does_not_depend_on_how_many_follow(text: str, n: int, more: int, seed: int) -> None:
    short, long = draw(text, n, seed), draw(text, n + more, seed)
    assert short.dtype == np.int32 and np.array_equal(short, long[:n])
    assert np.all(long >= 1)


def test_the_distributions_are_what_they_are_called() -> None:
    n = 200_000
    assert set(draw("17", 10)) == {17}
    normal = draw("normal:100,30", n)
    assert normal.mean() == pytest.approx(100, abs=0.5) and normal.std() == pytest.approx(30, abs=0.5)
    values, counts = np.unique(draw("uniform:3,9", n), return_counts=True)
    assert list(values) == [3, 4, 5, 6, 7, 8, 9] and counts == pytest.approx(n / 7, rel=0.03)
    lognormal = draw("lognormal:200,0.5", n)
    assert np.median(lognormal) == pytest.approx(200, abs=2)
    assert np.log(lognormal).std() == pytest.approx(0.5, abs=0.01)
    assert lognormal.mean() == pytest.approx(parse_lengths("lognormal:200,0.5").mean, rel=0.01)
    assert set(draw("uniform:5,5", 10)) == {5} and set(draw("normal:8,0", 10)) == {8}


@pytest.mark.parametrize("text", ["1e8", "uniform:5,1e18", "normal:10,1e300", "lognormal:100,500"])
def test_absurd_lengths_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="tokens was drawn"):
        draw(text, 100)


def test_purposes_have_their_own_streams() -> None:
    draws = {p: stream(7, p).random() for p in ("arrivals", "input lengths", "output lengths", "prompts", "check")}  # type: ignore[arg-type]
    assert len(set(draws.values())) == 5
    # The draws are fixed: Python's hash() or a new numbering would move them.
    assert (
        stream(7, "arrivals").random()
        == np.random.Generator(np.random.PCG64(np.random.SeedSequence(7, spawn_key=(0,)))).random()
    )
