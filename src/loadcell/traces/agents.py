"""Agents that stand unmarked among each other: whose next turn a request is, by the blocks that it begins with."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from loadcell.traces.follow import SLACK_S


class Turn(msgspec.Struct, frozen=True, eq=False):
    """A request of an agent; times in s."""

    place: int
    """Of its entry in the file, from 1."""
    start_s: float
    end_s: float
    timed: bool
    """Whether the file tells when it ended."""
    model: str
    input_tokens: int
    output_tokens: int
    blocks: list[int]


def agents(turns: Sequence[Turn]) -> list[tuple[list[Turn], int]]:
    """The turns of each agent in order of time, and which agent started it, by number: -1 for the first of all.

    A turn that begins with all of an agent's last prompt, after that ended and with the same model, is that agent's
    next. One that begins with a part of it is so too (its context was shortened) where the whole is never gone on
    with: of several such the one that keeps most, then the earliest. All others are agents of their own, started by
    whom they share most with. Turns without blocks tell nothing, and are the first agent's.
    """
    chains: list[list[Turn]] = []
    forks: list[tuple[int, Turn | None, int]] = []
    for turn in sorted(turns, key=lambda turn: (turn.start_s, turn.place)):
        if not turn.blocks and chains:
            chains[0].append(turn)
            continue
        heads = [next((each for each in reversed(chain) if each.blocks), None) for chain in chains]
        whole = [i for i, head in enumerate(heads) if head and _goes_on(head, turn)]
        if whole:
            chains[max(whole, key=lambda i: (len(heads[i].blocks), -i))].append(turn)  # type: ignore[union-attr]
            continue
        shares = [(_shared(head.blocks, turn.blocks) if head else 0, i) for i, head in enumerate(heads)]
        most, parent = max(shares, key=lambda each: (each[0], -each[1]), default=(0, -1))
        forks.append((parent if most else min(0, len(chains) - 1), heads[parent] if most else None, most))
        chains.append([turn])
    return _shortened(chains, forks)


def _goes_on(head: Turn, turn: Turn) -> bool:
    """Whether a turn has all of that prompt, and came after it."""
    return (
        head.model == turn.model
        and head.end_s <= turn.start_s + SLACK_S
        and (turn.blocks[: len(head.blocks)] == head.blocks)
    )


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Blocks that both begin with."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _shortened(chains: list[list[Turn]], forks: list[tuple[int, Turn | None, int]]) -> list[tuple[list[Turn], int]]:
    """The chains, those that go on with a shortened context joined to what they go on with."""
    into = list(range(len(chains)))
    tails = sorted(
        {id(tail): tail for _, tail, _ in forks if tail}.values(), key=lambda tail: (tail.start_s, tail.place)
    )
    for tail in tails:
        owner = next(i for i, chain in enumerate(chains) if tail in chain and into[i] == i)
        if chains[owner][-1] is not tail:
            continue  # the whole was gone on with
        fits = [
            (-depth, chains[i][0].start_s, i)
            for i, (_, source, depth) in enumerate(forks)
            if source is tail and tail.end_s <= chains[i][0].start_s + SLACK_S and tail.model == chains[i][0].model
        ]
        if fits:
            chosen = min(fits)[2]
            chains[owner].extend(chains[chosen])
            into[chosen] = owner
    kept = [i for i in range(len(chains)) if into[i] == i]

    def top(i: int) -> int:
        while i >= 0 and into[i] != i:
            i = into[i]
        return i

    number = {i: place for place, i in enumerate(kept)}
    return [(chains[i], number.get(top(forks[i][0]), -1)) for i in kept]
