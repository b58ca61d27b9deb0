"""Agents: what a Spec asks of tasks whose calls follow from one another, as those of an agent with tools do."""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

import msgspec

from loadcell.errors import UsageError, nearest
from loadcell.lengths import Lengths, parse_lengths
from loadcell.sessions import Sessions, parse_times, sticky_header

Doc = msgspec.Meta
MOST_STEPS = 10_000
_BEFORE_NAME = re.compile(r",(?=\s*[a-z_]+\s*=)")
_FAN_OUT = re.compile(r"(\d*\.?\d+)\s*\*\s*(.+)")
_WRITE = "as in steps=uniform:4,12,tools=lognormal:800ms,1,fan_out=0.2*3"


class Agent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tasks of an agent: calls in a row with tools between them, and now and then several sub-agents side by side.

    Each call carries all that its agent saw before: a system prompt, the task, its own replies (made up, of the length
    asked for) and what each tool gave, which are `workload.input_tokens` a step.
    """

    steps: Annotated[
        str | None,
        Doc(description="calls in a row of a task's own agent, as a length (default: no agents)"),
    ] = None
    tools: Annotated[
        str | None,
        Doc(
            description="time of the tools before each step but the first: T, exponential:MEAN, "
            "lognormal:MEDIAN,SIGMA or uniform:LO,HI (default: none)"
        ),
    ] = None  # fmt: skip
    fan_out: Annotated[
        str | None,
        Doc(
            description="P*N: with chance P a step but the last is followed by N sub-agents side by side, N a length; "
            "the next step waits for all of them and sees their last replies (default: none)"
        ),
    ] = None
    sub_steps: Annotated[
        str, Doc(description="calls in a row of a sub-agent, which has a context of its own, as a length")
    ] = "1"
    task_tokens: Annotated[
        str | None,
        Doc(description="what a task says, and what a sub-agent is told, as a length (default: as a tool gives)"),
    ] = None
    system_tokens: Annotated[
        str | None,
        Doc(description="N tokens of a system prompt that all agents share, and N of one of all sub-agents"),
    ] = None

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return self.steps is not None


class FanOut(NamedTuple):
    """How often a step is followed by sub-agents, and by how many."""

    chance: float
    several: Lengths


def parse_fan_out(text: str) -> FanOut:
    """Of P*N; UsageError else."""
    match = _FAN_OUT.fullmatch(text.strip())
    if match is None or not 0 <= float(match[1]) <= 1:
        raise UsageError(f"agent.fan_out: {text!r} is not P*N, a chance and a number of sub-agents: write 0.2*3")
    return FanOut(float(match[1]), parse_lengths(match[2], "a number of sub-agents"))


def parse_agent(text: str) -> dict[str, str]:
    """The fields of `--agent NAME=VALUE,...`, whose values may hold commas; UsageError for a name that is none."""
    known = Agent.__struct_fields__
    found: dict[str, str] = {}
    for part in _BEFORE_NAME.split(text):
        name, mark, value = (piece.strip() for piece in part.partition("="))
        if not mark or not value:
            raise UsageError(f"--agent: {part.strip()!r} is not NAME=VALUE: write {_WRITE}")
        if name not in known:
            raise UsageError(f"--agent: there is no {name}{nearest(name, known)}; there are: {', '.join(known)}")
        if name in found:
            raise UsageError(f"--agent: {name} is there twice")
        found[name] = value
    return found


def check_agent(asked: Agent, sessions: Sessions, *, load: Any, workload: Any, carries: bool, called: bool,
                loadgen: str | None, http: str) -> None:  # fmt: skip
    """UsageError if no load can have these agents; `load` and `workload` are sections of the Spec."""
    if not asked.any:
        if asked != Agent():
            raise UsageError(f"agent: say how many steps a task has, {_WRITE}")
        return
    assert asked.steps is not None
    for name, what in (("steps", "a number of steps"), ("sub_steps", "a number of steps"),
                       ("task_tokens", "a token length")):  # fmt: skip
        if (value := getattr(asked, name)) is not None:
            parse_lengths(value, what)
    if asked.tools is not None:
        parse_times(asked.tools, "agent.tools")
    if asked.fan_out is not None:
        parse_fan_out(asked.fan_out)
    if asked.system_tokens is not None and parse_lengths(asked.system_tokens).kind != "constant":
        raise UsageError("agent.system_tokens is the same for all: write a number")
    given = [
        name
        for name, asked_for in (
            ("--turns", sessions.turns), ("--think", sessions.think),
            ("sessions.first_input_tokens", sessions.first_input_tokens),
        )
        if asked_for is not None
    ]  # fmt: skip
    if given:
        raise UsageError(f"agent: its steps are the turns, and its tools the pauses: leave {' and '.join(given)} out")
    if sessions.history == "recorded":
        raise UsageError("sessions.history: an agent's own replies are made up (planned): leave it out")
    if sessions.sticky == "connection":
        raise UsageError("sessions.sticky: calls side by side cannot share a connection: write header:NAME")
    sticky_header(sessions.sticky)
    if workload.prompts is not None or not workload.generates or workload.hears:
        raise UsageError("agent: its calls are synthetic, of an API that generates text: leave --prompts out")
    if carries:
        raise UsageError("agent: calls with images or audio cannot be planned: leave --images and --audio out")
    if called:
        raise UsageError("agent: a Python callable is given one text at a time: leave it out")
    if loadgen is not None:
        raise UsageError("loadgen.scenario sends requests of its own order: leave agent.steps out")
    for key in ("lockstep", "min_requests"):
        if getattr(load, key):
            raise UsageError(f"load.{key} is of requests that are alone: leave it out, or agent.steps")
