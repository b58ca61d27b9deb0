"""MATH500: the last boxed answer, compared as mathematics."""

from __future__ import annotations

import functools
import logging

from loadcell.mlperf.accuracy.exact import final_text, last_boxed
from loadcell.mlperf.accuracy.missing import Unavailable

_LIMIT_S = 5
_SPACES = ("\\,", "\\!", "\\;", "\\ ", "\\left", "\\right", " ", "$")


@functools.cache
def check_maths() -> None:
    """Unavailable without math-verify, or without the parser that it needs: then it would find nothing equal."""
    try:
        equal = _equal(r"\frac{1}{2}", "0.5")
    except ImportError as error:
        raise Unavailable("math-verify", "pip install 'loadcell[accuracy]'") from error
    if not equal:
        raise Unavailable("the LaTeX parser of math-verify", "pip install 'math-verify[antlr4_13_2]'")


def same_maths(reply: str, reference: str) -> bool:
    r"""Whether the last \boxed{...} of the reply equals the reference, as text or by math-verify.

    A comparison that takes more than five seconds counts as wrong. For the main thread of a process: the limit is an
    alarm signal.
    """
    given, wanted = last_boxed(final_text(reply)), last_boxed(reference) or reference.strip()
    return given is not None and (_plain(given) == _plain(wanted) or _equal(wanted, given))


def _equal(wanted: str, given: str) -> bool:
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)  # it tells of every answer that is no mathematics
    gold, answer = (parse(f"\\boxed{{{text}}}", parsing_timeout=_LIMIT_S) for text in (wanted, given))
    return bool(verify(gold, answer, timeout_seconds=_LIMIT_S))


def _plain(text: str) -> str:
    for space in _SPACES:
        text = text.replace(space, "")
    return text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").rstrip(".")
