"""One named random stream per purpose, all from the run's seed.

A purpose keeps its number for good: with it, the draws of one purpose do not move when another draws more or less.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np

Purpose = Literal[
    "arrivals", "input lengths", "output lengths", "prompts", "check", "vocabulary", "prompt rounding", "inputs",
    "query lengths", "images", "image sizes", "image order", "clips", "clip order", "pixels", "sound", "classes",
    "turns", "think", "first input lengths", "fan-outs", "fan-out chances", "sub-agents", "prefix groups",
    "prefix lengths", "trace spread", "trace scale", "length pairs",
    "cancellations", "patience", "slow readers",
]  # fmt: skip
_SPAWN_KEY: dict[Purpose, int] = {
    "arrivals": 0, "input lengths": 1, "output lengths": 2, "prompts": 3, "check": 4, "vocabulary": 5,
    "prompt rounding": 6, "inputs": 7, "query lengths": 8, "images": 21, "image sizes": 22, "image order": 23,
    "clips": 24, "clip order": 25, "pixels": 26, "sound": 27,
    "turns": 40, "think": 41, "first input lengths": 42, "fan-outs": 43, "fan-out chances": 44, "sub-agents": 45,
    "prefix groups": 50, "prefix lengths": 51, "trace spread": 52, "trace scale": 53, "length pairs": 9,
    "cancellations": 60, "patience": 61, "slow readers": 62,
    "classes": 13,  # the first draws of seed 0, which most runs have, are near any shares
}  # fmt: skip


def prompt_seed(seed: int, repetition: int, salt: str = "") -> int:
    """Seed of the prompts' texts: another for each repetition and salt, so that no cache of the server knows them."""
    if not repetition and not salt:
        return seed
    text = f"{seed} repetition {repetition}" + (f" salt {salt}" if salt else "")
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16])


def stream(seed: int, purpose: Purpose, *number: int) -> np.random.Generator:
    """The PCG64 generator of `purpose` under the root `seed` (an integer of any size, 0 or more); of each `number`
    another one."""
    key = (_SPAWN_KEY[purpose], *number)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
