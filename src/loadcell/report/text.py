"""Figures and foreign words as text."""

from __future__ import annotations

from loadcell.metrics import Counts, CountsOf, Interval, Share

MISSING = "n/a"


def figure(value: float | None, digits: int = 4, *, grouped: bool = True) -> str:
    """A number with about `digits` significant digits, thousands grouped; "n/a" if there is none."""
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # after rounding: 9.9996 is 10.00
    decimals = max(0, digits - 1 - exponent)
    return f"{value:{',' if grouped else ''}.{decimals}f}"


def percent(share: float | None) -> str:
    """A share in percent, never rounded to 0 or 100 unless it is that."""
    return MISSING if share is None else f"{_points(share)} %"


def _points(share: float) -> str:
    for decimals in (1, 2, 3, 4):
        text = f"{share * 100:.{decimals}f}"
        if float(text) not in (0, 100) or share in (0, 1):
            return f"{float(text):g}"
    return "> 99.9999" if share > 0.5 else "< 0.0001"


def share_with_interval(share: Share) -> str:
    """Percent with its interval, as in 98.5 % [97.1, 99.3]."""
    if share.value is None or share.low is None or share.high is None:
        return MISSING
    return f"{percent(share.value)} [{_points(share.low)}, {_points(share.high)}]"


def between(interval: Interval | None) -> str:
    """A 95 % interval in brackets, with a space before it; nothing if there is none."""
    return "" if interval is None else f" [{figure(interval.low, 3)}, {figure(interval.high, 3)}]"


def accounts(counts: Counts) -> str:
    """The accounting of requests in words."""
    return (
        f"{counts.planned:,} planned = {counts.ok:,} ok + {counts.failed:,} failed + "
        f"{counts.cancelled:,} cancelled + {counts.unsent:,} unsent"
    )


def beyond(counts: CountsOf) -> str:
    """The requests beyond the end in words."""
    return (
        f"{counts.beyond:,} more requests kept the load on until the last counted reply; "
        f"{counts.beyond_failed:,} of them failed"
    )


def sentence(words: str) -> str:
    """With a capital letter and a full stop."""
    return f"{words[:1].upper()}{words[1:]}."


def plain(words: object, limit: int = 300) -> str:
    """Words from outside on one line: no control characters that a terminal would obey, no endless reply."""
    text = " ".join(str(words).split())
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
