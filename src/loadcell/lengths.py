"""Distributions of lengths, as a person writes them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from loadcell.columns import PACKAGED, read_numbers
from loadcell.errors import UsageError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMS = (
    "N, normal:MEAN,SD, uniform:LO,HI, lognormal:MEDIAN,SIGMA, empirical:FILE#COLUMN or "
    "mixture:SHARE*LAW+SHARE*LAW, each with ,LEAST..MOST where it is to be clipped"
)
_SPREAD = ("normal", "uniform", "lognormal")
_LAWS = (*_SPREAD, "empirical", "mixture")
_BOUNDS = re.compile(r",\s*(\d+(?:\.\d+)?)?\s*\.\.\s*(\d+(?:\.\d+)?)?\s*$")
_PARTS = re.compile(r"\+(?=\s*[\d.]+(?:[eE]-?\d+)?\s*\*)")
_LARGEST = 700.0  # e to that is nearly the largest number there is
INPUTS = (
    "num_prefill_tokens",
    "ContextTokens",
    "input_length",
    "input_tokens",
    "prompt_tokens",
    "Request tokens",
    "in",
)
OUTPUTS = (
    "num_decode_tokens", "GeneratedTokens", "output_length", "output_tokens", "completion_tokens", "Response tokens",
    "out",
)  # fmt: skip
"""Columns that hold lengths of prompts and of outputs, as public tables call them."""


class Lengths(msgspec.Struct, frozen=True):
    """A distribution of token counts; `a`, `b` are N,0 or MEAN,SD or LO,HI or MEDIAN,SIGMA, by kind."""

    kind: Literal["constant", "normal", "uniform", "lognormal", "empirical", "mixture"]
    a: float = 0.0
    b: float = 0.0
    least: float = 1.0
    """What is below is set to it: 1, unless it is asked for."""
    most: float = math.inf
    """And what is above to this."""
    file: str = ""
    """Empirical: the file, or the name of a packaged table; its numbers are drawn with equal chances."""
    column: str = ""
    """Of the file; empty: its only one."""
    steps: int = 1
    """How many of ours one of the file's units is."""
    parts: tuple[tuple[float, Lengths], ...] = ()
    """Of a mixture: the share of each law."""

    @property
    def mean(self) -> float:
        """Mean of what is drawn before rounding, clipped to bounds that were asked for; UsageError where a file cannot
        be read. The floor of one token is left out, as it always was: the plan of a closed loop and the words of its
        prompts follow from this number."""
        if self.kind == "mixture":
            return math.fsum(share * law.mean for share, law in self.parts)
        if self.kind == "empirical":
            return float(self.values.clip(self.least, self.most).mean())
        if self.kind == "uniform":
            return _uniform_mean(round(self.a), round(self.b), self.least, self.most)
        if self.kind == "normal" and not self.clipped:
            return self.a
        if self.kind == "lognormal" and not self.clipped and self.b**2 / 2 < _LARGEST:
            return self.a * math.exp(self.b**2 / 2)
        if self.kind == "lognormal" and self.b > 0:
            return _lognormal_mean(math.log(self.a), self.b, self.least, self.most)
        if self.kind == "normal" and self.b > 0:
            return _normal_mean(self.a, self.b, self.least, self.most)
        return min(max(self.a, self.least), self.most)

    @property
    def clipped(self) -> bool:
        """Whether bounds were asked for."""
        return self.least > 1 or self.most < math.inf or any(law.clipped for _, law in self.parts)

    @property
    def files(self) -> list[str]:
        """Files that it is drawn from."""
        return [self.file] if self.file else [name for _, law in self.parts for name in law.files]

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers of an empirical law, in the order of the file; UsageError names the row that is no length."""
        import numpy as np

        said = f"the lengths in {self.file}: "
        table = read_numbers(self.file, said, ((self.column,) if self.column else (),))
        name, column = table.columns[0]
        values = np.array(column) * self.steps
        wrong = np.flatnonzero((values < 1) | ((values != np.rint(values)) & (self.steps == 1)))
        if wrong.size:
            place = int(wrong[0])
            least = "lengths are whole numbers from 1" if self.steps == 1 else f"the least is {1 / self.steps:g}"
            more = f"; {wrong.size:,} rows in all are none" if wrong.size > 1 else ""
            raise UsageError(f"{said}{table.where(place)}: {name} is {column[place]:g}: {least}{more}")
        return values


def parse_lengths(text: str, what: str = "a token length", steps: int = 1) -> Lengths:
    """The distribution that `text` names, in `steps` to one of its units, of which a length has one at least.

    UsageError with the valid forms else, which says `what` it is not. A file that is named is not read yet.
    """
    forms = FORMS if steps == 1 else f"{FORMS}; the least is {1 / steps:g}, and N is in steps of that"
    kind, colon, rest = text.strip().partition(":")
    if colon and kind == "mixture":
        return _mixture(text, rest, what, steps)
    least, most = 1.0, math.inf
    if bounds := _BOUNDS.search(text):
        least, most = _bounds(text, bounds, what, steps)
        kind, colon, rest = text[: bounds.start()].strip().partition(":")
    if colon and kind == "empirical":
        file, mark, column = rest.rpartition("#")
        return _empirical(text, file if mark else rest, column if mark else "", what, steps, (least, most))
    kind, rest = (kind, rest) if colon else ("", kind)
    try:
        numbers = [float(x) for x in rest.split(",")]
    except ValueError:
        raise UsageError(f"{text!r} is not {what}: write {forms}") from None
    if not all(math.isfinite(x) for x in numbers):
        raise UsageError(f"{text!r} is not {what}: the numbers must be finite")
    a, *spread = (round(number * steps, 6) for number in numbers)
    if not colon and not spread and not bounds and a.is_integer() and a >= 1:
        return Lengths("constant", a)
    if kind not in _SPREAD or len(numbers) != 2:
        hint = "" if kind in _LAWS else nearest(kind, _LAWS)
        raise UsageError(f"{text!r} is not {what}{hint}: write {forms}")
    b = numbers[1] if kind == "lognormal" else spread[0]  # the former's is of the logarithm
    if a < 1 or b < 0 or (kind == "uniform" and b < a):
        raise UsageError(
            f"{text!r} is not {what}: lengths start at {1 / steps:g}, spreads at 0, and LO comes before HI"
        )
    return Lengths(cast(Literal["normal", "uniform", "lognormal"], kind), a, b, least, most)


def settle_lengths(tree: dict[str, dict[str, Any]]) -> None:
    """Fill in the laws of inputs and outputs where the section `workload` takes both from a file, in pairs."""
    workload = tree.get("workload", {})
    path = workload.get("lengths")
    if not isinstance(path, str):
        return
    if path in ("", "none"):
        tree["workload"] = {**workload, "lengths": None, "lengths_columns": None}
        return
    if workload.get("prompts") is not None:
        raise UsageError("workload.lengths: the prompts of a file have lengths of their own: leave out one of the two")
    if workload.get("inputs") is not None:
        raise UsageError(
            "workload.lengths are of prompts and outputs, and this API generates none: give --input-tokens "
            f"empirical:{path}#COLUMN"
        )
    said, named = "workload.lengths: ", workload.get("lengths_columns")
    wanted: tuple[tuple[str, ...], ...] = (INPUTS, OUTPUTS)
    if isinstance(named, str):
        columns = [name.strip() for name in named.split(",")]
        if len(columns) != 2 or not all(columns):
            raise UsageError(
                f"workload.lengths_columns is {named!r}: name the columns of inputs and outputs, as in a,b"
            )
        wanted = tuple((name,) for name in columns)
    names = [name for name, _ in read_numbers(path, said, wanted).columns]
    laws = {}
    for key, name in zip(("input_tokens", "output_tokens"), names, strict=True):
        laws[key] = f"empirical:{path}#{name}"
        if workload.get(key) not in (None, laws[key]):
            raise UsageError(f"workload.lengths brings both lengths: leave out workload.{key}, or workload.lengths")
    tree["workload"] = {**workload, **laws}


def _mixture(text: str, rest: str, what: str, steps: int) -> Lengths:
    parts = []
    for part in _PARTS.split(rest):
        share, star, law = part.partition("*")
        try:
            weight = float(share)
        except ValueError:
            weight = math.nan
        if not star or not (0 < weight < math.inf) or law.strip().startswith("mixture"):
            raise UsageError(
                f"{text!r} is not {what}: {part.strip()!r} is no part of a mixture: write shares and laws, as in "
                "mixture:0.7*normal:200,50+0.3*lognormal:3000,1"
            )
        parts.append((weight, parse_lengths(law, what, steps)))
    whole = math.fsum(weight for weight, _ in parts)
    return Lengths("mixture", parts=tuple((weight / whole, law) for weight, law in parts))


def _empirical(text: str, file: str, column: str, what: str, steps: int, bounds: tuple[float, float]) -> Lengths:
    if not file.strip():
        raise UsageError(
            f"{text!r} is not {what}: name a file with a length a row, and its column where it has several, as in "
            f"empirical:lengths.csv#tokens; {', '.join(PACKAGED)} come with loadcell"
        )
    return Lengths("empirical", 0.0, 0.0, *bounds, file=file.strip(), column=column.strip(), steps=steps)


def _bounds(text: str, found: re.Match[str], what: str, steps: int) -> tuple[float, float]:
    least = 1.0 if found[1] is None else float(found[1]) * steps
    most = math.inf if found[2] is None else float(found[2]) * steps
    whole = all(bound.is_integer() for bound in (least, most) if bound < math.inf)
    if not 1 <= least <= most or not whole or (found[1], found[2]) == (None, None):
        raise UsageError(
            f"{text!r} is not {what}: bounds are whole, {1 / steps:g} or more, the least first, as in ,16..8000"
        )
    return least, most


def _phi(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi) if math.isfinite(z) else 0.0


def _cdf(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


def _normal_mean(mean: float, sd: float, least: float, most: float) -> float:
    """Of a normal law, clipped."""
    low, high = (least - mean) / sd, (most - mean) / sd
    inside = mean * (_cdf(high) - _cdf(low)) - sd * (_phi(high) - _phi(low))
    above = most * _cdf(-high) if math.isfinite(most) else 0.0
    return least * _cdf(low) + inside + above


def _lognormal_mean(mu: float, sigma: float, least: float, most: float) -> float:
    """Of a lognormal law, clipped."""
    low = (math.log(least) - mu) / sigma
    high = (math.log(most) - mu) / sigma if math.isfinite(most) else math.inf
    exponent = mu + sigma * sigma / 2
    share = _cdf(high - sigma) - _cdf(low - sigma)
    inside = (
        math.exp(exponent + math.log(share)) if share > 0 and exponent + math.log(share) < 700 else math.inf * share
    )
    above = most * _cdf(-high) if math.isfinite(most) else 0.0
    return least * _cdf(low) + (inside if share > 0 else 0.0) + above


def _uniform_mean(low: int, high: int, least: float, most: float) -> float:
    """Of every whole number from `low` to `high`, clipped."""
    if least >= high or most <= low:  # all are set to one of the bounds
        return least if least >= high else most
    first, last = max(low, least), min(high, most)
    below, above, within = first - low, high - last, last - first + 1
    return (below * first + above * last + within * (first + last) / 2) / (high - low + 1)
