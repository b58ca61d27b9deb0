"""When it is worth to weigh what replies take."""

from __future__ import annotations

import pytest

from loadcell.load import room

MOST = 1600


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the process holds, by the last of them."""
    told = [1000]
    monkeypatch.setattr(room, "_resident_bytes", lambda: told[-1])
    return told


def test_a_process_that_has_not_grown_since_is_weighed_no_more(held: list[int]) -> None:
    found = room.Room(MOST)
    looks = []
    for more in (0, 800, 801, 850, 900, 901, 950, 1001, 1001, 801, 799, 801):
        held.append(1000 + more)
        looks.append(found.is_tight())
    assert looks == [False, False, True, False, False, True, False, True, False, True, False, False]


def test_beyond_the_bound_it_is_weighed_at_every_look(held: list[int]) -> None:
    found = room.Room(MOST)
    held.append(1000 + MOST)
    assert [found.is_tight() for _ in range(3)] == [True] * 3


def test_what_has_landed_has_half_of_the_room(held: list[int]) -> None:
    assert [room.Room(MOST).is_full(landed) for landed in (0, 800, 801)] == [False, False, True]
