"""Names of rounds, benchmarks and scenarios as people type them."""

from __future__ import annotations

import re

from loadcell.errors import UsageError, nearest
from loadcell.mlperf.model import SCENARIOS, Scenario
from loadcell.rounds import ROUNDS, benchmarks_of

_TARGETS = ("-99", "-99-9")
"""Ends of names that differ in their accuracy target alone."""


def plain(name: str) -> str:
    """A name without what people write in different ways: case, and whether it is . or _ or -."""
    return re.sub(r"[\s._-]+", "-", name.strip().lower())


def round_named(text: str) -> str:
    """The round of "v6.1", "V6.1" or "6.1"; UsageError lists the rounds."""
    word = "v" + text.strip().lower().removeprefix("v")
    if word not in ROUNDS:
        raise UsageError(f"{text!r} is not a round{nearest(word, ROUNDS)}: give one of {', '.join(ROUNDS)}")
    return word


def scenario_named(text: str) -> Scenario:
    """The scenario of "singlestream", "SingleStream" or "single-stream"; UsageError lists them."""
    word = plain(text).replace("-", "")
    for scenario in SCENARIOS:
        if word == scenario:
            return scenario
    raise UsageError(f"{text!r} is not a scenario{nearest(word, SCENARIOS)}: give one of {', '.join(SCENARIOS)}")


def benchmark_named(edition: str | None, text: str) -> tuple[str, str]:
    """The round and the benchmark's own name; of the newest round that has it if `edition` is None.

    "llama2-70b" is llama2-70b-99.9 where the round has that target alone. UsageError lists the round's benchmarks.
    """
    for each in (edition,) if edition else reversed(ROUNDS):
        if found := _in_round(each, text):
            return each, found
    known = benchmarks_of(edition) if edition else {name: None for each in ROUNDS for name in benchmarks_of(each)}
    where = [each for each in ROUNDS if _in_round(each, text)] if edition else []
    raise UsageError(
        f"{text!r} is not a benchmark{f' of {edition}' if edition else ''}"
        + (
            f": it is one of {', '.join(where)}; {edition} has "
            if where
            else f"{nearest(plain(text), known)}: give one of "
        )
        + ", ".join(known)
    )


def _in_round(edition: str, text: str) -> str | None:
    """The benchmark of a round that `text` means; None if there is none, UsageError if it may be two."""
    names = {plain(name): name for name in benchmarks_of(edition)}
    word = plain(text)
    if word in names:
        return names[word]
    targets = [names[word + end] for end in _TARGETS if word + end in names]
    if len(targets) > 1:
        raise UsageError(f"{text!r} is {' or '.join(targets)} in {edition}: give one of them")
    return targets[0] if targets else None
