"""Sessions: what a Spec asks of requests that belong together, as the turns of a chat do."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from loadcell.api_template import Template
from loadcell.apis import Api, find_api
from loadcell.errors import UsageError, nearest
from loadcell.lengths import parse_lengths
from loadcell.phrases import phrase

Doc = msgspec.Meta
ALL = "all"
"""Turns of a session from a file: as many as it has."""
MOST_TURNS = 10_000
_TIMES = ("exponential", "lognormal", "uniform")
_FORMS = "T, exponential:MEAN, lognormal:MEDIAN,SIGMA or uniform:LO,HI, as in 2s, exponential:5s or uniform:1s,5s"
_TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)?")
_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0}
_HEADER = re.compile(r"header:([!#$%&'*+.^_`|~0-9A-Za-z-]+)")


class Sessions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Requests that belong together: each waits for the reply to the one before it, and carries what was said."""

    turns: Annotated[
        str | None,
        Doc(
            description="turns of a session, as a length; of conversations in a file: all, or so many at most "
            "(default: every request is alone)"
        ),
    ] = None
    think: Annotated[
        str | None,
        Doc(
            description="pause between a reply and what its user sends next: T, exponential:MEAN, "
            "lognormal:MEDIAN,SIGMA or uniform:LO,HI (2s, exponential:5s); without sessions too (default: none)"
        ),
    ] = None
    history: Annotated[
        Literal["served", "planned", "recorded"],
        Doc(
            description="replies that later turns carry: the server's own (served), made-up ones of the length asked "
            "for (planned), or those of the file (recorded)"
        ),
    ] = "served"
    sticky: Annotated[
        str,
        Doc(
            description="what holds a session to a server: none, connection (its turns share one), or header:NAME "
            "(each request carries its session's id)"
        ),
    ] = "none"
    first_input_tokens: Annotated[
        str | None,
        Doc(description="what a first turn brings, as a length; input_tokens are what each turn adds (default: these)"),
    ] = None

    @property
    def any(self) -> bool:
        """Whether requests belong together."""
        return self.turns is not None


class Times(NamedTuple):
    """A law of times in seconds; `a`, `b` are T,0 or MEAN,0 or MEDIAN,SIGMA or LO,HI, by kind."""

    kind: str
    """constant, exponential, lognormal or uniform."""
    a: float
    b: float = 0.0

    @property
    def mean(self) -> float:
        """Mean in seconds."""
        if self.kind == "uniform":
            return (self.a + self.b) / 2
        return self.a * math.exp(self.b**2 / 2) if self.kind == "lognormal" else self.a


def parse_times(text: str, of: str = "sessions.think") -> Times:
    """The law of times that `text` names; UsageError else, which says `of` what."""
    kind, colon, rest = text.strip().rpartition(":")
    parts = [part.strip() for part in rest.split(",")]
    wanted = {"": 1, "exponential": 1, "lognormal": 2, "uniform": 2}.get(kind if colon else "")
    if wanted is None:
        raise UsageError(f"{of}: {text!r} is not a law of times{nearest(kind, _TIMES)}: write {_FORMS}")
    found = [_TIME.fullmatch(part) for part in parts]
    if len(parts) != wanted or not all(found):
        raise UsageError(f"{of}: {text!r} is not a law of times: write {_FORMS}")
    values = [float(match[1]) * _UNITS_S[match[2] or "s"] for match in found if match]
    if kind == "uniform" and values[1] < values[0]:
        raise UsageError(f"{of}: {text!r} is not a law of times: LO comes before HI")
    if kind in ("exponential", "lognormal") and not values[0] > 0:
        raise UsageError(f"{of}: {text!r} is not a law of times: its {kind} law starts above 0")
    return Times(kind or "constant", *values)


def sticky_header(sticky: str) -> str | None:
    """The name of the header that carries a session's id; None where none does. UsageError for any other word."""
    match = _HEADER.fullmatch(sticky)
    if match is None and sticky not in ("none", "connection"):
        raise UsageError(
            f"sessions.sticky is {sticky!r}{nearest(sticky, ('none', 'connection', 'header:'))}: write none, "
            "connection, or header:NAME, as in header:X-Session-Id"
        )
    return match[1] if match else None


def check_sessions(
    asked: Sessions, api: Api, *, prompts: str | None, http: str, load: Any, loadgen: str | None
) -> None:
    """UsageError if no load can have these sessions; `load` is the section of the Spec."""
    if asked.think is not None:
        parse_times(asked.think)
        if not asked.any and load.rate is not None:
            raise UsageError(
                "sessions.think is the pause of a user before the next request: with a rate nobody waits; give "
                "--concurrency, or --turns for sessions that arrive at the rate"
            )
        if load.lockstep or loadgen is not None or load.min_requests is not None:
            raise UsageError("sessions.think: users in lockstep and LoadGen's traffic have no pauses: leave it out")
    header = sticky_header(asked.sticky)
    if not asked.any:
        for key in ("sticky", "first_input_tokens", "history"):
            if getattr(asked, key) != getattr(Sessions(), key):
                raise UsageError(
                    f"sessions.{key} is of sessions that are made or read here, not of a trace's: say how many turns "
                    "they have with --turns"
                )
        return
    assert asked.turns is not None
    if asked.turns == ALL and prompts is None:
        raise UsageError("sessions.turns: all are those of conversations in a file: name it with --prompts, or write N")
    if asked.turns != ALL:
        parse_lengths(asked.turns, "a number of turns")
    if asked.first_input_tokens is not None:
        parse_lengths(asked.first_input_tokens)
        if prompts is not None:
            raise UsageError(
                "sessions.first_input_tokens is of synthetic sessions: those of a file are as long as they are"
            )
    if asked.history == "recorded" and prompts is None:
        raise UsageError(
            "sessions.history: recorded replies are those of a file: name it with --prompts, or write planned"
        )
    if asked.history == "planned" and prompts is not None:
        raise UsageError(
            "sessions.history: conversations of a file hold replies of their own: write recorded, or served"
        )
    if prompts is not None and not (isinstance(api, Template) and api.messages) and not find_api(api).talks:
        raise UsageError(f"sessions of a file are messages, which the {api} API does not take: give --api chat")
    if asked.sticky == "connection" and http == "2":
        raise UsageError(
            "sessions.sticky: over HTTP/2 requests share connections anyway: leave it out, or write header:NAME"
        )
    if header is not None and header.lower() in (
        "host",
        "content-length",
        "content-type",
        "x-request-id",
        "connection",
    ):
        raise UsageError(f"sessions.sticky: the header {header} says something else: take another name")
    if loadgen is not None:
        raise UsageError("loadgen.scenario sends requests of its own order: leave sessions.turns out")
    for key in ("lockstep", "min_requests", "stop_when_saturated"):
        if getattr(load, key):
            raise UsageError(f"load.{key} is of requests that are alone: leave it out, or sessions.turns")


def check_talking(asked: Sessions, *, generates: bool, carries: bool, called: bool) -> None:
    """UsageError if the requests cannot be turns, whatever the API is called."""
    if not asked.any:
        return
    if not generates:
        raise UsageError("sessions.turns: an API that generates no text has no turns: leave it out")
    if carries:
        raise UsageError("sessions.turns: turns with images or audio cannot be planned: leave --images and --audio out")
    if called:
        raise UsageError("sessions.turns: a Python callable is given one text at a time: leave it out; --think works")


def repeated_talks(lines: int, sessions: int) -> list[str]:
    """What is to be told of conversations of a file that begin anew when it ends."""
    if not lines or sessions <= lines:
        return []
    return [
        phrase(
            "conversations repeat: {:,} lines for {:,} sessions, {:.3g} times each; a prefix cache can know all but "
            "what the server itself said",
            lines,
            sessions,
            sessions / lines,
        )
    ]
