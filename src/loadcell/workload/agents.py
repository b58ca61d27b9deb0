"""Synthetic agents: which calls wait for which, and which blocks of text each carries.

A task has an agent with so many steps in a row. After a step but the last several sub-agents may go side by side, each
with a context and so many steps of its own; the next step waits for all of them. Rows of a task stand together: a step,
then the calls of its sub-agents, one after another, then the next step.

All that an agent saw is one line of blocks, of which a call carries the beginning: its system prompt, the task, its
reply, the last replies of sub-agents, what a tool gave, its reply, and so on. So a cache finds in each call what the
one before it had, and nothing of what other tasks say but the system prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadcell.agents import MOST_STEPS, Agent, parse_fan_out
from loadcell.lengths import parse_lengths
from loadcell.traces import Ragged
from loadcell.workload.lengths import sample_lengths
from loadcell.workload.sessions import Sessions
from loadcell.workload.streams import stream

Ints = NDArray[np.int64]
SYSTEM, SUB_SYSTEM, FIRST = 0, 1, 2
"""Blocks: the system prompts of agents and of sub-agents; from 2 on what each row brings, and its reply."""


@dataclass(frozen=True, eq=False)
class Calls:
    """Of each row."""

    sessions: Sessions
    sub: NDArray[np.bool_]
    """Whether it is a sub-agent's."""
    follows: Ints
    """The call of its agent before it, all of which it carries; -1 for the first of an agent, which is told a task."""
    blocks: Ragged
    """Of its prompt: SYSTEM or SUB_SYSTEM first, then what rows bring (FIRST + 2 row) and reply (FIRST + 2 row + 1)."""


@dataclass(frozen=True, eq=False)
class Shape:
    """What tasks are made of, one after another."""

    steps: Ints
    """Of each task."""
    fans: Ints
    """Sub-agents after each step of all tasks."""
    lengths: Ints
    """Calls of each sub-agent of all."""

    @property
    def rows(self) -> Ints:
        """Calls of each task."""
        calls = 1 + _sums(self.lengths, self.fans)
        return _sums(calls, self.steps)


def tasks_for(agent: Agent, calls: int, seed: int) -> Ints:
    """Calls of each of the first tasks, of at least so many in all."""
    tasks = 64
    while (rows := shape_of(agent, tasks, seed).rows).sum() < calls:
        tasks = max(tasks + 64, int(1.02 * calls * tasks / rows.sum()))
    return rows


def shape_of(agent: Agent, tasks: int, seed: int) -> Shape:
    """The first `tasks` tasks; task i does not depend on their number."""
    assert agent.steps is not None
    asked = parse_lengths(agent.steps, "a number of steps")
    steps = sample_lengths(asked, tasks, stream(seed, "turns"), MOST_STEPS, "steps").astype(np.int64)
    total = int(steps.sum())
    fans = np.zeros(total, np.int64)
    if agent.fan_out is not None:
        chance, several = parse_fan_out(agent.fan_out)
        wide = sample_lengths(several, total, stream(seed, "fan-outs"), MOST_STEPS, "sub-agents")
        chosen = stream(seed, "fan-out chances").random(total) < chance
        chosen[np.cumsum(steps) - 1] = False
        fans[chosen] = wide[chosen]
    own = parse_lengths(agent.sub_steps, "a number of steps")
    lengths = sample_lengths(own, int(fans.sum()), stream(seed, "sub-agents"), MOST_STEPS, "steps")
    return Shape(steps, fans, lengths.astype(np.int64))


def calls_of(shape: Shape, rows: int, *, system: bool) -> Calls:
    """The first `rows` calls of tasks; with `system`, agents have system prompts."""
    steps, fans, lengths = shape.steps, shape.fans, shape.lengths
    after = _sums(lengths, fans)  # calls of the sub-agents after each step
    at = _starts(1 + after)  # row of each step
    task = np.repeat(np.arange(steps.size), steps)
    of_step = np.repeat(np.arange(fans.size), fans)  # step of each sub-agent
    begin = at[of_step] + 1 + _starts(lengths) - _starts(after)[of_step]  # first row of each sub-agent
    total = int((1 + after).sum())
    is_first = np.zeros(steps.sum(), bool)
    is_first[_starts(steps)] = True

    sub = np.ones(total, bool)
    sub[at] = False
    follows = np.arange(total) - 1
    follows[at[1:]] = at[:-1]
    follows[at[is_first]] = follows[begin] = -1
    session = np.repeat(task, 1 + after)

    # What each waits for: a call of a sub-agent for the one before it, its first for the step; a step for the last
    # calls of the sub-agents before it, else for the step before it.
    last = begin + lengths - 1
    first = np.arange(total) - 1
    first[begin] = at[of_step]
    counts = np.ones(total, np.int64)
    counts[at[is_first]] = 0
    before = np.flatnonzero(~is_first) - 1  # the step before each that is not the first
    joined = fans[before]
    counts[at[before + 1]] = np.maximum(joined, 1)
    values = np.repeat(first, counts)
    ends = np.cumsum(counts)
    joins = before[joined > 0]
    values[_ranges(ends[at[joins + 1]] - fans[joins], fans[joins])] = last[_ranges(_starts(fans)[joins], fans[joins])]
    single = before[joined == 0]
    values[ends[at[single + 1]] - 1] = at[single]

    # The longest way: a step is one behind the longest of the sub-agents before it, or behind the step before it.
    longest = np.zeros(fans.size, np.int64)
    np.maximum.at(longest, of_step, lengths)
    ways = 1 + np.concatenate(([0], longest[:-1])) if fans.size else longest
    depth = np.cumsum(ways)
    starts = _starts(steps)
    depth -= np.repeat(depth[starts], steps)
    turn = np.empty(total, np.int64)
    turn[at] = depth
    inside = np.arange(int(lengths.sum())) - np.repeat(_starts(lengths), lengths)
    turn[_ranges(begin, lengths)] = np.repeat(depth[of_step], lengths) + 1 + inside

    keep = slice(0, rows)
    kept_ends = ends[keep]
    waits = Ragged(values[: int(kept_ends[-1]) if rows else 0], kept_ends)
    sessions = Sessions(session[keep].astype(np.int32), turn[keep].astype(np.int32), waits)
    blocks = _blocks(shape, at, begin, last, system=system).take(np.arange(rows))
    return Calls(sessions, sub[keep], follows[keep], blocks)


def shared_of(calls: Calls, input_tokens: Ints, system_tokens: int) -> Ints:
    """Input tokens of each call that a prefix cache without bounds has, if calls come in the order of rows: all of
    the one before it; of the first of an agent its system prompt (0 tokens without), once another has had it."""
    begins = calls.follows < 0
    shared = np.where(begins, system_tokens, input_tokens[calls.follows])
    for kind in (calls.sub, ~calls.sub):
        shared[np.flatnonzero(begins & kind)[:1]] = 0
    return shared


def _blocks(shape: Shape, at: Ints, begin: Ints, last: Ints, *, system: bool) -> Ragged:
    """The blocks of each row: the beginning of the line of its agent, up to what it brings."""
    fans, lengths = shape.fans, shape.lengths
    total = int(at.size + lengths.sum())
    head = int(system)

    # The lines of agents: [system] (brings, reply, last reply of each sub-agent) for each step.
    sizes = 2 + fans
    lines = head + _sums(sizes, shape.steps)
    begins_line = _starts(lines)
    task = np.repeat(np.arange(shape.steps.size), shape.steps)
    place = _starts(sizes) + head * (task + 1)  # where what each step brings stands
    line = np.zeros(int(lines.sum()), np.int64)
    if system:
        line[begins_line] = SYSTEM
    line[place], line[place + 1] = FIRST + 2 * at, FIRST + 2 * at + 1
    line[_ranges(place + 2, fans)] = FIRST + 2 * last + 1

    # The lines of sub-agents: [system] (brings, reply) for each of their calls.
    sub_lines = head + 2 * lengths
    begins_sub = _starts(sub_lines)
    rows = _ranges(begin, lengths)
    of = np.repeat(np.arange(lengths.size), lengths)
    sub_place = 2 * np.arange(rows.size) + head * (of + 1)
    sub_line = np.zeros(int(sub_lines.sum()), np.int64)
    if system:
        sub_line[begins_sub] = SUB_SYSTEM
    sub_line[sub_place], sub_line[sub_place + 1] = FIRST + 2 * rows, FIRST + 2 * rows + 1

    starts, ends = np.empty(total, np.int64), np.empty(total, np.int64)
    starts[at], ends[at] = begins_line[task], place + 1
    starts[rows], ends[rows] = line.size + begins_sub[of], line.size + sub_place + 1
    counts = ends - starts
    return Ragged(np.concatenate((line, sub_line))[_ranges(starts, counts)], np.cumsum(counts))


def _starts(counts: Ints) -> Ints:
    found: Ints = np.cumsum(counts) - counts
    return found


def _sums(values: Ints, counts: Ints) -> Ints:
    """Sums of `values` in groups of so many, one after another."""
    sums = np.concatenate(([0], np.cumsum(values)))
    ends = np.cumsum(counts)
    found: Ints = sums[ends] - sums[ends - counts]
    return found


def _ranges(starts: Ints, counts: Ints) -> Ints:
    """start, start + 1, ... of each, so many."""
    ends = np.cumsum(counts)
    found: Ints = np.arange(int(counts.sum())) + np.repeat(starts - (ends - counts), counts)
    return found
