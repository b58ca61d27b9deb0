"""What embeddings and scores are made of: tables that follow from the seed."""

from __future__ import annotations

import base64
import random
import struct

import msgspec

DIMENSION = 16
"""Of every embedding: enough to be one, and cheap to write."""
TABLE = 512
"""Vectors, and scores, that there are."""


class Vectors:
    """The tables, vectors as they are written."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        rows = [[round(rng.uniform(-1, 1), 6) for _ in range(DIMENSION)] for _ in range(TABLE)]
        self.floats = [msgspec.json.encode(row) for row in rows]
        self.base64 = [b'"' + base64.b64encode(struct.pack(f"<{DIMENSION}f", *row)) + b'"' for row in rows]
        self.scores = [round(rng.random(), 6) for _ in range(TABLE)]
