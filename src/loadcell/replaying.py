"""What a run may ask of a trace that it replays: which part of it, how much of it, how fast, and what is too long."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal, NamedTuple

import msgspec

from loadcell.errors import UsageError, nearest

Doc = msgspec.Meta
_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_WRITE_WINDOW = "write 10m..15m, 10m.., ..15m or busiest:5m"
TOO_LONG = ("clip", "drop", "refuse")


class Replay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Recorded traffic that is sent again: its times, lengths, sessions and shared blocks."""

    name: Annotated[
        str | None, Doc(description="replay a trace: a file, or the name of one that `loadcell trace list` shows")
    ] = None
    kind: Annotated[
        str | None, Doc(description="format of its file, where the file itself does not tell (docs/traces.md)")
    ] = None
    time_unit: Annotated[
        Literal["s", "ms", "us", "ns"] | None,
        Doc(description="unit of its times, where it is another than the format's"),
    ] = None
    window: Annotated[
        str | None, Doc(description="part of the trace to replay: 10m..15m, 10m.., ..15m, or busiest:5m (default: all)")
    ] = None
    scale: Annotated[
        float,
        Doc(
            description="times its rate: below 1 leaves out whole sessions by the seed, above 1 adds copies of them at "
            "other times; --rate asks for a mean rate instead"
        ),
    ] = 1.0
    speed: Annotated[
        float, Doc(description="how much faster its time passes, waits within sessions included; not a scale")
    ] = 1.0
    max_input_tokens: Annotated[int | None, Doc(description="longest prompt of the trace that is sent as it is")] = None
    max_output_tokens: Annotated[int | None, Doc(description="most output tokens of the trace that are asked for")] = (
        None
    )
    too_long: Annotated[
        Literal["clip", "drop", "refuse"],
        Doc(description="what is done with requests of the trace beyond these: clip them, drop their session, refuse"),
    ] = "clip"
    spread: Annotated[
        bool, Doc(description="spread requests over the steps that the stamps of a trace were rounded to, by the seed")
    ] = True
    share_copies: Annotated[
        bool, Doc(description="scale above 1: copies have the same text as what they are copies of")
    ] = False


class Window(NamedTuple):
    """Part of a trace: from `start_s` on, for `length_s`; None for either: its busiest, and all that follows."""

    start_s: float | None
    length_s: float | None


def parse_window(text: str) -> Window:
    """The part of a trace that `text` names; UsageError else."""
    kind, mark, rest = text.strip().partition(":")
    if mark:
        if kind != "busiest":
            raise UsageError(f"trace.window {text!r}{nearest(kind, ('busiest',))}: {_WRITE_WINDOW}")
        return Window(None, _positive(_time_s(rest, text), text))
    first, mark, last = text.strip().partition("..")
    if not mark or not (first or last):
        raise UsageError(f"trace.window {text!r} is no part of a trace: {_WRITE_WINDOW}")
    start_s = _time_s(first, text) if first else 0.0
    return Window(start_s, _positive(_time_s(last, text) - start_s, text) if last else None)


def _time_s(text: str, whole: str) -> float:
    match = _TIME.fullmatch(text.strip())
    if not match:
        raise UsageError(f"trace.window {whole!r}: {text!r} is not a time: {_WRITE_WINDOW}")
    return float(match[1]) * _UNITS_S[match[2] or "s"]


def _positive(length_s: float, text: str) -> float:
    if length_s <= 0:
        raise UsageError(f"trace.window {text!r} is empty: its end must come after its start")
    return length_s


def check_replay(replay: Replay) -> None:
    """UsageError where the settings cannot be, whatever the trace holds."""
    if replay.name is None:
        if changed := [name for name in Replay.__struct_fields__ if getattr(replay, name) != getattr(Replay(), name)]:
            raise UsageError(f"trace.{changed[0]} is for a trace: name one with --trace FILE, or leave it out")
        return
    if not replay.name.strip():
        raise UsageError("trace.name is empty: write --trace FILE, or the name of one that `loadcell trace list` shows")
    if replay.window is not None:
        parse_window(replay.window)
    for name in ("scale", "speed", "max_input_tokens", "max_output_tokens"):
        value = getattr(replay, name)
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UsageError(f"trace.{name} is {value:g}: it must be more than 0")
    if replay.too_long != "clip" and replay.max_input_tokens is None and replay.max_output_tokens is None:
        raise UsageError(
            f"trace.too_long is {replay.too_long}, and nothing is too long: give --max-input-tokens or "
            "--max-output-tokens"
        )
