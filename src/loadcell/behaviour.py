"""Users who do not just wait: some give up, some read slowly. What a Spec may say of it, as people write it."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal, NamedTuple

import msgspec

from loadcell.errors import UsageError, nearest

Doc = msgspec.Meta

_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)")
_TOKENS = re.compile(r"(?:tokens:(\d+)|(\d+)\s*(?:t|tokens?))")
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|KiB|MiB|t|tokens)/s", re.IGNORECASE)
_BYTES = {"b": 1.0, "kb": 1e3, "mb": 1e6, "kib": 1024.0, "mib": 1048576.0}
LONGEST_S = 86_400.0
_LAWS = ("lognormal", "exponential", "uniform")


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What users do beside waiting for their replies. Drawn from the seed before the load; nobody does by default."""

    cancel: Annotated[
        list[str],
        Doc(
            description="a share of requests that is given up, and when: 5%@2s (after the send), 10%@20t (after 20 "
            "output tokens)"
        ),
    ] = []
    patience: Annotated[
        str | None,
        Doc(
            description="how long users wait for the first output before they give up: 10s, lognormal:MEDIAN,SIGMA, "
            "exponential:MEAN or uniform:LO,HI (default: as long as --timeout)"
        ),
    ] = None
    slow_readers: Annotated[
        str | None,
        Doc(description="a share of clients that read no faster than a rate: 5%@200B/s or 5%@4t/s (tokens)"),
    ] = None

    @property
    def any(self) -> bool:
        """Whether users do anything but wait."""
        return bool(self.cancel) or self.patience is not None or self.slow_readers is not None


class Cancel(NamedTuple):
    """A share of the requests that is given up some time after its send, or after so many tokens: one is None."""

    share: float
    after_s: float | None
    after_tokens: int | None


class Patience(NamedTuple):
    """A law of times in seconds: fixed (T), lognormal (median, sigma), exponential (mean), uniform (low, high)."""

    law: Literal["fixed", "lognormal", "exponential", "uniform"]
    values: tuple[float, ...]


class SlowReaders(NamedTuple):
    """A share of the requests whose clients read so many bytes a second, or tokens: one is None."""

    share: float
    bytes_per_s: float | None
    tokens_per_s: float | None


def parse_cancel(text: str, flag: str = "behaviour.cancel") -> Cancel:
    """The requests to give up of "5%@2s" or "10%@20t"; UsageError else."""
    share, when = _share_of(text, flag, "5%@2s or 10%@20t")
    if match := _TOKENS.fullmatch(when):
        tokens = int(match[1] or match[2])
        if tokens < 1:
            raise UsageError(f"{flag}: {text!r} gives up after {tokens} tokens: write 1 or more")
        return Cancel(share, None, tokens)
    return Cancel(share, _seconds(when, text, flag, "2s after the send or 20t, output tokens"), None)


def parse_patience(text: str, flag: str = "behaviour.patience") -> Patience:
    """The law of "10s", "lognormal:8s,0.5", "exponential:8s" or "uniform:2s,20s"; UsageError else."""
    name, mark, rest = text.strip().partition(":")
    if not mark:
        return Patience("fixed", (_seconds(name, text, flag, "10s or lognormal:8s,0.5"),))
    parts = [part.strip() for part in rest.split(",")]
    if name == "lognormal" and len(parts) == 2:
        return Patience("lognormal", (_seconds(parts[0], text, flag, "lognormal:8s,0.5"), _sigma(parts[1], text, flag)))
    if name == "exponential" and len(parts) == 1:
        return Patience("exponential", (_seconds(parts[0], text, flag, "exponential:8s"),))
    if name == "uniform" and len(parts) == 2:
        low, high = (_seconds(part, text, flag, "uniform:2s,20s") for part in parts)
        if low <= high:
            return Patience("uniform", (low, high))
        raise UsageError(f"{flag}: {text!r} ends before it begins: write uniform:LO,HI")
    hint = "" if name in _LAWS else nearest(name, _LAWS)
    raise UsageError(
        f"{flag}: {text!r} is no law of patience{hint}: write 10s, lognormal:MEDIAN,SIGMA, "
        "exponential:MEAN or uniform:LO,HI"
    )


def parse_slow_readers(text: str, flag: str = "behaviour.slow_readers") -> SlowReaders:
    """The slow readers of "5%@200B/s" or "5%@4t/s"; UsageError else."""
    share, rate = _share_of(text, flag, "5%@200B/s or 5%@4t/s")
    match = _RATE.fullmatch(rate)
    value = float(match[1]) if match else 0.0
    if match is None or not value > 0:
        raise UsageError(f"{flag}: {rate!r} is not a rate of reading: write 200B/s, 2KB/s or 4t/s (tokens)")
    unit = match[2].lower()
    if unit in _BYTES:
        return SlowReaders(share, value * _BYTES[unit], None)
    return SlowReaders(share, None, value)


def check_behaviour(behaviour: Behaviour, *, http: str, streams: bool, called: bool, sticky: str = "none") -> None:
    """UsageError where the behaviour cannot be had; `streams`: whether replies come token by token, `called`: whether
    the target is a Python callable, `sticky`: what holds a session to a server."""
    cancels = [parse_cancel(text) for text in behaviour.cancel]
    if sum(one.share for one in cancels) > 1 + 1e-9:
        raise UsageError(f"behaviour.cancel gives up {sum(c.share for c in cancels):.0%} of the requests: 100% at most")
    patience = behaviour.patience and parse_patience(behaviour.patience)
    slow = behaviour.slow_readers and parse_slow_readers(behaviour.slow_readers)
    if behaviour.any and called:
        raise UsageError("behaviour: a Python callable has no connection to close: give the URL of a server")
    needs = [
        name
        for name, asked in (
            ("cancel after tokens", any(one.after_tokens for one in cancels)),
            ("patience", patience),
            ("slow_readers", slow),
        )
        if asked
    ]
    if needs and not streams:
        raise UsageError(f"behaviour: {needs[0]} needs streamed text: leave out --no-stream, or cancel after a time")
    if slow and http == "2":
        raise UsageError(
            "behaviour.slow_readers: the streams of HTTP/2 share connections, so that one slow reader would slow "
            "others: leave out --http 2"
        )
    if slow and sticky == "connection":
        raise UsageError(
            "behaviour.slow_readers: they have connections of their own, with small buffers, so that a session could "
            "not keep to one: write --sticky header:NAME, or leave out --slow-readers"
        )


def _share_of(text: str, flag: str, example: str) -> tuple[float, str]:
    share, mark, when = text.strip().partition("@")
    number, percent, rest = share.strip().partition("%")
    try:
        value = float(number) / (100 if percent else 1) if mark and not rest else math.nan
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise UsageError(f"{flag}: {text!r} names no share of requests from 0 to 100%: write {example}")
    return value, when.strip()


def _seconds(part: str, text: str, flag: str, example: str) -> float:
    match = _TIME.fullmatch(part.strip())
    seconds = float(match[1]) * _UNITS_S[match[2]] if match else 0.0
    if match is None or not 0 < seconds <= LONGEST_S:
        raise UsageError(f"{flag}: {part!r} in {text!r} is not a time above 0 with its unit: write {example}")
    return seconds


def _sigma(part: str, text: str, flag: str) -> float:
    try:
        sigma = float(part)
    except ValueError:
        sigma = math.nan
    if not 0 <= sigma <= 5:
        raise UsageError(f"{flag}: {part!r} in {text!r} is not a sigma from 0 to 5: write lognormal:8s,0.5")
    return sigma
