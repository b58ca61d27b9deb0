"""What the program prints is what it printed: golden_cases.py writes the files anew where a change is meant."""

from __future__ import annotations

import pytest
from golden_cases import GOLDEN, cases

from loadcell import phrases

NAMES = sorted(path.name for path in GOLDEN.iterdir())


@pytest.fixture(scope="module")
def printed() -> dict[str, str]:
    """By themselves: what other tests said before is not known, in whatever order they run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phrases, "_made", {})
        return dict(cases())


def test_every_print_has_its_file(printed: dict[str, str]) -> None:
    assert sorted(printed) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_print_is_as_it_was(name: str, printed: dict[str, str]) -> None:
    assert printed[name] == (GOLDEN / name).read_text(encoding="utf-8")
