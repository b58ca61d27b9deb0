"""Which class each request is of: dealt from the seed before the load, whatever the server does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loadcell.workload.streams import stream


def deal(
    shares: Sequence[float], rows: int, *, seed: int, by: Literal["weights", "round-robin"]
) -> NDArray[np.int32] | None:
    """The class of each of `rows` requests, by `shares` that add up to 1; None where there is one class.

    By weights each is drawn on its own, as a router would that knows nothing. Round robin lays the k-th request of a
    class into the k-th stretch of 1 / share requests, at a place drawn from the seed: in every stretch each class has
    had its share, to a request, and neither a user nor a load process that takes every n-th request keeps to one class.
    More rows change none of the first.
    """
    if len(shares) < 2:
        return None
    rng = stream(seed, "classes")
    if by == "weights":
        edges = np.cumsum(shares)[:-1] / np.sum(shares)
        return np.searchsorted(edges, rng.random(rows), side="right").astype(np.int32)
    places, kinds = [], []
    for kind, (share, own) in enumerate(zip(shares, rng.spawn(len(shares)), strict=True)):
        # So many that the places of all classes cover the rows; those beyond are cut off in the order of their places.
        count = int(np.ceil(rows * share)) + len(shares) + 1
        places.append((np.arange(count) + own.random(count)) / share)
        kinds.append(np.full(count, kind, np.int32))
    order = np.argsort(np.concatenate(places), kind="stable")[:rows]
    dealt: NDArray[np.int32] = np.concatenate(kinds)[order]
    return dealt
