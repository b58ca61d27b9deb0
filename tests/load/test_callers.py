"""How late the pieces of a callable may be, by the looks beside them; and which callables are to be awaited."""

from __future__ import annotations

import functools
from array import array
from random import Random

import pytest

from loadcell.load import callers
from loadcell.load.callers import Lateness, declared_async

MS = 1_000_000


def test_a_piece_may_be_as_late_as_the_looks_around_it(seeds: range, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in seeds:
        rng = Random(seed)
        asked = sorted(rng.sample(range(2000 * MS), rng.randint(0, 60)))
        late = [rng.choice([20_000, 80_000, 7 * MS]) for _ in asked]
        due = (asked[-1] if asked else 0) + 10 * MS
        now = due + rng.choice([-5, 30]) * MS
        stamps = sorted(rng.sample(range(1, now), 20))
        looks = Lateness(None)
        looks._asked, looks._late, looks._due_ns = array("q", asked), array("q", late), due
        with monkeypatch.context() as patched:
            patched.setattr(callers, "monotonic_ns", lambda now=now: now)
            found = looks.earliest(array("q", stamps)).tolist()
        known = [*zip(asked, late, strict=True), (due, max(0, now - due))]
        for stamp, earliest in zip(stamps, found, strict=True):
            before = [length for at, length in known if at < stamp][-3:]
            after = [length for at, length in known if at >= stamp][:3]
            assert stamp - earliest == max(before + after), seed


class Awaited:
    async def __call__(self, prompt: str, max_tokens: int) -> str:
        return prompt


async def later(prompt: str, max_tokens: int) -> str:
    return prompt


async def pieces(prompt: str, max_tokens: int):  # type: ignore[no-untyped-def]
    yield prompt


def at_once(prompt: str, max_tokens: int) -> str:
    return prompt


@pytest.mark.parametrize("fn", [later, pieces, Awaited(), functools.partial(later), functools.partial(pieces, "a")])
def test_an_async_callable_says_so(fn: object) -> None:
    assert declared_async(fn)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fn", [at_once, functools.partial(at_once), print, str, lambda prompt, n: later(prompt, max_tokens=n)]
)
def test_another_does_not(fn: object) -> None:
    assert not declared_async(fn)  # type: ignore[arg-type]
