"""Figures and foreign words as text."""

from __future__ import annotations

import math

from loadcell.metrics import Estimate, Share

MISSING = "n/a"
NO_REASON = "no reason is given"
MINUS = "\N{MINUS SIGN}"
_DASH = "\N{EN DASH}"


def figure(value: float | None, digits: int = 4, *, grouped: bool = True) -> str:
    """A number with about `digits` significant digits, thousands grouped; "n/a" if there is none."""
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # after rounding: 9.9996 is 10.00
    decimals = max(0, digits - 1 - exponent)
    return f"{value:{',' if grouped else ''}.{decimals}f}"


def figure_beside(value: float | None, limit: float | None, digits: int = 4) -> str:
    """A number with the digits that tell it from its limit."""
    if value is None or limit is None or value == limit:
        return figure(value, digits)
    texts = (figure(value, d) for d in range(digits, 10))
    return next((text for text in texts if float(text.replace(",", "")) != limit), figure(value, 10))


def percent(share: float | None, beside: float | None = None) -> str:
    """A share in percent, never rounded to 0 or 100, nor to the share that it is held against, unless it is that."""
    return MISSING if share is None else f"{_points(share, beside)} %"


def _points(share: float, beside: float | None = None) -> str:
    points, target = share * 100, None if beside is None else round(beside * 100, 6)
    for decimals in (1, 2, 3, 4):
        text = f"{points:.{decimals}f}"
        if float(text) not in (0, 100, target) or round(points, 9) in (0, 100, target):
            return f"{float(text):g}"
    if target is not None and float(text) == target:
        return f"{'<' if points < target else '>'} {target:g}"
    return "> 99.9999" if share > 0.5 else "< 0.0001"


def share_with_interval(share: Share, beside: float | None = None) -> str:
    """Percent with its interval, as in 98.5 % [97.1, 99.3]."""
    if share.value is None or share.low is None or share.high is None:
        return MISSING
    return f"{percent(share.value, beside)} [{_points(share.low)}, {_points(share.high)}]"


def ends(low: float, high: float, *, grouped: bool = True) -> tuple[str, str]:
    """Both ends of an interval with three digits, and with so many decimals that its half width has two."""
    decimals = interval_decimals(low, high)
    return tuple(f"{end:{',' if grouped else ''}.{decimals}f}" for end in (low, high))  # type: ignore[return-value]


def interval_decimals(low: float, high: float) -> int:
    """Decimals that show three digits of the ends and two of the half width; at most four, of ms 0.1 µs."""
    half, most = (high - low) / 2, max(abs(low), abs(high))
    if not most:
        return 0
    decimals = 2 - math.floor(math.log10(most))
    if half > 0:
        decimals = max(decimals, 1 - math.floor(math.log10(half)))
    return min(max(decimals, 0), 4)


def estimate_text(estimate: Estimate) -> tuple[str, str, str]:
    """A percentile as text, without groups: (value, its mark, its interval); "n/a" without a value.

    The mark is + where the interval is open above (- where a rate's is open below); the interval is then one-sided.
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None:
        return MISSING, "", ""
    if low is not None and high is not None:
        digits = interval_decimals(low, high)
        shown = figure(value, grouped=False)
        if digits > len(shown.partition(".")[2]):
            shown = f"{value:.{digits}f}"
        return shown, "", _DASH.join(ends(low, high, grouped=False))
    mark = "" if not estimate.open else "+" if high is None else MINUS
    bound = f"≥ {figure(low, bound_digits(low, value), grouped=False)}" if low is not None else ""
    bound = f"≤ {figure(high, bound_digits(high, value), grouped=False)}" if high is not None else bound
    return figure(value, grouped=False), mark, bound


def grouped(number: str) -> str:
    """Digits as text with commas between thousands: 1292.2 as 1,292.2; what is no plain number as it is."""
    whole, point, rest = number.partition(".")
    return f"{int(whole):,}{point}{rest}" if whole.isdecimal() else number


def bound_digits(bound: float, value: float | None) -> int:
    """Digits of a one-sided interval's end: three, or the figure's four where three would take it past the figure."""
    if value is None:
        return 3
    rounded, figured = float(f"{bound:.2e}"), float(f"{value:.3e}")
    return 3 if (rounded <= figured if bound <= value else rounded >= figured) else 4


def found_alone(reason: str) -> str:
    """A reason up to its limit, without what explains it and what to do about it."""
    end = reason.find("): ", reason.index(" (limit ")) if " (limit " in reason else -1
    return reason if end < 0 else reason[: end + 1]


def sentence(words: str) -> str:
    """With a capital letter and a full stop."""
    return f"{words[:1].upper()}{words[1:]}."


def plain(words: object, limit: int = 300) -> str:
    """Words from outside on one line: no control characters that a terminal would obey, no endless reply."""
    text = " ".join(str(words).split())
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
