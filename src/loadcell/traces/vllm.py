"""vLLM's log with --enable-log-requests: when requests came, and as much of their lengths as it tells.

A line "Received request ID: ..." holds the time to a second, the sampling parameters and, in older versions, the
prompt with its token ids; newer ones write these in "Request ID details: ..." with VLLM_LOGGING_LEVEL=DEBUG alone.
What was generated stands in "Generated response ID: ..." with --enable-log-outputs. The access lines of its web server
have no times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.traces.calls import CHARS_A_TOKEN, by_text
from loadcell.traces.files import Asked, Source, lines
from loadcell.traces.model import Change
from loadcell.traces.settle import Draft

MARK = "Received request "
_LINE = re.compile(
    r"\b(?:INFO|DEBUG) (?P<month>\d\d)-(?P<day>\d\d) (?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d)\S* .*?"
    r"(?P<what>Received request|Request|Generated response) (?P<id>[^\s:]+)(?P<more> details| \([^)]*\))?: (?P<rest>.*)"
)
_IDS = re.compile(r"(?:prompt|output)_token_ids: \[([\d, ]*)\]")
_TEXT = re.compile(r"(?:prompt|output): ('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")")
_MOST = re.compile(r"\bmax_tokens=(\d+)")
_DAYS = (0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335)
"""Days before each month of a leap year: lines tell no year."""
_YEAR_S = 366 * 86_400.0


@dataclass(eq=False)
class _Request:
    line: int
    t_s: float
    most: float = np.nan
    tokens: dict[bool, float] = field(default_factory=dict)
    """Token ids that were counted, of its prompt (False) and its output (True)."""
    chars: dict[bool, int] = field(default_factory=dict)


def read(source: Source, asked: Asked) -> Draft:
    """Requests by the lines that received them. UsageError where the log tells no lengths of prompts."""
    asked.no_unit("vllm")
    found = list(_requests(source).values())
    if not found:
        raise UsageError(f"{source.path} has no line 'Received request ...': start vLLM with --enable-log-requests")
    inputs = np.array([_length(each, False) for each in found], np.float64)
    if np.isnan(inputs).all():
        raise UsageError(
            f"{source.path} tells no lengths of prompts: vLLM logs them at VLLM_LOGGING_LEVEL=DEBUG, with "
            "--enable-log-requests"
        )
    outputs = np.array([_length(each, True) for each in found], np.float64)
    most = np.array([each.most for each in found], np.float64)
    return Draft(
        name=source.name, kind="vllm", path=str(source.path), time="the log's time", checked=False,
        t_s=np.array([each.t_s for each in found], np.float64), input_tokens=inputs,
        output_tokens=np.where(np.isnan(outputs), most, outputs), changes=_guessed(source, found, outputs, most),
        places=lambda wanted: [found[row].line for row in wanted],
    )  # fmt: skip


def _requests(source: Source) -> dict[str, _Request]:
    out: dict[str, _Request] = {}
    year, last = 0.0, 0.0
    for number, raw in lines(source):
        seen = _LINE.search(raw.decode("utf-8", "replace"))
        if seen is None:
            continue
        at = (_DAYS[int(seen["month"]) - 1] + int(seen["day"]) - 1) * 86_400.0
        at += int(seen["h"]) * 3600 + int(seen["m"]) * 60 + int(seen["s"])
        year += _YEAR_S if at + year < last - _YEAR_S / 2 else 0.0  # the turn of the year
        last = at + year
        name, is_output = seen["id"], seen["what"] == "Generated response"
        if not is_output:
            out.setdefault(name, _Request(number, at + year))
        request = out.get(name) or out.get(f"{name}-0")  # of one prompt among several that a request may have
        if request is not None and not (is_output and "complete" in (seen["more"] or "") and True in request.tokens):
            _take(request, seen["rest"], is_output)
    return out


def _take(request: _Request, rest: str, is_output: bool) -> None:
    """What a line tells of lengths; of a stream's parts, one after another."""
    if ids := _IDS.search(rest):
        count = ids[1].count(",") + 1 if ids[1].strip() else 0
        request.tokens[is_output] = request.tokens.get(is_output, 0.0) + count
    if text := _TEXT.search(rest):
        request.chars[is_output] = request.chars.get(is_output, 0) + len(text[1]) - 2
    if not is_output and (most := _MOST.search(rest)):
        request.most = float(most[1])


def _length(request: _Request, is_output: bool) -> float:
    if is_output in request.tokens:
        return request.tokens[is_output]
    chars = request.chars.get(is_output)
    return np.nan if chars is None else float(np.ceil(chars / CHARS_A_TOKEN))


def _guessed(
    source: Source, found: list[_Request], outputs: NDArray[np.float64], most: NDArray[np.float64]
) -> tuple[Change, ...]:
    changes = []
    if texts := sum(any(side in each.chars and side not in each.tokens for side in (False, True)) for each in found):
        changes.append(by_text(texts, source.name))
    if n := int((np.isnan(outputs) & np.isfinite(most)).sum()):
        words = phrase("outputs of {:,} requests of {} are not told: max_tokens was taken, the most", n, source.name)
        changes.append(Change("guess", n, words))
    words = phrase("times of {} are whole seconds", source.name)
    return (*changes, Change("bin", len(found), words))
