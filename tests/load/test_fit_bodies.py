"""Whether the bodies that users may be sending at once have room in memory."""

from __future__ import annotations

import pytest

from loadcell.errors import UsageError
from loadcell.load.fit import check_bodies


def test_users_whose_bodies_have_no_room_are_refused_with_the_number_that_fits() -> None:
    check_bodies(100, 1_000_000, left=200_000_000)
    check_bodies(None, 1 << 40, left=0)
    with pytest.raises(UsageError, match=r"101 users .* 1\.0 MB at once, which take 202\.0 MB .*at most 100 users fit"):
        check_bodies(101, 1_000_000, left=200_000_000)
    check_bodies(1, 1_000)
