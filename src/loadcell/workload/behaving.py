"""What each user of a schedule will do beside waiting, drawn from the seed: when it gives up, how slowly it reads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadcell.behaviour import Behaviour, Patience, parse_cancel, parse_patience, parse_slow_readers
from loadcell.kinds import MISSING
from loadcell.workload.streams import stream

_NONE = -(2**31)
"""NULL in a column of 32 bits."""


class Behaved(NamedTuple):
    """Columns with one row a request; None where no request has any. MISSING, `_NONE` or NaN: this one has none."""

    cancel_ns: NDArray[np.int64] | None
    """After its send the client closes the connection, whatever has come."""
    cancel_tokens: NDArray[np.int32] | None
    """After so many output tokens it does."""
    patience_ns: NDArray[np.int64] | None
    """After its send it does, if no output has come."""
    read_bytes_per_s: NDArray[np.float64] | None
    read_tokens_per_s: NDArray[np.float64] | None


def behave(behaviour: Behaviour, rows: int, *, seed: int) -> Behaved | None:
    """The columns of so many requests; None where users only wait.

    A request has one fate of cancellation at most: one draw decides between them. Who reads slowly is drawn apart, and
    so is patience, which every user has.
    """
    if not behaviour.any:
        return None
    cancel_ns, cancel_tokens = np.full(rows, MISSING, np.int64), np.full(rows, _NONE, np.int32)
    drawn, edge = stream(seed, "cancellations").random(rows), 0.0
    for cancel in map(parse_cancel, behaviour.cancel):
        chosen = (drawn >= edge) & (drawn < edge + cancel.share)
        edge += cancel.share
        if cancel.after_tokens is not None:
            cancel_tokens[chosen] = cancel.after_tokens
        elif cancel.after_s is not None:
            cancel_ns[chosen] = round(cancel.after_s * 1e9)
    patience = None if behaviour.patience is None else _patience_ns(parse_patience(behaviour.patience), rows, seed)
    by_bytes = by_tokens = None
    if behaviour.slow_readers is not None:
        slow = parse_slow_readers(behaviour.slow_readers)
        chosen = stream(seed, "slow readers").random(rows) < slow.share
        rates = np.where(chosen, slow.bytes_per_s or slow.tokens_per_s or np.nan, np.nan)
        by_bytes, by_tokens = (rates, None) if slow.bytes_per_s else (None, rates)
    return Behaved(
        cancel_ns if (cancel_ns != MISSING).any() else None,
        cancel_tokens if (cancel_tokens != _NONE).any() else None,
        patience,
        by_bytes,
        by_tokens,
    )


def _patience_ns(patience: Patience, rows: int, seed: int) -> NDArray[np.int64]:
    rng, (first, *rest) = stream(seed, "patience"), patience.values
    if patience.law == "lognormal":
        drawn = first * np.exp(rest[0] * rng.standard_normal(rows))
    elif patience.law == "exponential":
        drawn = rng.exponential(first, rows)
    elif patience.law == "uniform":
        drawn = rng.uniform(first, rest[0], rows)
    else:
        drawn = np.full(rows, first)
    return np.maximum(np.rint(np.minimum(drawn, 1e9) * 1e9), 1).astype(np.int64)
