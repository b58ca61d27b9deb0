"""ServeGen's clients: the rate and the burstiness of each in windows of ten minutes, from which requests are drawn.

Within a window the arrivals of a client are a stationary renewal process: gaps of the fitted law (Gamma or Weibull),
rescaled to the window's rate, the first of them what is left of a gap that began before (its density is (1 - F(x)) /
mean; Cox, Renewal Theory, 1962), so that a window has rate x length arrivals on average however bursty it is. The law
tells the shape alone: its own mean is not 1 / rate.
"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.traces.files import Asked, Source, document, open_source
from loadcell.traces.model import Change
from loadcell.traces.settle import Draft
from loadcell.traces.table import Table, read_table

COLUMNS = ("client", "t", "rate", "cv", "pattern", "arg1", "arg2")
WINDOW_S = 600.0
_LAWS = ("Gamma", "Weibull")
_CLIENT = re.compile(r"(?:client|chunk-)(\d+)")
_KEYS = ("input_tokens", "output_tokens")


class _Law(NamedTuple):
    """Numbers of tokens, and up to which share of all each reaches."""

    values: NDArray[np.int64]
    reaches: NDArray[np.float64]

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        at = np.searchsorted(self.reaches, rng.random(count) * self.reaches[-1], side="right")
        drawn: NDArray[np.int64] = self.values[at]
        return drawn


class _Window(NamedTuple):
    client: int
    t: float
    rate: float
    law: str
    shape: float


def read(source: Source, asked: Asked) -> Draft:
    """Requests of all clients in order of time, or those of `window_s` alone, which are the same ones; times are from
    the trace's own beginning. Each client and window draws from a seed of its own. Lengths are those published for the
    client; those of a client without any are drawn from another's, and counted as a guess. UsageError for no rates, or
    none with lengths."""
    asked.no_unit("servegen")
    windows, laws = _windows(source), _lengths(source)
    low, high = asked.window_s or (0.0, np.inf)
    times: list[NDArray[np.float64]] = []
    lengths: list[NDArray[np.int64]] = []
    guessed = 0
    for each in windows:
        if each.t + WINDOW_S <= low or each.t >= high:
            continue
        rng = np.random.default_rng((asked.seed, each.client, round(each.t)))
        drawn = each.t + _arrivals(rng, each)
        pair = _drawn(rng, laws.get(each.client) or laws[min(laws)], each.t, len(drawn))
        keep = (drawn >= low) & (drawn < high)
        times.append(drawn[keep])
        lengths.append(pair[:, keep])
        guessed += 0 if each.client in laws else int(keep.sum())
    t_s = np.concatenate(times) if times else np.zeros(0)
    pairs = np.concatenate(lengths, axis=1) if lengths else np.zeros((2, 0), np.int64)
    order = np.argsort(t_s, kind="stable")
    if not len(order):
        raise UsageError(f"{source.path} has no requests from {low:g} to {high:g} s")
    return Draft(
        name=source.name, kind="servegen", path=str(source.path), t_s=t_s[order], checked=False, keeps_zero=True,
        input_tokens=pairs[0][order].astype(float), output_tokens=pairs[1][order].astype(float),
        changes=_said(len(order), guessed, asked.seed, min(laws)),
    )  # fmt: skip


def _said(count: int, guessed: int, seed: int, lender: int) -> tuple[Change, ...]:
    words = phrase("{:,} requests were drawn from rates and laws of clients, with seed {}", count, seed)
    made = Change("generate", count, words)
    if not guessed:
        return (made,)
    words = phrase("{:,} requests are of clients without lengths: those of client {} were taken", guessed, lender)
    return made, Change("guess", guessed, words)


# --- arrivals --------------------------------------------------------------------------------------------------------


def _arrivals(rng: np.random.Generator, window: _Window) -> NDArray[np.float64]:
    """Times from the window's begin, in s."""
    ask = int(window.rate * WINDOW_S * 1.1) + 16
    first = _residual(rng, window.law, window.shape)
    times = first + np.concatenate(([0.0], np.cumsum(_gaps(rng, window.law, window.shape, ask))))
    end = window.rate * WINDOW_S  # gaps have mean 1
    while times[-1] < end:
        times = np.concatenate((times, times[-1] + np.cumsum(_gaps(rng, window.law, window.shape, ask))))
    return times[times < end] / window.rate


def _gaps(rng: np.random.Generator, law: str, shape: float, count: int) -> NDArray[np.float64]:
    """Gaps of mean 1."""
    if law == "Gamma":
        return rng.gamma(shape, 1 / shape, count)
    return rng.weibull(shape, count) / _weibull_mean(shape)


def _residual(rng: np.random.Generator, law: str, shape: float) -> float:
    """What is left of the gap, of mean 1, that a moment falls into: a part of one drawn by its length."""
    if law == "Gamma":
        whole = rng.gamma(shape + 1, 1 / shape)
    else:  # x f(x) of a Weibull law: (x / scale) ^ shape is Gamma(1 + 1 / shape)
        whole = rng.gamma(1 + 1 / shape) ** (1 / shape) / _weibull_mean(shape)
    return float(whole * rng.random())


def _weibull_mean(shape: float) -> float:
    return math.gamma(1 + 1 / shape)


def _windows(source: Source) -> list[_Window]:
    """The windows of all clients in which there is something. UsageError for one that is none."""
    out: list[_Window] = []
    for client, table in _tables(source):
        times, rates, shapes = (table.numbers(name) for name in ("t", "rate", "arg1"))
        clients = table.numbers("client") if client is None else np.full(table.rows, float(client))
        laws = [(law or "").strip() for law in table.texts("pattern")]
        good = np.isfinite(clients) & np.isfinite(times) & (rates > 0) & (shapes > 0) & np.isin(laws, _LAWS)
        bad = np.flatnonzero(~good & (rates != 0))
        if len(bad):
            (line,) = table.places([int(bad[0])])
            raise UsageError(
                f"line {line} of {table.source.path} is no window of a client: it needs a client, t, a rate, the "
                f"pattern {' or '.join(_LAWS)} and a shape (arg1) above 0"
            )
        out += [
            _Window(int(clients[row]), float(times[row]), float(rates[row]), laws[row], float(shapes[row]))
            for row in np.flatnonzero(good).tolist()
        ]
    return out


def _tables(source: Source) -> list[tuple[int | None, Table]]:
    """The tables of rates, each of the client in its name or, with a column for it, of all."""
    paths = sorted(source.path.glob("*.csv*")) if source.form == "folder" else [source.path]
    found: list[tuple[int | None, Table]] = []
    for path in paths:
        file = open_source(path)
        if set(COLUMNS) <= set(file.columns):
            found.append((None, read_table(file)))
        elif (named := _CLIENT.search(path.name)) and len(file.columns) == len(COLUMNS) - 1:
            found.append((int(named[1]), read_table(replace(file, columns=COLUMNS[1:], header=False))))
    if not found:
        raise UsageError(
            f"{source.path} holds no rates of clients: a CSV with the columns {', '.join(COLUMNS)}, or ServeGen's own "
            "chunk-N-trace.csv"
        )
    return found


# --- lengths ---------------------------------------------------------------------------------------------------------


def _lengths(source: Source) -> dict[int, dict[float, tuple[_Law, ...]]]:
    """Of each client the laws of input and output tokens from each time on; from files in the same folder."""
    folder = source.path if source.form == "folder" else source.path.parent
    found: dict[int, dict[float, tuple[_Law, ...]]] = {}
    for path in sorted(folder.glob("*.json*")):
        named = _CLIENT.search(path.name)
        if named and (laws := _laws_of(path)):
            found[int(named[1])] = laws
    if not found:
        raise UsageError(
            f"{source.path} holds rates without lengths: put ServeGen's lengths of a client beside it, as "
            "chunk-N-dataset.json or clientN_lengths.json"
        )
    return found


def _laws_of(path: Path) -> dict[float, tuple[_Law, ...]]:
    try:
        windows = document(replace(open_source(path), form="json"))
        laws = {float(start): tuple(_law(each[key]) for key in _KEYS) for start, each in windows.items() if each}
    except (ValueError, SyntaxError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} holds no lengths as ServeGen writes them: {error}") from error
    return dict(sorted(laws.items()))


def _law(text: str | dict[str, float]) -> _Law:
    """A dict of tokens to shares, which the files hold as the text of a Python literal."""
    shares = ast.literal_eval(text) if isinstance(text, str) else text
    values = np.array([int(value) for value in shares], np.int64)
    weights = np.array(list(shares.values()), np.float64)
    if not len(values) or (values < 0).any() or (weights < 0).any() or not weights.sum():
        raise ValueError("a law of lengths needs numbers of tokens and their shares")
    order = np.argsort(values)
    return _Law(values[order], np.cumsum(weights[order]))


def _drawn(rng: np.random.Generator, laws: dict[float, tuple[_Law, ...]], t: float, count: int) -> NDArray[np.int64]:
    """Input and output tokens, each by its own law: their correlation is not published. Both are 1 at least."""
    start = max((each for each in laws if each <= t), default=min(laws))
    return np.maximum(1, np.stack([law.draw(rng, count) for law in laws[start]]))
