"""A figure that is beyond its limit never reads as the limit."""

from __future__ import annotations

import pytest

from loadcell.metrics.limits import beside_limit, number


@pytest.mark.parametrize(
    ("value", "limit", "unit", "said"),
    [
        (0.01004, 0.01, "share", "off by 1.004 % (limit 1 %)"),
        (5.02, 5.0, "ms", "off by 5.02 ms (limit 5 ms)"),
        (0.012, 0.01, "share", "off by 1.2 % (limit 1 %)"),
        (0.01, 0.01, "share", "off by 1 % (limit 1 %)"),
    ],
)
def test_it_has_the_digits_that_tell_them_apart(value: float, limit: float, unit: str, said: str) -> None:
    assert beside_limit(f"off by {number(value, unit)}", value, limit, unit) == said


def test_digits_stay_few_else() -> None:
    assert [number(v, "ms") for v in (0.0, 0.1234, 12.34, 99.6, 1234.5)] == [
        "0 ms",
        "0.12 ms",
        "12 ms",
        "100 ms",
        "1,234 ms",
    ]


def test_one_of_eleven_is_not_beyond_one_of_eleven() -> None:
    off = 1 - 10 / 11
    assert off > 1 / 11  # by the last bit of a double
    says = f"late on {number(off, 'share')} of sends"
    assert beside_limit(says, off, 1 / 11, "share", "{} (usual: up to {})") == (
        "late on 9.1 % of sends (usual: up to 9.1 %)"
    )
